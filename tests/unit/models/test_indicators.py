"""Models of indicators."""

from __future__ import annotations

from forensics.models.indicators import Indicator, IndicatorKind


def test_values_are_visible_lines_and_names_tell_kinds_apart() -> None:
    made = Indicator(kind=IndicatorKind.USER, value="mal\u202elory\n")
    assert made.value == "mal[U+202E]lory⏎" and made.name == "user#mal[U+202E]lory⏎"
