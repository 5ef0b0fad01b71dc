"""What a user opened, and what starts when one logs on: shortcuts (.lnk), jump lists, the start folders of Windows.

A shortcut is a finding by what it does: a shell with an encoded or remote command, arguments pushed out of sight, an icon from another machine,
data behind its end, a tool that intruders bring. Sources: [MS-SHLLINK]; ATT&CK T1547.001, T1547.009, T1027.012, T1187, T1204.002.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

from forensic_toolkit.errors import EvidenceError
from forensic_toolkit.filesystems.entries import Entry
from forensic_toolkit.filesystems.tree import Tree
from forensic_toolkit.readers import jump_lists, shell_links
from forensic_toolkit.readers.coverage import Artifact, Coverage
from forensic_toolkit.readers.jump_lists import Destination
from forensic_toolkit.readers.shell_links import Link
from forensic_toolkit.results import Event, Finding, Results
from forensic_toolkit.rules import artifacts, windows_commands
from forensic_toolkit.rules.windows_commands import Command
from forensic_toolkit.rules.windows_rules import is_tool, why_odd
from forensic_toolkit.rules.windows_texts import text_of, user_of

SHORTCUTS, JUMP_LISTS, START_FOLDER = "Windows shortcuts", "jump lists", "Windows start folder"
_START_MENU = r"/(users/[^/]+/appdata/roaming/microsoft/windows|programdata/microsoft/windows|documents and settings/[^/]+)/start menu/"
FILES = {
    SHORTCUTS: rf"/(users|documents and settings)/.+\.lnk|{_START_MENU}.+\.lnk",
    JUMP_LISTS: r"/users/[^/]+/appdata/roaming/microsoft/windows/recent/(automatic|custom)destinations/[^/]+destinations-ms",
    START_FOLDER: rf"{_START_MENU}programs/startup/[^/]+(?<!\.lnk)",
}
_NEAR = {SHORTCUTS: ".lnk", JUMP_LISTS: "destinations-ms", START_FOLDER: "/startup/"}
RULE = "Windows shortcuts"
KINDS = tuple(
    artifacts.Kind(kind, (_NEAR[kind],), pattern, (RULE,), content=kind != START_FOLDER, windows=True)
    for kind, pattern in FILES.items()
)
MAX_FILES, MAX_LINK, MAX_LIST, MAX_SCRIPT, MAX_SAID = 20_000, 4 << 20, 16 << 20, 256 << 10, 20
MAX_COMMANDS, MAX_OPENED, MAX_TEXT = 5_000, 100_000, 1_000
_STARTS = re.compile(rf"{_START_MENU}programs/startup/", re.IGNORECASE)
_RECENT = re.compile(r"/recent/", re.IGNORECASE)
_CLICKED = re.compile(r"/(desktop|start menu|quick launch|taskbar)/", re.IGNORECASE)
_PROGRAM = re.compile(r"\.(exe|com|scr|dll|cpl|ps1|bat|cmd|vbs|vbe|js|jse|wsf|hta|msi|jar|pif)$", re.IGNORECASE)
_SCRIPT = re.compile(r"\.(ps1|bat|cmd|vbs|js|wsf|hta|url)$", re.IGNORECASE)
_SHELL = re.compile(
    r"^(cmd|powershell|pwsh|mshta|wscript|cscript|rundll32|regsvr32|certutil|bitsadmin|msbuild|installutil|forfiles|conhost|curl|msiexec|ssh|wmic)(\.exe)?$",
    re.IGNORECASE,
)
# Arguments that begin behind the room of the shortcut's window: a person who looks sees none.
_PUSHED = re.compile(r"[\s\u00a0\u2000-\u200b\u3000]{60,}\S")
_REMOTE = re.compile(r"^(https?:)?[\\/]{2}[^\\/?.]", re.IGNORECASE)
_APPENDED = 4096
_RDP_LIST, _RDP_HOST = "1bc392b8e104a00e", re.compile(r"/v:\s*\"?([^\s\"]+)", re.IGNORECASE)


def findings(tree: Tree, *, coverage: Coverage, results: Results) -> Iterator[Finding]:
    """Findings on shortcuts, jump lists and start folders; what was opened and when goes to the events."""
    commands: list[Command] = []
    for entry, link in _links(tree, coverage=coverage):
        results.events.extend(_events(entry, link))
        yield from _shortcut(entry, link, commands=commands)
    for entry in _files(tree, START_FOLDER):
        yield from _in_start_folder(entry)
    yield from _lists(tree, coverage=coverage, results=results)
    if commands:
        yield from windows_commands.by_rules(commands, results=results)


def _files(tree: Tree, kind: str) -> Iterator[Entry]:
    return tree.entries.matching(re.compile(FILES[kind], re.IGNORECASE).fullmatch, "REG")


def _links(tree: Tree, *, coverage: Coverage) -> Iterator[tuple[Entry, Link]]:
    artifact: Artifact | None = None
    for number, entry in enumerate(_files(tree, SHORTCUTS)):
        artifact = artifact or coverage.add(Artifact(SHORTCUTS, entry.folder, 0))
        if number >= MAX_FILES:
            artifact.problems.append(f"more than {MAX_FILES} shortcuts; the rest was not read")
            return
        artifact.lines += 1
        artifact.bytes += entry.size
        link = shell_links.parsed(entry.read(limit=MAX_LINK))
        if link is not None:
            artifact.parsed += 1
            yield entry, link
        elif entry.size and len(artifact.problems) < MAX_SAID:
            artifact.problems.append(f"{entry.path} is no shortcut, or a damaged one")


def _events(entry: Entry, link: Link) -> Iterator[Event]:
    target = (link.target if _RECENT.search(entry.path) else link.command)[:MAX_TEXT]
    if _RECENT.search(entry.path):
        who = user_of(entry.path)
        if (moment := entry.modified()) is not None:
            yield Event(moment, f"{who} opened {target}", entry.path, "Last Opened", notable=True)
        if (moment := entry.born()) is not None and moment != entry.modified():
            yield Event(moment, f"{who} opened {target} for the first time", entry.path, "First Opened")
    elif _STARTS.match(entry.path) and (moment := entry.modified()) is not None:
        said = f"Shortcut in a start folder written: {target}"
        yield Event(moment, said, entry.path, "Content Modification Time", notable=True)
    yield from _target_times(link, f"as {entry.name} recorded", source=entry.path)


def _target_times(link: Link, how: str, *, source: str) -> Iterator[Event]:
    where = f" on {link.machine}" if link.machine else ""
    for moment, what in ((link.created, "Creation Time"), (link.written, "Content Modification Time")):
        if moment is not None:
            yield Event(moment, f"{link.target[:MAX_TEXT]}{where}, {how}", source, what)


def _shortcut(entry: Entry, link: Link, *, commands: list[Command]) -> Iterator[Finding]:
    starts, recent = bool(_STARTS.match(entry.path)), bool(_RECENT.search(entry.path))
    lines = list(dict.fromkeys((link.command, f"{link.environment} {link.arguments}".strip())))
    why = _why(lines, link, anywhere=starts)
    if recent:
        if why is None and _PROGRAM.search(link.target) and not link.arguments:
            why = why_odd(link.target)
        if why is not None:
            yield _opened(entry, link.target, why, moment=entry.modified())
        return
    if why is not None:
        kind = "Start folder" if starts else "Shortcut"
        yield Finding(
            title=f"{kind}: {entry.name} starts a suspicious command",
            detail=f"{link.command}: {why}",
            severity="high",
            confidence="medium",
            source=entry.path,
            time=entry.modified() or entry.changed(),
            technique="T1547.001" if starts else "T1547.009" if _CLICKED.search(entry.path) else "T1204.002",
            data={**_facts(link), "path": entry.path},
        )
    elif _SHELL.match(link.name) and link.arguments and len(commands) < MAX_COMMANDS:
        how = f"shortcut {entry.name}, {user_of(entry.path)}"
        commands.append(Command(entry, link.command[:4000], how, entry.modified()))
    yield from _smuggled(entry, link)


def _why(lines: list[str], link: Link, *, anywhere: bool) -> str | None:
    """Why a shortcut is suspicious; ``anywhere``: any program in an odd place, not only shells with odd commands."""
    if _PUSHED.search(link.arguments):
        return "its arguments are pushed out of sight by blanks"
    if is_tool(link.name):
        return "a tool used by intruders and administrators"
    if anywhere or _SHELL.match(link.name) or _SHELL.match(re.split(r"[\\/]", link.environment)[-1]):
        return next((why for line in lines if (why := why_odd(line))), None)
    return None


def _smuggled(entry: Entry, link: Link) -> Iterator[Finding]:
    """An icon from another machine, to which Windows logs on to show it; a payload behind the shortcut's end."""
    remote = _REMOTE.match(link.icon) and not _REMOTE.match(link.target)
    behind = entry.size - link.length
    for fits, title, detail, technique in (
        (remote, "takes its icon from another machine", f"{link.icon}: whoever sees the shortcut logs on there", "T1187"),
        (behind > _APPENDED, "carries data behind its end", f"{behind} bytes; it starts {link.command}", "T1027.012"),
    ):  # fmt: skip
        if fits:
            yield Finding(
                title=f"Shortcut {title}: {entry.name}",
                detail=detail,
                severity="medium",
                confidence="medium",
                source=entry.path,
                time=entry.modified() or entry.changed(),
                technique=technique,
                data={**_facts(link), "path": entry.path},
            )


