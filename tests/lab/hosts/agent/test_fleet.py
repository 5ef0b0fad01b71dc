"""The lab's SSM agents: documents run for real, in sandboxes; commands come from a list instead of SSM."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lab.hosts.agent.fleet import WORKERS, Fleet
from lab.hosts.sandbox import capabilities
from lab.hosts.usage import cpu_seconds_below
from lab.progress import QUIET_UNWATCHED, wait_until

FOUND = capabilities()
namespaces = pytest.mark.skipif(
    FOUND.mode != "namespaces", reason=f"no unprivileged namespaces here: {'; '.join(FOUND.missing)}"
)
AVML = Path(__file__).resolve().parents[4] / "lab" / "hosts" / "agent" / "avml.sh"
ACCOUNT, REGION = "333344445555", "eu-central-1"
TARGET, OTHER, FORENSIC = "i-0aaaaaaaaaaaaaaaa", "i-0bbbbbbbbbbbbbbbb", "i-0cccccccccccccccc"
DONE = ("Success", "Failed", "TimedOut", "Cancelled")


class Command:
    """An invocation that remembers everything that was reported."""

    def __init__(self, document: dict[str, Any], *, instance: str = TARGET, **given: Any) -> None:
        self.command_id = str(uuid.uuid4())
        self.account_id, self.region, self.instance_id = ACCOUNT, REGION, instance
        self.document = document
        self.parameters: dict[str, Any] = given.get("parameters", {})
        self.comment = ""
        self.output_s3_bucket: str = given.get("bucket", "")
        self.output_s3_prefix: str = given.get("prefix", "")
        self.timeout_seconds = 60.0
        self.requested_at: datetime = given.get("requested_at", datetime.now(UTC))
        self.status, self.cancel_requested = "Pending", False
        self.reported: dict[str, Any] = {}
        self.history: list[str] = []

    def update(self, **facts: Any) -> None:
        self.reported |= {name: value for name, value in facts.items() if value is not None}
        if facts.get("status"):
            self.status = facts["status"]
            self.history.append(self.status)

    @property
    def out(self) -> str:
        return self.reported.get("stdout", "")

    @property
    def err(self) -> str:
        return self.reported.get("stderr", "")


def step(*lines: str, name: str = "run", **inputs: Any) -> dict[str, Any]:
    return {"action": "aws:runShellScript", "name": name, "inputs": {"runCommand": list(lines)} | inputs}


def document(*steps: dict[str, Any], **parameters: dict[str, Any]) -> dict[str, Any]:
    return {"schemaVersion": "2.2", "parameters": parameters, "mainSteps": list(steps)}


def shell(*lines: str, **given: Any) -> Command:
    return Command(document(step(*lines)), **given)


class World:
    """A lab folder with three instances, and agents for them."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.commands: list[Command] = []
        self.cut_off: set[str] = set()
        self.states: dict[str, str] = {}
        self.volumes: dict[str, Path] = {}
        (state / "instances").mkdir(parents=True)
        for instance in (TARGET, OTHER):
            self.record(instance, kind="target")
        self.record(FORENSIC, kind="forensic")

    def record(self, instance: str, **facts: Any) -> None:
        base = {
            "instance_id": instance, "account": ACCOUNT, "region": REGION, "managed": True, "memory": None,
            "platform_name": "Debian", "platform_version": "12", "hostname": "web-1", "kernel": None,
        }  # fmt: skip
        (self.state / "instances" / f"{instance}.json").write_text(json.dumps(base | facts))

    def fleet(self, endpoint: str = "http://127.0.0.1:9", **more: Any) -> Fleet:
        return Fleet(
            self.state,
            endpoint,
            source=lambda: [command for command in self.commands if command.status == "Pending"],
            reachable=lambda account, region, instance: instance not in self.cut_off,
            attachments=lambda *_: [(volume, f"/dev/sd{volume[-1]}") for volume in self.volumes],
            instance_state=lambda account, region, instance: self.states.get(instance, "running"),
            volume_path=self.volumes.get,
            **more,
        )

    def run(self, *commands: Command, endpoint: str = "http://127.0.0.1:9") -> Command:
        self.commands += commands
        with self.fleet(endpoint):
            wait_for(lambda: all(command.status in DONE for command in commands), "the commands to end")
        return commands[-1]


