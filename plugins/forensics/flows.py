"""The flows of a case as task groups. Wiring only; ``task_docs`` says what each task does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import BaseOperator, TaskGroup, TriggerRule

from forensics import settings
from forensics.cloud_evidence.extension_operators import ExtendRecordsOperator
from forensics.cloud_evidence.operators import (
    CollectFlowsOperator,
    CollectQueriesOperator,
    CollectStateOperator,
    CollectTrailOperator,
)
from forensics.containment.operators import IsolateTargetOperator, PlanContainmentOperator
from forensics.containment.protection_operators import ProtectTargetOperator
from forensics.disk.copy_operators import CopySnapshotsOperator
from forensics.disk.digest_operators import DigestDisksOperator
from forensics.disk.snapshot_operators import SnapshotVolumesOperator
from forensics.document_registry import profiles
from forensics.incident.operators import LinkCasesOperator
from forensics.investigation.analysis_operators import (
    AnalyseDiskOperator,
    AnalyseMemoryOperator,
    CompareDiskOperator,
)
from forensics.investigation.instance_operators import (
    AttachEvidenceVolumesOperator,
    LaunchForensicInstanceOperator,
    TerminateForensicInstanceOperator,
)
from forensics.investigation.profile_operators import CheckProfileOperator
from forensics.memory.capture_operators import CaptureMemoryOperator
from forensics.memory.live_response_operators import LiveResponseOperator
from forensics.memory.probe_operators import ProbeTargetOperator
from forensics.memory.verify_operators import VerifyMemoryOperator
from forensics.report.operators import CloseCaseOperator, WriteProfileReportOperator, WriteReportOperator
from forensics.task_defaults import DIGEST_TIME, PROTECT_TIME, READ_TIME
from forensics.task_docs import TASKS
from forensics.timeline.operators import StoreTimelineOperator
from forensics.triage.operators import DescribeTargetOperator, PlanResponseOperator

# The tasks that acquire what is examined, by the kind of evidence.
ACQUIRING = {
    "memory": ("memory.capture_memory", "memory.verify_memory"),
    "disk": ("disk.snapshot_volumes", "disk.copy_snapshots"),
}


@dataclass(frozen=True)
class Flow:
    """First and last task of a flow."""

    first: BaseOperator
    last: BaseOperator


@dataclass(frozen=True)
class MemoryFlow(Flow):
    """The memory flow; ``captured`` ends the capture, ``touched`` is the last task that needs the target to be reachable."""

    captured: BaseOperator
    touched: BaseOperator


@contextmanager
def _group(group_id: str, *, name: str, tooltip: str) -> Iterator[None]:
    """A task group whose tasks carry their documentation."""
    with TaskGroup(group_id, group_display_name=name, tooltip=tooltip) as group:
        yield
    for task_id, task in group.children.items():
        if isinstance(task, BaseOperator):
            task.doc_md = TASKS[task_id]


@dataclass(frozen=True)
class TriageFlow(Flow):
    """Triage; ``planned`` ends with the response plan, ``last`` with the target protected for its acquisition."""

    planned: BaseOperator


def triage() -> TriageFlow:
    """Describe the target, decide the plan, protect the target where something is acquired."""
    with _group(
        "triage",
        name="Triage",
        tooltip="Record what AWS says about the instance, decide what to do with it, and keep it from being ended meanwhile",
    ):
        describe = DescribeTargetOperator(task_id="describe_target")
        plan = PlanResponseOperator(task_id="plan_response")
        protect = ProtectTargetOperator(
            task_id="protect_target", retries=1, retry_delay=timedelta(seconds=1), execution_timeout=PROTECT_TIME
        )
        describe >> plan >> protect
    return TriageFlow(describe, protect, planned=plan)


def memory() -> MemoryFlow:
    """Probe, capture on the target, verify what landed; live response beside the verification."""
    with _group(
        "memory",
        name="Memory",
        tooltip="Capture the memory of the running instance, collect its live state, verify what arrived",
    ):
        # Acquisition follows the protection of the target, whatever became of that. A probe that fails or is skipped does not keep the capture from being tried (or from saying why not).
        probe = ProbeTargetOperator(
            task_id="probe_target", trigger_rule=TriggerRule.ALL_DONE, retries=1, retry_delay=timedelta(seconds=1)
        )
        capture = CaptureMemoryOperator(task_id="capture_memory", trigger_rule=TriggerRule.ALL_DONE, retries=4)
        verify = VerifyMemoryOperator(task_id="verify_memory", execution_timeout=READ_TIME)
        # As the capture's: a try that a busy scheduler lost finds its command and sends no second one.
        live = LiveResponseOperator(task_id="live_response", trigger_rule=TriggerRule.ALL_DONE, retries=4)
        probe >> capture >> [verify, live]
    return MemoryFlow(probe, verify, captured=capture, touched=live)


@dataclass(frozen=True)
class DiskFlow(Flow):
    """The disk flow; the digest is taken beside investigation and report, before the closing."""

    digest: BaseOperator


def disk() -> DiskFlow:
    """Snapshot all volumes, copy them to the forensic account, hash the copies."""
    with _group(
        "disk", name="Disks", tooltip="Snapshot all volumes, copy them to the forensic account, hash the copies"
    ):
        snapshot = SnapshotVolumesOperator(task_id="snapshot_volumes", trigger_rule=TriggerRule.ALL_DONE)
        copy = CopySnapshotsOperator(task_id="copy_snapshots")
        # Disks that were copied get their digest also when others were not.
        digest = DigestDisksOperator(
            task_id="digest_disks", trigger_rule=TriggerRule.ALL_DONE, execution_timeout=DIGEST_TIME
        )
        snapshot >> copy >> digest
    return DiskFlow(snapshot, copy, digest)


@dataclass(frozen=True)
class CloudFlow:
    """What the account recorded: tasks that need nothing of each other, and one that reaches further back when findings do."""

    tasks: tuple[BaseOperator, ...]
    extended: BaseOperator


def cloud_evidence() -> CloudFlow:
    """What the account recorded of the target: beside everything else, waited for by the closing alone."""
    with _group(
        "cloud_evidence",
        name="Cloud records",
        tooltip="Collect and read what CloudTrail, flow logs and query logs recorded of the target, its credentials and its resources",
    ):
        trail = CollectTrailOperator(task_id="collect_trail")
        flow_logs = CollectFlowsOperator(task_id="collect_flows")
        queries = CollectQueriesOperator(task_id="collect_queries")
        state = CollectStateOperator(task_id="collect_state")
        extended = ExtendRecordsOperator(task_id="extend_records", trigger_rule=TriggerRule.ALL_DONE)
        [trail, flow_logs, queries, state] >> extended
    return CloudFlow((trail, flow_logs, queries, state), extended)


def containment() -> tuple[Flow, BaseOperator]:
    """Isolate the target when the memory capture has ended, whatever its outcome.

    Returns the flow and the planning task, which runs beside the acquisition: plan, approval, deadline.
    """
    with _group(
        "containment",
        name="Containment",
        tooltip="Plan the isolation, ask for approval where the policy says so, isolate, read the result back",
    ):
        plan = PlanContainmentOperator(task_id="plan_containment")
        isolate = IsolateTargetOperator(task_id="isolate_target", trigger_rule=TriggerRule.ALL_DONE, priority_weight=10)
    return Flow(isolate, isolate), plan


@dataclass(frozen=True)
class InvestigationFlow(Flow):
    """The investigation: each lane of tools waits for its own evidence, not for the other's.

    ``tools`` give the answers that the report waits for; the second opinion is not one of them.
    """

    memory: BaseOperator
    disks: BaseOperator
    tools: tuple[BaseOperator, ...]


def investigation() -> InvestigationFlow:
    """Forensic instance from launch to removal, tools in between."""
    with _group(
        "investigation", name="Investigation", tooltip="Examine the evidence on a disposable forensic instance"
    ):
        # Good evidence is examined whatever became of the rest. What follows a setup task may only ask for success, so
        # that is said by tasks of their own, which the scheduler ends by itself (no worker starts for them).
        memory = EmptyOperator(task_id="memory_ended", trigger_rule=TriggerRule.ALL_DONE)
        disks = EmptyOperator(task_id="disks_ended", trigger_rule=TriggerRule.ALL_DONE)
        launch = LaunchForensicInstanceOperator(
            task_id="launch_forensic_instance", trigger_rule=TriggerRule.ALL_DONE, acquiring=ACQUIRING
        )
        attach = AttachEvidenceVolumesOperator(task_id="attach_evidence_volumes")
        on_memory = AnalyseMemoryOperator(task_id="analyse_memory")
        on_disk = AnalyseDiskOperator(task_id="analyse_disk")
        # Disks that were examined are compared also when others were not; without disks there is nothing to start a worker for.
        compare = CompareDiskOperator(task_id="compare_disk", trigger_rule=TriggerRule.NONE_SKIPPED)
        terminate = TerminateForensicInstanceOperator(task_id="terminate_forensic_instance")
        [launch, memory] >> on_memory
        [launch, disks] >> attach >> on_disk >> compare
        # Both are set up anew when a task that needs them is cleared: the teardown has removed instance and volumes.
        [on_memory, on_disk, compare] >> terminate.as_teardown(setups=[launch, attach])
    return InvestigationFlow(launch, terminate, memory, disks, (on_memory, on_disk))


# What a person can order on the evidence of a case: every activity of the registry that examines evidence.
PROFILES = tuple(document.activity for document in profiles())
# The form of the names of keys that a person offers with it.
DISK_KEYS = settings.DISK_KEYS


def profile(case_id: str, activity: str, disk_keys: str = "") -> None:
    """One activity that a person has ordered, on the evidence of a case that has ended: a forensic instance of its own, and a new report."""
    with _group("profile", name="Profile", tooltip="Examine the evidence of an ended case by one more activity"):
        check = CheckProfileOperator(task_id="check_profile", case_id=case_id, activity=activity)
        launch = LaunchForensicInstanceOperator(task_id="launch_forensic_instance", case_id=case_id)
        attach = AttachEvidenceVolumesOperator(task_id="attach_evidence_volumes", case_id=case_id, activity=activity)
        on_memory = AnalyseMemoryOperator(task_id="analyse_memory", case_id=case_id, activity=activity)
        on_disk = AnalyseDiskOperator(task_id="analyse_disk", case_id=case_id, activity=activity, disk_keys=disk_keys)
        terminate = TerminateForensicInstanceOperator(task_id="terminate_forensic_instance", case_id=case_id)
        # One of the two examines, the other is skipped; the only leaf that counts must not turn the run green where it failed.
        write = WriteProfileReportOperator(
            task_id="write_report", case_id=case_id, trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS
        )
        store = StoreTimelineOperator(task_id="store_timeline", case_id=case_id)
        check >> launch >> [attach, on_memory]
        attach >> on_disk
        [on_memory, on_disk] >> terminate.as_teardown(setups=[launch, attach])
        [on_memory, on_disk] >> write >> store


@dataclass(frozen=True)
class ReportFlow(Flow):
    """The report; ``timeline`` stores every entry of every source, once the last of them is there."""

    timeline: BaseOperator


def report() -> ReportFlow:
    """Write the report, store the whole timeline, close the case. The closing task is the run's only leaf that counts."""
    with _group("report", name="Report", tooltip="Write the report, then close the case and say what is missing"):
        write = WriteReportOperator(task_id="write_report", trigger_rule=TriggerRule.ALL_DONE)
        timeline = StoreTimelineOperator(task_id="store_timeline", trigger_rule=TriggerRule.ALL_DONE)
        link = LinkCasesOperator(task_id="link_cases", trigger_rule=TriggerRule.ALL_DONE)
        close = CloseCaseOperator(task_id="close_case", trigger_rule=TriggerRule.ALL_DONE)
        write >> [timeline, link] >> close
    return ReportFlow(write, close, timeline=timeline)
