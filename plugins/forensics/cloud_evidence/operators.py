"""Steps of the flow of control-plane evidence: they run beside memory and disk and are in nobody's way."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Mapping

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException
from pydantic import BaseModel

from forensics.aws.session import Scope
from forensics.case.beginning import begin
from forensics.case.recorder import CaseRecorder
from forensics.case.step import ForensicOperator, Json
from forensics.cloud_evidence.flow_collection import FlowCollection, flows_item
from forensics.cloud_evidence.flow_reader import FlowOrder
from forensics.cloud_evidence.log_evidence import give_up
from forensics.cloud_evidence.log_findings import FLOWS, QUERIES, STATE, LogKind, read_records
from forensics.cloud_evidence.query_collection import QueryCollection, queries_item
from forensics.cloud_evidence.query_reader import QueryOrder
from forensics.cloud_evidence.reading_orders import alarm_of, flow_order, query_order, read_trail
from forensics.cloud_evidence.state_collection import StateCollection, state_item
from forensics.cloud_evidence.state_reader import StateOrder
from forensics.cloud_evidence.trail_collection import PHASE, TrailCollection, trail_item
from forensics.cloud_evidence.trail_lake import QUERY_SECONDS, LakeWait
from forensics.cloud_evidence.triggers import LakeTrigger, TrailDeliveredTrigger
from forensics.errors import AcquisitionError, ForensicsError
from forensics.models.evidence import (
    AccountStateEvidence,
    CloudTrailEvidence,
    FlowLogEvidence,
    LogEvidence,
    Outcome,
    QueryLogEvidence,
)
from forensics.models.target import Target

_LET_IN = "let role logs read the bucket or log group (docs/cloud-evidence.md), then clear this task; the case needs nothing else of it"


class _CloudEvidenceOperator(ForensicOperator):
    """A step that collects records of the target's account. It fails nothing but itself."""

    def described(self, recorder: CaseRecorder) -> Target:
        """The target. Ends the step skipped where the deployment collects no records."""
        if not self.settings.cloud_evidence:
            msg = "the setting cloud_evidence is off"
            raise AirflowSkipException(msg)
        target = recorder.target()
        if target is None:
            msg = "triage has not described the target"
            raise AcquisitionError(msg, next_action="clear triage.describe_target first, then this task")
        return target

    def wait_for_lake(self, recorder: CaseRecorder, found: LakeWait, *, waited: str = "") -> None:
        """Wait in the triggerer for CloudTrail Lake; the step begins again then, and finds what it has started."""
        now, case = time.time(), recorder.case
        scope = Scope(case.account_id, found.region, phase=PHASE, case_id=case.case_id)
        seconds = max(0.0, found.not_before - now) + (QUERY_SECONDS if found.query_ids else 0)
        self.wait(
            LakeTrigger(
                scope=scope.as_dict(),
                store=found.store,
                query_ids=found.query_ids,
                not_before=found.not_before,
                most_bytes=found.most_bytes,
                give_up=now + seconds,
                waited=waited,
                **self.timing(seconds + 600),
            )
        )

    def held(self, recorder: CaseRecorder, known: LogEvidence | None) -> bool:
        """Whether an earlier try of this step has the records; one that somebody cleared begins anew, up to now."""
        there = known is not None and known.outcome in {Outcome.ACQUIRED, Outcome.PARTIAL}
        return known is not None and there and known.started_at == begin(recorder).at


