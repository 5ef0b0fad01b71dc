"""Accounts with root's rights, passwords of services, keys for logging in."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from forensic_toolkit.filesystems.tree import Tree
from forensic_toolkit.results import Finding
from forensic_toolkit.rules import account_rules
from tests.toolkit.fake_tree import INSTALLED, LATER, Builder

Rule = Callable[[Tree], Iterable[Finding]]


def found(rule: Rule, builder: Builder) -> list[tuple[str, str, str | None]]:
    """Source, severity and technique of what a rule finds."""
    return [(finding.source, finding.severity, finding.technique) for finding in rule(builder.tree())]


def test_accounts() -> None:
    passwd = b"root:x:0:0:r:/root:/bin/bash\nevil:x:0:0::/root:/bin/bash\nsvc:x:33:33::/var/www:/bin/sh\n"
    builder = Builder().add("/etc/passwd", passwd).add("/etc/shadow", b"root:!:1::::::\nsvc:$6$x:1::::::\n")
    assert found(account_rules.superusers, builder) == [("/etc/passwd", "critical", "T1136.001")]
    assert [title for title, *_ in found(account_rules.passwords, builder)] == ["/etc/shadow"]


def test_keys_added_later_have_a_higher_severity() -> None:
    key = b"ssh-ed25519 AAAAC3Nza ops@example.com\n"
    builder = Builder().add("/root/.ssh/authorized_keys", key, born=INSTALLED, modified=LATER)
    builder.add("/home/a/.ssh/authorized_keys", key, born=INSTALLED)
    severities = {source: severity for source, severity, _ in found(account_rules.login_keys, builder)}
    assert severities == {"/root/.ssh/authorized_keys": "medium", "/home/a/.ssh/authorized_keys": "info"}
