"""EC2 as containment sees it: every interface and address, own groups, and records read without guessing."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.stub import Stubber

from forensics.aws.ec2_facts import Ec2Facts, metadata_of, volumes_of
from forensics.models.target_facts import (
    AddressFacts,
    EndpointFacts,
    GroupFacts,
    InterfaceFacts,
    MetadataFacts,
    OwnGroup,
    VolumeFacts,
)
from tests.unit.aws.conftest import Stub
from tests.unit.builders import CASE_ID, INSTANCE

OF_INSTANCE = {"Filters": [{"Name": "attachment.instance-id", "Values": [INSTANCE]}]}
OF_CASE = {"Filters": [{"Name": "tag:forensics:case", "Values": [CASE_ID]}]}


@pytest.fixture
def stub(stubbed: Stub) -> Stubber:
    """EC2."""
    return stubbed("ec2")


@pytest.fixture
def facts(stub: Stubber) -> Ec2Facts:
    """The gateway."""
    return Ec2Facts(stub.client, account_id="333344445555", region="eu-central-1")


ENI: dict[str, Any] = {
    "NetworkInterfaceId": "eni-1",
    "VpcId": "vpc-1",
    "SubnetId": "subnet-1",
    "InterfaceType": "trunk",
    "PrivateIpAddress": "10.0.0.5",
    "PrivateIpAddresses": [{"PrivateIpAddress": "10.0.0.5"}, {"PrivateIpAddress": "10.0.0.6"}],
    "Ipv6Addresses": [{"Ipv6Address": "2001:db8::5"}],
    "Groups": [{"GroupId": "sg-app"}],
    "Attachment": {"DeviceIndex": 1, "AttachmentId": "eni-attach-1", "DeleteOnTermination": True},
    "Association": {"PublicIp": "203.0.113.7"},
    "ConnectionTrackingConfiguration": {"TcpEstablishedTimeout": 300},
}
ELASTIC = {
    "AllocationId": "eipalloc-1",
    "AssociationId": "eipassoc-1",
    "PublicIp": "203.0.113.7",
    "PrivateIpAddress": "10.0.0.5",
    "NetworkInterfaceId": "eni-1",
}
# Not associated with anything: not the target's.
SPARE = {"AllocationId": "eipalloc-2", "PublicIp": "203.0.113.8", "NetworkInterfaceId": "eni-1"}


def test_an_interface_has_its_elastic_ips_groups_and_attachment(stub: Stubber, facts: Ec2Facts) -> None:
    plain = {"NetworkInterfaceId": "eni-0", "Association": {"PublicIp": "198.51.100.9"}}
    stub.add_response("describe_network_interfaces", {"NetworkInterfaces": [ENI, plain]}, OF_INSTANCE)
    asked = {"Filters": [{"Name": "network-interface-id", "Values": ["eni-1", "eni-0"]}]}
    stub.add_response("describe_addresses", {"Addresses": [ELASTIC, SPARE]}, asked)
    first, second = facts.interfaces(INSTANCE)
    assert first == InterfaceFacts(id="eni-0", device_index=0, vpc_id="", group_ids=(), public_ip="198.51.100.9"), (
        "an address that is no Elastic IP cannot be given back"
    )
    assert second == InterfaceFacts(
        id="eni-1",
        device_index=1,
        vpc_id="vpc-1",
        subnet_id="subnet-1",
        kind="trunk",
        group_ids=("sg-app",),
        private_ips=("10.0.0.5", "10.0.0.6"),
        ipv6=("2001:db8::5",),
        public_ip=None,
        addresses=(
            AddressFacts(
                allocation_id="eipalloc-1",
                association_id="eipassoc-1",
                public_ip="203.0.113.7",
                private_ip="10.0.0.5",
            ),
        ),
        attachment_id="eni-attach-1",
        delete_on_termination=True,
        idle_timeout=300,
    )


def test_without_an_interface_no_address_is_asked_for(stub: Stubber, facts: Ec2Facts) -> None:
    stub.add_response("describe_network_interfaces", {"NetworkInterfaces": []}, OF_INSTANCE)
    assert facts.interfaces(INSTANCE) == ()


@pytest.mark.parametrize(
    ("name", "answer", "value"),
    [
        ("disableApiStop", {"DisableApiStop": {"Value": True}}, True),
        ("disableApiTermination", {"DisableApiTermination": {"Value": False}}, False),
        (
            "instanceInitiatedShutdownBehavior",
            {"InstanceInitiatedShutdownBehavior": {"Value": "terminate"}},
            "terminate",
        ),
        ("disableApiStop", {}, None),
    ],
)
def test_an_attribute_is_its_value(
    stub: Stubber, facts: Ec2Facts, name: Any, answer: dict[str, Any], value: object
) -> None:
    stub.add_response("describe_instance_attribute", answer, {"InstanceId": INSTANCE, "Attribute": name})
    assert facts.attribute(INSTANCE, name=name) == value


@pytest.mark.parametrize("instance_id", [None, INSTANCE])
def test_profile_associations_that_are_ending_are_not_asked_for(
    stub: Stubber, facts: Ec2Facts, instance_id: str | None
) -> None:
    filters = [{"Name": "state", "Values": ["associating", "associated"]}]
    if instance_id:
        filters.append({"Name": "instance-id", "Values": [INSTANCE]})
    found = [{"AssociationId": "iip-1", "InstanceId": INSTANCE}]
    answer = {"IamInstanceProfileAssociations": found}
    stub.add_response("describe_iam_instance_profile_associations", answer, {"Filters": filters})
    assert facts.profile_associations(instance_id=instance_id) == found


RULE = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "10.0.0.0/8"}], "Ipv6Ranges": []}


def group(name: str) -> dict[str, Any]:
    """A security group that carries the case's tag."""
    return {"GroupId": f"sg-{name}", "GroupName": name, "VpcId": "vpc-1", "IpPermissionsEgress": [RULE]}


