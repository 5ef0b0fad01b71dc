"""What a script on a web server does, by its code: whether input of a request becomes a command, code, or a file. Pure.

No parser of PHP, but more than words: variables that hold input are followed through assignments, and functions that hand their argument to
a shell count like a shell. Comments are read like code: where one ends, an intruder can choose. Held against public collections of web shells and against well-known applications.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_I, _S = re.IGNORECASE, re.DOTALL
# ---------------------------------------------------------------------- PHP: where input comes from, where it must not go
_COMMANDS = r"(?:system|exec|shell_exec|passthru|popen|proc_open|pcntl_exec|win_shell_execute|expect_popen)"
_CODE = r"(?:eval|assert|create_function)"
# no method, no property, no definition of that name
_CALL = r"(?<![>:.$\\\w])(?<!function )@?\\?"
_SERVER = r"\$_SERVER\s*\[\s*['\"]?(?:HTTP_|QUERY_STRING|REQUEST_URI|PHP_AUTH|PATH_INFO|REMOTE_USER)"
_INPUT = (
    r"(?:\$_(?:GET|POST|REQUEST|COOKIE|FILES)\b|\$(?:GLOBALS\s*\[\s*['\"])?_?HTTP_(?:GET|POST|COOKIE|RAW_POST)_(?:VARS|DATA)\b|"
    + _SERVER
    + r"|\$\{\s*['\"]_|php://input|getallheaders\s*\(|apache_request_headers\s*\(|getenv\s*\(\s*['\"](?:HTTP_|QUERY_STRING)|filter_input\s*\(\s*INPUT_)"
)
_ASSIGNED = re.compile(r"(\$\w+)\s*(?:\[[^\]]{0,80}\])?\s*\.?=(?![=>])([^;]{0,600});", _S)
_EACH = re.compile(r"foreach\s*\(\s*([^)]{0,200}?)\s+as\s+(?:&?(\$\w+)\s*=>\s*)?&?(\$\w+)", _I)
_FUNCTION = re.compile(r"function\s+(\w+)\s*\(([^)]{0,200})\)\s*\{(.{0,1500}?)\n?\}", _I | _S)
_TEMPLATE = re.compile(r"\s*['\"]\\?\$\w+\s*\.?=\s*\\?['\"]")
_HARMLESS = re.compile(
    r"escapeshell(?:arg|cmd)\s*\(|\(\s*int\s*\)|\bintval\s*\(|\bcount\s*\(|\bisset\s*\(|\bempty\s*\(|\bin_array\s*\(",
    _I,
)
_VARIABLES = re.compile(r"extract\s*\(\s*\$_|import_request_variables\s*\(|parse_str\s*\([^;]{0,80}" + _SERVER, _I)
_SHELL_OUT = re.compile(r"fsockopen|stream_socket_client|socket_connect|socket_create", _I)
_SHELL = re.compile(r"(?:proc_open|popen|exec|system|passthru)\s*\(.{0,300}|/bin/(?:ba)?sh|cmd\.exe", _I | _S)
_DECODES = r"(?:base64_decode|gzinflate|gzuncompress|gzdecode|str_rot13|strrev|hex2bin|convert_uudecode|rawurldecode|urldecode|pack|implode|chr|openssl_decrypt)"
_HIDDEN = (
    re.compile(rf"{_CALL}{_CODE}\s*\(\s*(?:@?\s*\(?\s*)(?:\"\\?\?>\"\s*\.\s*)?@?{_DECODES}\s*\(", _I),
    # the /e modifier of PHP 5 runs the replacement: with a call, or with what is no text of the program, as code
    re.compile(r"preg_replace\s*\(\s*(['\"])(.)[^\n]{0,300}?\2[imsxuADSUX]*e[imsxuADSUX]*\1\s*,\s*(?:['\"][^\n]{0,80}?(?:eval|assert|system|exec|passthru|base64)|\$|@?\w+\s*\()", _I),
    re.compile(r"\\x65\\x76\\x61\\x6c|\\145\\166\\141\\154|ev['\"]\s*\.\s*['\"]al|as['\"]\s*\.\s*['\"]sert|base['\"]?\s*\.\s*['\"]?64_|str_replace\s*\(\s*['\"][^'\"]{1,8}['\"]\s*,\s*['\"]{2}\s*,\s*['\"][^'\"]*c\w*r\w*e\w*a\w*t\w*e", _I),
)  # fmt: skip
_NAMED = re.compile(
    rf"(\$\w+)\s*=\s*@?(?:{_DECODES}|str_replace)\s*\([^;]{{0,600}};[^?]{{0,4000}}?(?<![\w>:])\1\s*\(\s*[@$'\"]",
    _I | _S,
)
_EVALUATED = re.compile(rf"{_CALL}{_CODE}\s*\(\s*@?(\$\w+)", _I)
_LONG_TEXT = re.compile(
    r"['\"][A-Za-z0-9+/=\s]{1500,}['\"]|(?:\\x[0-9a-f]{2}){40,}|(?:chr\s*\(\s*\d+\s*\)\s*\.\s*){12,}", _I
)
_BY_NAME = re.compile(
    rf"{_INPUT}\s*\[[^\]]{{1,80}}\]\s*\(|\$\{{[^}}]{{1,120}}\}}\s*\[[^\]]{{1,80}}\]\s*\(\s*\$|"
    rf"\b(?:call_user_func(?:_array)?|array_map|array_filter|array_walk|usort|uasort|register_shutdown_function|ob_start|preg_replace_callback|iterator_apply)\s*\([^;]{{0,80}}{_INPUT}",
    _I,
)
_INCLUDED = re.compile(r"\b(?:include|require)(?:_once)?\s*\(?\s*[@\"']?\s*\$_(?:GET|POST|REQUEST|COOKIE)\b", _I)
_UPLOADED = re.compile(
    r"(?:move_uploaded_file|copy)\s*\(\s*@?\$(?:_FILES|HTTP_POST_FILES)[^;]{0,200}(?:['\"]name['\"]|_POST|_GET|_REQUEST)",
    _I | _S,
)
_WRITTEN = re.compile(rf"(?:file_put_contents|fwrite|fputs)\s*\(\s*[^;]{{0,160}}{_INPUT}[^;]{{0,160}}{_INPUT}", _I)
# What consoles for files and commands show; each alone is in many an honest page.
_CONSOLE = tuple(
    re.compile(word, _I)
    for word in (
        r"safe_?mode", r"disable_functions", r"php_uname\s*\(|\buname -a", r"/etc/passwd", r"posix_getpwuid|posix_getgrgid", r"disk_(?:free|total)_space",
        r"fileperms\s*\(|perms", r"open_basedir", r"getmyuid|get_current_user|\bwhoami\b", r"\bbind(?:shell|port|_port)?\b|back ?connect|backconnect|reverse shell",
        r"\bchmod\s*\(", r"shell_exec|passthru|proc_open", r"\bmysql_(?:connect|dump)|mysqldump", r"<textarea", r"name=['\"]?cmd\b|\bcmd\b", r"\b(?:hacked|defac|h4ck|0wned|exploit|rootshell|r00t)",
    )
)  # fmt: skip
_CONSOLE_FROM = 8
_KNOWN = re.compile(
    r"\b(?:c99(?:shell|madshell|sh)|r57(?:shell)?\b|WSO\s?\d\.\d|b374k|weevely|china\s?chopper|FilesMan|indoxploit|alfa\s?(?:team|shell)|AnonymousFox|"
    r"phpspy|locus7s|SimAttacker|Mini Shell|PHPJackal|NCC Shell|web ?shell by|KA_uShell|nstview|PHP Backdoor)",
    _I,
)
# ---------------------------------------------------------------------- other languages
_OTHER = (
    ("executes input from a request", r"(?:Runtime\.getRuntime\(\)\s*\.\s*exec|ProcessBuilder)\s*\([^;]{0,300}request\.getParameter"),
    ("executes input from a request", r"\b(?:eval|execute(?:global)?)\s*\(?\s*\(?\s*Request\b|\bEval\s*\(\s*Request\.Item|Process(?:StartInfo)?\s*\.?\s*(?:Start)?\([^;]{0,200}Request"),
    ("starts programs of the server", r"WScript\.Shell|Shell\.Application|ProcessStartInfo\b.{0,2000}cmd\.exe|new\s+Process\(\).{0,600}(?:cmd|StandardOutput)"),
    ("loads code from a request", r"(?:defineClass|loadClass|newInstance)\b.{0,600}(?:getParameter|getReader|getInputStream|session)|Assembly\.Load\s*\([^;]{0,200}Request"),
    ("executes input from a request", r"(?:system|exec|open|qx)\b[^;\n]{0,120}(?:param\s*\(|\$ENV\{['\"]?QUERY_STRING|\$in\{|\$FORM)|`\s*\$(?:in|FORM|cmd|command|RunCommand)|os\.(?:system|popen)\s*\([^\n]{0,120}(?:form|getvalue|environ)|subprocess\.\w+\s*\([^\n]{0,120}(?:getvalue|form\[)"),
)  # fmt: skip
_PATTERNS = tuple((words, re.compile(pattern, _I | _S)) for words, pattern in _OTHER)
_JAVA = re.compile(r"getRuntime|defineClass|ProcessBuilder|UNIXProcess|ProcessImpl|ScriptEngineManager", _I)
_JAVA_WRITES = re.compile(r"FileOutputStream|FileWriter|RandomAccessFile|PrintWriter\s*\(\s*new\s+File", _I)
_JAVA_INPUT = re.compile(r"request\s*\.\s*get(?:Parameter|Reader|InputStream|Header|QueryString)|\$\{?param\.", _I)
_ASP_INPUT = re.compile(r"\brequest\b(?:\s*\.\s*\w+)?\s*[(\[]", _I)
_ASP_RUNS = re.compile(
    r"\b(?:eval|execute(?:global|statement)?)\b\s*[( ]\s*(?!non|scalar)[^\n]{0,200}|msscriptcontrol|CreateObject\s*\([^)]{0,60}(?:shell|ws\W*cript)",
    _I,
)
_ASP_FILES = re.compile(
    r"Scripting\.FileSystemObject|Adodb\.Stream|File\.(?:WriteAll|Create|Delete|Open)|StreamWriter|\.SaveAs\s*\(|SaveToFile",
    _I,
)
# A script without any of these is none: most of an application's files are done with here, before anything slower looks at them.
_ASKS = re.compile(_INPUT + r"|extract\s*\(|import_request_variables", _I)
_ODD = re.compile(
    rf"\b{_CODE}\s*\(|preg_replace\s*\([^\n]{{0,300}}e[imsxuADSUX]*['\"]\s*,|{_DECODES}\s*\([^;]{{0,600}};|fsockopen|stream_socket_client|socket_c|\\x65\\x76|\\145\\166|"
    r"str_replace\s*\(\s*['\"][^'\"]{1,8}['\"]\s*,\s*['\"]{2}|\$_{1,}\s*[=\[.(]|['\"]\s*\.\s*['\"](?:al|sert)\b",
    _I,
)
# Larger scripts are judged in parts that overlap: patterns take time with the length.
MOST, OVERLAP = 1 << 20, 64 << 10
_ROUNDS = 3


def what_it_does(content: str) -> str | None:
    """Why a script is considered a web shell, or None."""
    if len(content) <= MOST:
        return _part(content)
    opened = "<?php " if "<?" in content else ""
    parts = (content[start : start + MOST] for start in range(0, len(content), MOST - OVERLAP))
    return next(filter(None, (_part(opened + part) for part in parts)), None)


def _part(text: str) -> str | None:
    if "<?" in text:
        if not _ASKS.search(text):
            return _hidden(text) or _reverse(text) if _ODD.search(text) else None
        return _php(text) or ("is a known web shell" if _KNOWN.search(text) else None)
    for words, pattern in _PATTERNS:
        if pattern.search(text):
            return words
    if "<%" in text or "<jsp:" in text or "runat=" in text:
        return _page(text)
    return "is a known web shell" if _KNOWN.search(text) else None


def _page(text: str) -> str | None:
    """A JSP, ASP or ASP.NET page: pages that start programs or write files by what a request says are no pages."""
    if _JAVA_INPUT.search(text) and _JAVA.search(text):
        return "executes input from a request"
    if _ASP_INPUT.search(text) and _ASP_RUNS.search(text):
        return "executes input from a request"
    if _JAVA_INPUT.search(text) and _JAVA_WRITES.search(text):
        return "stores what a request brings under a name that it brings"
    if _ASP_INPUT.search(text) and len(set(map(str.lower, _ASP_FILES.findall(text)))) >= 2:
        return "is a console for files and commands"
    return "is a known web shell" if _KNOWN.search(text) else None


def _php(text: str) -> str | None:
    held = _holders(text)
    anything = rf"(?:{_INPUT}" + "".join(rf"|{re.escape(name)}\b" for name in held) + ")"
    runs = "|".join((_COMMANDS, _CODE, *map(re.escape, _wrappers(text))))
    for found in re.finditer(rf"{_CALL}(?:{runs})\s*\(([^;]{{0,400}})", text, _I):
        # templates of old forums: a text with variables in it is put into a variable
        given = "" if _TEMPLATE.match(found[1]) else _HARMLESS.split(found[1])[0]
        if re.search(anything, given, _I):
            return "executes input from a request"
    if re.search(rf"`[^`\n]{{0,200}}{anything}[^`\n]{{0,200}}`", text):
        return "executes input from a request"
    if _VARIABLES.search(text) and re.search(rf"{_CALL}(?:{_COMMANDS}|{_CODE})\s*\(\s*\$\w", text, _I):
        return "executes input from a request"
    return _hidden(text) or _others(text)


def _hidden(text: str) -> str | None:
    """Code that is not to be read."""
    if any(pattern.search(text) for pattern in _HIDDEN):
        return "runs hidden code"
    if _NAMED.search(text):
        return "calls a function whose name it decodes"
    names = {match[1] for match in _EVALUATED.finditer(text)}
    decoded = {match[1] for match in re.finditer(rf"(\$\w+)\s*\.?=\s*@?{_DECODES}\s*\(", text, _I)}
    if names & decoded or (names and _LONG_TEXT.search(text)):
        return "runs hidden code"
    words = len(re.findall(r"[A-Za-z]{3,}", text[:20_000]))
    if len(text) > 200 and words * 60 < min(len(text), 20_000) and re.search(r"\$_{1,}\s*[=\[.(]", text):
        return "is written without words"
    return None


def _reverse(text: str) -> str | None:
    if _SHELL_OUT.search(text) and re.search(r"/bin/(?:ba)?sh\b|cmd\.exe|\bsh -i\b", text) and _SHELL.search(text):
        return "opens a shell to a remote host"
    return None


def _others(text: str) -> str | None:
    if _BY_NAME.search(text):
        return "calls a function named by a request"
    if _INCLUDED.search(text):
        return "includes a file named by a request"
    if found := _reverse(text):
        return found
    shown = sum(bool(pattern.search(text)) for pattern in _CONSOLE)
    if shown >= _CONSOLE_FROM and re.search(_INPUT, text, _I):
        return "is a console for files and commands"
    if len(text) < 6000 and (_WRITTEN.search(text) or _UPLOADED.search(text)):
        return "stores what a request brings under a name that it brings"
    return None


def _holders(text: str) -> set[str]:
    """The variables that hold input, through some assignments."""
    held: set[str] = set()
    for match in _EACH.finditer(text):
        if re.search(_INPUT, match[1], _I):
            held |= {name for name in (match[2], match[3]) if name}
    assignments = [
        (match[1], _HARMLESS.sub(" ", match[2]) if _HARMLESS.search(match[2]) else match[2])
        for match in _ASSIGNED.finditer(text)
    ]
    for _ in range(_ROUNDS):
        before = len(held)
        names = "|".join(rf"{re.escape(name)}\b" for name in held)
        source = re.compile(_INPUT + (f"|{names}" if names else ""), _I)
        held |= {name for name, value in assignments if source.search(value)}
        if len(held) == before:
            break
    return held - {"$this", "$_GET", "$_POST", "$_REQUEST", "$_COOKIE", "$_SERVER", "$GLOBALS"}


def _wrappers(text: str) -> Iterator[str]:
    """Functions that hand an argument to a shell."""
    for name, parameters, body in _FUNCTION.findall(text):
        for parameter in re.findall(r"\$\w+", parameters):
            if re.search(rf"{_CALL}{_COMMANDS}\s*\(\s*@?[^;]{{0,60}}{re.escape(parameter)}\b", body, _I) or re.search(
                rf"`[^`]{{0,60}}{re.escape(parameter)}\b", body
            ):
                yield name
