"""What a target says at the end of a command about memory: checked for form, believed only after the object is hashed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from forensics.aws.ssm import Invocation
from forensics.case.status_line import Form, read_claims
from forensics.errors import MemoryCaptureError

# A capture in several legs has no digest of the whole stream: nobody on the target has seen all of it.
CAPTURE = Form(
    kept=(
        "bytes", "sha256", "list_sha256", "parts", "method", "encoding", "tool_sha256", "kernel", "boot", "resumed_at",
        "started", "ended", "symbols", "status", "reason",
    ),
    statuses=frozenset({"ok", "partial", "more"}),
    numbers={"bytes": (1, 2**50)},
    digests=("list_sha256",),
    optional_digests=("sha256",),
    words={"encoding": frozenset({"none", "zstd"})},
    objects=("symbols",),
)  # fmt: skip
_NEXT = "look at the command's output in SSM; clear this task to capture again"


def capture_claims(found: Invocation) -> dict[str, Any]:
    """The status line of a capture that ended well. Raises :class:`MemoryCaptureError`."""
    return read_claims(found, form=CAPTURE, error=MemoryCaptureError, next_action=_NEXT)


def claimed_time(value: object, *, not_before: datetime | None, not_after: datetime) -> datetime:
    """A time that the target reports, kept within what the control plane has seen."""
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return not_before or not_after
    if moment.tzinfo is None or moment > not_after or (not_before and moment < not_before):
        return not_before or not_after
    return moment
