"""Rules on accounts and on ways to log in."""

from __future__ import annotations

import re
from collections.abc import Iterator

from forensic_toolkit.filesystems.entries import Entry
from forensic_toolkit.filesystems.tree import HOUR_NS, Tree
from forensic_toolkit.results import Finding, Severity
from forensic_toolkit.rules.persistence_rules import in_part, lines_of

KEY_FILES = r"/(root|home/[^/]+|var/lib/[^/]+|var/www)/\.ssh/authorized_keys2?|/etc/ssh/authorized_keys.*"
SUDO_FILES = r"/etc/sudoers(\.d/.+)?"
_SERVICES = frozenset(
    [
        "www-data",
        "nobody",
        "daemon",
        "bin",
        "sys",
        "games",
        "mail",
        "apache",
        "nginx",
        "httpd",
        "mysql",
        "postgres",
        "redis",
        "tomcat",
        "jenkins",
        "nagios",
        "ftp",
    ]
)
_NO_LOGIN = ("nologin", "false", "sync", "halt", "shutdown")
_KEY_TYPE = re.compile(r"\b(ssh-(rsa|dss|ed25519)|ecdsa-sha2-\S+|sk-\S+)\s+(\S+)\s*(.*)$")

_UID_MIN = re.compile(r"^\s*UID_MIN\s+(\d{1,9})", re.MULTILINE)


def superusers(tree: Tree) -> Iterator[Finding]:
    """Accounts other than root with user id 0."""
    entry = tree.get("/etc/passwd")
    for number, line in enumerate(tree.text("/etc/passwd").splitlines(), start=1):
        fields = line.split(":")
        if entry is not None and len(fields) >= 7 and fields[2] == "0" and fields[0] != "root":
            yield Finding(
                title=f"Account {fields[0]} has the rights of root",
                detail=f"user id 0, home {fields[5]}, shell {fields[6]} (line {number})",
                severity="critical",
                confidence="high",
                source="/etc/passwd",
                time=entry.modified(),
                technique="T1136.001",
                data={"user": fields[0], "home": fields[5], "shell": fields[6], "file": entry.facts()},
            )


def passwords(tree: Tree) -> Iterator[Finding]:
    """Accounts that log in without a password, and system accounts with one."""
    entry = tree.get("/etc/shadow")
    shells, first_user = {}, first_user_id(tree)
    for line in tree.text("/etc/passwd").splitlines():
        fields = line.split(":")
        if len(fields) >= 7 and fields[2].isdigit():
            shells[fields[0]] = (int(fields[2]), fields[6].rsplit("/", 1)[-1])
    for line in tree.text("/etc/shadow").splitlines():
        fields = line.split(":")
        uid, shell = shells.get(fields[0], (-1, "nologin"))
        if entry is None or len(fields) < 2 or shell in _NO_LOGIN:
            continue
        system_account = 0 < uid < first_user and fields[1].startswith("$")
        if fields[1] == "" or system_account:
            yield Finding(
                title=f"Account {fields[0]} {'has a password' if system_account else 'needs no password'}",
                detail=f"user id {uid}, shell {shell}" + ("; a system account" if system_account else ""),
                severity="medium",
                confidence="medium",
                source="/etc/shadow",
                time=entry.modified(),
                technique="T1098",
                data={"user": fields[0], "uid": uid},
                kind="System account has a password" if system_account else "Account needs no password",
            )


