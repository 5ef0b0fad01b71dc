"""The usability gate: may the case say that memory was ACQUIRED (R22)?

The image is judged by what is in it, never by what the target says of it: its ranges against the RAM map, its kernel banner
against the probe's, the kernel's page tables, its text, and the pages that the kernel's own records call in use. ``iomem`` and
``kallsyms`` come from the target; a lie in them makes a check fail, it cannot make one pass that the image does not support
(but one: another table named as ``shmem_aops`` would leave out the zero pages of up to 64 files).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from forensics.memory import ram_map as memory_map
from forensics.memory.kernel_pages import (
    PageTables,
    PhysicalMemory,
    ReadAt,
    UnreachableError,
    find_tables,
    frames_in_use,
    symbols,
    zero_text_pages,
)
from forensics.memory.lime import LimeWalker
from forensics.models.base import Model
from forensics.models.evidence import Outcome

MIB = 1024 * 1024
# Measured on clean images: 2 % of the frames in use are zero, at most 43 one after the other. More than these limits
# means that something was zeroed or dropped: half a MiB of files and kernel objects is not zero by itself.
ZERO_IN_USE_LIMIT = 0.25
ZERO_RUN_LIMIT = 128
FEW_FRAMES = 256
EMPTY_SHARE = 0.999
MOSTLY_EMPTY_SHARE = 0.98


class Mark(StrEnum):
    """How one check ended."""

    PASSED = "passed"
    NOT_CHECKED = "not checked"
    PARTIAL = "partial"
    FAILED = "failed"


class Check(Model):
    """One check: what was looked at, how it ended, what was seen."""

    name: str
    mark: Mark
    said: str


class Grade(Model):
    """The verdict on an image with every check behind it."""

    outcome: Outcome
    checks: tuple[Check, ...]

    @property
    def problems(self) -> list[str]:
        """What keeps the image from being ACQUIRED, the worst first."""
        order = (Mark.FAILED, Mark.PARTIAL, Mark.NOT_CHECKED)
        return [f"{c.name}: {c.said}" for mark in order for c in self.checks if c.mark is mark]


@dataclass(frozen=True)
class Claims:
    """What the target said about its kernel (kernel facts); None or empty where it said nothing."""

    banner: str | None = None
    iomem: str | None = None
    kallsyms: bytes | None = None
    architecture: str = "x86_64"
    memory_bytes: int = 0


def grade(walker: LimeWalker, *, claims: Claims, read_at: ReadAt) -> Grade:
    """Judge a walked image; ``read_at(offset, size)`` reads pieces of the stored image again (a few MiB in all)."""
    walker.close()
    if walker.raw:
        return _verdict(_windows(walker, claims))
    checks = [_structure(walker), _ram_map(walker, claims), _banner(walker, claims)]
    if checks[0].mark is not Mark.FAILED:
        checks += _kernel(walker, claims, read_at)
    checks.insert(2, _content(walker, proven=any(c.name == "pages in use" and c.mark is Mark.PASSED for c in checks)))
    return _verdict(checks)


def _windows(walker: LimeWalker, claims: Claims) -> list[Check]:
    """A raw image of a Windows instance: whole, not empty, with a kernel in it; its page tables are not walked here."""
    enough = walker.total >= claims.memory_bytes > 0
    said = f"{walker.total / MIB:.1f} MiB, the instance states {claims.memory_bytes / MIB:.1f} MiB"
    known = ", ".join(sorted(walker.banners)) or "no Windows kernel was found in the image"
    return [
        Check(name="raw structure", mark=Mark.PASSED if enough else Mark.PARTIAL, said=said),
        _content(walker, proven=bool(walker.banners)),
        Check(name="kernel", mark=Mark.PASSED if walker.banners else Mark.FAILED, said=known),
        Check(name="page tables", mark=Mark.NOT_CHECKED, said="the walk is written for Linux kernels, not for Windows"),
    ]


def _verdict(checks: list[Check]) -> Grade:
    marks = {c.mark for c in checks}
    outcome = Outcome.ACQUIRED
    if Mark.FAILED in marks:
        outcome = Outcome.FAILED
    elif marks & {Mark.PARTIAL, Mark.NOT_CHECKED}:
        outcome = Outcome.PARTIAL
    return Grade(outcome=outcome, checks=tuple(checks))


def _structure(walker: LimeWalker) -> Check:
    name = "LiME structure"
    if not walker.segments:
        return Check(name=name, mark=Mark.FAILED, said=walker.error or "the image is empty")
    if walker.error:
        return Check(name=name, mark=Mark.PARTIAL, said=f"{walker.error}; what follows cannot be read")
    if walker.missing_bytes:
        said = f"the image is truncated: {walker.missing_bytes} bytes are missing at the end"
        return Check(name=name, mark=Mark.PARTIAL, said=said)
    return Check(name=name, mark=Mark.PASSED, said=f"{len(walker.segments)} ranges, {walker.total} bytes")


def _ram_map(walker: LimeWalker, claims: Claims) -> Check:
    name = "RAM map"
    ram = memory_map.system_ram(claims.iomem or "")
    if not ram:
        said = "the target gave no RAM map (/proc/iomem), so what is missing cannot be told"
        return Check(name=name, mark=Mark.NOT_CHECKED, said=said)
    gone, strange = memory_map.missing(ram, walker.covered), memory_map.outside(ram, walker.covered)
    if gone:
        lost, all_ram = memory_map.size(gone), memory_map.size(ram)
        where = ", ".join(f"{a:#x}-{b - 1:#x}" for a, b in gone[:4]) + (" and more" if len(gone) > 4 else "")
        mark = Mark.FAILED if lost * 2 > all_ram else Mark.PARTIAL
        return Check(
            name=name, mark=mark, said=f"{lost / MIB:.1f} of {all_ram / MIB:.1f} MiB of RAM are missing: {where}"
        )
    if strange:
        where = ", ".join(f"{a:#x}-{b - 1:#x}" for a, b in strange[:4])
        return Check(name=name, mark=Mark.PARTIAL, said=f"the image has ranges where the target has no RAM: {where}")
    return Check(name=name, mark=Mark.PASSED, said=f"all {memory_map.size(ram) / MIB:.1f} MiB of RAM are covered")


def _content(walker: LimeWalker, *, proven: bool) -> Check:
    """Zero pages alone say little: an idle machine's free memory is zero. Only with no better check they decide."""
    said = f"{walker.zero_share:.1%} of the pages are zero"
    if walker.zero_share >= EMPTY_SHARE:
        mark = Mark.FAILED
    elif walker.zero_share > MOSTLY_EMPTY_SHARE and not proven:
        mark = Mark.PARTIAL
    else:
        mark = Mark.PASSED
    return Check(name="content", mark=mark, said=said)


