"""The target's description: the control-plane facts, frozen as evidence before anything else is done."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

from forensics import case_keys
from forensics.aws.ec2 import Ec2Gateway
from forensics.aws.session import AwsSession
from forensics.aws.ssm import SsmGateway
from forensics.case.recorder import CaseRecorder
from forensics.errors import AwsError, InvalidCaseError, ResourceGoneError
from forensics.models.custody import CustodyAction
from forensics.models.evidence import ControlPlaneEvidence, Digest, EvidenceKind, Outcome
from forensics.models.target import SsmStatus, Target
from forensics.naming import evidence_id, evidence_key
from forensics.triage.control_plane_snapshot import ControlPlaneSnapshot

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
        instance_id = recorder.case.instance_id
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
        stored = store_facts(recorder, facts)
        target = target.model_copy(update={"ssm": status, "notes": (*notes, *missing), "facts": stored})
        recorder.put(case_keys.TARGET, target)
        return target

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


def store_facts(recorder: CaseRecorder, facts: Mapping[str, object]) -> dict[str, str]:
    """Store the facts as one JSON object in the evidence store and record it; returns its URI and SHA-256."""
    now, case = datetime.now(UTC), recorder.case
    item = evidence_id(EvidenceKind.CONTROL_PLANE, case.instance_id)
    body = json.dumps({"described_at": now.isoformat(), **facts}, sort_keys=True, default=str, indent=1).encode()
    name = f"facts-{now:%Y%m%dT%H%M%S.%fZ}.json"
    key = evidence_key(recorder.case_id, EvidenceKind.CONTROL_PLANE, item=item, name=name)
    stored = recorder.gateways.evidence.put(key, body, content_type="application/json")
    recorder.save_evidence(
        ControlPlaneEvidence(
            evidence_id=item,
            outcome=Outcome.ACQUIRED,
            account_id=case.account_id,
            region=case.region,
            uri=stored.uri,
            version_id=stored.version_id,
            size_bytes=stored.size_bytes,
            digests=(Digest(value=stored.sha256, subject="the stored JSON object", source="control-plane"),),
            started_at=now,
            ended_at=datetime.now(UTC),
            lock={"mode": stored.lock_mode, "until": stored.locked_until.isoformat()},
        )
    )
    where = {"uri": stored.uri, "sha256": stored.sha256}
    recorder.custody(CustodyAction.TARGET_DESCRIBED, evidence_id=item, detail={**where})
    return where
