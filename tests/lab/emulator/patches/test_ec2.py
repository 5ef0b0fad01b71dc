"""EC2 of the lab behaves as AWS does where stock moto does not: interfaces, instances, volumes."""

from __future__ import annotations

import time
import uuid

import pytest
from botocore.exceptions import ClientError

from tests.lab.conftest import FORENSIC, MEMBER, REGION, Lab, Network


def refused(code: str):
    """A call that AWS refuses with this code."""
    return pytest.raises(ClientError, match=rf"\({code.replace('.', chr(92) + '.')}\)")


def groups_of(network: Network, instance: str) -> list[list[str]]:
    interfaces = network.describe(instance)["NetworkInterfaces"]
    interfaces.sort(key=lambda interface: interface["Attachment"]["DeviceIndex"])
    return [[group["GroupId"] for group in interface["Groups"]] for interface in interfaces]


def test_isolating_an_instance_leaves_exactly_the_new_group(network: Network) -> None:
    old, new = network.group("old"), network.group("isolation", closed=True)
    instance = network.instance(old)
    network.ec2.modify_instance_attribute(InstanceId=instance, Groups=[new])
    assert groups_of(network, instance) == [[new]]
    assert [group["GroupId"] for group in network.describe(instance)["SecurityGroups"]] == [new]


def test_changing_the_primary_interface_changes_the_instance(network: Network) -> None:
    old, new = network.group("old"), network.group("new")
    instance = network.instance(old)
    interface = network.describe(instance)["NetworkInterfaces"][0]["NetworkInterfaceId"]
    network.ec2.modify_network_interface_attribute(NetworkInterfaceId=interface, Groups=[new])
    assert groups_of(network, instance) == [[new]]
    assert [group["GroupId"] for group in network.describe(instance)["SecurityGroups"]] == [new]


def with_second_interface(network: Network, instance: str, group: str) -> str:
    made = network.ec2.create_network_interface(SubnetId=network.subnet, Groups=[group])
    interface = made["NetworkInterface"]["NetworkInterfaceId"]
    network.ec2.attach_network_interface(NetworkInterfaceId=interface, InstanceId=instance, DeviceIndex=1)
    return str(interface)


def test_interfaces_of_one_instance_are_independent(network: Network) -> None:
    first, second, new = network.group("first"), network.group("second"), network.group("new")
    instance = network.instance(first)
    interface = with_second_interface(network, instance, second)
    assert groups_of(network, instance) == [[first], [second]]
    network.ec2.modify_network_interface_attribute(NetworkInterfaceId=interface, Groups=[new])
    assert groups_of(network, instance) == [[first], [new]]


def test_groups_of_an_instance_with_two_interfaces_cannot_be_set_at_once(network: Network) -> None:
    group = network.group("one")
    instance = network.instance(group)
    with_second_interface(network, instance, group)
    with pytest.raises(ClientError, match="multiple interfaces attached") as caught:
        network.ec2.modify_instance_attribute(InstanceId=instance, Groups=[group])
    assert caught.value.response["Error"]["Code"] == "InvalidInstanceID"


def test_an_unknown_group_is_refused_everywhere(network: Network) -> None:
    instance = network.instance()
    interface = network.describe(instance)["NetworkInterfaces"][0]["NetworkInterfaceId"]
    unknown = ["sg-0123456789abcdef0"]
    with refused("InvalidGroup.NotFound"):
        network.ec2.modify_instance_attribute(InstanceId=instance, Groups=unknown)
    with refused("InvalidGroup.NotFound"):
        network.ec2.modify_network_interface_attribute(NetworkInterfaceId=interface, Groups=unknown)
    with refused("InvalidGroup.NotFound"):
        network.ec2.create_network_interface(SubnetId=network.subnet, Groups=unknown)


def test_a_group_in_use_cannot_be_deleted(network: Network) -> None:
    group = network.group("used")
    network.instance(group)
    with refused("DependencyViolation"):
        network.ec2.delete_security_group(GroupId=group)


def test_two_attributes_in_one_call_are_refused(network: Network) -> None:
    instance = network.instance()
    with refused("InvalidParameterCombination"):
        network.ec2.modify_instance_attribute(
            InstanceId=instance, DisableApiTermination={"Value": True}, SourceDestCheck={"Value": False}
        )


def test_a_subnets_ipv6_block_has_a_state(network: Network) -> None:
    """botocore's model of EC2, SubnetCidrBlockState: a structure with one of the named states."""
    vpc = network.ec2.create_vpc(CidrBlock="10.66.0.0/16", AmazonProvidedIpv6CidrBlock=True)["Vpc"]["VpcId"]
    subnet = network.ec2.create_subnet(VpcId=vpc, CidrBlock="10.66.0.0/20", Ipv6CidrBlock="2001:db8:66::/64")["Subnet"]
    (block,) = subnet["Ipv6CidrBlockAssociationSet"]
    assert block["Ipv6CidrBlockState"] == {"State": "associated"}


