"""Rules on files, accounts and persistence."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from forensic_toolkit.filesystems.tree import Tree, is_hidden
from forensic_toolkit.results import Finding
from forensic_toolkit.rules import file_rules
from tests.toolkit.fake_tree import Builder

Rule = Callable[[Tree], Iterable[Finding]]


def found(rule: Rule, builder: Builder) -> list[tuple[str, str, str | None]]:
    """Source, severity and technique of what a rule finds."""
    return [(finding.source, finding.severity, finding.technique) for finding in rule(builder.tree())]


def test_set_user_id_copy_of_a_shell() -> None:
    builder = Builder().add("/usr/local/bin/.x", b"\x7fELF shell", mode=0o4755)
    (finding,) = file_rules.privileged(builder.tree())
    assert (finding.severity, finding.technique) == ("critical", "T1548.001")
    assert finding.data["same_as"] == "/usr/bin/bash"


def test_packaged_programs_are_not_reported() -> None:
    builder = Builder().add("/usr/bin/newtool", b"\x7fELF", mode=0o4755)
    assert len(found(file_rules.privileged, builder)) == 1
    # Debian's lists name the place before the merge of /bin into /usr.
    builder.add("/var/lib/dpkg/info/newtool.list", b"/.\n/bin/newtool\n")
    assert found(file_rules.privileged, builder) == []


def test_hidden_and_temporary_programs() -> None:
    builder = Builder().add("/usr/local/lib/.d/run", b"\x7fELF", mode=0o755).add("/tmp/run", b"#!/bin/sh\n", mode=0o755)
    builder.add("/tmp/notes", b"text", mode=0o755).add("/home/a/.local/bin/tool", b"\x7fELF", mode=0o755)
    assert found(file_rules.hidden_programs, builder) == [
        ("/usr/local/lib/.d/run", "high", "T1564.001"),
        ("/tmp/run", "medium", "T1036.005"),
    ]
    assert is_hidden("/home/a/.x") and not is_hidden("/home/a/.cache/x")


def test_times_set_back_are_distinguished_from_unpacked_archives() -> None:
    old = datetime(2025, 5, 5, tzinfo=UTC)
    builder = Builder().add("/var/www/x.php", b"x", modified=old, accessed=old)
    assert found(file_rules.forged_times, builder) == [("/var/www/x.php", "medium", "T1070.006")]
    for number in range(20):
        builder.add(f"/var/www/app/{number}.php", b"x", modified=old)
    assert {severity for _, severity, _ in found(file_rules.forged_times, builder)} == {"low"}


def test_a_second_program_with_the_name_of_a_service_is_named() -> None:
    builder = (
        Builder().add("/usr/sbin/sshd", b"\x7fELF", mode=0o755).add("/var/lib/dpkg/info/ssh.list", b"/usr/sbin/sshd\n")
    )
    builder.add("/srv/chroot/usr/sbin/sshd", b"\x7fELF", mode=0o755).add(
        "/opt/backup/crontab", b"#!/bin/sh\n", mode=0o755
    )
    builder.add("/home/a/notes/sshd", b"text", mode=0o755)
    assert found(file_rules.borrowed_names, builder) == []
    builder.add("/usr/local/lib/x/crond", b"\x7fELF", mode=0o755).add("/opt/y/kworkeru4", b"\x7fELF", mode=0o755)
    assert found(file_rules.borrowed_names, builder) == [
        ("/usr/local/lib/x/crond", "high", "T1036.005"),
        ("/opt/y/kworkeru4", "high", "T1036.005"),
    ]
