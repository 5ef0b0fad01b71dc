"""What a target says at the end of a command about memory: checked for form, believed only after the object is hashed."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

from forensics.aws.ssm import Invocation
from forensics.errors import MemoryCaptureError

CLAIM_LIMIT = 8000
KEPT = (
    "bytes", "sha256", "list_sha256", "parts", "method", "encoding", "tool_sha256", "kernel", "boot", "resumed_at",
    "started", "ended", "symbols", "status", "reason",
)  # fmt: skip
_HEX = re.compile(r"[0-9a-f]{64}")
_NEXT = "look at the command's output in SSM; clear this task to capture again"


def read_claims(found: Invocation) -> dict[str, Any]:
    """The status line of a capture that ended well. Raises :class:`MemoryCaptureError`."""
    line = found.status_line()
    size = line.get("bytes")
    # A capture in several legs has no digest of the whole stream: nobody on the target has seen all of it.
    whole = str(line.get("sha256", ""))
    if (
        line.get("status") not in {"ok", "partial", "more"}
        or not isinstance(size, int)
        or size <= 0
        or not _HEX.fullmatch(str(line.get("list_sha256", "")))
        or not (_HEX.fullmatch(whole) or whole == "")
        or line.get("encoding") not in {"none", "zstd"}
    ):
        msg = f"command {found.command_id} succeeded without a valid status line: {found.stdout[-300:]!r}"
        raise MemoryCaptureError(msg, next_action=_NEXT)
    kept = {name: line.get(name) for name in KEPT}
    if len(json.dumps(kept)) > CLAIM_LIMIT or not isinstance(kept["symbols"] or {}, dict):
        msg = f"command {found.command_id} ended with a status line that is not of the agreed form"
        raise MemoryCaptureError(msg, next_action=_NEXT)
    return kept


def claimed_time(value: object, *, not_before: datetime | None, not_after: datetime) -> datetime:
    """A time that the target reports, kept within what the control plane has seen."""
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return not_before or not_after
    if moment.tzinfo is None or moment > not_after or (not_before and moment < not_before):
        return not_before or not_after
    return moment
