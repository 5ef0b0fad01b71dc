"""Stacks that do not depend on each other are deployed at once, outputs stay in order, a failure stops what comes later and nothing else."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from infra.deployment import configuration, plan, waves
from infra.deployment.operations import DeployError
from infra.deployment.plan import Step
from tests.templates.test_plan import EXAMPLE

STEP = Step(account="members", account_id="1", region="r", stack="forensics-member-roles", template="member-roles")


def places(number: int) -> list[Step]:
    return [replace(STEP, account_id=str(n)) for n in range(number)]


def test_a_wave_is_one_stack_everywhere_and_the_order_of_stacks_stays() -> None:
    config = configuration.read(EXAMPLE)
    config = replace(
        config, accounts={**config.accounts, "members": ["333344445555", "444455556666"]}, member_regions=("eu-central-1", "us-east-1")
    )  # fmt: skip
    steps = plan.steps(config)
    made = waves.waves(steps)
    assert [s for wave in made for s in wave] == steps
    assert all(len({(s.stack, s.template) for s in wave}) == 1 for wave in made)
    assert max(len(wave) for wave in made) == 4, "two accounts in two Regions"


def test_the_stacks_of_a_wave_run_at_the_same_time() -> None:
    """Each waits for all others: one after the other they would wait for ever."""
    together = threading.Barrier(4, timeout=30)

    def apply(step: Step) -> dict[str, str]:
        together.wait()
        return {"Made": step.account_id}

    assert waves.carry_out(places(4), apply) == [{"Made": str(n)} for n in range(4)]


def test_at_most_so_many_at_once() -> None:
    now, most, lock = 0, 0, threading.Lock()

    def apply(_: Step) -> dict[str, str]:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        with lock:
            now -= 1
        return {}

    waves.carry_out(places(40), apply, at_once=3)
    assert 1 <= most <= 3


def test_a_failure_in_one_place_keeps_no_other_from_its_end_and_all_are_named() -> None:
    done = []

    def apply(step: Step) -> dict[str, str]:
        if step.account_id in {"1", "3"}:
            raise DeployError(f"account {step.account_id} is suspended")
        done.append(step.account_id)
        return {}

    with pytest.raises(DeployError) as failed:
        waves.carry_out(places(5), apply)
    assert sorted(done) == ["0", "2", "4"]
    assert "2 of 5 places failed" in str(failed.value)
    assert "account 1 is suspended" in str(failed.value) and "account 3 is suspended" in str(failed.value)


def test_the_deployment_uses_them() -> None:
    assert "waves.carry_out(wave" in Path(plan.__file__).with_name("deploy.py").read_text("utf-8")
