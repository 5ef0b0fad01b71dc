"""The tree of processes that people look at: parents, connections, marks; bounded whatever the image holds."""

from __future__ import annotations

from typing import Any

from forensic_toolkit.findings import Finding
from forensic_toolkit.readers.process_tree import COMMANDS, LIST, MOST, NET, PID_TABLE, SCAN, process_tree
from forensic_toolkit.rules import memory_rules, windows_memory_rules
from tests.toolkit.plugin_rows import process, socket, together

IMPLANT = together(
    process(1, "systemd", args="/sbin/init", exe="/usr/lib/systemd/systemd", ppid=0),
    process(2, "kthreadd", args="[kthreadd]", ppid=0),
    process(9, "kworker/0:1", args="[kworker/0:1]", ppid=2),
    process(50, "sshd", args="sshd: /usr/sbin/sshd -D", exe="/usr/sbin/sshd"),
    process(60, "bash", args="-bash", exe="/usr/bin/bash", ppid=50),
    process(61, "kworker/u8:3", args="[kworker/u8:3]", exe="/dev/shm/.x (deleted)", ppid=60),
    socket(61, own="10.0.0.5:41000", peer="203.0.113.9:443"),
    socket(50, own="0.0.0.0:22", peer="0.0.0.0:0", state="LISTEN"),
    {
        PID_TABLE: [
            {"PID": 77, "TID": 77, "PPID": 60, "COMM": "hid"},
            {"PID": 60, "TID": 60, "PPID": 50, "COMM": "bash"},
        ]
    },
)


def tree(rows: dict[str, Any], findings: list[Finding] | None = None) -> dict[int, dict[str, Any]]:
    made, _ = process_tree(rows, findings=memory_rules.findings(rows) if findings is None else findings)
    return {node["pid"]: node for node in made}


def test_processes_have_parents_connections_and_what_the_rules_said() -> None:
    found = tree(IMPLANT)
    assert set(found) == {1, 50, 60, 61, 77}, "threads of the kernel are left out"
    implant = found[61]
    assert (implant["ppid"], implant["exe"]) == (60, "/dev/shm/.x (deleted)")
    assert implant["connections"] == ["TCP 10.0.0.5:41000 with 203.0.113.9:443 ESTABLISHED"]
    assert implant["marks"][0]["severity"] == "critical" and any(
        "kernel thread" in m["title"] for m in implant["marks"]
    )
    assert found[50]["connections"] == ["TCP 0.0.0.0:22 listens"] and found[50]["marks"] == []
    assert [pid for pid, node in found.items() if not node["listed"]] == [77]


def test_a_kernel_thread_that_a_finding_names_is_there() -> None:
    named = Finding(title="x", detail="", severity="high", confidence="high", source="s", data={"pid": 9})
    assert 9 in tree(IMPLANT, [named])


def test_of_many_processes_those_with_marks_come_with_their_parents() -> None:
    many = together(*(process(n, "worker", exe="/usr/bin/worker", ppid=n - 1 if n > 1 else 0) for n in range(1, 2_000)))
    marked = Finding(title="odd", detail="", severity="high", confidence="high", source="s", data={"pid": 40})
    nodes, known = process_tree(many, findings=[marked])
    assert (len(nodes), known) == (MOST, 1_999)
    assert set(range(1, 41)) <= {node["pid"] for node in nodes}


def test_processes_that_are_their_own_parents_end_the_walk() -> None:
    rows = together(
        process(5, "a", exe="/a", ppid=6), process(6, "b", exe="/b", ppid=5), process(7, "c", exe="/c", ppid=7)
    )
    assert set(tree(rows, [])) == {5, 6, 7}


def test_names_and_arguments_of_an_intruder_are_printable_and_short() -> None:
    rows = process(8, "a\x1b[31m\u202e", args="x" * 4_000 + "\n", exe="/tmp/\udcff")
    (node,) = tree(rows, []).values()
    assert node["name"].isprintable() and node["args"].isprintable() and len(node["args"]) <= 330
    assert node["exe"].isprintable() and "\udcff" not in node["exe"]


def test_connections_of_one_process_are_bounded_and_said_once() -> None:
    rows = together(
        process(8, "scan", exe="/s"), *(socket(8, own="10.0.0.5:1", peer=f"203.0.113.9:{n % 50}") for n in range(200))
    )
    (node,) = tree(rows, []).values()
    assert len(node["connections"]) == len(set(node["connections"])) == 8


def test_a_windows_process_that_only_a_scan_finds_is_not_listed() -> None:
    began = "2026-01-02T03:04:05+00:00"
    rows = {
        LIST: [{"PID": 4, "PPID": 0, "ImageFileName": "System", "CreateTime": began}],
        SCAN: [
            {"PID": 4, "PPID": 0, "ImageFileName": "System", "CreateTime": began, "ExitTime": None},
            {"PID": 666, "PPID": 4, "ImageFileName": "evil.exe", "CreateTime": began, "ExitTime": None},
            {"PID": 667, "PPID": 4, "ImageFileName": "gone.exe", "CreateTime": began, "ExitTime": began},
        ],
        COMMANDS: [{"PID": 666, "Process": "evil.exe", "Args": "evil.exe -p"}],
        NET: [{"PID": 666, "Proto": "TCPv4", "LocalAddr": "10.0.0.5", "LocalPort": 50000, "ForeignAddr": "203.0.113.9",
               "ForeignPort": 443, "State": "ESTABLISHED", "Owner": "evil.exe"}],
    }  # fmt: skip
    findings = [finding for _, rule in windows_memory_rules.rules(rows) for finding in rule()]
    nodes, _ = process_tree(rows, findings=findings, windows=True)
    found = {node["pid"]: node for node in nodes}
    assert set(found) == {4, 666} and (found[4]["listed"], found[666]["listed"]) == (True, False)
    assert found[666]["args"] == "evil.exe -p" and "203.0.113.9:443" in found[666]["connections"][0]
    assert found[666]["marks"][0]["severity"] == "high"
