"""What ``make guest`` is made of, without a guest: the table in docs/kernels.md, the gate that kills, modules of a package."""

from __future__ import annotations

import dataclasses
import http.client
import lzma
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lab.scenarios import guest_table
from lab.scenarios.guest import KILLS, MIB, PART, kill_parts
from lab.scenarios.guest_gate import Gate
from lab.scenarios.guest_machine import MEMORY_MIB
from lab.tools.memory import make_memory
from lab.tools.memory.debian import version_key
from lab.tools.memory.guest_files import needed_libraries
from lab.tools.memory.kernel_modules import modules_folder, with_dependencies
from lab.tools.memory.machines import AMD64, MACHINES, Machine

CELL = re.compile(r"\d+|none|error: \S.*")
PROVEN = ("6.1", "6.12")


# ---------------------------------------------------------------------- the table
def test_the_table_in_the_document_has_every_plugin_for_every_kernel() -> None:
    text = guest_table.DOCUMENT.read_text("utf-8")
    every = guest_table.columns(text)
    assert set(PROVEN) <= {guest_table.series(kernel) for kernel in every}
    assert list(every) == sorted(every, key=lambda kernel: (kernel.endswith("-arm64"), version_key(kernel)))
    for kernel, column in every.items():
        assert list(column) == [*guest_table.FACTS, *guest_table.every_plugin()], f"run make guest KERNEL={kernel}"
        assert all(CELL.fullmatch(column[name]) for name in guest_table.every_plugin()), kernel
        assert column["memory"].startswith("ACQUIRED, ") and int(column["symbols in the table"]) > 10_000
        assert {column[name] for name in guest_table.FACTS[3:]} == {"found"}, kernel
    kernel, column = next(iter(every.items()))
    assert guest_table.with_column(text, kernel, column) == text, "the table is as the command writes it"


def test_a_kernel_takes_the_place_of_an_older_one_of_its_series() -> None:
    text = f"# Kernels\n\n{guest_table.BEGIN}\n\n{guest_table.END}\n\nthe end\n"
    for kernel in ("6.12.9+deb13-cloud-amd64", "6.1.0-57-cloud-amd64", "6.12.10+deb13-cloud-amd64"):
        text = guest_table.with_column(text, kernel, {"memory": kernel, "linux.bash.Bash": "none"})
    every = guest_table.columns(text)
    assert list(every) == ["6.1.0-57-cloud-amd64", "6.12.10+deb13-cloud-amd64"]
    assert [column["memory"] for column in every.values()] == list(every)
    assert every["6.1.0-57-cloud-amd64"]["linux.lsof.Lsof"] == "not run"
    assert text.startswith("# Kernels\n") and text.endswith("\n\nthe end\n")
    with pytest.raises(ValueError, match="lacks the lines"):
        guest_table.with_column("no marks", "6.1", {})


def test_kernels_of_another_architecture_have_columns_of_their_own() -> None:
    text = f"{guest_table.BEGIN}\n\n{guest_table.END}"
    for kernel in (
        "6.12.9+deb13-cloud-arm64",
        "6.12.9+deb13-cloud-amd64",
        "6.1.0-50-cloud-arm64",
        "6.12.10+deb13-cloud-arm64",
    ):
        text = guest_table.with_column(text, kernel, {"memory": kernel})
    assert list(guest_table.columns(text)) == [
        "6.12.9+deb13-cloud-amd64", "6.1.0-50-cloud-arm64", "6.12.10+deb13-cloud-arm64",
    ]  # fmt: skip


@pytest.mark.parametrize("machine", MACHINES.values(), ids=list(MACHINES))
def test_what_a_machine_lacks_for_a_guest_is_named(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    lacks = make_memory.missing_tools(machine)
    assert any(line.startswith(f"{machine.emulator}: apt-get install qemu-system-") for line in lacks)
    others = {m.emulator for m in MACHINES.values()} - {machine.emulator}
    assert not any(line.startswith(tuple(others)) for line in lacks)


def test_libraries_of_a_foreign_program_are_found_by_what_it_names(tmp_path: Path) -> None:
    """`readelf -d` reads any architecture's dynamic section; a program of this machine stands for a foreign one here."""
    if shutil.which("readelf") is None:
        pytest.skip("readelf (binutils) is not on this machine")
    program = Path(shutil.which("readelf") or "").resolve()
    machine = dataclasses.replace(AMD64, foreign=True)
    folder = tmp_path / machine.libraries
    folder.parent.mkdir()
    folder.symlink_to(Path("/") / machine.libraries)
    found = needed_libraries(program, root=tmp_path, machine=machine)
    listed = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=True).stdout
    wanted = {Path(word).name for line in listed.splitlines() for word in line.split() if word.startswith("/")}
    assert {Path(name).name for name in found} == wanted
    assert all(name.startswith((f"/{machine.libraries}/", f"/{machine.loader}")) for name in found)


