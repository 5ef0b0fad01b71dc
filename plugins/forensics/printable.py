"""Text from outside (hosts, findings, tags, persons) made safe for what people act on. Pure.

Airflow renders a question's body as Markdown (CommonMark with GitHub's additions, HTML left out). In a code span nothing is markup:
no HTML comment, link, image, table or emphasis. Outside of one, GitHub's autolinks cannot be escaped, so what could become a link is put
into a code span (GFM specification, 6.9 *Autolinks*; CommonMark 0.31, 2.4 *Backslash escapes*, 6.1 *Code spans*).
"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime

NOT_RECORDED = "not recorded"
_MAX_MARKS = 4
MOST_LEVELS = 40
# Letters by category, blank by looks; and marks that show nothing (grapheme joiner, variation selectors).
_BLANK_LETTERS = frozenset("\u115f\u1160\u2800\u3164\uffa0\u034f\u17b4\u17b5")
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_MARKUP = re.compile(r"([\\`*_{}\[\]()<>#!|~$&])")
# The scheme is bounded: a search must not take the square of what a host wrote.
_ADDRESS = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]{0,30})?://[^\s\"'<>]*|\bwww\.", re.IGNORECASE)
_LINK = re.compile(r"://|www\.|@|\bmailto:", re.IGNORECASE)


def utc(moment: datetime | None) -> str:
    """UTC with milliseconds, for example ``2026-11-24 03:12:09.123Z``."""
    if moment is None:
        return NOT_RECORDED
    return moment.astimezone(UTC).isoformat(sep=" ", timespec="milliseconds").replace("+00:00", "Z")


def count(number: int, one: str, many: str | None = None) -> str:
    """``1 disk``, ``3 disks``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


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


def single_line(text: str) -> str:
    """The text on one line, every hidden character shown and no other changed; applied twice it is the same."""
    return text if text.isascii() and text.isprintable() else visible(text).replace("\n", "")


def single_lines(value: object, *, levels: int = MOST_LEVELS) -> object:
    """A JSON value or a tuple with each of its texts, keys too, on one line (:func:`single_line`); all else as it is.

    Raises ``ValueError`` for a value that nests deeper than ``levels``.
    """
    if type(value) is str:  # an enum's member is a text too, and stays what it is
        return single_line(value)
    if not isinstance(value, dict | list | tuple):
        return value
    if levels == 0:
        raise ValueError(f"nested more than {MOST_LEVELS} levels")
    if isinstance(value, dict):
        return {single_lines(k): single_lines(v, levels=levels - 1) for k, v in value.items()}
    shown = [single_lines(inner, levels=levels - 1) for inner in value]
    return tuple(shown) if type(value) is tuple else shown


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


def without_links(text: str, *, but: str = "") -> str:
    """Text of which no program makes a link, but addresses below ``but`` (without a closing slash) and S3's URIs."""

    def address(found: re.Match[str]) -> str:
        whole = found.group()
        ours = but and (whole == but or whole.startswith(f"{but}/"))
        return whole if ours or whole.startswith("s3://") else whole.replace("://", "[:]//").replace(".", "[.]", 1)

    return _ADDRESS.sub(address, text)
