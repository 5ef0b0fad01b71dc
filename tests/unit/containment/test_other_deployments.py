"""A target that another deployment has contained: named, not contained twice, not opened, and looked at until it is released there."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from forensics import case_keys
from forensics.containment import planner as planning
from forensics.containment.drift_watch import HELD, DriftWatch
from forensics.containment.isolation import TargetIsolation
from forensics.containment.other_deployments import other_containments, others_under_way
from forensics.containment.protection import TargetProtection
from forensics.containment.release import TargetRelease
from forensics.containment.release_plan import release_calls
from forensics.containment.restore_points import RestorePoints
from forensics.containment.watch_list import is_watched
from forensics.errors import ContainmentError, HeldElsewhereError
from forensics.models.approval import Approval
from forensics.models.case import CaseStatus, StepFailure
from forensics.models.containment import ContainmentResult, ContainmentState
from forensics.models.evidence import Outcome
from forensics.models.target_facts import GroupFacts, OtherContainment
from tests.unit.builders import NOW
from tests.unit.containment.case_world import World
from tests.unit.containment.targets import eni, facts, granted

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


MOVING = OtherContainment(deployment="blue", case_id=THEIRS, interface_ids=("eni-0",))


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses of waits for another deployment, which take no time."""
    made: list[float] = []
    monkeypatch.setattr(planning.time, "sleep", made.append)
    return made


@pytest.mark.parametrize(
    ("purpose", "rules", "under_way"),
    [("conversion", 4, True), ("conversion", 0, True), ("access", 1, True), ("quarantine", 1, True), ("quarantine", 0, False)],
)  # fmt: skip
def test_what_another_deployment_has_begun_and_not_closed_is_under_way(
    purpose: str, rules: int, under_way: bool
) -> None:
    theirs = group(name=f"blue-{purpose}-{THEIRS}-0123abcd", rules=rules)
    here, groups = [eni(group_ids=("sg-blue",))], {"sg-blue": theirs}
    assert bool(others_under_way(here, groups=groups)) is under_way
    assert bool(other_containments(here, groups=groups)) is not under_way
    assert others_under_way(here, groups={"sg-blue": group(name=theirs.name, tags={}, rules=4)}) == ()


def test_one_that_is_just_being_moved_is_read_again_until_it_is_closed(world: World, pauses: list[float]) -> None:
    """A restore point taken in between would have the other deployment's groups."""
    account = known(world).account
    account.change(interfaces=(eni(0, group_ids=("sg-open",)),), under_way=(MOVING,))
    slept = pauses.append

    def closes_it(seconds: float) -> None:
        slept(seconds)
        if len(pauses) == 3:
            account.change(interfaces=(eni(0, group_ids=("sg-blue",)),), under_way=(), elsewhere=(HELD_BY_BLUE,))

    planning.time.sleep = closes_it  # type: ignore[assignment]  # undone by the fixture
    assert isolation(world).isolate().held_elsewhere and len(pauses) == 3
    assert RestorePoints(world.recorder).get() is None and account.calls == []


def test_one_that_another_deployment_left_half_way_is_contained_and_its_groups_are_not_made_up(
    world: World, pauses: list[float]
) -> None:
    """The other one may have died: nothing waits for it for ever, and a release opens nothing by a group of the other's."""
    world.account.change(interfaces=(eni(0, group_ids=("sg-open",)), eni(1)), under_way=(MOVING,))
    result = isolation(known(world)).isolate()
    assert (result.outcome, result.held_elsewhere) == (Outcome.DONE, False) and 0 < sum(pauses) <= 60
    point = RestorePoints(world.recorder).get()
    assert point is not None and point.facts is not None
    assert [i.group_ids for i in point.interfaces] == [(), ("sg-app",)] == [i.group_ids for i in point.facts.interfaces]
    (warning,) = [w for w in RestorePoints(world.recorder).warnings() if "does not know which groups eni-0 had" in w]
    assert "they stay closed" in warning
    calls = release_calls(point.facts, facts=world.account.target, case_id=world.recorder.case_id)
    moved = [
        c.params["NetworkInterfaceId"]
        for c in calls
        if c.operation == "modify_network_interface_attribute" and "Groups" in c.params
    ]
    assert moved == ["eni-1"]


def test_nobody_waits_for_a_deployment_that_is_not_known(world: World, pauses: list[float]) -> None:
    world.account.change(interfaces=(eni(0, group_ids=("sg-open",)),), under_way=(MOVING,))
    assert isolation(world).isolate().outcome is Outcome.DONE and pauses == []


def test_who_comes_second_leaves_the_interfaces_alone_and_takes_its_groups_away(
    world: World, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read as open by both; the other one moves it while this one makes its groups."""
    account = known(world).account
    look = type(world.gateway.facts).begun_elsewhere

    def moved_meanwhile(reader: Any, instance_id: str) -> Any:
        account.change(interfaces=(eni(0, group_ids=("sg-blue",)),), elsewhere=(HELD_BY_BLUE,))
        return look(reader, instance_id)

    monkeypatch.setattr(type(world.gateway.facts), "begun_elsewhere", moved_meanwhile)
    assert isolation(world).isolate().held_elsewhere
    made = [c.operation for c in account.calls]
    assert not [c for c in account.calls if "Groups" in c.params] and "disassociate_address" not in made
    assert made.count("create_security_group") == made.count("delete_security_group") > 0
    point = RestorePoints(world.recorder).get()
    assert point is not None and point.interfaces[0].group_ids == ("sg-app",), "from before anybody moved it"


def test_whoever_only_begins_again_and_again_keeps_no_target_open(
    world: World, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    account = known(world).account
    looks: list[str] = []

    def begun(_: Any, instance_id: str) -> Any:
        looks.append(instance_id)
        return (MOVING,)

    monkeypatch.setattr(type(world.gateway.facts), "begun_elsewhere", begun)
    assert isolation(world).isolate().outcome is Outcome.DONE, "the same try contains it, without a second look"
    assert len(looks) == 1 and account.target.interfaces[0].group_ids != ("sg-app",)
    assert [line for line in world.recorder.notes if "not isolated from here yet: deployment blue" in line]


def test_an_approved_isolation_that_waited_for_another_deployment_goes_on_under_its_approval(
    world: World, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    planner = isolation(known(world))._planner
    plan, _ = planner.prepare()
    plan = plan.model_copy(update={"approval": ("a person wants to be asked",)})
    world.recorder.put(case_keys.CONTAINMENT_PLAN, plan)
    world.recorder.put(case_keys.APPROVAL, granted(plan.digest))
    monkeypatch.setattr(type(world.gateway.facts), "begun_elsewhere", lambda *_: (MOVING,))
    assert isolation(world).isolate().outcome is Outcome.DONE
    used = world.recorder.get(case_keys.APPROVAL, Approval)
    assert used is not None and used.used_at and used.spent_at
