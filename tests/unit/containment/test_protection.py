"""Protection of the target before its acquisition: what is changed, what is said of a refusal, what closing takes back."""

from __future__ import annotations

import pytest

from forensics import case_keys
from forensics.containment.isolation import TargetIsolation
from forensics.containment.protection import REFUSED, TargetProtection, announce_protection, taken_back_at_close
from forensics.containment.restore_points import RestorePoints
from forensics.errors import ContainmentError, CustodyError
from forensics.models.containment import ContainmentResult, RestorePoint
from forensics.models.custody import CustodyAction
from forensics.models.evidence import Outcome
from forensics.models.plan import Action
from forensics.models.protection import ProtectionResult
from tests.unit.builders import decision
from tests.unit.containment.case_world import World
from tests.unit.containment.targets import facts

PROTECTED = {
    "protect.DisableApiTermination", "protect.DisableApiStop", "protect.shutdown", "protect.volumes",
    "protect.interface.eni-0", "protect.recovery", "scaling.protect", "scaling.leave", "protect.guard",
}  # fmt: skip


def protection(world: World) -> TargetProtection:
    """The protection of a task."""
    return TargetProtection(world.recorder, world.gateway, world.settings, response=world.response)


def recorded(world: World) -> ProtectionResult:
    """What is on record."""
    found = world.recorder.get(case_keys.PROTECTION, ProtectionResult)
    assert found is not None
    return found


def test_every_protection_is_made_and_read_back_and_nothing_else_is_changed(world: World) -> None:
    result = protection(world).protect()
    assert (result.outcome, result.open, result.complete) == (Outcome.DONE, (), True)
    assert {step.id for step in result.made} == PROTECTED
    now, before = world.account.target, world.account.original
    assert now.termination_protected and now.stop_protected and now.shutdown_behavior == "stop"
    assert now.auto_recovery == "disabled" and not any(v.delete_on_termination for v in now.volumes)
    assert now.scaling and (now.scaling.lifecycle, now.scaling.protected) == ("Standby", True)
    assert (now.contained, now.memberships, now.profile) == (None, before.memberships, before.profile)
    assert [i.group_ids for i in now.interfaces] == [i.group_ids for i in before.interfaces]
    assert world.recorder.ledger.last(CustodyAction.TARGET_PROTECTED).detail["outcome"] == "DONE"


def test_the_state_before_is_the_sealed_restore_point_of_the_case(world: World) -> None:
    protection(world).protect()
    point = world.recorder.get(case_keys.RESTORE_POINT, RestorePoint)
    assert point is not None and point.facts is not None
    assert (point.facts.termination_protected, point.facts.shutdown_behavior) == (False, "terminate")
    assert RestorePoints(world.recorder).verified().auto_recovery == "default"
    actions = world.recorder.ledger.actions()
    assert actions.index(CustodyAction.RESTORE_POINT_TAKEN) < actions.index(CustodyAction.TARGET_PROTECTED)


def test_protecting_again_changes_nothing_and_forgets_nothing(world: World) -> None:
    first = protection(world).protect()
    world.account.calls.clear()
    again = protection(world).protect()
    assert world.account.calls == [] and again.made == first.made and again.outcome is Outcome.DONE


def test_a_try_that_was_killed_between_its_calls_knows_what_it_has_changed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(_: object) -> list[object]:
        world.account.change(termination_protected=True)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("forensics.containment.protection.PlanRunner.run", killed)
        with pytest.raises(KeyboardInterrupt):
            protection(world).protect()
    assert {step.id for step in protection(world).protect().made} == PROTECTED
    protection(world).undo()
    assert world.account.target == world.account.original


def test_a_refusal_is_said_is_a_gap_and_leaves_the_rest_protected(world: World) -> None:
    world.account.refused = {"enter_standby"}
    result = protection(world).protect()
    announce_protection(world.recorder, result)
    assert (result.outcome, result.refused, result.complete) == (Outcome.PARTIAL, True, False)
    assert {step.id for step in result.made} == PROTECTED - {"scaling.leave"}
    assert any("stays in Auto Scaling group web" in line for line in result.open)
    assert list(world.recorder.store.failures(world.recorder.case_id)) == [REFUSED]
    assert "snapshot goes first" in "\n".join(world.recorder.mailbox.mail[-1].lines)
    world.account.refused.clear()
    announce_protection(world.recorder, protection(world).protect())
    assert not world.recorder.store.failures(world.recorder.case_id)
    assert recorded(world).complete


def test_what_may_never_be_cut_off_stays_in_its_group_and_that_is_said(world: World) -> None:
    world.decide(isolate=decision(Action.ISOLATE, wanted=True, possible=False))
    result = protection(world).protect()
    assert "enter_standby" not in world.account.operations and "set_instance_protection" in world.account.operations
    assert result.outcome is Outcome.DONE and not result.complete and not result.refused
    assert "health check may terminate it" in result.open[0]