def test_instance_ids_are_checked(network: Network) -> None:
    with refused("InvalidInstanceID.Malformed"):
        network.ec2.describe_instances(InstanceIds=["i-nonsense"])
    with refused("InvalidInstanceID.NotFound"):
        network.ec2.describe_instances(InstanceIds=["i-0123456789abcdef0"])
    with refused("InvalidInstanceID.Malformed"):
        network.ec2.terminate_instances(InstanceIds=["instance"])


def test_states_take_their_time(lab: Lab, network: Network) -> None:
    with lab.config(instance_seconds=3600, terminate_seconds=3600):
        instance = network.instance()
        assert network.describe(instance)["State"]["Name"] == "pending"
        lab.advance(3600)
        assert network.describe(instance)["State"]["Name"] == "running"
        network.ec2.terminate_instances(InstanceIds=[instance])
        assert network.describe(instance)["State"]["Name"] == "shutting-down"
        lab.advance(3600)
        assert network.describe(instance)["State"]["Name"] == "terminated"


def test_termination_protection(network: Network) -> None:
    instance = network.instance(DisableApiTermination=True)
    with refused("OperationNotPermitted"):
        network.ec2.terminate_instances(InstanceIds=[instance])
    network.ec2.modify_instance_attribute(InstanceId=instance, DisableApiTermination={"Value": False})
    network.ec2.terminate_instances(InstanceIds=[instance])
    assert network.describe(instance)["State"]["Name"] == "terminated"


def test_a_terminated_instance_frees_its_group_and_interface(network: Network) -> None:
    group = network.group("freed")
    instance = network.instance(group)
    network.ec2.terminate_instances(InstanceIds=[instance])
    network.ec2.delete_security_group(GroupId=group)


def test_a_launch_token_launches_once(network: Network) -> None:
    token = str(uuid.uuid4())
    first = network.instance(ClientToken=token)
    assert network.instance(ClientToken=token) == first
    with refused("IdempotentParameterMismatch"):
        network.instance(ClientToken=token, InstanceType="m5.large")


def test_consoles(lab: Lab, network: Network) -> None:
    instance = network.managed(network.instance(), hostname="web-1")
    assert "web-1 login:" in network.ec2.get_console_output(InstanceId=instance)["Output"]
    assert network.ec2.get_console_screenshot(InstanceId=instance)["ImageData"].startswith("/9j/")
    network.ec2.terminate_instances(InstanceIds=[instance])
    with refused("IncorrectInstanceState"):
        network.ec2.get_console_screenshot(InstanceId=instance)


def test_the_forensic_ami_launches_a_managed_forensic_instance(lab: Lab) -> None:
    network = Network(lab, FORENSIC)
    with lab.config(forensic_ami_id="ami-0f0f0f0f0f0f0f0f0"):
        instance = network.instance(ImageId="ami-0f0f0f0f0f0f0f0f0")
    record = next(r for r in lab.get("instance")["instances"] if r["instance_id"] == instance)
    assert (record["kind"], record["managed"], record["account"]) == ("forensic", True, FORENSIC)
    assert (lab.directory / "instances" / f"{instance}.json").is_file()
    listed = lab.client("ssm").describe_instance_information(Filters=[{"Key": "InstanceIds", "Values": [instance]}])[
        "InstanceInformationList"
    ]
    assert [item["PingStatus"] for item in listed] == ["Online"]


def test_an_image_is_pending_before_it_is_available(lab: Lab, network: Network) -> None:
    instance = network.instance()
    with lab.config(image_seconds=3600):
        image = network.ec2.create_image(InstanceId=instance, Name=f"ami-{time.monotonic_ns()}")["ImageId"]

    def state() -> str:
        return network.ec2.describe_images(ImageIds=[image])["Images"][0]["State"]

    assert state() == "pending"
    lab.advance(3600)
    assert state() == "available"


def volume(network: Network, **settings) -> str:
    chosen = {"AvailabilityZone": network.zone, "Size": 1} | settings
    return str(network.ec2.create_volume(**chosen)["VolumeId"])


