"""Rules on what Windows remembers of programs that may be gone: the compatibility cache (shimcache) and NTFS's change journal (USN).

Sources: the cache keeps path and last change of a file that was looked at or run, not when (dissect.target, AppCompatCache); the journal
keeps a reason for each change of a file (USN_RECORD_V2, [MS-FSCC] 2.3 and the Win32 documentation of USN_REASON values).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from forensic_toolkit.results import Event, Finding, Severity
from forensic_toolkit.rules.windows_rules import Records, is_tool, why_odd
from forensic_toolkit.times import parse_iso

Record = dict[str, Any]
# Where nobody but an intruder keeps a program for a while; installers use folders for temporary files.
_STAGING = re.compile(
    r"\\users\\public\\|\\\.[^\\]+\\|\\perflogs\\|\\\$recycle\.bin\\|\\windows\\(debug|tracing|tasks|fonts|media)\\|\\programdata\\[^\\]+$|^(\\\\\?\\)?[a-z]:\\[^\\]+$",
    re.IGNORECASE,
)
_PROGRAM = re.compile(r"\.(exe|dll|sys|ps1|psm1|bat|cmd|vbs|js|hta|scr|msi|com)$", re.IGNORECASE)
_LOG = re.compile(r"\\winevt\\logs\\[^\\]+\.evtx$", re.IGNORECASE)
_PREFETCH = re.compile(r"\\prefetch\\[^\\]+\.pf$", re.IGNORECASE)
_SYSTEMS_ROOT = re.compile(r"^[a-z]:\\(bootmgr|pagefile|hiberfil|swapfile|dumpstack)", re.IGNORECASE)
# Windows removes the oldest of its 1,024 prefetch files one by one.
TOGETHER, WITHIN = 20, timedelta(minutes=2)


def path_of(record: Record) -> str:
    """The path of a record in Windows' own form."""
    path = str(record.get("path") or "").replace("/", "\\")
    return re.sub(
        r"^\\?(sysvol|[a-z]:)\\",
        lambda match: "C:\\" if "sysvol" in match[0].lower() else match[0].lstrip("\\"),
        path,
        flags=re.I,
    )


def matters(record: Record) -> bool:
    """Whether a record of the change journal may be of use: millions are of caches and updates."""
    path, reason = path_of(record), str(record.get("reason"))
    if "FILE_DELETE" in reason or "FILE_CREATE" in reason:
        return bool(
            _LOG.search(path)
            or _PREFETCH.search(path)
            or (_PROGRAM.search(path) and (_STAGING.search(path) or is_tool(_name(path))))
        )
    return "DATA_TRUNCATION" in reason and bool(_LOG.search(path))


def compatibility_cache(records: Records) -> Iterator[Finding]:
    """Programs in odd places, and intruders' tools, that the compatibility cache knows; they need not be there any more."""
    for record in records["shimcache"]:
        path = path_of(record) or str(record.get("name") or "")
        if not _PROGRAM.search(path):
            continue
        tool, why = is_tool(_name(path)), why_odd(path)
        if not tool and not (why and _STAGING.search(path)):
            continue
        yield Finding(
            title=f"Program known to the compatibility cache: {_name(path)}",
            detail=f"{path}; {why or 'a tool used by intruders and administrators'}; the time is that of the file's last change, not of a run",
            severity="high" if tool else "medium",
            confidence="medium",
            source="shimcache",
            time=parse_iso(str(record.get("last_modified") or "")),
            technique="T1204.002",
            data={"path": path, "position": record.get("index")},
            kind="Program known to the compatibility cache",
        )


def change_journal(records: Records) -> Iterator[Finding]:
    """Programs that came to and went from odd places, event logs that were removed or emptied, prefetch files removed together."""
    prefetch: list[datetime] = []
    came: dict[str, datetime] = {}
    for record in sorted(records["usnjrnl"], key=lambda record: int(record.get("usn") or 0)):
        path, reason = path_of(record), str(record.get("reason"))
        moment = parse_iso(str(record.get("ts") or ""))
        if moment is None or not path:
            continue
        gone = "FILE_DELETE" in reason
        if _LOG.search(path):
            if gone or "DATA_TRUNCATION" in reason:
                yield _log(path, moment, gone=gone)
        elif _PREFETCH.search(path):
            prefetch += [moment] if gone else []
        elif _PROGRAM.search(path) and not _SYSTEMS_ROOT.search(path):
            if "FILE_CREATE" in reason:
                came[path.lower()] = moment
            if gone or ("FILE_CREATE" in reason and is_tool(_name(path))):
                yield _program(path, moment, gone=gone, came=came.get(path.lower()))
    yield from _emptied(prefetch)


def _program(path: str, moment: datetime, *, gone: bool, came: datetime | None) -> Finding:
    severity: Severity = "high" if is_tool(_name(path)) else "medium"
    stayed = f"; it had come {moment - came} before" if gone and came else ""
    return Finding(
        title=f"Program {'deleted' if gone else 'created'}: {path}",
        detail=f"by NTFS's change journal{stayed}; {why_odd(path) or 'a tool used by intruders and administrators'}",
        severity=severity,
        confidence="medium",
        source="change journal",
        time=moment,
        technique="T1070.004" if gone else "T1105",
        data={"path": path},
        kind=f"Program {'deleted from' if gone else 'created in'} an odd place",
        fold=f"usn {path.lower()} {gone}",
    )


def _log(path: str, moment: datetime, *, gone: bool) -> Finding:
    return Finding(
        title=f"Event log {'deleted' if gone else 'emptied'}: {_name(path)}",
        detail=f"{path}, by NTFS's change journal",
        severity="high" if gone else "medium",
        confidence="medium",
        source="change journal",
        time=moment,
        technique="T1685.005",
        data={"path": path},
        fold=f"usn log {path.lower()} {gone}",
    )


def _emptied(moments: list[datetime]) -> Iterator[Finding]:
    moments.sort()
    for first, last in zip(moments, moments[TOGETHER - 1 :], strict=False):
        if last - first <= WITHIN:
            yield Finding(
                title="Prefetch files removed together",
                detail=f"{len(moments)} files, {TOGETHER} of them within {last - first}; what they told of programs that ran is gone",
                severity="high",
                confidence="medium",
                source="change journal",
                time=first,
                technique="T1070.004",
                data={"files": len(moments)},
            )
            return


def events(records: Records) -> Iterator[Event]:
    """Timeline entries of the change journal's records that matter."""
    seen: dict[tuple[str, str], int] = defaultdict(int)
    for record in records["usnjrnl"]:
        moment, path = parse_iso(str(record.get("ts") or "")), path_of(record)
        key = (path, str(record.get("reason")))
        seen[key] += 1
        if moment is not None and seen[key] == 1:
            yield Event(
                moment,
                f"{record.get('reason')}: {path}",
                "change journal",
                "Metadata Modification Time",
                notable=not _PREFETCH.search(path),
            )


def _name(path: str) -> str:
    return path.rsplit("\\", 1)[-1]


RULES = (compatibility_cache, change_journal)
