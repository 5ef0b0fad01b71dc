"""Validation of a memory image: may the case say that memory was ACQUIRED?

The image is validated by what is in it, never by what the target says of it: its ranges against the RAM map, its kernel banner
against the probe's, the kernel's page tables, its text, and the pages that the kernel's own records call in use. ``iomem`` and
``kallsyms`` come from the target; a lie in them makes a check fail; it cannot make one pass that the image does not support,
with one exception: another table named as ``shmem_aops`` (or function as ``shmem_write_begin``) would exclude the zero pages of up to 64 files. Nor can it make one
endless: every walk has a limit (``limits``), and a check that meets it says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from forensics.memory import ram_map
from forensics.memory.arm64_pages import find_kernel
from forensics.memory.kernel_pages import (
    FILE_RUN,
    OBJECT_RUN,
    Frames,
    KernelTables,
    PhysicalMemory,
    ReadAt,
    UnreachableError,
    find_tables,
    frames_in_use,
    symbols,
    zero_data_pages,
    zero_text_pages,
)
from forensics.memory.lime import LimeWalker
from forensics.memory.limits import Budget, OverBudgetError
from forensics.models.base import Model
from forensics.models.evidence import Outcome
from forensics.models.outside import Outside

MIB = 1024 * 1024
# Measured on clean images: 2 % of the frames in use are zero, at most 43 of them consecutive (limits of runs: kernel_pages).
ZERO_IN_USE_LIMIT = 0.25
FEW_FRAMES = 256
EMPTY_SHARE = 0.999
MOSTLY_EMPTY_SHARE = 0.98


class CheckResult(StrEnum):
    """How one check ended."""

    PASSED = "passed"
    NOT_CHECKED = "not checked"
    PARTIAL = "partial"
    FAILED = "failed"


class ImageCheck(Outside):
    """One check: what was looked at, how it ended, what was found."""

    name: str
    result: CheckResult
    found: str


class ImageReport(Model):
    """The outcome of a validation with every check behind it."""

    outcome: Outcome
    checks: tuple[ImageCheck, ...]

    @property
    def problems(self) -> list[str]:
        """What keeps the image from being ACQUIRED, the worst first."""
        order = (CheckResult.FAILED, CheckResult.PARTIAL, CheckResult.NOT_CHECKED)
        return [f"{c.name}: {c.found}" for result in order for c in self.checks if c.result is result]


@dataclass(frozen=True)
class KernelClaims:
    """What the target says about its kernel; None or empty where it says nothing. ``memory_bytes``: of all its memory.

    ``refused``: what it sent and nobody looks at, with the reason.
    """

    banner: str | None = None
    iomem: str | None = None
    kallsyms: bytes | None = None
    architecture: str = "x86_64"
    memory_bytes: int = 0
    refused: tuple[str, ...] = ()


def validate_image(
    walker: LimeWalker, *, claims: KernelClaims, read_at: ReadAt, budget: Budget | None = None
) -> ImageReport:
    """Validate a walked image; ``read_at(offset, size)`` reads pieces of the stored image again (a few MiB in all).

    ``budget``: what reading again may use; a check that would need more is PARTIAL.
    """
    walker.close()
    if walker.raw:
        return _report(_windows(walker, claims))
    checks = [_structure(walker), _ram_map(walker, claims), _banner(walker, claims)]
    if checks[0].result is not CheckResult.FAILED:
        checks += _kernel(walker, claims, PhysicalMemory(walker.ranges, read_at, budget or Budget()))
    proven = any(c.name == "pages in use" and c.result is CheckResult.PASSED for c in checks)
    checks.insert(2, _content(walker, proven=proven))
    if claims.refused:
        checks.append(_partial("kernel facts", "; ".join(claims.refused)))
    return _report(checks)


def _passed(name: str, found: str) -> ImageCheck:
    return ImageCheck(name=name, result=CheckResult.PASSED, found=found)


def _not_checked(name: str, found: str) -> ImageCheck:
    return ImageCheck(name=name, result=CheckResult.NOT_CHECKED, found=found)


def _partial(name: str, found: str) -> ImageCheck:
    return ImageCheck(name=name, result=CheckResult.PARTIAL, found=found)


def _failed(name: str, found: str) -> ImageCheck:
    return ImageCheck(name=name, result=CheckResult.FAILED, found=found)


def _report(checks: list[ImageCheck]) -> ImageReport:
    results = {c.result for c in checks}
    outcome = Outcome.ACQUIRED
    if CheckResult.FAILED in results:
        outcome = Outcome.FAILED
    elif results & {CheckResult.PARTIAL, CheckResult.NOT_CHECKED}:
        outcome = Outcome.PARTIAL
    return ImageReport(outcome=outcome, checks=tuple(checks))


def _windows(walker: LimeWalker, claims: KernelClaims) -> list[ImageCheck]:
    """A raw image of a Windows instance: complete, not empty, with a kernel in it; its page tables are not walked here."""
    size = f"{walker.total / MIB:.1f} MiB, the instance states {claims.memory_bytes / MIB:.1f} MiB"
    kernels = ", ".join(sorted(walker.banners))
    return [
        _passed("raw structure", size) if walker.total >= claims.memory_bytes > 0 else _partial("raw structure", size),
        _content(walker, proven=bool(kernels)),
        _passed("kernel", kernels) if kernels else _failed("kernel", "no Windows kernel was found in the image"),
        _not_checked("page tables", "the walk is written for Linux kernels, not for Windows"),
    ]


def _structure(walker: LimeWalker) -> ImageCheck:
    name = "LiME structure"
    if not walker.ranges:
        return _failed(name, walker.error or "the image is empty")
    if walker.error and walker.error == walker.exceeded:
        return _failed(name, f"{walker.error}: the rest was stored, but not examined; expect a forged image")
    if walker.error:
        return _partial(name, f"{walker.error}; what follows cannot be read")
    if walker.missing_bytes:
        return _partial(name, f"the image is truncated: {walker.missing_bytes} bytes are missing at the end")
    return _passed(name, f"{len(walker.ranges)} ranges, {walker.total} bytes")


def _ram_map(walker: LimeWalker, claims: KernelClaims) -> ImageCheck:
    name = "RAM map"
    try:
        ram = ram_map.system_ram(claims.iomem or "")
    except OverBudgetError as error:
        return _partial(name, f"not compared: {error}")
    if not ram:
        return _not_checked(name, "the target gave no RAM map (/proc/iomem): what is missing cannot be determined")
    if gone := ram_map.missing(ram, walker.covered):
        lost, everything = ram_map.size(gone), ram_map.size(ram)
        where = _places(gone) + (" and more" if len(gone) > 4 else "")
        found = f"{lost / MIB:.1f} of {everything / MIB:.1f} MiB of RAM are missing: {where}"
        return _failed(name, found) if lost * 2 > everything else _partial(name, found)
    if strange := ram_map.outside(ram, walker.covered):
        return _partial(name, f"the image has ranges where the target has no RAM: {_places(strange)}")
    return _passed(name, f"all {ram_map.size(ram) / MIB:.1f} MiB of RAM are covered")


def _places(ranges: ram_map.Ranges) -> str:
    """The first few ranges, as a person reads them."""
    return ", ".join(f"{first:#x}-{past - 1:#x}" for first, past in ranges[:4])


def _content(walker: LimeWalker, *, proven: bool) -> ImageCheck:
    """Zero pages alone say little: an idle machine's free memory is zero. They decide only where no better check does."""
    name, found = "content", f"{walker.zero_share:.1%} of the pages are zero"
    if walker.zero_share >= EMPTY_SHARE:
        return _failed(name, found)
    return _partial(name, found) if walker.zero_share > MOSTLY_EMPTY_SHARE and not proven else _passed(name, found)


