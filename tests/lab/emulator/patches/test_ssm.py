"""SSM of the lab: which instances are managed, what a command may contain, what happens when no agent takes it."""

from __future__ import annotations

import hashlib
import json
import time

import pytest

from tests.lab.conftest import FORENSIC, MEMBER, Lab, Network
from tests.lab.emulator.patches.test_ec2 import refused

DOCUMENT = {
    "schemaVersion": "2.2",
    "description": "test",
    "parameters": {
        "CaseId": {"type": "String", "allowedPattern": "[A-Za-z0-9-]{3,40}"},
        "Mode": {"type": "String", "default": "fast", "allowedValues": ["fast", "full"]},
    },
    "mainSteps": [{"action": "aws:runShellScript", "name": "run", "inputs": {"runCommand": ["true"]}}],
}


@pytest.fixture
def ssm(lab: Lab):
    return lab.client("ssm", MEMBER)


@pytest.fixture
def document(ssm) -> str:
    name = f"forensics-test-{time.monotonic_ns()}"
    ssm.create_document(Name=name, Content=json.dumps(DOCUMENT), DocumentType="Command", DocumentFormat="JSON")
    return name


@pytest.fixture
def target(network: Network) -> str:
    """A managed instance whose agent the lab's fleet cannot reach, so that its commands stay as they are."""
    return network.managed(network.instance(network.group("closed", closed=True)))


def send(ssm, document: str, *instances: str, **settings) -> str:
    chosen = {"Parameters": {"CaseId": ["case-1"]}} | settings
    return ssm.send_command(DocumentName=document, InstanceIds=list(instances), **chosen)["Command"]["CommandId"]


def invocation(ssm, command: str, instance: str) -> dict:
    return ssm.get_command_invocation(CommandId=command, InstanceId=instance)


def information(ssm, instance: str) -> list[dict]:
    chosen = [{"Key": "InstanceIds", "Values": [instance]}]
    return ssm.describe_instance_information(Filters=chosen)["InstanceInformationList"]


def test_activity_shows_commands_and_what_the_hosts_compute(lab: Lab, ssm, document: str, target: str) -> None:
    command = send(ssm, document, target)
    activity = lab.get("activity")
    assert activity["commands"][f"{document} {command[:8]} on {target}"] == "Pending"
    assert activity["host_cpu_seconds"] >= 0


def test_a_command_reaches_exactly_its_instances(network: Network, ssm, document: str, target: str) -> None:
    other = network.managed(network.instance(network.group("other", closed=True)))
    command = send(ssm, document, target)
    shown = ssm.list_commands(CommandId=command)["Commands"][0]
    assert (shown["InstanceIds"], shown["TargetCount"], shown["Status"]) == ([target], 1, "Pending")
    assert ssm.list_command_invocations(InstanceId=other)["CommandInvocations"] == []


def test_an_invocation_is_not_there_at_once(lab: Lab, ssm, document: str, target: str) -> None:
    command = send(ssm, document, target)
    with refused("InvocationDoesNotExist"):
        invocation(ssm, command, target)
    time.sleep(lab.get("config")["ssm_visible_seconds"] + 0.05)
    first = invocation(ssm, command, target)
    assert (first["Status"], first["ResponseCode"], first["PluginName"]) == ("Pending", -1, "run")


def test_what_is_unknown_is_refused(ssm, document: str, target: str) -> None:
    with refused("InvalidDocument"):
        send(ssm, "forensics-nothing", target)
    with refused("InvalidInstanceId"):
        send(ssm, document, "i-0123456789abcdef0")
    with refused("InvalidDocumentVersion"):
        send(ssm, document, target, DocumentVersion="7")
    with refused("InvalidCommandId"):
        ssm.list_commands(CommandId="00000000-0000-0000-0000-000000000000")


@pytest.mark.parametrize(
    "parameters",
    [
        {"CaseId": ["case-1"], "Extra": ["x"]},
        {"CaseId": ["case-1; rm -rf /"]},
        {"CaseId": ["case-1"], "Mode": ["slow"]},
        {"CaseId": ["case-1", "case-2"]},
        {"Mode": ["fast"]},
    ],
)
def test_parameters_that_the_document_does_not_allow(ssm, document: str, target: str, parameters: dict) -> None:
    with refused("InvalidParameters"):
        send(ssm, document, target, Parameters=parameters)