def _facts(link: Link) -> dict[str, object]:
    words = {"target": link.target, "arguments": link.arguments[:4000], "working": link.working, "icon": link.icon}
    return {name: value for name, value in {**words, "machine": link.machine}.items() if value}


def _opened(entry: Entry, path: str, why: str, *, moment: datetime | None) -> Finding:
    name = re.split(r"[\\/]", path)[-1]
    return Finding(
        title=f"Opened by {user_of(entry.path)}: {name}",
        detail=f"{path}: {why}",
        severity="high" if is_tool(name) else "medium",
        confidence="medium",
        source=entry.path,
        time=moment,
        technique="T1204.002",
        data={"path": path},
        kind="Program that a user opened",
        fold=f"opened {user_of(entry.path)} {path.lower()}",
    )


def _in_start_folder(entry: Entry) -> Iterator[Finding]:
    if not _PROGRAM.search(entry.name) and not _SCRIPT.search(entry.name):
        return
    text = text_of(entry.read(limit=MAX_SCRIPT)) if _SCRIPT.search(entry.name) else ""
    line, why = next(((line.strip(), why) for line in text.splitlines() if (why := why_odd(line))), ("", None))
    if why is None and is_tool(entry.name):
        why = "a tool used by intruders and administrators"
    yield Finding(
        title=f"Program in a start folder: {entry.name}",
        detail=f"{line or entry.path}: {why or 'it starts at every log-on; installers put shortcuts there'}",
        severity="high" if why else "medium",
        confidence="medium",
        source=entry.path,
        time=entry.modified() or entry.changed(),
        technique="T1547.001",
        data=entry.facts(),
    )