def test_a_spot_instance_is_not_complete_and_no_gap(world: World) -> None:
    world.account.change(spot=True)
    result = protection(world).protect()
    announce_protection(world.recorder, result)
    assert result.outcome is Outcome.DONE and not result.complete
    assert not world.recorder.store.failures(world.recorder.case_id)


def test_an_instance_that_has_ended_has_nothing_to_protect(world: World) -> None:
    world.account.change(state="terminated")
    assert protection(world).protect().outcome is Outcome.NOT_APPLICABLE
    assert world.account.calls == []


# ---------------------------------------------------------------------- the end
def test_closing_takes_back_exactly_what_the_case_has_changed(world: World) -> None:
    protection(world).protect()
    result = protection(world).undo()
    assert result is not None and result.left == () and result.undone_at is not None
    assert world.account.target == world.account.original
    assert world.recorder.ledger.last(CustodyAction.TARGET_UNPROTECTED).detail["left"] == []
    assert protection(world).undo() is None, "once is enough"


def test_what_was_protected_before_the_case_stays_so(world: World) -> None:
    world.account.original = world.account.target = facts(
        termination_protected=True,
        stop_protected=False,
        shutdown_behavior="stop",
        interfaces=world.account.target.interfaces,
    )
    protection(world).protect()
    protection(world).undo()
    assert world.account.target.termination_protected is True and world.account.target.stop_protected is False


def test_what_somebody_else_has_changed_since_is_left_and_named(world: World) -> None:
    protection(world).protect()
    group = world.account.target.scaling
    assert group is not None
    world.account.change(stop_protected=False, scaling=group.model_copy(update={"lifecycle": "InService"}))
    world.account.calls.clear()
    result = protection(world).undo()
    assert result is not None
    assert [line.split(" on ")[0] for line in result.left] == ["protect.DisableApiStop", "scaling.leave"]
    assert "exit_standby" not in world.account.operations
    assert "DisableApiStop" not in {name for call in world.account.calls for name in call.params}


def test_a_protection_that_was_refused_is_not_taken_back_when_somebody_else_made_it(world: World) -> None:
    world.account.refused = {"modify_instance_maintenance_options"}
    protection(world).protect()
    world.account.refused.clear()
    world.account.change(auto_recovery="disabled")
    protection(world).undo()
    assert world.account.target.auto_recovery == "disabled"


def test_a_contained_target_keeps_its_protections_until_the_release(world: World) -> None:
    protection(world).protect()
    TargetIsolation(world.recorder, world.gateway, world.settings, response=world.response).isolate()
    assert taken_back_at_close(world.recorder) is None and protection(world).undo() is None
    assert world.account.target.termination_protected


def test_an_isolation_that_changed_nothing_does_not_keep_them(world: World) -> None:
    protection(world).protect()
    refused = ContainmentResult(outcome=Outcome.SKIPPED, state="NOT_CONTAINED", reason="refused by bob")
    world.recorder.put(case_keys.CONTAINMENT, refused)
    assert protection(world).undo() is not None
    assert world.account.target == world.account.original


def test_an_isolation_after_the_protection_goes_back_to_the_state_before_both(world: World) -> None:
    protection(world).protect()
    TargetIsolation(world.recorder, world.gateway, world.settings, response=world.response).isolate()
    point = RestorePoints(world.recorder).verified()
    assert (point.termination_protected, point.scaling and point.scaling.lifecycle) == (False, "InService")


def test_a_call_that_fails_stops_the_way_back_and_the_next_try_goes_on(world: World) -> None:
    protection(world).protect()
    world.account.refused = {"exit_standby"}
    with pytest.raises(ContainmentError, match="could not all be taken back") as caught:
        protection(world).undo()
    assert "clear report.close_case" in caught.value.next_action
    assert recorded(world).in_force
    world.account.refused.clear()
    protection(world).undo()
    assert world.account.target == world.account.original


def test_a_restore_point_that_was_changed_takes_nothing_back(world: World) -> None:
    protection(world).protect()
    point = world.recorder.get(case_keys.RESTORE_POINT, RestorePoint)
    assert point is not None and point.facts is not None
    forged = point.facts.model_copy(update={"auto_recovery": None})
    world.recorder.put(case_keys.RESTORE_POINT, point.model_copy(update={"facts": forged}))
    with pytest.raises(CustodyError, match="nothing is changed"):
        protection(world).undo()
    assert recorded(world).in_force


def test_a_target_that_cannot_be_read_completely_is_not_half_taken_back(world: World) -> None:
    protection(world).protect()
    world.account.change(unknown=("describe Auto Scaling group: throttled",))
    with pytest.raises(ContainmentError, match="cannot be read completely"):
        protection(world).undo()
    assert recorded(world).in_force


def test_a_target_that_ended_leaves_nothing_to_take_back(world: World) -> None:
    protection(world).protect()
    world.account.gone = True
    result = protection(world).undo()
    assert result is not None and "does not exist" in result.left[0]
