"""Collects the questions of a case: what the target asked Route 53 Resolver for, from buckets and log groups of its VPC's query logging."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Self

from forensics.aws.hook import CaseSessions
from forensics.aws.log_buckets import LogBucketGateway
from forensics.aws.log_groups import LogGroupGateway
from forensics.aws.query_logs import QueryLog, QueryLogGateway
from forensics.case.beginning import begin
from forensics.case.recorder import CaseRecorder
from forensics.cloud_evidence.flow_collection import LATE, home_buckets, own_addresses
from forensics.cloud_evidence.line_collection import LineSpool, search_lines, store_lines
from forensics.cloud_evidence.line_places import BucketPlace, GroupPlace, Place, Places
from forensics.cloud_evidence.log_evidence import case_window
from forensics.cloud_evidence.log_files import case_budget
from forensics.cloud_evidence.query_filter import FUNCTION, QuerySelectOrder
from forensics.cloud_evidence.query_lines import day_prefixes, file_name
from forensics.cloud_evidence.record_window import RecordWindow
from forensics.cloud_evidence.trail_collection import PHASE
from forensics.models.evidence import EvidenceKind, Outcome, QueryLogEvidence
from forensics.models.target import Target
from forensics.naming import evidence_id
from forensics.settings import Settings

SWITCH_ON = (
    "nothing records which names {where} asks for: switch on query logging for the VPC, into a bucket that role logs may read"
    " (Route 53 Resolver CreateResolverQueryLogConfig, AssociateResolverQueryLogConfig)"
)


def queries_item(instance_id: str) -> str:
    """Evidence id of a case's questions."""
    return evidence_id(EvidenceKind.QUERY_LOGS, instance_id)


class QueryCollection:
    """One collection. ``query_logs`` and ``groups`` are the target's account and Region, ``open_bucket`` opens a bucket at home."""

    def __init__(
        self,
        recorder: CaseRecorder,
        settings: Settings,
        *,
        query_logs: QueryLogGateway,
        groups: LogGroupGateway,
        open_bucket: Callable[[str], LogBucketGateway],
    ) -> None:
        self._recorder = recorder
        self._settings = settings
        self._query_logs = query_logs
        self._groups = groups
        self._open_bucket = open_bucket
        self._item = queries_item(recorder.case.instance_id)

    @classmethod
    def of(cls, recorder: CaseRecorder, sessions: CaseSessions) -> Self:
        """A collection under the case's own sessions."""
        session = sessions.target(PHASE)
        return cls(
            recorder,
            sessions.settings,
            query_logs=QueryLogGateway.of(session),
            groups=LogGroupGateway.of(session),
            open_bucket=home_buckets(recorder, sessions),
        )

    def known(self) -> QueryLogEvidence | None:
        """What an earlier try has recorded."""
        found = self._recorder.evidence_item(self._item)
        return found if isinstance(found, QueryLogEvidence) else None

    def collect(self, target: Target, *, since: datetime | None = None) -> QueryLogEvidence:
        """Find, store and record the questions, from ``since`` on where that is earlier than usual. Raises an ``AwsError`` when Resolver does not say which query logging there is.

        Where none records the VPC into a bucket or a log group, the item is ``NOT_APPLICABLE`` and says what to switch on.
        """
        began, s = begin(self._recorder).at, self._settings
        window = case_window(self._recorder, self._settings, since)
        logs = self._query_logs.of_vpc(target.vpc_id) if target.vpc_id else []
        places = tuple(p for p in (self._place(log, target, window) for log in logs) if p is not None)
        if not places:
            why = "; ".join(_elsewhere(log) for log in logs) or SWITCH_ON.format(
                where=target.vpc_id or target.instance_id
            )
            item = QueryLogEvidence(evidence_id=self._item, outcome=Outcome.NOT_APPLICABLE)
            return self._recorder.fail_evidence(item, reason=why, outcome=Outcome.NOT_APPLICABLE)
        known = {place.name for place in places}
        spool = LineSpool(gaps=[_elsewhere(log) for log in logs if log.config_id not in known])
        order = QuerySelectOrder(
            account_id=target.account_id, instance_id=target.instance_id, addresses=own_addresses(target), begin=window.begin, end=window.end
        )  # fmt: skip
        reader = Places(self._open_bucket, self._groups, window, case_budget(s))
        notes = tuple(f"query logging {log.config_id}: {log.problem}" for log in logs if log.problem)
        try:
            search_lines(FUNCTION, order, reader.objects(places), spool)
            item = QueryLogEvidence(evidence_id=self._item, outcome=Outcome.PENDING)
            return store_lines(
                self._recorder, spool, reader, window, item, began=began, name="queries.jsonl.gz", what="Resolver query logs",
                wanted=places, notes=notes,
            )  # fmt: skip
        finally:
            spool.close()

    def _place(self, log: QueryLog, target: Target, window: RecordWindow) -> Place | None:
        vpc, account = str(target.vpc_id), target.account_id
        if log.group:
            if log.owner not in ("", account):
                return None
            # one of the terms is enough (CloudWatch Logs user guide, *Filter pattern syntax*)
            terms = [f'?"{w}"' for w in (target.instance_id, *own_addresses(target))]
            return GroupPlace(log.config_id, log.group, pattern=" ".join(terms))
        if not log.bucket:
            return None
        begin, end = window.begin - LATE, window.end + LATE

        def ours(key: str) -> bool:
            name = file_name(key)
            return name is not None and (name.vpc, name.account_id) == (vpc, account) and begin <= name.time <= end

        days = day_prefixes(log.prefix, account, vpc, begin=window.begin, end=end)
        return BucketPlace(log.config_id, log.bucket, tuple(days), ours)


def _elsewhere(log: QueryLog) -> str:
    """Where the records of a configuration are that this collection does not read."""
    if log.group:
        return f"query logging {log.config_id} writes into log group {log.group} of account {log.owner}, which is not read here: read it there"
    return f"query logging {log.config_id} writes to {log.stream}, which is not read here: look for its records where that delivers them"