def test_attaching_follows_the_rules(network: Network) -> None:
    first, second = network.instance(), network.instance()
    disk, far = volume(network), volume(network, AvailabilityZone=f"{REGION}b")
    network.ec2.attach_volume(VolumeId=disk, InstanceId=first, Device="/dev/sdf")
    with refused("VolumeInUse"):
        network.ec2.attach_volume(VolumeId=disk, InstanceId=second, Device="/dev/sdf")
    with refused("InvalidVolume.ZoneMismatch"):
        network.ec2.attach_volume(VolumeId=far, InstanceId=first, Device="/dev/sdg")
    with refused("InvalidParameterValue"):
        network.ec2.attach_volume(VolumeId=volume(network), InstanceId=first, Device="/dev/sdf")


def test_detaching_needs_no_instance_id(network: Network) -> None:
    instance, disk = network.instance(), volume(network)
    network.ec2.attach_volume(VolumeId=disk, InstanceId=instance, Device="/dev/sdf")
    assert network.ec2.detach_volume(VolumeId=disk)["InstanceId"] == instance
    assert network.ec2.describe_volumes(VolumeIds=[disk])["Volumes"][0]["State"] == "available"
    with refused("IncorrectState"):
        network.ec2.detach_volume(VolumeId=disk)


def test_volume_states_take_a_moment(lab: Lab, network: Network) -> None:
    instance = network.instance()

    def shown(disk: str) -> tuple[str, list[str]]:
        found = network.ec2.describe_volumes(VolumeIds=[disk])["Volumes"][0]
        return found["State"], [attachment["State"] for attachment in found["Attachments"]]

    with lab.config(volume_seconds=3600):
        disk = volume(network)
        assert shown(disk) == ("creating", [])
        with refused("IncorrectState"):
            network.ec2.attach_volume(VolumeId=disk, InstanceId=instance, Device="/dev/sdf")
        lab.advance(3600)
        assert shown(disk) == ("available", [])
        network.ec2.attach_volume(VolumeId=disk, InstanceId=instance, Device="/dev/sdf")
        assert shown(disk) == ("in-use", ["attaching"])
        lab.advance(3600)
        assert shown(disk) == ("in-use", ["attached"])
        network.ec2.detach_volume(VolumeId=disk)
        assert shown(disk) == ("in-use", ["detaching"])
        lab.advance(3600)
        assert shown(disk) == ("available", [])


def test_a_launch_with_several_volumes(lab: Lab, network: Network) -> None:
    mappings = [
        {"DeviceName": name, "Ebs": {"VolumeSize": 8, "DeleteOnTermination": name == "/dev/sda1"}}
        for name in ("/dev/sda1", "/dev/sdb", "/dev/sdc")
    ]
    with lab.config(instance_seconds=3600, volume_seconds=3600):
        instance = network.instance(BlockDeviceMappings=mappings)
    assert len(network.describe(instance)["BlockDeviceMappings"]) == 3
    assert network.describe(instance)["PlatformDetails"] == "Linux/UNIX"


def test_the_member_account_is_the_owner(network: Network) -> None:
    assert network.describe(network.instance())["NetworkInterfaces"][0]["OwnerId"] == MEMBER


def test_a_launch_template_says_what_the_request_does_not(network: Network) -> None:
    """Subnet, groups and tags are the template's; EC2 says which template it was. $Latest is the newest version."""
    group = network.group("template")
    interface = {"DeviceIndex": 0, "SubnetId": network.subnet, "Groups": [group], "DeleteOnTermination": True}
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "of", "Value": "the template"}]}]
    data = {"ImageId": "ami-0123456789abcdef0", "InstanceType": "t3.micro", "TagSpecifications": tags}
    network.ec2.create_launch_template(LaunchTemplateName="one", LaunchTemplateData=data)
    newest = {**data, "NetworkInterfaces": [interface]}
    made = network.ec2.create_launch_template_version(LaunchTemplateName="one", LaunchTemplateData=newest)
    template = {"LaunchTemplateName": "one", "Version": "$Latest"}
    launched = network.ec2.run_instances(LaunchTemplate=template, MinCount=1, MaxCount=1, ClientToken="once")
    again = network.ec2.run_instances(LaunchTemplate=template, MinCount=1, MaxCount=1, ClientToken="once")
    (instance,) = launched["Instances"]
    assert [i["InstanceId"] for i in again["Instances"]] == [instance["InstanceId"]]
    found = network.describe(instance["InstanceId"])
    assert found["SubnetId"] == network.subnet and found["InstanceType"] == "t3.micro"
    assert groups_of(network, instance["InstanceId"]) == [[group]]
    assert {t["Key"]: t["Value"] for t in found["Tags"]} == {
        "of": "the template",
        "aws:ec2launchtemplate:id": made["LaunchTemplateVersion"]["LaunchTemplateId"],
        "aws:ec2launchtemplate:version": "2",
    }
