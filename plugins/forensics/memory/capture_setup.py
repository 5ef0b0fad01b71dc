"""What the next capture command works with: the probe's answer, the method, the module, the size of the memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from forensics.aws.ec2 import Ec2Gateway
from forensics.aws.hook import CaseSessions
from forensics.aws.ssm import SsmGateway
from forensics.case.recorder import CaseRecorder
from forensics.errors import ForensicsError, MemoryCaptureError
from forensics.manifest import MIB, part_size_for
from forensics.memory.lime_module_store import LimeModuleStore
from forensics.memory.lime_modules import LimeModule, module_for
from forensics.memory.method import CaptureOptions, MethodChoice, choose_methods
from forensics.memory.probe import probe_answer
from forensics.models.case import TimelineKind
from forensics.models.status_lines import Probe
from forensics.models.target import Target
from forensics.settings import Settings

# The longest that a step of a command may run (AWS Systems Manager user guide, "aws:runShellScript", timeoutSeconds).
COMMAND_SECONDS = 172_800


@dataclass(frozen=True)
class CaptureGateways:
    """SSM and EC2 in the target's account, and the list of prebuilt kernel modules."""

    ssm: SsmGateway
    ec2: Ec2Gateway
    modules: LimeModuleStore

    @classmethod
    def of(cls, sessions: CaseSessions) -> Self:
        """The gateways of a case, under its acquire role."""
        account = sessions.target("acquire")
        return cls(ssm=SsmGateway.of(account), ec2=Ec2Gateway.of(account), modules=LimeModuleStore.of(sessions))


@dataclass(frozen=True)
class CaptureSetup:
    """How one command captures the target's memory, of which there are ``memory_mib`` MiB."""

    probe: Probe | None
    module: LimeModule | None
    choice: MethodChoice
    memory_mib: int

    @property
    def architecture(self) -> str:
        """The target's, as far as it is known."""
        return (self.probe.architecture if self.probe else "") or "x86_64"


def capture_setup(
    recorder: CaseRecorder, gateways: CaptureGateways, settings: Settings, target: Target
) -> CaptureSetup:
    """Choose from what the probe reports; raises :class:`MemoryCaptureError` for more memory than the settings allow."""
    memory_mib = _memory_mib(gateways.ec2, target, limit_gib=settings.memory_limit_gib)
    probe = probe_answer(recorder, gateways.ssm)
    module = lime_module(recorder, gateways.modules, probe)
    options = capture_options(settings, part_size=part_size_for(memory_mib * MIB)[0], module=module)
    return CaptureSetup(probe, module, choose_methods(probe, options, platform=target.platform), memory_mib)


def capture_seconds(settings: Settings, memory_mib: int) -> int:
    """How long all attempts to capture so much memory may take together: a rate, with a floor for small machines."""
    return min(COMMAND_SECONDS, max(settings.memory_timeout_seconds, memory_mib // settings.memory_mib_per_second))


def capture_options(settings: Settings, *, part_size: int, module: LimeModule | None) -> CaptureOptions:
    """What this installation can capture with; ``module`` is the one for the target's kernel."""
    return CaptureOptions(
        avml_architectures=("x86_64", *(("aarch64",) if settings.capture_tool_arm64_sha256 else ())),
        lime_kernels=(module.kernel,) if module else (),
        winpmem=bool(settings.winpmem_sha256),
        domain_members=settings.winpmem_domain_members,
        part_kib=part_size // 1024,
        memory_limit_kib=settings.memory_limit_gib * 1024 * 1024,
    )


def lime_module(recorder: CaseRecorder, store: LimeModuleStore, probe: Probe | None) -> LimeModule | None:
    """The prebuilt module for the target's kernel; a list that cannot be trusted is announced and not used."""
    try:
        return module_for(store.modules(), probe=probe)
    except ForensicsError as error:
        found = f"the list of LiME modules is not used: {error}"
        recorder.note(f"ALERT: {found}"[:900], kind=TimelineKind.EVIDENCE)
        recorder.announce(
            "lime_list", "ALERT: the list of LiME modules cannot be trusted", lines=[found, str(error.next_action)]
        )
        return None


def _memory_mib(ec2: Ec2Gateway, target: Target, *, limit_gib: int) -> int:
    """Memory of the target's instance type."""
    found = ec2.memory_mib(target.instance_type)
    if found > limit_gib * 1024:
        msg = f"the instance has {found} MiB of memory; forensics.memory_limit_gib allows {limit_gib} GiB"
        error = MemoryCaptureError(
            msg, next_action="raise the setting if a capture of that size is wanted, then clear this task"
        )
        error.retryable = False
        raise error
    return found
