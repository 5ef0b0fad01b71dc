"""The tasks of a case, in order, by their ids."""

from __future__ import annotations

from forensics.operators.analysis import AnalyseDiskOperator, AnalyseMemoryOperator
from forensics.operators.case import CloseCaseOperator, WriteReportOperator
from forensics.operators.containment import IsolateTargetOperator
from forensics.operators.disk import SnapshotVolumesOperator
from forensics.operators.disk_copy import CopySnapshotsOperator
from forensics.operators.disk_digest import DigestDisksOperator
from forensics.operators.investigation import (
    AttachEvidenceVolumesOperator,
    LaunchForensicInstanceOperator,
    TerminateForensicInstanceOperator,
)
from forensics.operators.live_response import LiveResponseOperator
from forensics.operators.memory import CaptureMemoryOperator
from forensics.operators.memory_probe import ProbeTargetOperator
from forensics.operators.memory_verify import VerifyMemoryOperator
from forensics.operators.triage import DescribeTargetOperator, PlanResponseOperator

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
    ("containment.isolate_target", IsolateTargetOperator),
    ("investigation.launch_forensic_instance", LaunchForensicInstanceOperator),
    ("investigation.attach_evidence_volumes", AttachEvidenceVolumesOperator),
    ("investigation.analyse_memory", AnalyseMemoryOperator),
    ("investigation.analyse_disk", AnalyseDiskOperator),
    ("investigation.terminate_forensic_instance", TerminateForensicInstanceOperator),
    ("report.write_report", WriteReportOperator),
    ("report.close_case", CloseCaseOperator),
)
