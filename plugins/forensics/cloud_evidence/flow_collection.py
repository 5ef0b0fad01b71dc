"""Collects the flows of a case: of the target's interfaces, from the buckets of the flow logs that record them."""

from __future__ import annotations

import gzip
import hashlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import IO, Self

from forensics.aws.flow_logs import FlowLog, FlowLogGateway
from forensics.aws.hook import CaseSessions
from forensics.aws.log_buckets import LogBucketGateway, LogFile
from forensics.aws.session import Scope
from forensics.case.beginning import begin
from forensics.case.recorder import CaseRecorder
from forensics.cloud_evidence.flow_filter import FUNCTION, FlowSelectOrder, FlowsSelected
from forensics.cloud_evidence.flow_lines import day_prefixes, file_name
from forensics.cloud_evidence.log_evidence import enter, run_name, store_records, store_sources
from forensics.cloud_evidence.log_files import Budget, LogFiles
from forensics.cloud_evidence.record_window import RecordWindow, record_window
from forensics.cloud_evidence.trail_collection import PHASE
from forensics.cloud_evidence.trail_filter import RECORD, ObjectHeader, ObjectReport
from forensics.confined import MIB, Confined, Limits
from forensics.errors import ForensicsError
from forensics.models.evidence import Digest, EvidenceKind, FlowLogEvidence, LogOrigin, Outcome
from forensics.models.target import Target
from forensics.naming import evidence_id
from forensics.printable import count
from forensics.settings import Settings

# Files are named by the end of their interval, and come up to ten minutes later (VPC user guide, *Flow log files*).
_LATE = timedelta(minutes=20)
_LIMITS = Limits(memory=512 * MIB, cpu_seconds=3600, output=4096 * MIB, silence=600.0)
_IN_MEMORY = 16 * MIB


def flows_item(instance_id: str) -> str:
    """Evidence id of a case's flows."""
    return evidence_id(EvidenceKind.FLOW_LOGS, instance_id)


def own_addresses(target: Target) -> tuple[str, ...]:
    """The target's addresses."""
    found = (a for i in target.interfaces for a in (i.private_ip, i.public_ip, *i.ipv6) if a)
    return tuple(dict.fromkeys(found))


@dataclass
class FlowSpool:
    """The lines of a case, compressed, and what was said of each file they come from."""

    reports: dict[str, ObjectReport] = field(default_factory=dict)
    sources: dict[str, dict[str, object]] = field(default_factory=dict)
    gaps: list[str] = field(default_factory=list)
    read_logs: list[str] = field(default_factory=list)
    records: int = 0
    file: IO[bytes] = field(default_factory=lambda: _spool())

    def chunks(self) -> Iterator[bytes]:
        """The gzip file, from its beginning."""
        self.file.seek(0)
        while piece := self.file.read(MIB):
            yield piece


def _spool() -> IO[bytes]:
    return tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - closed by the collection


