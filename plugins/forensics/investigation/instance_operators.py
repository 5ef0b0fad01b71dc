"""The forensic instance: launch, attach evidence, remove (seed step 9). Tools run in ``investigation/analysis_operators.py``."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException

from forensics.aws.ebs import EbsGateway
from forensics.aws.ec2 import Ec2Gateway
from forensics.aws.session import AwsSession
from forensics.aws.ssm import SsmGateway
from forensics.case.recorder import CaseRecorder
from forensics.case.step import ForensicOperator, Json
from forensics.errors import ForensicsError, InvestigationError
from forensics.investigation.artifacts import withdraw_unfinished
from forensics.investigation.triggers import ForensicInstanceOnlineTrigger, InstancesGoneTrigger, VolumesAttachedTrigger
from forensics.models.case import Milestone, Phase, TimelineKind
from forensics.models.custody import CustodyAction
from forensics.models.evidence import EvidenceKind, Outcome
from forensics.naming import TAG_CASE, TAG_EVIDENCE, TAG_PURPOSE, tags
from forensics.settings import names

INSTANCE_PURPOSE = "forensic-instance"
VOLUME_PURPOSE = "analysis-volume"
# Names only: documents find volumes by id. EC2 accepts sd[f-p] and xvd[b-c][a-z].
DEVICES = tuple(
    [f"/dev/sd{a}" for a in "fghijklmnop"] + [f"/dev/xvd{a}{b}" for a in "bc" for b in "abcdefghijklmnopqrstuvwxyz"]
)


def acquired(recorder: CaseRecorder, kind: EvidenceKind) -> list[str]:
    """Ids of the evidence of a kind that can be investigated."""
    usable = {Outcome.ACQUIRED} if kind is EvidenceKind.DISK else {Outcome.ACQUIRED, Outcome.PARTIAL}
    # Memory of which only single processes were taken has no image that could be examined.
    return [
        e.evidence_id
        for e in recorder.evidence(kind)
        if e.outcome in usable and (e.uri or kind is not EvidenceKind.MEMORY)
    ]


def coming(recorder: CaseRecorder, kind: EvidenceKind) -> bool:
    """Whether a flow is still at work: planned, and not every item has its outcome."""
    plan, items = recorder.plan(), recorder.evidence(kind)
    go = plan is not None and (plan.memory.go if kind is EvidenceKind.MEMORY else plan.disk.go)
    return go and (not items or any(e.outcome is Outcome.PENDING for e in items))


class LaunchForensicInstanceOperator(ForensicOperator):
    """Launch the case's forensic instance from the forensic AMI and wait until its SSM agent is online.

    The target's memory is captured when this starts; the instance comes up while the target is isolated, the image
    verified and disks are copied. When nothing was acquired and nothing is on its way, the step is skipped. An instance of an earlier try
    is used again.
    """

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Launch (once) and wait."""
        if not any(acquired(recorder, k) or coming(recorder, k) for k in (EvidenceKind.MEMORY, EvidenceKind.DISK)):
            raise AirflowSkipException("no memory or disk was acquired: there is nothing to investigate")
        recorder.phase(Phase.INVESTIGATION)
        recorder.milestone(Milestone.INVESTIGATION_STARTED)
        settings = self.settings
        scope = self.sessions.forensic_scope()
        account = self.sessions.forensic()
        marks = {TAG_CASE: recorder.case_id, TAG_PURPOSE: INSTANCE_PURPOSE}
        living = [
            i for i, state in Ec2Gateway.of(account).find_instances(tags=marks) if state in {"pending", "running"}
        ]
        if living:
            instance_id = living[0]
        else:
            instance_id = Ec2Gateway.of(account).run_instance(
                image_id=SsmGateway.of(account).parameter(settings.ami_parameter),
                types=names(settings.analysis_instance_types),
                token=f"{recorder.case_id}-{context['ti'].try_number}",
                subnet_id=settings.analysis_subnet_id,
                group_id=settings.analysis_security_group_id,
                profile=settings.analysis_instance_profile,
                tags=tags(recorder.case_id, INSTANCE_PURPOSE),
            )
            recorder.note(f"forensic instance {instance_id} launched", kind=TimelineKind.INVESTIGATION)
        timing = self.timing(settings.instance_timeout_seconds, ends_task=True)
        self.wait(ForensicInstanceOnlineTrigger(scope=scope.as_dict(), instance_id=instance_id, **timing))
        return None

    def wait_failed(self, cause: str, next_action: str) -> ForensicsError:
        """The instance never came up."""
        return InvestigationError(cause, next_action=next_action or None)

    def on_final_failure(self, recorder: CaseRecorder, cause: str) -> None:
        """The teardown does not run after a failed launch: clean up here."""
        remove_forensic_resources(recorder, self.sessions.forensic())


