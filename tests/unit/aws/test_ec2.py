"""EC2: requests as AWS's own model demands them, answers read without guessing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.stub import Stubber

from forensics.aws import ec2 as ec2_module
from forensics.aws.ec2 import Ec2Gateway, RootDisk
from forensics.errors import AwsError, ResourceGoneError
from tests.unit.aws.conftest import Stub
from tests.unit.builders import INSTANCE

TAGS = [{"Key": "forensics:case", "Value": "fc-1"}]
GROUP = "sg-0123456789abcdef0"


@pytest.fixture
def stub(stubbed: Stub) -> Stubber:
    """EC2."""
    return stubbed("ec2")


@pytest.fixture
def ec2(stub: Stubber) -> Ec2Gateway:
    """Instances and groups."""
    return Ec2Gateway(stub.client, account_id="333344445555", region="eu-central-1")


def instance(**changes: Any) -> dict[str, Any]:
    """DescribeInstances' answer with one instance."""
    record = {
        "InstanceId": INSTANCE,
        "InstanceType": "t3.micro",
        "State": {"Name": "running"},
        "Placement": {"AvailabilityZone": "eu-central-1a"},
        "LaunchTime": datetime(2026, 1, 1, tzinfo=UTC),
        "IamInstanceProfile": {"Arn": "arn:aws:iam::333344445555:instance-profile/app"},
        "MetadataOptions": {"HttpTokens": "optional", "HttpEndpoint": "enabled"},
        "Tags": [{"Key": "aws:autoscaling:groupName", "Value": "web"}],
        **changes,
    }
    return {"Reservations": [{"Instances": [record]}]}


def test_a_target_is_described_with_all_its_interfaces_and_volumes(stub: Stubber, ec2: Ec2Gateway) -> None:
    attached = [{"Name": "attachment.instance-id", "Values": [INSTANCE]}]
    stub.add_response("describe_instances", instance(), {"InstanceIds": [INSTANCE]})
    pages = [
        {
            "NetworkInterfaceId": "eni-2",
            "Attachment": {"DeviceIndex": 1},
            "VpcId": "vpc-1",
            "Groups": [{"GroupId": "sg-b"}, {"GroupId": "sg-a"}],
        },
        {
            "NetworkInterfaceId": "eni-1",
            "Attachment": {"DeviceIndex": 0},
            "VpcId": "vpc-1",
            "Groups": [{"GroupId": "sg-a"}],
            "Ipv6Addresses": [{"Ipv6Address": "2001:db8::1"}],
            "Association": {"PublicIp": "203.0.113.7"},
        },
    ]
    for number, page in enumerate(pages):
        token = {"NextToken": "more"} if number == 0 else {}
        asked = {"Filters": attached, **({"NextToken": "more"} if number else {})}
        stub.add_response("describe_network_interfaces", {"NetworkInterfaces": [page], **token}, asked)
    volume = {
        "VolumeId": "vol-1",
        "Size": 8,
        "Encrypted": True,
        "Attachments": [{"InstanceId": INSTANCE, "Device": "/dev/xvda", "DeleteOnTermination": True}],
    }
    stub.add_response("describe_volumes", {"Volumes": [volume]}, {"Filters": attached})
    groups = {"SecurityGroups": [{"GroupId": "sg-a"}, {"GroupId": "sg-b"}]}
    stub.add_response("describe_security_groups", groups, {"GroupIds": ["sg-a", "sg-b"]})
    target, raw = ec2.describe_target(INSTANCE)
    assert [i.id for i in target.interfaces] == ["eni-1", "eni-2"]
    assert target.interfaces[1].group_ids == ("sg-b", "sg-a")
    assert target.volumes[0].delete_on_termination and target.volumes[0].encrypted
    assert (target.platform, target.auto_scaling_group, target.imds_tokens) == ("linux", "web", "optional")
    assert set(raw) == {"instance", "volumes", "security_groups"}


@pytest.mark.parametrize("code", [None, "InvalidInstanceID.NotFound"])
def test_an_instance_that_does_not_exist_is_named(stub: Stubber, ec2: Ec2Gateway, code: str | None) -> None:
    for _ in range(2):
        if code:
            stub.add_client_error("describe_instances", code)
        else:
            stub.add_response("describe_instances", {"Reservations": []})
    with pytest.raises(ResourceGoneError, match=INSTANCE):
        ec2.raw_instance(INSTANCE)
    assert ec2.state(INSTANCE) == "gone"


