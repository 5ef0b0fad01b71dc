"""The forensic instance: a disposable machine from the forensic AMI that a case (or the symbol library) launches and removes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

from forensics.aws.ebs import EbsGateway
from forensics.aws.ec2 import Ec2Gateway, RootDisk
from forensics.aws.session import AwsSession
from forensics.aws.ssm import SsmGateway
from forensics.aws.visibility import until_found
from forensics.case.recorder import CaseRecorder
from forensics.errors import InvestigationError
from forensics.investigation.artifacts import revoke_unfinished
from forensics.investigation.instance_size import root_gib, types_for
from forensics.models.case import TimelineKind
from forensics.naming import TAG_CASE, TAG_PURPOSE, tags
from forensics.settings import Settings, names

INSTANCE_PURPOSE = "forensic-instance"
VOLUME_PURPOSE = "analysis-volume"


class ForensicInstance:
    """The forensic instance of one owner, found by its tags.

    :param owner: a case id, or the symbol library's
    """

    def __init__(self, owner: str, *, ec2: Ec2Gateway, ssm: SsmGateway) -> None:
        self._owner = owner
        self._ec2 = ec2
        self._ssm = ssm

    @classmethod
    def of(cls, owner: str, account: AwsSession) -> Self:
        """The instance in a session's account and Region."""
        return cls(owner, ec2=Ec2Gateway.of(account), ssm=SsmGateway.of(account))

    def _states(self) -> dict[str, str]:
        """State of each of the owner's instances that is not terminated, by id."""
        return dict(self._ec2.find_instances(tags={TAG_CASE: self._owner, TAG_PURPOSE: INSTANCE_PURPOSE}))

    def lives(self, instance_id: str) -> bool:
        """Whether an instance that was launched is starting or running, also when EC2 does not list it by its tags yet."""
        return self._ec2.state(instance_id) in {"pending", "running"}

    def living(self) -> str | None:
        """The instance that is starting or running, or None."""
        return next((i for i, state in self._states().items() if state in {"pending", "running"}), None)

    def running(self) -> str | None:
        """The instance that is running, or None. It is asked for where one was launched: an empty list means "not yet"."""
        return until_found(lambda: next((i for i, state in self._states().items() if state == "running"), None))

    def launch(
        self, settings: Settings, *, token: str, image_bytes: int = 0, check: Callable[[str], object] = lambda _: None
    ) -> str:
        """Launch an instance from the forensic AMI, with room for a memory image of so many bytes; returns its id.

        ``check`` gets the AMI's id before anything is launched from it, and may refuse it. The same token gives the same instance. Its disk is encrypted under the evidence key whatever the AMI says.
        """
        image_id, types = self._ssm.parameter(settings.ami_parameter), names(settings.analysis_instance_types)
        check(image_id)
        ami = self._ec2.root_disk(image_id)
        root = RootDisk(ami.device, root_gib(image_bytes, ami_gib=ami.size_gib))
        if image_bytes:
            types = types_for(types, memory_mib=self._ec2.memory_by_type(types), image_bytes=image_bytes)
        return self._ec2.run_instance(
            image_id=image_id,
            types=types,
            root=root,
            kms_key_id=settings.evidence_key_arn,
            token=token,
            subnet_id=settings.analysis_subnet_id,
            group_id=settings.analysis_security_group_id,
            profile=settings.analysis_instance_profile,
            tags=tags(self._owner, INSTANCE_PURPOSE),
        )

    def terminate(self, *, before: Callable[[list[str]], None] | None = None) -> tuple[list[str], list[str]]:
        """Terminate every instance of the owner; returns those asked to terminate now, and all that are on their way out.

        ``before`` gets the former, where there are any, before they are asked.
        """
        found = self._states()
        living = [i for i, state in found.items() if state != "shutting-down"]
        if before and living:
            before(living)
        self._ec2.terminate(living)
        return living, list(found)


def running_instance(recorder: CaseRecorder, account: AwsSession) -> str:
    """The case's running forensic instance; raises :class:`InvestigationError` when there is none."""
    found = ForensicInstance.of(recorder.case_id, account).running()
    if found is None:
        msg = f"case {recorder.case_id} has no running forensic instance"
        raise InvestigationError(
            msg, next_action="clear investigation.launch_forensic_instance and its downstream tasks"
        )
    return found


def terminate_instances(recorder: CaseRecorder, account: AwsSession) -> list[str]:
    """Terminate every forensic instance of the case and revoke its manifests; returns those on their way out."""

    def said(living: list[str]) -> None:
        # before it is done: a try that died right after it would be followed by one that finds nothing to say
        recorder.note(f"forensic instance {', '.join(living)} is terminated", kind=TimelineKind.INVESTIGATION)

    _, found = ForensicInstance.of(recorder.case_id, account).terminate(before=said)
    revoke_unfinished(recorder)
    return found


def delete_volumes(recorder: CaseRecorder, account: AwsSession) -> list[str]:
    """Delete the case's analysis volumes that are not attached; returns their ids. Evidence (snapshots) is not touched."""
    ebs = EbsGateway.of(account)
    found = ebs.find_volumes(tags={TAG_CASE: recorder.case_id, TAG_PURPOSE: VOLUME_PURPOSE})
    free = [str(v["VolumeId"]) for v in found if v["State"] == "available"]
    for volume_id in free:
        ebs.delete_volume(volume_id)
    return free


def remove_forensic_resources(recorder: CaseRecorder, account: AwsSession) -> None:
    """Clean up without waiting, where a case ends and no teardown follows."""
    terminate_instances(recorder, account)
    delete_volumes(recorder, account)
