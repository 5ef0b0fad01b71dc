"""The summary as a whole: stored with its prompt, in the ledger, on the report, never in anybody's way.

The provider is a stub: what it stands for, Bedrock, is held against botocore's model in tests/unit/aws/test_bedrock.py.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from forensics.aws.bedrock import Said
from forensics.errors import AccessDeniedError
from forensics.models.custody import CustodyAction
from forensics.models.summary import LABEL
from forensics.report import render_html, render_json
from forensics.report.summarizing import summarize
from forensics.report.summary_records import Prompt, records_of
from forensics.report.writer import write_report
from tests.unit.report import sample
from tests.unit.report.test_gap_counts import Stored


@dataclass
class StubProvider:
    """Answers with what a test gives; keeps what it was asked."""

    said: Any
    model: str = "vendor.model-v1:0"
    asked: Prompt | None = None

    def answer(self, prompt: Prompt) -> Said:
        self.asked = prompt
        if isinstance(self.said, Exception):
            raise self.said
        return self.said if isinstance(self.said, Said) else Said(json.dumps(self.said), "", 100, 20)


def made(said: Any, recorder: Stored | None = None) -> tuple[Stored, StubProvider]:
    recorder, provider = recorder or Stored(sample.rich_view()), StubProvider(said)
    summarize(recorder, lambda: provider, most_records=100, model=provider.model)
    return recorder, provider


def first_finding(recorder: Stored) -> tuple[str, str]:
    records, _ = records_of(recorder.view(), most=100)
    found = next(r for r in records if r.kind == "finding" and r.title.isascii())
    return found.id, found.title


def test_a_summary_is_stored_stated_labelled_and_on_both_reports() -> None:
    id_, title = first_finding(Stored(sample.rich_view()))
    recorder, provider = made({"sentences": [
        {"text": title, "cites": [id_]}, {"text": "This host is benign.", "cites": [id_]}, {"text": "The case was closed.", "cites": []},
    ]})  # fmt: skip
    view = recorder.view()
    summary = view.summary
    assert summary and provider.asked and [s.text for s in summary.sentences] == [title] and len(summary.dropped) == 2
    assert summary.prompt_sha256 == provider.asked.sha256 and (summary.input_tokens, summary.output_tokens) == (100, 20)
    kept = json.loads(recorder.evidence_store.objects[summary.uri.removeprefix("s3://evidence/")])
    assert kept["label"] == LABEL and kept["prompt"]["user"] == provider.asked.user and len(kept["dropped"]) == 2
    event = recorder.ledger.last(CustodyAction.ARTIFACT_STORED, recorder.case_id)
    assert (
        event.detail["sha256"] == summary.sha256
        and event.detail["model"] == provider.model
        and event.detail["dropped"] == 2
    )
    page = render_html(view)
    assert "Summary: machine-written, not evidence" in page and "2 sentences did not stand up" in page
    assert "This host is benign" not in page
    assert json.loads(render_json(view))["view"]["summary"]["sentences"][0]["text"] == title


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (AccessDeniedError("ask the model: denied"), "ask the model: denied"),
        (RuntimeError("a secret"), "RuntimeError"),
        (Said("I will not", "", 1, 1), "no JSON object"),
        (Said('{"sentences": [', "max_tokens", 1, 1), "stopped before its end: max_tokens"),
        (Said("", "guardrail_intervened", 1, 1), "guardrail_intervened"),
    ],
)
def test_what_goes_wrong_is_said_on_the_report_and_nowhere_else(said: Any, why: str) -> None:
    recorder, _ = made(said)
    view = recorder.view()
    assert (
        view.summary
        and why in view.summary.failed
        and not view.summary.sentences
        and "a secret" not in view.summary.failed
    )
    assert "There is no summary: " in render_html(view) and not [f for f in view.failures if "summary" in f.step]
    assert write_report(recorder, task_states={})["html"]


def test_a_provider_that_cannot_be_made_is_said_too() -> None:
    recorder = Stored(sample.rich_view())

    def denied() -> StubProvider:
        raise AccessDeniedError("assume role summary: denied")

    summarize(recorder, denied, most_records=100, model="m.m")
    summary = recorder.view().summary
    assert summary and summary.failed == "assume role summary: denied"


def test_nothing_of_the_case_changes_by_a_summary() -> None:
    before = Stored(sample.rich_view()).view()
    recorder, _ = made({"sentences": []})
    after = recorder.view()
    for name in ("case", "plan", "containment", "release", "findings", "results", "remarks", "failures", "approval"):
        assert getattr(after, name) == getattr(before, name), name


def test_without_findings_no_model_is_asked() -> None:
    recorder, provider = made({}, Stored(sample.running_view()))
    summary = recorder.view().summary
    assert summary and "found nothing" in summary.failed and provider.asked is None


def test_the_gravest_records_are_given_and_the_rest_is_counted() -> None:
    view = Stored(sample.rich_view()).view()
    every, none_left = records_of(view, most=400)
    few, left = records_of(view, most=len([r for r in every if r.kind == "event"]) + 2)
    assert none_left == 0 and len(few) + left == len(every) and left > 0
    assert len({r.id for r in every}) == len(every)
