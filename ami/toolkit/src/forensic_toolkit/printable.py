"""Text from evidence is hostile: it may carry terminal escapes, bidirectional overrides or megabytes."""

from __future__ import annotations

import unicodedata

# Control, format (bidirectional overrides among them), surrogate, private use, unassigned, line separators.
_UNSAFE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
DEFAULT_LIMIT = 400


def printable(value: object, *, limit: int = DEFAULT_LIMIT) -> str:
    """Return ``value`` as one line of visible text, at most ``limit`` characters and a note of how many were removed."""
    text = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
    cut = len(text) - limit
    if cut > 0:
        text = text[:limit]
    shown = "".join(_escape(char) if unicodedata.category(char) in _UNSAFE else char for char in text)
    if len(shown) > 2 * limit:
        shown = shown[: 2 * limit]
    return f"{shown}… [{cut} more]" if cut > 0 else shown


def _escape(char: str) -> str:
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def printable_data(value: object, *, limit: int = DEFAULT_LIMIT) -> object:
    """Apply :func:`printable` to every string in nested lists and dicts; numbers, booleans and None stay."""
    if isinstance(value, str | bytes):
        return printable(value, limit=limit)
    if isinstance(value, dict):
        return {printable(key, limit=80): printable_data(item, limit=limit) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [printable_data(item, limit=limit) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return printable(value, limit=limit)
