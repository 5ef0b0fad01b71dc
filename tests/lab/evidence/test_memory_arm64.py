"""The shipped memory image of an arm64 host: whole, small, and judged by the gate as one of x86-64 is."""

from __future__ import annotations

import hashlib
import io
import json

import pytest

from forensics.models.evidence import Outcome
from lab.evidence import memory
from lab.scenarios.memory_damage import Source, clean, damaged, validate
from lab.tools.memory.lime import RamRange, read_ranges, system_ram, write_lime

KINDS = ("truncated", "zeroed", "bad header", "foreign kernel", "dropped pages")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> memory.MemoryFiles:
    return memory.unpack(tmp_path_factory.mktemp("memory"), shipped=memory.SHIPPED_ARM64)


@pytest.fixture(scope="module")
def source(files: memory.MemoryFiles) -> Source:
    return Source.read(files)


def test_shipped_folder_is_small_enough_for_git() -> None:
    assert sum(path.stat().st_size for path in memory.SHIPPED_ARM64.iterdir()) < 20_000_000


def test_the_image_is_lime_of_the_ram_that_the_guest_had_and_every_digest_is_right(files: memory.MemoryFiles) -> None:
    listed = json.loads(files.facts.read_text("utf-8"))["files"]
    for name, path in (("memory.lime", files.memory), ("btf", files.btf), ("kallsyms", files.kallsyms)):
        assert hashlib.sha256(path.read_bytes()).hexdigest() == listed[name]["sha256"]
    with files.memory.open("rb") as image:
        assert list(read_ranges(image)) == system_ram(files.iomem.read_text("utf-8"))


def test_a_clean_image_of_a_real_arm64_kernel_is_acquired(source: Source) -> None:
    report = validate(next(clean(source)))
    assert report.outcome is Outcome.ACQUIRED, report.problems
    found = {check.name: check.found for check in report.checks}
    assert "4 levels, 48 bits, pages of 4 KiB" in found["page tables"]
    assert int(found["kernel text"].split()[0]) > 3_000


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_damage_is_seen(source: Source, kind: str) -> None:
    """One of each kind; `make memory-check ARCH=arm64` judges all forty and ten clean ones."""
    capture = next(capture for capture in damaged(source) if capture.kind == kind)
    report = validate(capture)
    assert report.outcome is not Outcome.ACQUIRED, capture.what
    assert report.problems


def test_a_dump_that_begins_above_zero_is_written_with_its_addresses() -> None:
    out = io.BytesIO()
    written = write_lime(
        io.BytesIO(b"ab" * 4096), ranges=[RamRange(0x4000_1000, 0x4000_2000)], out=out, base=0x4000_0000
    )
    out.seek(0)
    assert list(read_ranges(out)) == [RamRange(0x4000_1000, 0x4000_2000)] and written == 32 + 4096
    with pytest.raises(ValueError, match="ends at 0x40002000"):
        write_lime(io.BytesIO(bytes(0x2000)), ranges=[RamRange(0x4000_1000, 0x4000_3000)], out=out, base=0x4000_0000)