class CollectTrailOperator(_CloudEvidenceOperator):
    """Find, store and read what CloudTrail recorded of the target, its credentials and its resources.

    From a trail's bucket, or else from CloudTrail Lake, or else from LookupEvents. What cannot be had is a gap by name; nothing waits for this step but the closing.
    """

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Wait until a trail has delivered what was called before the case was opened; without a trail, collect at once."""
        target = self.described(recorder)
        collection = TrailCollection.of(recorder, self.sessions)
        known = collection.known()
        if known and self.held(recorder, known):
            return self._read(recorder, known, target)
        trails = collection.trails()
        with_bucket = [t for t in trails if t.bucket]
        if not with_bucket:
            return self._collect(recorder, target, waited="")
        opened = recorder.case.opened_at.timestamp()
        self.wait(
            TrailDeliveredTrigger(
                scope=self.sessions.target_scope(PHASE).as_dict(),
                trail_arn=with_bucket[0].arn,
                until=opened,
                give_up=opened + self.settings.record_wait_seconds,
                **self.timing(self.settings.record_wait_seconds + 300),
            )
        )
        return None

    def resume(self, recorder: CaseRecorder, payload: Mapping[str, object], context: Context) -> Json:
        """Collect what was delivered, or what CloudTrail Lake has found."""
        return self._collect(recorder, self.described(recorder), waited=str(payload.get("waited", "")))

    def _collect(self, recorder: CaseRecorder, target: Target, *, waited: str) -> Json:
        collection = TrailCollection.of(recorder, self.sessions)
        try:
            evidence = collection.collect(target, collection.trails(), waited=waited)
        except LakeWait as found:
            self.wait_for_lake(recorder, found, waited=waited)
            return None
        return self._read(recorder, evidence, target)

    def _read(self, recorder: CaseRecorder, evidence: CloudTrailEvidence, target: Target) -> Json:
        found = read_trail(recorder, self.sessions, evidence, target)
        return {"evidence_id": evidence.evidence_id, "outcome": evidence.outcome.value, "findings": found}

    def wait_failed(self, cause: str, next_action: str) -> ForensicsError:
        """A wait that failed is a failed collection."""
        return AcquisitionError(f"CloudTrail: {cause}", next_action=next_action or None)

    def on_final_failure(self, recorder: CaseRecorder, cause: str) -> None:
        """The item records why there are no records."""
        item = trail_item(recorder.case.instance_id)
        give_up(recorder, CloudTrailEvidence(evidence_id=item, outcome=Outcome.FAILED), cause)


class _CollectLinesOperator(_CloudEvidenceOperator):
    """Find, store and read records that are there at once: what is collected, and what a reader of it is told."""

    what: str
    kind: LogKind

    @abstractmethod
    def collection(self, recorder: CaseRecorder) -> FlowCollection | QueryCollection | StateCollection:
        """A collection of the case."""

    @abstractmethod
    def order(self, recorder: CaseRecorder, evidence: LogEvidence, target: Target) -> BaseModel:
        """What the reader is told."""

    @abstractmethod
    def failed(self, recorder: CaseRecorder) -> LogEvidence:
        """The item of a collection that has failed."""

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Collect what is there; files come within minutes of what they record."""
        target = self.described(recorder)
        collection = self.collection(recorder)
        known = collection.known()
        evidence = known if known and self.held(recorder, known) else collection.collect(target)
        if evidence.outcome is Outcome.NOT_APPLICABLE:
            raise AirflowSkipException(f"NOT_APPLICABLE: {evidence.reason}")
        if evidence.outcome is Outcome.FAILED:
            raise AcquisitionError(f"{self.what}: {evidence.reason}", next_action=_LET_IN)
        found = read_records(recorder, evidence, self.order(recorder, evidence, target), self.kind)
        return {"evidence_id": evidence.evidence_id, "outcome": evidence.outcome.value, "findings": found}

    def on_final_failure(self, recorder: CaseRecorder, cause: str) -> None:
        """The item records why there are no records."""
        give_up(recorder, self.failed(recorder), cause)


class CollectFlowsOperator(_CollectLinesOperator):
    """Find, store and read the flows through the target's interfaces, from the buckets and log groups of flow logs that record them."""

    what = "VPC flow logs"
    kind = FLOWS

    def collection(self, recorder: CaseRecorder) -> FlowCollection:
        return FlowCollection.of(recorder, self.sessions)

    def order(self, recorder: CaseRecorder, evidence: LogEvidence, target: Target) -> FlowOrder:
        return flow_order(recorder, target)

    def failed(self, recorder: CaseRecorder) -> FlowLogEvidence:
        return FlowLogEvidence(evidence_id=flows_item(recorder.case.instance_id), outcome=Outcome.FAILED)


class CollectQueriesOperator(_CollectLinesOperator):
    """Find, store and read the names that the target asked Route 53 Resolver for, from its VPC's query logging."""

    what = "Resolver query logs"
    kind = QUERIES

    def collection(self, recorder: CaseRecorder) -> QueryCollection:
        return QueryCollection.of(recorder, self.sessions)

    def order(self, recorder: CaseRecorder, evidence: LogEvidence, target: Target) -> QueryOrder:
        return query_order(recorder, evidence)

    def failed(self, recorder: CaseRecorder) -> QueryLogEvidence:
        return QueryLogEvidence(evidence_id=queries_item(recorder.case.instance_id), outcome=Outcome.FAILED)


class CollectStateOperator(_CollectLinesOperator):
    """Ask, store and read what the account says of the target: its role, AWS Config's history, sessions and their output."""

    what = "Account state"
    kind = STATE

    def collection(self, recorder: CaseRecorder) -> StateCollection:
        return StateCollection.of(recorder, self.sessions)

    def order(self, recorder: CaseRecorder, evidence: LogEvidence, target: Target) -> StateOrder:
        return StateOrder(account_id=target.account_id, region=target.region, alarm=alarm_of(recorder))

    def failed(self, recorder: CaseRecorder) -> AccountStateEvidence:
        return AccountStateEvidence(evidence_id=state_item(recorder.case.instance_id), outcome=Outcome.FAILED)
