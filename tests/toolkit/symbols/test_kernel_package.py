"""Debug package to symbol table: the same table as from the running kernel's own facts, whatever the package's form."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from forensic_toolkit.errors import SymbolError
from forensic_toolkit.symbols import isf, kernel_package
from tests.toolkit import btf_blob, kernel_blob


def table(kernel: bytes, folder: Path) -> tuple[isf.Json, str, list[str]]:
    path = folder / "vmlinux"
    path.write_bytes(kernel)
    return kernel_package.build(path)


def test_the_table_is_that_of_the_running_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found, method, notes = table(kernel_blob.vmlinux(), tmp_path)
    facts = isf.KernelFacts(btf=btf_blob.small(), kallsyms=btf_blob.kallsyms(), version=btf_blob.VERSION)
    own = isf.build(facts)
    assert (method, notes) == ("btf", ["dwarf2json is not installed"])
    assert isf.banner_of(found) == isf.banner_of(own)
    assert found["user_types"] == own["user_types"]
    same = {name for name in own["symbols"] if name != "linux_banner"}
    assert same <= set(found["symbols"])
    assert found["symbols"]["init_task"] == own["symbols"]["init_task"]


@pytest.mark.parametrize(
    ("kernel", "reason"),
    [
        (kernel_blob.vmlinux()[:300], "not a complete 64-bit ELF"),
        (kernel_blob.vmlinux(machine=243), "not for x86-64 or AArch64"),
        (kernel_blob.vmlinux(btf=b""), "carries no BTF"),
        (kernel_blob.vmlinux(more={".symtab": b""}), "stripped"),
        (kernel_blob.vmlinux(version=b"Darwin"), "Linux version"),
    ],
)
def test_the_reason_why_a_kernel_cannot_be_used(kernel: bytes, reason: str, tmp_path: Path) -> None:
    with pytest.raises(SymbolError, match=reason):
        table(kernel, tmp_path)


def stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch, *, script: str) -> None:
    """A program in place of dwarf2json, which the project's environments do not contain."""
    program = folder / "dwarf2json"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_dwarf2json_is_preferred_and_its_failure_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = isf.KernelFacts(btf=btf_blob.small(), kallsyms=btf_blob.kallsyms(), version=btf_blob.VERSION)
    made = isf.build(facts)
    made["metadata"]["producer"]["name"] = "dwarf2json"
    (tmp_path / "made.json").write_bytes(isf.dump(made))
    debug = kernel_blob.vmlinux(more={".debug_info": b"DWARF"})
    stand_in(tmp_path, monkeypatch, script=f'[ "$1 $2" = "linux --elf" ] && cat {tmp_path}/made.json')
    found, method, _notes = table(debug, tmp_path)
    assert (method, found["metadata"]["producer"]["name"]) == ("dwarf", "dwarf2json")
    # Without debug information it is not asked.
    assert table(kernel_blob.vmlinux(), tmp_path)[1:] == ("btf", ["the kernel carries no debug information"])
    for script, why in (
        ("echo no memory >&2; exit 2", "failed with exit status 2: no memory"),
        ("echo nonsense", "not JSON"),
        ("echo {}", "not a symbol table"),
    ):
        stand_in(tmp_path, monkeypatch, script=script)
        _found, method, notes = table(debug, tmp_path)
        assert method == "btf" and why in notes[0]
    other = isf.build(isf.KernelFacts(btf=btf_blob.small(), kallsyms=btf_blob.kallsyms(), version=b"Linux version 1\n"))
    (tmp_path / "made.json").write_bytes(isf.dump(other))
    stand_in(tmp_path, monkeypatch, script=f"cat {tmp_path}/made.json")
    assert "another kernel" in table(debug, tmp_path)[2][0]


def test_the_package_of_an_arm64_kernel_gives_a_table_at_the_addresses_of_its_captures(tmp_path: Path) -> None:
    """Debian's 6.1 for arm64 is linked at ffff800008000000; its captures list no data, so the package is the only way to a table."""
    names = {"_text": 0xFFFF_8000_0800_0000, "_stext": 0xFFFF_8000_0801_0000, "init_task": 0xFFFF_8000_0981_8C80}
    kallsyms = "".join(f"{address:016x} T {name}\n" for name, address in names.items()).encode()
    path = tmp_path / "vmlinux"
    path.write_bytes(kernel_blob.vmlinux(machine=183, kallsyms=kallsyms))
    table, method, _notes = kernel_package.build(path)
    assert method == "btf"
    symbols = table["symbols"]
    assert symbols["_stext"]["address"] == isf.ARM64_TEXT
    assert symbols["init_task"]["address"] - isf.ARM64_TEXT == names["init_task"] - names["_stext"]
