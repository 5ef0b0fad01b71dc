"""Results: findings, timeline, gaps."""

from __future__ import annotations

import json
from collections.abc import Iterator

from forensic_toolkit.results import Event, Finding, Results
from forensic_toolkit.times import now


def test_results_are_ranked_limited_and_reproducible() -> None:
    results = Results("fc-20260101-0123456789", "mem-1", "memory", started=now())
    results.findings = [
        Finding("b", "d", "low", "low", "s"),
        Finding("a", "d\u202e", "critical", "high", "s", time=now()),
        Finding("b", "d", "low", "low", "s"),
    ]
    results.events = [Event(now(), f"event {number}", "s", "x", notable=True) for number in range(700)]
    document = results.as_dict(ended=now())
    assert [finding["severity"] for finding in document["findings"]] == ["critical", "low"]
    assert len(document["timeline"]) == 500
    assert [note["what"] for note in document["notes"]] == ["timeline"], "nothing is missing: the file has all of them"
    assert document["gaps"] == []
    assert "\u202e" not in json.dumps(document, ensure_ascii=False)


def test_a_rule_that_breaks_is_a_gap() -> None:
    results = Results("fc-20260101-0123456789", "mem-1", "memory", started=now())

    def rule() -> Iterator[Finding]:
        yield Finding("a", "d", "low", "low", "s")
        raise KeyError("PID")

    assert results.apply("broken", rule=rule) == 1
    assert results.gaps[0][0] == "rule broken"
