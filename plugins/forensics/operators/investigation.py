"""The forensic instance: launch, attach evidence, remove (seed step 9). Tools run in ``operators/analysis.py``."""

from __future__ import annotations

from typing import Any

from airflow.sdk.exceptions import AirflowSkipException

from forensics.aws.desk import CaseDesk
from forensics.aws.ebs import EbsGateway
from forensics.domain.naming import TAG_CASE, TAG_EVIDENCE, TAG_PURPOSE, tags
from forensics.errors import ForensicsError, InvestigationError
from forensics.hooks.session import ForensicsHook
from forensics.models.case import Milestone, Phase, TimelineKind
from forensics.models.custody import CustodyAction
from forensics.models.evidence import EvidenceKind, Outcome
from forensics.operators.artifacts import withdraw_unfinished
from forensics.operators.base import ForensicOperator, Json
from forensics.settings import names
from forensics.triggers.aws import (
    ForensicInstanceOnlineTrigger,
    InstancesGoneTrigger,
    VolumesAttachedTrigger,
)

INSTANCE_PURPOSE = "forensic-instance"
VOLUME_PURPOSE = "analysis-volume"
# Names only: documents find volumes by id. EC2 accepts sd[f-p] and xvd[b-c][a-z].
DEVICES = tuple(
    [f"/dev/sd{a}" for a in "fghijklmnop"] + [f"/dev/xvd{a}{b}" for a in "bc" for b in "abcdefghijklmnopqrstuvwxyz"]
)


def acquired(desk: CaseDesk, kind: EvidenceKind) -> list[str]:
    """Ids of the evidence of a kind that can be investigated."""
    usable = {Outcome.ACQUIRED} if kind is EvidenceKind.DISK else {Outcome.ACQUIRED, Outcome.PARTIAL}
    # Memory of which only single processes were taken has no image that could be examined.
    return [
        e.evidence_id for e in desk.evidence(kind) if e.outcome in usable and (e.uri or kind is not EvidenceKind.MEMORY)
    ]


def coming(desk: CaseDesk, kind: EvidenceKind) -> bool:
    """Whether a flow is still at work: planned, and not every item has its outcome."""
    plan, items = desk.plan(), desk.evidence(kind)
    go = plan is not None and (plan.memory.go if kind is EvidenceKind.MEMORY else plan.disk.go)
    return go and (not items or any(e.outcome is Outcome.PENDING for e in items))


class LaunchForensicInstanceOperator(ForensicOperator):
    """Launch the case's forensic instance from the forensic AMI and wait until its SSM agent is online.

    The target's memory is captured when this starts; the instance comes up while the target is isolated, the image
    verified and disks are copied. When nothing was acquired and nothing is on its way, the step is skipped. An instance of an earlier try
    is used again.
    """

    def act(self, desk: CaseDesk, context: Any) -> Json:
        """Launch (once) and wait."""
        if not any(acquired(desk, k) or coming(desk, k) for k in (EvidenceKind.MEMORY, EvidenceKind.DISK)):
            raise AirflowSkipException("no memory or disk was acquired: there is nothing to investigate")
        desk.phase(Phase.INVESTIGATION)
        desk.milestone(Milestone.INVESTIGATION_STARTED)
        settings = self.hook.settings
        scope = self.hook.forensic_scope(desk.case_id)
        account = self.hook.account(scope)
        marks = {TAG_CASE: desk.case_id, TAG_PURPOSE: INSTANCE_PURPOSE}
        living = [i for i, state in account.ec2.find_instances(tags=marks) if state in {"pending", "running"}]
        if living:
            instance_id = living[0]
        else:
            instance_id = account.ec2.run_instance(
                image_id=account.ssm.parameter(settings.ami_parameter),
                types=names(settings.analysis_instance_types),
                token=f"{desk.case_id}-{context['ti'].try_number}",
                subnet_id=settings.analysis_subnet_id,
                group_id=settings.analysis_security_group_id,
                profile=settings.analysis_instance_profile,
                tags=tags(desk.case_id, INSTANCE_PURPOSE),
            )
            desk.note(f"forensic instance {instance_id} launched", kind=TimelineKind.INVESTIGATION)
        timing = self.timing(settings.instance_timeout_seconds, ends_task=True)
        self.wait(ForensicInstanceOnlineTrigger(scope=scope.as_dict(), instance_id=instance_id, **timing))
        return None

    def wait_failed(self, cause: str, next_action: str) -> ForensicsError:
        """The instance never came up."""
        return InvestigationError(cause, next_action=next_action or None)

    def on_final_failure(self, desk: CaseDesk, cause: str) -> None:
        """The teardown does not run after a failed launch: clean up here."""
        remove_forensic_resources(self.hook, desk)


