"""Steps of the forensic instance: launch it, attach evidence, remove it. The tools run in ``analysis_operators.py``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException

from forensics.aws.kms_signing import SigningKeyGateway
from forensics.case.beginning import begin
from forensics.case.recorder import CaseRecorder
from forensics.case.requests import MadeBefore
from forensics.case.step import ForensicOperator, Json
from forensics.errors import ForensicsError, InvestigationError
from forensics.investigation.ami_statements import AmiStatements
from forensics.investigation.evidence_selection import examinable, still_acquiring
from forensics.investigation.evidence_volumes import EvidenceVolumes
from forensics.investigation.forensic_instance import (
    ForensicInstance,
    delete_volumes,
    remove_forensic_resources,
    running_instance,
    terminate_instances,
)
from forensics.investigation.profiles import reads
from forensics.investigation.triggers import ForensicInstanceOnlineTrigger, InstancesGoneTrigger, VolumesAttachedTrigger
from forensics.models.case import Milestone, Phase, TimelineKind
from forensics.models.evidence import EvidenceKind

# Airflow's TerminalTIState and what ends a task without a worker.
_TASK_ENDED = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
LAUNCH = "forensic-instance"  # the name of this request in the case (forensics.case.requests)


class LaunchForensicInstanceOperator(ForensicOperator):
    """Launch the case's forensic instance from the forensic AMI and wait until its SSM agent is online.

    It starts when the target's memory is captured, so that it boots while the target is isolated, the image verified and
    the disks copied. The step is skipped when nothing was acquired and nothing more is expected. An instance of an
    earlier try is used again.

    :param acquiring: ids of the tasks of this DAG that acquire evidence, by its kind (``memory``, ``disk``). While one of them has
        not ended, what it acquires may still come: also where an earlier try of it has recorded that it failed
    """

    takes_artifacts = True

    def __init__(self, *, acquiring: Mapping[str, Sequence[str]] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.acquiring = {kind: list(tasks) for kind, tasks in (acquiring or {}).items()}

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Launch (once) and wait."""
        plan, evidence, working = recorder.plan(), recorder.evidence(), self._working(context)
        kinds = (EvidenceKind.MEMORY, EvidenceKind.DISK)
        if not any(examinable(evidence, k) or still_acquiring(plan, evidence, k, working=k in working) for k in kinds):
            raise AirflowSkipException("no memory or disk was acquired: there is nothing to investigate")
        recorder.phase(Phase.INVESTIGATION)
        recorder.milestone(Milestone.INVESTIGATION_STARTED)
        instance = ForensicInstance.of(recorder.case_id, self.sessions.forensic())
        began, earlier = begin(recorder), self._earlier(recorder, instance)
        instance_id = earlier or self._launch(recorder, instance)
        if not (earlier and began.first):  # a try that launched it and died has not said so
            recorder.note(f"forensic instance {instance_id} launched", kind=TimelineKind.INVESTIGATION, at=began.at)
        scope = self.sessions.forensic_scope().as_dict()
        timing = self.timing(self.settings.instance_timeout_seconds, ends_task=True)
        self.wait(ForensicInstanceOnlineTrigger(scope=scope, instance_id=instance_id, **timing))
        return None

    def _working(self, context: Context) -> set[EvidenceKind]:
        """The kinds of evidence that a task of this run has yet to acquire, or acquires again after it was cleared."""
        wanted = [task for tasks in self.acquiring.values() for task in tasks]
        if not wanted:
            return set()
        run = context["dag_run"]
        found = context["ti"].get_task_states(dag_id=run.dag_id, run_ids=[run.run_id], task_ids=wanted)
        left = {task for task, state in found.get(run.run_id, {}).items() if str(state) not in _TASK_ENDED}
        return {EvidenceKind(kind) for kind, tasks in self.acquiring.items() if left & set(tasks)}

    def _earlier(self, recorder: CaseRecorder, instance: ForensicInstance) -> str | None:
        """The instance of an earlier try, as EC2 lists it or as it is on record."""
        before = MadeBefore(recorder, LAUNCH)
        before.settle()
        on_record = reversed(before.ids())
        return instance.living() or next((i for i in on_record if instance.lives(i)), None)

    def _launch(self, recorder: CaseRecorder, instance: ForensicInstance) -> str:
        """Launch; a try whose answer was lost gets the same instance, because its client token is the same."""
        before = MadeBefore(recorder, LAUNCH)
        token = f"{recorder.case_id}-{len(before.ids()) + 1}"
        memory = recorder.memory()
        image_bytes = int(memory.size_bytes or 0) if memory else 0
        before.make(
            lambda: [instance.launch(self.settings, token=token, image_bytes=image_bytes, check=self._check(recorder))]
        )
        return before.ids()[-1]

    def _check(self, recorder: CaseRecorder) -> Callable[[str], object]:
        """What is launched has to be what was built: the statement of the AMI, signed when it was published."""
        key = SigningKeyGateway.of(self.sessions.forensic("custodian"), self.settings)
        statements = AmiStatements(recorder.gateways.evidence, key)

        def check(ami_id: str) -> None:
            said = statements.check(ami_id, required=self.settings.ami_statement == "required")
            recorder.note(said, kind=TimelineKind.INVESTIGATION)

        return check

    def wait_failed(self, cause: str, next_action: str) -> ForensicsError:
        """The instance did not come up in time."""
        return InvestigationError(cause, next_action=next_action or None)

    def on_final_failure(self, recorder: CaseRecorder, cause: str) -> None:
        """The teardown does not run after a failed launch: clean up here."""
        remove_forensic_resources(recorder, self.sessions.forensic())