@pytest.mark.parametrize(
    ("token", "found"),
    [
        ("k3y", [f"forensics-{CASE_ID}-k3y"]),
        ("other", []),
        ("", [f"forensics-{CASE_ID}-k3y"]),
    ],
)
def test_a_group_is_ours_by_tag_and_unguessable_name(
    stub: Stubber, facts: Ec2Facts, token: str, found: list[str]
) -> None:
    names = [f"forensics-{CASE_ID}-k3y", f"web-{CASE_ID}-k3y", "forensics-planted"]
    stub.add_response("describe_security_groups", {"SecurityGroups": [group(n) for n in names]}, OF_CASE)
    assert [g.name for g in facts.own_groups(case_id=CASE_ID, token=token)] == found


def test_rules_of_an_own_group_can_be_sent_back(stub: Stubber, facts: Ec2Facts) -> None:
    stub.add_response("describe_security_groups", {"SecurityGroups": [group(f"forensics-{CASE_ID}-k3y")]}, OF_CASE)
    (own,) = facts.own_groups(case_id=CASE_ID, token="k3y")
    sent_back = {k: v for k, v in RULE.items() if k != "Ipv6Ranges"}
    assert own == OwnGroup(
        id=f"sg-forensics-{CASE_ID}-k3y", name=f"forensics-{CASE_ID}-k3y", vpc_id="vpc-1", egress=(sent_back,)
    )


def test_groups_are_asked_for_by_filter_and_one_that_is_not_shown_yet_is_left_out(
    stub: Stubber, facts: Ec2Facts
) -> None:
    found = {
        "GroupId": "sg-1", "GroupName": "app", "Description": "d", "OwnerId": "333344445555", "VpcId": "vpc-1",
        "Tags": [{"Key": "blue:case", "Value": "c"}], "IpPermissions": [{"IpProtocol": "-1"}], "IpPermissionsEgress": [{"IpProtocol": "-1"}],
    }  # fmt: skip
    asked = {"Filters": [{"Name": "group-id", "Values": ["sg-1", "sg-2"]}]}
    stub.add_response("describe_security_groups", {"SecurityGroups": [found]}, asked)
    assert facts.groups(["sg-2", "sg-1", "sg-1"]) == {"sg-1": GroupFacts(name="app", tags={"blue:case": "c"}, rules=2)}
    assert facts.groups([]) == {}, "nothing is asked"


