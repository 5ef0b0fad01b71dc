"""The step that protects the target: never in the way of the acquisition, and the roles that it uses."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from forensics import case_keys
from forensics.containment.protection_operators import ProtectTargetOperator, end_protection
from forensics.errors import AccessDeniedError
from forensics.models.evidence import Outcome
from forensics.models.plan import Action
from forensics.models.protection import ProtectionResult
from tests.unit.builders import CASE_ID, decision
from tests.unit.containment.case_world import World
from tests.unit.containment.test_operators import run_context


def protect() -> Any:
    """Run the step."""
    return ProtectTargetOperator(task_id="triage.protect_target", case_id=CASE_ID).execute(run_context())


def result(world: World) -> ProtectionResult:
    """What is on record."""
    found = world.recorder.get(case_keys.PROTECTION, ProtectionResult)
    assert found is not None
    return found


class OnlySettings:
    """Sessions of a closing case."""

    def __init__(self, world: World) -> None:
        self.settings = world.settings
        self._world = world

    def target(self, phase: str) -> str:
        """Remember the role."""
        self._world.phases.append(phase)
        return phase


def test_the_target_is_protected_under_the_role_that_closes(airflow_side: World) -> None:
    assert protect() == {"outcome": "DONE", "changes": 9, "open": []}
    assert airflow_side.phases == ["contain"]


def test_closing_takes_it_back_under_the_role_that_opens_and_asks_for_no_role_when_there_is_nothing(
    airflow_side: World,
) -> None:
    sessions: Any = OnlySettings(airflow_side)
    end_protection(airflow_side.recorder, sessions, airflow_side.response)
    assert airflow_side.phases == []
    protect()
    end_protection(airflow_side.recorder, sessions, airflow_side.response)
    assert airflow_side.phases == ["contain", "release"]
    assert airflow_side.account.target == airflow_side.account.original


def test_a_case_that_acquires_nothing_changes_nothing(airflow_side: World) -> None:
    nothing = {name: decision(Action(name), wanted=False) for name in ("memory", "disk")}
    airflow_side.decide(**nothing)
    with pytest.raises(AirflowSkipException, match="nothing is acquired"):
        protect()
    assert airflow_side.account.calls == [] and airflow_side.phases == []


def test_a_role_that_cannot_be_assumed_is_a_refusal_and_no_failure(
    airflow_side: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: object, phase: str) -> None:
        raise AccessDeniedError(f"assume role forensics-{phase}: refused")

    monkeypatch.setattr(
        "tests.unit.containment.case_world.World.gateway", property(lambda self: refused(self, "contain"))
    )
    assert protect()["outcome"] == "FAILED"
    assert result(airflow_side).refused and not result(airflow_side).complete
    assert "NOT fully protected" in airflow_side.recorder.subjects[-1]


def test_a_step_that_failed_for_good_leaves_the_target_counted_as_unprotected(airflow_side: World) -> None:
    step = ProtectTargetOperator(task_id="triage.protect_target", case_id=CASE_ID)
    step.on_final_failure(airflow_side.recorder, "killed")
    assert (result(airflow_side).outcome, result(airflow_side).complete) == (Outcome.FAILED, False)


def test_before_triage_has_ended_nothing_is_changed(airflow_side: World) -> None:
    airflow_side.recorder.store.remove(CASE_ID, case_keys.PLAN)
    with pytest.raises(AirflowSkipException, match="there is no response plan"):
        protect()
    assert airflow_side.account.calls == []
