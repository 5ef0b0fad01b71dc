"""What the command writes: results on standard output, progress and errors on standard error.

Titles, findings and timelines hold text of a compromised machine. Nothing of it reaches the terminal as control characters.
"""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Mapping, Sequence

from forensics_cli.faults import CommandError

LINE = 400


def plain(text: object, *, limit: int = LINE) -> str:
    """One line without control, format, surrogate, private and unassigned characters (Unicode categories C*, Zl and Zp).

    Escape sequences (ECMA-48) and characters that turn the direction of writing (Unicode UAX 9) are among them.
    """
    shown = "".join(_visible(c) for c in str(text)[: limit * 4])
    return shown if len(shown) <= limit else f"{shown[: limit - 1]}…"


def _visible(character: str) -> str:
    if character in "\t\n\r":
        return " "
    category = unicodedata.category(character)
    if category[0] == "C" or category in {"Zl", "Zp"}:
        return f"\\u{ord(character):04x}" if ord(character) < 0x10000 else f"\\U{ord(character):08x}"
    return character


def say(text: str = "") -> None:
    """One line of the result; the caller has made foreign text plain."""
    print(text, flush=True)


def tell(text: str) -> None:
    """One line of progress."""
    print(text, file=sys.stderr, flush=True)


def as_json(value: object) -> None:
    """The result for programs: ASCII only, so that no character of a target's reaches a terminal as it is."""
    print(json.dumps(value, indent=1, ensure_ascii=True), flush=True)


def table(rows: Sequence[Sequence[object]], head: Sequence[str]) -> None:
    """Rows in columns as wide as their widest cell; foreign text is made plain here."""
    cells = [[str(name) for name in head], *([plain(cell, limit=80) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    for row in cells:
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def facts(pairs: Mapping[str, object]) -> None:
    """Names and values, one a line; those without a value are left out."""
    width = max((len(name) for name in pairs), default=0)
    for name, value in pairs.items():
        if value not in (None, ""):
            say(f"{name.ljust(width)}  {plain(value)}")


def error(fault: CommandError) -> None:
    """What went wrong, why, and what to do next."""
    tell(f"Error: {plain(fault.what)}")
    if fault.why:
        tell(f"  Why: {plain(fault.why)}")
    tell(f"  What to do next: {plain(fault.next_action)}")
