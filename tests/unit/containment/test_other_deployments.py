"""A target that another deployment has contained: named, not contained twice, not opened, and looked at until it is released there."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from forensics import case_keys
from forensics.containment.drift_watch import HELD, DriftWatch
from forensics.containment.isolation import TargetIsolation
from forensics.containment.other_deployments import other_containments
from forensics.containment.protection import TargetProtection
from forensics.containment.release import TargetRelease
from forensics.containment.restore_points import RestorePoints
from forensics.containment.watch_list import is_watched
from forensics.errors import ContainmentError, HeldElsewhereError
from forensics.models.case import CaseStatus, StepFailure
from forensics.models.containment import ContainmentResult, ContainmentState
from forensics.models.evidence import Outcome
from forensics.models.target_facts import GroupFacts, OtherContainment
from tests.unit.builders import NOW
from tests.unit.containment.case_world import World
from tests.unit.containment.targets import eni, facts

THEIRS = "fc-20261130-0123456789"
CLOSED = GroupFacts(name=f"blue-quarantine-{THEIRS}-0123abcd", tags={"blue:case": THEIRS}, rules=0)
HELD_BY_BLUE = OtherContainment(deployment="blue", case_id=THEIRS, interface_ids=("eni-0",))


def group(**changes: Any) -> GroupFacts:
    return GroupFacts(**{"name": CLOSED.name, "tags": CLOSED.tags, "rules": 0, **changes})


def test_a_deployment_s_empty_group_alone_on_an_interface_is_a_containment() -> None:
    here = [eni(0, group_ids=("sg-blue",)), eni(1, group_ids=("sg-blue",))]
    (found,) = other_containments(here, groups={"sg-blue": CLOSED})
    assert (found.deployment, found.case_id, found.interface_ids) == ("blue", THEIRS, ("eni-0", "eni-1"))
    assert facts(interfaces=tuple(here), elsewhere=(found,)).held == found
    assert str(found) == f"deployment blue (its case {THEIRS})"


@pytest.mark.parametrize(
    "fake",
    [
        group(rules=1),
        group(tags={}),
        group(tags={"blue:case": "fc-20261130-ffffffffff"}),
        group(tags={"green:case": THEIRS}),
        group(name="blue-quarantine-something"),
        group(name=f"Blue-quarantine-{THEIRS}-1"),
        group(name=f"aws-quarantine-{THEIRS}-1", tags={"aws:case": THEIRS}),
        group(name=f"forensics-quarantine-{THEIRS}-1", tags={"forensics:case": THEIRS}),
        group(name=f"blue-conversion-{THEIRS}-1"),
    ],
)
def test_what_is_open_or_only_named_so_keeps_nobody_from_containing(fake: GroupFacts) -> None:
    """Whoever may tag and make groups could keep a target open otherwise."""
    assert other_containments([eni(group_ids=("sg-blue",))], groups={"sg-blue": fake}) == ()


def test_one_interface_that_is_not_closed_is_a_target_that_is_not_contained() -> None:
    both = [eni(0, group_ids=("sg-blue",)), eni(1, group_ids=("sg-blue", "sg-app"))]
    found = other_containments(both, groups={"sg-blue": CLOSED})
    assert found[0].interface_ids == ("eni-0",) and facts(interfaces=tuple(both), elsewhere=found).held is None
    assert facts(interfaces=(), elsewhere=found).held is None


@pytest.fixture
def held(world: World) -> World:
    """The target is in blue's group."""
    world.account.change(interfaces=(eni(0, group_ids=("sg-blue",)),), elsewhere=(HELD_BY_BLUE,))
    return known(world)


def known(world: World) -> World:
    """The deployment blue is one that this one knows."""
    world.settings = world.settings.model_copy(update={"other_deployments": "green, blue"})
    return world


def isolation(world: World) -> TargetIsolation:
    return TargetIsolation(world.recorder, world.gateway, world.settings, response=world.response)


