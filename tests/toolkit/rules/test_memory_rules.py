"""Plugin rows to findings and timeline."""

from __future__ import annotations

from typing import Any

from forensic_toolkit.readers.processes import PSAUX, PSLIST, SPOOFING
from forensic_toolkit.rules import memory_rules

START = "2026-01-02T03:04:05+00:00"


def process(pid: int, comm: str, *, args: str = "", exe: str = "N/A", ppid: int = 1) -> dict[str, list[dict[str, Any]]]:
    """Rows of one process."""
    return {
        PSLIST: [{"PID": pid, "PPID": ppid, "COMM": comm, "UID": 0, "CREATION TIME": START}],
        PSAUX: [{"PID": pid, "PPID": ppid, "COMM": comm, "ARGS": args or comm}],
        SPOOFING: [{"PID": pid, "Exe_Path": exe, "Exe_Deleted": exe.endswith("(deleted)")}],
    }


def together(*parts: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """Rows of several processes and plugins."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for part in parts:
        for name, some in part.items():
            rows.setdefault(name, []).extend(some)
    return rows


def socket(pid: int, *, own: str, peer: str, state: str = "ESTABLISHED") -> dict[str, list[dict[str, Any]]]:
    """Rows of one socket; addresses as ``host:port``."""
    (host, port), (peer_host, peer_port) = own.rsplit(":", 1), peer.rsplit(":", 1)
    row = {"PID": pid, "Family": "AF_INET", "Proto": "TCP", "State": state, "Process Name": "x"}
    row |= {
        "Source Addr": host,
        "Source Port": port,
        "Destination Addr": peer_host,
        "Destination Port": peer_port,
    }
    return {"linux.sockstat.Sockstat": [row]}


def titles(rows: dict[str, list[dict[str, Any]]]) -> dict[str, str]:
    """Severity by title."""
    return {finding.title: finding.severity for finding in memory_rules.findings(rows)}


def test_an_ordinary_system_gives_no_findings() -> None:
    rows = together(
        process(1, "systemd", args="/sbin/init", exe="/usr/lib/systemd/systemd", ppid=0),
        process(2, "kthreadd", args="[kthreadd]", ppid=0),
        process(9, "kworker/0:1", args="[kworker/0:1]", ppid=2),
        process(50, "sshd", args="sshd: /usr/sbin/sshd -D", exe="/usr/sbin/sshd"),
        process(60, "bash", args="-bash", exe="/usr/bin/bash", ppid=50),
        process(70, "sh", args="/bin/sh /opt/run.sh", exe="/usr/bin/dash"),
        socket(50, own="10.0.0.5:22", peer="10.0.0.9:50000"),
    )
    assert titles(rows) == {}


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


def test_typed_commands_and_their_times() -> None:
    row = {"PID": 60, "CommandTime": START, "Command": "insmod /run/x/hide.ko"}
    harmless = {"PID": 60, "CommandTime": START, "Command": "ls -l"}
    rows = together(process(60, "bash", exe="/usr/bin/bash"), {"linux.bash.Bash": [row, harmless]})
    (finding,) = memory_rules.findings(rows)
    assert (finding.severity, finding.technique) == ("high", "T1547.006")
    assert finding.time is not None and finding.time.isoformat() == START
    assert sum(event.source == "linux.bash" for event in memory_rules.events(rows)) == 2


def test_hidden_module_has_the_time_of_the_kernels_complaint() -> None:
    rows = {
        "linux.boottime.Boottime": [{"Boot Time": "2026-01-02T03:00:00+00:00"}],
        "linux.kmsg.Kmsg": [{"timestamp": "65.5", "level": "warn", "line": "ghost: loading out-of-tree module taints"}],
        "linux.malware.check_modules.Check_modules": [{"Module Name": "ghost", "Taints": "OOT_MODULE"}],
        "linux.malware.modxview.Modxview": [
            {"Name": "ghost", "In procfs": False, "In sysfs": True, "In scan": True},
            {"Name": "ext4", "In procfs": True, "In sysfs": True, "In scan": True},
        ],
    }
    (finding,) = memory_rules.findings(rows)
    assert (finding.title, finding.severity, finding.technique) == (
        "Hidden kernel module ghost",
        "critical",
        "T1014",
    )
    assert finding.time is not None and finding.time.isoformat() == "2026-01-02T03:01:05.500000+00:00"


def test_executable_memory_of_a_compiler_has_low_severity() -> None:
    rows = {
        "linux.malware.malfind.Malfind": [
            {"PID": 1, "Process": "sshd", "Start": 1, "End": 2, "Protection": "rwx"},
            {"PID": 2, "Process": "java", "Start": 1, "End": 2, "Protection": "rwx"},
        ]
    }
    assert sorted(titles(rows).values()) == ["high", "low"]


def test_a_system_call_table_read_wrong_is_not_a_hundred_findings() -> None:
    name = "linux.malware.check_syscall.Check_syscall"
    good = [{"Index": index, "Handler Symbol": f"sys_{index}"} for index in range(10)]
    assert len(memory_rules.findings({name: [*good, {"Index": 99, "Handler Symbol": None}]})) == 1
    assert memory_rules.findings({name: [{"Index": index, "Handler Symbol": None} for index in range(10)]}) == []
