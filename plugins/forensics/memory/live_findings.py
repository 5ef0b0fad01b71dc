"""The live response is read as soon as it is stored: the first answers of a case, minutes before any other tool."""

from __future__ import annotations

from datetime import UTC, datetime

from forensics import __version__, case_keys
from forensics.case.own_results import store_results
from forensics.case.recorder import CaseRecorder
from forensics.confined import Confined, Limits
from forensics.errors import AwsError, ForensicsError
from forensics.memory.live.reader import FUNCTION, LiveOrder, LiveReading
from forensics.models.case import TimelineKind
from forensics.models.evidence import EvidenceKind, LiveResponseEvidence, Outcome
from forensics.models.results import Investigation, ResultSeverity, ToolResults, ToolRun
from forensics.naming import evidence_id, first_pass_id
from forensics.printable import count

ACTIVITY, TOOL = "read_live_response", "live"
SUPERSEDED = "the whole live response has been read since"
_LIMITS = Limits(memory=512 * 1024 * 1024, cpu_seconds=180, silence=120.0)
_CHUNK = 1024 * 1024
_SHOWN = 5
_RANK = {severity: number for number, severity in enumerate(ResultSeverity)}


def read_live_response(recorder: CaseRecorder, evidence: LiveResponseEvidence | None) -> None:
    """Read an archive that is stored, once; safe to repeat.

    What cannot be read is a gap of the case and stops nothing: the archive is evidence all the same.
    """
    if evidence is None or evidence.uri is None:
        return
    key = case_keys.result(ACTIVITY, evidence.evidence_id)
    run = str(evidence.origin.landing_prefix).rsplit("/", 1)[-1]
    known = recorder.get(key, Investigation)
    if (
        known
        and known.document.landing_prefix == evidence.origin.landing_prefix
        and known.outcome is not Outcome.PENDING
    ):
        return
    item = Investigation.model_validate(
        {
            "activity": ACTIVITY, "tool": TOOL, "evidence_id": evidence.evidence_id, "outcome": Outcome.PENDING,
            "document": {"landing_prefix": str(evidence.origin.landing_prefix)}, "started_at": datetime.now(UTC),
        }
    )  # fmt: skip
    try:
        reading = _examined(recorder, evidence)
        results = _results(recorder, evidence, item, reading)
    except ForensicsError as error:
        if isinstance(error, AwsError) and error.retryable:
            raise
        failed = {"outcome": Outcome.FAILED, "reason": str(error)[:1500], "ended_at": datetime.now(UTC)}
        recorder.note(f"{evidence.evidence_id} could not be read: {error}", kind=TimelineKind.INVESTIGATION)
        recorder.put(key, item.model_copy(update=failed))
        return
    listed = [process.model_dump(mode="json") for process in reading.processes]
    artifact = store_results(recorder, results, run=run, more={"processes": listed})
    recorder.note(
        f"{evidence.evidence_id} was read: {count(len(results.findings), 'finding')}, {count(len(results.gaps), 'gap')}",
        kind=TimelineKind.INVESTIGATION,
        evidence_id=evidence.evidence_id,
    )
    _announce(recorder, results)
    done = {
        "outcome": Outcome.DONE, "artifacts": {"results": artifact}, "ended_at": results.ended,
        "findings": len(results.findings), "gaps": len(results.gaps),
    }  # fmt: skip
    _supersede(recorder, evidence.evidence_id)
    recorder.put(key, item.model_copy(update=done))


def _examined(recorder: CaseRecorder, evidence: LiveResponseEvidence) -> LiveReading:
    gateway = recorder.gateways.evidence
    peers = tuple(dict.fromkeys(peer for finding in recorder.findings() for peer in finding.peers))
    first = evidence.evidence_id == first_pass_id(recorder.case.instance_id)
    order = LiveOrder(peers=peers, first=first, windows=str(evidence.origin.document).endswith("_windows"))
    stream = gateway.stream(str(evidence.uri).removeprefix(f"s3://{gateway.bucket}/"))
    with Confined(FUNCTION, order, limits=_LIMITS) as child:
        for _ in child.passing(stream):
            pass  # it sends nothing: its limit of output is zero
        return child.result(LiveReading)


def _results(
    recorder: CaseRecorder, evidence: LiveResponseEvidence, item: Investigation, reading: LiveReading
) -> ToolResults:
    ended = datetime.now(UTC)
    started = item.started_at or ended
    run = ToolRun(
        tool="live response reader",
        version=__version__,
        argv=(evidence.evidence_id,),
        exit=0,
        seconds=(ended - started).total_seconds(),
        rows=len(reading.processes),
    )
    return ToolResults(
        schema="forensics.results/1",
        case_id=recorder.case_id,
        evidence_id=evidence.evidence_id,
        tool=TOOL,
        started=started,
        ended=ended,
        input={"uri": evidence.uri, "sha256": evidence.digests[-1].value, "bytes": evidence.size_bytes},
        provenance=(run,),
        findings=reading.findings,
        timeline=reading.timeline,
        counts=reading.counts,
        gaps=reading.gaps,
    )


def _announce(recorder: CaseRecorder, results: ToolResults) -> None:
    """The gravest findings, once in a case: preliminary, and the host's own word."""
    grave = [f for f in results.findings if _RANK[f.severity] >= _RANK[ResultSeverity.HIGH]]
    if not grave:
        return
    ranked = sorted(grave, key=lambda f: -_RANK[f.severity])
    more = f"and {len(grave) - _SHOWN} more of high or critical severity" if len(grave) > _SHOWN else ""
    recorder.announce(
        "first_answers",
        f"First answers: {len(grave)} grave findings on the running host",
        lines=[
            "Preliminary: what the host says of itself; memory and disks are still examined",
            *(f"{f.severity.value}: {f.title}" for f in ranked[:_SHOWN]),
            *([more] if more else []),
        ],
        facts={"findings": len(grave), "evidence_id": results.evidence_id},
    )


def _supersede(recorder: CaseRecorder, item: str) -> None:
    """What the first pass told is told again by the whole one, with more."""
    if item != evidence_id(EvidenceKind.LIVE_RESPONSE, recorder.case.instance_id):
        return
    key = case_keys.result(ACTIVITY, first_pass_id(recorder.case.instance_id))
    first = recorder.get(key, Investigation)
    if first and first.succeeded:
        update = {"outcome": Outcome.NOT_APPLICABLE, "reason": SUPERSEDED, "findings": 0, "gaps": 0}
        recorder.put(key, first.model_copy(update=update))
