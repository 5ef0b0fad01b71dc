"""The one list of gaps: what is missing is named, and nothing missing is called complete."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from forensics.case.gaps import (
    failed,
    failures_made_up_for,
    failures_that_matter,
    gap_count,
    gaps,
    pending,
    tool_gaps,
    tool_notes,
)
from forensics.models.case import CaseStatus, CaseView, Phase, StepFailure
from forensics.models.containment import ContainmentResult, ContainmentState, ReleaseResult
from forensics.models.evidence import Digest, EvidenceKind, Outcome
from forensics.models.finding import CustomAction
from forensics.models.gaps import Gap, GapKind
from forensics.models.results import Investigation, ToolGap, ToolResults, ToolRun
from forensics.models.target import Volume
from forensics.naming import first_pass_id
from tests.unit.builders import CASE_ID, INSTANCE, NOW, case, evidence, finding, investigation, plan, target, view

MEMORY, DISK = f"memory-{INSTANCE}", "disk-vol-1"
CLOSING = case(phase=Phase.REPORT)
RUNNING = case(phase=Phase.ACQUISITION)


def contained(outcome: Outcome = Outcome.DONE) -> ContainmentResult:
    """A containment that ended so."""
    done = outcome is Outcome.DONE
    return ContainmentResult(
        outcome=outcome,
        state=ContainmentState.NEW_FLOWS_BLOCKED if done else ContainmentState.FAILED,
        reason=None if done else "interface eni-1 still has groups sg-app",
    )


def failure(step: str, cause: str = "AWS said no") -> StepFailure:
    """A step's final failure."""
    return StepFailure(step=step, cause=cause, next_action="repair it", at=NOW)


def results(item: str, **changes: Any) -> ToolResults:
    """What the disk tools wrote about an item."""
    values: dict[str, Any] = {"schema": "forensics.results/1", "case_id": CASE_ID, "evidence_id": item, "tool": "disk"}
    return ToolResults(**{**values, "started": NOW, "ended": NOW, **changes})


def complete(**changes: Any) -> CaseView:
    """A case in which everything that was wanted is there, just before it is closed."""
    values: dict[str, Any] = {
        "case": CLOSING,
        "plan": plan(),
        "evidence": (evidence(EvidenceKind.MEMORY), evidence(EvidenceKind.DISK)),
        "containment": contained(),
        "investigations": (investigation(MEMORY), investigation(DISK)),
        "results": (results(MEMORY), results(DISK)),
    }
    return view(**{**values, **changes})


def said(case_view: CaseView) -> list[str]:
    """The gaps as a message lists them."""
    return [str(gap) for gap in gaps(case_view)]


def test_a_complete_case_has_none() -> None:
    assert gaps(complete()) == [] and pending(complete()) == [] and gap_count(complete()) == 0


def test_a_first_pass_cut_short_is_a_gap_only_without_a_whole_live_response() -> None:
    first = evidence(
        EvidenceKind.LIVE_RESPONSE, Outcome.PARTIAL, evidence_id=first_pass_id(INSTANCE), reason="out of time before: x"
    )
    both = (evidence(EvidenceKind.MEMORY), evidence(EvidenceKind.DISK))
    whole = evidence(EvidenceKind.LIVE_RESPONSE)
    assert said(complete(evidence=(*both, first, whole))) == []
    assert any("-first ended PARTIAL" in gap for gap in said(complete(evidence=(*both, first))))
    partial = evidence(EvidenceKind.LIVE_RESPONSE, Outcome.PARTIAL, reason="no room")
    assert any("-first ended PARTIAL" in gap for gap in said(complete(evidence=(*both, first, partial))))


def test_no_plan_is_a_gap() -> None:
    assert said(view(case=CLOSING)) == ["response plan: triage did not end with one"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"evidence": (evidence(EvidenceKind.DISK),)}, "memory: it was wanted but nothing was recorded"),
        ({"evidence": (evidence(EvidenceKind.MEMORY),)}, "disk: it was wanted but nothing was recorded"),
        ({"containment": None}, "isolation: it was wanted but has no result"),
        ({"containment": contained(Outcome.PARTIAL)}, "eni-1 still has groups"),
        ({"containment": contained(Outcome.FAILED)}, "isolation ended FAILED"),
        ({"containment": contained(Outcome.NOT_APPLICABLE)}, "isolation ended NOT_APPLICABLE"),
        ({"investigations": (investigation(MEMORY),)}, f"{DISK}: it was acquired but no investigation"),
        (
            {"investigations": (investigation(MEMORY, Outcome.PENDING), investigation(DISK))},
            f"{MEMORY}: it was acquired",
        ),
        (
            {"investigations": (investigation(MEMORY, Outcome.FAILED), investigation(DISK))},
            f"investigate of {MEMORY} ended FAILED",
        ),
        ({"failures": (failure("report.write_report"),)}, "report.write_report: AWS said no"),
        ({"results": (results(MEMORY),)}, f"results of investigate of {DISK}: they could not be read"),
    ],
)
def test_each_thing_that_is_missing_is_named_once(changes: dict[str, Any], words: str) -> None:
    (gap,) = gaps(complete(**changes))
    assert words in str(gap)
    assert gap.next_action


