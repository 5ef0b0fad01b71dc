"""A person's request in the UI: the finding that it becomes, and what is refused."""

from __future__ import annotations

import pytest

from forensics.errors import InvalidCaseError
from forensics.intake.manual_request import ManualRequest
from forensics.models.approval import Person
from forensics.models.artifact import ArtifactKind
from forensics.models.finding import FindingSource
from tests.unit.builders import ACCOUNT, IMAGE, INSTANCE, NOW, REGION, SNAPSHOT, case

PLACE = {"account_id": ACCOUNT, "region": REGION, "instance_id": INSTANCE}


def test_the_finding_says_who_asked_for_what_and_why() -> None:
    request = ManualRequest(**PLACE, actions="memory+isolate", reason="ticket 4711", requester="Ada")
    finding = request.finding(run_id="manual__1", requested_at=NOW, user=Person(login="ada.l"))
    assert finding.source is FindingSource.MANUAL and finding.finding_id == "manual:manual__1"
    assert finding.title == "Manual request: ticket 4711" and finding.reason == "ticket 4711"
    assert finding.requester == "Ada (Airflow user ada.l)"
    assert finding.requested == {"memory": True, "disk": False, "isolate": True}
    assert finding.created_at == NOW and finding.asked_by == Person(login="ada.l")


@pytest.mark.parametrize("actions", ["by-policy", ""])
def test_by_policy_asks_for_nothing_by_name(actions: str) -> None:
    finding = ManualRequest(**PLACE, actions=actions).finding(run_id="r", requested_at=NOW)
    assert finding.requested is None
    assert (finding.title, finding.reason) == ("Manual request: no reason given", None)


@pytest.mark.parametrize(
    ("typed", "user", "requester"),
    [
        ("", "ada.l", "Airflow user ada.l"),
        ("Ada", None, "Ada"),
        ("", None, "the Airflow user who started the run"),
    ],
)
def test_whoever_is_known_is_named(typed: str, user: str | None, requester: str) -> None:
    request = ManualRequest(**PLACE, requester=typed)
    assert (
        request.finding(run_id="r", requested_at=NOW, user=Person(login=user) if user else None).requester == requester
    )


def test_the_key_follows_from_run_and_instance() -> None:
    keys = [ManualRequest(**PLACE).finding(run_id=run, requested_at=NOW).key for run in ("a", "a", "b")]
    assert keys[0] == keys[1] != keys[2]


def test_every_wrong_parameter_is_named() -> None:
    with pytest.raises(InvalidCaseError) as caught:
        ManualRequest("12", "nowhere", INSTANCE).finding(run_id="r", requested_at=NOW)
    message = str(caught.value)
    assert "account_id = '12'" in message and "region = 'nowhere'" in message and "instance_id" not in message
    assert caught.value.next_action == "start the DAG again with correct parameters; nothing was changed in AWS"


@pytest.mark.parametrize("given", [PLACE, {}])
def test_the_cases_own_instance_or_none_is_accepted(given: dict[str, str]) -> None:
    ManualRequest(**given).check_same_instance(case())
    with pytest.raises(InvalidCaseError):
        ManualRequest(**{**given, "region": "us-east-1"}).check_same_instance(case())


@pytest.mark.parametrize(
    ("name", "value"), [("account_id", "111122223333"), ("region", "us-east-1"), ("instance_id", "i-0ffffffffffffffff")]
)
def test_another_instance_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(InvalidCaseError, match=f"{name} .*not {value}"):
        ManualRequest(**{**PLACE, name: value}).check_same_instance(case())


@pytest.mark.parametrize(
    ("typed", "kind"), [(SNAPSHOT, ArtifactKind.SNAPSHOT), (IMAGE, ArtifactKind.IMAGE), (INSTANCE, None)]
)
def test_a_snapshot_or_an_image_is_asked_for_as_an_instance_is(typed: str, kind: ArtifactKind | None) -> None:
    asked = ManualRequest(ACCOUNT, REGION, typed).finding(run_id="r", requested_at=NOW)
    assert asked.instance_id == typed and (asked.artifact.kind if asked.artifact else None) is kind


@pytest.mark.parametrize("typed", ["snap-1", "ami-", "vol-0123456789abcdef0"])
def test_what_is_neither_is_named(typed: str) -> None:
    with pytest.raises(InvalidCaseError, match=typed):
        ManualRequest(ACCOUNT, REGION, typed).finding(run_id="r", requested_at=NOW)
