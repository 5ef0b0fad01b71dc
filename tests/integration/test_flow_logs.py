"""The flows of a case against the lab: from the bucket of a flow log to findings; what is not switched on and what may not be read."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from forensics.case.gaps import gaps
from forensics.cloud_evidence.operators import CollectFlowsOperator
from forensics.models.custody import CustodyAction
from forensics.models.evidence import FlowLogEvidence, Outcome
from forensics.triage.operators import DescribeTargetOperator
from lab.accounts import MEMBER_ACCOUNT
from tests.gateways import case_gateways
from tests.integration.conftest import SmallLab
from tests.integration.steps import perform
from tests.integration.test_case_steps import open_case

STEP = "cloud_evidence.collect_flows"


@pytest.fixture
def case_id(lab: SmallLab) -> str:
    """A case on the web server, described."""
    found = open_case(lab)
    perform(DescribeTargetOperator(task_id="triage.describe_target"), case_id=found)
    return found


def collect(case_id: str) -> Any:
    return perform(CollectFlowsOperator(task_id=STEP), case_id=case_id)


def item(case_id: str) -> FlowLogEvidence:
    view = case_gateways(case_id).view(case_id)
    assert view is not None
    (found,) = [e for e in view.evidence if isinstance(e, FlowLogEvidence)]
    return found


def test_flows_become_locked_evidence_and_a_broken_file_is_named(lab: SmallLab, case_id: str) -> None:
    s3, bucket = lab.client("s3", "member"), lab.facts["flow_logs"]["bucket"]
    key = s3.list_objects_v2(Bucket=bucket)["Contents"][-1]["Key"]
    s3.put_object(Bucket=bucket, Key=key.replace(".log.gz", "0.log.gz"), Body=b"\x1f\x8b broken")
    collect(case_id)
    found, gateways = item(case_id), case_gateways(case_id)
    assert found.outcome is Outcome.PARTIAL and "1 flow log file not read whole" in str(found.reason)
    assert len({d.value for d in found.digests}) == 1 and len(found.digests) == 2
    body = b"".join(gateways.evidence.stream(str(found.uri).removeprefix(f"s3://{gateways.evidence.bucket}/")))
    lines = [line for line in gzip.decompress(body).decode().splitlines() if not line.startswith("version")]
    web = lab.facts["instances"]["web-server"]
    assert found.origin.records == len(lines) == 52 and all(web["interfaces"][0] in line for line in lines)
    view = gateways.view(case_id)
    assert view is not None
    (results,) = [r for r in view.results if r.tool == "cloud"]
    assert results.counts["flows"] == 52 and results.artifacts[0].state == "in part"
    actions = {e.action for e in view.custody if e.evidence_id == found.evidence_id}
    assert {CustodyAction.EVIDENCE_ACQUIRED, CustodyAction.EVIDENCE_LOCKED, CustodyAction.EVIDENCE_VERIFIED} <= actions


def test_without_a_flow_log_it_is_said_what_to_switch_on_and_nothing_is_missing(lab: SmallLab, case_id: str) -> None:
    lab.client("ec2", "member").delete_flow_logs(FlowLogIds=[lab.facts["flow_logs"]["id"]])
    with pytest.raises(AirflowSkipException, match="NOT_APPLICABLE"):
        collect(case_id)
    found = item(case_id)
    assert found.outcome is Outcome.NOT_APPLICABLE and "CreateFlowLogs" in str(found.reason)
    view = case_gateways(case_id).view(case_id)
    assert view is not None and not [g for g in gaps(view) if "flow" in g.subject]


def test_flows_in_cloudwatch_are_named_with_the_command_that_reads_them(lab: SmallLab, case_id: str) -> None:
    ec2, web = lab.client("ec2", "member"), lab.facts["instances"]["web-server"]
    ec2.delete_flow_logs(FlowLogIds=[lab.facts["flow_logs"]["id"]])
    role = f"arn:aws:iam::{MEMBER_ACCOUNT}:role/flows"
    lab.client("logs", "member").create_log_group(logGroupName="vpc-flows")
    made = ec2.create_flow_logs(
        ResourceType="VPC", ResourceIds=[lab.facts["member_network"]["vpc_id"]], TrafficType="ALL", LogGroupName="vpc-flows",
        DeliverLogsPermissionArn=role,
    )  # fmt: skip
    assert made["FlowLogIds"]
    with pytest.raises(AirflowSkipException):
        collect(case_id)
    command = f"aws logs filter-log-events --log-group-name vpc-flows --filter-pattern {web['interfaces'][0]}"
    assert command in str(item(case_id).reason)


def test_a_bucket_that_may_not_be_read_is_failed_evidence_by_name(lab: SmallLab, case_id: str) -> None:
    fault = {"service": "s3", "account": MEMBER_ACCOUNT, "action": "List.*", "code": "AccessDenied", "status": 403}
    lab.control("faults", [fault])
    with pytest.raises(Exception, match="cannot be read"):
        collect(case_id)
    found = item(case_id)
    assert found.outcome is Outcome.FAILED and lab.facts["flow_logs"]["bucket"] in str(found.reason)
    assert found.ended_at is not None and found.ended_at <= datetime.now(UTC)
