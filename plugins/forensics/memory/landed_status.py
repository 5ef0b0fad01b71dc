"""What a host said of its work when SSM did not: the status line that it put beside what it sent.

SSM may call a command DeliveryTimedOut although its work was done (API reference, *Command*, ``ExpiresAfter``: invocations in
progress too), and a network that breaks at the end loses the answer and not the evidence. So the documents upload their
status line last, and it is read here before anything is called lost. It is the same claim of the same host as in the answer.
"""

from __future__ import annotations

from forensics.aws.s3_landing import LandingGateway
from forensics.aws.ssm import Invocation
from forensics.errors import EvidenceTransferError

STATUS = "status"  # its name in the manifest
LIMIT = 16 * 1024
_DONE = frozenset({"ok", "partial", "more"})


def status_key(prefix: str, *, first_part: int = 1) -> str:
    """Key of the status line of the command that sends from that part on; no two attempts have the same."""
    return f"{prefix}/{STATUS}-{first_part}.json"


def as_landed(landing: LandingGateway, found: Invocation | None, *, key: str, command_id: str) -> Invocation | None:
    """The command's invocation; one without success becomes what its own status line in the landing bucket says.

    A line that tells of a failure gives the invocation its cause. ``found`` is None where SSM does not know the command.
    """
    if found is not None and found.status == "Success":
        return found
    line = _read(landing, key)
    if line is None:
        return found
    told = Invocation(command_id=command_id, instance_id="", status="Unknown", stdout=line)
    if found is not None:
        told = found.model_copy(update={"stdout": line})
    if told.status_line().get("status") not in _DONE:
        return told if told.status_line() else found
    return told.model_copy(update={"status": "Success"})


def _read(landing: LandingGateway, key: str) -> str | None:
    size = landing.size(key)
    if size is None:
        return None
    try:
        return landing.read(key, limit=LIMIT).decode("utf-8", "replace")
    except EvidenceTransferError:  # larger than a status line: nothing that can be believed
        return None
