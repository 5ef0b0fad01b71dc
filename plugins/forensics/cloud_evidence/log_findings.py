"""The stored records of a log are read: findings, timeline entries and answers of a case, as any tool's results."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import BaseModel

from forensics import __version__, case_keys
from forensics.case.own_results import store_results
from forensics.case.recorder import CaseRecorder
from forensics.cloud_evidence.flow_reader import FUNCTION as FLOW_FUNCTION
from forensics.cloud_evidence.followed import Followed
from forensics.cloud_evidence.log_reading import LogReading
from forensics.cloud_evidence.query_reader import FUNCTION as QUERY_FUNCTION
from forensics.cloud_evidence.record_window import record_window
from forensics.cloud_evidence.state_reader import FUNCTION as STATE_FUNCTION
from forensics.cloud_evidence.trail_reader import FUNCTION as TRAIL_FUNCTION
from forensics.cloud_evidence.trail_scene import TrailOrder
from forensics.confined import MIB, Confined, Limits
from forensics.errors import AwsError, DigestMismatchError, ForensicsError
from forensics.models.case import TimelineKind
from forensics.models.custody import CustodyAction
from forensics.models.evidence import Digest, LogEvidence, Outcome
from forensics.models.results import (
    Investigation,
    ResultSeverity,
    ToolArtifact,
    ToolGap,
    ToolResults,
    ToolRun,
)
from forensics.models.target import Target
from forensics.printable import count
from forensics.settings import Settings

TOOL = "cloud"


@dataclass(frozen=True)
class LogKind:
    """A kind of log: the activity that reads it, the child's function, its name in ``answers.yaml``, what one record is."""

    activity: str
    function: str
    artifact: str
    record: str
    many: str = ""

    @property
    def counted(self) -> str:
        """The name of the count of records."""
        return self.many or f"{self.record}s"


TRAIL = LogKind("read_cloud_trail", TRAIL_FUNCTION, "CloudTrail", "call")
FLOWS = LogKind("read_flow_logs", FLOW_FUNCTION, "VPC flow logs", "flow")
STATE = LogKind("read_account_state", STATE_FUNCTION, "Account state", "answer")
QUERIES = LogKind("read_query_logs", QUERY_FUNCTION, "Resolver query logs", "query", many="queries")
_LIMITS = Limits(memory=2048 * MIB, cpu_seconds=1800, silence=600.0)
_SHOWN = 5
_RANK = {severity: number for number, severity in enumerate(ResultSeverity)}


def read_records(recorder: CaseRecorder, evidence: LogEvidence, order: BaseModel, kind: LogKind) -> int:
    """Read what was stored, once for each collection; returns the number of findings. Safe to repeat.

    What cannot be read is a gap of the case: the records are evidence all the same.
    """
    run = str(evidence.uri).rsplit("/", 2)[-2]
    key = case_keys.result(kind.activity, evidence.evidence_id)
    known = recorder.get(key, Investigation)
    if known and known.document.landing_prefix == run and known.outcome is not Outcome.PENDING:
        return known.findings
    started = datetime.now(UTC)
    item = Investigation.model_validate(
        {
            "activity": kind.activity, "tool": TOOL, "evidence_id": evidence.evidence_id, "outcome": Outcome.PENDING,
            "document": {"landing_prefix": run}, "started_at": started,
        }
    )  # fmt: skip
    try:
        reading, sha256 = _examined(recorder, evidence, order, kind)
    except ForensicsError as error:
        if isinstance(error, AwsError) and error.retryable:
            raise
        failed = {"outcome": Outcome.FAILED, "reason": str(error)[:1500], "ended_at": datetime.now(UTC)}
        recorder.note(f"{evidence.evidence_id} could not be read: {error}", kind=TimelineKind.INVESTIGATION)
        recorder.put(key, item.model_copy(update=failed))
        return 0
    _verified(recorder, evidence, sha256)
    results = _results(recorder, evidence, reading, kind, started=started)
    artifact = store_results(recorder, results, run=run)
    recorder.note(
        f"{evidence.evidence_id} was read: {count(len(results.findings), 'finding')} in {count(reading.counts.get(kind.counted, 0), kind.record, many=kind.counted)}",
        kind=TimelineKind.INVESTIGATION,
        evidence_id=evidence.evidence_id,
    )
    _announce(recorder, results, kind)
    done = {
        "outcome": Outcome.DONE, "artifacts": {"results": artifact}, "ended_at": results.ended,
        "findings": len(results.findings), "gaps": len(results.gaps),
    }  # fmt: skip
    recorder.put(key, item.model_copy(update=done))
    return len(results.findings)