def _launch(ec2: Ec2Gateway) -> str:
    return ec2.run_instance(
        image_id="ami-1",
        types=["m6i.xlarge", "m5.xlarge"],
        token="fc-20261124-0123456789-1",
        subnet_id="subnet-1",
        group_id=GROUP,
        profile="analysis",
        tags=TAGS,
        root=RootDisk("/dev/xvda", 140),
        kms_key_id="key-arn",
    )


def test_a_forensic_instance_has_no_public_address_and_no_imds_version_one(stub: Stubber, ec2: Ec2Gateway) -> None:
    stub.add_response(
        "run_instances",
        {"Instances": [{"InstanceId": INSTANCE}]},
        {
            "ImageId": "ami-1",
            "InstanceType": "m6i.xlarge",
            "MinCount": 1,
            "MaxCount": 1,
            "ClientToken": "fc-20261124-0123456789-1-m6i.xlarge",
            "NetworkInterfaces": [
                {
                    "DeviceIndex": 0,
                    "SubnetId": "subnet-1",
                    "Groups": [GROUP],
                    "AssociatePublicIpAddress": False,
                    "DeleteOnTermination": True,
                }
            ],
            "BlockDeviceMappings": [
                {
                    "DeviceName": "/dev/xvda",
                    "Ebs": {
                        "VolumeSize": 140,
                        "VolumeType": "gp3",
                        "Encrypted": True,
                        "KmsKeyId": "key-arn",
                        "DeleteOnTermination": True,
                    },
                }
            ],
            "IamInstanceProfile": {"Name": "analysis"},
            "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 1, "HttpEndpoint": "enabled"},
            "InstanceInitiatedShutdownBehavior": "terminate",
            "TagSpecifications": [
                {"ResourceType": "instance", "Tags": TAGS},
                {"ResourceType": "volume", "Tags": TAGS},
            ],
        },
    )
    assert _launch(ec2) == INSTANCE


def test_the_root_disk_of_an_image(stub: Stubber, ec2: Ec2Gateway) -> None:
    mappings = [
        {"DeviceName": "/dev/sdb", "Ebs": {"VolumeSize": 1}},
        {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 100}},
    ]
    image = {"RootDeviceName": "/dev/xvda", "BlockDeviceMappings": mappings}
    stub.add_response("describe_images", {"Images": [image]}, {"ImageIds": ["ami-1"]})
    assert ec2.root_disk("ami-1") == RootDisk("/dev/xvda", 100)
    stub.add_response("describe_images", {"Images": []}, {"ImageIds": ["ami-1"]})
    with pytest.raises(ResourceGoneError, match="has no EBS root volume"):
        ec2.root_disk("ami-1")


def test_memory_of_the_types_that_the_region_has(stub: Stubber, ec2: Ec2Gateway) -> None:
    known = {"InstanceType": "m6i.xlarge", "MemoryInfo": {"SizeInMiB": 16_384}}
    asked = {"Filters": [{"Name": "instance-type", "Values": ["m6i.xlarge", "x9.large"]}]}
    stub.add_response("describe_instance_types", {"InstanceTypes": [known]}, asked)
    assert ec2.memory_by_type(["m6i.xlarge", "x9.large"]) == {"m6i.xlarge": 16_384}


@pytest.mark.parametrize("code", ["InsufficientInstanceCapacity", "Unsupported", "VcpuLimitExceeded"])
def test_the_next_type_is_tried_when_one_cannot_be_had(stub: Stubber, ec2: Ec2Gateway, code: str) -> None:
    stub.add_client_error("run_instances", code)
    stub.add_response("run_instances", {"Instances": [{"InstanceId": INSTANCE}]})
    assert _launch(ec2) == INSTANCE


def test_without_any_type_all_are_named(stub: Stubber, ec2: Ec2Gateway) -> None:
    for _ in range(2):
        stub.add_client_error("run_instances", "InsufficientInstanceCapacity")
    with pytest.raises(AwsError, match=r"m6i.xlarge, m5.xlarge") as caught:
        _launch(ec2)
    assert caught.value.retryable


def test_another_launch_error_is_raised_at_once(stub: Stubber, ec2: Ec2Gateway) -> None:
    stub.add_client_error("run_instances", "UnauthorizedOperation")
    with pytest.raises(AwsError, match="UnauthorizedOperation"):
        _launch(ec2)


def test_a_terminated_instance_is_not_found_again(stub: Stubber, ec2: Ec2Gateway) -> None:
    dead = instance(State={"Name": "terminated"})
    stub.add_response("describe_instances", dead, {"Filters": [{"Name": "tag:forensics:case", "Values": ["fc-1"]}]})
    assert ec2.find_instances(tags={"forensics:case": "fc-1"}) == []