class AttachEvidenceVolumesOperator(ForensicOperator):
    """Make a volume from each acquired snapshot copy and attach it to the forensic instance.

    Memory and disk flows have both ended when this starts, whatever their outcomes; it announces so.

    :param activity: the activity that a person has ordered; nothing is attached for one that reads no disk
    """

    takes_artifacts = True
    template_fields = ("case_id", "activity")

    def __init__(self, *, activity: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.activity = activity

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Create the volumes (once) and wait until they are attached."""
        if not reads(self.activity, EvidenceKind.DISK):
            raise AirflowSkipException(f"{self.activity} reads no disk")
        disks = examinable(recorder.evidence(), EvidenceKind.DISK)
        self._announce(recorder, examinable(recorder.evidence(), EvidenceKind.MEMORY) + disks)
        if not disks:
            raise AirflowSkipException("no disk was acquired")
        account = self.sessions.forensic()
        instance_id = running_instance(recorder, account)
        rate = self.settings.volume_initialization_mib_per_second
        volumes = EvidenceVolumes.of(recorder, account, instance_id=instance_id, rate=rate)
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

    takes_artifacts = True

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Terminate and wait; safe to repeat."""
        began, ending = begin(recorder), terminate_instances(recorder, self.sessions.forensic())
        if not ending:
            if not began.first:  # an earlier try has ended them and died before it said so
                self._gone(recorder, MadeBefore(recorder, LAUNCH).ids())
            return {"volumes": delete_volumes(recorder, self.sessions.forensic())}
        scope = self.sessions.forensic_scope().as_dict()
        timing = self.timing(self.settings.instance_timeout_seconds)
        self.wait(InstancesGoneTrigger(scope=scope, instance_ids=ending, **timing))
        return None

    def resume(self, recorder: CaseRecorder, payload: Mapping[str, Any], context: Context) -> Json:
        """The instances are gone and have released their volumes: delete these."""
        self._gone(recorder, payload["instances"])
        return {**payload, "volumes": delete_volumes(recorder, self.sessions.forensic())}

    def _gone(self, recorder: CaseRecorder, instances: Sequence[str]) -> None:
        if instances:
            recorder.note(f"forensic instance {', '.join(instances)} is gone", kind=TimelineKind.INVESTIGATION)

    def wait_failed(self, cause: str, next_action: str) -> ForensicsError:
        """AWS did not terminate the instance in time."""
        return InvestigationError(cause, next_action=next_action or None)
