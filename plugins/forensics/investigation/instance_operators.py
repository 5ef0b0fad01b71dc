"""Steps of the forensic instance: launch it, attach evidence, remove it. The tools run in ``analysis_operators.py``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException

from forensics.case.recorder import CaseRecorder
from forensics.case.requests import MadeBefore
from forensics.case.step import ForensicOperator, Json
from forensics.errors import ForensicsError, InvestigationError
from forensics.investigation.evidence_selection import examinable, still_acquiring
from forensics.investigation.evidence_volumes import EvidenceVolumes
from forensics.investigation.forensic_instance import (
    ForensicInstance,
    delete_volumes,
    remove_forensic_resources,
    running_instance,
    terminate_instances,
)
from forensics.investigation.triggers import ForensicInstanceOnlineTrigger, InstancesGoneTrigger, VolumesAttachedTrigger
from forensics.models.case import Milestone, Phase, TimelineKind
from forensics.models.evidence import EvidenceKind

LAUNCH = "forensic-instance"  # the name of this request in the case (forensics.case.requests)


class LaunchForensicInstanceOperator(ForensicOperator):
    """Launch the case's forensic instance from the forensic AMI and wait until its SSM agent is online.

    It starts when the target's memory is captured, so that it boots while the target is isolated, the image verified and
    the disks copied. The step is skipped when nothing was acquired and nothing more is expected. An instance of an
    earlier try is used again.
    """

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Launch (once) and wait."""
        plan, evidence = recorder.plan(), recorder.evidence()
        kinds = (EvidenceKind.MEMORY, EvidenceKind.DISK)
        if not any(examinable(evidence, k) or still_acquiring(plan, evidence, k) for k in kinds):
            raise AirflowSkipException("no memory or disk was acquired: there is nothing to investigate")
        recorder.phase(Phase.INVESTIGATION)
        recorder.milestone(Milestone.INVESTIGATION_STARTED)
        instance = ForensicInstance.of(recorder.case_id, self.sessions.forensic())
        instance_id = self._earlier(recorder, instance) or self._launch(recorder, instance)
        scope = self.sessions.forensic_scope().as_dict()
        timing = self.timing(self.settings.instance_timeout_seconds, ends_task=True)
        self.wait(ForensicInstanceOnlineTrigger(scope=scope, instance_id=instance_id, **timing))
        return None

    def _earlier(self, recorder: CaseRecorder, instance: ForensicInstance) -> str | None:
        """The instance of an earlier try, as EC2 lists it or as it is on record."""
        on_record = reversed(MadeBefore(recorder, LAUNCH).ids())
        return instance.living() or next((i for i in on_record if instance.lives(i)), None)

    def _launch(self, recorder: CaseRecorder, instance: ForensicInstance) -> str:
        """Launch; a try whose answer was lost gets the same instance, because its client token is the same."""
        before = MadeBefore(recorder, LAUNCH)
        token = f"{recorder.case_id}-{len(before.ids()) + 1}"
        before.make(lambda: [instance.launch(self.settings, token=token)])
        instance_id = before.ids()[-1]
        recorder.note(f"forensic instance {instance_id} launched", kind=TimelineKind.INVESTIGATION)
        return instance_id

    def wait_failed(self, cause: str, next_action: str) -> ForensicsError:
        """The instance did not come up in time."""
        return InvestigationError(cause, next_action=next_action or None)

    def on_final_failure(self, recorder: CaseRecorder, cause: str) -> None:
        """The teardown does not run after a failed launch: clean up here."""
        remove_forensic_resources(recorder, self.sessions.forensic())


class AttachEvidenceVolumesOperator(ForensicOperator):
    """Make a volume from each acquired snapshot copy and attach it to the forensic instance.

    Memory and disk flows have both ended when this starts, whatever their outcomes; it announces so.
    """

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Create the volumes (once) and wait until they are attached."""
        disks = examinable(recorder.evidence(), EvidenceKind.DISK)
        self._announce(recorder, examinable(recorder.evidence(), EvidenceKind.MEMORY) + disks)
        if not disks:
            raise AirflowSkipException("no disk was acquired")
        account = self.sessions.forensic()
        instance_id = running_instance(recorder, account)
        volumes = EvidenceVolumes.of(recorder, account, instance_id=instance_id)
        made = volumes.create(disks)
        if all(v.state == "in-use" for v in made):
            return {v.evidence_id: v.volume_id for v in made}
        attach = volumes.plan_attachment(made)
        scope = self.sessions.forensic_scope().as_dict()
        timing = self.timing(self.settings.instance_timeout_seconds, ends_task=True)
        self.wait(VolumesAttachedTrigger(scope=scope, instance_id=instance_id, volumes=attach, **timing))
        return None

    def _announce(self, recorder: CaseRecorder, evidence: list[str]) -> None:
        recorder.announce(
            "acquisition_complete",
            "Acquisition ended, investigation starts",
            lines=[f"Evidence: {', '.join(evidence) or 'none'}"],
            facts={"evidence": evidence},
            routine=True,
        )


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

    def resume(self, recorder: CaseRecorder, payload: Mapping[str, Any], context: Context) -> Json:
        """The instances are gone and have released their volumes: delete these."""
        recorder.note(f"forensic instance {', '.join(payload['instances'])} is gone", kind=TimelineKind.INVESTIGATION)
        return {**payload, "volumes": delete_volumes(recorder, self.sessions.forensic())}

    def wait_failed(self, cause: str, next_action: str) -> ForensicsError:
        """AWS did not terminate the instance in time."""
        return InvestigationError(cause, next_action=next_action or None)
