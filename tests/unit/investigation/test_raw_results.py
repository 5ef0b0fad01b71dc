"""A status line of a third-party tool becomes results of the common contract, or is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from forensics.investigation.raw_results import from_status_line
from forensics.models.results import Investigation, SentDocument, StoredArtifact, ToolResults

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
ITEM = Investigation(
    activity="investigate_clamav",
    evidence_id="disk-vol-1",
    outcome="PENDING",
    document=SentDocument(name="forensics-investigate_clamav_linux"),
)
RAW = StoredArtifact(uri="s3://e/k", sha256="ab" * 32, bytes=10)


def made(**said: Any) -> ToolResults:
    line = {"status": "ok", "tool": "clamav", "version": "1.4", "seconds": 3, **said}
    return from_status_line(line, case_id="fc-20261124-0a1b2c3d4e", item=ITEM, raw=RAW, ended=NOW)


def test_hits_become_findings_with_their_place() -> None:
    results = made(
        hits=[{"title": "X.Y", "path": "/bin/x", "severity": "critical"}], counts={"files": 9, "infected": 1}
    )
    (finding,) = results.findings
    assert (finding.title, finding.source, finding.severity.value) == ("clamav matched X.Y", "/bin/x", "critical")
    assert results.provenance[0].argv == ("forensics-investigate_clamav_linux",)
    assert results.input["raw_sha256"] == RAW.sha256
    assert results.gaps == ()
    assert ToolResults.model_validate_json(results.model_dump_json(by_alias=True)) == results


def test_partial_and_hits_that_are_not_listed_are_gaps() -> None:
    results = made(status="partial", reason="XFS not read", counts={"infected": 5}, hits=[{"title": "a"}])
    assert [(g.what, g.why) for g in results.gaps] == [
        ("clamav on disk-vol-1", "XFS not read"),
        ("4 more matches of clamav", "only the raw output has all of them"),
    ]


@pytest.mark.parametrize(
    "wrong",
    [{"tool": ""}, {"hits": [{"path": "/x"}]}, {"hits": [{"title": "x"}] * 201}, {"counts": {"a": "b"}}, {"more": 1}],
)
def test_a_line_of_another_form_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        made(**wrong)
