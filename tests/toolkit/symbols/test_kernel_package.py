"""Debug package to symbol table: the same table as from the running kernel's own facts, whatever the package's form."""

from __future__ import annotations

import hashlib
import json
import lzma
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from forensic_toolkit import cli
from forensic_toolkit.errors import SymbolError
from forensic_toolkit.symbols import archives, isf, kernel_package
from lab.evidence import memory as lab_memory
from tests.toolkit import btf_blob, kernel_blob
from tests.toolkit.end_to_end.test_command_line import Store, status_of, store
from tests.toolkit.examined import NO_TOOLS, TOOLS, run

__all__ = ["store"]


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


@pytest.mark.parametrize("pack", [kernel_blob.deb, kernel_blob.rpm, lambda kernel: kernel], ids=["deb", "rpm", "elf"])
def test_the_kernel_comes_out_of_every_form(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    kernel = kernel_blob.vmlinux()
    package = tmp_path / "package"
    package.write_bytes(pack(kernel))
    assert archives.kernel(package, into=tmp_path / "vmlinux").read_bytes() == kernel


@pytest.mark.parametrize(
    ("package", "reason"),
    [
        (b"PK\x03\x04 a zip file", "no .deb, .rpm or ELF file"),
        (b"", "no .deb, .rpm or ELF file"),
        (kernel_blob.deb(kernel_blob.vmlinux())[:-40], "cannot be unpacked"),
        (kernel_blob.rpm(kernel_blob.vmlinux())[:600], "cannot be unpacked"),
        (kernel_blob.deb(b"text"), "holds no vmlinux"),
        (kernel_blob.deb(kernel_blob.vmlinux(), name="./etc/passwd"), "holds no vmlinux"),
        (kernel_blob.rpm(b"text"), "holds no vmlinux"),
    ],
)
def test_a_package_that_is_of_no_use_is_named(package: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "package"
    path.write_bytes(package)
    with pytest.raises(SymbolError, match=reason):
        archives.kernel(path, into=tmp_path / "vmlinux")


@pytest.mark.parametrize(
    ("kernel", "reason"),
    [
        (kernel_blob.vmlinux()[:300], "no whole 64-bit ELF"),
        (kernel_blob.vmlinux(machine=183), "not for x86-64"),
        (kernel_blob.vmlinux(btf=b""), "carries no BTF"),
        (kernel_blob.vmlinux(more={".symtab": b""}), "stripped"),
        (kernel_blob.vmlinux(version=b"Darwin"), "Linux version"),
    ],
)
def test_a_kernel_that_is_of_no_use_is_named(kernel: bytes, reason: str, tmp_path: Path) -> None:
    with pytest.raises(SymbolError, match=reason):
        table(kernel, tmp_path)


def stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch, *, script: str) -> None:
    """A program that stands for dwarf2json, which no package of this project's brings."""
    program = folder / "dwarf2json"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_dwarf2json_goes_first_and_its_failure_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
        ("echo no memory >&2; exit 2", "ended with 2: no memory"),
        ("echo nonsense", "no JSON"),
        ("echo {}", "no symbol table"),
    ):
        stand_in(tmp_path, monkeypatch, script=script)
        _found, method, notes = table(debug, tmp_path)
        assert method == "btf" and why in notes[0]
    other = isf.build(isf.KernelFacts(btf=btf_blob.small(), kallsyms=btf_blob.kallsyms(), version=b"Linux version 1\n"))
    (tmp_path / "made.json").write_bytes(isf.dump(other))
    stand_in(tmp_path, monkeypatch, script=f"cat {tmp_path}/made.json")
    assert "another kernel" in table(debug, tmp_path)[2][0]


def offer(store: Store, package: bytes, *, digest: str | None = None) -> str:
    """The URL of a manifest of one package."""
    store.objects["/package"] = package
    digest = digest or hashlib.sha256(package).hexdigest()
    lines = ["forensics-manifest 1", f"get package {digest} {store.url}/package", f"put symbols {store.url}/symbols"]
    store.objects["/manifest"] = ("\n".join(lines) + "\n").encode()
    return f"{store.url}/manifest"


