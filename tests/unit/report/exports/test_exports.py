"""All exports of the hostile made-up case: known to the report, and harmless."""

from __future__ import annotations

import pytest

from forensics.report.exports import exports
from forensics.report.sections import EXPORTS
from tests.unit.report import sample

HIDDEN = ("\\u202e", "\\u001b", "\\u2066", "\\u200b", "\\u0000")


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    """Texts by name."""
    return {e.name: e.text for e in exports(sample.rich_view())}


def test_the_report_knows_every_export(made: dict[str, str]) -> None:
    assert set(made) == set(EXPORTS)


def test_nothing_hidden_is_left(made: dict[str, str]) -> None:
    for name, text in made.items():
        assert text.isascii(), name
        assert not [mark for mark in HIDDEN if mark in text], name