def wait_for(condition: Callable[[], Any], what: str) -> None:
    wait_until(condition, what=what, progress=lambda: cpu_seconds_below(os.getpid()), quiet=QUIET_UNWATCHED, pause=0.01)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "lab")


# ---- commands


@namespaces
def test_a_document_runs_as_on_the_instance(world: World) -> None:
    done = world.run(shell("hostname; . /etc/os-release; echo $ID $VERSION_ID", "echo $AWS_SSM_INSTANCE_ID; pwd"))
    assert done.history == ["InProgress", "Success"]
    assert done.out.split() == ["web-1", "debian", "12", TARGET, "/usr/bin"]
    assert (done.reported["response_code"], done.reported["step_name"]) == (0, "run")
    assert done.reported["ended"] >= done.reported["started"]


@namespaces
def test_hostile_parameters_are_data(world: World) -> None:
    hostile = "$(touch /tmp/owned) `id`; touch /tmp/owned '\"\n& touch /tmp/owned #"
    about = document(
        step('printf %s "$SSM_Value"; printf "|%s|" {{ Value }}; ls /tmp/owned'),
        Value={"type": "String", "interpolationType": "ENV_VAR"},
    )
    done = world.run(Command(about, parameters={"Value": hostile}))
    assert done.out == f"{hostile}|{hostile}|"
    assert "No such file" in done.err


@namespaces
def test_steps_run_in_order_and_say_how_they_ended(world: World) -> None:
    windows = step("exit 9", name="win") | {"precondition": {"StringEquals": ["platformType", "Windows"]}}
    done = world.run(Command(document(windows, step("exit 3", name="bad"), step("echo after", name="late"))))
    assert (done.status, done.reported["response_code"]) == ("Failed", 3)
    assert "win was skipped" in done.out and "after" in done.out  # as the agent: a failure alone does not end it
    leave = world.run(
        Command(
            document(
                step("exit 3", name="bad", onFailure="exit"),
                step("echo after", name="late"),
                step("echo cleaned", name="last", finallyStep=True),
            )
        )
    )
    assert (leave.status, leave.out) == ("Failed", "cleaned\n")


@namespaces
@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ([{"action": "aws:downloadContent", "name": "d", "inputs": {}}], "aws:downloadContent"),
        ([], "mainSteps"),
        ([step("true", timeoutSeconds="soon")], "timeoutSeconds 'soon'"),
        ([step("true", workingDirectory="/nowhere")], "/nowhere"),
    ],
)
def test_what_cannot_run_fails_with_the_reason(world: World, steps: list[dict[str, Any]], words: str) -> None:
    done = world.run(Command(document(*steps)))
    assert done.status == "Failed"
    assert words in done.err


def test_an_instance_without_a_record_fails_with_the_reason(world: World) -> None:
    done = world.run(shell("true", instance="i-0dddddddddddddddd"))
    assert (done.status, "register the instance" in done.err) == ("Failed", True)


@namespaces
def test_a_step_that_takes_too_long_times_out(world: World) -> None:
    done = world.run(Command(document(step("echo begun; sleep 600 & sleep 600", timeoutSeconds="1"))))
    assert (done.status, done.reported["response_code"]) == ("TimedOut", 137)
    assert done.reported["status_details"] == "ExecutionTimedOut"
    assert (done.out, "longer than 1 s" in done.err) == ("begun\n", True)


@namespaces
def test_a_cancelled_command_is_killed(world: World) -> None:
    command = shell("echo begun; sleep 600")
    world.commands.append(command)
    with world.fleet():
        wait_for(lambda: command.reported.get("step_name"), "the step to start")
        command.cancel_requested = True
        command.update(status="Cancelling")
        wait_for(lambda: command.status in DONE, "the command to end")
    assert (command.status, "cancelled" in command.err) == ("Cancelled", True)


