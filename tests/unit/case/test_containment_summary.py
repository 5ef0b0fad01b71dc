"""What the containment record means, in words a responder can act on."""

from __future__ import annotations

from typing import Any

import pytest

from forensics.case import containment_summary as containment
from forensics.models.case import CaseStatus
from forensics.models.containment import ContainmentResult, ContainmentState
from forensics.models.evidence import Outcome
from forensics.models.plan import Action, Decision
from forensics.report.next_steps import next_steps
from tests.unit.report import sample


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
        assert next_steps(view)[0].urgent


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


def test_open_credentials_behind_a_closed_network_are_named_and_the_network_is_left_alone() -> None:
    line = "credentials of role app that the instance was issued are still valid: IAM is not reachable"
    result = ContainmentResult(
        outcome=Outcome.PARTIAL,
        state=ContainmentState.NEW_FLOWS_BLOCKED,
        reason=f"network closed; {line}",
        credentials_open=(line,),
    )
    said = containment.describe(sample.rich_view(containment=result))
    assert (said.level, said.short) == ("bad", "network closed, credentials open")
    assert line in said.sentence and said.sentence.startswith("The network is closed since")
    assert said.act is not None and said.act.startswith("Leave the network as it is, it is closed; end the credentials")


@pytest.mark.parametrize("state", [ContainmentState.NEW_FLOWS_BLOCKED, ContainmentState.ALL_FLOWS_VERIFIED])
def test_what_is_not_complete_behind_a_closed_network_is_said(state: ContainmentState) -> None:
    result = ContainmentResult(outcome=Outcome.PARTIAL, state=state, reason="network closed; a protection is open")
    said = containment.describe(sample.rich_view(containment=result))
    assert said.sentence.endswith("Not complete: network closed; a protection is open.")
    assert (said.level, said.act) == ("warn", None)
