"""Text from outside (hosts, findings, tags, persons) made safe for what people act on. Pure.

Airflow renders a question's body as Markdown (CommonMark with GitHub's additions, HTML left out). In a code span nothing is markup:
no HTML comment, link, image, table or emphasis. Outside of one, GitHub's autolinks cannot be escaped, so what could become a link is put
into a code span (GFM specification, 6.9 *Autolinks*; CommonMark 0.31, 2.4 *Backslash escapes*, 6.1 *Code spans*).
"""

from __future__ import annotations

import re
import unicodedata

_MAX_MARKS = 4
# Letters by category, blank by looks; and marks that show nothing (grapheme joiner, variation selectors).
_BLANK_LETTERS = frozenset("\u115f\u1160\u2800\u3164\uffa0\u034f\u17b4\u17b5")
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_MARKUP = re.compile(r"([\\`*_{}\[\]()<>#!|~$&])")
_LINK = re.compile(r"://|www\.|@|\bmailto:", re.IGNORECASE)


def visible(text: str) -> str:
    """Show every character that could hide, reorder or fake text; line feeds stay, with a mark."""
    if text.isascii() and text.isprintable():
        return text
    shown: list[str] = []
    marks = 0
    for char in text:
        category = unicodedata.category(char)
        marks = marks + 1 if category in {"Mn", "Me"} else 0
        shown.append(_code(char) if marks > _MAX_MARKS else _shown(char, category))
    return "".join(shown)


def _shown(char: str, category: str) -> str:
    if char == "\n":
        return "⏎\n"
    if char < " ":
        return chr(0x2400 + ord(char))
    if char == "\x7f":
        return "␡"
    odd_space = category == "Zs" and char != " "
    selector = "\ufe00" <= char <= "\ufe0f" or "\U000e0100" <= char <= "\U000e01ef"
    return _code(char) if category in _HIDDEN or odd_space or selector or char in _BLANK_LETTERS else char


def _code(char: str) -> str:
    return f"[U+{ord(char):04X}]"


def one_line(text: object, *, limit: int = 500) -> str:
    """The text on one line, every hidden character shown, cut after ``limit`` characters, which is said."""
    line = " ".join(visible(str(text)).split())
    return line if len(line) <= limit else f"{line[:limit]} […{len(line) - limit} more characters]"


def code_span(text: object, *, limit: int = 500) -> str:
    """Markdown: the text as it is, in a code span; a backtick, which would end that, is shown as an apostrophe."""
    return f"`{one_line(text, limit=limit).replace('`', chr(39)) or ' '}`"


def escaped(text: object, *, limit: int = 2000) -> str:
    """Markdown: a sentence that may hold names from outside; nothing in it is markup, nothing becomes a link."""
    words = one_line(text, limit=limit).split(" ")
    return " ".join(code_span(w, limit=limit) if _LINK.search(w) else _MARKUP.sub(r"\\\1", w) for w in words)


def defanged(text: object, *, limit: int = 500) -> str:
    """Plain text for a mail: one line, and no program makes a link of an address in it."""
    return re.sub(r"(?i)www\.", "www[.]", one_line(text, limit=limit).replace("://", "[:]//"))
