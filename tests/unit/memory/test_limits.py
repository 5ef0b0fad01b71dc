"""What root on the target may send to the verification of memory: each ends in its verdict, within its limits.

The shapes were found by an attack on the product: a symbol table of 115 bytes that made the text check walk 2**52 pages,
images of one-byte ranges, RAM maps whose comparison was quadratic.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.memory import lime, ram_map
from forensics.memory.image_validation import CheckResult, ImageReport, KernelClaims, validate_image
from forensics.memory.kernel_pages import TEXT_MAPPING, symbols
from forensics.memory.lime import HEADER, MAGIC, PAGE, LimeWalker, MemoryRange, ZeroMap
from forensics.memory.limits import (
    BANNER_CANDIDATES,
    GIB,
    HOLE,
    KERNEL_TEXT,
    MIB,
    RANGES,
    Budget,
    OverBudgetError,
    image_limit,
)
from forensics.models.evidence import Outcome
from tests.hostile_memory import BANNER, BANNER_VIRTUAL, BASE, TOP_VIRTUAL, looped_image, ram_map_of, symbol_list


def validated(
    image: bytes, *, kallsyms: bytes | None = None, iomem: str | None = None
) -> tuple[ImageReport, list[int]]:
    """The report, and the sizes of the reads that it took."""
    walker, reads = LimeWalker(), []
    walker.feed(image)

    def read_at(offset: int, size: int) -> bytes:
        reads.append(size)
        return image[offset : offset + size]

    claims = KernelClaims(banner=BANNER.decode(), iomem=iomem, kallsyms=kallsyms)
    return validate_image(walker, claims=claims, read_at=read_at), reads


def found(report: ImageReport, name: str) -> tuple[CheckResult, str]:
    (check,) = [c for c in report.checks if c.name == name]
    return check.result, check.found


@contextmanager
def at_most(limit: int) -> Iterator[None]:
    """No more than ``limit`` bytes of Python's memory are taken inside, at any moment."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        yield
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert peak <= limit, f"{peak / MIB:.1f} MiB"


# ------------------------------------------------------------------ the kernel's text
def test_a_symbol_list_that_names_two_to_the_52_pages_of_text_is_not_walked() -> None:
    kallsyms = symbol_list(_text=0x1000, _etext=0xFFFF_FFFF_FFFF_FFF0)
    report, reads = validated(looped_image(), kallsyms=kallsyms, iomem=ram_map_of(looped_image()).decode())
    assert report.outcome is Outcome.PARTIAL
    result, said = found(report, "kernel text")
    assert result is CheckResult.PARTIAL
    assert said.startswith("the walk was stopped: the symbol list says 17592186044415 MiB of kernel text")
    assert len(reads) < 20


def test_text_up_to_the_limit_is_walked_with_few_reads() -> None:
    kallsyms = symbol_list(_text=TEXT_MAPPING, _etext=TEXT_MAPPING + KERNEL_TEXT)
    report, reads = validated(looped_image(), kallsyms=kallsyms)
    assert found(report, "kernel text") == (CheckResult.PASSED, f"{KERNEL_TEXT // PAGE - 1} pages, 0 of them zero")
    assert len(reads) < 20


