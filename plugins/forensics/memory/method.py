"""How the memory of a target is captured, and why: a pure table over what the probe saw.

Order: AVML, the reader of /proc/kcore, a prebuilt LiME module for exactly that kernel, single processes, live response only.
Every method that is not chosen has its reason. What the probe could open decides, not the name of a lockdown mode: /proc/kcore is
barred by ``confidentiality`` only, /dev/mem and unsigned modules by ``integrity`` already (Linux, include/linux/security.h,
``enum lockdown_reason``: LOCKDOWN_KCORE lies behind LOCKDOWN_INTEGRITY_MAX, LOCKDOWN_DEV_MEM and LOCKDOWN_MODULE_SIGNATURE before
it). AVML's sources: its README (/proc/kcore, /dev/crash, /dev/mem).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from forensics.models.base import Model
from forensics.models.status_lines import Probe

KIB_PER_MIB = 1024
LOCKED = frozenset({"integrity", "confidentiality"})
# Room beside two parts: the tool, the kernel's facts, the programs that send.
ROOM_KIB = 32_768
# A machine that is this many times over its processors would hardly survive the capture, nor finish it in time.
LOAD_LIMIT = 16


class Method(StrEnum):
    """How memory, or what is available of it, is captured; in the order of preference."""

    AVML = "avml"
    KCORE = "kcore"
    LIME = "lime"
    WINPMEM = "winpmem"
    PROCESSES = "processes"
    LIVE_RESPONSE = "live-response"


WHOLE_IMAGE = (Method.AVML, Method.KCORE, Method.LIME, Method.WINPMEM)


class CaptureOptions(Model):
    """What this installation can send to the target, and its limits."""

    avml_architectures: tuple[str, ...] = ("x86_64",)
    lime_kernels: tuple[str, ...] = ()
    winpmem: bool = False
    domain_members: bool = False
    part_kib: int = 16_384
    memory_limit_kib: int = 256 * 1024 * 1024


class RefusedMethod(Model):
    """A method that is not used, and why."""

    method: Method
    reason: str


class MethodChoice(Model):
    """The methods to try in this order, those that are not tried with their reasons, and what a person should know."""

    methods: tuple[Method, ...]
    refused: tuple[RefusedMethod, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def whole_image(self) -> tuple[Method, ...]:
        """The methods that give an image of all memory."""
        return tuple(m for m in self.methods if m in WHOLE_IMAGE)

    @property
    def why(self) -> str:
        """One line for people: what is tried, what is not and why."""
        tried = ", then ".join(self.whole_image) or "no whole image is possible"
        return "; ".join([f"memory method: {tried}", *(f"not {r.method.value}: {r.reason}" for r in self.refused)])

    @property
    def why_no_image(self) -> str:
        """The reason, where no image of all memory is possible."""
        reasons = "; ".join(f"{r.method.value}: {r.reason}" for r in self.refused if r.method in WHOLE_IMAGE)
        if Method.PROCESSES in self.methods:
            return f"no image of all memory is possible, single processes are taken instead ({reasons})"
        return f"no image of memory is possible, live response only ({reasons})"


def choose_methods(probe: Probe | None, options: CaptureOptions, *, platform: str = "linux") -> MethodChoice:
    """The table. Without a probe every whole-image method is tried, in order. ``platform`` is AWS's word, not the target's."""
    if platform == "windows":
        return _choose_windows(probe, options)
    if probe is None:
        return MethodChoice(
            methods=(Method.AVML, Method.KCORE, Method.PROCESSES, Method.LIVE_RESPONSE),
            warnings=("the probe reported nothing usable: the methods are tried in order without knowing the target",),
        )
    taken: list[Method] = []
    refused: list[RefusedMethod] = []
    # the reader first where only it finds the kernel's own data
    rules = sorted(_RULES, key=lambda rule: rule[0] is not Method.KCORE) if _data_elsewhere(probe) else _RULES
    for method, why_not in rules:
        reason = _common(probe, options) if method in WHOLE_IMAGE else None
        reason = reason or why_not(probe, options)
        if reason:
            refused.append(RefusedMethod(method=method, reason=reason))
        else:
            taken.append(method)
    return MethodChoice(methods=tuple(taken), refused=tuple(refused), warnings=tuple(_warnings(probe, options)))


def _choose_windows(probe: Probe | None, options: CaptureOptions) -> MethodChoice:
    """Windows: go-winpmem, or live response only."""
    reason = None
    if not options.winpmem:
        reason = "no go-winpmem is in the tools bucket (forensics.winpmem_sha256)"
    elif probe is None:
        reason = "the probe reported nothing usable, and a driver is not loaded into an unknown kernel"
    elif probe.domain_joined and not options.domain_members:
        reason = "the instance is joined to a domain, where a driver is loaded only if forensics.winpmem_domain_members is set"
    elif probe.architecture != "x86_64":
        reason = f"its driver is for x86_64, not for {probe.architecture or 'an unknown architecture'}"
    elif probe.memory_kib > options.memory_limit_kib:
        reason = f"{probe.memory_kib // KIB_PER_MIB} MiB of memory are more than forensics.memory_limit_gib allows"
    warnings = ["the Windows documents have not been run on a real Windows host yet", *_windows_warnings(probe)]
    if reason:
        refused = (RefusedMethod(method=Method.WINPMEM, reason=reason),)
        return MethodChoice(methods=(Method.LIVE_RESPONSE,), refused=refused, warnings=tuple(warnings))
    return MethodChoice(methods=(Method.WINPMEM, Method.LIVE_RESPONSE), warnings=tuple(warnings))


def _windows_warnings(probe: Probe | None) -> list[str]:
    """What is lost or has to be known before such an instance is stopped (R52)."""
    if probe is None:
        return ["the probe reported nothing usable"]
    found = []
    if probe.virtualization_security or probe.memory_integrity:
        found.append("virtualization-based security runs: memory of the secure kernel is not in the image")
    if probe.bitlocker not in {"", "off"}:
        found.append(
            f"BitLocker: {probe.bitlocker}; its volumes open with their keys only: get them before it is stopped"
        )
    if probe.pagefile:
        found.append(f"what was paged out is not in a memory image: {probe.pagefile}, on the disks")
    if probe.hibernation:
        found.append("there is a hiberfil.sys, an older state of the memory, on the disks")
    return found


def _common(probe: Probe, options: CaptureOptions) -> str | None:
    """What rules out every image of all memory."""
    need = 2 * options.part_kib + ROOM_KIB
    if probe.memory_kib > options.memory_limit_kib:
        limit = options.memory_limit_kib // (KIB_PER_MIB * 1024)
        return f"{probe.memory_kib // KIB_PER_MIB} MiB of memory are more than forensics.memory_limit_gib allows ({limit} GiB)"
    if not (probe.curl or probe.python3):
        return "neither curl nor python3 is on the instance: nothing could be uploaded"
    if not probe.tmpfs:
        return "no tmpfs can be written: working on a disk would alter evidence"
    if not probe.bash:
        return "bash, which the capture's script needs, is not on the instance"
    if probe.tmpfs_free_kib < need or probe.available_kib < need:
        free = min(probe.tmpfs_free_kib, probe.available_kib)
        return f"{need // KIB_PER_MIB} MiB of tmpfs and memory are needed, {free // KIB_PER_MIB} MiB are free"
    if probe.load_percent > LOAD_LIMIT * 100 * max(1, probe.cpus):
        return f"the load is {probe.load_percent / 100:.0f} on {probe.cpus} processors: a capture could bring the instance down"
    return None


def _data_elsewhere(probe: Probe) -> bool:
    """Whether the kernel's own data may lack in the map of all memory, which AVML reads.

    Seen with Debian's 7.3 for AArch64, not with 6.12; with which release it begins is not known, and the reader first loses nothing.
    """
    major = probe.kernel.partition(".")[0]
    return probe.architecture == "aarch64" and major.isdecimal() and int(major) >= 7


def _locked(probe: Probe) -> str:
    """What the kernel's lockdown adds to a reason; empty where it is not locked down, or does not say."""
    return f" (the kernel is locked down: {probe.lockdown})" if probe.lockdown in LOCKED else ""


