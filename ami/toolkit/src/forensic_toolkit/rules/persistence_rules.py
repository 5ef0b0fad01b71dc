"""Rules on persistence: cron, and every other place from which a host starts programs by itself (``start_places``)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from forensic_toolkit.filesystems.entries import Entry
from forensic_toolkit.filesystems.tree import Tree, merged, sha256_of
from forensic_toolkit.results import SEVERITIES, Finding, Severity
from forensic_toolkit.rules.command_rules import CommandRule, matches
from forensic_toolkit.rules.places import in_image, is_odd, layer_of
from forensic_toolkit.rules.start_places import PLACES, Place, plain

CRON_TABLES = r"/etc/(crontab|anacrontab|cron\.d/.+)|/var/spool/cron/(crontabs/|tabs/)?[^/]+"
CRON_SCRIPTS = r"/etc/cron\.(hourly|daily|weekly|monthly|yearly)/.+"
_CRON_LINE = re.compile(r"^\s*(@\w+|([\d*/,A-Za-z-]+\s+){5})(.+)$")
_SETTING = re.compile(r"^\s*[A-Za-z_]+\s*=")
_PATH = re.compile(r"(?<![\w.:$}~])(?<![\w}][\"'])/[^\s;&|'\"<>,:()`]+")
# Where only packages put programs: a program that was added there and is started is not an administrator's routine.
_SYSTEM_FOLDERS = re.compile(
    r"^/(usr/(?!local/)|s?bin/|lib(32|64)?/|etc/(?!init\.d/|cron|opt/)|var/(?!lib/|www/|opt/))"
)
_HOME = re.compile(r"^/(root|home/[^/]+|var/lib/[^/]+)(?=/)")
_ANY_HOME = "/root"  # in a file that is in nobody's home
_OWN_HOME = re.compile(r"(?<![\w/])(~|\$HOME|\$\{HOME\})/")
# Files that start files of shells name every day, and files that are not programs.
_ONLY_NAMED = re.compile(
    r"/\.(bash\w*|profile|zsh\w*|fzf\.\w+|p10k\.zsh|aliases|env|dircolors|inputrc|xinitrc|ssh|gnupg|git-\w+\.\w+|vimrc|iterm2\S*|config|cargo|nvm)$"
    # settings that the start files of RHEL, X11 and shells look for in each home, and marks of init systems
    r"|/\.(i18n|dir_?colors[\w.$*{}-]*|X(resources|modmap|kbmap|clients|authority)|xsession[\w-]*|xinputrc|xprofile|netrc|svn|autofsck|autorelabel)$"
    r"|\.(lock|pid|log|sock(et)?|cache|env|json|ya?ml|conf|cfg|ini|toml|txt|out|pem|crt|key)$"
)
_EXPRESSION = re.compile(r"/\.[*?\\\[+(]|\\")  # of sed or grep: no path
_SYSTEM_UNIT = re.compile(
    r"(systemd|dbus|kernel|kworker|udev|journald|initrd)[-_.]?[\w.@-]*\.(service|timer|socket|path)$"
)
# Real start files have some hundred lines; what is beyond these limits is said (``in_part``).
MAX_LINES, MAX_TEXT = 20_000, 4 << 20


def cron(tree: Tree) -> Iterator[Finding]:
    """Suspicious cron tables and scripts."""
    table = Place("Cron job", "T1053.003", ("cron",), CRON_TABLES)
    for entry in tree.files(CRON_TABLES):
        commands = [line for line in lines_of(entry) if _CRON_LINE.match(line) and not _SETTING.match(line)]
        if not _untouched(entry, tree=tree):
            if commands:
                yield from _assess(entry, commands[:MAX_LINES], place=table, tree=tree)
            yield from in_part(entry, len(commands), kind=table.kind, technique=table.technique, tree=tree)
    script = Place("Cron script", "T1053.003", ("cron",), CRON_SCRIPTS)
    for entry in tree.files(CRON_SCRIPTS):
        if not _untouched(entry, tree=tree):
            commands = lines_of(entry)
            yield from _assess(entry, commands[:MAX_LINES], place=script, tree=tree)
            yield from in_part(entry, len(commands), kind=script.kind, technique=script.technique, tree=tree)


def started(tree: Tree) -> Iterator[Finding]:
    """Suspicious files in every other place from which programs start."""
    patterns = [(place, re.compile(place.pattern)) for place in PLACES]
    seen: set[int] = set()
    for entry in tree.entries:
        if not entry.is_file or entry.size == 0 or layer_of(entry.path):
            continue
        path = entry.path
        near = (pair for pair in patterns if any(part in path for part in pair[0].near))
        place = next((place for place, pattern in near if pattern.fullmatch(path)), None)
        if place is None:
            continue
        if entry.inode in seen:
            entry.seen = True  # another name of a file that was read
        elif not _untouched(entry, tree=tree):
            seen.add(entry.inode)
            commands = place.extract(entry.read(limit=MAX_TEXT).decode("utf-8", "replace"))
            yield from _assess(entry, commands[:MAX_LINES], place=place, tree=tree)
            yield from in_part(entry, len(commands), kind=place.kind, technique=place.technique, tree=tree)


def added_modules(tree: Tree) -> Iterator[Finding]:
    """Log-in modules (PAM) that no package owns."""
    for entry in tree.files(r"(/usr)?/lib(64)?(/[a-z0-9_]+-linux-gnu)?/security/pam_\w+\.so"):
        if tree.packaged and not tree.is_packaged(entry):
            yield Finding(
                title=f"Log-in module that no package owns: {entry.path}",
                detail=f"{entry.size} bytes; {tree.origin(entry)}; whoever logs in hands it the password",
                severity="high",
                confidence="medium",
                source=entry.path,
                time=entry.born(),
                technique="T1556.003",
                data={**entry.facts(), "sha256": sha256_of(entry)},
            )


def certificate_authorities(tree: Tree) -> Iterator[Finding]:
    """Certificate authorities that were added to those the system trusts."""
    pattern = r"/usr/local/share/ca-certificates/.+|/etc/(pki/ca-trust/source/anchors|ca-certificates/trust-source/anchors)/.+"
    for entry in tree.files(pattern):
        if tree.is_packaged(entry) or b"CERTIFICATE" not in entry.read(limit=1 << 16):
            continue
        yield Finding(
            title=f"Certificate authority added: {entry.path}",
            detail=f"every TLS client of this host trusts what it signs; {tree.origin(entry)}",
            severity="medium" if tree.is_late(entry) else "low",
            confidence="low",
            source=entry.path,
            time=entry.born(),
            technique="T1553.004",
            data={**entry.facts(), "sha256": sha256_of(entry)},
        )


def in_part(entry: Entry, lines: int, *, kind: str, technique: str, tree: Tree) -> Iterator[Finding]:
    """A file that is larger than what is judged of it: padding hides what comes behind it."""
    if entry.size <= MAX_TEXT and lines <= MAX_LINES:
        return
    yield Finding(
        title=f"{kind} too large to be judged whole: {entry.path}",
        detail=f"{entry.size} bytes; the first {MAX_TEXT} bytes and {MAX_LINES} lines were judged; {tree.origin(entry)}",
        severity="medium",
        confidence="low",
        source=entry.path,
        time=entry.modified(),
        technique=technique,
        data=entry.facts(),
    )


def lines_of(entry: Entry) -> list[str]:
    """Lines that are neither empty nor comments, of the first ``MAX_TEXT`` bytes."""
    return plain(entry.read(limit=MAX_TEXT).decode("utf-8", "replace"))


def _assess(entry: Entry, commands: list[str], *, place: Place, tree: Tree) -> Iterator[Finding]:
    """A finding when the commands or the origin of the file is suspicious."""
    reasons: list[tuple[Severity, str, str | None]] = []
    programs: list[Entry] = []
    home = _HOME.match(entry.path)
    for given in commands:
        command = _OWN_HOME.sub(f"{home[0] if home else _ANY_HOME}/", given)
        rule = _grave(command)
        if rule is not None:
            reasons.append((rule.severity, f"{rule.name.lower()}: {command}", rule.technique))
        odd = next((word[0] for word in _PATH.finditer(command) if _starts_odd(word, tree=tree)), None)
        program = next((file for file in _programs(command, tree=tree) if tree.is_foreign(file)), None)
        if odd:
            reasons.append(("high", f"it names something in a hidden or temporary place: {odd}", None))
        elif program is not None and not in_image(program, tree=tree):
            programs.append(program)
            own: Severity = "medium" if _SYSTEM_FOLDERS.match(program.path) else "low"
            reasons.append((own, f"it starts {program.path}, which was added later", None))
    foreign = place.foreign if tree.is_foreign(entry) else None
    disguise = {"T1036.004"} if _systems_own(entry, tree=tree) else set()
    if disguise:
        reasons.append(("medium", "its name is that of a part of the system, and no package has it", None))
    levels = [severity for severity, _, _ in reasons] + [level for level in (foreign, place.always) if level]
    if not levels:
        return
    severity = min(levels, key=SEVERITIES.index)
    words = dict.fromkeys(text for _, text, _ in reasons)
    if _as_shipped(entry, tree=tree):
        # It is said all the same: what the package manager knows stands on the same disk.
        severity, reasons = "info", []
        words["it is what its package brought, by the package manager's digest"] = None
    elif SEVERITIES.index(severity) < SEVERITIES.index("medium") and _is_not_to_be_judged(entry, tree=tree):
        severity = "medium"
        words["a package owns it, but neither what it brought nor when the system was installed is known"] = None
    yield Finding(
        title=f"{place.kind} {entry.path}",
        detail="; ".join([*words, tree.origin(entry), f"commands: {' | '.join(commands[:5])}"]),
        severity=severity,
        confidence="high" if reasons and tree.is_foreign(entry) else "medium" if reasons else "low",
        source=entry.path,
        time=entry.modified(),
        technique=place.technique,
        kind=f"{place.kind} added after the installation" if severity in ("low", "info") else place.kind,
        data={
            **entry.facts(),
            "commands": commands[:20],
            "techniques": sorted(
                {technique for _, _, technique in reasons if technique} | {place.technique} | disguise
            ),
            "programs": [{"path": program.path, "sha256": sha256_of(program)} for program in programs[:20]],
        },
    )


def _is_not_to_be_judged(entry: Entry, *, tree: Tree) -> bool:
    """Whether a packaged file is of a part of a system: without its programs and its packages' digests, stock scripts cannot be told."""
    path, packages = merged(entry.path), tree.packages
    known = path in packages.digests or path in packages.configurations
    return tree.is_packaged(entry) and not known and not tree.installed_until_ns


