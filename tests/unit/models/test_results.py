"""Results of a newer toolkit are read, hostile ones are bounded; a record says how an analysis ended."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from forensics.models import outside
from forensics.models.evidence import Outcome
from forensics.models.results import (
    LARGEST_DATA,
    MOST,
    RESULTS_VALUES,
    Investigation,
    ResultsOverLimitError,
    SentDocument,
    StoredArtifact,
    ToolFinding,
    ToolResults,
    lacks_symbols,
    read_results,
)
from forensics.printable import MOST_LEVELS, single_line

RESULTS = {
    "schema": "forensics.results/1",
    "case_id": "fc-20261124-0123456789",
    "evidence_id": "disk-vol-1",
    "tool": "disk",
    "started": "2026-11-24T08:00:00Z",
    "ended": "2026-11-24T08:01:00Z",
}


def test_fields_of_a_newer_toolkit_are_ignored() -> None:
    finding = {"id": "f", "title": "Cron job", "data": {"a": [1, {"b": None}]}, "more": 1}
    made = ToolResults.model_validate({**RESULTS, "findings": [finding], "input": {"bytes": 5}, "more": {}})
    assert made.findings[0].data == {"a": [1, {"b": None}]}
    assert ToolResults.model_validate_json(made.model_dump_json(by_alias=True)) == made


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "forensics.results/2"},
        {"started": "2026-11-24T08:00:00"},
        {"findings": [{"id": "f"}]},
        {"findings": [{"id": "f", "title": "t" * 501}]},
        {"findings": [{"id": "f", "title": "t", "technique": "T1"}]},
        {"findings": [{"id": "f", "title": "t", "severity": "huge"}]},
        {"timeline": [{"time": "yesterday", "what": "x"}]},
        {"gaps": [{"what": "x"}]},
    ],
)
def test_results_of_another_form_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ToolResults.model_validate({**RESULTS, **change})


def test_data_of_a_finding_is_json() -> None:
    with pytest.raises(ValidationError):
        ToolFinding.model_validate({"id": "f", "title": "t", "data": {"a": object()}})


STORED = {
    "activity": "investigate_disk",
    "evidence_id": "disk-vol-1",
    "outcome": "PARTIAL",
    "reason": "no symbol table for 6.1.0-test",
    "document": {"name": "forensics-investigate_disk_linux", "version": "7", "sha256": "d", "landing_prefix": "p"},
    "artifacts": {"raw": {"uri": "s3://e/k", "sha256": "a", "bytes": 3}},
}


def test_a_stored_record_is_read_as_its_model_and_written_as_it_was() -> None:
    record = Investigation.model_validate(STORED)
    assert (record.outcome, record.succeeded, record.without_symbols) == (Outcome.PARTIAL, True, True)
    assert record.artifacts["raw"] == StoredArtifact(uri="s3://e/k", sha256="a", bytes=3)
    written = json.loads(record.model_dump_json())
    assert {name: written[name] for name in STORED} == STORED
    assert Investigation.model_validate({**STORED, "document": {}}).document == SentDocument()


@pytest.mark.parametrize(
    ("outcome", "succeeded"),
    [(Outcome.PENDING, False), (Outcome.DONE, True), (Outcome.PARTIAL, True), (Outcome.FAILED, False)],
)
def test_only_an_analysis_with_results_has_succeeded(outcome: Outcome, succeeded: bool) -> None:
    assert Investigation(activity="a", evidence_id="e", outcome=outcome).succeeded is succeeded


@pytest.mark.parametrize(
    ("outcome", "reason", "lacking"),
    [
        (Outcome.PARTIAL, "no symbol table for 6.1.0-test; trigger symbol_library", True),
        (Outcome.PARTIAL, "no symbol table for Windows: the manifest offers none", True),
        (Outcome.PARTIAL, "1 of 40 plugins failed", False),
        (Outcome.PARTIAL, None, False),
        (Outcome.DONE, "no symbol table", False),
        (Outcome.FAILED, "no symbol table", False),
    ],
)
def test_a_partial_analysis_that_had_no_symbols_is_recognised(
    outcome: Outcome, reason: str | None, lacking: bool
) -> None:
    assert lacks_symbols(outcome, reason) is lacking


def body(**lists: list[dict[str, object]]) -> bytes:
    """A results.json with these lists."""
    head = {"schema": "forensics.results/1", "case_id": "c", "evidence_id": "e", "tool": "t"}
    times = {"started": "2026-11-24T08:00:00Z", "ended": "2026-11-24T08:00:00Z"}
    return json.dumps({**head, **times, **lists}).encode()


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("findings", {"id": "1", "title": "t"}),
        ("timeline", {"time": "2026-11-24T08:00:00Z", "what": "w"}),
        ("provenance", {"tool": "t"}),
        ("coverage", {"kind": "k"}),
        ("gaps", {"what": "w", "why": "y"}),
        ("notes", {"what": "w", "why": "y"}),
    ],
)
def test_of_a_list_that_is_too_long_the_first_entries_are_read_and_the_rest_is_a_gap(
    name: str, entry: dict[str, object]
) -> None:
    most = MOST[name]
    exact = read_results(body(**{name: [entry] * most}))
    assert len(getattr(exact, name)) == most and exact.cut == ()
    found = read_results(body(**{name: [entry] * (most + 5)}))
    assert len(getattr(found, name)) == most
    assert [(gap.what, gap.why) for gap in found.cut] == [
        (name, f"{most + 5} entries; the first {most} are read, the artifact has all")
    ]
    assert ToolResults.model_validate(found.model_dump(by_alias=True)) == found, "read again it says the same"


@pytest.mark.parametrize(
    "hostile",
    [
        body(findings=[{"id": "1", "title": "t", "detail": "x" * 3000}] * 4000),
        b'{"findings":[' + b",".join([b"[]"] * RESULTS_VALUES) + b"]}",
        b'{"findings":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
    ids=["bytes", "values", "levels"],
)
def test_results_that_would_fill_the_memory_of_their_reader_are_over_a_limit(hostile: bytes) -> None:
    with pytest.raises(ResultsOverLimitError, match=r"are read|is read"):
        read_results(hostile)


def test_the_data_of_a_finding_are_bounded() -> None:
    large = {"id": "1", "title": "t", "data": {"rows": ["x" * 100] * 500}}
    assert list(read_results(body(findings=[large])).findings[0].data) == ["left out"]


RIGHT_TO_LEFT = "\u202e"


@pytest.mark.parametrize(
    "written",
    [
        json.dumps({"detail": RIGHT_TO_LEFT}).encode(),  # as an escape, which is ASCII
        json.dumps({"detail": RIGHT_TO_LEFT}, ensure_ascii=False).encode(),
        json.dumps({"detail": RIGHT_TO_LEFT}, ensure_ascii=False).encode("utf-16-le"),  # whose bytes are all ASCII
        b'{"detail": "C:\\\\u0000' + RIGHT_TO_LEFT.encode() + b'"}',
        b'{"detail": "a\\n"}',
        b'{"detail": "\\\\\\u202e"}',  # an escaped backslash, then a real escape
        b'{"detail": "\x7f"}',
    ],
    ids=["escape", "utf-8", "utf-16", "both", "line", "backslashes", "delete"],
)
def test_no_way_to_write_it_gets_a_hidden_character_past_the_reader(written: bytes) -> None:
    """Results that are all plain ASCII are taken as they are; whatever is not has every text made visible."""
    encoding = json.detect_encoding(written)
    detail = json.loads(written)["detail"]
    whole = body(findings=[{"id": "1", "title": "t", "detail": "HERE", "data": {"k": ["HERE"]}}]).decode()
    text = written.decode(encoding).partition(": ")[2].removesuffix("}")
    (finding,) = read_results(whole.replace('"HERE"', text).encode(encoding)).findings
    assert finding.detail == single_line(detail) != detail and finding.data == {"k": [single_line(detail)]}


@pytest.mark.parametrize("text", ["plain", "C:\\Windows\\u202e", 'say "no"', "a/b", "C:\\new\\table"])
def test_plain_texts_are_read_as_they_are(text: str) -> None:
    given = body(findings=[{"id": text, "title": text, "data": {text: text}}])
    for written in (given, given.replace(b"a/b", b"a\\/b")):
        (finding,) = read_results(written).findings
        assert (finding.id, finding.title, finding.data) == (text, text, {text: text})


def test_plain_data_that_nest_too_deep_are_refused_too() -> None:
    deep: object = "x"
    for _ in range(MOST_LEVELS + 1):
        deep = [deep]
    for lists in ({"findings": [{"id": "1", "title": "t", "data": {"k": deep}}]}, {"input": {"k": deep}}):
        with pytest.raises(ValueError, match="nested more than"):
            read_results(body(**lists))  # type: ignore[arg-type]


def test_what_is_looked_at_does_not_grow_with_the_findings_of_plain_results(monkeypatch: pytest.MonkeyPatch) -> None:
    """Making 1,000 findings visible text by text was most of the work for a page."""
    looks: list[object] = []
    monkeypatch.setattr(outside, "single_lines", lambda value: looks.append(value) or value)
    entry = {"id": "1", "title": "t", "data": {"line": 1}}
    assert len(read_results(body(findings=[entry] * 1_000)).findings) == 1_000 and looks == []
    read_results(body(findings=[{**entry, "detail": "\u2028"}]))
    assert looks


def test_the_size_of_data_is_measured_where_it_may_be_too_large() -> None:
    for character, most in (("x", LARGEST_DATA), ("\u00e9", LARGEST_DATA // 6), ("\U0001f600", LARGEST_DATA // 12)):
        for number in (most - 40, most + 40):
            data = {"k": character * number}
            (finding,) = read_results(body(findings=[{"id": "1", "title": "t", "data": data}])).findings
            assert (finding.data == data) is (len(json.dumps(data)) <= LARGEST_DATA)
