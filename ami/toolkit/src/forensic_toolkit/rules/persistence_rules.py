"""Rules on persistence, what a system starts by itself: cron, systemd, start-up files."""

from __future__ import annotations

import re
from collections.abc import Iterator

from forensic_toolkit.filesystems.entries import Entry
from forensic_toolkit.filesystems.tree import Tree, is_unusual_place, sha256_of
from forensic_toolkit.results import Finding, Severity
from forensic_toolkit.rules.command_rules import first_match
from forensic_toolkit.rules.file_rules import program_of

_CRON_TABLES = r"/etc/(crontab|anacrontab|cron\.d/.+)|/var/spool/cron/(crontabs/|tabs/)?[^/]+"
_CRON_SCRIPTS = r"/etc/cron\.(hourly|daily|weekly|monthly|yearly)/.+"
_UNITS = (
    r"(/etc|/usr/lib|/lib|/usr/local/lib)/systemd/(system|user)/.+\.(service|timer|socket|path)"
    r"|/(root|home/[^/]+)/\.config/systemd/user/.+"
)
_START_FILES = (
    r"/etc/(rc\.local|profile|bash\.bashrc|bashrc|environment|profile\.d/.+|init\.d/.+|rc\.d/.+|update-motd\.d/.+)"
    r"|/etc/(udev/rules\.d/.+|X11/Xsession\.d/.+|NetworkManager/dispatcher\.d/.+|apt/apt\.conf\.d/.+|modules-load\.d/.+)"
    r"|/(root|home/[^/]+)/\.(bashrc|bash_profile|profile|bash_login|bash_logout|zshrc|zprofile)"
)
_STARTS = re.compile(r"^\s*Exec(Start|StartPre|StartPost|Stop|StopPost|Reload)\s*=\s*[-@+!:]*(.+)$", re.MULTILINE)
_CRON_LINE = re.compile(r"^\s*(@\w+|([\d*/,A-Za-z-]+\s+){5})(.+)$")
_SETTING = re.compile(r"^\s*[A-Za-z_]+\s*=")
MAX_LINES = 2000


def cron(tree: Tree) -> Iterator[Finding]:
    """Suspicious cron tables and scripts."""
    for entry in tree.files(_CRON_TABLES):
        commands = [line for line in lines_of(entry) if _CRON_LINE.match(line) and not _SETTING.match(line)]
        if commands:
            yield from _assess(entry, commands, kind="Cron job", technique="T1053.003", tree=tree)
    for entry in tree.files(_CRON_SCRIPTS):
        yield from _assess(entry, lines_of(entry), kind="Cron script", technique="T1053.003", tree=tree)


def units(tree: Tree) -> Iterator[Finding]:
    """Suspicious systemd units."""
    seen: set[int] = set()
    for entry in tree.files(_UNITS):
        if entry.inode not in seen:
            seen.add(entry.inode)
            text = entry.read(limit=1 << 18).decode("utf-8", "replace")
            commands = [match[2].strip() for match in _STARTS.finditer(text)]
            yield from _assess(entry, commands, kind="Systemd unit", technique="T1543.002", tree=tree)


def start_files(tree: Tree) -> Iterator[Finding]:
    """Shell start-up files and the like, reported for suspicious content or when added to /etc after the installation."""
    for entry in tree.files(_START_FILES):
        technique = (
            "T1546.004" if "/." in entry.path or "profile" in entry.path or "bashrc" in entry.path else "T1037.004"
        )
        telling = [line for line in lines_of(entry) if _tells(line, tree=tree)]
        # Users' own start-up files are always newer than the installation; the system's are not.
        if telling or (tree.is_foreign(entry) and entry.path.startswith("/etc/")):
            yield from _assess(entry, telling or lines_of(entry), kind="Start-up file", technique=technique, tree=tree)


def lines_of(entry: Entry) -> list[str]:
    """Lines that are neither empty nor comments."""
    text = entry.read(limit=1 << 20).decode("utf-8", "replace")
    return [
        line.strip() for line in text.splitlines()[:MAX_LINES] if line.strip() and not line.lstrip().startswith("#")
    ]


def _tells(line: str, *, tree: Tree) -> bool:
    rule = first_match(line)
    if rule is not None and rule.severity in ("critical", "high"):
        return True
    program = program_of(line, tree=tree)
    return program is not None and is_unusual_place(program.path)


def _assess(entry: Entry, commands: list[str], *, kind: str, technique: str, tree: Tree) -> Iterator[Finding]:
    """A finding when the commands or the origin of the file is suspicious."""
    reasons: list[str] = []
    severity: Severity | None = None
    programs: list[Entry] = []
    for command in commands:
        rule = first_match(command)
        if rule is not None and rule.severity in ("critical", "high") and not tree.is_packaged(entry):
            reasons.append(f"{rule.name.lower()}: {command}")
            severity = rule.severity
        program = program_of(command, tree=tree)
        odd_path = next((word for word in re.findall(r"/[^\s;&|'\"<>]+", command) if is_unusual_place(word)), None)
        if program is not None and tree.is_foreign(program):
            programs.append(program)
        if odd_path:
            reasons.append(f"it starts something in a hidden or temporary place: {odd_path}")
            severity = severity or "high"
        elif program is not None and tree.is_foreign(program):
            reasons.append(f"it starts {program.path}, which was added later")
            severity = severity or "high"
    if severity is None and tree.is_foreign(entry):
        severity = "medium"
    if severity is None:
        return
    yield Finding(
        title=f"{kind} {entry.path}",
        detail="; ".join([*dict.fromkeys(reasons), tree.origin(entry), f"commands: {' | '.join(commands[:5])}"]),
        severity=severity,
        confidence="high" if reasons and tree.is_foreign(entry) else "medium",
        source=entry.path,
        time=entry.modified(),
        technique=technique,
        data={
            **entry.facts(),
            "commands": commands[:20],
            "programs": [{"path": program.path, "sha256": sha256_of(program)} for program in programs],
        },
    )
