"""The waits of a drill: over when, and only when, what they wait for is there."""

from __future__ import annotations

from typing import Any
from unittest.mock import PropertyMock, create_autospec

import pytest

from forensics.aws.case_store import CaseStore
from forensics.aws.ec2 import Ec2Gateway
from forensics.aws.hook import ForensicsHook
from forensics.aws.ssm import SsmGateway
from forensics.drill import triggers
from forensics.drill.triggers import CanaryReadyTrigger, DrillCaseEndedTrigger
from forensics.errors import DrillError
from forensics.models.case import CaseStatus
from tests.unit.report import sample

SCOPE = {"account_id": "333344445555", "region": "eu-central-1", "phase": "triage", "case_id": "fc-drill"}


def ready(monkeypatch: pytest.MonkeyPatch, state: str, *, online: bool) -> Any:
    ec2, ssm = create_autospec(Ec2Gateway, instance=True), create_autospec(SsmGateway, instance=True)
    ec2.state.return_value = state
    ssm.status.return_value.online = online
    monkeypatch.setattr(Ec2Gateway, "of", lambda _: ec2)
    monkeypatch.setattr(SsmGateway, "of", lambda _: ssm)
    monkeypatch.setattr(CanaryReadyTrigger, "session", PropertyMock(return_value=None))
    return CanaryReadyTrigger(scope=SCOPE, instance_id="i-1", poll=1.0, deadline=2e9).check()


@pytest.mark.parametrize(
    ("state", "online", "there"), [("pending", False, False), ("running", False, False), ("running", True, True)]
)
def test_a_canary_is_ready_when_its_agent_is_online(
    state: str, online: bool, there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = ready(monkeypatch, state, online=online)
    assert (found is not None and found.ok) is there


def test_a_canary_that_ended_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DrillError, match="i-1 is terminated before it was ready"):
        ready(monkeypatch, "terminated", online=False)


@pytest.mark.parametrize("status", CaseStatus)
def test_a_case_is_waited_for_until_it_has_ended(status: CaseStatus, monkeypatch: pytest.MonkeyPatch) -> None:
    store = create_autospec(CaseStore, instance=True)
    store.case.return_value = sample.case(status=status)
    monkeypatch.setattr(CaseStore, "of", lambda *_: store)
    monkeypatch.setattr(triggers, "ForensicsHook", lambda: create_autospec(ForensicsHook, instance=True, settings=None))
    found = DrillCaseEndedTrigger(case_id=sample.CASE_ID, poll=1.0, deadline=2e9).check()
    assert (found is None) is (status is CaseStatus.OPEN)
    assert found is None or found.payload == {"status": status.value}