def trail_order(
    recorder: CaseRecorder, settings: Settings, target: Target, followed: Followed, exits: tuple[str, ...] | None
) -> TrailOrder:
    """What the reader of CloudTrail's records is told of a case."""
    findings = recorder.findings()
    window = record_window(recorder.case, findings, margin_hours=0, now=datetime.now(UTC))
    own = [a for i in target.interfaces for a in (i.private_ip, i.public_ip, *i.ipv6) if a]
    return TrailOrder(
        instance_id=target.instance_id, account_id=target.account_id, region=target.region, role_prefix=settings.role_prefix,
        friends=(settings.forensic_account_id,), addresses=tuple(own), exits=exits,
        groups=tuple(dict.fromkeys(g for i in target.interfaces for g in i.group_ids)),
        role_name=(target.profile_arn or "").rsplit("/", 1)[-1], alarm=window.alarm,
        peers=tuple(dict.fromkeys(peer for finding in findings for peer in finding.peers)), followed=followed,
    )  # fmt: skip


def _examined(recorder: CaseRecorder, evidence: LogEvidence, order: BaseModel, kind: LogKind) -> tuple[LogReading, str]:
    gateway, digest = recorder.gateways.evidence, hashlib.sha256()

    def passing() -> Iterator[bytes]:
        for piece in gateway.stream(str(evidence.uri).removeprefix(f"s3://{gateway.bucket}/")):
            digest.update(piece)
            yield piece

    with Confined(kind.function, order, limits=_LIMITS) as child:
        for _ in child.passing(passing()):
            pass  # it sends nothing: its limit of output is zero
        reading = child.result(LogReading)
    return reading, digest.hexdigest()


def _verified(recorder: CaseRecorder, evidence: LogEvidence, sha256: str) -> None:
    """What was read is what was written. Raises :class:`DigestMismatchError`."""
    if sha256 != evidence.digests[0].value:
        msg = f"{evidence.evidence_id}: {sha256} was read, {evidence.digests[0].value} was written"
        raise DigestMismatchError(msg)
    again = Digest(value=sha256, subject=evidence.digests[0].subject, source="evidence-store, read back")
    recorder.custody(
        CustodyAction.EVIDENCE_VERIFIED,
        evidence_id=evidence.evidence_id,
        detail={"uri": evidence.uri, "sha256": sha256},
        once=f"verified-{evidence.uri}",
    )
    recorder.save_evidence(evidence.model_copy(update={"digests": (evidence.digests[0], again)}))


def _results(
    recorder: CaseRecorder, evidence: LogEvidence, reading: LogReading, kind: LogKind, *, started: datetime
) -> ToolResults:
    ended = datetime.now(UTC)
    run = ToolRun(
        tool=f"{kind.artifact} reader", version=__version__, argv=(evidence.evidence_id,), exit=0,
        seconds=(ended - started).total_seconds(), rows=reading.counts.get(kind.counted, 0),
    )  # fmt: skip
    whole = evidence.outcome is Outcome.ACQUIRED
    artifact = ToolArtifact(
        name=kind.artifact,
        state="examined" if whole else "in part",
        files=evidence.origin.objects or 0,
        why=evidence.reason or "",
    )
    notes = [ToolGap(what=f"records of {kind.artifact}", why=note) for note in evidence.origin.notes]
    return ToolResults(
        schema="forensics.results/1", case_id=recorder.case_id, evidence_id=evidence.evidence_id, tool=TOOL, started=started,
        ended=ended, input={"uri": evidence.uri, "sha256": evidence.digests[0].value, "bytes": evidence.size_bytes},
        provenance=(run,), findings=reading.findings, timeline=reading.timeline, counts=reading.counts, artifacts=(artifact,),
        gaps=reading.gaps, notes=(*reading.notes, *notes),
    )  # fmt: skip


def _announce(recorder: CaseRecorder, results: ToolResults, kind: LogKind) -> None:
    """The gravest findings, once in a case."""
    grave = [f for f in results.findings if _RANK[f.severity] >= _RANK[ResultSeverity.HIGH]]
    if not grave:
        return
    ranked = sorted(grave, key=lambda f: -_RANK[f.severity])
    more = [f"and {len(grave) - _SHOWN} more of high or critical severity"] if len(grave) > _SHOWN else []
    recorder.announce(
        f"findings_in_{results.evidence_id}",
        f"{kind.artifact}: {count(len(grave), 'grave finding')} about the instance",
        lines=[*(f"{f.severity.value}: {f.title}" for f in ranked[:_SHOWN]), *more],
        facts={"findings": len(grave), "evidence_id": results.evidence_id},
    )
