"""The verifier's own canonical JSON and tar headers are the product's, though they share no code."""

from __future__ import annotations

import math
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from forensics.custody import bundle
from forensics_verify.canonical import NotCanonicalError, dumps, parse
from forensics_verify.container import header

TEXT = st.text(st.characters(blacklist_categories=["Cs"]), max_size=12)
VALUES = st.recursive(
    st.one_of(
        st.none(), st.booleans(), TEXT, st.integers(-(2**53) + 1, 2**53 - 1),
        st.floats(allow_nan=False, allow_infinity=False),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXT, inner, max_size=4)),
    max_leaves=12,
)  # fmt: skip


@given(VALUES)
def test_canonical_bytes_are_those_of_the_product(value: Any) -> None:
    assert dumps(value) == rfc8785.dumps(value)
    assert dumps(parse(dumps(value))) == dumps(value)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1e21, "1e+21"), (1e20, "100000000000000000000"), (1e-6, "0.000001"), (1e-7, "1e-7"), (-0.0, "0"),
        (5e-324, "5e-324"), (1.7976931348623157e308, "1.7976931348623157e+308"), (333333333.33333329, "333333333.3333333"),
    ],
)  # fmt: skip
def test_numbers_are_written_as_ecmascript_does(number: float, text: str) -> None:
    assert dumps(number).decode() == text == rfc8785.dumps(number).decode()


@pytest.mark.parametrize(
    "data",
    [b'{"a":1,"a":1}', b'{"a": 1}', b'{"b":1,"a":1}', b"1.0", b'"\\u0041"', b"NaN", b"\xff", b"", b"[" * 100_000],
)
def test_any_other_spelling_is_refused(data: bytes) -> None:
    with pytest.raises(NotCanonicalError):
        parse(data)


def test_what_json_has_no_number_for_is_refused() -> None:
    for value in (math.inf, math.nan, 2**60, {1, 2}):
        with pytest.raises(NotCanonicalError):
            dumps(value)


NAMES = st.lists(st.text("abcXYZ019-_.", min_size=1, max_size=40), min_size=1, max_size=5).map("/".join)


@given(NAMES.filter(lambda n: len(n) <= 150), st.integers(0, 2**44))
def test_headers_are_those_of_the_product(name: str, size: int) -> None:
    try:
        written = bundle.header(name, size)
    except Exception as error:
        assert "cannot be put into a bundle" in str(error)
    else:
        assert header(name, size) == written
