"""Rules on records of a Windows system: persistence, executed programs, and contradicting file times."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from forensic_toolkit.results import Event, Finding, Severity
from forensic_toolkit.rules.command_rules import first_match
from forensic_toolkit.times import parse_iso, zulu

Record = dict[str, Any]
Records = dict[str, list[Record]]
# Places that every user may write to; installers do not put services there.
_ODD_PLACE = re.compile(
    r"\\(programdata|users\\public|windows\\(temp|tasks|debug|tracing)|perflogs|\$recycle\.bin)\\|\\appdata\\(local\\temp|roaming)\\"
    r"|\\temp\\|^[a-z]:\\[^\\]+\.(exe|dll|ps1|bat|vbs)$",
    re.IGNORECASE,
)
_USUAL = re.compile(r"\\programdata\\(microsoft\\windows defender|package cache|amazon|chocolatey)\\", re.IGNORECASE)
_HIDDEN = re.compile(r"\\\.[^\\]+\\")
_INTERPRETER = re.compile(
    r"\b(powershell|pwsh|mshta|wscript|cscript|rundll32|regsvr32|certutil|bitsadmin)(\.exe)?\b.*"
    r"(-enc|-e |hidden|http|frombase64|downloadstring|javascript:|iex)",
    re.IGNORECASE,
)
_TOOLS = re.compile(
    r"^(psexe(c|svc)|mimikatz|procdump|rubeus|sharphound|lazagne|wce|pwdump|plink|ngrok|rclone|anydesk)", re.IGNORECASE
)
# Copying preserves the time of the content, but does not make a file older than its name.
_SLACK = timedelta(hours=1)
MAX_FORGED = 200


def why_odd(command: str) -> str | None:
    """Why a command is suspicious, or None."""
    if _INTERPRETER.search(command):
        return "an interpreter gets hidden, encoded or remote commands"
    if _HIDDEN.search(command):
        return "it is in a hidden folder"
    if _ODD_PLACE.search(command) and not _USUAL.search(command):
        return "it is in a folder that every user may write to"
    rule = first_match(command)
    return rule.name if rule and rule.severity != "info" else None


def is_tool(name: str) -> bool:
    """Whether a program's name is that of a tool that intruders bring."""
    return bool(_TOOLS.match(name))


def _started(
    record: Record, *, kind: str, name: str, command: str, technique: str, time: datetime | None, source: str
) -> Iterator[Finding]:
    why = why_odd(command)
    if why is None:
        return
    yield Finding(
        title=f"{kind} that starts a suspicious program: {name}",
        detail=f"{command}: {why}",
        severity="high",
        confidence="medium",
        source=source,
        time=time,
        technique=technique,
        data={"name": name, "command": command},
    )


def run_keys(records: Records) -> Iterator[Finding]:
    """Suspicious programs that start at log-on (Run keys)."""
    for record in records["runkeys"]:
        given = record.get("command") or {}
        command = (
            " ".join([str(given.get("executable") or ""), *map(str, given.get("args") or [])])
            if isinstance(given, dict)
            else str(given)
        )
        source = f"{record.get('key')}\\{record.get('name')}"
        moment = parse_iso(str(record.get("ts") or ""))
        yield from _started(
            record,
            kind="Run key",
            name=str(record.get("name")),
            command=command.strip(),
            technique="T1547.001",
            time=moment,
            source=source,
        )


def services(records: Records) -> Iterator[Finding]:
    """Services whose program is in an unusual place; the time is that of the last write to the key."""
    for record in records["services"]:
        name = str(record.get("name"))
        command = f"{record.get('imagepath') or ''} {record.get('imagepath_args') or ''}".strip() or str(
            record.get("servicedll") or ""
        )
        moment = parse_iso(str(record.get("ts") or ""))
        source = f"HKLM\\SYSTEM\\Services\\{name}"
        yield from _started(
            record, kind="Service", name=name, command=command, technique="T1543.003", time=moment, source=source
        )


