"""Cases for test_ssm_agent.py: the Python side of SSM, as the fleet uses it, beside moto's state.

They patch moto in their own process, so they run in one of their own, apart from tests that want it as it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.lab.conftest import MEMBER, REGION


class InProcess:
    """boto3 calls answered by the application in this process, without a socket."""

    def __init__(self, app: Any) -> None:
        self.app = app

    def client(self, service: str) -> Any:
        import boto3
        from botocore.awsrequest import AWSResponse

        from lab.accounts import ROOT_SECRET, root_access_key

        made = boto3.client(
            service,
            region_name=REGION,
            endpoint_url="http://127.0.0.1:1",
            aws_access_key_id=root_access_key(MEMBER),
            aws_secret_access_key=ROOT_SECRET,
        )

        def answer(request: Any, **_: Any) -> Any:
            from urllib.parse import unquote, urlsplit

            from werkzeug.test import EnvironBuilder, run_wsgi_app

            parts = urlsplit(request.url)
            headers = [(k, v.decode() if isinstance(v, bytes) else v) for k, v in request.headers.items()]
            environ = EnvironBuilder(
                method=request.method,
                path=unquote(parts.path) or "/",
                query_string=parts.query,
                headers=headers,
                data=request.body,
            ).get_environ()
            body, status, received = run_wsgi_app(self.app, environ, buffered=True)

            class Raw:
                def stream(self, **_: Any) -> Iterator[bytes]:
                    yield b"".join(body)

            return AWSResponse(request.url, int(status.split()[0]), dict(received.items()), Raw())

        made.meta.events.register("before-send", answer)
        return made


@pytest.fixture
def here(tmp_path: Path) -> InProcess:
    from lab.emulator.server import build_app

    app = build_app(tmp_path)
    from lab.emulator.patches import state

    state.current().config.update({"ssm_visible_seconds": 0})
    return InProcess(app)


@pytest.fixture
def command(here: InProcess) -> tuple[str, str]:
    from lab.emulator.patches import state

    ec2, ssm = here.client("ec2"), here.client("ssm")
    instance = ec2.run_instances(ImageId="ami-12345678", MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    state.current().register_instance({"instance_id": instance, "account": MEMBER, "region": REGION})
    sent = ssm.send_command(
        InstanceIds=[instance],
        DocumentName="AWS-RunShellScript",
        Parameters={"commands": ["id", "uname -r"]},
        Comment="case-1",
        OutputS3BucketName="out",
        OutputS3KeyPrefix="p",
    )
    return sent["Command"]["CommandId"], instance


def test_an_agent_takes_runs_and_reports(here: InProcess, command: tuple[str, str]) -> None:
    from lab.emulator.patches.ssm import command_states, pending_invocations

    command_id, instance = command
    taken = next(i for i in pending_invocations() if i.command_id == command_id)
    assert taken.parameters["commands"] == ["id", "uname -r"]
    assert taken.parameters["executionTimeout"] == "3600"
    assert (taken.account_id, taken.region, taken.comment) == (MEMBER, REGION, "case-1")
    assert taken.document["mainSteps"][0]["action"] == "aws:runShellScript"
    started = datetime.now(UTC)
    entry = f"AWS-RunShellScript {command_id[:8]} on {instance}"
    assert command_states()[entry] == "Pending"
    taken.update(status="InProgress", started=started, step_name="runShellScript")
    assert command_states()[entry] == "InProgress"
    assert taken not in pending_invocations()
    ssm = here.client("ssm")
    assert ssm.get_command_invocation(CommandId=command_id, InstanceId=instance)["Status"] == "InProgress"
    taken.update(status="Failed", response_code=3, stdout="o" * 30_000, stderr="e" * 9_000)
    shown = ssm.get_command_invocation(CommandId=command_id, InstanceId=instance)
    assert (shown["Status"], shown["ResponseCode"]) == ("Failed", 3)
    assert (len(shown["StandardOutputContent"]), len(shown["StandardErrorContent"])) == (24_000, 8_000)
    assert shown["StandardOutputUrl"].endswith(
        f"/out/p/{command_id}/{instance}/awsrunShellScript/runShellScript/stdout"
    )
    whole = ssm.list_commands(CommandId=command_id)["Commands"][0]
    assert (whole["Status"], whole["CompletedCount"], whole["ErrorCount"]) == ("Failed", 1, 1)


def test_a_running_command_is_asked_to_stop(here: InProcess, command: tuple[str, str]) -> None:
    from lab.emulator.patches.ssm import pending_invocations

    command_id, _instance = command
    taken = next(i for i in pending_invocations() if i.command_id == command_id)
    taken.update(status="InProgress")
    ssm = here.client("ssm")
    ssm.cancel_command(CommandId=command_id)
    assert taken.cancel_requested
    assert ssm.list_commands(CommandId=command_id)["Commands"][0]["Status"] == "Cancelling"
    taken.update(status="Cancelled")
    assert ssm.list_commands(CommandId=command_id)["Commands"][0]["Status"] == "Cancelled"
    listed = ssm.list_command_invocations(CommandId=command_id, Details=True)["CommandInvocations"]
    assert [item["Status"] for item in listed] == ["Cancelled"]


def test_a_slow_start_is_waited_for(here: InProcess, command: tuple[str, str]) -> None:
    from lab.emulator.patches import state
    from lab.emulator.patches.ssm import pending_invocations

    state.current().config.update({"ssm_start_seconds": 60})
    assert pending_invocations() == []
    state.current().config.update({"ssm_start_seconds": 0})
    assert [i.command_id for i in pending_invocations()] == [command[0]]


def test_an_isolated_agent_gets_nothing(here: InProcess, command: tuple[str, str]) -> None:
    from lab.emulator.patches.ssm import pending_invocations
    from lab.emulator.patches.ssm_fleet import agent_reachable

    ec2 = here.client("ec2")
    assert agent_reachable(MEMBER, REGION, command[1])
    group = ec2.describe_instances(InstanceIds=[command[1]])["Reservations"][0]["Instances"][0]["SecurityGroups"][0]
    everything = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    ec2.revoke_security_group_egress(GroupId=group["GroupId"], IpPermissions=everything)
    assert not agent_reachable(MEMBER, REGION, command[1])
    assert pending_invocations() == []
    ec2.authorize_security_group_egress(GroupId=group["GroupId"], IpPermissions=everything)


def test_an_unknown_status_is_refused(here: InProcess, command: tuple[str, str]) -> None:
    from lab.emulator.patches.ssm import pending_invocations

    with pytest.raises(ValueError, match="'Done' is not a status"):
        pending_invocations()[0].update(status="Done")


def test_instance_records_are_files(here: InProcess, command: tuple[str, str], tmp_path: Path) -> None:
    stored = json.loads((tmp_path / "instances" / f"{command[1]}.json").read_text())
    assert (stored["kind"], stored["managed"], stored["memory"]) == ("target", True, None)