def _no_avml(probe: Probe, options: CaptureOptions) -> str | None:
    if probe.architecture not in options.avml_architectures:
        return f"no AVML for {probe.architecture or 'an unknown architecture'} is in the tools bucket"
    if not (probe.kcore or probe.crash or (probe.mem and not _locked(probe))):
        return f"none of its sources is readable: /proc/kcore, /dev/crash, /dev/mem{_locked(probe)}"
    if not probe.tmpfs_exec:
        return f"{probe.tmpfs}, the tmpfs with the most room, runs no programs (noexec)"
    return None


def _no_lime(probe: Probe, options: CaptureOptions) -> str | None:
    if probe.kernel not in options.lime_kernels:
        return f"no prebuilt module for kernel {probe.kernel or 'unknown'} is in the tools bucket, and none is built on a target"
    return "the kernel loads no more modules (kernel.modules_disabled)" if probe.modules_disabled else None


def _no_kcore(probe: Probe, _: CaptureOptions) -> str | None:
    if not probe.kcore:
        return f"/proc/kcore is not readable{_locked(probe)}"
    if not probe.iomem:
        return "/proc/iomem does not show where the RAM is"
    return None if probe.python3 else "its reader needs python3, which is not on the instance"


def _no_processes(probe: Probe, _: CaptureOptions) -> str | None:
    possible = probe.tmpfs and (probe.curl or probe.python3)
    return None if possible else "there is no tmpfs to work in or no program to upload with"


_Rule = Callable[[Probe, CaptureOptions], str | None]
_RULES: tuple[tuple[Method, _Rule], ...] = (
    (Method.AVML, _no_avml),
    (Method.KCORE, _no_kcore),
    (Method.LIME, _no_lime),
    (Method.PROCESSES, _no_processes),
    (Method.LIVE_RESPONSE, lambda probe, options: None),
)


def _warnings(probe: Probe, options: CaptureOptions) -> list[str]:
    found = []
    if probe.container != "none":
        found.append(
            f"the agent seems to run inside a container ({probe.container}): what it sees may not be the instance"
        )
    if probe.lockdown in LOCKED and probe.kernel in options.lime_kernels:
        found.append(f"the kernel is locked down ({probe.lockdown}): it takes LiME only with a signature that it knows")
    if not probe.kallsyms:
        found.append("symbol addresses are hidden (kallsyms): Volatility needs another symbol table")
    if not probe.btf:
        found.append("the kernel has no BTF: Volatility needs another symbol table")
    if probe.swap_kib:
        found.append(
            f"{probe.swap_kib // KIB_PER_MIB} MiB of swap are not part of a memory image; they are on the disks"
        )
    return found