def login_keys(tree: Tree) -> Iterator[Finding]:
    """Public keys that open accounts; files changed after their creation get a higher severity."""
    for entry in tree.files(KEY_FILES):
        keys = [match for line in lines_of(entry) if (match := _KEY_TYPE.search(line))]
        yield from in_part(entry, 0, kind="File of SSH keys", technique="T1098.004", tree=tree)
        changed_later = bool(entry.times.born) and entry.times.modified > entry.times.born + HOUR_NS
        if not keys:
            continue
        service = _service_account(entry.path, tree=tree)
        late = tree.is_late(entry)
        severity: Severity = "high" if service and (late or changed_later) else "medium" if changed_later else "info"
        labels = [f"{key[1]} {key[4].strip() or 'without comment'}" for key in keys]
        yield Finding(
            title=f"SSH keys open an account: {entry.path}",
            detail=f"{len(keys)} keys: {'; '.join(labels[-5:])}"
            + (f"; {service} is an account of a service" if service else "")
            + ("; the file was changed after its creation" if changed_later else ""),
            severity=severity,
            confidence="medium",
            source=entry.path,
            time=entry.modified(),
            technique="T1098.004",
            data={
                **entry.facts(),
                "keys": [{"type": key[1], "key": key[3][-24:], "comment": key[4]} for key in keys[:50]],
            },
        )


def _service_account(path: str, *, tree: Tree) -> str | None:
    """The account that owns the home of a file of keys, when it is not one that people log in with."""
    home = path.split("/.ssh/", 1)[0]
    for line in tree.text("/etc/passwd").splitlines():
        fields = line.split(":")
        if len(fields) >= 7 and fields[5] == home and fields[2].isdigit():
            closed = fields[6].rsplit("/", 1)[-1] in _NO_LOGIN
            return fields[0] if closed or 0 < int(fields[2]) < first_user_id(tree) else None
    return None


def first_user_id(tree: Tree) -> int:
    """The least user id of a person's account (login.defs(5), ``UID_MIN``): 1000, on RHEL 6 and older 500."""
    match = _UID_MIN.search(tree.text("/etc/login.defs"))
    return int(match[1]) if match else 1000


def sudo_rights(tree: Tree) -> Iterator[Finding]:
    """Files added after the installation that grant root rights (sudoers)."""
    for entry in tree.files(SUDO_FILES):
        grants = [line for line in lines_of(entry) if "ALL" in line and not line.startswith(("Defaults", "@", "%"))]
        written_later = tree.is_foreign(entry) or (
            bool(tree.installed_until_ns) and entry.times.modified > tree.installed_until_ns + HOUR_NS
        )
        if written_later:
            yield from in_part(entry, 0, kind="File of sudo's rights", technique="T1548.003", tree=tree)
        if grants and written_later:
            yield Finding(
                title=f"Root rights granted after installation: {entry.path}",
                detail=f"{' | '.join(grants[:5])}; {tree.origin(entry)}; cloud-init creates such a file at first boot",
                severity=_sudo_severity(entry, grants),
                confidence="low",
                source=entry.path,
                time=entry.modified(),
                technique="T1548.003",
                data={**entry.facts(), "grants": grants[:20]},
            )


def _sudo_severity(entry: Entry, grants: list[str]) -> Severity:
    """Service accounts hardly ever need all commands without a password; people whom cloud-init makes do."""
    who = {grant.split()[0] for grant in grants}
    if any(name in _SERVICES and "NOPASSWD" in grant for grant in grants for name in [grant.split()[0]]):
        return "high"
    return "low" if "cloud-init" in entry.path or who <= {"root"} or entry.path != "/etc/sudoers" else "medium"


def login_programs(tree: Tree) -> Iterator[Finding]:
    """Login configuration changed after the installation: PAM files and the SSH server's settings."""
    for entry in tree.files(r"/etc/pam\.d/.+|/etc/ssh/sshd_config(\.d/.+)?"):
        if _rewritten(entry, tree=tree):
            yield Finding(
                title=f"Login configuration changed after installation: {entry.path}",
                detail="; ".join(lines_of(entry)[-5:]),
                severity="low",
                confidence="low",
                source=entry.path,
                time=entry.modified(),
                technique="T1556",
                data=entry.facts(),
            )


def _rewritten(entry: Entry, *, tree: Tree) -> bool:
    late_content = bool(tree.installed_until_ns) and entry.times.modified > tree.installed_until_ns + HOUR_NS
    return late_content or tree.is_foreign(entry)
