"""The tasks of a case, in order, by their ids."""

from __future__ import annotations

from forensics.cloud_evidence.extension_operators import ExtendRecordsOperator
from forensics.cloud_evidence.operators import (
    CollectFlowsOperator,
    CollectQueriesOperator,
    CollectStateOperator,
    CollectTrailOperator,
)
from forensics.containment.operators import IsolateTargetOperator
from forensics.disk.copy_operators import CopySnapshotsOperator
from forensics.disk.digest_operators import DigestDisksOperator
from forensics.disk.snapshot_operators import SnapshotVolumesOperator
from forensics.incident.operators import LinkCasesOperator
from forensics.investigation.analysis_operators import AnalyseDiskOperator, AnalyseMemoryOperator, CompareDiskOperator
from forensics.investigation.instance_operators import (
    AttachEvidenceVolumesOperator,
    LaunchForensicInstanceOperator,
    TerminateForensicInstanceOperator,
)
from forensics.memory.capture_operators import CaptureMemoryOperator
from forensics.memory.live_response_operators import LiveResponseOperator
from forensics.memory.probe_operators import ProbeTargetOperator
from forensics.memory.verify_operators import VerifyMemoryOperator
from forensics.report.operators import CloseCaseOperator, WriteReportOperator
from forensics.timeline.operators import StoreTimelineOperator
from forensics.triage.operators import DescribeTargetOperator, PlanResponseOperator

TRIAGE = (("triage.describe_target", DescribeTargetOperator), ("triage.plan_response", PlanResponseOperator))
DISKS = (
    ("disk.snapshot_volumes", SnapshotVolumesOperator),
    ("disk.copy_snapshots", CopySnapshotsOperator),
    ("disk.digest_disks", DigestDisksOperator),
)
CASE = (
    *TRIAGE,
    ("memory.probe_target", ProbeTargetOperator),
    ("memory.capture_memory", CaptureMemoryOperator),
    ("memory.live_response", LiveResponseOperator),
    ("memory.verify_memory", VerifyMemoryOperator),
    *DISKS,
    ("cloud_evidence.collect_trail", CollectTrailOperator),
    ("cloud_evidence.collect_flows", CollectFlowsOperator),
    ("cloud_evidence.collect_queries", CollectQueriesOperator),
    ("cloud_evidence.collect_state", CollectStateOperator),
    ("containment.isolate_target", IsolateTargetOperator),
    ("investigation.launch_forensic_instance", LaunchForensicInstanceOperator),
    ("investigation.attach_evidence_volumes", AttachEvidenceVolumesOperator),
    ("investigation.analyse_memory", AnalyseMemoryOperator),
    ("investigation.analyse_disk", AnalyseDiskOperator),
    ("investigation.compare_disk", CompareDiskOperator),
    ("investigation.terminate_forensic_instance", TerminateForensicInstanceOperator),
    ("cloud_evidence.extend_records", ExtendRecordsOperator),
    ("report.write_report", WriteReportOperator),
    ("report.store_timeline", StoreTimelineOperator),
    ("report.link_cases", LinkCasesOperator),
    ("report.close_case", CloseCaseOperator),
)