@pytest.mark.parametrize(
    ("kind", "outcome"),
    list(product([EvidenceKind.MEMORY, EvidenceKind.DISK], [o for o in Outcome if o is not Outcome.ACQUIRED])),
)
def test_wanted_evidence_that_is_not_acquired_is_a_gap(kind: EvidenceKind, outcome: Outcome) -> None:
    other = EvidenceKind.DISK if kind is EvidenceKind.MEMORY else EvidenceKind.MEMORY
    found = said(complete(evidence=(evidence(other), evidence(kind, outcome, reason="the agent is gone"))))
    assert [outcome.value in gap and "the agent is gone" in gap for gap in found] == [True]


@pytest.mark.parametrize(("memory", "disk", "isolate"), list(product([True, False], repeat=3)))
def test_what_was_not_wanted_is_never_missed(memory: bool, disk: bool, isolate: bool) -> None:
    found = said(view(case=CLOSING, plan=plan(memory=memory, disk=disk, isolate=isolate)))
    assert [gap.split(":")[0] for gap in found] == [
        name for name, wanted in (("memory", memory), ("disk", disk), ("isolation", isolate)) if wanted
    ]


def test_evidence_that_was_not_wanted_is_a_gap_only_when_it_was_begun() -> None:
    for outcome, number in (
        (Outcome.SKIPPED, 0),
        (Outcome.NOT_APPLICABLE, 0),
        (Outcome.PARTIAL, 1),
        (Outcome.FAILED, 1),
    ):
        extra = evidence(EvidenceKind.LIVE_RESPONSE, outcome, reason="two items did not answer")
        assert len(gaps(complete(evidence=(*complete().evidence, extra)))) == number, outcome


def test_a_partial_investigation_is_a_gap_by_what_its_tools_left_out() -> None:
    partial = investigation(MEMORY, Outcome.PARTIAL)
    assert said(complete(investigations=(partial, investigation(DISK)))) == [
        f"investigate of {MEMORY} ended PARTIAL: no reason is recorded"
    ]
    listed = partial.model_copy(update={"gaps": 1})
    shown = (results(MEMORY, gaps=(ToolGap(what="modules", why="no symbol table"),)), results(DISK))
    assert said(complete(investigations=(listed, investigation(DISK)), results=shown)) == [
        f"modules (disk tools on {MEMORY}): no symbol table"
    ]


def test_control_plane_facts_need_no_investigation() -> None:
    items = (*complete().evidence, evidence(EvidenceKind.CONTROL_PLANE))
    assert gaps(complete(evidence=items)) == []


def test_digests_of_the_same_bytes_that_differ_are_a_gap() -> None:
    digests = tuple(Digest(value=v * 64, subject="the stream", source=s) for v, s in (("a", "target"), ("b", "s3")))
    items = (evidence(EvidenceKind.MEMORY, digests=digests), evidence(EvidenceKind.DISK))
    (gap,) = gaps(complete(evidence=items))
    assert (gap.kind, gap.subject) == (GapKind.EVIDENCE, f"{MEMORY}: DIGESTS OF THE SAME BYTES DIFFER")
    agreeing = (digests[0], digests[1].model_copy(update={"value": "A" * 64}))
    assert gaps(complete(evidence=(items[0].model_copy(update={"digests": agreeing}), items[1]))) == []


def test_a_failed_step_and_what_it_did_not_do_are_one_gap_with_the_steps_next_action() -> None:
    case_view = complete(
        containment=contained(Outcome.PARTIAL),
        failures=(failure("containment.isolate_target", "not complete: interface eni-1 still has groups sg-app"),),
    )
    assert gaps(case_view) == [
        Gap(
            kind=GapKind.CONTAINMENT,
            subject="isolation ended PARTIAL",
            why="interface eni-1 still has groups sg-app",
            next_action="repair it",
        )
    ]


