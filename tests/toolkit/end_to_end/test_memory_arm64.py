"""Volatility on the shipped image of an arm64 host, with a table from the kernel's own facts: what the guest said of itself."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lab.evidence import memory
from lab.scenarios.guest_findings import Findings, examine
from tests.toolkit.examined import NO_TOOLS, TOOLS

pytestmark = pytest.mark.skipif(not TOOLS.exists(), reason=NO_TOOLS)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    work = tmp_path_factory.mktemp("arm64")
    files = memory.unpack(work / "image", shipped=memory.SHIPPED_ARM64)
    for name, path in (("btf", files.btf), ("kallsyms", files.kallsyms), ("version", files.version)):
        (work / f"fact-{name}").symlink_to(path)
    return examine(files.memory, facts=work, work=work)


@pytest.fixture(scope="module")
def seen() -> dict[str, Any]:
    return dict(memory.facts(memory.SHIPPED_ARM64)["observed"])


def test_every_plugin_of_the_quick_set_ends_without_an_error(found: Findings) -> None:
    assert {name: error for name, error in found.errors.items() if error} == {}
    # the shipped image was made before its kernel's headers could be compiled for: no hidden module is in it
    assert {what for what, there in found.planted.items() if not there} == {"hidden module"}


def test_processes_are_those_that_the_guest_listed(found: Findings, seen: dict[str, Any]) -> None:
    rows = {row["PID"]: row for row in found.rows["linux.pslist.PsList"]}
    arguments = {row["PID"]: row["ARGS"] or "" for row in found.rows["linux.psaux.PsAux"]}
    # What read the list began after the capture: its connection and its shell.
    inside = [process for process in seen["processes"] if process["pid"] <= max(rows)]
    assert len(inside) >= 8 and len(seen["processes"]) - len(inside) <= 2
    for process in inside:
        row = rows[process["pid"]]
        assert (row["PPID"], row["COMM"]) == (process["ppid"], process["comm"])
        # The guest's own list ends at a line's end; an argument may hold several lines.
        assert " ".join(arguments[process["pid"]].split()).startswith(" ".join(process["cmdline"].split()))


def test_connections_are_those_that_the_guest_listed(found: Findings, seen: dict[str, Any]) -> None:
    rows = {
        (
            f"{row['Source Addr']}:{row['Source Port']}",
            f"{row['Destination Addr']}:{row['Destination Port']}",
            row["State"],
        )
        for row in found.rows["linux.sockstat.Sockstat"]
        if row["Proto"] == "TCP"
    }
    assert len(seen["connections"]) >= 3
    inside = [link for link in seen["connections"] if (link["local"], link["remote"], link["state"]) in rows]
    # The connection over which the guest was asked came after the capture.
    assert len(seen["connections"]) - len(inside) <= 1


def test_the_typed_commands_and_the_modules_are_there(found: Findings, seen: dict[str, Any]) -> None:
    typed = [row["Command"] for row in found.rows["linux.bash.Bash"]]
    assert [command for command in seen["commands"] if command not in typed] == []
    listed = (memory.SHIPPED_ARM64 / "modules").read_text("utf-8")
    modules = {line.split()[0]: int(line.split()[1]) for line in listed.splitlines()}
    assert {row["Module Name"]: row["Code Size"] for row in found.rows["linux.lsmod.Lsmod"]} == modules


def test_the_program_that_runs_from_a_deleted_file_is_named(found: Findings) -> None:
    rows = [row for row in found.rows["linux.malware.process_spoofing.ProcessSpoofing"] if row.get("Exe_Deleted")]
    assert "kdmtmpflush" in json.dumps(rows)
