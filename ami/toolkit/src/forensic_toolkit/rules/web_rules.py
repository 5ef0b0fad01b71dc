"""Rules on web servers: scripts that execute input from requests, and requests in access logs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from urllib.parse import unquote_plus

from forensic_toolkit.filesystems.entries import Entry
from forensic_toolkit.filesystems.tree import Tree, sha256_of
from forensic_toolkit.readers.coverage import Artifact
from forensic_toolkit.results import Event, Finding

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
_PICTURE = re.compile(r"\.(jpe?g|png|gif|ico|svg|webp|txt|css)$", re.IGNORECASE)
_UPLOADS = re.compile(r"/(uploads?|files?|media|images?|img|tmp|cache|avatars?)/", re.IGNORECASE)
MAX_SCRIPT = 1 << 20

_RUNS = r"(?:system|exec|shell_exec|passthru|popen|proc_open|pcntl_exec|eval|assert|create_function)"
_INPUT = r"\$(?:_(?:GET|POST|REQUEST|COOKIE|SERVER|FILES)|HTTP_RAW_POST_DATA|\{\"_)"
_CONTENT_RULES = (
    ("executes input from a request", re.compile(rf"\b{_RUNS}\s*\([^;]{{0,400}}{_INPUT}", re.IGNORECASE)),
    ("executes input from a request", re.compile(rf"`[^`]{{0,200}}{_INPUT}")),
    ("calls a function named by a request", re.compile(rf"{_INPUT}\s*\[[^\]]{{1,80}}\]\s*\(")),
    (
        "runs hidden code",
        re.compile(
            r"\b(?:eval|assert)\s*\(\s*(?:@?\s*)(?:base64_decode|gzinflate|gzuncompress|str_rot13|hex2bin)",
            re.I,
        ),
    ),
    ("runs hidden code", re.compile(r"preg_replace\s*\(\s*['\"](.).*?\1[a-z]*e[a-z]*['\"]", re.IGNORECASE)),
    (
        "executes input from a request",
        re.compile(r"(?:Runtime\.getRuntime\(\)\.exec|ProcessBuilder)\s*\([^;]{0,300}request\.getParameter", re.I),
    ),
    (
        "executes input from a request",
        re.compile(r"\beval\s*\(\s*Request\b|WScript\.Shell|Process\.Start\([^;]*Request", re.I),
    ),
    (
        "is a known web shell",
        re.compile(r"\b(?:c99shell|r57shell|WSO\s?\d|b374k|weevely|china\s?chopper|FilesMan)\b", re.I),
    ),
)
# A variable carries the input to the call: $c = $_GET["c"]; ... system($c);
_ASSIGNED = re.compile(rf"(\$\w+)\s*=\s*[^;]{{0,100}}{_INPUT}", re.IGNORECASE)

_REQUEST = re.compile(
    r'^(?P<address>\S+) \S+ (?P<user>\S+) \[(?P<time>[^\]]+)\] "(?P<method>[A-Z]+) (?P<target>\S+)[^"]*" '
    r'(?P<status>\d{3}) (?P<size>\S+)(?: "(?P<referer>[^"]*)" "(?P<agent>[^"]*)")?'
)
_ATTACKS = (
    (
        "Command in a request",
        "T1190",
        re.compile(r"[?&=](?:[^&]*;|\||`|\$\()\s*(?:id|cat|wget|curl|uname|whoami|nc|sh|bash)\b"),
    ),
    ("Path out of the web root", "T1190", re.compile(r"\.\./\.\./|/etc/passwd|/proc/self/")),
    ("Lookup injection", "T1190", re.compile(r"\$\{(?:jndi|\$\{)", re.IGNORECASE)),
    (
        "SQL in a request",
        "T1190",
        re.compile(r"union[\s+]+(?:all[\s+]+)?select|'\s*or\s*'?1'?\s*=", re.IGNORECASE),
    ),
    (
        # Paths that scanners request from every web server; last, so that attacks on them are classified as attacks.
        "Vulnerability scan",
        "T1595.002",
        re.compile(
            r"^/(?:\.(?:env|git|svn|aws|ssh|htpasswd)\b|wp-login\.php|wp-config|xmlrpc\.php|phpmyadmin|phpinfo"
            r"|actuator\b|server-status|cgi-bin/|HNAP1|manager/html)",
            re.IGNORECASE,
        ),
    ),
)
LOGS = r"/var/log/(nginx|apache2|httpd|lighttpd|caddy)/.*access.*"


def roots(tree: Tree) -> tuple[str, ...]:
    """Folders that web servers serve: the default ones and those in configuration files."""
    found = dict.fromkeys(root for root in _ROOTS if tree.get(root))
    for entry in tree.files(_CONFIGURATIONS):
        for match in _CONFIGURED.finditer(entry.read(limit=1 << 18).decode("utf-8", "replace")):
            if match[1] != "/":
                found[match[1].rstrip("/")] = None
    return tuple(found)


def what_it_does(content: str) -> str | None:
    """Why a script is considered a web shell, or None."""
    for words, pattern in _CONTENT_RULES:
        if pattern.search(content):
            return words
    for match in _ASSIGNED.finditer(content):
        if re.search(rf"\b{_RUNS}\s*\(\s*@?{re.escape(match[1])}\b", content, re.IGNORECASE):
            return "executes input from a request"
    return None


def web_shells(tree: Tree) -> dict[str, Finding]:
    """Web shells by path."""
    served = roots(tree)
    found: dict[str, Finding] = {}
    applications = {entry.path for entry in tree.files(_WEB_APPLICATIONS)}
    for entry in tree.entries:
        inside = entry.path in applications or entry.path.startswith(tuple(f"{root}/" for root in served))
        if not (inside and entry.is_file and 0 < entry.size <= MAX_SCRIPT):
            continue
        picture = bool(_PICTURE.search(entry.path))
        if not picture and not _SCRIPT.search(entry.path):
            continue
        content = entry.read(limit=MAX_SCRIPT).decode("latin-1")
        if picture and "<?php" not in content:
            continue
        why = what_it_does(content) or ("is PHP code in a file with another extension" if picture else None)
        if why:
            found[entry.path] = _shell(entry, why=why, content=content, tree=tree)
    return found


def _shell(entry: Entry, *, why: str, content: str, tree: Tree) -> Finding:
    strong = tree.is_foreign(entry) or bool(_UPLOADS.search(entry.path)) or entry.size < 4096
    return Finding(
        title=f"Web shell: {entry.path}",
        detail=f"the script {why}; {tree.origin(entry)}; content: {content[:300]}",
        severity="critical" if strong else "high",
        confidence="high" if strong else "medium",
        source=entry.path,
        time=entry.born(),
        technique="T1505.003",
        data={**entry.facts(), "sha256": sha256_of(entry), "why": why},
    )


def requests(text: str, *, artifact: Artifact, shells: Mapping[str, str]) -> Iterator[Event | Finding]:
    """Requests as events, those to web shells and attacks as findings.

    ``shells`` maps the path of a URL to the file that answers it; ``artifact`` counts parsed lines.
    """
    source = artifact.path
    for line in text.splitlines():
        artifact.lines += bool(line.strip("\0 "))
        match = _REQUEST.match(line)
        time = _time(match["time"]) if match else None
        if match is None or time is None:
            continue
        artifact.understood(time)
        target = match["target"]
        what = f"{match['address']} {match['method']} {target} {match['status']}"
        shell = shells.get(target.split("?", 1)[0])
        attack = next((rule for rule in _ATTACKS if rule[2].search(unquote_plus(target))), None)
        extra = {"address": match["address"], "agent": match["agent"], "status": int(match["status"])}
        yield Event(time, f"Request: {what}", source, "Log Time", notable=bool(shell or attack), extra=extra)
        if shell:
            served = match["status"].startswith(("2", "3"))
            yield Finding(
                title=f"Web shell used from {match['address']}",
                detail=f"{line}; {target} is {shell}",
                severity="critical" if served else "medium",
                confidence="high" if served else "low",
                source=source,
                time=time,
                technique="T1505.003",
                data={**extra, "path": shell, "request": f"{match['method']} {target}"},
            )
        elif attack:
            yield Finding(
                title=f"{attack[0]} from {match['address']}",
                detail=line,
                severity="medium" if match["status"].startswith("2") else "low",
                confidence="medium",
                source=source,
                time=time,
                technique=attack[1],
                data={**extra, "request": f"{match['method']} {target}"},
            )


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


def _time(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%d/%b/%Y:%H:%M:%S %z").astimezone(UTC)
    except ValueError:
        return None
