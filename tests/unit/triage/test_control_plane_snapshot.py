"""Further control-plane facts: each by itself, requests and answers held against botocore's model."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from botocore.stub import Stubber

from forensics.triage.control_plane_snapshot import ControlPlaneSnapshot, log_window
from tests.unit.builders import ACCOUNT, INSTANCE, NOW, REGION
from tests.unit.moto_store import make_client

VPC = "vpc-0123456789abcdef0"
ARN = f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:targetgroup/web/0123456789abcdef"


@dataclass
class Stubs:
    """The three services and the facts on top of them."""

    ec2: Stubber
    autoscaling: Stubber
    elbv2: Stubber
    facts: ControlPlaneSnapshot


@pytest.fixture
def stubs() -> Iterator[Stubs]:
    """Services that answer what a test has put down."""
    with ExitStack() as stack:
        ec2, scaling, elb = (stack.enter_context(Stubber(make_client(s))) for s in ("ec2", "autoscaling", "elbv2"))
        facts = ControlPlaneSnapshot(
            ec2=ec2.client, autoscaling=scaling.client, elbv2=elb.client, account_id=ACCOUNT, region=REGION
        )
        yield Stubs(ec2, scaling, elb, facts)
        for stub in (ec2, scaling, elb):
            stub.assert_no_pending_responses()


def test_user_data_is_decoded(stubs: Stubs) -> None:
    value = base64.b64encode("#!/bin/sh\necho öffnen\n".encode()).decode()
    request = {"InstanceId": INSTANCE, "Attribute": "userData"}
    stubs.ec2.add_response(
        "describe_instance_attribute", {"InstanceId": INSTANCE, "UserData": {"Value": value}}, request
    )
    assert stubs.facts.user_data(INSTANCE) == "#!/bin/sh\necho öffnen\n"
    stubs.ec2.add_response("describe_instance_attribute", {"InstanceId": INSTANCE, "UserData": {}}, request)
    assert stubs.facts.user_data(INSTANCE) is None


def test_only_target_groups_of_the_vpc_that_hold_the_instance_are_named(stubs: Stubs) -> None:
    other = ARN.replace("web", "other")
    groups = [{"TargetGroupArn": ARN, "VpcId": VPC}, {"TargetGroupArn": other, "VpcId": "vpc-1"}]
    stubs.elbv2.add_response("describe_target_groups", {"TargetGroups": groups}, {})
    health = [
        {"Target": {"Id": "i-1", "Port": 80}, "TargetHealth": {"State": "healthy"}},
        {"Target": {"Id": INSTANCE, "Port": 8080}, "TargetHealth": {"State": "draining"}},
    ]
    stubs.elbv2.add_response("describe_target_health", {"TargetHealthDescriptions": health}, {"TargetGroupArn": ARN})
    found = stubs.facts.target_groups(INSTANCE, vpc_id=VPC)
    assert found == [{"arn": ARN, "port": 8080, "state": "draining"}]


def test_what_is_refused_is_named_and_the_rest_is_kept(stubs: Stubs) -> None:
    stubs.ec2.add_client_error("describe_instance_attribute", "UnauthorizedOperation", "no")
    options = {"HttpTokens": "required", "HttpPutResponseHopLimit": 2, "HttpEndpoint": "enabled"}
    instance = {"InstanceId": INSTANCE, "MetadataOptions": options}
    stubs.ec2.add_response("describe_instances", {"Reservations": [{"Instances": [instance]}]})
    stubs.ec2.add_response("get_console_screenshot", {"ImageData": "aGVsbG8=", "InstanceId": INSTANCE})
    member = {
        "InstanceId": INSTANCE, "AutoScalingGroupName": "web", "AvailabilityZone": f"{REGION}a",
        "LifecycleState": "InService", "HealthStatus": "HEALTHY", "ProtectedFromScaleIn": False,
    }  # fmt: skip
    stubs.autoscaling.add_response("describe_auto_scaling_instances", {"AutoScalingInstances": [member]})
    stubs.elbv2.add_response("describe_target_groups", {"TargetGroups": []}, {})
    log = {"FlowLogId": "fl-1", "LogDestinationType": "s3", "LogDestination": "arn:aws:s3:::logs", "Tags": []}
    stubs.ec2.add_response("describe_flow_logs", {"FlowLogs": [log]})
    found, missing = stubs.facts.gather(INSTANCE, vpc_id=VPC, now=NOW)
    assert (
        len(missing) == 1 and missing[0].startswith("user_data is missing: ") and "UnauthorizedOperation" in missing[0]
    )
    assert found["user_data"] is None
    assert found["metadata_options"]["HttpPutResponseHopLimit"] == 2
    assert found["screenshot_jpeg_base64"] == "aGVsbG8="
    assert found["auto_scaling"]["AutoScalingGroupName"] == "web"
    assert found["target_groups"] == []
    assert found["flow_logs"] == [{k: v for k, v in log.items() if k != "Tags"}]


def test_the_log_window_ends_now_and_begins_a_day_before() -> None:
    window = log_window(ACCOUNT, REGION, INSTANCE, now=datetime(2026, 11, 24, 8, tzinfo=UTC))
    ends = [datetime.fromisoformat(window[name]) for name in ("from", "to")]
    assert ends[1] - ends[0] == timedelta(hours=24)
    assert INSTANCE in window["cloudtrail"]
