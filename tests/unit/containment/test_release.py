"""Release: planned, carried out until the first failure, compared with the restore point."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from forensics import case_keys
from forensics.case.persons import StepRun
from forensics.containment import release
from forensics.containment.isolation import TargetIsolation
from forensics.containment.release import PendingRelease, TargetRelease
from forensics.containment.release_plan import release_calls, release_digest
from forensics.errors import ContainmentError
from forensics.models.approval import Approval
from forensics.models.containment import ApiCall, ReleasePlan, ReleaseResult
from forensics.models.custody import CustodyAction
from forensics.models.evidence import Outcome
from tests.unit.containment.account import Account
from tests.unit.containment.case_world import World
from tests.unit.containment.targets import granted


@pytest.fixture
def contained(world: World) -> World:
    """A contained target."""
    TargetIsolation(world.recorder, world.gateway, world.settings, response=world.response).isolate()
    world.account.calls.clear()
    return world


def release_of(world: World) -> TargetRelease:
    """The release of a task."""
    return TargetRelease(world.recorder, world.gateway, world.settings, original=world.account.original)


def approve(world: World, plan: ReleasePlan) -> Approval:
    """Record an approval of the plan."""
    answer = granted(plan.digest)
    world.recorder.put(case_keys.RELEASE_APPROVAL, answer)
    return answer


def test_a_contained_target_comes_back_as_it_was(contained: World) -> None:
    plan = release_of(contained).plan(requester="alice")
    assert contained.account.calls == [], "planning changes nothing"
    assert plan.digest == release_digest(plan.calls) and plan.differences
    result = release_of(contained).carry_out(plan.calls, approval=approve(contained, plan))
    assert (result.outcome, result.reason, result.differences) == (Outcome.DONE, None, ())
    assert [str(c) for c in contained.account.calls] == [str(c) for c in plan.calls]
    assert contained.account.target.interfaces[0].group_ids == ("sg-app",)
    assert contained.recorder.get(case_keys.RELEASE, ReleaseResult) == result
    logged = contained.recorder.ledger.last(CustodyAction.TARGET_RELEASED).detail
    assert (logged["plan"], logged["by"], logged["outcome"]) == (plan.digest, "bob", "DONE")
    assert contained.recorder.ledger.signed[-1] == "release"
    assert "Target released" in contained.recorder.subjects[-1]


def test_a_release_whose_first_try_died_says_all_its_calls_once(contained: World) -> None:
    """Found by tests/crash: the second try found nothing left to do, and the ledger had a release without calls beside the first one."""
    contained.recorder.run = StepRun(run_id="release-1")
    plan = release_of(contained).plan(requester="alice")
    approval = approve(contained, plan)
    first = release_of(contained).carry_out(plan.calls, approval=approval)
    again = release_of(contained).carry_out((), approval=approval)
    assert sorted(s.name for s in again.steps) == sorted(s.name for s in first.steps)
    assert contained.recorder.ledger.actions().count(CustodyAction.TARGET_RELEASED) == 1


def test_a_release_planned_before_aws_shows_the_containment_waits_for_it(
    contained: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """IAM user guide, "Changes that I make are not always immediately visible": ListRolePolicies leaves a new policy out."""
    policies, pauses = contained.account.target.role_policies, list[float]()
    contained.account.change(role_policies=())

    def visible_later(seconds: float) -> None:
        pauses.append(seconds)
        contained.account.change(role_policies=policies)

    monkeypatch.setattr(release.time, "sleep", visible_later)
    plan = release_of(contained).plan(requester="alice")
    assert "delete_role_policy" in {call.operation for call in plan.calls} and len(pauses) == 2, "seen twice alike"
    assert release_of(contained).carry_out(plan.calls, approval=approve(contained, plan)).outcome is Outcome.DONE


def test_what_aws_hides_again_when_the_release_begins_is_released_all_the_same(
    contained: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reads are not monotonic: the plan saw the deny policy, the first look of the release does not."""
    plan = release_of(contained).plan(requester="alice")
    policies = contained.account.target.role_policies
    contained.account.change(role_policies=())
    first = release_of(contained).pending().calls
    assert "delete_role_policy" not in {call.operation for call in first}
    contained.account.change(role_policies=policies)
    result = release_of(contained).carry_out(first, approval=approve(contained, plan))
    assert (result.outcome, result.differences) == (Outcome.DONE, ())
    assert contained.account.target.role_policies == ()


