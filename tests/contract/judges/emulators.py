"""The lab, and emulators of AWS that others have built: how each is started, and which services are asked of it.

The lab needs nothing. The others are installed by ``make contract-check`` into .venv-judges and .venv-judges-npm; where they are not, only the
lab is asked. Each runs on the loopback interface, with its files in a folder of its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from lab.accounts import FORENSIC_ACCOUNT, REGION, ROOT_SECRET, root_access_key
from lab.progress import wait_until
from lab.stack.process import cpu_seconds
from lab.stack.state import free_port

ROOT = Path(__file__).resolve().parents[3]
PYTHON = ROOT / ".venv-judges" / "bin"
NODE = ROOT / ".venv-judges-npm" / "node_modules" / ".bin"
# Not only services: what an emulator does not claim to have (versions, transactions) is not asked of it.
ALL = frozenset(
    {
        "s3",
        "parts",
        "versions",
        "signed URLs",
        "checksums",
        "dynamodb",
        "transactions",
        "sqs",
        "sns",
        "events",
        "kms",
        "sts",
    }
)
_FAUXQS = """
const {{ buildApp }} = await import("{module}");
await buildApp({{ logger: false, defaultRegion: "{region}" }}).listen({{ port: {port}, host: "127.0.0.1" }});
"""


@dataclass(frozen=True)
class Emulator:
    """One that answers as AWS. ``command`` takes the port and the folder of its files."""

    name: str
    services: frozenset[str]
    command: Callable[[int, Path], list[str]]
    environment: Callable[[int, Path], dict[str, str]] = lambda _port, _folder: {}
    key: str = FORENSIC_ACCOUNT
    secret: str = "test"

    @property
    def installed(self) -> bool:
        """Whether its program is there."""
        program = self.command(0, Path())
        return shutil.which(program[0]) is not None and (program[0] != "node" or (NODE / self.name).exists())


EMULATORS = (
    Emulator(
        "lab",
        ALL,
        lambda port, folder: [sys.executable, "-m", "lab.emulator.server", "--state", str(folder), "--port", str(port)],
        key=root_access_key(FORENSIC_ACCOUNT),
        secret=ROOT_SECRET,
    ),
    Emulator(
        "ministack",
        ALL,
        lambda _port, _folder: [str(PYTHON / "ministack")],
        lambda port, folder: {
            "GATEWAY_PORT": str(port), "BIND_HOST": "127.0.0.1", "MINISTACK_HOST": "127.0.0.1", "MINISTACK_REGION": REGION,
            "S3_DATA_DIR": str(folder / "s3"), "HOME": str(folder), "TMPDIR": str(folder), "LOG_LEVEL": "WARNING",
            "MINISTACK_ACCOUNT_ID": FORENSIC_ACCOUNT, "DOCKER_HOST": f"unix://{folder}/none.sock",
        },
    ),
    Emulator(
        "dynalite",
        frozenset({"dynamodb"}),
        lambda port, _folder: [str(NODE / "dynalite"), "--port", str(port), "--host", "127.0.0.1", "--createTableMs", "0", "--deleteTableMs", "0"],
    ),
    Emulator(
        "fauxqs",
        frozenset({"sqs", "sns", "s3"}),
        # its own program listens on every interface of the machine
        lambda port, _folder: ["node", "--input-type=module", "-e", _FAUXQS.format(port=port, region=REGION, module=NODE.parent / "fauxqs/dist/app.js")],
    ),
    Emulator(
        "s3rver",
        frozenset({"s3"}),
        lambda port, folder: [str(NODE / "s3rver"), "-d", str(folder), "-a", "127.0.0.1", "-p", str(port), "--silent"],
        key="S3RVER",
        secret="S3RVER",
    ),
)  # fmt: skip


def asked() -> list[Emulator]:
    """The lab, and with CONTRACT_CHECK=full every other one, which then must be there."""
    if os.environ.get("CONTRACT_CHECK") != "full":
        return [EMULATORS[0]]
    absent = [emulator.name for emulator in EMULATORS if not emulator.installed]
    assert not absent, f"not installed: {', '.join(absent)}; run `make contract-check`"
    return list(EMULATORS)


class Running:
    """A started emulator and clients of it."""

    def __init__(self, emulator: Emulator, folder: Path) -> None:
        self.emulator, self.name = emulator, emulator.name
        port = free_port()
        self.endpoint = f"http://127.0.0.1:{port}"
        self.region = REGION
        log = folder / "server.log"
        hidden = ("AWS_", "MOTO_")
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(hidden)}
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                emulator.command(port, folder), cwd=ROOT if emulator.name == "lab" else folder, stdout=out, stderr=out,
                env=inherited | emulator.environment(port, folder), stdin=subprocess.DEVNULL,
            )  # fmt: skip
        self._clients: dict[str, Any] = {}
        self._wait(log)

    def _wait(self, log: Path) -> None:
        service = next(s for s in ("sqs", "dynamodb", "s3") if s in self.emulator.services)
        call = {"sqs": "list_queues", "dynamodb": "list_tables", "s3": "list_buckets"}[service]

        def answers() -> bool:
            assert self._process.poll() is None, f"{self.name} has ended:\n{log.read_text()[-2000:]}"
            try:
                getattr(self.client(service), call)()
            except ClientError:
                return True
            except BotoCoreError:
                return False
            return True

        try:
            wait_until(
                answers, what=f"{self.name} to answer", progress=lambda: cpu_seconds(self._process.pid), pause=0.05
            )
        except BaseException:
            self.stop()
            raise

    def client(self, service: str, *, key: str | None = None) -> Any:
        """A boto3 client that tries once."""
        known = f"{service} {key or ''}"
        if known not in self._clients:
            config = Config(
                retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, connect_timeout=5, read_timeout=30,
                signature_version="s3v4" if service == "s3" else None,
            )  # fmt: skip
            self._clients[known] = boto3.client(
                service, endpoint_url=self.endpoint, region_name=self.region, config=config,
                aws_access_key_id=key or self.emulator.key, aws_secret_access_key=self.emulator.secret,
            )  # fmt: skip
        return self._clients[known]

    @cached_property
    def account(self) -> str:
        """The account that the credentials belong to."""
        if "sts" not in self.emulator.services:
            return FORENSIC_ACCOUNT
        return str(self.client("sts").get_caller_identity()["Account"])

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(20)
