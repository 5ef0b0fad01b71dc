"""Steps that do not wait for each other are carried out at once, a failure stops what needs it and nothing else, and the graph is shown."""

from __future__ import annotations

import random
import threading
from dataclasses import replace
from typing import Any

import pytest

from infra.deployment import configuration, plan, templates, waves
from infra.deployment.operations import DeployError
from infra.deployment.plan import EVERYTHING, Source, Step
from infra.deployment.stacks import Deployment
from tests.templates.test_plan import EXAMPLE, changed

STEP = Step(account="members", account_id="1", region="r", stack="forensics-member-roles", template="member-roles")


def places(number: int) -> list[Step]:
    return [replace(STEP, account_id=str(n)) for n in range(number)]


def chain(*stacks: str, account: str = "1") -> list[Step]:
    """``b<a`` is stack b that waits for a."""
    made = []
    for said in stacks:
        name, _, after = said.partition("<")
        made.append(replace(STEP, stack=name, account_id=account, after=tuple(filter(None, after.split("+")))))
    return made


@pytest.fixture(params=["example", "everything", "units", "blue"])
def steps(request: pytest.FixtureRequest) -> list[Step]:
    """Plans of several configurations."""
    config = configuration.read(EXAMPLE)
    everything: dict[str, Any] = {
        "DrillSubnetId": "subnet-0123456789abcdef1", "DrillVpcId": "vpc-0123456789abcdef0", "SecurityRegions": "yes", "TargetIds": ["r-ab12"],
        "BuildSubnetId": "subnet-0123456789abcdef0", "BuildSecurityGroupId": "sg-0123456789abcdef0",
    }  # fmt: skip
    if request.param == "everything":
        accounts = {**config.accounts, "members": ["333344445555", "444455556666"], "drill": "333344445555"}
        config = replace(
            changed(config, drop="AmiId", **everything), member_regions=("eu-central-1", "us-east-1"), accounts=accounts
        )
    if request.param == "units":
        config = changed(config, OrganizationalUnitIds=["ou-ab12-cdef3456"], MemberRegions=["eu-central-1"])
    if request.param == "blue":
        config = changed(config, DeploymentId="blue")
    return plan.steps(config)


def test_every_step_waits_for_all_that_its_parameters_take(steps: list[Step]) -> None:
    """And only for earlier steps, so that the plan's own order is one of those allowed."""
    needs = waves.needs(steps)
    for number, step in enumerate(steps):
        assert all(n < number for n in needs[number])
        before = {steps[n].stack for n in _all_before(needs, number)}
        outputs = {s.value for s in step.parameters.values() if s.kind == "output"}
        assert outputs <= before, f"{step.stack} takes outputs of {outputs - before}"
        if {"ReleasePrefix", "PluginsVersion"} & {n for n, s in step.parameters.items() if s.kind == "made"}:
            assert "release" in before, f"{step.stack} needs the release"
        if step.template and len(templates.text_of(step.template).encode()) > templates.LARGEST_INLINE:
            assert "release" in before, f"{step.template} is too large to be given in the call"


def _all_before(needs: waves.Needs, number: int) -> set[int]:
    found, left = set[int](), set(needs[number])
    while left:
        found |= left
        left = {m for n in left for m in needs[n]} - found
    return found


def test_the_environment_comes_after_every_role_that_asks_for_the_external_id(steps: list[Step]) -> None:
    """A new one has to be accepted everywhere when Airflow begins to use it; the organization's policies come last of all."""
    needs = waves.needs(steps)
    for number, step in enumerate(steps):
        before = {steps[n].stack for n in _all_before(needs, number)}
        if step.template == "mwaa":
            asking = {s.stack for s in steps if "ExternalIdBefore" in s.parameters}
            assert asking and asking <= before
        if step.template in ("observability", "airflow-alarms"):
            assert any(s.endswith("-mwaa") for s in before), "metric filters of its log groups"
        if step.template == "organization-policies":
            assert _all_before(needs, number) == set(range(number))


def test_names_in_after_are_stacks_of_the_plan() -> None:
    listed = plan.entries()
    known = {e.get("stack") for e in listed} | {EVERYTHING}
    assert {name for e in listed for name in e.get("after", [])} <= known


def test_outputs_that_are_taken_come_from_stacks_in_one_place(steps: list[Step]) -> None:
    """Of a stack in many places nobody could say whose output it is."""
    count = {s.stack: sum(x.stack == s.stack for x in steps) for s in steps}
    taken = {s.value for step in steps for s in step.parameters.values() if s.kind == "output"}
    assert {stack for stack in taken if count[stack] > 1} == set()


def test_a_member_account_waits_for_its_own_stacks_alone() -> None:
    one, two = chain("a", "b<a"), chain("a", "b<a", account="2")
    steps = [one[0], two[0], one[1], two[1]]
    assert waves.needs(steps) == {0: frozenset(), 1: frozenset(), 2: frozenset({0}), 3: frozenset({1})}
    elsewhere = [*places(2), replace(STEP, account_id="9", stack="c", after=(STEP.stack,))]
    assert waves.needs(elsewhere)[2] == {0, 1}


