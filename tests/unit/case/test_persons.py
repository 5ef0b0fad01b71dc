"""Who started a run, as far as Airflow says it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from forensics.case.persons import person_of, run_askers, step_run
from forensics.models.approval import Askers, Person


@pytest.fixture(params=["SimpleAuthManager", "FabAuthManager"])
def unique_logins(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """An auth manager whose user name is the login."""
    monkeypatch.setenv("AIRFLOW__CORE__AUTH_MANAGER", f"somewhere.{request.param}")


@pytest.fixture
def editable_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """An auth manager whose user name may be a display name."""
    monkeypatch.setenv("AIRFLOW__CORE__AUTH_MANAGER", "airflow.providers.keycloak.auth_manager.KeycloakAuthManager")


def test_a_run_of_a_person_was_asked_for_by_that_person(unique_logins: None) -> None:
    assert run_askers("alice", conf={}) == Askers(known=(Person(login="alice"),))


def test_a_name_that_can_be_changed_is_no_identity_and_still_may_not_approve(editable_names: None) -> None:
    found = run_askers("Alice L.", conf={})
    assert found.known == (Person(login="Alice L.", unique=False),)
    assert found.unknown == ("Airflow knows who started the run only by a name that can be changed (Alice L.)",)


def test_a_run_without_a_user_was_asked_for_by_nobody_known() -> None:
    assert run_askers(None, conf={}) == Askers(unknown=("Airflow does not say who started the run",))
    assert person_of("") is None


def test_an_order_from_elsewhere_stays_unknown_whoever_started_the_run(unique_logins: None) -> None:
    """The intake's user is inherited by the runs that it starts (Airflow 3.3), and has not pressed anything."""
    found = run_askers("operator", conf={"ordered_by": "custom action ForensicRelease"})
    assert found.known == (Person(login="operator"),)
    assert found.unknown == ("it was ordered by custom action ForensicRelease, which does not say by whom",)


def test_what_is_read_of_a_tasks_run(unique_logins: None) -> None:
    run: Any = SimpleNamespace(run_id="r-1", dag_id="forensic_release", triggering_user_name="alice", conf=None)
    found = step_run({"dag_run": run})  # type: ignore[typeddict-item]
    assert (found.run_id, found.dag_id, found.askers.known) == ("r-1", "forensic_release", (Person(login="alice"),))
    assert step_run({}).run_id == ""


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (Person(id="7", login="alice"), Person(id="7", login="renamed"), True),
        (Person(login="alice"), Person(id="8", login="ALICE"), True),
        (Person(login="alice"), Person(id="alice", login="Alice L."), True),
        (Person(id="7"), Person(id="8"), False),
        (Person(id="7", login="alice"), Person(id="8", login="bob"), False),
        (Person(), Person(), False),
    ],
)
def test_persons_are_compared_by_id_and_login(one: Person, other: Person, same: bool) -> None:
    assert one.is_same_as(other) is same and other.is_same_as(one) is same