def tasks(records: Records) -> Iterator[Finding]:
    """Scheduled tasks that start a suspicious program."""
    for record in records["tasks"]:
        command = f"{record.get('command') or ''} {record.get('arguments') or ''}".strip()
        name = str(record.get("uri"))
        yield from _started(
            record,
            kind="Scheduled task",
            name=name,
            command=command,
            technique="T1053.005",
            time=None,
            source=f"task {name}",
        )


def executions(records: Records) -> Iterator[Finding]:
    """Programs run from unusual places, and intruders' tools, according to prefetch and Amcache."""
    for record in records["prefetch"]:
        file, loaded = str(record.get("filename")), str(record.get("linkedfile") or "")
        own = loaded.upper().endswith("\\" + file.upper())
        if own and ((why := why_odd(loaded)) or is_tool(file)):
            detail = (
                f"{loaded}, run {record.get('runcount')} times; {why or 'a tool used by intruders and administrators'}"
            )
            yield _ran(
                file,
                detail,
                moment=parse_iso(str(record.get("ts") or "")),
                source=f"prefetch {record.get('prefetch')}",
                data={"count": record.get("runcount")},
            )
    for record in records["amcache.application_files"]:
        path, name = str(record.get("path")), str(record.get("name"))
        if (why := why_odd(path)) or is_tool(name):
            detail = f"{path}, {record.get('size')} bytes; {why or 'a tool used by intruders and administrators'}"
            digest = (record.get("digest") or {}).get("sha1")
            yield _ran(
                name,
                detail,
                moment=parse_iso(str(record.get("mtime_regf") or "")),
                source="Amcache",
                data={"sha1": digest, "path": path},
            )


def _ran(name: str, detail: str, *, moment: datetime | None, source: str, data: dict[str, Any]) -> Finding:
    severity: Severity = "high" if is_tool(name) else "medium"
    return Finding(
        title=f"Program that was present: {name}" if source == "Amcache" else f"Program that ran: {name}",
        detail=detail,
        severity=severity,
        confidence="medium",
        source=source,
        time=moment,
        technique="T1204.002",
        data=data,
    )


RULES = (run_keys, services, tasks, executions)


def forged_times(records: list[Record]) -> Iterator[Finding]:
    """Files with a creation time before that of their name: NTFS keeps both, and tools change only the first."""
    said: dict[int, tuple[datetime, str]] = {}
    named: dict[int, datetime] = {}
    for record in records:
        moment, segment = parse_iso(str(record.get("ts") or "")), record.get("segment")
        if record.get("ts_type") != "B" or moment is None or not isinstance(segment, int):
            continue
        if "filename_index" in record:
            named[segment] = min(named.get(segment, moment), moment)
        else:
            said[segment] = (moment, str(record.get("path")))
    found = 0
    for segment, (moment, path) in said.items():
        made = named.get(segment)
        if made is None or moment.microsecond or moment + _SLACK >= made or moment.year < 1990:
            continue
        found += 1
        if found > MAX_FORGED:
            return
        yield Finding(
            title=f"File time set back: {path}",
            detail=f"created {zulu(moment)} as it claims, but its name was created {zulu(made)}; "
            "the claimed time has no fraction of a second",
            severity="medium",
            confidence="medium",
            source=path,
            time=made,
            technique="T1070.006",
            data={"segment": segment},
        )


def events(records: Records) -> Iterator[Event]:
    """Timeline entries: program runs (prefetch), files (Amcache), writes to Run keys and services."""
    seen = set()
    for record in records["prefetch"]:
        key = (record.get("prefetch"), record.get("ts"))
        if key not in seen and (moment := parse_iso(str(record.get("ts") or ""))):
            seen.add(key)
            what = f"Program ran: {record.get('filename')} ({record.get('runcount')} times in all)"
            yield Event(moment, what, f"prefetch {record.get('prefetch')}", "Last Time Executed", notable=True)
    for record in records["amcache.application_files"]:
        if moment := parse_iso(str(record.get("mtime_regf") or "")):
            yield Event(moment, f"Program listed in Amcache: {record.get('path')}", "Amcache", "Key Last Written")
    for function, what in (("services", "Service"), ("runkeys", "Run key")):
        for record in records[function]:
            if moment := parse_iso(str(record.get("ts") or "")):
                yield Event(moment, f"{what} written: {record.get('name')}", "registry", "Key Last Written")