@pytest.mark.parametrize("ids", [[], [INSTANCE]])
def test_terminating_nothing_or_what_is_gone_is_fine(
    stub: Stubber, ec2: Ec2Gateway, ids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ec2_module, "GONE_AFTER", 0.0)
    if ids:
        stub.add_client_error("terminate_instances", "InvalidInstanceID.NotFound")
    ec2.terminate(ids)


def test_an_instance_that_ec2_does_not_know_yet_is_terminated_all_the_same(stub: Stubber, ec2: Ec2Gateway) -> None:
    """EC2 developer guide, "Eventual consistency": RunInstances, then InvalidInstanceID.NotFound."""
    stub.add_client_error("terminate_instances", "InvalidInstanceID.NotFound")
    stub.add_response("terminate_instances", {"TerminatingInstances": []}, {"InstanceIds": [INSTANCE]})
    ec2.terminate([INSTANCE])
    stub.assert_no_pending_responses()


# One line per call without a story of its own: botocore's model checks every parameter.
CALLS: list[tuple[str, dict[str, Any], Callable[[Ec2Gateway], Any], Any]] = [
    # botocore decodes the answer's base64 itself.
    ("get_console_output", {"Output": "TG9naW46"}, lambda c: c.console_output(INSTANCE), "Login:"),
    ("get_console_output", {}, lambda c: c.console_output(INSTANCE), None),
    (
        "describe_instance_types",
        {"InstanceTypes": [{"MemoryInfo": {"SizeInMiB": 1024}}]},
        lambda c: c.memory_mib("t3.micro"),
        1024,
    ),
    ("describe_instances", instance(), lambda c: c.zone(INSTANCE), "eu-central-1a"),
    ("describe_instances", instance(State={"Name": "stopping"}), lambda c: c.state(INSTANCE), "stopping"),
]


@pytest.mark.parametrize(("operation", "answer", "call", "result"), CALLS)
def test_each_call_is_one_that_ec2_knows(
    stub: Stubber,
    ec2: Ec2Gateway,
    operation: str,
    answer: dict[str, Any],
    call: Callable[[Ec2Gateway], Any],
    result: Any,
) -> None:
    stub.add_response(operation, answer)
    assert call(ec2) == result


def test_the_gateway_speaks_for_its_sessions_account_and_region(stub: Stubber, ec2: Ec2Gateway) -> None:
    stub.add_client_error("describe_instances", "UnauthorizedOperation")
    with pytest.raises(AwsError, match="in account 333344445555, eu-central-1"):
        ec2.zone(INSTANCE)


TEMPLATE = {"LaunchTemplateName": "forensics-drill-canary", "Version": "$Latest"}


def test_a_canary_is_launched_as_its_template_says_and_nothing_else(stub: Stubber, ec2: Ec2Gateway) -> None:
    request = {"LaunchTemplate": TEMPLATE, "MinCount": 1, "MaxCount": 1, "ClientToken": "drill-1"}
    stub.add_response("run_instances", instance()["Reservations"][0], request)
    assert ec2.launch_canary("forensics-drill-canary", token="drill-1")["InstanceId"] == INSTANCE


@pytest.mark.parametrize(("code", "good"), [("DryRunOperation", True), ("UnauthorizedOperation", False)])
def test_whether_a_canary_could_be_launched_is_asked_without_launching_it(
    stub: Stubber, ec2: Ec2Gateway, code: str, good: bool
) -> None:
    request = {"LaunchTemplate": TEMPLATE, "MinCount": 1, "MaxCount": 1, "DryRun": True}
    stub.add_client_error("run_instances", code, expected_params=request)
    if good:
        ec2.may_launch_canary("forensics-drill-canary")
        return
    with pytest.raises(AwsError, match="ask for a canary"):
        ec2.may_launch_canary("forensics-drill-canary")


def test_protections_are_taken_off_a_canary_before_it_is_ended(stub: Stubber, ec2: Ec2Gateway) -> None:
    for name in ("DisableApiTermination", "DisableApiStop"):
        stub.add_response("modify_instance_attribute", {}, {"InstanceId": INSTANCE, name: {"Value": False}})
    stub.add_response("terminate_instances", {}, {"InstanceIds": [INSTANCE]})
    ec2.end_canary(INSTANCE)
    stub.assert_no_pending_responses()


def test_an_interface_that_is_gone_is_deleted(stub: Stubber, ec2: Ec2Gateway) -> None:
    stub.add_client_error("delete_network_interface", "InvalidNetworkInterfaceID.NotFound")
    ec2.delete_interface("eni-0123456789abcdef0")