def test_the_symbols_of_a_list_full_of_one_line_take_no_memory() -> None:
    kallsyms = b"ffffffff81000000 T _text\n" * (8 * MIB // 25)
    with at_most(MIB):
        assert symbols(kallsyms) == {"_text": 0xFFFFFFFF81000000}


# ------------------------------------------------------------------ ranges
def test_an_image_of_one_byte_ranges_is_refused_before_it_takes_memory() -> None:
    blob = b"".join(HEADER.pack(MAGIC, 1, n * PAGE, n * PAGE) + b"x" for n in range(100_000))
    walker = LimeWalker()
    with at_most(8 * MIB):
        walker.feed(blob)
    report = validate_image(walker, claims=KernelClaims(), read_at=lambda _offset, _size: b"")
    assert report.outcome is Outcome.FAILED and len(walker.ranges) == RANGES
    assert report.problems[0].startswith(
        f"LiME structure: the image has more than {RANGES} ranges (a real one has tens)"
    )
    assert walker.total == len(blob), "the rest is counted"


def test_as_many_ranges_as_the_limit_are_no_fault() -> None:
    walker = LimeWalker()
    walker.feed(b"".join(HEADER.pack(MAGIC, 1, n * PAGE, n * PAGE) + b"x" for n in range(RANGES)))
    assert (walker.close().error, walker.exceeded, len(walker.ranges)) == (None, None, RANGES)


def test_a_ram_map_that_no_machine_has_is_not_compared() -> None:
    iomem = "".join(f"{n * 0x200000:016x}-{n * 0x200000 + 0x100FFF:016x} : System RAM\n" for n in range(RANGES + 1))
    report, _ = validated(looped_image(), iomem=iomem)
    result, said = found(report, "RAM map")
    assert result is CheckResult.PARTIAL
    assert said == f"not compared: the target's RAM map has more than {RANGES} ranges (a real one has tens)"


def test_comparing_many_ranges_with_many_does_not_take_their_product() -> None:
    """300,000 against 300,000: as a product these are days, so that a relapse shows as a test that does not end."""
    ram = [(n * 4 * PAGE, (n * 4 + 3) * PAGE) for n in range(300_000)]
    assert ram_map.missing(ram, ram) == ram_map.outside(ram, ram) == []
    shifted = [(first + 3 * PAGE, first + 4 * PAGE) for first, _ in ram]
    assert ram_map.outside(ram, shifted) == shifted


PAGES = st.integers(0, 200)
SOME_RANGES = st.lists(st.tuples(PAGES, PAGES), max_size=12).map(
    lambda pairs: [(min(p) * PAGE, (max(p) + 1) * PAGE) for p in pairs]
)


@given(ram=SOME_RANGES, covered=SOME_RANGES)
def test_ranges_outside_are_those_that_touch_no_ram_page(ram: ram_map.Ranges, covered: ram_map.Ranges) -> None:
    pages = {page for first, past in ram for page in range(first, past, PAGE)}
    assert ram_map.outside(ram, covered) == [r for r in covered if not pages & set(range(*r, PAGE))]


@given(ranges=SOME_RANGES, covered=SOME_RANGES)
def test_what_is_missing_is_what_no_range_covers_but_for_thin_edges(
    ranges: ram_map.Ranges, covered: ram_map.Ranges
) -> None:
    ram = ram_map.system_ram("".join(f"{first:08x}-{past - 1:08x} : System RAM\n" for first, past in ranges))
    pages = {page for first, past in covered for page in range(first, past, PAGE)}
    expected = []
    for start, end in ram:
        at = start
        while at < end:
            past = at
            while past < end and past not in pages:
                past += PAGE
            if past - at > (ram_map.EDGE if at == start or past == end else 0):
                expected.append((at, past))
            at = max(past, at + PAGE)
            while at < end and at in pages:
                at += PAGE
    assert ram_map.missing(ram, covered) == expected


@given(gaps=st.lists(st.tuples(st.integers(1, 5), st.integers(1, 9)), max_size=20), flags=st.text("01", min_size=200))
def test_a_page_is_zero_where_its_flag_says_so_and_nowhere_else(gaps: list[tuple[int, int]], flags: str) -> None:
    zeros, at, expected = ZeroMap(), 0, {}
    for gap, pages in gaps:
        at += gap * PAGE
        zeros.open(MemoryRange(at, at + pages * PAGE - 1, 0))
        zeros.add(flags[:pages])
        expected |= {at + n * PAGE: flags[n] == "1" for n in range(pages)}
        at += pages * PAGE
    zeros.flush()
    assert {place: zeros.is_zero(place) for place in range(0, at + 2 * PAGE, PAGE)} == {
        place: expected.get(place, False) for place in range(0, at + 2 * PAGE, PAGE)
    }


# ------------------------------------------------------------------ banners
def test_digits_without_end_behind_a_banners_beginning_cost_no_more_than_other_bytes() -> None:
    """With a pattern that goes back this is 400 steps a byte, hours for one image."""
    body = (b"Linux version 1." + b"1" * (32 * MIB))[: 32 * MIB]
    walker = LimeWalker()
    walker.feed(HEADER.pack(MAGIC, 1, 0, len(body) - 1) + body)
    assert (walker.close().banners, walker.exceeded) == ({}, None)


def test_an_image_full_of_beginnings_of_banners_is_not_searched_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lime, "BANNER_CANDIDATES", 1000)
    body = b"Linux version 1." * (4 * MIB // 16) + BANNER
    body = body.ljust(5 * MIB, b"x")
    report, _ = validated(HEADER.pack(MAGIC, 1, 0, len(body) - 1) + body)
    assert found(report, "kernel banner") == (
        CheckResult.PARTIAL,
        "the search was stopped: more than 1000 places begin like a kernel banner",
    )
    assert BANNER_CANDIDATES > 100_000, "logs may name many kernels"


# ------------------------------------------------------------------ the budget
def spend(budget: Budget, *sizes: int) -> None:
    for size in sizes:
        budget.spend(size)


@pytest.mark.parametrize(
    ("budget", "use", "said"),
    [
        (Budget(reads=2), lambda b: spend(b, 1, 1, 1), "more than 2 reads"),
        (Budget(bytes=2 * MIB), lambda b: spend(b, MIB, MIB, 1), "more than 2 MiB"),
        (Budget(seconds=5, clock=iter([0.0, 4.0, 6.0]).__next__), lambda b: spend(b, 1, 1), "took more than 5 s"),
    ],
    ids=["reads", "bytes", "seconds"],
)
def test_a_budget_ends_and_says_what_was_exceeded(budget: Budget, use: Callable[[Budget], None], said: str) -> None:
    with pytest.raises(OverBudgetError, match=said):
        use(budget)


@pytest.mark.parametrize("limits", [{"reads": 3}, {"bytes": 9000}], ids=["reads", "bytes"])
def test_page_tables_that_take_too_many_reads_are_a_partial_verdict(
    limits: dict[str, int],
) -> None:
    walker = LimeWalker()
    image = looped_image()
    walker.feed(image)
    claims = KernelClaims(banner=BANNER.decode(), kallsyms=symbol_list())
    report = validate_image(
        walker, claims=claims, read_at=lambda at, size: image[at : at + size], budget=Budget(**limits)
    )
    result, said = found(report, "page tables")
    assert result is CheckResult.PARTIAL and said.startswith("the walk was stopped: more than")


def test_the_largest_image_follows_from_the_memory_that_ec2_states() -> None:
    assert image_limit(64 * GIB) == 64 * GIB * 21 // 20 + HOLE


# ------------------------------------------------------------------ anything at all
ADDRESSES = st.one_of(
    st.sampled_from([0, 1, PAGE, BASE, TEXT_MAPPING, TOP_VIRTUAL, BANNER_VIRTUAL, 2**63, 2**64 - 1]),
    st.integers(0, 2**64 - 1),
)
NAMES = ("linux_banner", "init_top_pgt", "init_level4_pgt", "_text", "_etext", "vmemmap_base", "shmem_aops")


@settings(max_examples=150, deadline=None)
@given(
    said=st.dictionaries(st.sampled_from(NAMES), ADDRESSES),
    ranges=st.lists(st.tuples(ADDRESSES, ADDRESSES), max_size=4),
    iomem=st.lists(st.tuples(ADDRESSES, ADDRESSES), max_size=20),
    cut=st.integers(0, 5 * PAGE),
)
def test_whatever_a_target_says_there_is_a_verdict_and_it_is_not_acquired(
    said: dict[str, int], ranges: list[tuple[int, int]], iomem: list[tuple[int, int]], cut: int
) -> None:
    image = looped_image()[: len(looped_image()) - cut] if cut else looped_image()
    image += b"".join(HEADER.pack(MAGIC, 1, first, last) + b"\x22" * PAGE for first, last in ranges)
    ram = "".join(f"{first:016x}-{last:016x} : System RAM\n" for first, last in iomem)
    report, reads = validated(image, kallsyms=symbol_list(**said), iomem=ram)
    assert report.outcome in {Outcome.PARTIAL, Outcome.FAILED}
    assert report.problems
    assert len(reads) < 2000 and sum(reads) <= 64 * MIB
