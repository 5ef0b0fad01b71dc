"""Rules on jobs of the Background Intelligent Transfer Service: commands that run when a job ends, transfers from and to strangers.

Sources: ATT&CK T1197; SetNotifyCmdLine and BG_JOB_STATE of the Win32 documentation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from forensic_toolkit.filesystems.entries import Entry
from forensic_toolkit.filesystems.tree import Tree
from forensic_toolkit.readers import bits_jobs
from forensic_toolkit.readers.bits_jobs import Job, Transfer
from forensic_toolkit.readers.coverage import Artifact, Coverage
from forensic_toolkit.results import Event, Finding, Results, Severity
from forensic_toolkit.rules import artifacts
from forensic_toolkit.rules.addresses import is_foreign
from forensic_toolkit.rules.windows_rules import is_tool, why_odd

KIND = "BITS jobs"
FILES = (
    r"/(programdata|documents and settings/all users/application data)/microsoft/network/downloader/qmgr\d?\.(db|dat)"
)
KINDS = (artifacts.Kind(KIND, ("/downloader/qmgr",), FILES, (KIND,), windows=True),)
MAX_QUEUE, MAX_FINDINGS = 256 << 20, 200
_PROGRAM = re.compile(r"\.(exe|dll|sys|ps1|psm1|bat|cmd|vbs|js|hta|scr|msi|com|jar|cpl)$", re.IGNORECASE)
# Who uses BITS on Windows as it comes, and with the programs that most have.
_VENDORS = re.compile(
    r"(^|\.)(microsoft\.com|windowsupdate\.com|windows\.com|live\.com|msftncsi\.com|msedge\.net|office\.com|office\.net|office365\.com|azureedge\.net|msocdn\.com|"
    r"onedrive\.com|visualstudio\.com|google\.com|gvt1\.com|googleapis\.com|mozilla\.org|mozilla\.net|adobe\.com|brave\.com|"
    r"amazontrust\.com|dell\.com|hp\.com|lenovo\.com|intel\.com|nvidia\.com)$",
    re.IGNORECASE,
)


def findings(tree: Tree, *, coverage: Coverage, results: Results) -> Iterator[Finding]:
    """Findings on jobs; every job with a time goes to the events."""
    for entry in tree.entries.matching(re.compile(FILES, re.IGNORECASE).fullmatch, "REG"):
        artifact = coverage.add(Artifact(KIND, entry.path, entry.size))
        if entry.size > MAX_QUEUE:
            artifact.problems.append(f"the first {MAX_QUEUE} of {entry.size} bytes were read")
        queue = bits_jobs.read(entry.read(limit=MAX_QUEUE))
        artifact.lines = len(queue.jobs) + len(queue.files)
        for job in queue.jobs:
            artifact.parsed += 1
            if job.created is not None:
                artifact.understood(job.created)
                artifact.parsed -= 1
            results.events.extend(_events(entry, job))
        artifact.parsed += len(queue.files)
        if queue.unknown:
            artifact.problems.append("it holds transfers, but no job of a known form")
        elif not artifact.lines and entry.seen:
            artifact.bytes = 0  # a queue that was never used
        for number, finding in enumerate(_all(entry, queue)):
            if number >= MAX_FINDINGS:
                results.gap("BITS jobs", f"{entry.path}: more than {MAX_FINDINGS} findings; the rest was left out")
                break
            yield finding


def _events(entry: Entry, job: Job) -> Iterator[Event]:
    said = f"BITS {job.kind} {job.name!r} of {job.owner}"
    where = f": {job.files[0].url} -> {job.files[0].path}" if job.files else ""
    if job.created is not None:
        yield Event(job.created, f"{said} was created{where}", entry.path, "Creation Time", notable=_is_strange(job))
    if job.modified is not None and job.modified != job.created:
        yield Event(job.modified, f"{said}: {job.state}{where}", entry.path, "Metadata Modification Time")


def _is_strange(job: Job) -> bool:
    return bool(job.program) or any(not _VENDORS.search(_host(one.url)) for one in job.files)


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or "" if not url.startswith("\\\\") else url[2:].split("\\", 1)[0]
    except ValueError:
        return ""


def _all(entry: Entry, queue: bits_jobs.Queue) -> Iterator[Finding]:
    for job in queue.jobs:
        if job.program:
            yield _command(entry, job)
        for one in job.files:
            yield from _transfer(entry, one, job=job)
    for one in queue.files:
        yield from _transfer(entry, one, job=None)


def _command(entry: Entry, job: Job) -> Finding:
    why = why_odd(job.command)
    files = "; ".join(f"{one.url} -> {one.path}" for one in job.files[:3])
    return Finding(
        title=f"BITS job that starts a command: {job.name}",
        detail=f"{job.command}{f': {why}' if why else ''}; {job.kind}, {job.state}, of {job.owner}{f'; {files}' if files else ''}",
        severity="high",
        confidence="high" if why else "medium",
        source=entry.path,
        time=job.created,
        technique="T1197",
        data={"job": job.number, "command": job.command[:4000], "state": job.state, "owner": job.owner, "files": files[:4000]},
        kind="BITS job that starts a command",
    )  # fmt: skip


def _transfer(entry: Entry, one: Transfer, *, job: Job | None) -> Iterator[Finding]:
    """A transfer from or to a host that is none of the known vendors; graver by what and where."""
    host, up = _host(one.url), job is not None and job.kind != bits_jobs.TYPES[0]
    if not host or _VENDORS.search(host):
        return
    bare, program = is_foreign(host), bool(_PROGRAM.search(one.path) or _PROGRAM.search(urlsplit(one.url).path))
    why = why_odd(one.path)
    severity: Severity = "low"
    if up or is_tool(one.path.rsplit("\\", 1)[-1]) or (bare and program):
        severity = "high"
    elif bare or (program and why):
        severity = "medium"
    words = [f"{one.url} {'<-' if up else '->'} {one.path}"]
    words += ["a bare public address"] if bare else []
    words += [why] if why else []
    words += [f"job {job.name!r} of {job.owner}, {job.state}"] if job else ["the job itself was not found"]
    yield Finding(
        title=f"BITS {'upload to' if up else 'download from'} {host}",
        detail="; ".join(words),
        severity=severity,
        confidence="medium",
        source=entry.path,
        time=job.created if job else None,
        technique="T1048" if up else "T1105" if bare or program else "T1197",
        data={"url": one.url, "path": one.path, "bytes": one.bytes, "job": job.number if job else None},
        kind=f"BITS {'upload' if up else 'download'} of a stranger",
    )