def _banner(walker: LimeWalker, claims: Claims) -> Check:
    name = "kernel banner"
    if not walker.banners:
        return Check(name=name, mark=Mark.FAILED, said="no kernel banner was found in the image")
    expected = (claims.banner or "").strip()
    if not expected:
        said = f"the target did not state its kernel; the image says: {(walker.banner or '')[:200]}"
        return Check(name=name, mark=Mark.NOT_CHECKED, said=said)
    if expected not in walker.banners:
        said = f"the image holds another kernel than the target's ({expected[:120]}): {(walker.banner or '')[:200]}"
        return Check(name=name, mark=Mark.FAILED, said=said)
    return Check(name=name, mark=Mark.PASSED, said=expected[:200])


def _kernel(walker: LimeWalker, claims: Claims, read_at: ReadAt) -> list[Check]:
    """Page tables, text, pages in use: only where the kernel can be found at all."""
    name = "page tables"
    if claims.architecture != "x86_64":
        said = f"the walk is written for x86_64, not for {claims.architecture}"
        return [Check(name=name, mark=Mark.NOT_CHECKED, said=said)]
    known = symbols(claims.kallsyms or b"")
    if not known:
        said = "the target gave no symbol addresses (kallsyms), so neither this gate nor Volatility can walk its tables"
        return [Check(name=name, mark=Mark.NOT_CHECKED, said=said)]
    memory = PhysicalMemory(walker.segments, read_at)
    places = walker.banners.get((claims.banner or "").strip(), set())
    try:
        tables = find_tables(memory, known, places or set().union(*walker.banners.values()))
    except UnreachableError as error:
        return [Check(name=name, mark=Mark.PARTIAL, said=f"not reachable: {error}")]
    found = [Check(name=name, mark=Mark.PASSED, said=f"root at {tables.root:#x}, {tables.levels} levels")]
    return [*found, _text(tables, known, walker), _in_use(tables, known, walker)]


def _text(tables: PageTables, known: dict[str, int], walker: LimeWalker) -> Check:
    name = "kernel text"
    try:
        zero, total = zero_text_pages(tables, known, walker)
    except UnreachableError as error:
        return Check(name=name, mark=Mark.PARTIAL, said=f"not reachable: {error}")
    if not total:
        return Check(name=name, mark=Mark.NOT_CHECKED, said="the symbol list does not say where the text ends")
    # Its last pages are padding up to the next section and may be zero.
    if zero * 50 > total:
        return Check(name=name, mark=Mark.PARTIAL, said=f"{zero} of {total} pages of the kernel's text are zero")
    return Check(name=name, mark=Mark.PASSED, said=f"{total} pages, {zero} of them zero")


def _in_use(tables: PageTables, known: dict[str, int], walker: LimeWalker) -> Check:
    name = "pages in use"
    try:
        seen = frames_in_use(tables, known, walker)
    except UnreachableError as error:
        return Check(name=name, mark=Mark.PARTIAL, said=f"the kernel's page records are not reachable: {error}")
    if seen.blank_records:
        said = f"{seen.blank_records} pages of the kernel's page records are zero"
        return Check(name=name, mark=Mark.PARTIAL, said=said)
    said = f"{seen.zero} of {seen.frames} frames that the kernel calls in use are zero"
    if seen.frames < FEW_FRAMES:
        return Check(name=name, mark=Mark.PARTIAL, said=f"the kernel's page records name {seen.frames} frames in use")
    if seen.longest_run >= ZERO_RUN_LIMIT:
        said += f", {seen.longest_run} of them one after the other"
        return Check(name=name, mark=Mark.PARTIAL, said=said)
    mark = Mark.PARTIAL if seen.zero_share > ZERO_IN_USE_LIMIT else Mark.PASSED
    return Check(name=name, mark=mark, said=said)
