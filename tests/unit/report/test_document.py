"""The report as JSON."""

from __future__ import annotations

import json

import pytest

from forensics.case.gaps import gaps
from forensics.models.case import CaseView
from forensics.report import render_json
from tests.unit.report import sample


@pytest.fixture(scope="module")
def view() -> CaseView:
    """Everything at once."""
    return sample.rich_view()


def test_json_validates_back_and_is_canonical(view: CaseView) -> None:
    document = render_json(view)
    parsed = json.loads(document)
    assert parsed["schema"] == "forensics.report/1"
    assert CaseView.model_validate(parsed["view"]) == view
    assert document.isascii()
    assert "\x1b" not in document
    assert document == json.dumps(parsed, sort_keys=True, indent=2) + "\n"
    assert render_json(CaseView.model_validate(parsed["view"])) == document
    assert parsed["summary"]["contained"] == "new flows blocked"


def test_json_of_the_empty_view_validates_back() -> None:
    view = sample.empty_view()
    assert CaseView.model_validate(json.loads(render_json(view))["view"]) == view


def test_json_takes_what_json_cannot_say(view: CaseView) -> None:
    item = view.evidence[0].model_copy(update={"lock": {"nan": float("nan"), "bytes": b"\xff", "bad": "\ud800"}})
    lock = json.loads(render_json(view.model_copy(update={"evidence": (item,)})))["view"]["evidence"][0]["lock"]
    assert lock == {"nan": "nan", "bytes": "ff", "bad": "[U+D800]"}


def test_gaps_are_objects_that_keep_the_names_of_earlier_documents(view: CaseView) -> None:
    document = json.loads(render_json(view))
    assert document["summary"]["gap_count"] == len(document["gaps"]) == len(gaps(view))
    for gap in document["gaps"]:
        assert set(gap) == {"kind", "subject", "why", "next_action", "what", "origin"}
        assert (gap["what"], gap["origin"]) == (gap["subject"], gap["kind"])
    assert document["pending"] == []
