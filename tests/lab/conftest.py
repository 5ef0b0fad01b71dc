"""The lab as its users meet it: a server process on a free port, with a state folder of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from lab.accounts import ROOT_SECRET, root_access_key
from lab.progress import wait_until
from lab.stack.process import cpu_seconds

ROOT = Path(__file__).resolve().parents[2]
SECURITY, FORENSIC, MEMBER = "111122223333", "222233334444", "333344445555"
REGION = "eu-central-1"


class Lab:
    """A running lab server: boto3 clients per account, and its control routes."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.log = directory / "server.log"
        self.boot_seconds = 0.0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server and wait until it answers. Fails the test with its log when it ends instead."""
        begun = time.monotonic()
        command = [
            sys.executable,
            "-m",
            "lab.emulator.server",
            "--state",
            str(self.directory),
            "--port",
            str(self.port),
        ]
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "MOTO_"))}
        with self.log.open("wb") as output:
            self._process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
        process = self._process

        def answers() -> bool:
            assert process.poll() is None, f"the lab server has ended:\n{self.log.read_text()[-4000:]}"
            with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
                self.get("health")
                return True
            return False

        try:
            wait_until(answers, what="the lab server to answer", progress=lambda: cpu_seconds(process.pid), pause=0.05)
        except BaseException:
            self.stop()
            raise
        self.boot_seconds = time.monotonic() - begun

    def stop(self) -> float:
        """End the server as `kill` would; returns the seconds it took."""
        if self._process is None or self._process.poll() is not None:
            return 0.0
        begun = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5)
        return time.monotonic() - begun

    def client(self, service: str, account: str = FORENSIC, *, region: str = REGION, **settings: Any) -> Any:
        """A boto3 client that acts as the root of an account."""
        keys = {"aws_access_key_id": root_access_key(account), "aws_secret_access_key": ROOT_SECRET}
        config = Config(retries={"total_max_attempts": settings.pop("attempts", 1)}, **settings.pop("config", {}))
        return boto3.client(service, endpoint_url=self.endpoint, region_name=region, config=config, **(keys | settings))

    def get(self, route: str) -> Any:
        """GET a control route."""
        with urllib.request.urlopen(f"{self.endpoint}/_lab/{route}", timeout=60) as answer:
            return json.load(answer)

    def post(self, route: str, body: Any) -> Any:
        """POST to a control route. Raises AssertionError with the lab's own message when it refuses."""
        request = urllib.request.Request(f"{self.endpoint}/_lab/{route}", data=json.dumps(body).encode(), method="POST")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise AssertionError(json.load(error)["error"]) from error

    def advance(self, seconds: float) -> None:
        """Put the lab's clock forward."""
        self.post("clock", {"advance": seconds})

    @contextlib.contextmanager
    def config(self, **settings: Any) -> Iterator[None]:
        """Settings for the length of a with block."""
        before = self.get("config")
        self.post("config", settings)
        try:
            yield
        finally:
            self.post("config", {name: before[name] for name in settings})


class Network:
    """A VPC with one subnet in an account."""

    def __init__(self, lab: Lab, account: str = MEMBER) -> None:
        self.lab, self.account = lab, account
        self.ec2 = lab.client("ec2", account)
        self.vpc = self.ec2.create_vpc(CidrBlock="10.7.0.0/16")["Vpc"]["VpcId"]
        self.zone = f"{REGION}a"
        self.subnet = self.ec2.create_subnet(VpcId=self.vpc, CidrBlock="10.7.1.0/24", AvailabilityZone=self.zone)[
            "Subnet"
        ]["SubnetId"]

    def group(self, name: str, *, closed: bool = False) -> str:
        """A security group; a closed one has no egress."""
        made = self.ec2.create_security_group(GroupName=name, Description=name, VpcId=self.vpc)["GroupId"]
        if closed:
            everything = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
            self.ec2.revoke_security_group_egress(GroupId=made, IpPermissions=everything)
        return str(made)

    def instance(self, *groups: str, **settings: Any) -> str:
        """A launched instance."""
        launch = {"ImageId": "ami-0123456789abcdef0", "MinCount": 1, "MaxCount": 1, "SubnetId": self.subnet}
        if groups:
            launch["SecurityGroupIds"] = list(groups)
        return str(self.ec2.run_instances(**(launch | settings))["Instances"][0]["InstanceId"])

    def describe(self, instance_id: str) -> dict[str, Any]:
        """One instance as DescribeInstances shows it."""
        return self.ec2.describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"][0]

    def managed(self, instance_id: str, **record: Any) -> str:
        """Tell the lab that an agent runs there."""
        base = {"instance_id": instance_id, "account": self.account, "region": REGION}
        self.lab.post("instance", base | record)
        return instance_id


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One server for all tests of the session; tests make their own resources."""
    server = Lab(tmp_path_factory.mktemp("lab"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def lab_factory(tmp_path: Path) -> Iterator[Callable[[], Lab]]:
    """Servers of a test's own, stopped at its end."""
    made: list[Lab] = []

    def make() -> Lab:
        directory = tmp_path / f"lab-{len(made)}"
        directory.mkdir()
        server = Lab(directory)
        made.append(server)
        server.start()
        return server

    yield make
    for server in made:
        server.stop()


@pytest.fixture
def network(lab: Lab) -> Network:
    """A VPC of the member account for one test."""
    return Network(lab)