def test_a_document_is_pinned_by_its_hash(ssm, document: str, target: str) -> None:
    digest = hashlib.sha256(json.dumps(DOCUMENT).encode()).hexdigest()
    send(ssm, document, target, DocumentHash=digest, DocumentHashType="Sha256", DocumentVersion="1")
    with refused("InvalidDocument"):
        send(ssm, document, target, DocumentHash="0" * 64, DocumentHashType="Sha256")


def test_a_shared_document_is_used_by_its_arn(lab: Lab, target: str, ssm) -> None:
    owner, name = lab.client("ssm", FORENSIC), f"forensics-shared-{time.monotonic_ns()}"
    owner.create_document(Name=name, Content=json.dumps(DOCUMENT), DocumentType="Command", DocumentFormat="JSON")
    arn = f"arn:aws:ssm:eu-central-1:{FORENSIC}:document/{name}"
    with refused("InvalidDocument"):
        send(ssm, arn, target)
    owner.modify_document_permission(Name=name, PermissionType="Share", AccountIdsToAdd=[MEMBER])
    send(ssm, arn, target)
    assert ssm.describe_document(Name=arn)["Document"]["Owner"] == FORENSIC


def test_isolation_cuts_the_agent_off(network: Network, ssm) -> None:
    instance = network.managed(network.instance(network.group("open")))
    assert [item["PingStatus"] for item in information(ssm, instance)] == ["Online"]
    network.ec2.modify_instance_attribute(InstanceId=instance, Groups=[network.group("shut", closed=True)])
    assert [item["PingStatus"] for item in information(ssm, instance)] == ["ConnectionLost"]


@pytest.mark.parametrize(
    ("rule", "status"),
    [
        (
            {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "10.7.0.0/16"}]},
            "Online",
        ),
        (
            {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]},
            "ConnectionLost",
        ),
        ({"IpProtocol": "-1", "IpRanges": [{"CidrIp": "127.0.0.1/32"}]}, "ConnectionLost"),
        (
            {
                "IpProtocol": "tcp",
                "FromPort": 443,
                "ToPort": 443,
                "PrefixListIds": [{"PrefixListId": "pl-6ea54007"}],
            },
            "Online",
        ),
    ],
)
def test_the_way_out_decides(network: Network, ssm, rule: dict, status: str) -> None:
    group = network.group("way-out", closed=True)
    network.ec2.authorize_security_group_egress(GroupId=group, IpPermissions=[rule])
    instance = network.managed(network.instance(group))
    assert [item["PingStatus"] for item in information(ssm, instance)] == [status]


def test_an_agent_comes_online_after_its_boot(lab: Lab, network: Network, ssm) -> None:
    with lab.config(agent_seconds=3600):
        instance = network.managed(network.instance(), platform_name="Debian GNU/Linux", platform_version="12")
        assert information(ssm, instance) == []
        lab.advance(3600)
        found = information(ssm, instance)
    assert (found[0]["PlatformName"], found[0]["PlatformVersion"]) == ("Debian GNU/Linux", "12")
    network.ec2.terminate_instances(InstanceIds=[instance])
    assert information(ssm, instance) == []


def test_an_instance_without_agent_is_unmanaged(network: Network, ssm, document: str) -> None:
    instance = network.managed(network.instance(), managed=False)
    assert information(ssm, instance) == []
    with refused("InvalidInstanceId"):
        send(ssm, document, instance)


def test_a_command_that_no_agent_takes_times_out(lab: Lab, ssm, document: str, target: str) -> None:
    with lab.config(ssm_delivery_seconds=0.4):
        command = send(ssm, document, target)
    time.sleep(0.5)
    shown = invocation(ssm, command, target)
    assert (shown["Status"], shown["StatusDetails"]) == ("TimedOut", "DeliveryTimedOut")
    assert ssm.list_commands(CommandId=command)["Commands"][0]["DeliveryTimedOutCount"] == 1


def test_a_pending_command_is_cancelled_at_once(ssm, document: str, target: str) -> None:
    command = send(ssm, document, target)
    ssm.cancel_command(CommandId=command)
    assert ssm.list_commands(CommandId=command)["Commands"][0]["Status"] == "Cancelled"
