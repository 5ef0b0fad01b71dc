"""Steps of the flow of control-plane evidence: they run beside memory and disk and are in nobody's way."""

from __future__ import annotations

from collections.abc import Mapping

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException

from forensics.aws.egress import EgressGateway
from forensics.case.beginning import begin
from forensics.case.recorder import CaseRecorder
from forensics.case.step import ForensicOperator, Json
from forensics.cloud_evidence.trail_collection import PHASE, TrailCollection, give_up
from forensics.cloud_evidence.trail_findings import read_trail
from forensics.cloud_evidence.triggers import TrailDeliveredTrigger
from forensics.errors import AcquisitionError, AwsError, ForensicsError
from forensics.models.evidence import CloudTrailEvidence, Outcome
from forensics.models.target import Target


class CollectTrailOperator(ForensicOperator):
    """Find, store and read what CloudTrail recorded of the target, its credentials and its resources.

    From a trail's bucket, or else from LookupEvents. What cannot be had is a gap by name; nothing waits for this step but the report.
    """

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Wait until a trail has delivered what was called before the case was opened; without a trail, collect at once."""
        target = recorder.target()
        if not self.settings.cloud_evidence:
            msg = "the setting cloud_evidence is off"
            raise AirflowSkipException(msg)
        if target is None:
            msg = "triage has not described the target"
            raise AcquisitionError(msg, next_action="clear triage.describe_target first, then this task")
        collection = TrailCollection.of(recorder, self.sessions)
        known = collection.known()
        held = known is not None and known.outcome in {Outcome.ACQUIRED, Outcome.PARTIAL}
        # a step that somebody cleared begins anew: then the records up to now are collected
        if known and held and known.started_at == begin(recorder).at:
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
        """Collect what was delivered."""
        target = recorder.target()
        if target is None:
            msg = "the target's description is gone"
            raise AcquisitionError(msg)
        return self._collect(recorder, target, waited=str(payload.get("waited", "")))

    def _collect(self, recorder: CaseRecorder, target: Target, *, waited: str) -> Json:
        collection = TrailCollection.of(recorder, self.sessions)
        evidence = collection.collect(target, collection.trails(), waited=waited)
        return self._read(recorder, evidence, target)

    def _read(self, recorder: CaseRecorder, evidence: CloudTrailEvidence, target: Target) -> Json:
        followed = TrailCollection.of(recorder, self.sessions).followed(evidence)
        found = read_trail(
            recorder, self.settings, evidence, target=target, followed=followed, exits=self._exits(target)
        )
        return {"evidence_id": evidence.evidence_id, "outcome": evidence.outcome.value, "findings": found}

    def _exits(self, target: Target) -> tuple[str, ...] | None:
        """Public addresses of the target's NAT gateways; None where AWS does not say where its traffic goes."""
        subnets = tuple(dict.fromkeys(i.subnet_id for i in target.interfaces))
        if target.vpc_id is None or not subnets:
            return None
        try:
            return EgressGateway.of(self.sessions.target(PHASE)).exits(vpc_id=target.vpc_id, subnet_ids=subnets)
        except AwsError as error:
            self.log.warning("the network's exits are not known: %s", error)
            return None

    def wait_failed(self, cause: str, next_action: str) -> ForensicsError:
        """A wait that failed is a failed collection."""
        return AcquisitionError(f"CloudTrail: {cause}", next_action=next_action or None)

    def on_final_failure(self, recorder: CaseRecorder, cause: str) -> None:
        """The item records why there are no records."""
        give_up(recorder, cause)