def _lists(tree: Tree, *, coverage: Coverage, results: Results) -> Iterator[Finding]:
    opened = 0
    for number, entry in enumerate(_files(tree, JUMP_LISTS)):
        artifact = coverage.add(Artifact(JUMP_LISTS, entry.path, entry.size))
        if number >= MAX_FILES or entry.size > MAX_LIST or opened > MAX_OPENED:
            said = f"not read: {entry.size} bytes, after {number} lists with {opened} entries"
            artifact.problems.append(f"{said}; the limits are {MAX_LIST}, {MAX_FILES} and {MAX_OPENED}")
            continue
        raw = entry.read(limit=MAX_LIST)
        try:
            automatic = entry.name.lower().endswith("automaticdestinations-ms")
            found, problems = jump_lists.automatic(raw) if automatic else (jump_lists.custom(raw), [])
        except EvidenceError as error:
            artifact.problems.append(str(error))
            continue
        artifact.problems.extend(problems)
        artifact.lines = artifact.parsed = len(found)
        opened += len(found)
        if not found:
            artifact.bytes = 0  # a list that was made and never filled
        for one in found:
            results.events.extend(_of_destination(entry, one))
            yield from _destination(entry, one)


def _of_destination(entry: Entry, one: Destination) -> Iterator[Event]:
    who, often = user_of(entry.path), f" ({one.count} times in all)" if one.count > 1 else ""
    host = _RDP_HOST.search(one.link.arguments) if one.link and entry.name.lower().startswith(_RDP_LIST) else None
    said = f"{who} connected by Remote Desktop to {host[1]}" if host else f"{who} opened {one.path[:MAX_TEXT]}"
    if one.opened is not None:
        yield Event(one.opened, said + often, entry.path, "Last Opened", notable=True)
    if one.link is not None:
        yield from _target_times(one.link, "as a jump list recorded", source=entry.path)


def _destination(entry: Entry, one: Destination) -> Iterator[Finding]:
    path = one.link.target if one.link and one.link.target else one.path
    name = re.split(r"[\\/]", path)[-1]
    if is_tool(name):
        yield _opened(entry, path, "a tool used by intruders and administrators", moment=one.opened)
    elif one.opened is not None and _PROGRAM.search(path) and (why := why_odd(path)):
        yield _opened(entry, path, why, moment=one.opened)
