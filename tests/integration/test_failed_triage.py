"""A case whose triage has failed: the steps that run whatever became of the others tell no failure of their own."""

from __future__ import annotations

import pytest

from forensics.case.step import ForensicOperator
from forensics.cloud_evidence.extension_operators import ExtendRecordsOperator
from forensics.incident.operators import LinkCasesOperator
from forensics.timeline.operators import StoreTimelineOperator
from tests.gateways import case_gateways
from tests.integration.conftest import SmallLab
from tests.integration.steps import perform
from tests.integration.test_case_steps import open_case


@pytest.mark.parametrize(
    ("task_id", "kind"),
    [
        ("cloud_evidence.extend_records", ExtendRecordsOperator),
        ("report.link_cases", LinkCasesOperator),
        ("report.store_timeline", StoreTimelineOperator),
    ],
)
def test_a_step_that_runs_after_a_failed_triage_fails_for_nothing(
    lab: SmallLab, task_id: str, kind: type[ForensicOperator]
) -> None:
    case_id = open_case(lab)
    perform(kind(task_id=task_id), case_id=case_id)
    view = case_gateways(case_id).view(case_id)
    assert view is not None and view.failures == ()