def test_every_peer_of_a_rule_is_counted_and_a_rule_without_peers_is_one(stub: Stubber, facts: Ec2Facts) -> None:
    ranges = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}], "Ipv6Ranges": [{"CidrIpv6": "::/0"}]}
    answer = {
        "SecurityGroups": [
            {"GroupId": "sg-1", "IpPermissions": [{"IpProtocol": "-1"}], "IpPermissionsEgress": [ranges]}
        ]
    }
    stub.add_response("describe_security_groups", answer, {"GroupIds": ["sg-1"]})
    assert facts.rule_count("sg-1") == 3


def test_a_group_that_is_not_known_yet_is_asked_again_and_never_looks_closed(stub: Stubber, facts: Ec2Facts) -> None:
    """EC2 developer guide, "Eventual consistency in the Amazon EC2 API": a list by filter would be empty."""
    asked = {"GroupIds": ["sg-1"]}
    stub.add_client_error(
        "describe_security_groups", "InvalidGroup.NotFound", "does not exist", 400, expected_params=asked
    )
    rule = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    answer = {"SecurityGroups": [{"GroupId": "sg-1", "IpPermissions": [], "IpPermissionsEgress": [rule]}]}
    stub.add_response("describe_security_groups", answer, asked)
    assert facts.rule_count("sg-1") == 1


def test_vpcs_with_an_ipv6_block_are_told_from_the_others(stub: Stubber, facts: Ec2Facts) -> None:
    with_v6 = {"VpcId": "vpc-2", "Ipv6CidrBlockAssociationSet": [{"Ipv6CidrBlock": "2001:db8::/56"}]}
    answer = {"Vpcs": [{"VpcId": "vpc-1", "Ipv6CidrBlockAssociationSet": []}, with_v6]}
    stub.add_response("describe_vpcs", answer, {"VpcIds": ["vpc-1", "vpc-2"]})
    assert facts.ipv6_vpcs({"vpc-2", "vpc-1"}) == ("vpc-2",)


def test_endpoints_have_their_groups_or_their_prefix_list(stub: Stubber, facts: Ec2Facts) -> None:
    service = "com.amazonaws.eu-central-1"
    found = [
        {
            "VpcEndpointId": "vpce-3",
            "VpcEndpointType": "Interface",
            "ServiceName": f"{service}.sts",
            "State": "deleting",
        },
        {
            "VpcEndpointId": "vpce-2",
            "VpcEndpointType": "Interface",
            "ServiceName": f"{service}.ssm",
            "VpcId": "vpc-1",
            "State": "Available",
            "Groups": [{"GroupId": "sg-e"}],
        },
        {"VpcEndpointId": "vpce-1", "VpcEndpointType": "Gateway", "ServiceName": f"{service}.s3", "VpcId": "vpc-1"},
    ]
    asked = {"Filters": [{"Name": "vpc-id", "Values": ["vpc-1"]}]}
    stub.add_response("describe_vpc_endpoints", {"VpcEndpoints": found}, asked)
    lists = [{"PrefixListName": f"{service}.s3", "PrefixListId": "pl-1"}]
    asked = {"Filters": [{"Name": "prefix-list-name", "Values": [f"{service}.s3"]}]}
    stub.add_response("describe_managed_prefix_lists", {"PrefixLists": lists}, asked)
    assert facts.endpoints(["vpc-1"]) == (
        EndpointFacts(id="vpce-1", service="s3", kind="Gateway", vpc_id="vpc-1", prefix_list_id="pl-1"),
        EndpointFacts(id="vpce-2", service="ssm", kind="Interface", vpc_id="vpc-1", group_ids=("sg-e",)),
    )


def test_volumes_of_a_record_leave_the_instance_store_out() -> None:
    mapped = [
        {"DeviceName": "/dev/xvda", "Ebs": {"VolumeId": "vol-1", "DeleteOnTermination": True}},
        {"DeviceName": "/dev/sdb"},
    ]
    assert volumes_of({"BlockDeviceMappings": mapped}) == (  # type: ignore[typeddict-item]
        VolumeFacts(device="/dev/xvda", volume_id="vol-1", delete_on_termination=True),
    )
    assert volumes_of({}) == ()


def test_metadata_options_of_a_record() -> None:
    given: Any = {
        "MetadataOptions": {"HttpEndpoint": "disabled", "HttpTokens": "required", "HttpPutResponseHopLimit": 2}
    }
    assert metadata_of(given) == MetadataFacts(endpoint="disabled", tokens="required", hop_limit=2)
    assert metadata_of({}) is None
