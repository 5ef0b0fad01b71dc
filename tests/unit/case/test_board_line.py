"""The line by which the board finds a case."""

from __future__ import annotations

from datetime import timedelta

from forensics.aws.case_store import CaseStore
from forensics.case.board_line import board_line, keep_line
from forensics.models.approval import Approval
from forensics.models.board import Stage
from forensics.models.case import Milestone
from forensics.models.containment import ReleaseResult
from forensics.models.evidence import Outcome
from tests.unit.builders import NOW, plan, target, view
from tests.unit.report import sample


def question(minutes: int, **changes: object) -> Approval:
    end = NOW + timedelta(minutes=minutes)
    return Approval(digest="d" * 64, open=True, at=NOW, until=end, reason="waits", run_id="r", step="plan").model_copy(
        update=changes
    )


def test_the_line_says_what_the_view_says() -> None:
    known = view(
        plan=plan(),
        target=target(tags={"team": "shop"}),
        containment=sample.containment(),
        approval=question(20),
        release_approval=question(5),
    )
    line = board_line(known, drifted=True, now=NOW)
    assert (line.contained, line.owner, line.asks, line.drifted) == ("new flows blocked", "shop", True, True)
    assert line.until == NOW + timedelta(minutes=5), "the question that ends first"


def test_an_answered_question_asks_nobody_and_a_released_target_has_not_drifted() -> None:
    known = view(plan=plan(), containment=sample.containment(), approval=question(20, open=False),
                 release=ReleaseResult(outcome=Outcome.DONE, released_at=NOW + timedelta(days=1)))  # fmt: skip
    line = board_line(known, drifted=True, now=NOW)
    assert (line.asks, line.until, line.drifted, line.contained, line.acts) == (False, None, False, "released", False)


def test_isolation_without_a_result_is_for_a_person_to_act_on() -> None:
    assert not board_line(view(plan=plan()), drifted=False, now=NOW).acts
    waits = plan().isolate.model_copy(update={"possible": False})
    assert board_line(view(plan=plan().model_copy(update={"isolate": waits})), drifted=False, now=NOW).acts


def test_the_line_has_how_long_each_stage_took_from_the_reception() -> None:
    early = sample.investigations()[0].model_copy(update={"ended_at": sample.at(240)})
    known = sample.rich_view(
        case=sample.case(received_at=sample.at(0)), investigations=(*sample.investigations(), early),
        milestones={"reported": sample.at(1490)},
    )  # fmt: skip
    assert board_line(known, drifted=False, now=NOW).times == {
        Stage.OPENED: 1.2, Stage.CONTAINED: 141.5, Stage.ANSWERED: 240.0, Stage.REPORTED: 1490.0,
    }  # fmt: skip
    assert board_line(sample.empty_view(), drifted=False, now=NOW).times == {Stage.OPENED: 0.0}


def test_the_stored_line_has_the_time_of_the_report(store: CaseStore) -> None:
    opened = sample.case(closed_at=None, received_at=sample.at(0))
    store.open_case(opened, finding=sample.finding())
    store.milestone(opened.case_id, Milestone.REPORTED, sample.at(900))
    keep_line(store, opened.case_id)
    (entry,) = store.lines.read({})
    assert entry.line is not None and entry.line.times == {Stage.OPENED: 1.2, Stage.REPORTED: 900.0}