def _banner(walker: LimeWalker, claims: KernelClaims) -> ImageCheck:
    name, in_image = "kernel banner", (walker.banner or "")[:200]
    expected = (claims.banner or "").strip()
    if expected and expected in walker.banners:
        return _passed(name, expected[:200])
    if walker.exceeded and walker.exceeded != walker.error:
        return _partial(name, f"the search was stopped: {walker.exceeded}")
    if not walker.banners:
        return _failed(name, "no kernel banner was found in the image")
    if not expected:
        return _not_checked(name, f"the target did not state its kernel; the image says: {in_image}")
    return _failed(name, f"the image holds another kernel than the target's ({expected[:120]}): {in_image}")


def _kernel(walker: LimeWalker, claims: KernelClaims, memory: PhysicalMemory) -> list[ImageCheck]:
    """Page tables, text, pages in use: only where the kernel can be found at all."""
    name = "page tables"
    if claims.architecture not in ("x86_64", "aarch64"):
        return [_not_checked(name, f"the walk is written for x86_64 and aarch64, not for {claims.architecture}")]
    known = symbols(claims.kallsyms or b"")
    if not known:
        hidden = "the target gave no symbol addresses (kallsyms): neither this check nor Volatility can walk its tables"
        return [_not_checked(name, hidden)]
    places = walker.banners.get((claims.banner or "").strip(), set()) or set().union(*walker.banners.values())
    try:
        if claims.architecture == "aarch64":
            return _kernel_of_arm64(walker, known, memory, places)
        tables = find_tables(memory, known, places)
    except UnreachableError as error:
        return [_partial(name, f"not reachable: {error}")]
    except OverBudgetError as error:
        return [_partial(name, f"the walk was stopped: {error}")]
    walked = _passed(name, f"root at {tables.root:#x}, {tables.levels} levels")
    found = (_text(tables, known, walker), _data(tables, known, walker), _in_use(tables, known, walker))
    return [walked, *filter(None, found)]


