"""Records reach further back, once, when findings of a disk do: the lab's flows of three days ago."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from forensics import case_keys
from forensics.case.own_results import store_results
from forensics.case.recorder import CaseRecorder
from forensics.case.step import ForensicOperator, Json
from forensics.cloud_evidence.extension_operators import ExtendRecordsOperator
from forensics.cloud_evidence.operators import CollectFlowsOperator
from forensics.models.evidence import FlowLogEvidence, Outcome
from forensics.models.results import Confidence, Investigation, ResultSeverity, ToolFinding, ToolResults
from forensics.triage.operators import DescribeTargetOperator
from lab.accounts import MEMBER_ACCOUNT
from lab.evidence import flow_records
from tests.gateways import case_gateways
from tests.integration.conftest import SmallLab
from tests.integration.steps import perform
from tests.integration.test_case_steps import open_case

THEN = datetime.now(UTC).replace(microsecond=0) - timedelta(days=3)


class PlantFinding(ForensicOperator):
    """A tool's finding of three days ago."""

    def act(self, recorder: CaseRecorder, context: Any) -> Json:
        """Store it as a tool's results are."""
        finding = ToolFinding(
            id="disk-1", title="Program added in /tmp", severity=ResultSeverity.HIGH, confidence=Confidence.HIGH, time=THEN, source="/tmp/x"
        )  # fmt: skip
        now = datetime.now(UTC)
        made = ToolResults(
            schema="forensics.results/1", case_id=recorder.case_id, evidence_id="disk-xvda", tool="disk-artifacts", started=now, ended=now,
            findings=(finding,),
        )  # fmt: skip
        artifact = store_results(recorder, made, run="planted")
        item = Investigation.model_validate(
            {"activity": "analyse_disk", "tool": "disk-artifacts", "evidence_id": "disk-xvda", "outcome": Outcome.DONE, "started_at": now,
             "artifacts": {"results": artifact}, "findings": 1}
        )  # fmt: skip
        recorder.put(case_keys.result("analyse_disk", "disk-xvda"), item)
        return {}


@pytest.fixture
def case_id(lab: SmallLab) -> str:
    """A case on the web server with its flows, among them one of three days ago that is not in the window."""
    web, flows = lab.facts["instances"]["web-server"], lab.facts["flow_logs"]
    old = flow_records.files(
        [flow_records.Talk(THEN, "203.0.113.66", 4444)], account=MEMBER_ACCOUNT, region="eu-central-1",
        interface=web["interfaces"][0], address=web["private_ip"], log_id=flows["id"],
    )  # fmt: skip
    for key, body in old.items():
        lab.client("s3", "member").put_object(Bucket=flows["bucket"], Key=key, Body=body)
    found = open_case(lab)
    perform(DescribeTargetOperator(task_id="triage.describe_target"), case_id=found)
    perform(CollectFlowsOperator(task_id="cloud_evidence.collect_flows"), case_id=found)
    return found


def extend(case_id: str) -> Any:
    return perform(ExtendRecordsOperator(task_id="cloud_evidence.extend_records"), case_id=case_id)


def item(case_id: str) -> FlowLogEvidence:
    view = case_gateways(case_id).view(case_id)
    assert view is not None
    (found,) = [e for e in view.evidence if isinstance(e, FlowLogEvidence)]
    return found


def test_nothing_is_collected_again_without_an_older_finding(case_id: str) -> None:
    before = item(case_id)
    assert extend(case_id) == {"extended": []}
    assert item(case_id) == before


def test_a_case_whose_triage_failed_is_not_told_a_second_failure(lab: SmallLab) -> None:
    assert extend(open_case(lab)) == {"extended": []}


def test_an_older_finding_brings_the_older_flows_and_keeps_what_was_stored(lab: SmallLab, case_id: str) -> None:
    before = item(case_id)
    perform(PlantFinding(task_id="investigation.analyse_disk"), case_id=case_id)
    first = extend(case_id)
    assert [e["findings"] for e in first["extended"]] == [1], "a connection to port 4444"
    after, gateways = item(case_id), case_gateways(case_id)
    assert after.origin.begin and after.origin.begin <= THEN and before.origin.begin and before.origin.begin > THEN
    assert after.origin.records == (before.origin.records or 0) + 2
    assert before.uri != after.uri and len(after.digests) == 2
    key = str(before.uri).removeprefix(f"s3://{gateways.evidence.bucket}/")
    assert b"".join(gateways.evidence.stream(key))
    again = extend(case_id)  # another try of the same step
    assert again == first and item(case_id).uri == after.uri
