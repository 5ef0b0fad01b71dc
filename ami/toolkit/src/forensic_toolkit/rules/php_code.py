"""The code of a PHP script: without comments and without the page around it, and the parts of it that share their variables. Pure.

Source: The PHP language reference ("Basic syntax", "Comments", "Strings", "Variable scope"). What is never closed ends with the script.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field

_OPEN = re.compile(
    r"<\?(?!xml\b)(?:php\b|=)?|<script\s[^>]{0,80}language\s*=\s*['\"]?php['\"]?[^>]{0,80}>", re.IGNORECASE
)
_CLOSE = re.compile(r"\?>|</script\s*>", re.IGNORECASE)
# What begins something else than plain code, or ends all of it.
_TOKEN = re.compile(r"['\"`]|/\*|//|#(?!\[)|<<<[ \t]*(['\"]?)([A-Za-z_]\w*)\1\r?\n|\?>|</script\s*>", re.IGNORECASE)
_LINE_END = re.compile(r"\r|\n|(?=\?>)")
_ENDS = {quote: re.compile(rf"[^\\{quote}]*+(?:\\.[^\\{quote}]*+)*+{quote}", re.DOTALL) for quote in "'\"`"}
_FIRST_WORD = re.compile(r"^[ \t]*([A-Za-z_]\w*)", re.MULTILINE)
_STRUCTURE = re.compile(r"(?<![\w$>:])function\s*+&?\s*+(\w++)?\s*+\(|[{};]", re.IGNORECASE)
_GLOBAL = re.compile(r"\bglobal\s+([^;]{0,300});", re.IGNORECASE)
# Parameters of a function are looked for so far.
_PARAMETERS = 1_000


@dataclass(slots=True)
class Scope:
    """Code whose variables are the same: that of one function or method, or all that is in none (``name`` empty)."""

    name: str = ""
    parameters: tuple[str, ...] = ()
    pieces: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The code."""
        return " ".join(self.pieces)

    @property
    def shared(self) -> set[str]:
        """The variables that are those outside of every function."""
        return {name for found in _GLOBAL.findall(self.text) for name in re.findall(r"\$\w+", found)}


def code_of(script: str) -> str:
    """The code; texts stay, but a backtick in one of them, which starts no program, becomes a space."""
    return "".join(code for code, _ in _pieces(script))


def scopes_of(script: str) -> list[Scope]:
    """The scopes of a script, that of no function first. A function without a name shares its variables with what is around it."""
    pieces = list(_pieces(script))
    code = "".join(piece for piece, _ in pieces)
    plain = "".join(piece if is_code else " " * len(piece) for piece, is_code in pieces)
    scopes = [Scope()]
    open_, depth, start = [0], [0], 0
    waiting: Scope | None = None
    braces = 0
    for token in _STRUCTURE.finditer(plain):
        mark = token[0]
        if mark == ";":
            waiting = None
        elif mark == "{":
            braces += 1
            if waiting is not None:
                scopes[open_[-1]].pieces.append(code[start : token.end()])
                scopes.append(waiting)
                open_.append(len(scopes) - 1)
                depth.append(braces)
                start, waiting = token.end(), None
        elif mark == "}":
            if len(open_) > 1 and depth[-1] == braces:
                scopes[open_.pop()].pieces.append(code[start : token.start()])
                depth.pop()
                start = token.start()
            braces = max(0, braces - 1)
        elif token[1]:
            given = plain[token.end() : token.end() + _PARAMETERS].partition("{")[0]
            waiting = Scope(token[1], tuple(re.findall(r"\$\w+", given)))
    scopes[open_[-1]].pieces.append(code[start:])
    return scopes


def arguments(text: str) -> list[str]:
    """The arguments of a call, of which ``text`` is what stands behind the opening parenthesis; the last may be cut."""
    found, depth, quote, at, start = [], 0, "", 0, 0
    while at < len(text):
        char = text[at]
        if char == "\\":
            at += 1
        elif quote:
            quote = "" if char == quote else quote
        elif char in "'\"`":
            quote = char
        elif char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
            if depth < 0:
                break
        elif char == "," and not depth:
            found.append(text[start:at])
            start = at + 1
        at += 1
    return [*found, text[start:at]]


def _pieces(script: str) -> Iterator[tuple[str, bool]]:
    """(piece, whether it is plain code and no text); pieces of nothing but comments are left out."""
    at = 0
    while (opened := _OPEN.search(script, at)) is not None:
        yield "echo " if opened[0].endswith("=") else ";", True
        at = yield from _php(script, opened.end())
        yield "; ", True


def _php(script: str, at: int) -> Generator[tuple[str, bool], None, int]:
    """The pieces from behind an opening tag; returns where the page goes on."""
    while (token := _TOKEN.search(script, at)) is not None:
        yield script[at : token.start()], True
        mark = token[0]
        if _CLOSE.match(mark):
            return token.end()
        if mark in ("//", "#"):
            ended = _LINE_END.search(script, token.end())
            at = ended.end() if ended else len(script)
        elif mark == "/*":
            found = script.find("*/", token.end())
            at = found + 2 if found >= 0 else len(script)
        elif token[2]:
            at = _heredoc_end(script, token)
            yield script[token.start() : at].replace("`", " "), False
            continue
        else:
            closed = _ENDS[mark].match(script, token.end())
            at = closed.end() if closed else len(script)
            text = script[token.start() : at]
            yield text if mark == "`" else text.replace("`", " "), False
            continue
        yield " ", True
    yield script[at:], True
    return len(script)


def _heredoc_end(script: str, token: re.Match[str]) -> int:
    """The end of a here document: its name at the start of a line, behind white space only."""
    words = _FIRST_WORD.finditer(script, token.end())
    return next((word.end() for word in words if word[1] == token[2]), len(script))
