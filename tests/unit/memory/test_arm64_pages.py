"""AArch64 kernels in an image: their tables by the note for crash dumps, at every page size and number of address bits."""

from __future__ import annotations

import pytest

from forensics.memory.arm64_pages import Arm64Kernel, find_kernel, read_note
from forensics.memory.image_validation import ImageReport, KernelClaims, validate_image
from forensics.memory.kernel_pages import PhysicalMemory, UnreachableError
from forensics.memory.lime import HEADER, LimeWalker
from forensics.models.evidence import Outcome
from tests.arm64_image import (
    HIGH_RAM,
    NOTE,
    RECORDS,
    SIZE,
    TABLES,
    TEXT,
    TEXT_BYTES,
    Arm64Memory,
    Form,
    arm64_memory,
    note,
)
from tests.memory_image import MIB, PAGE

# Linux, arch/arm64/Kconfig: what each page size may be configured for; a kernel made for 52 bits runs on processors with fewer.
FORMS = {
    "4 KiB, 39 bits": Form(12, 39, 39),
    "4 KiB, 48 bits": Form(12, 48, 48),
    "4 KiB, made for 52, processor of 48": Form(12, 48, 52),
    "4 KiB, 52 bits": Form(12, 52, 52, HIGH_RAM),
    "16 KiB, 36 bits": Form(14, 36, 36),
    "16 KiB, 47 bits": Form(14, 47, 47),
    "16 KiB, 48 bits": Form(14, 48, 48),
    "16 KiB, 52 bits": Form(14, 52, 52, HIGH_RAM),
    "64 KiB, 42 bits": Form(16, 42, 42),
    "64 KiB, 48 bits": Form(16, 48, 48),
    "64 KiB, made for 52, processor of 48": Form(16, 48, 52),
    "64 KiB, 52 bits": Form(16, 52, 52, HIGH_RAM),
}
LEVELS = dict(zip(FORMS, (3, 4, 4, 5, 2, 3, 4, 4, 2, 3, 3, 3), strict=True))
MADE = {name: arm64_memory(form) for name, form in FORMS.items()}
USUAL = MADE["4 KiB, 48 bits"]


def walked(image: bytes) -> tuple[LimeWalker, PhysicalMemory]:
    walker = LimeWalker()
    for at in range(0, len(image), MIB + 1):
        walker.feed(image[at : at + MIB + 1])
    walker.close()
    return walker, PhysicalMemory(walker.ranges, lambda at, size: image[at : at + size])


def found(image: bytes, banner: int | None = None) -> Arm64Kernel:
    walker, memory = walked(image)
    return find_kernel(memory, walker.notes, set().union(*walker.banners.values()), banner)


def validate(image: bytes, made: Arm64Memory = USUAL, **claims: object) -> ImageReport:
    said: dict[str, object] = {
        "banner": made.banner.decode(), "iomem": made.iomem.decode(), "kallsyms": made.kallsyms, "architecture": "aarch64", **claims
    }  # fmt: skip
    walker, _ = walked(image)
    return validate_image(walker, claims=KernelClaims(**said), read_at=lambda at, size: image[at : at + size])  # type: ignore[arg-type]


def changed(place: int, data: bytes, made: Arm64Memory = USUAL) -> bytes:
    """The image with other bytes from a place in RAM on."""
    image = bytearray(made.image)
    image[HEADER.size + place : HEADER.size + place + len(data)] = data
    return bytes(image)


@pytest.mark.parametrize("name", FORMS)
def test_a_clean_image_of_every_form_is_acquired(name: str) -> None:
    made = MADE[name]
    report = validate(made.image, made)
    assert report.outcome is Outcome.ACQUIRED, report.problems
    form = made.form
    bits = form.made_for if form.granule == 16 else form.bits
    expected = f"root at {form.ram + TABLES:#x}, {LEVELS[name]} levels, {bits} bits, pages of {(1 << form.granule) // 1024} KiB"
    assert next(c.found for c in report.checks if c.name == "page tables") == expected
    text = next(c.found for c in report.checks if c.name == "kernel text")
    assert text == f"{TEXT_BYTES // PAGE - 1} pages, 0 of them zero"


@pytest.mark.parametrize("name", FORMS)
def test_addresses_are_translated_to_where_they_lie(name: str) -> None:
    form = MADE[name].form
    tables = found(MADE[name].image).tables
    for inside in (0, 0x1234, MIB + 0x40):
        assert tables.translate(form.text + inside)[0] == form.ram + TEXT + inside
    assert tables.translate(form.records + 0x40)[0] == form.ram + RECORDS + 0x40
    for address in (0, form.text + (1 << 30), tables.lowest - 1, (1 << 64) - 1):
        with pytest.raises(UnreachableError):
            tables.translate(address)


