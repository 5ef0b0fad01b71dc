"""Attacks in what clients of a web server send, looked for in every line of logs that may have millions of them.

A target is searched by the rules when it holds a sign that plain targets do not have, or one of the words without which no rule matches a
plain target; headers repeat, so that what was said of one is remembered.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from forensic_toolkit.readers.web_logs import decoded

Attack = tuple[str, str, re.Pattern[str]]
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
            r"union[\s+/*]+(?:all[\s+/*]+)?select|['\"]\s*(?:or|and)\s*['\"(]?\w{1,20}['\")]?\s*(?:=|like\b)|\b(?:or|and)\s+\(?(\d{1,9})\s*=\s*\1\b"
            r"|\b(?:sleep|benchmark|pg_sleep|waitfor\s+delay)\s*\(?'?\d|information_schema\.|;\s*drop\s+table|xp_cmdshell"
            r"|\b(?:extractvalue|updatexml|load_file|group_concat)\s*\(|\(\s*select\b[^&]{0,200}\bfrom\b|\border\s+by\s+\d+\s*(?:--|#|/\*)"
            r"|\bcase\s+when\b[^&]{1,80}\bthen\b|\binto\s+(?:out|dump)file\b",
            re.I,
        ),
    ),
    (
        "Code in a request",
        "T1190",
        re.compile(
            r"[;'\"{(@]\s*@?(?:print|echo|printf|phpinfo|system|exec|shell_exec|passthru|eval|assert|die)\s*\(\s*(?:md5|base64_decode|chr|\d|['\"$)])"
            r"|<\?(?:php\b|=)|<%=?\s*\d+\s*\*|[$#]\{\s*\d+\s*\*\s*\d+\s*\}|\bbase64_decode\s*\(",
            re.I,
        ),
    ),
    (
        "Script in a request",
        "T1059.007",
        re.compile(
            r"<\s*/?\s*script\b|<\s*[a-z]{1,12}\b[^<]{0,200}?[\s/\"']on[a-z]{3,20}\s*=|[\"'=]\s*javascript:[^&]{0,80}\(|[\"'/\s]on(?:error|load|mouseover|focus)\s*=[^&]{0,80}\(",
            re.I,
        ),
    ),
    (
        "File of another server named in a request",
        "T1190",
        re.compile(r"=\s*(?:https?|ftp)://[^&\s?]{1,300}\.(?:txt|php\d?|inc|log|dat|gif|jpe?g)\?+(?:&|$)", re.I),
    ),
    (
        "Header in a request",
        "T1190",
        re.compile(r"[\r\n]\s*(?:set-cookie|location|content-(?:type|length)|x-[a-z-]{1,40})\s*:", re.I),
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
    # Tools that say who they are (their documentation of the agent they send).
    (
        "Vulnerability scanner by its own name",
        "T1595.002",
        re.compile(
            r"\b(?:w3af|sqlmap|nikto|acunetix|netsparker|invicti|nessus|openvas|nuclei|wpscan|joomscan|arachni|skipfish|havij|commix|fimap|zmeu|morfeus|"
            r"jaeles|whatweb|wapiti|vega/|burp ?suite|owasp ?zap|nmap scripting engine|masscan|zgrab|l9explore|gobuster|dirbuster|feroxbuster|ffuf|wfuzz|"
            r"dirsearch|hydra|metasploit|qualys|paros)",
            re.I,
        ),
    ),
)
ONLY_HEADERS = frozenset({"Vulnerability scanner by its own name"})
_IN_HEADERS = ONLY_HEADERS | {
    "Lookup injection", "Shell function in a header", "Command in a request", "SQL in a request", "Code in a request", "Script in a request",
}  # fmt: skip

# Signs that plain targets do not have; two dots and what is quoted or encoded count as such.
_SIGN = re.compile(r"[^A-Za-z0-9/._,:=?&~@+-]|\.\.")
# Without one of these no rule matches a target of plain signs (a test compares).
PLAIN_WORDS = (
    "169.254.", "fd00:ec2", "metadata.google", "0xa9fea9fe", "2852039166", "&wget", "&curl", "&bash", "&sh+", "&nc+", "&chmod", "&busybox",
    "cmd=", "phpunit", "eval-stdin", "invokefunction", "call_user_func", "_ignition", "class.module", "ognl.", "/wls-wsat", "/_async/",
    "allow_url_include", "auto_prepend_file", "/solr/", "/manager/", "/hnap1", "/boaform", "/gponform", "setup.cgi", "autodiscover",
    "/owa/auth", "/tmui/", "/dana-na/", "/remote/fgt_lang", "actuator", "/api/jsonws", "/druid/index", "cgi-bin/", "/plugins/servlet",
    "/rest/tinymce", "createpage", "/etc/passwd", "/etc/shadow", "/proc/self/", "://", "union", "sleep", "benchmark", "waitfor",
    "information_schema", "extractvalue", "xp_cmdshell", "/.", "wp-login.php", "wp-config", "xmlrpc.php", "phpmyadmin", "phpinfo",
    "server-status", "+or+", "+and+", "outfile", "dumpfile",
)  # fmt: skip


def suspicious(target: str, *headers: str) -> Attack | None:
    """The first kind of attack, in the order of the rules, in what a client sent; scans are known by the target alone."""
    found = of_target(target) if _SIGN.search(target) or _has_word(target.lower()) else None
    for text in headers:
        if text and text != "-" and (other := of_header(text)) is not None:
            # Scans are the last of the rules: an attack in a header says more.
            found = other if found is None else min(found, other, key=_ATTACKS.index)
    return found


@lru_cache(maxsize=16_384)
def of_target(target: str) -> Attack | None:
    """The first rule that matches a target, decoded as often as it was encoded."""
    text = decoded(target)
    return next((rule for rule in _ATTACKS if rule[0] not in ONLY_HEADERS and rule[2].search(text)), None)


@lru_cache(maxsize=65_536)
def of_header(text: str) -> Attack | None:
    """The first rule for headers that matches one."""
    text = decoded(text)
    return next((rule for rule in _ATTACKS if rule[0] in _IN_HEADERS and rule[2].search(text)), None)


def _words() -> Any:
    try:
        from ahocorasick_rs import AhoCorasick
    except ImportError:  # the same answers at a third of the speed
        found = re.compile("|".join(map(re.escape, PLAIN_WORDS)))
        return lambda text: found.search(text) is not None
    search = AhoCorasick(PLAIN_WORDS).find_matches_as_indexes
    return lambda text: bool(search(text))


_has_word = _words()
