"""Windows artifacts that are read as they are: PowerShell's history and transcripts, the hosts file, the Recycle Bin, WMI subscriptions.

Typed commands are held against the Sigma rules for PowerShell's script blocks and for started programs. Their lines carry no time.
Sources: about_PSReadLine and Start-Transcript (Microsoft); ``$I`` files: dissect.target's recyclebin (c_recyclebin); WMI: ATT&CK T1546.003 and
Win32's __FilterToConsumerBinding, whose instances name consumer and filter as text.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from datetime import datetime

from forensic_toolkit.filesystems.entries import Entry
from forensic_toolkit.filesystems.tree import Tree
from forensic_toolkit.readers.coverage import Artifact, Coverage
from forensic_toolkit.results import Event, Finding, Results
from forensic_toolkit.rules import artifacts, windows_commands
from forensic_toolkit.rules.windows_commands import Command
from forensic_toolkit.rules.windows_rules import is_tool, why_odd
from forensic_toolkit.times import from_filetime

HISTORY, TRANSCRIPT, HOSTS, RECYCLED, WMI = (
    "PowerShell history", "PowerShell transcript", "Windows hosts file", "Recycle Bin", "WMI repository",
)  # fmt: skip
FILES = {
    HISTORY: r"/(users/[^/]+|windows/system32/config/systemprofile|windows/serviceprofiles/[^/]+)/appdata/roaming/microsoft/windows"
    r"/powershell/psreadline/[^/]+_history\.txt",
    TRANSCRIPT: r"/.*/powershell_transcript\.[^/]+\.txt",
    HOSTS: r"/windows/system32/drivers/etc/hosts",
    RECYCLED: r"/\$recycle\.bin/[^/]+/\$i[^/]+",
    WMI: r"/windows/system32/wbem/repository/(fs/)?objects\.data",
}
_NEAR = {
    HISTORY: "psreadline",
    TRANSCRIPT: "powershell_transcript",
    HOSTS: "/etc/hosts",
    RECYCLED: "$recycle.bin",
    WMI: "objects.data",
}
KINDS = tuple(
    artifacts.Kind(kind, (_NEAR[kind],), pattern, ("Windows texts",), windows=True) for kind, pattern in FILES.items()
)
MAX_TEXT, MAX_COMMANDS, MAX_BIN, MAX_REPOSITORY = 8 << 20, 50_000, 20_000, 256 << 20
_PROMPT = re.compile(r"^PS [^>\n]{0,260}> ?(.+)$")
_HOST = re.compile(r"^Host Application: (.+)$", re.MULTILINE)
# What has to be reachable for a host to be defended; names ending so, sent to nowhere or elsewhere.
_DEFENDERS = re.compile(
    r"(^|\.)(windowsupdate\.com|update\.microsoft\.com|(smartscreen|wdcp|wd|defender)\.microsoft\.com|virustotal\.com|amazonaws\.com|"
    r"sophos\.com|crowdstrike\.com|sentinelone\.net|mcafee\.com|symantec\.com|kaspersky\.com|eset\.com|avast\.com|malwarebytes\.com)$",
    re.IGNORECASE,
)
_KEPT = re.compile(r"\.(exe|dll|ps1|bat|cmd|vbs|js|hta|zip|7z|rar|kdbx|dmp|evtx|sql|bak)$", re.IGNORECASE)
_ONE = rb'(?P<kind>CommandLineEventConsumer|ActiveScriptEventConsumer)\.Name="(?P<consumer>[^"\0]{1,200})"'
_OTHER = rb'__EventFilter\.Name="(?P<filter>[^"\0]{1,200})"'
_BINDINGS = tuple(re.compile(a + rb".{0,400}?" + b, re.DOTALL) for a, b in ((_ONE, _OTHER), (_OTHER, _ONE)))
# Windows 7 and Server 2008 R2 come with this one.
_SHIPPED = "BVTConsumer"
# What a consumer of that name runs, in the record that defines it: printable text behind the class's name.
_TEXT = re.compile(rb"[\x20-\x7e\t\r\n]{8,4000}")


def findings(tree: Tree, *, coverage: Coverage, results: Results) -> Iterator[Finding]:
    """What these artifacts show; times of files and of deletions go to the events."""
    typed: list[Command] = []
    for entry in _files(tree, HISTORY):
        typed.extend(_history(entry, coverage=coverage, results=results))
    for entry in _files(tree, TRANSCRIPT):
        typed.extend(_transcript(entry, coverage=coverage, results=results))
    if typed:
        yield from windows_commands.by_rules(typed, results=results)
    for entry in _files(tree, HOSTS):
        yield from _hosts(entry)
    yield from _recycled(tree, coverage=coverage, results=results)
    for entry in _files(tree, WMI):
        yield from _subscriptions(entry, results=results)


def _files(tree: Tree, kind: str) -> Iterator[Entry]:
    return tree.entries.matching(re.compile(FILES[kind], re.IGNORECASE).fullmatch, "REG")


def text_of(raw: bytes) -> str:
    """The text of a file of Windows: UTF-8, or UTF-16 with its mark."""
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return raw.decode("utf-16", "replace")
    return raw.decode("utf-8-sig", "replace")


def commands(text: str) -> Iterator[str]:
    """The commands of a PSReadLine history: a line that ends with a backtick goes on in the next one."""
    begun: list[str] = []
    for line in text.splitlines():
        if line.endswith("`"):
            begun.append(line[:-1])
        elif command := "\n".join([*begun, line]).strip():
            yield command
            begun = []
    if last := "\n".join(begun).strip():
        yield last


def _history(entry: Entry, *, coverage: Coverage, results: Results) -> Iterator[Command]:
    text = text_of(entry.read(limit=MAX_TEXT))
    found = list(commands(text))
    artifact = coverage.add(Artifact(HISTORY, entry.path, entry.size))
    artifact.lines = artifact.parsed = len(found)
    artifact.parsed -= sum("\0" in command or "\ufffd" in command for command in found)
    _limits(entry, artifact, len(found))
    _written(entry, f"{len(found)} commands; its lines carry no time, the last one was typed then", results=results)
    yield from (_typed(entry, command) for command in found[-MAX_COMMANDS:])


def _transcript(entry: Entry, *, coverage: Coverage, results: Results) -> Iterator[Command]:
    text = text_of(entry.read(limit=MAX_TEXT))
    found = [match[1] for line in text.splitlines() if (match := _PROMPT.match(line))]
    started = [match[1] for match in _HOST.finditer(text)]
    artifact = coverage.add(Artifact(TRANSCRIPT, entry.path, entry.size))
    artifact.lines = artifact.parsed = len(text.splitlines())
    _limits(entry, artifact, len(found))
    _written(entry, f"transcript with {len(found)} commands, in local time without an offset", results=results)
    yield from (_typed(entry, command) for command in [*started, *found[-MAX_COMMANDS:]])


def _typed(entry: Entry, line: str) -> Command:
    return Command(entry, line, f"typed in PowerShell, {user_of(entry.path)}")


def _limits(entry: Entry, artifact: Artifact, count: int) -> None:
    if entry.size > MAX_TEXT:
        artifact.problems.append(f"the first {MAX_TEXT} of {entry.size} bytes were read")
    if count > MAX_COMMANDS:
        artifact.problems.append(f"{count} commands; the last {MAX_COMMANDS} were examined")


def _written(entry: Entry, what: str, *, results: Results) -> None:
    if (moment := entry.modified()) is not None:
        said = f"{user_of(entry.path)}'s PowerShell: {what}"
        results.events.append(Event(moment, said, entry.path, "Content Modification Time", notable=True))


def user_of(path: str) -> str:
    match = re.match(r"/(?:users|windows/serviceprofiles)/([^/]+)", path, re.IGNORECASE)
    return match[1] if match else "the system"


def _hosts(entry: Entry) -> Iterator[Finding]:
    """Names of updates and of security products that the hosts file sends elsewhere."""
    for line in text_of(entry.read(limit=1 << 20)).splitlines():
        address, *names = line.split("#", 1)[0].split() or [""]
        blocked = [name for name in names if _DEFENDERS.search(name)]
        if blocked:
            yield Finding(
                title=f"Names of updates or defenders are redirected: {', '.join(blocked)[:200]}",
                detail=f"{line.strip()}: Windows asks no name server for them",
                severity="high",
                confidence="medium",
                source=entry.path,
                time=entry.modified(),
                technique="T1685",
                data={"address": address, "names": blocked},
            )


def _recycled(tree: Tree, *, coverage: Coverage, results: Results) -> Iterator[Finding]:
    """What was put into the Recycle Bin, when and by whom; tools, scripts and archives as findings."""
    artifact: Artifact | None = None
    for number, entry in enumerate(_files(tree, RECYCLED)):
        artifact = artifact or coverage.add(Artifact(RECYCLED, entry.folder, 0))
        artifact.lines += 1
        artifact.bytes += entry.size
        if number >= MAX_BIN:
            continue
        found = deletion(entry.read(limit=4096))
        if found is None:
            artifact.problems.append(f"{entry.path} has another form")
            continue
        size, moment, path = found
        artifact.parsed += 1
        owner = entry.path.split("/")[2]
        if moment is not None:
            results.events.append(
                Event(moment, f"Put into the Recycle Bin: {path} ({owner})", entry.path, "Deleted", notable=True)
            )
        name = path.rsplit("\\", 1)[-1]
        if is_tool(name) or (_KEPT.search(name) and why_odd(path)):
            yield Finding(
                title=f"Put into the Recycle Bin: {path}",
                detail=f"{size} bytes, by {owner}; the content is beside it, under the same name with $R",
                severity="medium",
                confidence="medium",
                source=entry.path,
                time=moment,
                technique="T1070.004",
                data={"path": path, "size": size, "owner": owner},
            )


def deletion(raw: bytes) -> tuple[int, datetime | None, str] | None:
    """Size in bytes, time and path of a deleted file by its ``$I`` file, versions 1 and 2; None for anything else."""
    if len(raw) < 28:
        return None
    version, size, moment = struct.unpack_from("<QQQ", raw)
    if version == 2:
        length = struct.unpack_from("<I", raw, 24)[0]
        name = raw[28 : 28 + 2 * min(length, 2048)]
    elif version == 1:
        name = raw[24 : 24 + 520]
    else:
        return None
    path = name.decode("utf-16-le", "replace").split("\0", 1)[0]
    return (size, from_filetime(moment), path) if path else None


def _subscriptions(entry: Entry, *, results: Results) -> Iterator[Finding]:
    """WMI event consumers that start something, by the bindings' text in the repository."""
    if entry.size > MAX_REPOSITORY:
        results.gap("WMI repository", f"{entry.path}: the first {MAX_REPOSITORY} of {entry.size} bytes were searched")
    raw = entry.read(limit=MAX_REPOSITORY)
    seen = {("CommandLineEventConsumer", _SHIPPED)}
    for match in (match for pattern in _BINDINGS for match in pattern.finditer(raw)):
        kind, consumer, condition = (match[name].decode("latin-1") for name in ("kind", "consumer", "filter"))
        if (kind, consumer) in seen:
            continue
        seen.add((kind, consumer))
        starts = _what_it_starts(raw, match["kind"], match["consumer"])
        yield Finding(
            title=f"WMI starts something by itself: {consumer} ({kind})",
            detail=f"when {condition}: {starts or 'what it starts was not found in the repository'}",
            severity="high",
            confidence="medium",
            source=entry.path,
            time=entry.modified(),
            technique="T1546.003",
            data={"consumer": consumer, "class": kind, "filter": condition, "starts": starts[:2000]},
        )


def _what_it_starts(raw: bytes, kind: bytes, consumer: bytes) -> str:
    """The texts of the record that defines a consumer: behind its class's name lie its properties, the name among them."""
    at = raw.find(kind + b"\0\0")
    while at >= 0:
        record = raw[at : at + 8192]
        if consumer + b"\0" in record:
            texts = [text.decode("ascii").strip() for text in _TEXT.findall(record)]
            named = [text for text in texts if text not in (kind.decode(), consumer.decode())]
            return "; ".join(named[:4])
        at = raw.find(kind + b"\0\0", at + 1)
    return ""
