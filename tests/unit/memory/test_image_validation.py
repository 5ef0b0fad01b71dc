"""The validation of small images: clean ones pass, each kind of damage is named."""

from __future__ import annotations

import struct

import pytest

from forensics.memory.image_validation import CheckResult, ImageReport, KernelClaims, validate_image
from forensics.memory.lime import HEADER, LimeWalker
from forensics.models.evidence import Outcome
from tests.memory_image import (
    BANNER,
    FIRST,
    MIB,
    PAGE,
    RECORDS_PHYSICAL,
    RECORDS_VIRTUAL,
    TABLES,
    TEXT_PHYSICAL,
    TEXT_VIRTUAL,
    SmallMemory,
    small_memory,
)

MADE = small_memory(12 * MIB)
RECORDS_BYTES = (12 * MIB // PAGE) * 64


def validate(image: bytes, *, made: SmallMemory = MADE, chunk: int = 1 << 20, **claims: object) -> ImageReport:
    """Walk and validate, as the step does."""
    walker = LimeWalker()
    for at in range(0, len(image), chunk):
        walker.feed(image[at : at + chunk])
    said: dict[str, object] = {
        "banner": made.banner.decode(), "iomem": made.iomem.decode(), "kallsyms": made.kallsyms, **claims
    }  # fmt: skip
    return validate_image(
        walker, claims=KernelClaims(**said), read_at=lambda offset, size: image[offset : offset + size]
    )  # type: ignore[arg-type]


def offset(physical: int) -> int:
    """Where a physical address is in the image."""
    return HEADER.size + physical - FIRST


def zeroed(first: int, size: int) -> bytes:
    """The image with a hole of zeros from a physical address on."""
    image = bytearray(MADE.image)
    image[offset(first) : offset(first) + size] = bytes(size)
    return bytes(image)


@pytest.mark.parametrize("chunk", [4096, 1 << 20, (1 << 20) + 1, 16 << 20])
def test_a_clean_image_is_acquired_with_every_check_passed(chunk: int) -> None:
    report = validate(MADE.image, chunk=chunk)
    assert report.outcome is Outcome.ACQUIRED, report.problems
    assert [c.name for c in report.checks] == [
        "LiME structure", "RAM map", "content", "kernel banner", "page tables", "kernel text", "pages in use",
    ]  # fmt: skip
    assert {c.result for c in report.checks} == {CheckResult.PASSED}


@pytest.mark.parametrize(
    ("image", "outcome", "said"),
    [
        (b"", Outcome.FAILED, "the image is empty"),
        (b"\x7fELF" + MADE.image[4:], Outcome.FAILED, "no LiME header at the start"),
        (MADE.image[: -PAGE - 7], Outcome.PARTIAL, "truncated: 4103 bytes are missing"),
        (MADE.image[: 4 * MIB], Outcome.FAILED, "of 12.0 MiB of RAM are missing"),
        (MADE.image[: offset(6 * MIB)] + MADE.image[offset(7 * MIB) :], Outcome.PARTIAL, "1048576 bytes are missing"),
        (HEADER.pack(0x4C694D45, 1, FIRST, FIRST + 12 * MIB - 1) + bytes(12 * MIB), Outcome.FAILED, "pages are zero"),
        (zeroed(TEXT_PHYSICAL, MIB), Outcome.PARTIAL, "pages of the kernel's text are zero"),
        (zeroed(TABLES, 3 * PAGE), Outcome.PARTIAL, "page tables: not reachable"),
        (zeroed(RECORDS_PHYSICAL, RECORDS_BYTES // 2), Outcome.PARTIAL, "of the kernel's page records are zero"),
        (zeroed(TABLES + MIB, 2 * MIB), Outcome.PARTIAL, "512 of them consecutive"),
    ],
    ids=["empty", "bad-magic", "truncated", "mostly-gone", "dropped", "zeroed", "text", "tables", "records", "hole"],
)
def test_damage_lowers_the_outcome_and_is_named(image: bytes, outcome: Outcome, said: str) -> None:
    report = validate(image)
    assert report.outcome is outcome
    assert said in "; ".join(report.problems)


# struct address_space begins with the address of its inode (Linux, include/linux/fs.h).
INODE = 0xFFFF_8880_0000_2000


@pytest.mark.parametrize("files", ["in memory", "on disk"])
def test_zero_pages_in_files_in_memory_are_the_captures_own_copies(files: str) -> None:
    """A capture copies free memory, zeros and all, into its parts in tmpfs; a hole in other files is one."""
    space, operations = TEXT_VIRTUAL + MIB + 0x3000, TEXT_VIRTUAL + MIB + 0x5000
    image = bytearray(zeroed(TABLES + MIB, 2 * MIB))
    for frame in range((TABLES + MIB) // PAGE, (TABLES + 3 * MIB) // PAGE):
        struct.pack_into("<Q", image, offset(RECORDS_PHYSICAL) + frame * 64 + 24, space)
    used = operations if files == "in memory" else operations + 0x40
    struct.pack_into("<Q", image, offset(TEXT_PHYSICAL) + MIB + 0x3000, INODE)
    struct.pack_into("<Q", image, offset(TEXT_PHYSICAL) + MIB + 0x3000 + 152, used)
    kallsyms = MADE.kallsyms + f"{operations:016x} D shmem_aops\n".encode()
    report = validate(bytes(image), kallsyms=kallsyms)
    assert (report.outcome is Outcome.ACQUIRED) is (files == "in memory"), report.problems
    if files == "on disk":
        assert "512 of them consecutive" in report.problems[0]
    else:
        # a target that does not name the table is judged without it
        assert validate(bytes(image)).outcome is Outcome.PARTIAL


@pytest.mark.parametrize(("held", "outcome"), [(True, Outcome.ACQUIRED), (False, Outcome.PARTIAL)])
def test_files_in_memory_are_known_by_their_function_where_the_kernel_lists_no_data(
    held: bool, outcome: Outcome
) -> None:
    """Debian's 6.1 for arm64 lists `shmem_write_begin`, and no `shmem_aops` that holds it (CONFIG_KALLSYMS_ALL is not set)."""
    space, operations, begins = (TEXT_VIRTUAL + MIB + at for at in (0x3000, 0x5000, -0x8000))
    image = bytearray(zeroed(TABLES + MIB, 2 * MIB))
    for frame in range((TABLES + MIB) // PAGE, (TABLES + 3 * MIB) // PAGE):
        struct.pack_into("<Q", image, offset(RECORDS_PHYSICAL) + frame * 64 + 24, space)
    struct.pack_into("<Q", image, offset(TEXT_PHYSICAL) + MIB + 0x3000, INODE)
    struct.pack_into("<Q", image, offset(TEXT_PHYSICAL) + MIB + 0x3000 + 104, operations)
    if held:
        struct.pack_into("<Q", image, offset(TEXT_PHYSICAL) + MIB + 0x5000 + 32, begins)
    kallsyms = MADE.kallsyms + f"{begins:016x} t shmem_write_begin\n".encode()
    report = validate(bytes(image), kallsyms=kallsyms)
    assert report.outcome is outcome, report.problems


def test_many_files_with_a_few_empty_pages_do_not_hide_the_captures_own() -> None:
    """Seen in `make guest ARCH=arm64`: 71 libraries with 12 to 14 empty pages each (64 KiB of alignment) came before two parts."""
    space, operations = TEXT_VIRTUAL + MIB + 0x3000, TEXT_VIRTUAL + MIB + 0x5000
    image = bytearray(zeroed(TABLES + MIB // 2, MIB // 2 + 2 * MIB))
    for number, frame in enumerate(range((TABLES + MIB // 2) // PAGE, (TABLES + 3 * MIB) // PAGE)):
        library = TEXT_VIRTUAL + MIB + 0x8000 + number * 256
        struct.pack_into("<Q", image, offset(RECORDS_PHYSICAL) + frame * 64 + 24, library if number < 100 else space)
    struct.pack_into("<Q", image, offset(TEXT_PHYSICAL) + MIB + 0x3000, INODE)
    struct.pack_into("<Q", image, offset(TEXT_PHYSICAL) + MIB + 0x3000 + 152, operations)
    kallsyms = MADE.kallsyms + f"{operations:016x} D shmem_aops\n".encode()
    report = validate(bytes(image), kallsyms=kallsyms)
    assert report.outcome is Outcome.ACQUIRED, report.problems
    assert validate(bytes(image)).outcome is Outcome.PARTIAL


@pytest.mark.parametrize("kernel", ["6.1", "6.12", "6.12, a list of its node"])
@pytest.mark.parametrize(("size", "outcome"), [(2 * MIB, Outcome.ACQUIRED), (5 * MIB, Outcome.PARTIAL)])
def test_kernel_objects_that_are_given_back_meanwhile_are_no_hole_until_they_are_many(
    kernel: str, size: int, outcome: Outcome
) -> None:
    """Seen in `make guest`: 187 consecutive frames of slabs, zeroed by init_on_free between their record and their turn.

    In a slab's record the word of a page's mapping is the cache until 6.5 (its first field is an offset into per-processor memory),
    later the list of slabs (Linux v6.1 and v6.12, mm/slab.h, ``struct slab``).
    """
    place = TEXT_VIRTUAL + MIB + 0x3000
    record = {"6.1": place, "6.12": RECORDS_VIRTUAL + 64 * 700 + 16, "6.12, a list of its node": place}[kernel]
    made = small_memory(24 * MIB)
    image = bytearray(made.image)
    image[offset(TABLES + MIB) : offset(TABLES + MIB + size)] = bytes(size)
    for frame in range((TABLES + MIB) // PAGE, (TABLES + MIB + size) // PAGE):
        struct.pack_into("<Q", image, offset(RECORDS_PHYSICAL) + frame * 64 + 24, record)
    first = 0x37B0 if kernel == "6.1" else RECORDS_VIRTUAL + 64 * 9 + 16
    struct.pack_into("<Q", image, offset(TEXT_PHYSICAL) + MIB + 0x3000, first)
    report = validate(bytes(image), made=made)
    assert report.outcome is outcome, report.problems
    if outcome is Outcome.PARTIAL:
        assert "1024 of them consecutive" in report.problems[0]


def test_a_hole_in_many_files_in_memory_is_still_one() -> None:
    """A capture writes into a few files: only so many are looked at."""
    operations = TEXT_VIRTUAL + MIB + 0x5000
    image = bytearray(zeroed(TABLES + MIB, 2 * MIB))
    for number, frame in enumerate(range((TABLES + MIB) // PAGE, (TABLES + 3 * MIB) // PAGE)):
        place = MIB + 0x6000 + number * 8
        struct.pack_into("<Q", image, offset(RECORDS_PHYSICAL) + frame * 64 + 24, TEXT_VIRTUAL + place)
        struct.pack_into("<Q", image, offset(TEXT_PHYSICAL) + place + 152, operations)
    kallsyms = MADE.kallsyms + f"{operations:016x} D shmem_aops\n".encode()
    assert validate(bytes(image), kallsyms=kallsyms).outcome is Outcome.PARTIAL


def test_another_kernels_image_is_refused() -> None:
    other = small_memory(12 * MIB, seed=3, banner=BANNER.replace(b"6.1.0-test", b"5.4.0-foreign"))
    report = validate(other.image)
    assert report.outcome is Outcome.FAILED
    assert "another kernel than the target's" in report.problems[0]
    assert "5.4.0-foreign" in report.problems[0]


def test_a_foreign_image_that_quotes_the_right_banner_is_not_believed() -> None:
    other = bytearray(small_memory(12 * MIB, seed=3, banner=BANNER.replace(b"6.1.0-test", b"5.4.0-foreign")).image)
    other[offset(9 * MIB) : offset(9 * MIB) + len(BANNER)] = BANNER
    assert validate(bytes(other)).outcome is Outcome.PARTIAL


def test_a_hole_between_two_ranges_is_missing_ram() -> None:
    cut = 10 * MIB
    first = MADE.image[: offset(cut)]
    rest = MADE.image[offset(cut + PAGE) :]
    image = struct.pack("<IIQQ8x", 0x4C694D45, 1, FIRST, cut - 1) + first[HEADER.size :]
    image += struct.pack("<IIQQ8x", 0x4C694D45, 1, cut + PAGE, FIRST + 12 * MIB - 1) + rest
    report = validate(image)
    assert report.outcome is Outcome.PARTIAL
    assert any("RAM are missing: 0xa00000-0xa00fff" in p for p in report.problems)


def test_ranges_where_there_is_no_ram_are_strange() -> None:
    image = MADE.image + struct.pack("<IIQQ8x", 0x4C694D45, 1, 1 << 40, (1 << 40) + PAGE - 1) + bytes(PAGE)
    assert any("no RAM" in p for p in validate(image).problems)


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"iomem": None}, "gave no RAM map"),
        ({"iomem": "00000000-00000000 : System RAM\n"}, "gave no RAM map"),
        ({"banner": None}, "did not state its kernel"),
        ({"kallsyms": None}, "gave no symbol addresses"),
        ({"kallsyms": b"0000000000000000 T _text\n" * 5}, "gave no symbol addresses"),
        ({"kallsyms": b"ffffffff81000000 T _text\n"}, "names neither linux_banner nor the page tables"),
        ({"architecture": "riscv64"}, "not for riscv64"),
        ({"architecture": "aarch64"}, "no VMCOREINFO note"),
    ],
)
def test_what_cannot_be_checked_is_said_and_is_not_called_acquired(claims: dict[str, object], said: str) -> None:
    report = validate(MADE.image, **claims)
    assert report.outcome is Outcome.PARTIAL
    assert said in "; ".join(report.problems)


def test_hostile_tables_end_in_a_verdict() -> None:
    image = bytearray(MADE.image)
    for at in range(offset(TABLES), offset(TABLES) + PAGE, 8):  # every entry points to its own table
        image[at : at + 8] = struct.pack("<Q", TABLES | 3)
    assert validate(bytes(image)).outcome is Outcome.PARTIAL


def test_a_kernel_whose_own_data_reads_as_zeros_is_not_called_good() -> None:
    """/proc/kcore of a kernel for AArch64 gave zeros for its data in the segments of all memory, and no process was found.

    Seen in a capture of Debian's 7.3 (1,490 of 1,504 pages of *Kernel data* in /proc/iomem), which every other check passed.
    """
    place = 12 * PAGE
    named = MADE.kallsyms + f"{TEXT_VIRTUAL + place + 64:016x} D init_task\n".encode()
    good = validate(MADE.image, kallsyms=named)
    assert good.outcome is Outcome.ACQUIRED, good.problems
    assert any(c.name == "kernel data" and c.found.startswith("1 of its objects") for c in good.checks)
    bad = validate(zeroed(TEXT_PHYSICAL + place, PAGE), kallsyms=named)
    assert bad.outcome is Outcome.PARTIAL
    assert "kernel data: pages of the kernel's own data are zero: init_task (1 of 1)" in bad.problems