@pytest.mark.usefixtures("store")
def test_the_command_uploads_a_table_with_its_account(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    package = kernel_blob.deb(kernel_blob.vmlinux())
    assert cli.main(["library", "--manifest", offer(store, package)]) == 0
    status: dict[str, Any] = status_of(capsys)
    assert status["banner"] == btf_blob.VERSION.decode().rstrip("\n")
    assert status["package_sha256"] == hashlib.sha256(package).hexdigest()
    assert status["sha256"] == hashlib.sha256(store.uploads["/symbols"]).hexdigest()
    assert "init_task" in json.loads(lzma.decompress(store.uploads["/symbols"]))["symbols"]


@pytest.mark.parametrize(
    ("package", "digest", "reason"),
    [
        (kernel_blob.deb(b"text"), None, "holds no vmlinux"),
        (kernel_blob.deb(kernel_blob.vmlinux()), "0" * 64, "is not what the manifest names"),
        (kernel_blob.deb(kernel_blob.vmlinux()), "-", "names no digest"),
    ],
)
def test_the_command_says_why_there_is_no_table(
    store: Store, capsys: pytest.CaptureFixture[str], package: bytes, digest: str | None, reason: str
) -> None:
    assert cli.main(["library", "--manifest", offer(store, package, digest=digest)]) == 1
    assert reason in str(status_of(capsys)["reason"])
    assert store.uploads == {}


_ANALYSE = """
import json, sys, tempfile
from pathlib import Path
from forensic_toolkit.commands import memory
from forensic_toolkit.results import Results
from forensic_toolkit.times import now

results = Results("fc-20260101-0123456789", "mem-1", "memory", started=now())
results.input_bytes = 1
with tempfile.TemporaryDirectory() as folder:
    work = Path(folder)
    files = {"memory": Path(sys.argv[1]), "symbols": Path(sys.argv[2])}
    memory.analyse(results, files=files, work=work, raw=work / "raw")
print(json.dumps(results.as_dict(ended=now())))
"""


@pytest.mark.investigate
@pytest.mark.skipif(not TOOLS.exists(), reason=NO_TOOLS)
def test_a_package_of_the_labs_kernel_makes_its_image_readable(tmp_path: Path) -> None:
    files = lab_memory.unpack(tmp_path)
    kernel = kernel_blob.vmlinux(
        btf=files.btf.read_bytes(), kallsyms=unslid(files.kallsyms.read_bytes()), version=files.version.read_bytes()
    )
    (tmp_path / "package").write_bytes(kernel_blob.deb(kernel))
    made = tmp_path / "made"
    made.mkdir()
    run(
        "import sys; from forensic_toolkit.symbols import kernel_package; kernel_package.main(['', *sys.argv[1:]])",
        str(tmp_path / "package"),
        str(made),
    )
    found = json.loads(run(_ANALYSE, str(files.memory), str(made / "symbols")))
    print(
        f"\n[investigate] memory with a table of the library: {found['counts']['findings']} findings, {found['gaps']}"
    )
    assert found["gaps"] == []
    assert found["counts"]["symbols_of_library"] == 1
    assert any(item["technique"] == "T1014" for item in found["findings"])


def unslid(kallsyms: bytes) -> bytes:
    """Addresses as the kernel was linked, without the modules: what a vmlinux has."""
    lines = [line.split() for line in kallsyms.decode().splitlines()]
    slide = next(int(line[0], 16) for line in lines if line[2] == "_text") - isf.LINK_ADDRESS
    moved = [(int(line[0], 16), line[2]) for line in lines if len(line) == 3]
    return "".join(
        f"{address - slide if address >= isf.KERNEL_SPACE else address:016x} T {name}\n" for address, name in moved
    ).encode()