@namespaces
def test_a_terminated_instance_takes_its_command_with_it(world: World) -> None:
    command = shell("sleep 600")
    world.commands.append(command)
    with world.fleet():
        wait_for(lambda: command.reported.get("step_name"), "the step to start")
        world.states[TARGET] = "shutting-down"
        wait_for(lambda: command.status in DONE, "the command to end")
    assert (command.status, command.reported["status_details"]) == ("Failed", "Undeliverable")
    assert "Terminated" in command.err


@namespaces
def test_a_stopped_lab_ends_its_commands(world: World) -> None:
    command = shell("sleep 600")
    world.commands.append(command)
    fleet = world.fleet()
    fleet.start()
    wait_for(lambda: command.reported.get("step_name"), "the step to start")
    fleet.stop()
    assert (command.status, "lab was stopped" in command.err) == ("Failed", True)
    assert list((world.state / "sandbox").iterdir()) == []


@namespaces
def test_endless_output_is_cut(world: World) -> None:
    done = world.run(shell("yes 0123456789 | head -c 5000000; yes e | head -c 2000000 >&2; echo end"))
    assert done.status == "Success"
    assert len(done.out) == 24_000 and done.out.endswith("\n---Output truncated---")
    assert len(done.err) == 8_000 and done.err.endswith("\n---Error truncated----")


@namespaces
def test_five_commands_at_a_time_per_instance_and_instances_in_parallel(world: World) -> None:
    commands = [shell("sleep 0.7", instance=i) for i in (*[TARGET] * (WORKERS + 1), OTHER)]
    world.run(*commands)
    *first, last, other = ((c.reported["started"], c.reported["ended"]) for c in commands)
    assert max(start for start, _ in first) < min(end for _, end in first)
    assert last[0] >= min(end for _, end in first)
    assert other[0] < min(end for _, end in first)


def test_a_command_waits_for_its_instance_only_so_long(world: World) -> None:
    world.cut_off.add(TARGET)
    late = shell("true", requested_at=datetime.now(UTC) - timedelta(seconds=61))
    waiting = shell("true", instance=TARGET)
    world.commands += [late, waiting]
    with world.fleet():
        wait_for(lambda: late.status in DONE, "the late command to end")
        assert waiting.status == "Pending"
    assert (late.status, late.reported["status_details"]) == ("TimedOut", "DeliveryTimedOut")


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@namespaces
def test_full_output_goes_to_s3_and_presigned_urls_work_inside(world: World, aws: str) -> None:
    import boto3

    s3 = boto3.client("s3", endpoint_url=aws, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
    s3.create_bucket(Bucket="outputs")
    s3.put_object(Bucket="outputs", Key="manifest", Body=b"forensics-manifest 1\n")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "outputs", "Key": "manifest"})
    about = document(
        step('curl -sSf "$SSM_Url"; yes 0123456789 | head -c 30000; echo bad >&2', name="one"),
        Url={"type": "String", "interpolationType": "ENV_VAR"},
    )
    command = Command(about, parameters={"Url": url}, bucket="outputs", prefix="case-1/")
    done = world.run(command, endpoint=aws)
    assert done.status == "Success", done.err
    folder = f"case-1/{done.command_id}/{TARGET}/awsrunShellScript/one"
    stored = s3.get_object(Bucket="outputs", Key=f"{folder}/stdout")["Body"].read()
    assert stored.startswith(b"forensics-manifest 1\n0123456789") and len(stored) == 30_021
    assert s3.get_object(Bucket="outputs", Key=f"{folder}/stderr")["Body"].read() == b"bad\n"


# ---- the instances' machines


