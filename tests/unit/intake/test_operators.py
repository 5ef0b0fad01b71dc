"""The first task of a case's run: rendered parameters, retries, and refusals that people hear of."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from forensics import case_keys
from forensics.errors import CaseConflictError, ThrottledError
from forensics.intake import operators
from forensics.intake.manual_request import ManualRequest
from forensics.intake.operators import OpenCaseOperator
from forensics.models.approval import Person
from forensics.models.custody import CustodyAction
from forensics.models.notices import CaseLabel
from tests.integration.steps import DagRun
from tests.unit.builders import ACCOUNT, CASE_ID, INSTANCE, NOW, REGION, case, finding
from tests.unit.recorders import FakeRecorder, Mailbox, TaskInstance

pytestmark = pytest.mark.usefixtures("settings_environment")
PLACE = {"account_id": ACCOUNT, "region": REGION, "instance_id": INSTANCE}


class World:
    """The operator's surroundings: a recorder of one case, and a mailbox for refusals."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.recorder, self.mailbox = FakeRecorder(), Mailbox()
        self.recorder.store.put(CASE_ID, case_keys.finding(finding()), finding())
        self.requests: list[tuple[ManualRequest, str, datetime, str | None]] = []
        self.error: Exception | None = None
        self.annotated: list[str] = []
        monkeypatch.setattr(operators, "open_requested_case", self._open)
        monkeypatch.setattr(operators, "read_label", lambda session, instance_id: CaseLabel(instance_name="web-1"))
        monkeypatch.setattr(operators, "open_recorder", lambda hook, case_id, step: self.recorder)
        monkeypatch.setattr(operators, "annotate", lambda findings, **_: self.annotated.extend(f.key for f in findings))
        monkeypatch.setattr(operators.Notifier, "of", lambda session, settings: self.mailbox)

    def _open(
        self, admission: object, request: ManualRequest, *, run_id: str, requested_at: datetime, user: str | None
    ) -> str:
        self.requests.append((request, run_id, requested_at, user))
        if self.error:
            raise self.error
        return CASE_ID

    def run(self, params: dict[str, Any], *, try_number: int = 3) -> str:
        """Run the task as Airflow does: render its arguments, then execute it."""
        task = OpenCaseOperator(task_id="open_case")
        run = DagRun("manual__1", triggering_user_name="ada.l", run_after=NOW)
        context: Any = {"ti": TaskInstance(try_number), "params": params, "dag_run": run}
        task.render_template_fields(context)
        return task.execute(context)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def test_a_persons_parameters_become_a_request(world: World) -> None:
    asked = {**PLACE, "actions": "memory", "reason": "ticket {{ 7*7 }}", "requester": "Ada", "case_id": None}
    assert world.run(asked) == CASE_ID
    request = ManualRequest(**PLACE, actions="memory", reason="ticket {{ 7*7 }}", requester="Ada")
    assert world.requests == [(request, "manual__1", NOW, Person(login="ada.l"))]
    assert world.recorder.ledger.actions() == [CustodyAction.CASE_OPENED]
    assert world.annotated == [finding().key]


def test_a_run_that_the_intake_started_continues_its_case(world: World) -> None:
    assert world.run({"case_id": CASE_ID, **PLACE}) == CASE_ID
    assert world.requests == []
    assert world.recorder.case_now().run_id == "manual__1"
    assert world.recorder.subjects == [f"HIGH {ACCOUNT} web-1: Case opened: C2 traffic [{CASE_ID}]"]


def test_another_instance_than_the_cases_is_refused_before_anything_is_recorded(world: World) -> None:
    with pytest.raises(AirflowFailException, match="is about region eu-central-1, not us-east-1"):
        world.run({"case_id": CASE_ID, "region": "us-east-1"})
    assert world.recorder.ledger.actions() == [] and world.recorder.case_now().run_id == case().run_id
    assert world.mailbox.mail[0].event == "request_refused"


def test_a_refusal_is_final_and_announced(world: World) -> None:
    world.error = CaseConflictError("it has an open case", next_action="continue there")
    with pytest.raises(AirflowFailException, match=r"it has an open case\. What to do next: continue there"):
        world.run(PLACE)
    assert world.mailbox.mail[0].lines[1] == "What to do next: continue there"
    assert world.mailbox.mail[0].facts["instance_id"] == INSTANCE


def test_a_passing_fault_is_left_to_airflows_retry(world: World) -> None:
    world.error = ThrottledError("busy")
    with pytest.raises(ThrottledError):
        world.run(PLACE, try_number=1)
    assert world.mailbox.mail == []
    with pytest.raises(AirflowFailException, match="busy"):
        world.run(PLACE, try_number=3)
    assert len(world.mailbox.mail) == 1
