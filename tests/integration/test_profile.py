"""A person orders one more activity on the evidence of an ended case: a new forensic instance, new results, a new report."""

from __future__ import annotations

from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from forensics.disk.copy_operators import CopySnapshotsOperator
from forensics.disk.snapshot_operators import SnapshotVolumesOperator
from forensics.document_registry import released
from forensics.investigation.analysis_operators import AnalyseDiskOperator, AnalyseMemoryOperator
from forensics.investigation.instance_operators import (
    AttachEvidenceVolumesOperator,
    LaunchForensicInstanceOperator,
    TerminateForensicInstanceOperator,
)
from forensics.investigation.profile_operators import CheckProfileOperator
from forensics.models.case import CaseStatus, Phase
from forensics.report.operators import WriteProfileReportOperator
from lab.evidence.images import Images
from tests.gateways import case_store, recorder_of
from tests.integration.conftest import SmallLab
from tests.integration.steps import perform
from tests.integration.test_case_steps import open_case, triage
from tests.integration.test_third_party_tool import RealDisks

ACTIVITY = "investigate_collect"


@pytest.fixture
def images(tmp_path: Path) -> Images:
    return RealDisks(tmp_path / "cache")


def test_an_ended_case_is_examined_once_more_and_stays_closed(lab: SmallLab) -> None:
    assert not released()["investigate_collect_linux"].enabled, "cases do not run it by themselves"
    case_id = open_case(lab)
    triage(case_id)
    for step in (SnapshotVolumesOperator, CopySnapshotsOperator):
        perform(step(task_id="disk"), case_id=case_id)
    with pytest.raises(AirflowFailException, match="still being processed"):
        perform(CheckProfileOperator(task_id="check", activity=ACTIVITY), case_id=case_id)
    refused = recorder_of(case_id, step="test").view()
    assert refused.failures == () and any("is not run on" in entry.what for entry in refused.timeline)
    case_store().update_case(case_id, phase=Phase.DONE)
    case_store().end_case(case_id, status=CaseStatus.CLOSED)
    with pytest.raises(AirflowFailException, match="no activity investigate_everything"):
        perform(CheckProfileOperator(task_id="check", activity="investigate_everything"), case_id=case_id)
    assert recorder_of(case_id, step="test").view().failures == ()

    perform(CheckProfileOperator(task_id="check", activity=ACTIVITY), case_id=case_id)
    perform(LaunchForensicInstanceOperator(task_id="launch"), case_id=case_id)
    perform(AttachEvidenceVolumesOperator(task_id="attach", activity=ACTIVITY), case_id=case_id)
    with pytest.raises(AirflowSkipException, match="does not examine memory"):
        perform(AnalyseMemoryOperator(task_id="memory", activity=ACTIVITY), case_id=case_id)
    perform(AnalyseDiskOperator(task_id="disk", activity=ACTIVITY), case_id=case_id)
    perform(TerminateForensicInstanceOperator(task_id="terminate"), case_id=case_id)
    uris = perform(WriteProfileReportOperator(task_id="write_report"), case_id=case_id)

    view = recorder_of(case_id, step="test").view()
    assert {(i.activity, i.succeeded) for i in view.investigations} == {(ACTIVITY, True)}, "that activity and no other"
    assert uris["html"] in view.objects
    assert (view.case.status, view.case.phase) == (CaseStatus.CLOSED, Phase.DONE)
    assert any(f"{ACTIVITY} ordered by" in entry.what for entry in view.timeline)
    with pytest.raises(AirflowSkipException, match="reads no disk"):
        perform(AttachEvidenceVolumesOperator(task_id="attach", activity="investigate_memory_full"), case_id=case_id)