def test_what_somebody_has_undone_is_not_waited_for_without_end(
    contained: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(release.time, "sleep", pauses.append)
    contained.account.change(role_policies=())
    plan = release_of(contained).plan(requester="alice")
    assert "delete_role_policy" not in {call.operation for call in plan.calls} and sum(pauses) < 20


def test_a_release_twice_has_nothing_left_to_do(contained: World) -> None:
    plan = release_of(contained).plan(requester="alice")
    release_of(contained).carry_out(plan.calls, approval=approve(contained, plan))
    assert release_of(contained).pending().calls == ()


def test_a_release_stops_at_the_first_call_that_fails_and_continues_there(contained: World) -> None:
    plan = release_of(contained).plan(requester="alice")
    contained.account.refused = {"exit_standby"}
    result = release_of(contained).carry_out(plan.calls, approval=approve(contained, plan))
    assert result.outcome is Outcome.PARTIAL and result.released_at is None
    assert [s.done for s in result.steps].count(False) == 1 and not result.steps[-1].done
    assert len(result.steps) < len(plan.calls)
    assert result.reason is not None and "scaling.lifecycle: was 'InService', is 'Standby'" in result.reason
    assert "Release is PARTIAL" in contained.recorder.subjects[-1]
    assert "release" not in contained.recorder.ledger.signed
    contained.account.refused.clear()
    left = release_of(contained).pending().calls
    assert left[0].operation == "exit_standby"
    assert release_of(contained).carry_out(left, approval=approve(contained, plan)).outcome is Outcome.DONE


def test_what_cannot_be_read_cannot_be_restored(contained: World) -> None:
    contained.account.change(unknown=("IAM said no",))
    with pytest.raises(ContainmentError, match="cannot be read completely: IAM said no"):
        release_of(contained).plan(requester="alice")


def test_a_release_ends_the_approval_of_the_isolation(contained: World) -> None:
    contained.recorder.put(case_keys.APPROVAL, granted("d" * 64))
    plan = release_of(contained).plan(requester="alice")
    release_of(contained).carry_out(plan.calls, approval=approve(contained, plan))
    found = contained.recorder.get(case_keys.APPROVAL, Approval)
    assert found is not None and found.void == "the target was released"


def test_the_words_of_who_asks_are_one_line(contained: World) -> None:
    plan = release_of(contained).plan(requester="alice\n# x", reason="false alarm\n\n<!--\u202e")
    assert (plan.requester, plan.reason) == ("alice⏎ # x", "false alarm⏎ ⏎ <!--[U+202E]")


def test_a_call_that_took_no_effect_yet_is_made_again(contained: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """An id that EC2 or IAM does not know everywhere yet is answered like one that is gone (EC2 developer guide,
    *Eventual consistency in the Amazon EC2 API*)."""
    lost, pauses, real = list[ApiCall](), list[float](), Account.carry_out

    def carry_out(self: Account, call: ApiCall, params: Mapping[str, object]) -> str | None:
        if call.operation == "delete_role_policy" and not lost:
            lost.append(call)
            return None
        return real(self, call, params)

    plan = release_of(contained).plan(requester="alice")
    monkeypatch.setattr(Account, "carry_out", carry_out)
    monkeypatch.setattr(release.time, "sleep", pauses.append)
    result = release_of(contained).carry_out(plan.calls, approval=approve(contained, plan))
    assert result.outcome is Outcome.DONE and result.differences == ()
    assert len(lost) == 1 and len(pauses) == 1


def test_a_call_that_took_effect_before_it_was_shown_is_no_failure(
    contained: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made again because EC2 does not show it yet, AssociateIamInstanceProfile answers IncorrectState (EC2's error codes)."""
    plan = release_of(contained).plan(requester="alice")
    real, late = TargetRelease.pending, [contained.account.target]

    def pending(self: TargetRelease) -> PendingRelease:
        seen = real(self)
        if seen.calls or not late:
            return seen
        calls = release_calls(contained.account.original, facts=late[0], case_id=contained.recorder.case_id)
        shown = PendingRelease(late[0], tuple(calls))
        contained.account.refused = {call.operation for call in calls}
        if len(looks) > 1:
            late.clear()
        looks.append(1)
        return shown

    looks: list[int] = []
    monkeypatch.setattr(TargetRelease, "pending", pending)
    result = release_of(contained).carry_out(plan.calls, approval=approve(contained, plan))
    assert (result.outcome, result.reason) == (Outcome.DONE, None) and len(looks) == 2 + 1
