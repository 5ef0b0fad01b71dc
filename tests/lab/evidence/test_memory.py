"""The shipped memory image: whole, unpackable, and what its facts say."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import struct
from pathlib import Path

import pytest

from lab.evidence import memory
from lab.evidence.unpacking import ShippedFileError
from lab.tools.memory.lime import RamRange, read_ranges, system_ram, write_lime
from lab.tools.memory.make_memory import statically_linked


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> memory.MemoryFiles:
    return memory.unpack(tmp_path_factory.mktemp("memory"))


def test_shipped_folder_is_small_enough_for_git() -> None:
    sizes = {path.name: path.stat().st_size for path in memory.SHIPPED.iterdir()}
    assert sum(sizes.values()) < 20_000_000
    assert sizes["memory.lime.zst"] < 16_000_000


def test_every_file_unpacks_to_the_digest_in_the_facts(files: memory.MemoryFiles) -> None:
    listed = json.loads(files.facts.read_text())["files"]
    for name, path in (("memory.lime", files.memory), ("btf", files.btf), ("kallsyms", files.kallsyms),
                       ("version", files.version), ("iomem", files.iomem)):  # fmt: skip
        with path.open("rb") as stream:
            assert hashlib.file_digest(stream, "sha256").hexdigest() == listed[name]["sha256"]


def test_image_is_lime_of_the_ram_that_the_guest_had(files: memory.MemoryFiles) -> None:
    with files.memory.open("rb") as image:
        assert list(read_ranges(image)) == system_ram(files.iomem.read_text())


def test_image_is_sparse_and_holds_the_implant(files: memory.MemoryFiles) -> None:
    assert files.memory.stat().st_blocks * 512 < files.memory.stat().st_size
    raw = files.memory.read_bytes()
    assert b"FORENSIC-LAB-IMPLANT-7f3a91c2" in raw
    assert files.version.read_bytes().strip() in raw


def test_symbol_sources_are_real(files: memory.MemoryFiles) -> None:
    assert files.btf.read_bytes()[:2] == b"\x9f\xeb"
    addresses = {line.split()[2]: int(line.split()[0], 16) for line in files.kallsyms.read_text().splitlines()}
    assert addresses["init_task"] > addresses["_text"] > 0xFFFFFFFF80000000


def test_second_unpacking_leaves_right_files_alone_and_repairs_wrong_ones(tmp_path: Path) -> None:
    first = memory.unpack(tmp_path)
    before = first.memory.stat().st_mtime_ns
    first.iomem.write_text("damaged")
    second = memory.unpack(tmp_path)
    assert second.memory.stat().st_mtime_ns == before
    assert "System RAM" in second.iomem.read_text()


def test_damaged_shipment_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = tmp_path / "shipped"
    shutil.copytree(memory.SHIPPED, shipped)
    (shipped / "btf.zst").write_bytes((shipped / "version").read_bytes())
    monkeypatch.setattr(memory, "SHIPPED", shipped)
    with pytest.raises(ShippedFileError, match=r"btf\.zst.*restore it"):
        memory.unpack(tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.part"))


def test_facts_name_the_plugin_that_shows_them() -> None:
    rows = memory.facts()["facts"]
    assert {row["id"] for row in rows} >= {
        "memory-hidden-process",
        "memory-hidden-module",
        "memory-reverse-shell",
    }
    assert all(row["found_by"] and row["technique"] for row in rows)


def test_lime_round_trip_and_its_errors() -> None:
    physical = io.BytesIO(bytes(range(256)) * 64)
    out = io.BytesIO()
    ranges = [RamRange(0, 4096), RamRange(8192, 16384)]
    assert write_lime(physical, ranges=ranges, out=out) == 2 * 32 + 4096 + 8192
    assert list(read_ranges(out)) == ranges
    with pytest.raises(ValueError, match="physical dump ends"):
        write_lime(physical, ranges=[RamRange(0, 1 << 20)], out=io.BytesIO())
    with pytest.raises(ValueError, match="needs"):
        list(read_ranges(io.BytesIO(out.getvalue()[:-1])))
    with pytest.raises(ValueError, match="no LiME header"):
        list(read_ranges(io.BytesIO(b"x" * 64)))
    with pytest.raises(ValueError, match="root"):
        system_ram("00000000-00000000 : System RAM\n")


@pytest.mark.parametrize(("kinds", "expected"), [((1, 1), True), ((6, 3, 1), False)], ids=["static", "with-a-loader"])
def test_a_program_that_needs_a_loader_is_distinguished_from_one_that_does_not(
    tmp_path: Path, kinds: tuple[int, ...], expected: bool
) -> None:
    headers = b"".join(struct.pack("<I52x", kind) for kind in kinds)
    head = b"\x7fELF\x02".ljust(32, b"\0") + struct.pack("<Q", 64)
    elf = head.ljust(54, b"\0") + struct.pack("<HH", 56, len(kinds))
    program = tmp_path / "program"
    program.write_bytes(elf.ljust(64, b"\0") + headers)
    assert statically_linked(program) is expected
    (tmp_path / "script").write_text("#!/bin/sh\n")
    assert not statically_linked(tmp_path / "script")
