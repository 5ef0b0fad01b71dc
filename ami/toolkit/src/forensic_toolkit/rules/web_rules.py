"""Rules on web servers: scripts that execute input from requests, and requests in access logs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from forensic_toolkit.filesystems.entries import Entry
from forensic_toolkit.filesystems.tree import Tree, sha256_of
from forensic_toolkit.readers import web_logs
from forensic_toolkit.readers.coverage import Artifact
from forensic_toolkit.results import Event, Finding
from forensic_toolkit.rules.web_scans import WordLists

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
    # The name of a function is decoded or put together, and called.
    (
        "calls a function whose name it decodes",
        re.compile(
            r"(\$\w+)\s*=\s*@?(?:base64_decode|str_rot13|strrev|hex2bin|gzinflate|pack|implode|chr)\s*\([^;]{0,400};[^?]{0,2000}?\1\s*\(\s*[@$]",
            re.I | re.S,
        ),
    ),
    (
        "calls a function named by a request",
        re.compile(
            rf"\b(?:call_user_func(?:_array)?|array_map|array_filter|usort|register_shutdown_function)\s*\([^;]{{0,80}}{_INPUT}",
            re.I,
        ),
    ),
    (
        "includes a file named by a request",
        re.compile(r"\b(?:include|require)(?:_once)?\s*\(?\s*@?\$_(?:GET|POST|REQUEST|COOKIE)\b", re.I),
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

# Searched in what the client sent: target, referer, agent and user, decoded as often as they were encoded.
_ATTACKS = (
    (
        "Lookup injection",
        "T1190",
        re.compile(r"\$\{[^}]{0,80}(?:jndi|\$\{)|\$\{(?:lower|upper|env|sys|java|date|:|::-)", re.I),
    ),
    ("Shell function in a header", "T1190", re.compile(r"\(\s*\)\s*\{\s*[^}]{0,40};?\s*\}\s*;")),
    (
        "Metadata service asked for through a request",
        "T1552.005",
        re.compile(
            r"169\.254\.(?:169\.254|170\.2)|\[?fd00:ec2::254|metadata\.google\.internal|0xa9fea9fe|2852039166", re.I
        ),
    ),
    (
        "Command in a request",
        "T1190",
        re.compile(
            r"[?&=](?:[^&]*;|\||`|\$\()\s*(?:id|cat|wget|curl|uname|whoami|nc|sh|bash)\b"
            r"|[;|&`]\s*(?:wget|curl|bash|sh|nc|chmod|busybox)\s+\S|\bcmd=[^&]*(?:wget|curl|/bin/|whoami)",
            re.I,
        ),
    ),
    (
        "Exploit of a known weakness",
        "T1190",
        re.compile(
            r"phpunit.{0,80}eval-stdin\.php|invokefunction&function|think\\app|call_user_func_array&vars|_ignition/execute-solution"
            r"|class\.module\.classLoader|%\{\(?#|#_memberAccess|ognl\.|/wls-wsat/|/_async/AsyncResponseService|/cgi-bin/luci/;stok="
            r"|allow_url_include|auto_prepend_file|/vendor/phpunit|/solr/\S*/(?:config|dataimport)|/manager/text/deploy|/HNAP1|/boaform/"
            r"|/GponForm/|/setup\.cgi\?next_file|/autodiscover/autodiscover\.json|/owa/auth/\S*\.(?:js|aspx)\?|/mifs/\.;/|/vpns?/\.\./"
            r"|/tmui/login\.jsp/\.\.;|/dana-na/\S*\.\./|/remote/fgt_lang|/actuator/(?:gateway|env|heapdump)|/api/jsonws|T\(java\.lang\.Runtime"
            r"|\{\{\s*\d+\s*\*\s*\d+\s*\}\}|/druid/index|/\.%2e/|/cgi-bin/\S*\.\./|/plugins/servlet|/rest/tinymce|/pages/\S*createpage",
            re.I,
        ),
    ),
    (
        "Path out of the web root",
        "T1190",
        re.compile(r"\.\.[/\\]\.\.[/\\]|/etc/(?:passwd|shadow)|/proc/self/|(?:php|file|expect|phar)://", re.I),
    ),
    (
        "SQL in a request",
        "T1190",
        re.compile(
            r"union[\s+/*]+(?:all[\s+/*]+)?select|'\s*or\s*'?1'?\s*=|\b(?:sleep|benchmark|pg_sleep|waitfor\s+delay)\s*\(?'?\d"
            r"|information_schema\.|;\s*drop\s+table|extractvalue\s*\(|xp_cmdshell",
            re.I,
        ),
    ),
    (
        # Paths that scanners request from every web server; last, so that attacks on them are classified as attacks.
        "Vulnerability scan",
        "T1595.002",
        re.compile(
            r"^/(?:\.(?:env|git|svn|aws|ssh|htpasswd)\b|wp-login\.php|wp-config|xmlrpc\.php|phpmyadmin|phpinfo"
            r"|actuator\b|server-status|cgi-bin/|manager/html)",
            re.IGNORECASE,
        ),
    ),
)
_IN_HEADERS = frozenset({"Lookup injection", "Shell function in a header", "Command in a request", "SQL in a request"})
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


def requests(lines: Iterable[str], *, artifact: Artifact, shells: Mapping[str, str]) -> Iterator[Event | Finding]:
    """Requests as events, those to web shells and attacks as findings.

    ``shells`` maps the path of a URL to the file that answers it; ``artifact`` counts parsed lines.
    """
    source, lists = artifact.path, WordLists(artifact.path)
    for line in lines:
        artifact.lines += bool(line.strip("\0 \r"))
        request = web_logs.parse(line)
        if request is None:
            continue
        time, target, status = request.time, request.target, request.status
        artifact.understood(time)
        lists.seen(request.address, target=target, status=status, agent=request.agent, time=time)
        shell = shells.get(target.split("?", 1)[0])
        attack = _attack(request)
        extra = {"address": request.address, "agent": request.agent, "status": status}
        what = f"Request: {request.address} {request.method} {target} {status}"
        yield Event(time, what, source, "Log Time", notable=bool(shell or attack), extra=extra)
        if shell:
            served = 200 <= status < 400
            yield Finding(
                title=f"Web shell used from {request.address}",
                detail=f"{line}; {target} is {shell}",
                severity="critical" if served else "medium",
                confidence="high" if served else "low",
                source=source,
                time=time,
                technique="T1505.003",
                data={**extra, "path": shell, "request": f"{request.method} {target}"},
                kind="Web shell used",
                fold=f"{shell} {request.address}" if not served else None,
            )
        elif attack:
            yield Finding(
                title=f"{attack[0]} from {request.address}",
                detail=line,
                severity="medium" if 200 <= status < 300 else "low",
                confidence="medium",
                source=source,
                time=time,
                technique=attack[1],
                data={**extra, "request": f"{request.method} {target}"},
                kind=attack[0],
                # Whoever scans, tries a hundred paths: one finding for each address.
                fold=f"{attack[0]} {request.address}",
            )
    yield from lists.findings()


def _attack(request: web_logs.Request) -> tuple[str, str, re.Pattern[str]] | None:
    """The first kind of attack in anything that the client sent; scans are known by the path alone."""
    target, *others = request.texts()
    for rule in _ATTACKS:
        if rule[2].search(target) or (rule[0] in _IN_HEADERS and any(map(rule[2].search, others))):
            return rule
    return None


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
