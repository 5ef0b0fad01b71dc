"""SSM as it is: a PingStatus that is late, commands that get lost, answers that come too late, documents that become active.

Recorded by radkawar/stackd, testdata/aws/ssm (September 2026): managed_execution_timeouts_current.json (a stopped agent stays
Online, DeliveryTimedOut, ResponseCode -1, ErrorCount 0), managed_execution_native.json (the first command of a fresh host),
managed_execution_documents.json (Creating, then Active). API reference, *Command*, ``ExpiresAfter``: also an invocation in
progress ends as DeliveryTimedOut. aws/amazon-ssm-agent#90: what an agent says whose disk is full.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from lab.progress import wait_until
from tests.lab.conftest import MEMBER, Lab, Network
from tests.lab.emulator.patches.test_ec2 import refused

DOCUMENT = {
    "schemaVersion": "2.2",
    "mainSteps": [{"action": "aws:runShellScript", "name": "run", "inputs": {"runCommand": ["echo done"]}}],
}


@pytest.fixture
def ssm(lab: Lab) -> Any:
    return lab.client("ssm", MEMBER)


@pytest.fixture
def strict(lab: Lab) -> Iterator[Lab]:
    """What callers other than root keys see; nothing befalls commands unless a test says so."""
    quiet = {"ssm_first_lost_share": 0, "ssm_late_answer_share": 0, "ssm_visible_seconds": 0}
    with lab.config(hidden_from_root=1, hidden_calls=0, ssm_document_seconds=0, **quiet):
        yield lab


def document(ssm: Any) -> str:
    name = f"forensics-late-{time.monotonic_ns()}"
    ssm.create_document(Name=name, Content=json.dumps(DOCUMENT), DocumentType="Command", DocumentFormat="JSON")
    return name


def pings(ssm: Any, instance: str) -> list[str]:
    chosen = [{"Key": "InstanceIds", "Values": [instance]}]
    return [i["PingStatus"] for i in ssm.describe_instance_information(Filters=chosen)["InstanceInformationList"]]


def send(ssm: Any, instance: str) -> str:
    return str(ssm.send_command(DocumentName=document(ssm), InstanceIds=[instance])["Command"]["CommandId"])


def shown(ssm: Any, command: str, instance: str) -> dict[str, Any]:
    return dict(ssm.get_command_invocation(CommandId=command, InstanceId=instance))


def ended(lab: Lab, ssm: Any, command: str, instance: str) -> dict[str, Any]:
    over = {"Success", "Failed", "TimedOut", "Cancelled"}
    wait_until(
        lambda: shown(ssm, command, instance)["Status"] in over,
        what=f"command {command} to end",
        progress=lambda: (lab.get("activity"), time.monotonic() // 1),
    )
    return shown(ssm, command, instance)


def test_it_is_on_where_nobody_has_said_otherwise(lab: Lab) -> None:
    names = ("ssm_ping_seconds", "ssm_first_lost_share", "ssm_late_answer_share", "ssm_document_seconds")
    assert all(lab.get("config")[name] > 0 for name in names)


def test_an_agent_that_stopped_is_still_shown_online(strict: Lab, network: Network, ssm: Any) -> None:
    instance = network.managed(network.instance())
    with strict.config(ssm_ping_seconds=100):
        assert pings(ssm, instance) == ["Online"]
        network.managed(instance, agent_stopped=True)
        assert pings(ssm, instance) == ["Online"]
        strict.advance(101)
        assert pings(ssm, instance) == ["ConnectionLost"]
        network.managed(instance)
        assert pings(ssm, instance) == ["ConnectionLost"], "also what is back is shown late"
        strict.advance(101)
        assert pings(ssm, instance) == ["Online"]


def test_an_instance_that_ec2_calls_stopped_is_not_listed(strict: Lab, network: Network, ssm: Any) -> None:
    instance = network.managed(network.instance())
    with strict.config(ssm_ping_seconds=100, terminate_seconds=60):
        assert pings(ssm, instance) == ["Online"]
        network.ec2.stop_instances(InstanceIds=[instance])
        assert pings(ssm, instance) == ["Online"], "it is still stopping"
        strict.advance(61)
        assert pings(ssm, instance) == []


def test_a_fresh_instance_is_not_online_at_once(strict: Lab, network: Network, ssm: Any) -> None:
    with strict.config(ssm_ping_seconds=100):
        instance = network.managed(network.instance(), fresh=True)
        assert pings(ssm, instance) == ["ConnectionLost"]
        strict.advance(101)
        assert pings(ssm, instance) == ["Online"]


def test_a_fresh_instance_loses_its_first_command_only(strict: Lab, network: Network, ssm: Any) -> None:
    instance = network.managed(network.instance(), fresh=True)
    with strict.config(ssm_first_lost_share=1, ssm_lost_seconds=1):
        first, second = send(ssm, instance), send(ssm, instance)
    lost = ended(strict, ssm, first, instance)
    assert (lost["Status"], lost["StatusDetails"], lost["ResponseCode"]) == ("TimedOut", "DeliveryTimedOut", -1)
    command = ssm.list_commands(CommandId=first)["Commands"][0]
    assert (command["Status"], command["ErrorCount"], command["DeliveryTimedOutCount"]) == ("TimedOut", 0, 1)
    assert ended(strict, ssm, second, instance)["Status"] == "Success"


def test_a_lost_command_is_delayed_and_can_be_cancelled(strict: Lab, network: Network, ssm: Any) -> None:
    instance = network.managed(network.instance(), fresh=True)
    with strict.config(ssm_first_lost_share=1, ssm_lost_seconds=3600):
        first = send(ssm, instance)
    assert shown(ssm, first, instance)["Status"] == "Pending"
    ssm.cancel_command(CommandId=first)
    assert shown(ssm, first, instance)["Status"] == "Cancelled"


def test_which_first_commands_are_lost_is_drawn_from_the_seed(strict: Lab, network: Network, ssm: Any) -> None:
    lost = []
    with strict.config(ssm_first_lost_share=0.5, ssm_lost_seconds=3600):
        for _ in range(8):
            instance = network.managed(network.instance(), fresh=True)
            command = send(ssm, instance)
            time.sleep(0.3)
            lost.append(shown(ssm, command, instance)["Status"] == "Pending")
            ssm.cancel_command(CommandId=command)
    assert set(lost) == {True, False}


def test_work_that_was_done_may_end_as_delivery_timed_out(strict: Lab, network: Network, ssm: Any) -> None:
    instance = network.managed(network.instance())
    with strict.config(ssm_late_answer_share=1):
        command = send(ssm, instance)
    late = ended(strict, ssm, command, instance)
    assert (late["Status"], late["StatusDetails"], late["ResponseCode"]) == ("TimedOut", "DeliveryTimedOut", -1)
    assert late["StandardOutputContent"] == "" and late["ExecutionStartDateTime"], "it ran, and nothing of it is known"


@pytest.mark.parametrize(
    ("full", "status", "stream", "said"),
    [
        (True, "Failed", "StandardErrorContent", "Plugin with name aws:runShellScript not found. Step name: run"),
        (
            "skips",
            "Success",
            "StandardOutputContent",
            "Step execution skipped due to unsupported plugin: aws:runShellScript. Step name: run",
        ),
    ],
)
def test_a_full_disk_looks_like_a_missing_plugin(
    strict: Lab, network: Network, ssm: Any, full: Any, status: str, stream: str, said: str
) -> None:
    instance = network.managed(network.instance(), disk_full=full)
    found = ended(strict, ssm, send(ssm, instance), instance)
    assert (found["Status"], found[stream].strip()) == (status, said)


def test_a_document_is_active_after_a_moment(strict: Lab, network: Network, ssm: Any) -> None:
    instance = network.managed(network.instance())
    with strict.config(ssm_document_seconds=100):
        name = f"forensics-late-{time.monotonic_ns()}"
        made = ssm.create_document(Name=name, Content=json.dumps(DOCUMENT), DocumentType="Command")
        assert made["DocumentDescription"]["Status"] == "Creating"
        assert ssm.describe_document(Name=name)["Document"]["Status"] == "Creating"
        with refused("InvalidDocument"):
            ssm.send_command(DocumentName=name, InstanceIds=[instance])
        strict.advance(101)
        assert ssm.describe_document(Name=name)["Document"]["Status"] == "Active"
        ssm.send_command(DocumentName=name, InstanceIds=[instance])
        content = json.dumps({**DOCUMENT, "description": "another"})
        changed = ssm.update_document(Name=name, Content=content, DocumentVersion="$LATEST")["DocumentDescription"]
        assert (changed["DocumentVersion"], changed["Status"]) == ("2", "Updating")
        assert ssm.describe_document(Name=name)["Document"]["Status"] == "Active", "the default version is what it was"
        with refused("InvalidDocument"):
            ssm.send_command(DocumentName=name, DocumentVersion="2", InstanceIds=[instance])
        strict.advance(101)
        ssm.send_command(DocumentName=name, DocumentVersion="2", InstanceIds=[instance])


def test_root_keys_see_what_is_true(lab: Lab, network: Network, ssm: Any) -> None:
    with lab.config(ssm_ping_seconds=100, ssm_document_seconds=100, ssm_late_answer_share=1, ssm_visible_seconds=0):
        instance = network.managed(network.instance())
        assert pings(ssm, instance) == ["Online"]
        network.managed(instance, agent_stopped=True)
        assert pings(ssm, instance) == ["ConnectionLost"]
        network.managed(instance)
        assert ended(lab, ssm, send(ssm, instance), instance)["Status"] == "Success"
