"""One target as the memory room's gateways see it: what was sent to it, what it answered, what it uploaded."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import boto3

from forensics import case_keys
from forensics.aws.ec2 import Ec2Gateway
from forensics.aws.hook import CaseSessions
from forensics.aws.session import AwsSession
from forensics.aws.ssm import ExpectedCommand, FoundCommand, Invocation, SsmGateway
from forensics.errors import ForensicsError
from forensics.memory.capture_setup import CaptureGateways
from forensics.memory.lime_module_store import LimeModuleStore
from forensics.memory.lime_modules import LimeModule
from forensics.memory.probe import ProbeRecord
from forensics.memory.upload_manifest import IMAGE, LIST
from forensics.models.case import Case
from forensics.models.evidence import MemoryEvidence
from forensics.settings import Settings
from tests.unit.builders import ACCOUNT, INSTANCE, REGION, plan, target
from tests.unit.recorders import FakeRecorder

KERNEL = "6.1.0-test"
PROBE: dict[str, Any] = {
    "status": "ok", "os_id": "amzn", "architecture": "x86_64", "kernel": KERNEL, "cpus": 2, "memory_kib": 1 << 20,
    "available_kib": 1 << 19, "tmpfs": "/dev/shm", "tmpfs_free_kib": 1 << 19, "lockdown": "none", "kcore": True, "iomem": True,
    "kallsyms": True, "btf": True, "curl": True, "python3": True,
}  # fmt: skip


def settings(**changes: Any) -> Settings:
    """Small valid settings."""
    names = (
        "case_table", "evidence_bucket", "landing_bucket", "tools_bucket", "queue_url", "dead_letter_queue_url", "topic_arn",
        "evidence_key_arn", "signing_key_id", "document_key_id", "external_id", "analysis_subnet_id", "analysis_security_group_id",
        "analysis_instance_profile",
    )  # fmt: skip
    values: dict[str, Any] = dict.fromkeys(names, "x") | {
        "forensic_account_id": "222233334444", "region": REGION, "capture_tool_sha256": "a" * 64, "poll_seconds": 1,
    }  # fmt: skip
    return Settings(**{**values, **changes})


@dataclass
class Sent:
    """One command as it was sent."""

    document: str
    parameters: dict[str, str]
    comment: str
    timeout_seconds: int


class SsmOfTarget(SsmGateway):
    """SSM with one instance. ``live`` is the command that still runs; ``answers`` are the results by command id."""

    def __init__(self) -> None:
        self.account_id, self.region = ACCOUNT, REGION
        self.sent: list[Sent] = []
        self.live: str | None = None
        self.strange: list[tuple[str, str]] = []
        self.answers: dict[str, Invocation] = {}
        self.cancelled: list[str] = []

    def document_version(self, name: str, sha256: str) -> str:
        """Every document is in its seventh version."""
        return "7"

    def send(
        self,
        *,
        document: str,
        version: str,
        sha256: str,
        instance_id: str,
        parameters: dict[str, str],
        comment: str,
        timeout_seconds: int,
        delivery_seconds: int = 120,
    ) -> str:
        """Keep what is sent; the ids count up."""
        assert (version, instance_id, len(sha256)) == ("7", INSTANCE, 64)
        self.sent.append(Sent(document, parameters, comment, timeout_seconds))
        return f"command-{len(self.sent)}"

    def find_command(self, *, instance_id: str, expected: ExpectedCommand) -> FoundCommand:
        """The command that still runs."""
        return FoundCommand(self.live, tuple(self.strange))

    def invocation(self, *, command_id: str, instance_id: str) -> Invocation | None:
        """The result that a test has set."""
        return self.answers.get(command_id)

    def cancel(self, *, command_id: str, instance_id: str) -> None:
        """Keep what is cancelled."""
        self.cancelled.append(command_id)

    def answer(
        self, command_id: str, line: dict[str, Any], *, status: str = "Success", ended: datetime | None = None
    ) -> None:
        """Let a command end with a status line, by default just now."""
        self.answers[command_id] = Invocation(
            command_id=command_id, instance_id=INSTANCE, status=status, stdout=f"{json.dumps(line)}\n",
            ended=(ended or datetime.now(UTC)).isoformat(),
        )  # fmt: skip

    def lose(self, command_id: str) -> None:
        """SSM gives a command up, as radkawar/stackd recorded it (managed_execution_timeouts_current.json)."""
        self.answers[command_id] = Invocation(
            command_id=command_id, instance_id=INSTANCE, status="TimedOut", detail="DeliveryTimedOut", exit_code=-1
        )


class Ec2OfTarget(Ec2Gateway):
    """EC2 that knows how much memory every type has."""

    def __init__(self, memory_mib: int = 1024) -> None:
        self._memory_mib = memory_mib

    def memory_mib(self, instance_type: str) -> int:
        """The same for every type."""
        return self._memory_mib


class ModulesOfTarget(LimeModuleStore):
    """The list of modules, or why it cannot be trusted."""

    def __init__(self, *modules: LimeModule, error: ForensicsError | None = None) -> None:
        self._modules, self._error = modules, error

    def modules(self) -> tuple[LimeModule, ...]:
        """The list."""
        if self._error:
            raise self._error
        return self._modules


class SessionsOfTarget(CaseSessions):
    """Sessions that reach nothing."""

    def target(self, phase: str) -> AwsSession:
        """A session without credentials."""
        return AwsSession(boto3.session.Session(region_name=REGION), ACCOUNT, REGION)


@dataclass
class Host:
    """A recorder of a triaged case and the gateways of its target."""

    recorder: FakeRecorder = field(default_factory=lambda: FakeRecorder(step="memory.capture_memory"))
    ssm: SsmOfTarget = field(default_factory=SsmOfTarget)
    ec2: Ec2OfTarget = field(default_factory=Ec2OfTarget)
    modules: ModulesOfTarget = field(default_factory=ModulesOfTarget)

    def __post_init__(self) -> None:
        self.recorder.put(case_keys.PLAN, plan())
        self.recorder.put(case_keys.TARGET, target())

    @property
    def gateways(self) -> CaptureGateways:
        """As the capture takes them."""
        return CaptureGateways(ssm=self.ssm, ec2=self.ec2, modules=self.modules)

    @property
    def case(self) -> Case:
        """The case."""
        return self.recorder.case

    @property
    def memory(self) -> MemoryEvidence:
        """The memory item."""
        found = self.recorder.memory()
        assert found is not None
        return found

    def probed(self, **changes: Any) -> None:
        """The probe was sent and has answered."""
        record = ProbeRecord(
            command_id="probe", instance_id=INSTANCE, document="d", document_version="7", document_sha256="e" * 64
        )
        self.recorder.put(case_keys.PROBE, record)
        self.ssm.answer("probe", {**PROBE, **changes})

    def landed(self, bodies: list[bytes], *, listed: int | None = None, head: str = "avml none 8589f2d9") -> bytes:
        """Put parts and their list where the target uploads them; returns the list. ``listed``: only so many are in it."""
        prefix, lines, end = str(self.memory.origin.landing_prefix), [f"forensics-parts 1 {head}"], 0
        for number, body in enumerate(bodies[:listed], start=1):
            end += len(body)
            lines.append(f"{number} {end} {len(body)} {hashlib.sha256(body).hexdigest()}")
        text = ("\n".join(lines) + "\n").encode()
        landing = self.recorder.landing
        landing.uploads[f"{prefix}/{IMAGE}"] = {n: len(body) for n, body in enumerate(bodies, start=1)}
        landing.objects[f"{prefix}/{IMAGE}"] = b"".join(bodies)
        landing.objects[f"{prefix}/{LIST}"] = text
        return text


def status_line(text: bytes, size: int, **changes: Any) -> dict[str, Any]:
    """The last line of a capture that sent this list of parts and so many bytes."""
    return {
        "status": "ok", "reason": "", "bytes": size, "parts": 1, "sha256": "", "list_sha256": hashlib.sha256(text).hexdigest(),
        "method": "avml", "encoding": "none", "resumed_at": 1, "kernel": KERNEL, "symbols": {}, **changes,
    }  # fmt: skip