class FlowCollection:
    """One collection. ``flow_logs`` is EC2 in the target's account and Region, ``open_bucket`` opens a bucket at home."""

    def __init__(
        self,
        recorder: CaseRecorder,
        settings: Settings,
        *,
        flow_logs: FlowLogGateway,
        open_bucket: Callable[[str], LogBucketGateway],
    ) -> None:
        self._recorder = recorder
        self._settings = settings
        self._flow_logs = flow_logs
        self._open_bucket = open_bucket
        self._item = flows_item(recorder.case.instance_id)

    @classmethod
    def of(cls, recorder: CaseRecorder, sessions: CaseSessions) -> Self:
        """A collection under the case's own sessions."""
        case, hook = recorder.case, sessions.hook

        def open_bucket(name: str) -> LogBucketGateway:
            home = Scope(case.account_id, sessions.settings.region, phase=PHASE, case_id=case.case_id)
            return LogBucketGateway.of(hook.session(home), name)

        flow_logs = FlowLogGateway.of(sessions.target(PHASE))
        return cls(recorder, sessions.settings, flow_logs=flow_logs, open_bucket=open_bucket)

    def known(self) -> FlowLogEvidence | None:
        """What an earlier try has recorded."""
        found = self._recorder.evidence_item(self._item)
        return found if isinstance(found, FlowLogEvidence) else None

    def collect(self, target: Target) -> FlowLogEvidence:
        """Find, store and record the flows. Raises an ``AwsError`` when EC2 does not say which flow logs there are.

        Where none records the target into a bucket as text, the item is ``NOT_APPLICABLE`` and says what to switch on or where to look.
        """
        began = begin(self._recorder).at
        window = record_window(
            self._recorder.case,
            self._recorder.findings(),
            margin_hours=self._settings.record_margin_hours,
            now=datetime.now(UTC),
        )
        subnets = [i.subnet_id for i in target.interfaces]
        resources = [*([target.vpc_id] if target.vpc_id else []), *subnets, *(i.id for i in target.interfaces)]
        logs = self._flow_logs.of_resources(resources)
        readable = [log for log in logs if log.bucket and not log.parquet]
        if not readable:
            return self._not_there(target, logs)
        spool = FlowSpool(gaps=[_elsewhere(log, target) for log in logs if log not in readable])
        try:
            self._search(spool, readable, target, window)
            return self._stored(spool, readable, window, began=began)
        finally:
            spool.file.close()

    def _not_there(self, target: Target, logs: list[FlowLog]) -> FlowLogEvidence:
        where = target.vpc_id or target.instance_id
        why = "; ".join(_elsewhere(log, target) for log in logs) or (
            f"no flow log records {where}: make one for the VPC, as text into a bucket that role logs may read (EC2 CreateFlowLogs)"
        )
        item = FlowLogEvidence(evidence_id=self._item, outcome=Outcome.NOT_APPLICABLE)
        return self._recorder.fail_evidence(item, reason=why, outcome=Outcome.NOT_APPLICABLE)

    # ------------------------------------------------------------------ the search
    def _search(self, spool: FlowSpool, logs: list[FlowLog], target: Target, window: RecordWindow) -> None:
        s = self._settings
        budget = Budget(objects=s.record_objects, size=s.record_mib * MIB, seconds=float(s.record_seconds))
        order = FlowSelectOrder(
            interfaces=tuple(i.id for i in target.interfaces),
            addresses=own_addresses(target),
            begin=window.begin,
            end=window.end,
        )
        with (
            gzip.GzipFile(fileobj=spool.file, mode="wb", mtime=0) as out,
            Confined(FUNCTION, order, limits=_LIMITS) as child,
        ):
            for said in child.passing(self._pieces(spool, logs, window, budget)):
                if said[:1] == RECORD:
                    out.write(said[1:] + b"\n")
                else:
                    report = ObjectReport.model_validate_json(said[1:])
                    spool.reports[report.name] = report
            spool.records = child.result(FlowsSelected).records
        if budget.cut:
            spool.gaps.append(f"it ended with {budget.cut}: later files were not read")

    def _pieces(self, spool: FlowSpool, logs: list[FlowLog], window: RecordWindow, budget: Budget) -> Iterator[bytes]:
        for log in logs:
            files = LogFiles(self._open_bucket(log.bucket))
            try:
                for item in files.objects(self._listed(log, files.bucket, window), may=budget.take):
                    facts = {"bytes": len(item.body), "sha256": hashlib.sha256(item.body).hexdigest()}
                    spool.sources[item.name] = {**item.source, **facts, "bucket": log.bucket, "flow_log": log.log_id}
                    yield ObjectHeader(name=item.name).model_dump_json().encode()
                    yield item.body
                spool.read_logs.append(log.log_id)
            except ForensicsError as error:
                spool.gaps.append(f"the files of {log.log_id} in bucket {log.bucket} cannot be read: {error}"[:400])
            spool.gaps += [f"{key}: {why}"[:300] for key, why in list(files.unread.items())[:5]]

    def _listed(self, log: FlowLog, bucket: LogBucketGateway, window: RecordWindow) -> Iterator[LogFile]:
        case = self._recorder.case
        days = day_prefixes(
            log.prefix, case.account_id, case.region, hive=log.hive, begin=window.begin, end=window.end + _LATE
        )
        for prefix in days:
            for file in bucket.files(prefix):
                name = file_name(file.key)
                ours = (
                    name is not None and name.text and (name.account_id, name.log_id) == (case.account_id, log.log_id)
                )
                if name and ours and window.begin - _LATE <= name.time <= window.end + _LATE:
                    yield file

    # ------------------------------------------------------------------ the record
    def _stored(
        self, spool: FlowSpool, logs: list[FlowLog], window: RecordWindow, *, began: datetime
    ) -> FlowLogEvidence:
        recorder, run, kind, case = self._recorder, run_name(began), EvidenceKind.FLOW_LOGS, self._recorder.case
        stored = store_records(recorder, kind, self._item, run=run, name="flows.log.gz", chunks=spool.chunks())
        rows = [
            {"name": n, **facts, **spool.reports[n].model_dump(exclude={"name"})}
            for n, facts in spool.sources.items()
            if n in spool.reports
        ]
        listed = store_sources(recorder, kind, self._item, run=run, sources={"kind": "s3", "objects": rows})
        gaps = [*spool.gaps, *_broken(spool)]
        notes = [f"flow log {log.log_id} is not active: {log.problem or 'its state'}" for log in logs if not log.active]
        notes += [
            f"flow log {log.log_id} records {log.traffic} traffic only"
            for log in logs
            if log.traffic in {"ACCEPT", "REJECT"}
        ]
        origin = LogOrigin(
            source="s3", bucket=logs[0].bucket, prefix=logs[0].prefix, begin=window.begin, end=window.end, regions=(case.region,),
            objects=len(spool.sources), objects_bytes=sum(int(str(s["bytes"])) for s in spool.sources.values()), records=spool.records,
            sources=listed, notes=tuple(notes),
        )  # fmt: skip
        if not spool.read_logs and not spool.sources:
            outcome = Outcome.FAILED
        else:
            outcome = Outcome.PARTIAL if gaps else Outcome.ACQUIRED
        evidence = FlowLogEvidence(
            evidence_id=self._item, outcome=outcome, reason="; ".join(gaps)[:1000] or None, account_id=case.account_id,
            region=case.region, uri=stored.uri, version_id=stored.version_id, size_bytes=stored.size_bytes, started_at=began,
            ended_at=datetime.now(UTC), origin=origin, lock={"mode": stored.lock_mode, "until": stored.locked_until.isoformat()},
            digests=(Digest(value=stored.sha256, subject="the stored object, all bytes", source="control-plane"),),
        )  # fmt: skip
        return enter(recorder, evidence, stored, what=f"VPC flow logs from bucket {logs[0].bucket}")


def _broken(spool: FlowSpool) -> list[str]:
    bad = [r for r in spool.reports.values() if r.problem]
    found = (
        [f"{count(len(bad), 'flow log file')} not read whole, the first {bad[0].name}: {bad[0].problem}"] if bad else []
    )
    unread = sum(r.unread for r in spool.reports.values())
    return [*found, *([f"{count(unread, 'line')} not of the format that their header names"] if unread else [])]


def _elsewhere(log: FlowLog, target: Target) -> str:
    """Where the records of a flow log are that this collection does not read, and how a person does."""
    if log.bucket:
        return f"flow log {log.log_id} writes Parquet into s3://{log.bucket}/{log.prefix}, which is not read here: ask Athena for interfaces {', '.join(i.id for i in target.interfaces)}"
    interface = target.interfaces[0].id if target.interfaces else "eni-…"
    return (
        f"flow log {log.log_id} writes to {log.kind} {log.group}, which is not read here: "
        f"aws logs filter-log-events --log-group-name {log.group} --filter-pattern {interface}"
    )
