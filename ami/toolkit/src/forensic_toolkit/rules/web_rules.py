"""Rules on web servers: scripts that execute input from requests, and requests in access logs."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from forensic_toolkit.filesystems.entries import Entry
from forensic_toolkit.filesystems.tree import Tree, sha256_of
from forensic_toolkit.readers import web_logs
from forensic_toolkit.readers.coverage import Artifact
from forensic_toolkit.results import Event, Finding, Severity
from forensic_toolkit.rules.web_attacks import ONLY_HEADERS, Attack, suspicious
from forensic_toolkit.rules.web_scans import REFUSED, WordLists
from forensic_toolkit.rules.web_shell_code import what_it_does

_ROOTS = (
    "/var/www",
    "/srv/www",
    "/srv/http",
    "/usr/share/nginx/html",
    "/usr/local/apache2/htdocs",
    "/opt/lampp/htdocs",
)
_CONFIGURED = re.compile(r"^\s*(?:root|DocumentRoot)\s+\"?(/[^\s;\"]+)", re.MULTILINE)
_CONFIGURATIONS = r"/etc/(nginx|apache2|httpd|lighttpd)/.+"
_WEB_APPLICATIONS = r"(/var/lib/tomcat\d*|/opt/tomcat\d*|/usr/share/tomcat\d*)/webapps/.+\.jspx?"
_SCRIPT = re.compile(r"\.(php\d?|phtml|phar|inc|jspx?|aspx?|ashx|cgi|pl|py|rb|sh|s?html?)$", re.IGNORECASE)
_PAGE = re.compile(r"\.s?html?$", re.IGNORECASE)
_PICTURE = re.compile(r"\.(jpe?g|png|gif|ico|svg|webp|txt|css)$", re.IGNORECASE)
# A text may show code; one that is code begins with it.
_TEXT = re.compile(r"\.(txt|css)$", re.IGNORECASE)
_UPLOADS = re.compile(r"/(uploads?|files?|media|images?|img|tmp|cache|avatars?)/", re.IGNORECASE)
MAX_SCRIPT = 8 << 20
# Of pictures, texts and style sheets that are larger these many bytes at each end are looked at: a site has thousands of photographs.
MAX_PICTURE, PICTURE_END = 1 << 20, 64 << 10

LOGS = r"/var/log/(nginx|apache2|httpd|lighttpd|caddy)/.*access.*"


def roots(tree: Tree) -> tuple[str, ...]:
    """Folders that web servers serve: the default ones and those in configuration files."""
    found = dict.fromkeys(root for root in _ROOTS if tree.get(root))
    for entry in tree.files(_CONFIGURATIONS):
        for match in _CONFIGURED.finditer(entry.read(limit=1 << 18).decode("utf-8", "replace")):
            if match[1] != "/":
                found[match[1].rstrip("/")] = None
    return tuple(found)


def web_shells(tree: Tree) -> dict[str, Finding]:
    """Web shells by path."""
    found: dict[str, Finding] = {}
    for entry in _served(tree):
        picture = bool(_PICTURE.search(entry.path))
        if entry.size == 0 or (not picture and not _SCRIPT.search(entry.path)):
            continue
        content = _content(entry, picture=picture)
        if picture and "<?php" not in content:
            continue
        if _PAGE.search(entry.path) and not any(mark in content for mark in ("<?php", "<?=", "<%")):
            continue
        shows = bool(_TEXT.search(entry.path)) and not content.lstrip("\ufeffï»¿ \r\n\t").startswith("<?")
        why = what_it_does(content) or (
            "is PHP code in a file with another extension" if picture and not shows else None
        )
        if why:
            found[entry.path] = _shell(entry, why=why, content=content, tree=tree)
    return found


def too_large(tree: Tree) -> Iterator[Finding]:
    """Scripts that are too large to be judged whole."""
    for entry in _served(tree):
        if entry.size > MAX_SCRIPT and _SCRIPT.search(entry.path):
            yield _too_large(entry, tree=tree)


def _served(tree: Tree) -> Iterator[Entry]:
    """Every file below what a web server serves."""
    application, below = re.compile(_WEB_APPLICATIONS), tuple(f"{root}/" for root in roots(tree))
    yield from tree.entries.matching(lambda path: path.startswith(below) or application.fullmatch(path), "REG")


def _content(entry: Entry, *, picture: bool) -> str:
    """What is judged of a file: all of it, or beginning and end of one that is larger than any script."""
    if entry.size <= (MAX_PICTURE if picture else MAX_SCRIPT):
        return entry.read(limit=MAX_SCRIPT).decode("latin-1")
    part = PICTURE_END if picture else MAX_SCRIPT // 2
    ends = entry.read(limit=part), entry.read(limit=part, offset=entry.size - part)
    return "\n".join(end.decode("latin-1") for end in ends)


def _too_large(entry: Entry, *, tree: Tree) -> Finding:
    """No script of a person is so large; padding would hide what is in its middle."""
    return Finding(
        title=f"Script too large to be judged whole: {entry.path}",
        detail=f"{entry.size} bytes, of which the first and the last {MAX_SCRIPT // 2} were read; {tree.origin(entry)}",
        severity="low" if _PAGE.search(entry.path) else "medium",
        confidence="low",
        source=entry.path,
        time=entry.born(),
        technique="T1027.001",
        data=entry.facts(),
    )


def _shell(entry: Entry, *, why: str, content: str, tree: Tree) -> Finding:
    strong = tree.is_foreign(entry) or bool(_UPLOADS.search(entry.path)) or entry.size < 4096
    severity: Severity = "critical" if strong else "high"
    known = ""
    if tree.is_as_packaged(entry):
        # It is said all the same: what the package manager knows stands on the same disk.
        severity, known = "info", "it is what its package brought, by the package manager's digest; "
    return Finding(
        title=f"Web shell: {entry.path}",
        detail=f"the script {why}; {known}{tree.origin(entry)}; content: {content[:300]}",
        severity=severity,
        confidence="low" if known else "high" if strong else "medium",
        source=entry.path,
        time=entry.born(),
        technique="T1505.003",
        data={**entry.facts(), "sha256": sha256_of(entry), "why": why},
    )


class Reading:
    """The requests of one log as they pass by, newest first: attacks and requests to web shells as findings, requests as events.

    ``shells`` maps the path of a URL to the file that answers it. ``artifact`` counts parsed lines. Of more requests than ``most`` only
    the notable ones become events. A log may have millions of lines: what is the same for all is worked out once, and of a line that
    says nothing no more is made than its time.
    """

    def __init__(self, *, artifact: Artifact, shells: Mapping[str, str], most: int | None = None) -> None:
        self._artifact, self._shells = artifact, shells
        self._most = sys.maxsize if most is None else most
        self._lists, self._clock = WordLists(artifact.path), web_logs.Clock()

    def of(self, lines: Iterable[str]) -> Iterator[Event | Finding]:
        """Events and findings of lines; at the end what can be said of all of them."""
        artifact, seconds, parse = self._artifact, self._clock.seconds, web_logs.parts
        first, last = sys.float_info.max, -sys.float_info.max
        try:
            for line in lines:
                found = parse(line)
                when = seconds(found[2]) if found is not None else None
                if found is None or when is None:
                    yield from self._other_form(line)
                    continue
                artifact.lines += 1
                artifact.parsed += 1
                first, last = min(first, when), max(last, when)
                _, user, _, _, target, status, referer, agent = found
                attack = suspicious(target, referer or "", agent or "", user)
                shell = bool(self._shells) and target.split("?", 1)[0] in self._shells
                if attack or shell or status in REFUSED or artifact.parsed <= self._most:
                    yield from self._said(web_logs.request_of(found, datetime.fromtimestamp(when, UTC)), line, attack)
        finally:
            if first <= last:
                times = (datetime.fromtimestamp(first, UTC), datetime.fromtimestamp(last, UTC))
                artifact.first = min(filter(None, (artifact.first, times[0])))
                artifact.last = max(filter(None, (artifact.last, times[1])))
        yield from self._lists.findings()

    def _other_form(self, line: str) -> Iterator[Event | Finding]:
        self._artifact.lines += bool(line.strip("\0 \r"))
        request = web_logs.parse(line)
        if request is not None:
            self._artifact.understood(request.time)
            attack = suspicious(request.target, request.referer, request.agent, request.user)
            yield from self._said(request, line, attack)

    def _said(self, request: web_logs.Request, line: str, attack: Attack | None) -> Iterator[Event | Finding]:
        target, status, source = request.target, request.status, self._artifact.path
        self._lists.seen(request.address, target=target, status=status, agent=request.agent, time=request.time)
        shell = self._shells.get(target.split("?", 1)[0])
        extra = {"address": request.address, "agent": request.agent, "status": status}
        if shell or attack or self._artifact.parsed <= self._most:
            what = f"Request: {request.address} {request.method} {target} {status}"
            yield Event(request.time, what, source, "Log Time", notable=bool(shell or attack), extra=extra)
        if shell:
            yield _used(request, line, shell, extra=extra, source=source)
        elif attack:
            yield Finding(
                title=f"{attack[0]} from {request.address}",
                detail=line,
                # Scanners of the whole internet ask every public server for its first page.
                severity="medium" if 200 <= status < 300 and attack[0] not in ONLY_HEADERS else "low",
                confidence="medium",
                source=source,
                time=request.time,
                technique=attack[1],
                data={**extra, "request": f"{request.method} {target}"},
                kind=attack[0],
                # Whoever scans, tries a hundred paths: one finding for each address.
                fold=f"{attack[0]} {request.address}",
            )


def _used(request: web_logs.Request, line: str, shell: str, *, extra: dict[str, Any], source: str) -> Finding:
    """A request to a web shell."""
    served = 200 <= request.status < 400
    return Finding(
        title=f"Web shell used from {request.address}",
        detail=f"{line}; {request.target} is {shell}",
        severity="critical" if served else "medium",
        confidence="high" if served else "low",
        source=source,
        time=request.time,
        technique="T1505.003",
        data={**extra, "path": shell, "request": f"{request.method} {request.target}"},
        kind="Web shell used",
        # the timeline has each request; the finding its number, and the newest of them
        fold=f"{shell} {request.address} {served}",
    )


def requests(
    lines: Iterable[str], *, artifact: Artifact, shells: Mapping[str, str], most: int | None = None
) -> Iterator[Event | Finding]:
    """Requests as events, those to web shells and attacks as findings (:class:`Reading`)."""
    yield from Reading(artifact=artifact, shells=shells, most=most).of(lines)


def urls_of(paths: list[str], *, served: tuple[str, ...]) -> dict[str, str]:
    """URL paths of files below web roots, mapped to the files."""
    urls: dict[str, str] = {}
    for path in paths:
        for root in sorted(served, key=len):
            # /var/www/html is the usual root, even if only /var/www was found.
            for prefix in (f"{root}/html", root):
                if path.startswith(f"{prefix}/"):
                    urls[path[len(prefix) :]] = path
    return urls
