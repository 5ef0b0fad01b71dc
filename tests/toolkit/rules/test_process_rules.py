"""Suspicious processes, by the rows of Volatility's plugins."""

from __future__ import annotations

from tests.toolkit.plugin_rows import process, socket, titles, together


def test_disguise_deletion_and_connection() -> None:
    rows = together(
        process(77, "kworker/u4:1", args="[kworker/u4:1]", exe=" /dev/shm/x (deleted)"),
        socket(77, own="10.0.0.5:40000", peer="198.51.100.7:443"),
        socket(77, own="10.0.0.5:40000", peer="198.51.100.7:443"),
    )
    found = titles(rows)
    assert found["Process 77 poses as a kernel thread"] == "critical"
    assert found["Process 77 runs a deleted executable"] == "critical"
    assert [title for title in found if "198.51.100.7" in title] == [
        "Connection of a disguised or deleted program: kworker/u4:1 (77) with 198.51.100.7 port 443"
    ]


def test_deletion_by_an_update_has_low_severity() -> None:
    assert titles(process(80, "nginx", exe="/usr/sbin/nginx (deleted)")) == {
        "Process 80 runs a deleted executable": "low"
    }


def test_shell_under_a_service_name_on_the_network() -> None:
    rows = together(
        process(50, "sshd", args="sshd: listener", exe="/usr/sbin/sshd"),
        process(81, "bash", args="sshd: [accepted]", exe="/usr/bin/bash"),
        socket(81, own="10.0.0.5:41000", peer="10.9.9.9:4444"),
    )
    found = titles(rows)
    assert found["Process 81 runs under a false name"] == "high"
    assert found["Shell on the network: bash (81) with 10.9.9.9 port 4444"] == "critical"


def test_inbound_sessions_are_distinguished_from_outbound_connections() -> None:
    rows = together(
        process(50, "sshd", args="sshd: admin", exe="/usr/sbin/sshd"),
        process(90, "curl", args="curl https://x", exe="/usr/bin/curl"),
        socket(50, own="0.0.0.0:22", peer="0.0.0.0:0", state="LISTEN"),
        socket(50, own="10.0.0.5:22", peer="198.51.100.7:50000"),
        socket(90, own="10.0.0.5:51000", peer="198.51.100.8:443"),
    )
    assert sorted(titles(rows).values()) == ["low", "medium"]


def test_executable_memory_of_a_compiler_has_low_severity() -> None:
    rows = {
        "linux.malware.malfind.Malfind": [
            {"PID": 1, "Process": "sshd", "Start": 1, "End": 2, "Protection": "rwx"},
            {"PID": 2, "Process": "java", "Start": 1, "End": 2, "Protection": "rwx"},
        ]
    }
    assert sorted(titles(rows).values()) == ["high", "low"]
