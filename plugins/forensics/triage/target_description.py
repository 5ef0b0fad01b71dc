"""The target's description: the control-plane facts, frozen as evidence before anything else is done."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self, TypeVar

from forensics import case_keys
from forensics.aws.ec2 import Ec2Gateway
from forensics.aws.s3 import StoredObject
from forensics.aws.session import AwsSession
from forensics.aws.ssm import SsmGateway
from forensics.case.beginning import begin
from forensics.case.recorder import CaseRecorder
from forensics.errors import AwsError, InvalidCaseError, ResourceGoneError
from forensics.models.artifact import ArtifactDescription
from forensics.models.custody import CustodyAction
from forensics.models.evidence import ControlPlaneEvidence, Digest, EvidenceKind, Outcome
from forensics.models.target import SsmStatus, Target
from forensics.naming import evidence_id, evidence_key
from forensics.triage.control_plane_snapshot import ControlPlaneSnapshot

D = TypeVar("D", Target, ArtifactDescription)

# An agent registers within a minute or two after the boot; one that is back is shown after its next heartbeat at the latest.
FRESH = timedelta(minutes=3)
PING_SETTLES_WITHIN = 10.0  # seconds; isolation waits for the description, so no longer than it takes itself


@dataclass(frozen=True)
class TargetDescriber:
    """Reads in the target's account and Region; it changes nothing there."""

    ec2: Ec2Gateway
    ssm: SsmGateway
    snapshot: ControlPlaneSnapshot

    @classmethod
    def of(cls, session: AwsSession) -> Self:
        """Everything under one session in the target's account."""
        return cls(ec2=Ec2Gateway.of(session), ssm=SsmGateway.of(session), snapshot=ControlPlaneSnapshot.of(session))

    def describe(self, recorder: CaseRecorder) -> Target:
        """Describe the target, store the raw answers as evidence and the description in the case.

        Raises :class:`InvalidCaseError` when the instance does not exist. Other facts that AWS refuses are named in the
        description's notes.
        """
        instance_id, frozen = recorder.case.instance_id, FrozenFacts(recorder)
        if earlier := frozen.earlier(Target):
            return earlier
        try:
            target, raw = self.ec2.describe_target(instance_id)
        except ResourceGoneError as error:
            raise InvalidCaseError(
                str(error), next_action=f"{error.next_action}; nothing was changed in AWS"
            ) from error
        notes: list[str] = []
        status = self._ssm_status(target, notes)
        console = self._console_output(instance_id, notes)
        more, missing = self.snapshot.gather(instance_id, vpc_id=target.vpc_id, now=datetime.now(UTC))
        facts = {**raw, "console_output": console, "ssm": status.model_dump(mode="json"), **more}
        described = target.model_copy(update={"ssm": status, "notes": (*notes, *missing)})
        return frozen.freeze(facts, described)

    def _ssm_status(self, target: Target, notes: list[str]) -> SsmStatus:
        """SSM is optional here: without an answer, disk acquisition and containment continue.

        PingStatus is late: a running instance whose agent is said to be lost, or that was launched a moment ago, is asked
        about for some seconds more, because memory that is not captured for it is lost for good.
        """
        try:
            first = self.ssm.status(target.instance_id)
            if not _may_be_late(first, target):
                return first
            status = self.ssm.settled_status(target.instance_id, seconds=PING_SETTLES_WITHIN)
        except AwsError as error:
            notes.append(f"SSM could not be asked: {error}")
            return SsmStatus()
        if status.online:
            notes.append(f"SSM said {first.ping or 'that it does not manage the instance'} at first, then Online")
        return status

    def _console_output(self, instance_id: str, notes: list[str]) -> str | None:
        try:
            return self.ec2.console_output(instance_id)
        except AwsError as error:
            notes.append(f"console output is missing: {error}")
            return None


def _may_be_late(status: SsmStatus, target: Target) -> bool:
    """Whether what SSM says of a running instance may be overtaken."""
    if status.online or target.state != "running":
        return False
    fresh = target.launched_at is not None and datetime.now(UTC) - target.launched_at < FRESH
    return status.managed or fresh


class FrozenFacts:
    """The raw answers and what was read of them: one object of the evidence store, one item of the case, for each order to describe.

    The object comes first and is made once: a try that finds it there describes nothing anew, because what is evidence is how the
    target was before anything was done to it.
    """

    def __init__(self, recorder: CaseRecorder) -> None:
        self._recorder, self._began = recorder, begin(recorder)
        self._item = evidence_id(EvidenceKind.CONTROL_PLANE, recorder.case.instance_id)
        name = f"facts-{self._began.at:%Y%m%dT%H%M%S.%fZ}.json"
        self._key = evidence_key(recorder.case_id, EvidenceKind.CONTROL_PLANE, item=self._item, name=name)

    def earlier(self, kind: type[D]) -> D | None:
        """What an earlier try of this step has frozen, recorded completely; None when there is nothing."""
        if self._began.first:
            return None
        try:
            stored, body = self._recorder.gateways.evidence.adopt(self._key)
        except ResourceGoneError:
            return None
        return self._record(kind, stored, body)

    def freeze(self, facts: Mapping[str, object], described: D) -> D:
        """Store the facts with the description as one JSON object and record them; a twin of this worker may have been first."""
        whole = {
            "described_at": datetime.now(UTC).isoformat(),
            **facts,
            "description": described.model_dump(mode="json"),
        }
        body = json.dumps(whole, sort_keys=True, default=str, indent=1).encode()
        stored, kept = self._recorder.gateways.evidence.put_first(self._key, body, content_type="application/json")
        return self._record(type(described), stored, kept)

    def _record(self, kind: type[D], stored: StoredObject, body: bytes) -> D:
        recorder, case = self._recorder, self._recorder.case
        where = {"uri": stored.uri, "sha256": stored.sha256}
        described = kind.stored({**json.loads(body)["description"], "facts": where})
        recorder.save_evidence(
            ControlPlaneEvidence(
                evidence_id=self._item,
                outcome=Outcome.ACQUIRED,
                account_id=case.account_id,
                region=case.region,
                uri=stored.uri,
                version_id=stored.version_id,
                size_bytes=stored.size_bytes,
                digests=(Digest(value=stored.sha256, subject="the stored JSON object", source="control-plane"),),
                started_at=self._began.at,
                ended_at=datetime.now(UTC),
                lock={"mode": stored.lock_mode, "until": stored.locked_until.isoformat()},
            )
        )
        recorder.custody(CustodyAction.TARGET_DESCRIBED, evidence_id=self._item, detail={**where})
        recorder.put(case_keys.TARGET if isinstance(described, Target) else case_keys.ARTIFACT, described)
        return described