def test_a_step_that_failed_for_another_reason_is_a_gap_of_its_own() -> None:
    found = said(complete(containment=contained(Outcome.PARTIAL), failures=(failure("containment.isolate_target"),)))
    assert found == [
        "containment.isolate_target: AWS said no",
        "isolation ended PARTIAL: interface eni-1 still has groups sg-app",
    ]


def test_every_failure_is_kept_and_none_twice() -> None:
    assert said(complete(failures=(failure("a"), failure("b"), failure("a")))) == ["a: AWS said no", "b: AWS said no"]


def test_a_volume_without_a_record_is_a_gap() -> None:
    volumes = (Volume(id="vol-1", device="/dev/xvda"), Volume(id="vol-2", device="/dev/sdb"))
    assert said(complete(target=target(volumes=volumes))) == [
        "volume vol-2 (/dev/sdb): it was attached to the target but nothing was recorded of it"
    ]
    assert gaps(complete(target=target())) == []


@pytest.mark.parametrize(
    ("changes", "manually"),
    [
        ({"state": ContainmentState.FAILED}, True),
        ({"state": ContainmentState.NEW_FLOWS_BLOCKED, "credentials_open": ("role app",)}, False),
        ({"state": ContainmentState.NEW_FLOWS_BLOCKED}, False),
    ],
    ids=["network open", "credentials open", "a protection open"],
)
def test_the_next_action_of_an_incomplete_isolation_fits_what_is_open(changes: dict[str, Any], manually: bool) -> None:
    incomplete = contained(Outcome.PARTIAL).model_copy(update=changes)
    (gap,) = [g for g in gaps(complete(containment=incomplete)) if g.kind is GapKind.CONTAINMENT]
    assert ("isolate the instance manually" in gap.next_action) is manually


@pytest.mark.parametrize(
    ("order", "named"),
    [
        ({"action": CustomAction.ISOLATE}, True),
        ({"action": CustomAction.FULL}, True),
        ({"action": CustomAction.TRIAGE}, False),
        ({"requested": {"isolate": True}, "requester": "Ada"}, True),
        ({"requested": {"isolate": False}}, False),
        ({}, False),
    ],
)
def test_a_request_to_isolate_that_the_plan_does_not_carry_out_is_a_gap(order: dict[str, Any], named: bool) -> None:
    late = finding(**order)
    found = gaps(complete(plan=plan(isolate=False), findings=(finding(), late)))
    assert [gap.kind for gap in found] == [GapKind.REQUEST] * named
    assert gaps(complete(findings=(late,))) == []


# ---------------------------------------------------------------------- while the case is being processed
@pytest.mark.parametrize("phase", [p for p in Phase if p not in {Phase.REPORT, Phase.DONE}])
def test_what_is_not_there_yet_is_pending_while_steps_may_bring_it(phase: Phase) -> None:
    changes: dict[str, Any] = {
        "evidence": (evidence(EvidenceKind.MEMORY), evidence(EvidenceKind.DISK, Outcome.PENDING)),
        "containment": None,
        "investigations": (),
        "results": (),
    }
    running = complete(case=case(phase=phase), **changes)
    assert gaps(running) == []
    assert [p.subject for p in pending(running)] == [f"{DISK} is PENDING", "isolation", MEMORY]
    ended = complete(**changes)
    assert gaps(ended) == pending(running) and pending(ended) == []
    closed = complete(case=case(phase=phase, status=CaseStatus.CLOSED_WITH_GAPS), **changes)
    assert gaps(closed) == gaps(ended), "a closed case is not under way in any phase"


def test_what_ended_badly_is_a_gap_at_once() -> None:
    failing = evidence(EvidenceKind.DISK, Outcome.FAILED, reason="the key is disabled")
    running = complete(case=RUNNING, evidence=(evidence(EvidenceKind.MEMORY), failing), containment=None)
    assert said(running) == [f"{DISK} ended FAILED: the key is disabled"]
    assert [p.subject for p in pending(running)] == ["isolation"]


def test_a_case_without_a_plan_yet_has_no_gap() -> None:
    assert gaps(view()) == [] and [p.kind for p in pending(view())] == [GapKind.PLAN]


