"""The static collector of a live response: what is offered to the target, and what is said when it sees more than the host says."""

from __future__ import annotations

from forensics.aws.s3_landing import ToolsGateway
from forensics.case.recorder import CaseRecorder
from forensics.models.case import TimelineKind
from forensics.models.status_lines import LiveResponseStatus
from forensics.settings import Settings, static_collectors


def offered_collectors(tools: ToolsGateway, settings: Settings) -> dict[str, tuple[str | None, str]]:
    """Name in the manifest → SHA-256 and URL; the target takes the one of its architecture and runs no other bytes."""
    return {f"collector.{m}": (sha256, tools.get_url(key)) for m, (key, sha256) in static_collectors(settings).items()}


def tell_what_was_hidden(recorder: CaseRecorder, claims: LiveResponseStatus | None, *, evidence_id: str) -> None:
    """Note and announce that the target's programs do not say what is there; safe to repeat."""
    hidden, differences = (claims.hidden or 0, claims.differences or 0) if claims else (0, 0)
    if claims is None or not (hidden or differences):
        return
    found = f"the target's own programs do not say what is there: {hidden} hidden processes, {differences} differences from the static collector"
    recorder.note(f"ALERT: {found}; {claims.reason}"[:900], kind=TimelineKind.EVIDENCE, evidence_id=evidence_id)
    recorder.announce(
        f"hidden_{evidence_id}",
        "ALERT: the target hides something",
        lines=[found, claims.reason, f"look at 14-pids and 28-second-opinion in {evidence_id}; expect a rootkit"],
    )
