"""The requests that one case makes of AWS, by account, service and action: ``python -m tests.crash.counted`` writes ``infra/requests_of_a_case.json``.

The story's first case is played once, undisturbed, against the lab in this process. Looks of waits are in it as often as the lab's short waits
ask for them; what a storm of waits asks is bounded elsewhere (``forensics.aws.look_budget``, ``forensics.aws.shared_looks``).
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from moto.core import DEFAULT_ACCOUNT_ID
from moto.iam.models import get_account_id_from

from lab.accounts import FORENSIC_ACCOUNT, MEMBER_ACCOUNT, SECURITY_ACCOUNT
from tests.crash import inside
from tests.crash.__main__ import story

FILE = Path(__file__).parents[2] / "infra" / "requests_of_a_case.json"
# Keys that moto does not know are the environment's own, and the environment is in the forensic account.
ACCOUNTS = {
    MEMBER_ACCOUNT: "member",
    FORENSIC_ACCOUNT: "forensic",
    SECURITY_ACCOUNT: "security",
    DEFAULT_ACCOUNT_ID: "forensic",
}
LAST = "forensic_case.report.close_case"
_SIGNED = re.compile(r"Credential=(?P<key>[^/]+)/\d+/[^/]+/(?P<service>[^/]+)/")
# Actions of REST services, by what their requests are.
_REST = (
    (r"^GET /snapshots/[^/]+/blocks/", "GetSnapshotBlock"),
    (r"^GET /snapshots/[^/]+/blocks", "ListSnapshotBlocks"),
    (r"^GET /snapshots/[^/]+/changedblocks", "ListChangedBlocks"),
)
Key = tuple[str, str, str]


def key(request: Any) -> Key | None:
    """(account, service, action) of a request of botocore; None of one that nobody signed."""
    headers = {name.lower(): v.decode() if isinstance(v, bytes) else str(v) for name, v in request.headers.items()}
    signed = _SIGNED.search(headers.get("authorization", ""))
    if signed is None:
        return None
    named = inside._named(request)
    action = named.removeprefix("Action=").rpartition(".")[2] if " " not in named else ""
    action = action or next((name for form, name in _REST if re.search(form, named)), named.split(" ")[0])
    account = get_account_id_from(signed["key"])
    return ACCOUNTS.get(account, account), signed["service"], action


@contextmanager
def counting(wire: inside.Wire) -> Iterator[Counter[Key]]:
    """Counts what passes a wire."""
    found: Counter[Key] = Counter()
    send = wire.send

    def counted(request: Any) -> Any:
        if what := key(request):
            found[what] += 1
        return send(request)

    wire.send = counted  # type: ignore[method-assign]
    try:
        yield found
    finally:
        wire.send = send  # type: ignore[method-assign]


def as_json(found: Counter[Key]) -> str:
    """The file: account → service → action → requests."""
    tree: dict[str, dict[str, dict[str, int]]] = {}
    for (account, service, action), number in sorted(found.items()):
        tree.setdefault(account, {}).setdefault(service, {})[action] = number
    return json.dumps(tree, indent=1, sort_keys=True) + "\n"


def main() -> int:
    """Play and write; exit status 1 when a step failed."""
    problems = []
    with tempfile.TemporaryDirectory() as folder, story(Path(folder), Path(".lab/cache"), seed=1) as (lab, told):
        total: Counter[Key] = Counter()
        for step in told.steps():
            step.prepare()
            step.renew()
            lab.wire.begin()
            lab.hosts.listen()
            with counting(lab.wire) as found:
                try:
                    step.run()
                except Exception as error:
                    problems.append(f"{step.name}: {type(error).__name__}: {error}")
            # "(…)": steps of other cases, for what theirs ask beside
            if step.name.startswith(("finding_intake.receive", "forensic_case.")) and "(" not in step.name:
                total += found
            if step.name == LAST:
                break
        FILE.write_text(as_json(total), "utf-8")
    for problem in problems:
        print(f"PROBLEM: {problem[:500]}", file=sys.stderr)
    print(f"{sum(total.values())} requests of {len(total)} kinds in {FILE.name}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