def test_a_kernel_without_data_symbols_is_found_by_its_note() -> None:
    """Debian's 6.1 for arm64 has no KALLSYMS_ALL: its list names functions alone."""
    made = arm64_memory(FORMS["4 KiB, 48 bits"], data_symbols=False)
    assert validate(made.image, made).outcome is Outcome.ACQUIRED


@pytest.mark.parametrize(
    ("image", "outcome", "said"),
    [
        (USUAL.image[: -4 * MIB], Outcome.PARTIAL, "truncated"),
        (changed(TEXT + 0x4_0000, bytes(TEXT_BYTES // 2)), Outcome.PARTIAL, "pages of the kernel's text are zero"),
        (changed(RECORDS, bytes(64 * 512)), Outcome.PARTIAL, "page records are zero"),
        (changed(TABLES, bytes(PAGE)), Outcome.PARTIAL, "do not map a banner"),
        (changed(NOTE, bytes(PAGE)), Outcome.PARTIAL, "no VMCOREINFO note"),
        (changed(NOTE + 2 * MIB, bytes(4 * MIB)), Outcome.PARTIAL, "consecutive"),
        (changed(0, bytes(SIZE)), Outcome.FAILED, "zero"),
    ],
    ids=["cut off", "text", "records", "tables", "note", "hole", "empty"],
)
def test_damage_lowers_the_outcome_and_is_named(image: bytes, outcome: Outcome, said: str) -> None:
    report = validate(image)
    assert report.outcome is outcome
    assert said in "; ".join(report.problems)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ({"PAGESIZE": 8192}, "lacks page size"),
        ({"SYMBOL(swapper_pg_dir)": None}, "lacks page size, tables"),
        ({"NUMBER(kimage_voffset)": "0x1000"}, "do not map a banner"),
        ({"NUMBER(TCR_EL1_T1SZ)": "0x2"}, "62 bits"),
        ({"NUMBER(TCR_EL1_T1SZ)": "0x3c"}, "4 bits"),
        ({"NUMBER(VMEMMAP_START)": None}, "no address"),
        ({"SIZE(page)": 96}, "SIZE(page) is 96"),
        ({"OFFSET(page.mapping)": 32}, "OFFSET(page.mapping) is 32"),
    ],
)
def test_a_note_that_does_not_fit_the_image_proves_nothing(lines: dict[str, object], said: str) -> None:
    report = validate(changed(NOTE, note(USUAL.form, **lines) + bytes(512)))
    assert report.outcome is Outcome.PARTIAL
    assert said in "; ".join(report.problems)


def test_the_kernels_own_note_counts_where_a_forged_one_stands_before_it() -> None:
    forged = note(USUAL.form, **{"NUMBER(kimage_voffset)": "0x10000"})
    image = changed(64 * PAGE, forged)
    walker, _ = walked(image)
    assert len(walker.notes) == 2
    assert validate(image).outcome is Outcome.ACQUIRED


def test_tables_that_map_the_kernel_elsewhere_than_its_symbols_say_do_not_count() -> None:
    form = USUAL.form
    assert found(USUAL.image, form.text + TEXT_BYTES + 0x40).tables.root == form.ram + TABLES
    with pytest.raises(UnreachableError, match="do not map a banner"):
        found(USUAL.image, form.text + TEXT_BYTES + 0x1040)


def test_a_table_that_leads_to_itself_is_walked_no_deeper_than_its_levels() -> None:
    form = USUAL.form
    loop = (form.ram + TABLES | 3).to_bytes(8, "little") * 512
    with pytest.raises(UnreachableError):
        found(changed(TABLES, loop))


def test_numbers_of_a_note_are_read_as_the_kernel_writes_them() -> None:
    text = b"OSRELEASE=6.1\nPAGESIZE=4096\nSYMBOL(_stext)=ffff800008010000\nNUMBER(VA_BITS)=48\nNUMBER(a)=-1\nNUMBER(b)=0x10\nNUMBER(c)=fe\n"
    assert read_note(text + b"KERNELOFFSET=20fb50a00000\nnonsense\n") == {
        "PAGESIZE": 4096, "SYMBOL(_stext)": 0xFFFF_8000_0801_0000, "NUMBER(VA_BITS)": 48, "NUMBER(a)": (1 << 64) - 1,
        "NUMBER(b)": 16, "KERNELOFFSET": 0x20FB_50A0_0000,
    }  # fmt: skip