def _kernel_of_arm64(
    walker: LimeWalker, known: dict[str, int], memory: PhysicalMemory, places: set[int]
) -> list[ImageCheck]:
    kernel = find_kernel(memory, walker.notes, places, known.get("linux_banner"))
    tables, known = kernel.tables, kernel.known(known)
    form = f"{tables.levels} levels, {tables.bits} bits, pages of {(1 << tables.granule) // 1024} KiB"
    walked = _passed("page tables", f"root at {tables.root:#x}, {form}")
    in_use = _in_use(tables, known, walker, kept=kernel.frames)
    return [walked, *filter(None, (_text(tables, known, walker), _data(tables, known, walker), in_use))]


def _text(tables: KernelTables, known: dict[str, int], walker: LimeWalker) -> ImageCheck:
    name = "kernel text"
    try:
        zero, total = zero_text_pages(tables, known, walker)
    except UnreachableError as error:
        return _partial(name, f"not reachable: {error}")
    except OverBudgetError as error:
        return _partial(name, f"the walk was stopped: {error}")
    if not total:
        return _not_checked(name, "the symbol list does not say where the text ends")
    # Its last pages are padding up to the next section and may be zero.
    if zero * 50 > total:
        return _partial(name, f"{zero} of {total} pages of the kernel's text are zero")
    return _passed(name, f"{total} pages, {zero} of them zero")


def _data(tables: KernelTables, known: dict[str, int], walker: LimeWalker) -> ImageCheck | None:
    """A kernel whose own data lacks in the map of all memory reads as zeros there: no process would be found."""
    name = "kernel data"
    try:
        zero, total = zero_data_pages(tables, known, walker)
    except UnreachableError as error:
        return _partial(name, f"not reachable: {error}")
    except OverBudgetError as error:
        return _partial(name, f"the walk was stopped: {error}")
    if zero:
        return _partial(name, f"pages of the kernel's own data are zero: {', '.join(zero)} ({len(zero)} of {total})")
    # where a kernel lists functions alone, and its notes none of them, there is nothing to look at
    return _passed(name, f"{total} of its objects looked at, none in a page of zeros") if total else None


def _in_use(
    tables: KernelTables, known: dict[str, int], walker: LimeWalker, *, kept: Callable[[], Frames] | None = None
) -> ImageCheck:
    name = "pages in use"
    try:
        seen = frames_in_use(tables, known, walker, kept=kept() if kept else None)
    except UnreachableError as error:
        return _partial(name, f"the kernel's page records are not reachable: {error}")
    except OverBudgetError as error:
        return _partial(name, f"the walk was stopped: {error}")
    if seen.blank_records:
        return _partial(name, f"{seen.blank_records} pages of the kernel's page records are zero")
    if seen.frames < FEW_FRAMES:
        return _partial(name, f"the kernel's page records name {seen.frames} frames in use")
    found = f"{seen.zero} of {seen.frames} frames that the kernel calls in use are zero"
    if seen.longest_run >= FILE_RUN or seen.longest_object_run >= OBJECT_RUN:
        return _partial(name, f"{found}, {seen.longest_object_run} of them consecutive")
    return _partial(name, found) if seen.zero_share > ZERO_IN_USE_LIMIT else _passed(name, found)