class AttachEvidenceVolumesOperator(ForensicOperator):
    """Make a volume from each acquired snapshot copy and attach it to the forensic instance.

    Memory and disk flows have both ended when this starts, whatever their outcomes; people are told so.
    """

    def act(self, desk: CaseDesk, context: Any) -> Json:
        """Create the volumes (once) and wait until they are available."""
        items = acquired(desk, EvidenceKind.DISK)
        evidence = acquired(desk, EvidenceKind.MEMORY) + items
        desk.announce(
            "acquisition_complete",
            "Acquisition ended, investigation starts",
            lines=[f"Evidence: {', '.join(evidence) or 'none'}"],
            facts={"evidence": evidence},
        )
        if not items:
            raise AirflowSkipException("no disk was acquired")
        scope = self.hook.forensic_scope(desk.case_id)
        account = self.hook.account(scope)
        instance_id = running_instance(self.hook, desk)
        zone = account.ec2.zone(instance_id)
        volumes = {
            item: self._volume(desk, account.ebs, item=item, zone=zone, instance_id=instance_id) for item in items
        }
        if all(state == "in-use" for _, state in volumes.values()):
            return {item: volume for item, (volume, _) in volumes.items()}
        attach = [[item, volumes[item][0], device] for item, device in zip(sorted(volumes), DEVICES, strict=False)]
        for item, volume_id, _ in attach:
            self._record(desk, item, volume_id=volume_id, instance_id=instance_id)
        timing = self.timing(self.hook.settings.instance_timeout_seconds, ends_task=True)
        self.wait(
            VolumesAttachedTrigger(scope=scope.as_dict(), instance_id=instance_id, volumes=attach, **timing),
        )
        return None

    def _record(self, desk: CaseDesk, item: str, *, volume_id: str, instance_id: str) -> None:
        """In the ledger before it happens: the instance may read the copy from now on."""
        desk.custody(
            CustodyAction.EVIDENCE_ACCESSED,
            evidence_id=item,
            detail={"volume_id": volume_id, "instance_id": instance_id},
            once=f"attached-{volume_id}",
        )
        what = f"{item} goes to the forensic instance as {volume_id}"
        desk.note(what, kind=TimelineKind.INVESTIGATION, evidence_id=item)

    def _volume(self, desk: CaseDesk, ebs: EbsGateway, *, item: str, zone: str, instance_id: str) -> tuple[str, str]:
        found = [
            v
            for v in ebs.find_volumes(tags={TAG_CASE: desk.case_id, TAG_EVIDENCE: item})
            if v["State"] in {"creating", "available", "in-use"}
        ]
        for volume in found:
            holders = {a["InstanceId"] for a in volume.get("Attachments", [])}
            if volume["AvailabilityZone"] == zone and holders <= {instance_id}:
                return volume["VolumeId"], volume["State"]
        evidence = desk.evidence_item(item)
        if evidence is None:
            msg = f"evidence {item} is not recorded"
            raise InvestigationError(msg)
        copy_id = str(evidence.origin["copy_id"])
        if (region := evidence.origin.get("copy_region", ebs.region)) != ebs.region:
            msg = f"{item} stays in {region}: policy keeps it from being copied to {ebs.region}, where it would be examined"
            raise InvestigationError(
                msg, next_action="see forensics.cross_region_from; or examine the copy by hand there"
            )
        made = ebs.create_volume(
            copy_id,
            zone=zone,
            token=f"{copy_id}-{instance_id}"[-64:],
            tags=tags(desk.case_id, VOLUME_PURPOSE, evidence=item, source=copy_id),
        )
        return made, "creating"


