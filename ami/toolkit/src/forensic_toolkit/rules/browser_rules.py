"""Rules on what browsers downloaded: programs from bare addresses, places for sharing files, intruders' tools, and whether they ran.

Pages that were visited are no findings; they are in the timeline. Sources: ATT&CK T1105, T1204.002; prefetch files bear the program's name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from urllib.parse import urlsplit

from forensic_toolkit.filesystems.tree import Tree
from forensic_toolkit.readers import browsers
from forensic_toolkit.readers.browsers import Download, History
from forensic_toolkit.readers.coverage import Coverage
from forensic_toolkit.results import Event, Finding, Results, Severity
from forensic_toolkit.rules.addresses import is_foreign
from forensic_toolkit.rules.windows_rules import is_tool

_PROGRAM = re.compile(
    r"\.(exe|msi|msix|appinstaller|dll|scr|com|cpl|ps1|bat|cmd|vbs|vbe|js|jse|wsf|hta|lnk|iso|img|vhdx?|jar|sh|elf|run|appimage|py|pl|one)$",
    re.IGNORECASE,
)
# Where anybody can put a file for a while without an account, and tunnels to somebody's own machine.
_SHARED = re.compile(
    r"(^|\.)(transfer\.sh|file\.io|gofile\.io|anonfiles\.com|bashupload\.com|temp\.sh|0x0\.st|catbox\.moe|oshi\.at|pixeldrain\.com|"
    r"mediafire\.com|mega\.nz|pastebin\.com|paste\.ee|cdn\.discordapp\.com|ngrok\.io|ngrok-free\.app|trycloudflare\.com|serveo\.net)$",
    re.IGNORECASE,
)
_PREFETCH = r"(?i:/windows/prefetch/[^/]+-[0-9a-f]{8}\.pf)"
_PREFETCH_NAME = 29  # Windows cuts a program's name there


def findings(tree: Tree, *, coverage: Coverage, results: Results) -> Iterator[Finding]:
    """Findings on downloads; visits and downloads go to the events."""
    ran: dict[str, datetime] | None = None
    for history in browsers.histories(tree, coverage=coverage):
        results.events.extend(_events(history))
        for download in history.downloads:
            if _PROGRAM.search(download.name) or is_tool(download.name):
                ran = _programs(tree) if ran is None else ran
                yield from _download(history, download, ran=_when(download, ran, tree=tree))


def _events(history: History) -> Iterator[Event]:
    source, who = history.entry.path, f"{history.user} ({history.browser})"
    for visit in history.visits:
        title = f" ({visit.title})" if visit.title else ""
        yield Event(visit.time, f"{who} visited {visit.url}{title}", source, "Last Visited Time")
    for one in history.downloads:
        said = f"{who} downloaded {one.url} to {one.path}: {one.state}, {one.bytes} bytes"
        if one.time is not None:
            yield Event(one.time, said, source, "Start Time", notable=True)
        if one.ended is not None:
            yield Event(one.ended, said, source, "End Time")


def _programs(tree: Tree) -> dict[str, datetime]:
    """When programs ran last, by their names as prefetch files bear them."""
    found: dict[str, datetime] = {}
    for entry in tree.files(_PREFETCH):
        name, moment = entry.name.rsplit("-", 1)[0].upper(), entry.modified()
        if moment is not None and moment > found.get(name, datetime.min.replace(tzinfo=moment.tzinfo)):
            found[name] = moment
    return found


def _when(download: Download, ran: dict[str, datetime], *, tree: Tree) -> str:
    """What says that a downloaded program ran, or was made ready to; empty for nothing."""
    moment = ran.get(download.name.upper()[:_PREFETCH_NAME])
    if moment is not None and (download.time is None or moment >= download.time):
        return f"it ran: its prefetch file was written {moment:%Y-%m-%d %H:%M:%S} UTC"
    entry = tree.get(download.path) if download.path.startswith("/") else None
    return "it was made executable" if entry is not None and entry.is_executable else ""


def _download(history: History, one: Download, *, ran: str) -> Iterator[Finding]:
    severity, why = _weight(one)
    if ran:
        severity = {"info": "low", "low": "low", "medium": "high"}.get(severity, severity)  # type: ignore[assignment]
    if severity == "info":
        return
    yield Finding(
        title=f"{'Program was downloaded and run' if ran else 'Program was downloaded'}: {one.name}",
        detail="; ".join(filter(None, (f"{one.url} -> {one.path}", why, ran, one.danger, f"{one.state}, {one.bytes} bytes"))),
        severity=severity,
        confidence="medium",
        source=history.entry.path,
        time=one.time,
        technique="T1204.002" if ran else "T1105",
        data={"url": one.url, "path": one.path, "bytes": one.bytes, "referrer": one.referrer, "user": history.user},
        kind="Program that a browser downloaded",
        fold=f"download {one.url} {one.path}",
    )  # fmt: skip


def _weight(one: Download) -> tuple[Severity, str]:
    """How grave a download of a program is by itself, and why."""
    host = _host(one.url)
    if is_tool(one.name):
        return "high", "a tool used by intruders and administrators"
    if is_foreign(host):
        return "medium", "from a bare public address"
    if _SHARED.search(host):
        return "medium", "from a place where anybody can put files"
    if one.danger.startswith("the browser"):
        return "medium", ""
    return "info", ""


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