# ---------------------------------------------------------------------- tools
@pytest.mark.parametrize(
    ("run", "is_failed"),
    [
        (ToolRun(tool="dissect.target", argv=("cronjobs",), exit=0, error="No crontab(s) found on target"), False),
        (ToolRun(tool="confinement", argv=("user 0",), exit=0, error="it runs as root"), False),
        (ToolRun(tool="volatility3", argv=("linux.pslist",), exit=0), False),
        (ToolRun(tool="volatility3", argv=("linux.pslist",), exit=1), True),
        (ToolRun(tool="plaso", argv=(), exit=-9, error="killed"), True),
        (ToolRun(tool="tool", error="it never started"), True),
        (ToolRun(tool="tool"), False),
    ],
)
def test_a_message_of_a_tool_that_ended_well_is_a_note_and_no_gap(run: ToolRun, is_failed: bool) -> None:
    found = results(DISK, provenance=(run,))
    assert failed(run) is is_failed
    assert [gap.kind for gap in tool_gaps(found)] == [GapKind.TOOL] * is_failed
    assert len(tool_notes(found)) == (run.error is not None and not is_failed)


def test_a_failed_tool_that_a_listed_gap_explains_is_counted_once() -> None:
    run = ToolRun(tool="dissect.target", argv=("wtmp",), exit=1, error="out of memory")
    listed = ToolGap(what="dissect wtmp", why="out of memory; the records up to then were used")
    assert [str(g) for g in tool_gaps(results(DISK, provenance=(run,), gaps=(listed,)))] == [
        f"dissect wtmp (disk tools on {DISK}): out of memory; the records up to then were used"
    ]
    assert [str(g) for g in tool_gaps(results(DISK, provenance=(run,)))] == [
        f"dissect.target wtmp (disk tools on {DISK}): exit status 1: out of memory"
    ]


def test_notes_of_the_toolkit_are_no_gaps() -> None:
    noted = results(
        DISK, notes=(ToolGap(what="timeline", why="900 notable entries; all of them are in timeline.jsonl"),)
    )
    assert tool_gaps(noted) == []
    assert tool_notes(noted) == ["timeline: 900 notable entries; all of them are in timeline.jsonl"]


def test_the_count_needs_no_results() -> None:
    found = results(DISK, gaps=(ToolGap(what="a", why="b"), ToolGap(what="c", why="d")))
    done = Investigation(activity="a", evidence_id=DISK, outcome="DONE", gaps=len(tool_gaps(found)))
    failing = (failure("memory.live_response"),)
    whole = complete(investigations=(investigation(MEMORY), done), results=(results(MEMORY), found), failures=failing)
    assert gap_count(whole.model_copy(update={"results": ()})) == len(gaps(whole)) == 3


def test_results_are_matched_to_their_activities_whatever_they_call_their_tool() -> None:
    quick = Investigation(activity="investigate_disk", tool="disk", evidence_id=DISK, outcome="DONE")
    whole = Investigation(activity="investigate_disk_full", tool="plaso", evidence_id=DISK, outcome="DONE")
    both = complete(
        investigations=(investigation(MEMORY), whole, quick), results=(results(MEMORY), *[results(DISK)] * 2)
    )
    assert gaps(both) == []
    one = both.model_copy(update={"results": (results(MEMORY), results(DISK))})
    assert said(one) == [f"results of investigate_disk_full of {DISK}: they could not be read"]
    other_evidence = both.model_copy(update={"results": (results(DISK), *[results(DISK)] * 2)})
    assert said(other_evidence) == [f"results of investigate of {MEMORY}: they could not be read"]


@pytest.mark.parametrize(
    ("step", "outcome", "matters"),
    [
        ("memory.probe_target", Outcome.ACQUIRED, False),
        ("memory.probe_target", Outcome.PARTIAL, True),
        ("memory.probe_target", Outcome.FAILED, True),
        ("memory.capture_memory", Outcome.ACQUIRED, True),
        ("report.write_report", Outcome.ACQUIRED, True),
    ],
)
def test_a_failed_step_whose_purpose_was_reached_otherwise_is_no_gap(
    step: str, outcome: Outcome, matters: bool
) -> None:
    """A probe that timed out on a busy host, and a capture that succeeded without it, is a case without that gap."""
    known = complete(failures=(failure(step),))
    items = tuple(e.model_copy(update={"outcome": outcome}) if e.evidence_id == MEMORY else e for e in known.evidence)
    shown = known.model_copy(update={"evidence": items})
    assert [f.step for f in failures_that_matter(shown)] == ([step] if matters else [])
    assert [f.step for f in failures_made_up_for(shown)] == ([] if matters else [step])
    assert any(gap.subject == step for gap in gaps(shown)) is matters


def test_after_a_release_nobody_is_told_to_finish_the_isolation() -> None:
    closed = contained(Outcome.PARTIAL)
    shown = complete(containment=closed, release=ReleaseResult(outcome=Outcome.DONE, released_at=NOW))
    (gap,) = [g for g in gaps(shown) if "isolation" in g.subject]
    assert gap.next_action == "nothing: the target was released since"