class AttachEvidenceVolumesOperator(ForensicOperator):
    """Make a volume from each acquired snapshot copy and attach it to the forensic instance.

    Memory and disk flows have both ended when this starts, whatever their outcomes; people are told so.
    """

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Create the volumes (once) and wait until they are available."""
        items = acquired(recorder, EvidenceKind.DISK)
        evidence = acquired(recorder, EvidenceKind.MEMORY) + items
        recorder.announce(
            "acquisition_complete",
            "Acquisition ended, investigation starts",
            lines=[f"Evidence: {', '.join(evidence) or 'none'}"],
            facts={"evidence": evidence},
        )
        if not items:
            raise AirflowSkipException("no disk was acquired")
        scope = self.sessions.forensic_scope()
        account = self.sessions.forensic()
        instance_id = running_instance(recorder, account)
        zone = Ec2Gateway.of(account).zone(instance_id)
        volumes = {
            item: self._volume(recorder, EbsGateway.of(account), item=item, zone=zone, instance_id=instance_id)
            for item in items
        }
        if all(state == "in-use" for _, state in volumes.values()):
            return {item: volume for item, (volume, _) in volumes.items()}
        attach = [[item, volumes[item][0], device] for item, device in zip(sorted(volumes), DEVICES, strict=False)]
        for item, volume_id, _ in attach:
            self._record(recorder, item, volume_id=volume_id, instance_id=instance_id)
        timing = self.timing(self.settings.instance_timeout_seconds, ends_task=True)
        self.wait(
            VolumesAttachedTrigger(scope=scope.as_dict(), instance_id=instance_id, volumes=attach, **timing),
        )
        return None

    def _record(self, recorder: CaseRecorder, item: str, *, volume_id: str, instance_id: str) -> None:
        """In the ledger before it happens: the instance may read the copy from now on."""
        recorder.custody(
            CustodyAction.EVIDENCE_ACCESSED,
            evidence_id=item,
            detail={"volume_id": volume_id, "instance_id": instance_id},
            once=f"attached-{volume_id}",
        )
        what = f"{item} goes to the forensic instance as {volume_id}"
        recorder.note(what, kind=TimelineKind.INVESTIGATION, evidence_id=item)

    def _volume(
        self, recorder: CaseRecorder, ebs: EbsGateway, *, item: str, zone: str, instance_id: str
    ) -> tuple[str, str]:
        found = [
            v
            for v in ebs.find_volumes(tags={TAG_CASE: recorder.case_id, TAG_EVIDENCE: item})
            if v["State"] in {"creating", "available", "in-use"}
        ]
        for volume in found:
            holders = {a["InstanceId"] for a in volume.get("Attachments", [])}
            if volume["AvailabilityZone"] == zone and holders <= {instance_id}:
                return volume["VolumeId"], volume["State"]
        evidence = recorder.disk(item)
        if evidence is None:
            msg = f"evidence {item} is not recorded"
            raise InvestigationError(msg)
        copy_id = str(evidence.origin.copy_id)
        if (region := evidence.origin.copy_region or ebs.region) != ebs.region:
            msg = f"{item} stays in {region}: policy keeps it from being copied to {ebs.region}, where it would be examined"
            raise InvestigationError(
                msg, next_action="see forensics.cross_region_from; or examine the copy by hand there"
            )
        made = ebs.create_volume(
            copy_id,
            zone=zone,
            token=f"{copy_id}-{instance_id}"[-64:],
            tags=tags(recorder.case_id, VOLUME_PURPOSE, evidence=item, source=copy_id),
        )
        return made, "creating"


class TerminateForensicInstanceOperator(ForensicOperator):
    """Remove the forensic instance, wait until it is gone, delete its analysis volumes, whatever happened before."""

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Terminate and wait; safe to repeat."""
        ending = terminate_instances(recorder, self.sessions.forensic())
        if not ending:
            return {"volumes": delete_volumes(recorder, self.sessions.forensic())}
        scope = self.sessions.forensic_scope().as_dict()
        timing = self.timing(self.settings.instance_timeout_seconds)
        self.wait(InstancesGoneTrigger(scope=scope, instance_ids=ending, **timing))
        return None

    def resume(self, recorder: CaseRecorder, payload: dict[str, Any], context: Context) -> Json:
        """The instances are gone and have let go of their volumes."""
        recorder.note(f"forensic instance {', '.join(payload['instances'])} is gone", kind=TimelineKind.INVESTIGATION)
        return {**payload, "volumes": delete_volumes(recorder, self.sessions.forensic())}

    def wait_failed(self, cause: str, next_action: str) -> ForensicsError:
        """AWS does not terminate the instance."""
        return InvestigationError(cause, next_action=next_action or None)


def running_instance(recorder: CaseRecorder, account: AwsSession) -> str:
    """The case's running forensic instance."""
    marks = {TAG_CASE: recorder.case_id, TAG_PURPOSE: INSTANCE_PURPOSE}
    found = [i for i, state in Ec2Gateway.of(account).find_instances(tags=marks) if state == "running"]
    if not found:
        msg = f"case {recorder.case_id} has no running forensic instance"
        raise InvestigationError(
            msg, next_action="clear investigation.launch_forensic_instance and its downstream tasks"
        )
    return found[0]


def terminate_instances(recorder: CaseRecorder, account: AwsSession) -> list[str]:
    """Terminate every forensic instance of the case and take back what it was offered; returns those on their way out."""
    found = Ec2Gateway.of(account).find_instances(tags={TAG_CASE: recorder.case_id, TAG_PURPOSE: INSTANCE_PURPOSE})
    living = [i for i, state in found if state != "shutting-down"]
    Ec2Gateway.of(account).terminate(living)
    withdraw_unfinished(recorder)
    if living:
        recorder.note(f"forensic instance {', '.join(living)} is terminated", kind=TimelineKind.INVESTIGATION)
    return [i for i, _ in found]


def delete_volumes(recorder: CaseRecorder, account: AwsSession) -> list[str]:
    """Delete the case's analysis volumes that nothing holds; evidence (snapshots) is not touched."""
    found = EbsGateway.of(account).find_volumes(tags={TAG_CASE: recorder.case_id, TAG_PURPOSE: VOLUME_PURPOSE})
    free = [v["VolumeId"] for v in found if v["State"] == "available"]
    for volume_id in free:
        EbsGateway.of(account).delete_volume(volume_id)
    return free


def remove_forensic_resources(recorder: CaseRecorder, account: AwsSession) -> None:
    """Clean up without waiting, for the ends of a case that no teardown follows."""
    terminate_instances(recorder, account)
    delete_volumes(recorder, account)