@pytest.mark.parametrize(
    ("rows", "error", "said"),
    [
        (7, None, "7"),
        (0, None, "none"),
        (None, None, "error: no reason given"),
        (None, "A|B:\nx `y`", "error: A B: x y"),
    ],
)
def test_a_cell_is_rows_none_or_an_error_in_one_line(rows: int | None, error: str | None, said: str) -> None:
    assert guest_table.cell(rows, error) == said
    assert CELL.fullmatch(said)


# ---------------------------------------------------------------------- the gate
@contextmanager
def taking() -> Iterator[tuple[int, list[str]]]:
    """A server that takes every PUT; its port and the paths that it took."""
    taken: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Nothing is logged."""

        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            taken.append(self.path)
            self.send_response(200)
            self.end_headers()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1], taken
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def put(port: int, path: str) -> bool:
    """Whether a PUT was answered."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("PUT", path, body=b"x" * 100_000)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def test_the_sender_is_killed_when_so_many_parts_have_landed_and_what_it_sends_is_dropped() -> None:
    expected = MEMORY_MIB * MIB // PART
    kill_at = kill_parts()
    killed: list[int] = []
    with taking() as (lab, taken):
        gate = Gate(lab, kill_at=kill_at, kill=lambda: killed.append(len(taken)))
        assert put(gate.port, "/landing/case/item/live.tar?partNumber=9&uploadId=u"), "only the image counts"
        number, tries = 1, 1
        while number <= expected:
            if put(gate.port, f"/landing/case/item/20260101T000000Z/memory.lime?uploadId=u&partNumber={number}"):
                number += 1
            else:
                tries += 1
        gate.close()
    assert tries == len(KILLS) + 1 and gate.killed_at == [at - 1 for at in kill_at]
    assert killed == kill_at, "one more than the parts: the other object"
    assert len(taken) == expected + 1 and gate.parts == expected + len(KILLS)
    assert all(landed >= share * expected for landed, share in zip(gate.killed_at, KILLS, strict=True))


def test_a_kill_that_failed_is_told_to_whoever_waits() -> None:
    def fails() -> None:
        raise RuntimeError("nobody was there")

    with taking() as (lab, taken):
        gate = Gate(lab, kill_at=[1], kill=fails)
        assert put(gate.port, "/l/memory.lime?partNumber=1")
        gate.close()
    assert str(gate.error) == "nobody was there" and gate.killed_at == [] and len(taken) == 1


# ---------------------------------------------------------------------- modules
def module(folder: Path, name: str, depends: str, *, packed: bool = False) -> None:
    """A module with nothing but its information."""
    content = b"\x7fELF\0license=GPL\0depends=" + depends.encode() + b"\0name=" + name.encode() + b"\0"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.ko{'.xz' if packed else ''}"
    file.write_bytes(lzma.compress(content) if packed else content)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("prefix", ["lib", "usr/lib"])
def test_modules_come_after_what_they_need_and_unpacked(prefix: str, packed: bool, tmp_path: Path) -> None:
    folder = tmp_path / prefix / "modules" / "6.12"
    module(folder / "net", "virtio-net", "net_failover,virtio-ring", packed=packed)
    module(folder / "net", "net_failover", "failover", packed=packed)
    module(folder / "core", "failover", "", packed=packed)
    module(folder / "virtio", "virtio_ring", "part_of_the_kernel", packed=packed)
    assert modules_folder(tmp_path, "6.12") == folder
    found = with_dependencies(("virtio_net", "failover", "absent"), folder=folder)
    assert list(found) == ["failover", "net_failover", "virtio_ring", "virtio_net"]
    assert all(content.startswith(b"\x7fELF") for content in found.values())
