"""The line by which the board finds a case."""

from __future__ import annotations

from datetime import timedelta

from forensics.case.board_line import board_line
from forensics.models.approval import Approval
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