class TerminateForensicInstanceOperator(ForensicOperator):
    """Remove the forensic instance, wait until it is gone, delete its analysis volumes, whatever happened before."""

    def act(self, desk: CaseDesk, context: Any) -> Json:
        """Terminate and wait; safe to repeat."""
        ending = terminate_instances(self.hook, desk)
        if not ending:
            return {"volumes": delete_volumes(self.hook, desk)}
        scope = self.hook.forensic_scope(desk.case_id).as_dict()
        timing = self.timing(self.hook.settings.instance_timeout_seconds)
        self.wait(InstancesGoneTrigger(scope=scope, instance_ids=ending, **timing))
        return None

    def resume(self, desk: CaseDesk, payload: dict[str, Any], context: Any) -> Json:
        """The instances are gone and have let go of their volumes."""
        desk.note(f"forensic instance {', '.join(payload['instances'])} is gone", kind=TimelineKind.INVESTIGATION)
        return {**payload, "volumes": delete_volumes(self.hook, desk)}

    def wait_failed(self, cause: str, next_action: str) -> ForensicsError:
        """AWS does not terminate the instance."""
        return InvestigationError(cause, next_action=next_action or None)


def running_instance(hook: ForensicsHook, desk: CaseDesk) -> str:
    """The case's running forensic instance."""
    account = hook.account(hook.forensic_scope(desk.case_id))
    marks = {TAG_CASE: desk.case_id, TAG_PURPOSE: INSTANCE_PURPOSE}
    found = [i for i, state in account.ec2.find_instances(tags=marks) if state == "running"]
    if not found:
        msg = f"case {desk.case_id} has no running forensic instance"
        raise InvestigationError(
            msg, next_action="clear investigation.launch_forensic_instance and its downstream tasks"
        )
    return found[0]


def terminate_instances(hook: ForensicsHook, desk: CaseDesk) -> list[str]:
    """Terminate every forensic instance of the case and take back what it was offered; returns those on their way out."""
    account = hook.account(hook.forensic_scope(desk.case_id))
    found = account.ec2.find_instances(tags={TAG_CASE: desk.case_id, TAG_PURPOSE: INSTANCE_PURPOSE})
    living = [i for i, state in found if state != "shutting-down"]
    account.ec2.terminate(living)
    withdraw_unfinished(desk)
    if living:
        desk.note(f"forensic instance {', '.join(living)} is terminated", kind=TimelineKind.INVESTIGATION)
    return [i for i, _ in found]


def delete_volumes(hook: ForensicsHook, desk: CaseDesk) -> list[str]:
    """Delete the case's analysis volumes that nothing holds; evidence (snapshots) is not touched."""
    account = hook.account(hook.forensic_scope(desk.case_id))
    found = account.ebs.find_volumes(tags={TAG_CASE: desk.case_id, TAG_PURPOSE: VOLUME_PURPOSE})
    free = [v["VolumeId"] for v in found if v["State"] == "available"]
    for volume_id in free:
        account.ebs.delete_volume(volume_id)
    return free


def remove_forensic_resources(hook: ForensicsHook, desk: CaseDesk) -> None:
    """Clean up without waiting, for the ends of a case that no teardown follows."""
    terminate_instances(hook, desk)
    delete_volumes(hook, desk)
