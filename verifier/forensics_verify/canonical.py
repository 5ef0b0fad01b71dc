"""RFC 8785 (JSON Canonicalization Scheme): the one way to write a JSON value as bytes.

Written for this program, so that it shares no code with what it checks.
"""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Any

_EXACT = 2**53


class NotCanonicalError(ValueError):
    """The bytes are not JSON, or not the canonical form of what they say."""


def parse(data: bytes) -> Any:
    """The value of canonical JSON bytes. Raises :class:`NotCanonicalError` for any other form of the same value."""
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse, parse_int=_integer)
        again = dumps(value)
    except NotCanonicalError:
        raise
    except (ValueError, RecursionError) as error:
        raise NotCanonicalError(f"not UTF-8 JSON: {error}") from error
    if again != data:
        raise NotCanonicalError("not in canonical form (RFC 8785): it was not written by the exporter")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise NotCanonicalError("a name occurs twice in one object")
    return found


def _integer(digits: str) -> int | float:
    # Beyond 2**53 a JSON number is a float, however it is written.
    return int(digits) if len(digits) < 18 and abs(int(digits)) <= _EXACT else float(digits)


def _refuse(name: str) -> Any:
    raise NotCanonicalError(f"{name} is not a JSON number")


def dumps(value: Any) -> bytes:
    """Canonical bytes of a JSON value."""
    return _text(value).encode("utf-8")


def _text(value: Any) -> str:
    if value is None or isinstance(value, bool | str):
        # json escapes exactly what RFC 8785 section 3.2.2.2 asks for
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, int):
        if abs(value) > _EXACT:
            raise NotCanonicalError(f"{value} has no exact JSON number")
        return str(value)
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, list | tuple):
        return "[" + ",".join(_text(item) for item in value) + "]"
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be"))
        return "{" + ",".join(f"{_text(name)}:{_text(value[name])}" for name in names) + "}"
    raise NotCanonicalError(f"{type(value).__name__} is not a JSON value")


def _number(value: float) -> str:
    """ECMAScript's Number::toString (ECMA-262, 6.1.6.1.20): the shortest digits that give the value back."""
    if not math.isfinite(value):
        raise NotCanonicalError(f"{value} is not a JSON number")
    if value == 0:
        return "0"
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    text, power = "".join(map(str, digits)), len(digits) + int(exponent)
    if 0 < power <= 21:
        body = text.ljust(power, "0") if len(text) <= power else f"{text[:power]}.{text[power:]}"
    elif -6 < power <= 0:
        body = f"0.{'0' * -power}{text}"
    else:
        fraction = f".{text[1:]}" if len(text) > 1 else ""
        body = f"{text[0]}{fraction}e{'+' if power > 0 else '-'}{abs(power - 1)}"
    return ("-" if sign else "") + body