def _as_shipped(entry: Entry, *, tree: Tree) -> bool:
    """Whether a package brought the content, or that of /etc/skel of which a home's file is an unchanged copy."""
    if tree.as_shipped(entry):
        return True
    model = tree.get(f"/etc/skel/{entry.name}") if _HOME.match(entry.path) else None
    if model is None or not model.is_file or model.size != entry.size or not tree.as_shipped(model):
        return False
    return model.read(limit=MAX_TEXT) == entry.read(limit=MAX_TEXT)


def _systems_own(entry: Entry, *, tree: Tree) -> bool:
    """Whether a unit that no package owns is named as if it were a part of the system."""
    return bool(_SYSTEM_UNIT.match(entry.name) and tree.packaged and tree.is_foreign(entry))


def _programs(command: str, *, tree: Tree) -> Iterator[Entry]:
    """The files that a command names by their full paths."""
    for word in _PATH.findall(command):
        entry = tree.get(word)
        if entry is not None and entry.is_file:
            yield entry


def _grave(command: str) -> CommandRule | None:
    rule = next(iter(matches(command)), None)
    return rule if rule is not None and rule.severity in ("critical", "high") else None


def _starts_odd(found: re.Match[str], *, tree: Tree) -> bool:
    """Whether a path at its place in a command is a program or library in an odd place, not a lock, log or socket that is mentioned there."""
    word, before = found[0], found.string[: found.start()]
    named = tree.get(word)
    folder = word.endswith("/") or (named is not None and not named.is_file)
    if folder or not is_odd(word, tree=tree) or _ONLY_NAMED.search(word) or _EXPRESSION.search(word):
        return False
    return not re.search(
        r"(>|\b(rm|test|mkdir|find|cd|touch|chmod|chown|tmpwatch|ls)\b[^;&|]*|\[[^\];&|]*\s-[a-zA-Z]|(TMP|TEMP)\w*=|tmpdir\S*)\s*[\"']?$",
        before,
    )


def _untouched(entry: Entry, *, tree: Tree) -> bool:
    """Whether a file is as its package brought it: by the package's digest where there is one, else by its time."""
    if not tree.is_packaged(entry) or not tree.installed_until_ns:
        return False
    if entry.times.changed <= tree.installed_until_ns:
        entry.seen = True
        return True
    known = merged(entry.path) in tree.packages.digests
    # Of a configuration file a package owns the name, not what it says.
    return not tree.differs_from_package(entry) if known else entry.times.modified <= tree.installed_until_ns
