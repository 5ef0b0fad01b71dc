"""GuardDuty's types and their spellings in ASFF, as its user guide lists them (tests/data/guardduty_types.yaml).

``python -m tests.unit.guardduty_types`` prints the types, one a line.
"""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

_DATA = yaml.safe_load((Path(__file__).parents[1] / "data" / "guardduty_types.yaml").read_text("utf-8"))
# the type in ASFF -> GuardDuty's own spelling
BY_ASFF: dict[str, str] = {
    **{
        f"{namespace}/{kind.replace('/', '-')}": kind
        for namespace, kinds in _DATA["namespaces"].items()
        for kind in kinds
    },
    **_DATA["irregular"],
}
# the types that are about something else than an instance
WITHOUT_INSTANCE: list[str] = sorted({kind for kinds in _DATA["without_instance"].values() for kind in kinds})
# every type that can name an instance, once
ALL: list[str] = sorted({*BY_ASFF.values(), *_DATA["events_only"]})

if __name__ == "__main__":
    sys.stdout.writelines(f"{kind}\n" for kind in ALL)
