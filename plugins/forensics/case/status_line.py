"""What a target's status line says at the end of a command: one check of form for every activity, never of truth."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from forensics.aws.ssm import Invocation
from forensics.errors import AcquisitionError

CLAIM_LIMIT = 8000
TEXT_LIMIT = 1000
_HEX = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Form:
    """The agreed form of one activity's status line (docs/architecture.md)."""

    kept: tuple[str, ...]
    statuses: frozenset[str] = frozenset({"ok", "partial"})
    numbers: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # name -> least and most
    digests: tuple[str, ...] = ()
    optional_digests: tuple[str, ...] = ()
    words: Mapping[str, frozenset[str]] = field(default_factory=dict)
    objects: tuple[str, ...] = ()

    def problems(self, line: Mapping[str, Any]) -> list[str]:
        """Names of the fields that are not of this form."""
        wrong = [] if line.get("status") in self.statuses else ["status"]
        for name, (least, most) in self.numbers.items():
            value = line.get(name)
            if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
                wrong.append(name)
        wrong += [n for n in self.digests if not _HEX.fullmatch(str(line.get(n, "")))]
        wrong += [n for n in self.optional_digests if line.get(n, "") and not _HEX.fullmatch(str(line[n]))]
        wrong += [n for n, allowed in self.words.items() if line.get(n) not in allowed]
        return wrong + [n for n in self.objects if not isinstance(line.get(n) or {}, dict)]


def read_claims(found: Invocation, *, form: Form, error: type[AcquisitionError], next_action: str) -> dict[str, Any]:
    """The fields that the form keeps, of a command that ended well; raises ``error`` for any other form."""
    line = found.status_line()
    wrong = form.problems(line)
    kept = {n: v[:TEXT_LIMIT] if isinstance(v := line.get(n), str) else v for n in form.kept}
    if not wrong and len(json.dumps(kept)) > CLAIM_LIMIT:
        wrong = [f"more than {CLAIM_LIMIT} characters"]
    if wrong:
        msg = f"command {found.command_id} succeeded without a valid status line ({', '.join(wrong)}): {found.stdout[-300:]!r}"
        raise error(msg, next_action=next_action)
    return kept
