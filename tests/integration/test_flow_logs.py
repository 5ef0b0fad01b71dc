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
from lab.evidence.flow_records import DEFAULT, parquet_of
from lab.seed.member import recorded_flows
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
    assert found.outcome is Outcome.PARTIAL and "1 file of VPC flow logs not read whole" in str(found.reason)
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


def in_cloudwatch(lab: SmallLab, *, tags: dict[str, str], fields: str = "", kind: str = "cloud-watch-logs") -> str:
    """The VPC's flow log writes somewhere else, the web server's flows of the last hours among another machine's."""
    ec2, logs = lab.client("ec2", "member"), lab.client("logs", "member")
    ec2.delete_flow_logs(FlowLogIds=[lab.facts["flow_logs"]["id"]])
    logs.create_log_group(logGroupName="vpc-flows", tags=tags)
    asked = {"LogFormat": " ".join(f"${{{name}}}" for name in fields.split())} if fields else {}
    ec2.create_flow_logs(
        ResourceType="VPC", ResourceIds=[lab.facts["member_network"]["vpc_id"]], TrafficType="ALL", LogDestinationType=kind,
        LogGroupName="vpc-flows", DeliverLogsPermissionArn=f"arn:aws:iam::{MEMBER_ACCOUNT}:role/flows", **asked,
    )  # fmt: skip
    web = lab.facts["instances"]["web-server"]
    talks = recorded_flows(lab.facts["instances"]["db-server"]["private_ip"])
    for interface in (web["interfaces"][0], "eni-0fedcba9876543210"):
        name = f"{interface}-all"
        logs.create_log_stream(logGroupName="vpc-flows", logStreamName=name)
        rows = [
            row for t in talks for row in t.rows(account=MEMBER_ACCOUNT, interface=interface, address=web["private_ip"])
        ]
        events = [
            {
                "timestamp": int(str(row["start"])) * 1000,
                "message": " ".join(str(row.get(f, "-")) for f in (fields or DEFAULT).split()),
            }
            for row in rows
        ]
        logs.put_log_events(
            logGroupName="vpc-flows",
            logStreamName=name,
            logEvents=sorted(events, key=lambda e: int(str(e["timestamp"]))),
        )
    return str(web["interfaces"][0])


@pytest.mark.parametrize(
    "fields", ["", "srcaddr dstaddr srcport dstport protocol packets bytes start end action interface-id tcp-flags"]
)
def test_flows_in_cloudwatch_are_read_by_the_flow_log_s_own_format(lab: SmallLab, case_id: str, fields: str) -> None:
    interface = in_cloudwatch(lab, tags={"forensics:records": "read"}, fields=fields)
    collect(case_id)
    found, gateways = item(case_id), case_gateways(case_id)
    assert (
        found.outcome is Outcome.ACQUIRED
        and found.origin.source == "cloudwatch-logs"
        and found.origin.log_group == "vpc-flows"
    )
    body = b"".join(gateways.evidence.stream(str(found.uri).removeprefix(f"s3://{gateways.evidence.bucket}/")))
    head, *lines = gzip.decompress(body).decode().splitlines()
    assert head == (fields or DEFAULT) and found.origin.records == len(lines) == 52
    assert all(interface in line for line in lines)


def test_a_log_group_without_the_tag_is_named_with_what_lets_it_be_read(lab: SmallLab, case_id: str) -> None:
    in_cloudwatch(lab, tags={"team": "network"})
    fault = {
        "service": "logs",
        "account": MEMBER_ACCOUNT,
        "action": "FilterLogEvents",
        "code": "AccessDeniedException",
        "status": 400,
    }
    lab.control("faults", [fault])
    with pytest.raises(Exception, match="cannot be read"):
        collect(case_id)
    found = item(case_id)
    assert found.outcome is Outcome.FAILED and "tag log group vpc-flows with forensics:records=read" in str(
        found.reason
    )


def test_parquet_is_read_as_text_is_and_a_broken_file_is_named(lab: SmallLab, case_id: str) -> None:
    s3, bucket, web = lab.client("s3", "member"), lab.facts["flow_logs"]["bucket"], lab.facts["instances"]["web-server"]
    keys = [o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    for key in keys:
        text = gzip.decompress(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        s3.put_object(Bucket=bucket, Key=key.replace(".log.gz", ".log.parquet"), Body=parquet_of(text))
        s3.delete_object(Bucket=bucket, Key=key)
    broken = keys[0].replace(".log.gz", "0.log.parquet")
    s3.put_object(Bucket=bucket, Key=broken, Body=b"PAR1" + bytes(200) + b"PAR1")
    collect(case_id)
    found = item(case_id)
    assert found.outcome is Outcome.PARTIAL and f"first {broken}: its Parquet is broken" in str(found.reason)
    assert found.origin.records == 52
    view = case_gateways(case_id).view(case_id)
    assert view is not None
    (results,) = [r for r in view.results if r.tool == "cloud"]
    assert results.counts["flows"] == 52 and web["interfaces"]


def test_a_flow_log_into_firehose_is_named(lab: SmallLab, case_id: str) -> None:
    ec2 = lab.client("ec2", "member")
    ec2.delete_flow_logs(FlowLogIds=[lab.facts["flow_logs"]["id"]])
    stream = f"arn:aws:firehose:eu-central-1:{MEMBER_ACCOUNT}:deliverystream/flows"
    ec2.create_flow_logs(
        ResourceType="VPC", ResourceIds=[lab.facts["member_network"]["vpc_id"]], TrafficType="ALL",
        LogDestinationType="kinesis-data-firehose", LogDestination=stream,
    )  # fmt: skip
    with pytest.raises(AirflowSkipException):
        collect(case_id)
    assert f"kinesis-data-firehose {stream}" in str(item(case_id).reason)


def test_a_bucket_that_may_not_be_read_is_failed_evidence_by_name(lab: SmallLab, case_id: str) -> None:
    fault = {"service": "s3", "account": MEMBER_ACCOUNT, "action": "List.*", "code": "AccessDenied", "status": 403}
    lab.control("faults", [fault])
    with pytest.raises(Exception, match="cannot be read"):
        collect(case_id)
    found = item(case_id)
    assert found.outcome is Outcome.FAILED and lab.facts["flow_logs"]["bucket"] in str(found.reason)
    assert found.ended_at is not None and found.ended_at <= datetime.now(UTC)