def test_the_graph_is_shown_in_ranks_and_in_the_plan() -> None:
    steps = chain("keys", "network", "store<keys", "mwaa<store+network", "last<everything")
    assert waves.text(steps).splitlines()[1:] == ["   1. keys, network", "   2. store", "   3. mwaa", "   4. last"]
    whole = plan.steps(configuration.read(EXAMPLE))
    assert "after forensics-keys" in plan.text(whole)
    data = {s["stack"]: s["after"] for s in plan.as_data(whole)["steps"]}
    assert "forensics-mwaa" in data["forensics-observability"] and data["forensics-keys"] == []


def test_what_does_not_wait_runs_at_the_same_time() -> None:
    """Each waits for all others: one after the other they would wait for ever."""
    together = threading.Barrier(4, timeout=30)
    waves.carry_out([*places(2), *chain("b", "c")], lambda _: together.wait())


def test_nothing_begins_before_what_it_needs_has_ended(steps: list[Step]) -> None:
    needs, ended, lock = waves.needs(steps), set[int](), threading.Lock()
    numbers = {id(step): n for n, step in enumerate(steps)}
    early = list[str]()

    def apply(step: Step) -> None:
        with lock:
            early.extend(step.stack for n in needs[numbers[id(step)]] if n not in ended)
            ended.add(numbers[id(step)])

    waves.carry_out(steps, apply)
    assert early == [] and len(ended) == len(steps)


def test_at_most_so_many_at_once() -> None:
    now, most, lock = 0, 0, threading.Lock()

    def apply(_: Step) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        with lock:
            now -= 1

    waves.carry_out(places(40), apply, at_once=3)
    assert 1 <= most <= 3


def test_a_failure_stops_what_needs_it_and_nothing_else() -> None:
    tried, lock = list[str](), threading.Lock()

    def apply(step: Step) -> None:
        with lock:
            tried.append(step.stack)
        if step.stack == "b":
            raise DeployError("stack b in account 1: the quota is used up")

    with pytest.raises(DeployError) as failed:
        waves.carry_out(chain("a", "b<a", "c<b", "d<c", "e<a", "f"), apply)
    assert sorted(tried) == ["a", "b", "e", "f"]
    said = str(failed.value)
    assert (
        "the quota is used up" in said and "Not tried, because they need it: c, d." in said and "run this again" in said
    )


def test_all_that_failed_are_named() -> None:
    def apply(step: Step) -> None:
        if step.account_id in {"1", "3"}:
            raise DeployError(f"account {step.account_id} is suspended")

    with pytest.raises(DeployError) as failed:
        waves.carry_out(places(5), apply)
    assert "2 of 5 steps failed" in str(failed.value)
    assert "account 1 is suspended" in str(failed.value) and "account 3 is suspended" in str(failed.value)
    assert "Not tried" not in str(failed.value)


def test_any_graph_comes_to_its_end() -> None:
    """Seeded graphs with failures: every step is tried once or named as not tried."""
    for seed in range(40):
        draw = random.Random(seed)
        stacks = [f"s{n}" for n in range(draw.randint(1, 25))]
        steps = [
            replace(STEP, stack=s, after=tuple(draw.sample(stacks[:n], min(n, draw.randint(0, 3)))))
            for n, s in enumerate(stacks)
        ]
        bad, tried, lock = {s for s in stacks if draw.random() < 0.2}, list[str](), threading.Lock()

        def apply(step: Step, *, tried: list[str] = tried, lock: Any = lock, bad: set[str] = bad) -> None:
            with lock:
                tried.append(step.stack)
            if step.stack in bad:
                raise DeployError(f"{step.stack} failed")

        try:
            waves.carry_out(steps, apply, at_once=4)
            left = ""
        except DeployError as error:
            left = str(error).partition("because they need it: ")[2].partition(". What")[0]
        assert sorted([*tried, *filter(None, left.split(", "))]) == sorted(stacks), f"seed {seed}"


def test_a_defect_ends_the_run_and_nothing_more_is_begun() -> None:
    tried = list[str]()

    def apply(step: Step) -> None:
        tried.append(step.stack)
        raise ValueError("a defect")

    with pytest.raises(ValueError, match="a defect"):
        waves.carry_out(chain("a", "b<a"), apply)
    assert tried == ["a"]


def test_a_value_comes_from_the_stack_that_the_plan_names() -> None:
    """Whichever stack ended last."""
    deployment = Deployment(clients=lambda *_: None, made={})
    deployment.of_stack = {"old": {"Name": "of-old"}, "new": {"Name": "of-new"}}
    deployment.outputs = {"Name": "of-old"}
    stack: Any = deployment.stack(STEP)
    assert deployment._value("Name", Source("output", "new"), stack, dry_run=False) == "of-new"
