"""Golden facts of the report: what a responder must be able to read, no more than the records say."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from forensics.models.case import CaseStatus, CaseView, Milestone, Phase
from forensics.models.containment import ContainmentResult, ContainmentState
from forensics.models.evidence import Outcome
from forensics.models.plan import Action, Decision
from forensics.report import chronology, headline, render_html, render_json, sections, text
from forensics.report import containment_summary as containment
from tests.unit.report import sample
from tests.unit.report.test_hostile import check


@pytest.fixture(scope="module")
def view() -> CaseView:
    return sample.rich_view()


@pytest.fixture(scope="module")
def words(view: CaseView) -> str:
    return re.sub(r"\s+", " ", check(render_html(view)).text)


def test_sections_come_in_the_order_a_responder_needs(view: CaseView) -> None:
    order = re.findall(r'<section id="([a-z]+)">', render_html(view))
    assert order == [
        "next",
        "answers",
        "times",
        "plan",
        "findings",
        "evidence",
        "containment",
        "target",
        "timeline",
        "gaps",
        "provenance",
        "custody",
    ]


@pytest.mark.parametrize(
    "fact",
    [
        "i-0123456789abcdef0 in account 333344445555, Region eu-central-1",
        "▲ CLOSED_WITH_GAPS",
        "New connections are blocked since 2026-11-24 03:14:21.500Z. Connections that were already open",
        "It does NOT mean that the instance is cut off",
        "2 of 4 pieces of evidence acquired; 1 PARTIAL, 1 FAILED.",
        "add the forensic account to the key policy, then clear disk.copy[1]",
        "1.00 GiB = 1,073,742,848 bytes",
        "✔ control-plane and target agree",
        "✖ DIGESTS OF THE SAME BYTES DIFFER",
        "of the whole memory image as streamed; computed by target",
        "mode: GOVERNANCE; retain_until: 2027-11-24T03:30:00Z",
        "+141.5 s (2 min 22 s)",
        "severity HIGH is at or above MEDIUM",
        "ATT&CK T1053.003",
        "✖ NOT done",
        "eni-1: sg-web, sg-ops",
        "Termination protection before: no; stop protection before: not recorded.",
        "volatility3 2.28.2",
        "chain intact",
        "A signature is recorded for the first 8 of 9 events; not signed yet: 1.",
        "No claim is made as to the suitability",
    ],
)
def test_facts_are_on_the_page(words: str, fact: str) -> None:
    assert fact in words


def test_a_report_written_just_before_the_end_says_so(view: CaseView) -> None:
    case = view.case.model_copy(update={"status": CaseStatus.OPEN, "phase": Phase.REPORT, "closed_at": None})
    open_view = view.model_copy(
        update={"case": case, "milestones": {k: v for k, v in view.milestones.items() if k != Milestone.CLOSED}}
    )
    shown = check(render_html(open_view)).text
    assert "just before the case was closed" in shown and "still being worked" not in shown
    assert Milestone.CLOSED not in {row.name for row in chronology.key_times(open_view)}
    assert "just before" not in check(render_html(view)).text


def test_key_times_have_all_of_r117_with_seconds_since_receipt(view: CaseView) -> None:
    rows = {row.name: row for row in chronology.key_times(view)}
    assert {
        "finding_event",
        "received",
        "opened",
        "triaged",
        "first_volatile_byte",
        "memory_complete",
        "snapshots_started",
        "contained",
        "reported",
    } <= rows.keys()
    assert rows["finding_event"].since_received == -95.0
    assert rows["first_volatile_byte"].since_received == 12.25
    assert rows["first_volatile_byte"].since_event == 107.25
    assert rows["copies_complete"].at is None
    assert rows["copies_complete"].since_received is None


def test_findings_are_sorted_by_severity_then_time_with_unknown_times_last(view: CaseView) -> None:
    rows = sections.found_rows(view)
    assert [r.finding.id for r in rows[:4]] == ["f-50", "f-2", "f-1", "f-3"]
    assert rows[0].anchor == 3
    assert rows[1].anchor == 2


def test_timeline_is_one_axis_from_all_sources(view: CaseView) -> None:
    moments = chronology.merged(view)
    assert [m.time for m in moments] == sorted(m.time for m in moments)
    kinds = {m.kind for m in moments}
    assert kinds == {
        "finding",
        "case",
        "custody",
        "containment",
        "investigation",
        "evidence",
        "failure",
        "tool",
    }
    # the failure is in the timeline and in the failures: it is shown once
    assert sum(m.kind == "failure" for m in moments) == 1
    segments = chronology.segments(moments)
    assert [m for s in segments for m in s.moments] == moments
    assert [(s.from_tools, s.folded) for s in segments][:2] == [(True, True), (False, False)]
    assert (True, False) in {(s.from_tools, s.folded) for s in segments}


def test_gaps_name_evidence_tools_runs_and_failures_once(view: CaseView) -> None:
    gaps = headline.missing(view)
    texts = [f"{g.what}|{g.why}" for g in gaps]
    for part in (
        "Step disk.copy failed",
        "disk-vol-0bad0bad0bad0bad0: FAILED",
        "disk-vol-0a0a0a0a0a0a0a0a0: PARTIAL",
        "disk-vol-0a0a0a0a0a0a0a0a0: DIGESTS OF THE SAME BYTES DIFFER",
        "network connections of other namespaces",
        "linux.check_afinfo.Check_afinfo",
        "investigate_disk_linux",
    ):
        assert sum(part in t for t in texts) == 1, part
    assert len(set(texts)) == len(texts)


def test_empty_view_says_not_recorded_and_claims_nothing() -> None:
    words = re.sub(r"\s+", " ", check(render_html(sample.empty_view())).text)
    for fact in (
        "○ OPEN",
        "Not contained: no response plan is recorded yet.",
        "No evidence is recorded.",
        "No tool results are recorded.",
        "the target was not described",
        "No custody event is recorded.",
        "The head is not signed",
    ):
        assert fact in words
    assert "✔" not in words


def _isolate(**changes: Any) -> Decision:
    return Decision(**{"action": Action.ISOLATE, "wanted": True, "reasons": ("because",), **changes})


@pytest.mark.parametrize(
    ("state", "outcome", "short", "level", "act"),
    [
        (ContainmentState.NEW_FLOWS_BLOCKED, Outcome.DONE, "new flows blocked", "warn", False),
        (ContainmentState.ALL_FLOWS_VERIFIED, Outcome.DONE, "yes, no flow left", "good", False),
        (ContainmentState.FAILED, Outcome.FAILED, "FAILED", "bad", True),
        (ContainmentState.NOT_CONTAINED, Outcome.SKIPPED, "no", "bad", True),
    ],
)
def test_containment_states(state: ContainmentState, outcome: Outcome, short: str, level: str, act: bool) -> None:
    view = sample.rich_view(containment=ContainmentResult(outcome=outcome, state=state), milestones={})
    said = containment.describe(view)
    assert (said.short, said.level, bool(said.act)) == (short, level, act)
    assert "not recorded" in said.sentence
    if act:
        assert headline.next_steps(view)[0].urgent


@pytest.mark.parametrize(
    ("decision", "status", "short"),
    [
        (_isolate(wanted=False), CaseStatus.CLOSED, "no, not wanted"),
        (_isolate(possible=False), CaseStatus.CLOSED, "no, not possible"),
        (_isolate(), CaseStatus.OPEN, "not yet"),
        (_isolate(), CaseStatus.CLOSED_WITH_GAPS, "no result"),
    ],
)
def test_without_containment_record(decision: Decision, status: CaseStatus, short: str) -> None:
    plan = sample.plan().model_copy(update={"isolate": decision})
    view = sample.rich_view(plan=plan, containment=None, case=sample.case(status=status))
    assert containment.describe(view).short == short


def test_a_changed_custody_event_is_told(view: CaseView) -> None:
    forged = view.custody[3].model_copy(update={"actor": "somebody else"})
    broken = view.model_copy(update={"custody": (*view.custody[:3], forged, *view.custody[4:])})
    assert headline.ledger(broken).intact is False
    assert headline.next_steps(broken)[0].urgent
    assert "chain NOT intact" in check(render_html(broken)).text


def test_a_removed_last_event_is_told_except_that_an_open_case_may_have_moved_on(view: CaseView) -> None:
    shorter = view.model_copy(update={"custody": view.custody[:-1]})
    assert headline.ledger(shorter).intact is False
    still_open = shorter.model_copy(update={"case": sample.case(status=CaseStatus.OPEN)})
    assert headline.ledger(still_open).intact is None


def test_differing_digests_come_first_among_what_to_do(view: CaseView) -> None:
    assert headline.next_steps(view)[0].do.startswith("Treat disk-vol-0a0a0a0a0a0a0a0a0 as damaged")
    assert headline.next_steps(view)[0].urgent


def test_results_that_could_not_be_read_are_a_gap(view: CaseView) -> None:
    unread = headline.missing(view.model_copy(update={"results": ()}))
    assert "results of investigate_memory_linux on memory-image are not shown" in {g.what for g in unread}


def test_a_signature_of_something_else_is_told(view: CaseView) -> None:
    other = view.model_copy(update={"custody_signature": {"head": "f" * 64, "signature": "x"}})
    assert sections.signature(other).level == "bad"


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
    assert lock == {"nan": "nan", "bytes": "ff", "bad": "\ud800"}


@pytest.mark.parametrize(
    ("size", "human", "exact"),
    [
        (None, "not recorded", ""),
        (0, "0 bytes", ""),
        (1023, "1023 bytes", ""),
        (1024, "1.00 KiB", "1,024 bytes"),
        (1073742848, "1.00 GiB", "1,073,742,848 bytes"),
        (2**62, "4,096.00 PiB", "4,611,686,018,427,387,904 bytes"),
    ],
)
def test_sizes(size: int | None, human: str, exact: str) -> None:
    assert (text.human_size(size), text.exact_size(size)) == (human, exact)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "not recorded"),
        (-95, "\N{MINUS SIGN}95.0 s"),
        (130, "+130.0 s (2 min 10 s)"),
        (90061, "+90,061.0 s (1 d 1 h 1 min)"),
    ],
)
def test_durations(seconds: float | None, shown: str) -> None:
    assert text.duration(seconds) == shown
