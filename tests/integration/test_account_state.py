"""What the account says of a target, against the lab: its role, Config's history, sessions and their output; parts that are not there."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from forensics.cloud_evidence.operators import CollectStateOperator
from forensics.models.evidence import AccountStateEvidence, Outcome
from forensics.triage.operators import DescribeTargetOperator
from lab.accounts import MEMBER_ACCOUNT
from tests.gateways import case_gateways
from tests.integration.conftest import SmallLab
from tests.integration.steps import perform
from tests.integration.test_case_steps import open_case

STEP = "cloud_evidence.collect_state"


@pytest.fixture
def case_id(lab: SmallLab) -> str:
    """A case on the web server, described."""
    found = open_case(lab)
    perform(DescribeTargetOperator(task_id="triage.describe_target"), case_id=found)
    return found


def collect(case_id: str) -> Any:
    return perform(CollectStateOperator(task_id=STEP), case_id=case_id)


def item(case_id: str) -> AccountStateEvidence:
    view = case_gateways(case_id).view(case_id)
    assert view is not None
    (found,) = [e for e in view.evidence if isinstance(e, AccountStateEvidence)]
    return found


def answers(case_id: str) -> list[dict[str, Any]]:
    gateways = case_gateways(case_id)
    body = b"".join(gateways.evidence.stream(str(item(case_id).uri).removeprefix(f"s3://{gateways.evidence.bucket}/")))
    return [json.loads(line) for line in gzip.decompress(body).decode().splitlines()]


def recorder_on(lab: SmallLab) -> None:
    role = f"arn:aws:iam::{MEMBER_ACCOUNT}:role/config"
    group: Any = {"allSupported": True, "includeGlobalResourceTypes": True}
    lab.client("config", "member").put_configuration_recorder(
        ConfigurationRecorder={"name": "default", "roleARN": role, "recordingGroup": group}
    )


def test_role_history_and_sessions_become_locked_evidence_and_are_read(lab: SmallLab, case_id: str) -> None:
    iam, ssm, logs = (lab.client(s, "member") for s in ("iam", "ssm", "logs"))
    web = lab.facts["instances"]["web-server"]["instance_id"]
    everything = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
    iam.put_role_policy(RoleName="web-server", PolicyName="all", PolicyDocument=json.dumps(everything))
    recorder_on(lab)
    logs.create_log_group(logGroupName="/ssm/sessions", tags={"forensics:records": "read"})
    preferences = {
        "schemaVersion": "1.0",
        "description": "d",
        "sessionType": "Standard_Stream",
        "inputs": {"s3BucketName": "session-logs", "s3KeyPrefix": "ssm", "cloudWatchLogGroupName": "/ssm/sessions"},
    }
    ssm.create_document(
        Name="SSM-SessionManagerRunShell",
        DocumentType="Session",
        DocumentFormat="JSON",
        Content=json.dumps(preferences),
    )
    session = ssm.start_session(Target=web)["SessionId"]
    ssm.terminate_session(SessionId=session)
    logs.create_log_stream(logGroupName="/ssm/sessions", logStreamName=session)
    shown = [{"timestamp": int(datetime.now(UTC).timestamp() * 1000), "message": "$ id\nuid=0(root)"}]
    logs.put_log_events(logGroupName="/ssm/sessions", logStreamName=session, logEvents=shown)
    collect(case_id)
    found = item(case_id)
    assert found.outcome is Outcome.ACQUIRED, found.reason
    assert found.lock["mode"] and len(found.digests) == 2
    parts = {a["part"]: a["answer"] for a in answers(case_id)}
    assert {"iam-profile", "iam-role", "iam-policy", "iam-services", "config", "ssm-session", "ssm-output"} <= set(
        parts
    )
    assert parts["ssm-output"] == ["$ id\nuid=0(root)"] and parts["iam-role"]["RoleName"] == "web-server"
    assert any(f"aws s3 cp s3://session-logs/ssm/{session}.log" in n for n in found.origin.notes)
    view = case_gateways(case_id).view(case_id)
    assert view is not None
    (results,) = [r for r in view.results if r.evidence_id == found.evidence_id]
    titles = [f.title for f in results.findings]
    assert any(t.startswith("Session by SSM on") for t in titles)
    assert "The instance's role web-server may do everything: policy all" in titles


def test_without_recorder_and_sessions_it_is_said_what_to_switch_on(lab: SmallLab, case_id: str) -> None:
    collect(case_id)
    found = item(case_id)
    assert found.outcome is Outcome.ACQUIRED
    assert any("switch on its recorder" in n for n in found.origin.notes)
    assert {a["part"] for a in answers(case_id)} == {"iam-profile", "iam-role", "iam-services"}


def test_where_the_balancers_log_lies_or_what_is_to_be_switched_on(lab: SmallLab, case_id: str) -> None:
    web, network = lab.facts["instances"]["web-server"], lab.facts["member_network"]
    new, old = lab.client("elbv2", "member"), lab.client("elb", "member")
    lab.client("s3", "member").create_bucket(
        Bucket="shop-logs", CreateBucketConfiguration={"LocationConstraint": web["region"]}
    )
    made = {}
    for name in ("shop", "quiet"):
        balancer = new.create_load_balancer(Name=name, Subnets=network["subnet_ids"])["LoadBalancers"][0][
            "LoadBalancerArn"
        ]
        group = new.create_target_group(Name=name, Protocol="HTTP", Port=80, VpcId=network["vpc_id"])["TargetGroups"][0]
        forward: Any = [{"Type": "forward", "TargetGroupArn": group["TargetGroupArn"]}]
        new.create_listener(LoadBalancerArn=balancer, Protocol="HTTP", Port=80, DefaultActions=forward)
        new.register_targets(TargetGroupArn=group["TargetGroupArn"], Targets=[{"Id": web["instance_id"], "Port": 80}])
        made[name] = balancer
    on = {"access_logs.s3.enabled": "true", "access_logs.s3.bucket": "shop-logs", "access_logs.s3.prefix": "web"}
    new.modify_load_balancer_attributes(
        LoadBalancerArn=made["shop"], Attributes=[{"Key": k, "Value": v} for k, v in on.items()]
    )
    listener: Any = [{"Protocol": "HTTP", "LoadBalancerPort": 80, "InstancePort": 80}]
    old.create_load_balancer(LoadBalancerName="legacy", Listeners=listener, Subnets=network["subnet_ids"][:1])
    old.register_instances_with_load_balancer(LoadBalancerName="legacy", Instances=[{"InstanceId": web["instance_id"]}])
    collect(case_id)
    found = item(case_id)
    assert found.outcome is Outcome.ACQUIRED, found.reason
    logs = {a["subject"]: a["answer"] for a in answers(case_id) if a["part"] == "balancer-log"}
    assert set(logs) == {*made.values(), "legacy"}
    shop = logs[made["shop"]]
    assert shop["location"] == f"s3://shop-logs/web/AWSLogs/{MEMBER_ACCOUNT}/elasticloadbalancing/{web['region']}/"
    assert f"{datetime.now(UTC):%Y/%m/%d}/" in shop["prefixes"][-1]
    file_id = made["shop"].partition("loadbalancer/")[2].replace("/", ".")
    assert (
        shop["commands"][-1].startswith("aws s3 cp --recursive s3://shop-logs/web/")
        and f"_{file_id}_*" in shop["commands"][-1]
    )
    assert logs[made["quiet"]]["outcome"] == logs["legacy"]["outcome"] == "NOT_APPLICABLE"
    notes = "\n".join(found.origin.notes)
    assert "switch on access_logs.s3.enabled" in notes and "switch on AccessLog.Enabled" in notes
    assert f"aws wafv2 get-web-acl-for-resource --resource-arn {made['shop']}" in notes


def test_what_cannot_be_had_is_named_and_the_rest_is_kept(lab: SmallLab, case_id: str) -> None:
    recorder_on(lab)
    lab.control(
        "faults",
        [{"service": "iam", "account": MEMBER_ACCOUNT, "action": "GetRole", "code": "AccessDenied", "status": 403}],
    )
    collect(case_id)
    found = item(case_id)
    assert found.outcome is Outcome.PARTIAL and "role of instance profile web-server" in str(found.reason)
    assert {a["part"] for a in answers(case_id)} == {"iam-profile", "config"}