@namespaces
def test_the_capture_tool_streams_the_instances_memory(world: World, tmp_path: Path) -> None:
    memory = tmp_path / "memory.lime"
    memory.write_bytes(b"EMiL" + bytes(range(256)) * 14_000)
    facts = {}
    for name, text in (
        ("version", "Linux version 6.1.0-56-cloud-amd64 (x@y) (gcc) #1 SMP Debian 6.1.1 (2026-01-01)\n"),
        ("kallsyms", "ffffffff81000000 T _text\n"),
        ("iomem", "00001000-0009ffff : System RAM\n"),
        ("btf", "types"),
    ):
        facts[name] = str(tmp_path / name)
        (tmp_path / name).write_text(text)
    world.record(TARGET, kind="target", memory=str(memory), kernel=facts, capture_rate_mib_s=2)
    tool = AVML.read_text()
    script = f"cat > /run/avml <<'END'\n{tool}\nEND\nchmod 500 /run/avml; /run/avml --version\n"
    script += "date +%s; /run/avml acquire /dev/stdout | sha256sum; date +%s; uname -r; uname -srm; cat /proc/iomem"
    done = world.run(shell(script))
    digest = subprocess.run(["sha256sum", str(memory)], capture_output=True, text=True, check=True).stdout.split()[0]
    lines = done.out.splitlines()
    assert lines[0].startswith("avml "), done.err
    assert lines[2].split()[0] == digest
    assert 1 <= int(lines[3]) - int(lines[1]) <= 4  # 3.4 MiB at 2 MiB a second
    assert lines[4] == "6.1.0-56-cloud-amd64"
    assert lines[5].startswith("Linux 6.1.0-56-cloud-amd64 ")
    assert lines[6] == "00001000-0009ffff : System RAM"


def test_the_capture_tool_says_what_it_lacks(tmp_path: Path) -> None:
    def avml(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": "/usr/bin:/bin", "LAB_DEV_ROOT": str(tmp_path)}
        return subprocess.run(["sh", str(AVML), *arguments], capture_output=True, text=True, env=environment)

    missing = avml("acquire", "/dev/stdout")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert "crash is not there" in missing.stderr
    (tmp_path / "crash").write_bytes(b"memory")
    assert avml("acquire", "/dev/stdout").stdout == "memory"
    assert avml("acquire", "/tmp/file").returncode == 1
    assert "usage" in avml().stderr


@namespaces
def test_volumes_are_found_by_their_id(world: World, tmp_path: Path) -> None:
    for number in ("0a", "0f"):
        image = tmp_path / number
        image.write_text(f"image {number}\n")
        world.volumes[f"vol-{number}"] = image
    link = "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol0f"
    done = world.run(shell(f"cat {link} /dev/sda; readlink -f /dev/sdf; echo x > {link}", instance=FORENSIC))
    assert done.out == "image 0f\nimage 0a\n/dev/nvme1n1\n"
    assert "Read-only" in done.err


@namespaces
def test_only_a_forensic_instance_has_the_toolkit(world: World) -> None:
    tool = "/opt/forensic-toolkit/bin/forensic-toolkit"
    here = Path(__file__).resolve().parents[4]
    ask = f"test -x {tool} && echo there; ls {here / 'lab'} {here / 'tests'} {here / 'plugins'}"
    forensic, target = shell(ask, instance=FORENSIC), shell(ask)
    python = shell("set -- $(sed -n 's/^exec //p' " + tool + ') && eval "$1" -c "\'import sys; print(sys.version)\'"')
    python.instance_id = FORENSIC
    world.run(forensic, target, python)
    assert (forensic.out, target.out) == ("there\n", "")
    assert forensic.err.count("No such file") == target.err.count("No such file") == 3
    assert python.out.startswith("3."), python.err


def test_a_source_that_breaks_does_not_end_the_agents(world: World, caplog: pytest.LogCaptureFixture) -> None:
    calls = threading.Semaphore(0)

    def source() -> list[Any]:
        calls.release()
        raise RuntimeError("moto is being reset")

    with Fleet(
        world.state, "http://127.0.0.1:9", source=source, reachable=lambda *_: True,
        attachments=lambda *_: [], instance_state=lambda *_: "running", volume_path=lambda _: None,
    ):  # fmt: skip
        for _ in range(3):
            assert calls.acquire(timeout=5)
    assert [
        record.message.count("moto is being reset") for record in caplog.records if record.levelname == "ERROR"
    ] == [1]
