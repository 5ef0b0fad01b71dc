"""What a script on a web server does, by its code: whether input of a request becomes a command, code, or a file. Pure.

No parser of PHP, but more than words: comments, texts and the page around the code are told apart, variables that hold input are followed
through assignments within their function, and functions that hand their argument to a shell count like a shell. Held against public collections of web shells and against
well-known applications.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from forensic_toolkit.rules.php_code import Scope, arguments, scopes_of

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
    + r"|\$\s*\{\s*['\"]_|php://input|getallheaders\s*\(|apache_request_headers\s*\(|getenv\s*\(\s*['\"](?:HTTP_|QUERY_STRING)|filter_input\s*\(\s*INPUT_)"
)
_ASSIGNED = re.compile(r"(\$\w+)\s*(?:\[[^\]]{0,80}\])?\s*\.?=(?![=>])([^;]{0,600});", _S)
_EACH = re.compile(r"foreach\s*\(\s*([^)]{0,200}?)\s+as\s+(?:&?(\$\w+)\s*=>\s*)?&?(\$\w+)", _I)
_TEMPLATE = re.compile(r"\s*['\"]\\?\$\w+\s*\.?=\s*\\?['\"]")
_HARMLESS = re.compile(
    r"escapeshell(?:arg|cmd)\s*\(|\(\s*int\s*\)|\bintval\s*\(|\bcount\s*\(|\bisset\s*\(|\bempty\s*\(|\bin_array\s*\(",
    _I,
)
_STARTS = re.compile(rf"{_CALL}({_COMMANDS}|{_CODE})\s*\(([^;]{{0,400}})", _I)
_WHOLE = re.compile(_CODE, _I)
_TICKS = re.compile(r"`([^`]{0,400})`")
_RUNS_VARIABLE = re.compile(rf"{_CALL}(?:{_COMMANDS}|{_CODE})\s*\(\s*\$\w", _I)
_OLD_TAG = re.compile(r"<script\s[^>]{0,80}language\s*=\s*['\"]?php", _I)
_VARIABLES = re.compile(r"extract\s*\(\s*\$_|import_request_variables\s*\(|parse_str\s*\([^;]{0,80}" + _SERVER, _I)
_SHELL_OUT = re.compile(r"fsockopen|stream_socket_client|socket_connect|socket_create", _I)
_SHELL = re.compile(r"(?:proc_open|popen|exec|system|passthru)\s*\(.{0,300}|/bin/(?:ba)?sh|cmd\.exe", _I | _S)
_DECODES = r"(?:base64_decode|gzinflate|gzuncompress|gzdecode|str_rot13|strrev|hex2bin|convert_uudecode|rawurldecode|urldecode|pack|implode|chr|openssl_decrypt)"
_HIDDEN = (
    re.compile(rf"create_function\s*\([^,;]{{0,80}},\s*@?{_DECODES}\s*\(", _I),
    re.compile(rf"{_CALL}{_CODE}\s*\(\s*(?:@?\s*\(?\s*)(?:\"\\?\?>\"\s*\.\s*)?@?{_DECODES}\s*\(", _I),
    # the /e modifier of PHP 5 runs the replacement: with a call, or with what is no text of the program, as code
    re.compile(r"preg_replace\s*\(\s*(['\"])(.)[^\n]{0,300}?\2[imsxuADSUX]*e[imsxuADSUX]*\1\s*,\s*(?:['\"][^\n]{0,80}?(?:eval|assert|system|exec|passthru|base64)|\$|@?\w+\s*\()", _I),
    re.compile(r"\\x65\\x76\\x61\\x6c|\\145\\166\\141\\154|ev['\"]\s*\.\s*['\"]al|as['\"]\s*\.\s*['\"]sert|base['\"]?\s*\.\s*['\"]?64_|str_replace\s*\(\s*['\"][^'\"]{1,8}['\"]\s*,\s*['\"]{2}\s*,\s*['\"][^'\"]*c\w*r\w*e\w*a\w*t\w*e", _I),
)  # fmt: skip
_NAMED = re.compile(
    rf"(\$\w+)\s*=\s*@?(?:{_DECODES}|str_replace)\s*\([^;]{{0,600}};[^?]{{0,4000}}?(?<![\w>:])(?<!new )\1\s*\(\s*[@$'\"]|"
    r"(\$\w+)\s*=\s*@?['\"]\w{1,4}['\"]\s*\.\s*['\"]\w{1,4}['\"][^;]{0,300};[^?]{0,4000}?(?<![\w>:])(?<!new )\2\s*\(",
    _I | _S,
)
_EVALUATED = re.compile(rf"{_CALL}{_CODE}\s*\(\s*@?(\$\w+)", _I)
_LONG_TEXT = re.compile(
    r"['\"][A-Za-z0-9+/=\s]{1500,}['\"]|(?:\\x[0-9a-f]{2}){40,}|(?:chr\s*\(\s*\d+\s*\)\s*\.\s*){12,}", _I
)
_BY_NAME = re.compile(
    rf"{_INPUT}\s*\[[^\]]{{1,80}}\]\s*\(|\$\{{[^}}]{{1,120}}\}}\s*\[[^\]]{{1,80}}\]\s*\(\s*\$",
    _I,
)
# Functions that call what they are given, as the first or the second argument.
_CALLERS = re.compile(
    r"(?<![>:$\\\w])(?:(?P<first>call_user_func(?:_array)?|array_map|register_shutdown_function|ob_start|set_error_handler|spl_autoload_register)|"
    r"array_filter|array_walk(?:_recursive)?|array_reduce|u[ak]?sort|preg_replace_callback|iterator_apply|mb_ereg_replace_callback)\s*\(([^;]{0,400})",
    _I,
)
_GRAVE_NAME = re.compile(
    rf"\s*@?['\"]?\\?(?:{_COMMANDS}|{_CODE}|preg_replace|call_user_func|file_put_contents)['\"]?\s*$|\s*@?\"[^\"]*\\(?:x[0-9a-f]|[0-7]{{2}})",
    _I,
)
# A name that is put together: of short texts, by decoding, or of an array.
_BUILT = re.compile(
    rf"(\$\w+)\s*=\s*@?(?:['\"]\w{{0,4}}['\"]\s*\.\s*['\"]\w{{0,4}}['\"]|(?:{_DECODES}|join|substr|str_replace|ucfirst|strtolower)\s*\(|\$\w+\s*[\[{{]\s*\d)",
    _I,
)
_FROM_INPUT = re.compile(rf"(\$\w+)\s*=\s*@?\s*(?:\w+\s*\(\s*)?{_INPUT}", _I)
_INPUT_ALONE = re.compile(rf"\s*@?\s*{_INPUT}(?:\s*\[[^\]]*\])*\s*", _I)
_VARIABLE_ALONE = re.compile(r"\s*@?(\$\w+)\s*")
_ANY_INPUT = re.compile(_INPUT, _I)
_NAMES = re.compile(r"\$\w+")
_NEVER_HELD = {"$this", "$_GET", "$_POST", "$_REQUEST", "$_COOKIE", "$_SERVER", "$GLOBALS"}
_CALLS = re.compile(r"(?<![\w$\\])(?<!function )([A-Za-z_]\w*)\s*\(")
_CALL_LENGTH = 400
_INCLUDED = re.compile(
    r"\b(?:include|require)(?:_once)?\s*\(?\s*[@\"']?\s*(?:\$_(?:GET|POST|REQUEST|COOKIE)\b|php://input|data:)", _I
)
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
_PAGES = (
    ("executes input from a request", r"(?:Runtime\.getRuntime\(\)\s*\.\s*exec|ProcessBuilder)\s*\([^;]{0,300}request\.getParameter"),
    ("executes input from a request", r"\b(?:eval|execute(?:global)?)\s*\(?\s*\(?\s*Request\b|\bEval\s*\(\s*Request\.Item|Process(?:StartInfo)?\s*\.?\s*(?:Start)?\([^;]{0,200}Request"),
    ("starts programs of the server", r"WScript\.Shell|Shell\.Application|ProcessStartInfo\b.{0,2000}cmd\.exe|new\s+Process\(\).{0,600}(?:cmd|StandardOutput)"),
    ("loads code from a request", r"(?:defineClass|loadClass|newInstance)\b.{0,600}(?:getParameter|getReader|getInputStream|session)|Assembly\.Load\s*\([^;]{0,200}Request"),
)  # fmt: skip
_PAGE_PATTERNS = tuple((words, re.compile(pattern, _I | _S)) for words, pattern in _PAGES)
# a form of Python, as in "<%s>", opens no page
_IS_PAGE = re.compile(r"<%(?![sdrifxc]\b|\(|-?\d)|<jsp:|\brunat\s*=", _I)
# Scripts of a gateway (CGI, WSGI): what asks for the request's parts, and what runs them. Libraries do the one or the other.
_GATEWAY = re.compile(
    r"QUERY_STRING|CONTENT_LENGTH|\buse\s+CGI\b|\bReadParse\b|\bparam\s*\(|FieldStorage|\brequest\s*\.\s*(?:args|form|values|GET|POST|json|query|cookies|headers|data|params)\b|\bparams\s*\["
)
_GATEWAY_RUNS = re.compile(
    r"(?:system|exec|open|qx)\b[^;\n]{0,120}(?:param\s*\(|\$ENV\{['\"]?QUERY_STRING|\$in\{|\$FORM)|`\s*\$(?:in|FORM|cmd|command|RunCommand)\b|"
    r"(?:\bos\.(?:system|popen)|\bsubprocess\.\w+|(?<![\w.])(?:eval|exec))\s*\([^\n]{0,120}(?:\bgetvalue\b|\bform\b|\benviron\b|\brequest\s*\.\s*(?:args|form|values|GET|POST|json|query|cookies|headers|data|params)\b)|"
    r"(?:`|\b(?:system|exec|eval|open)\s*\(?)[^\n`]{0,80}\bparams\s*\[",
    _I,
)
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
    if "<?" in content or _OLD_TAG.search(content):
        return _php(content)
    return next(filter(None, map(_other_language, _parts(content))), None)


def _parts(text: str) -> Iterator[str]:
    if len(text) <= MOST:
        yield text
    else:
        yield from (text[start : start + MOST] for start in range(0, len(text), MOST - OVERLAP))


def _other_language(text: str) -> str | None:
    if _IS_PAGE.search(text):
        return next((words for words, pattern in _PAGE_PATTERNS if pattern.search(text)), None) or _page(text)
    if _GATEWAY.search(text) and _GATEWAY_RUNS.search(text):
        return "executes input from a request"
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


def _php(content: str) -> str | None:
    asks = bool(_ASKS.search(content))
    if not asks and not _ODD.search(content):
        return None
    scopes = scopes_of(content)
    code = "\n".join(scope.text for scope in scopes)
    if not asks:
        return next(filter(None, (_hidden(part) or _reverse(part) for part in _parts(code))), None)
    return (
        _input_runs(scopes)
        or next(filter(None, (_hidden(part) or _others(part) for part in _parts(code))), None)
        or _console(content, code)
        or ("is a known web shell" if _KNOWN.search(content) else None)
    )


def _input_runs(scopes: list[Scope]) -> str | None:
    """Whether input becomes a command, code, or the name of a function."""
    wrappers: dict[str, set[int]] = {}
    for scope in scopes[1:]:
        if positions := _handed_on(scope):
            wrappers.setdefault(scope.name.lower(), set()).update(positions)
    shared = _holders(scopes[0].text, set())
    outside = [scope.shared for scope in scopes]
    for scope, names in zip(scopes[1:], outside[1:], strict=True):
        if names:
            shared |= _holders(scope.text, shared & names) & names
    for scope, names in zip(scopes, outside, strict=True):
        held = shared if scope is scopes[0] else _holders(scope.text, shared & names)
        for part in _parts(scope.text):
            if why := _runs(part, held, wrappers):
                return why
    return None


def _is_input(text: str, held: set[str]) -> bool:
    """Whether a text holds input, itself or in a variable."""
    return bool(_ANY_INPUT.search(text)) or not held.isdisjoint(_NAMES.findall(text))


def _runs(text: str, held: set[str], wrappers: dict[str, set[int]]) -> str | None:
    for found in _STARTS.finditer(text):
        # templates of old forums: a text with variables in it is put into a variable
        given = "" if _TEMPLATE.match(found[2]) else found[2]
        # of what starts programs the first argument is the program, others are where its output goes
        given = given if _WHOLE.match(found[1]) else arguments(given)[0]
        if _is_input(_HARMLESS.split(given)[0], held):
            return "executes input from a request"
    for found in _CALLS.finditer(text) if wrappers else ():
        positions = wrappers.get(found[1].lower())
        given_all = arguments(text[found.end() : found.end() + _CALL_LENGTH]) if positions else []
        if any(_is_input(_HARMLESS.split(given_all[n])[0], held) for n in positions or () if n < len(given_all)):
            return "executes input from a request"
    if any(_is_input(found[1], held) for found in _TICKS.finditer(text)):
        return "executes input from a request"
    if _VARIABLES.search(text) and _RUNS_VARIABLE.search(text):
        return "executes input from a request"
    return "calls a function named by a request" if _called(text, held) else None


def _called(text: str, held: set[str]) -> bool:
    """Whether input is the name of a function that is called, or the argument of a grave one that is named as a text."""
    callers = list(_CALLERS.finditer(text))
    as_it_came = {found[1] for found in _FROM_INPUT.finditer(text)} if callers else set()
    put_together = {found[1] for found in _BUILT.finditer(text)} if callers else set()
    for found in callers:
        given = arguments(found[2])
        number = 0 if found["first"] else 1
        name = given[number] if number < len(given) else ""
        rest = given[:number] + given[number + 1 :]
        # an array is a method of an object, a text before it a function of the program's own, an element something that was looked up
        if _INPUT_ALONE.fullmatch(name):
            return True
        variable = _VARIABLE_ALONE.fullmatch(name)
        if variable and variable[1] in as_it_came:
            return True
        if any(_is_input(one, held) for one in rest) and (
            _GRAVE_NAME.match(name) or (variable and variable[1] in put_together)
        ):
            return True
    return False


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
    if len(text) > 100 and words * 60 < min(len(text), 20_000) and re.search(r"\$_{1,}\s*[=\[.(]", text):
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
    return _reverse(text)


def _console(content: str, code: str) -> str | None:
    shown = sum(bool(pattern.search(content)) for pattern in _CONSOLE)
    if shown >= _CONSOLE_FROM and re.search(_INPUT, code, _I):
        return "is a console for files and commands"
    if len(content) < 6000 and (_WRITTEN.search(code) or _UPLOADED.search(code)):
        return "stores what a request brings under a name that it brings"
    return None


def _holders(text: str, known: set[str]) -> set[str]:
    """The variables that hold input, through some assignments; ``known`` do so from the beginning."""
    held = set(known)
    for match in _EACH.finditer(text):
        if _ANY_INPUT.search(match[1]):
            held |= {name for name in (match[2], match[3]) if name}
    assignments = []
    for match in _ASSIGNED.finditer(text):
        value = _HARMLESS.sub(" ", match[2])
        assignments.append((match[1], bool(_ANY_INPUT.search(value)), set(_NAMES.findall(value))))
    for _ in range(_ROUNDS):
        before = len(held)
        held |= {name for name, is_input, names in assignments if is_input or not held.isdisjoint(names)}
        if len(held) == before:
            break
    return held - _NEVER_HELD


def _handed_on(scope: Scope) -> set[int]:
    """The positions of the arguments that a function hands to a shell."""
    given = (arguments(match[2])[0] for match in _STARTS.finditer(scope.text) if not _WHOLE.match(match[1]))
    ticks = (match[1] for match in _TICKS.finditer(scope.text))
    names = {name for text in (*given, *ticks) for name in _NAMES.findall(_HARMLESS.split(text)[0])}
    return {position for position, parameter in enumerate(scope.parameters) if parameter in names}
