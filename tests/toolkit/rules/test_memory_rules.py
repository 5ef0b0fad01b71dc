"""Plugin rows to findings and timeline."""

from __future__ import annotations

from forensic_toolkit.rules import memory_rules
from tests.toolkit.plugin_rows import START, process, socket, titles, together


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


def test_typed_commands_and_their_times() -> None:
    row = {"PID": 60, "CommandTime": START, "Command": "insmod /run/x/hide.ko"}
    harmless = {"PID": 60, "CommandTime": START, "Command": "ls -l"}
    rows = together(process(60, "bash", exe="/usr/bin/bash"), {"linux.bash.Bash": [row, harmless]})
    (finding,) = memory_rules.findings(rows)
    assert (finding.severity, finding.technique) == ("high", "T1547.006")
    assert finding.time is not None and finding.time.isoformat() == START
    assert sum(event.source == "linux.bash" for event in memory_rules.events(rows)) == 2
