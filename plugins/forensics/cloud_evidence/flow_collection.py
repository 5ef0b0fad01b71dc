"""Collects the flows of a case: of the target's interfaces, from buckets and log groups of the flow logs that record them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Self

from forensics.aws.flow_logs import FlowLog, FlowLogGateway
from forensics.aws.hook import CaseSessions
from forensics.aws.log_buckets import LogBucketGateway
from forensics.aws.log_groups import LogGroupGateway
from forensics.aws.session import Scope
from forensics.case.beginning import begin
from forensics.case.recorder import CaseRecorder
from forensics.cloud_evidence.flow_filter import FUNCTION, FlowSelectOrder
from forensics.cloud_evidence.flow_lines import day_prefixes, file_name
from forensics.cloud_evidence.line_collection import LineSpool, search_lines, store_lines
from forensics.cloud_evidence.line_places import BucketPlace, GroupPlace, Place, Places
from forensics.cloud_evidence.log_evidence import case_window
from forensics.cloud_evidence.log_files import case_budget
from forensics.cloud_evidence.record_window import RecordWindow
from forensics.cloud_evidence.trail_collection import PHASE
from forensics.models.evidence import EvidenceKind, FlowLogEvidence, Outcome
from forensics.models.target import Target
from forensics.naming import evidence_id
from forensics.settings import Settings

# Files are named by the end of their interval, and come up to ten minutes later (VPC user guide, *Flow log files*).
LATE = timedelta(minutes=20)


def flows_item(instance_id: str) -> str:
    """Evidence id of a case's flows."""
    return evidence_id(EvidenceKind.FLOW_LOGS, instance_id)


def own_addresses(target: Target) -> tuple[str, ...]:
    """The target's addresses."""
    found = (a for i in target.interfaces for a in (i.private_ip, i.public_ip, *i.ipv6) if a)
    return tuple(dict.fromkeys(found))


class FlowCollection:
    """One collection. ``flow_logs`` and ``groups`` are the target's account and Region, ``open_bucket`` opens a bucket at home."""

    def __init__(
        self,
        recorder: CaseRecorder,
        settings: Settings,
        *,
        flow_logs: FlowLogGateway,
        groups: LogGroupGateway,
        open_bucket: Callable[[str], LogBucketGateway],
    ) -> None:
        self._recorder = recorder
        self._settings = settings
        self._flow_logs = flow_logs
        self._groups = groups
        self._open_bucket = open_bucket
        self._item = flows_item(recorder.case.instance_id)

    @classmethod
    def of(cls, recorder: CaseRecorder, sessions: CaseSessions) -> Self:
        """A collection under the case's own sessions."""
        session = sessions.target(PHASE)
        return cls(
            recorder,
            sessions.settings,
            flow_logs=FlowLogGateway.of(session),
            groups=LogGroupGateway.of(session),
            open_bucket=home_buckets(recorder, sessions),
        )

    def known(self) -> FlowLogEvidence | None:
        """What an earlier try has recorded."""
        found = self._recorder.evidence_item(self._item)
        return found if isinstance(found, FlowLogEvidence) else None

    def collect(self, target: Target, *, since: datetime | None = None) -> FlowLogEvidence:
        """Find, store and record the flows, from ``since`` on where that is earlier than usual. Raises an ``AwsError`` when EC2 does not say which flow logs there are.

        Where none records the target into a bucket or a log group, the item is ``NOT_APPLICABLE`` and says what to switch on.
        """
        began, s = begin(self._recorder).at, self._settings
        window = case_window(self._recorder, self._settings, since)
        subnets = [i.subnet_id for i in target.interfaces]
        resources = [*([target.vpc_id] if target.vpc_id else []), *subnets, *(i.id for i in target.interfaces)]
        logs = self._flow_logs.of_resources(resources)
        places = tuple(p for p in (self._place(log, target, window) for log in logs) if p is not None)
        if not places:
            return self._not_there(target, logs)
        known = {place.name for place in places}
        spool = LineSpool(gaps=[_elsewhere(log) for log in logs if log.log_id not in known])
        order = FlowSelectOrder(
            interfaces=tuple(i.id for i in target.interfaces),
            addresses=own_addresses(target),
            begin=window.begin,
            end=window.end,
        )
        reader = Places(self._open_bucket, self._groups, window, case_budget(s))
        try:
            search_lines(FUNCTION, order, reader.objects(places), spool)
            item = FlowLogEvidence(evidence_id=self._item, outcome=Outcome.PENDING)
            return store_lines(
                self._recorder, spool, reader, window, item, began=began, name="flows.log.gz", what="VPC flow logs",
                wanted=places, notes=_notes(logs),
            )  # fmt: skip
        finally:
            spool.close()

    def _not_there(self, target: Target, logs: list[FlowLog]) -> FlowLogEvidence:
        where = target.vpc_id or target.instance_id
        why = "; ".join(_elsewhere(log) for log in logs) or (
            f"no flow log records {where}: make one for the VPC into a bucket that role logs may read (EC2 CreateFlowLogs)"
        )
        item = FlowLogEvidence(evidence_id=self._item, outcome=Outcome.NOT_APPLICABLE)
        return self._recorder.fail_evidence(item, reason=why, outcome=Outcome.NOT_APPLICABLE)

    def _place(self, log: FlowLog, target: Target, window: RecordWindow) -> Place | None:
        case = self._recorder.case
        if log.kind == "cloud-watch-logs":
            # a stream is called after its interface: eni-…-all, -accept or -reject (VPC user guide, *Flow log records in CloudWatch Logs*)
            streams = tuple(i.id for i in target.interfaces)
            return GroupPlace(log.log_id, log.group, streams=streams, head=" ".join(log.fields))
        if not log.bucket:
            return None
        begin, end = window.begin - LATE, window.end + LATE

        def ours(key: str) -> bool:
            name = file_name(key)
            return (
                name is not None
                and (name.account_id, name.log_id) == (case.account_id, log.log_id)
                and begin <= name.time <= end
            )

        days = day_prefixes(log.prefix, case.account_id, case.region, hive=log.hive, begin=window.begin, end=end)
        return BucketPlace(log.log_id, log.bucket, tuple(days), ours)


def home_buckets(recorder: CaseRecorder, sessions: CaseSessions) -> Callable[[str], LogBucketGateway]:
    """Opens buckets of the home Region as the role ``logs`` of the target's account (docs/cloud-evidence.md)."""
    case, hook = recorder.case, sessions.hook

    def open_bucket(name: str) -> LogBucketGateway:
        home = Scope(case.account_id, sessions.settings.region, phase=PHASE, case_id=case.case_id)
        return LogBucketGateway.of(hook.session(home), name)

    return open_bucket


def _notes(logs: list[FlowLog]) -> tuple[str, ...]:
    notes = [f"flow log {log.log_id} is not active: {log.problem or 'its state'}" for log in logs if not log.active]
    notes += [
        f"flow log {log.log_id} records {log.traffic} traffic only"
        for log in logs
        if log.traffic in {"ACCEPT", "REJECT"}
    ]
    return tuple(notes)


def _elsewhere(log: FlowLog) -> str:
    """Where the records of a flow log are that this collection does not read."""
    return f"flow log {log.log_id} writes to {log.kind} {log.group}, which is not read here: look for its records where that delivers them"