def test_it_is_not_contained_a_second_time_and_people_are_told_once(held: World) -> None:
    for _ in range(2):
        result = isolation(held).isolate()
        assert (result.outcome, result.held_elsewhere) == (Outcome.SKIPPED, True)
    assert held.account.calls == [] and "deployment blue" in str(result.reason)
    assert RestorePoints(held.recorder).get() is None, "its groups would be blue's"
    assert [s.rpartition(": ")[2] for s in held.recorder.subjects] == ["Contained already, by another deployment"]
    assert is_watched(held.recorder.gateways.store, held.recorder.case_id)


def test_an_imitation_keeps_nobody_from_containing(held: World) -> None:
    """Whoever may make groups can make one that looks like another deployment's; open connections go on in it."""
    held.settings = held.settings.model_copy(update={"other_deployments": "green"})
    for _ in range(2):
        result = isolation(held).isolate()
    assert (result.outcome, result.held_elsewhere) == (Outcome.DONE, False) and held.account.calls
    told = [s for s in held.recorder.subjects if s.endswith("ALERT: closed by an unknown deployment")]
    assert len(told) == 1, held.recorder.subjects
    assert RestorePoints(held.recorder).get() is not None


def test_it_is_not_protected_a_second_time(held: World) -> None:
    done = TargetProtection(held.recorder, held.gateway, held.settings, response=held.response).protect()
    assert (done.outcome, done.made) == (Outcome.NOT_APPLICABLE, ()) and "deployment blue" in str(done.reason)
    assert held.account.calls == [] and RestorePoints(held.recorder).get() is None


def test_contained_while_this_case_still_acquired_it_stays_theirs(world: World) -> None:
    """The plan and the restore point are this case's from before; nothing is changed all the same."""
    isolation(known(world))._planner.prepare()
    world.account.change(interfaces=(eni(0, group_ids=("sg-blue",)),), elsewhere=(HELD_BY_BLUE,))
    assert isolation(world).restrict_to_endpoints() != []
    assert isolation(world).isolate().held_elsewhere and world.account.calls == []


def test_when_it_is_open_again_the_case_says_so_once_and_contains_it_when_asked(held: World) -> None:
    isolation(held).isolate()
    watcher = DriftWatch(held.recorder, held.gateway, held.settings, response=held.response)
    assert watcher.look(NOW) == "as it was"
    held.account.change(interfaces=held.account.original.interfaces, elsewhere=())
    assert watcher.look(NOW + timedelta(minutes=5)) == "drifted"
    failure = held.recorder.get(f"{case_keys.FAILURE}{HELD}", StepFailure)
    assert failure is not None and "does not hold it closed any more" in failure.cause
    assert not is_watched(held.recorder.gateways.store, held.recorder.case_id)
    result = isolation(held).isolate()
    assert (result.outcome, result.held_elsewhere) == (Outcome.DONE, False)


def test_what_cannot_be_read_is_not_taken_for_closed(held: World) -> None:
    isolation(held).isolate()
    held.account.change(elsewhere=(), unknown=("describe security groups: denied",))
    watcher = DriftWatch(held.recorder, held.gateway, held.settings, response=held.response)
    with pytest.raises(ContainmentError, match="is not known"):
        watcher.look(NOW)


def test_a_closed_case_no_longer_looks(held: World) -> None:
    isolation(held).isolate()
    held.recorder.case = held.recorder.case.model_copy(update={"status": CaseStatus.CLOSED})
    watcher = DriftWatch(held.recorder, held.gateway, held.settings, response=held.response)
    assert watcher.look(NOW) == "left alone" and not is_watched(held.recorder.gateways.store, held.recorder.case_id)


def test_a_release_opens_nothing_that_another_has_closed_since(world: World) -> None:
    isolation(world).isolate()
    before = world.recorder.get(case_keys.CONTAINMENT, ContainmentResult)
    known(world).account.change(elsewhere=(HELD_BY_BLUE,))
    world.account.calls.clear()
    release = TargetRelease(world.recorder, world.gateway, world.settings, original=world.account.original)
    with pytest.raises(HeldElsewhereError, match="would open what it closed") as refused:
        release.plan(requester="alice")
    assert "release it there first" in refused.value.next_action and world.account.calls == []
    # nor does the watchdog, which closes drift, take it from the other
    assert before is not None and before.state is ContainmentState.NEW_FLOWS_BLOCKED
