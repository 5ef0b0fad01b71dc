"""The names for subjects: read where the target is, and never a reason to wait or to fail."""

from __future__ import annotations

from typing import cast

import pytest

from forensics.aws.session import AwsSession
from forensics.errors import AccessDeniedError, AwsError
from forensics.intake import case_label
from forensics.intake.case_label import read_label
from forensics.models.notices import CaseLabel
from tests.unit.builders import INSTANCE


class Session:
    """A session that is asked to be impatient, once for each question."""

    def __init__(self) -> None:
        self.impatiently = 0

    def impatient(self) -> Session:
        self.impatiently += 1
        return self


class Ec2:
    """One instance."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    def raw_instance(self, instance_id: str) -> object:
        assert instance_id == INSTANCE
        if isinstance(self.answer, AwsError):
            raise self.answer
        return self.answer


class Iam:
    """One account."""

    def __init__(self, answer: str | AwsError) -> None:
        self.answer = answer

    def account_alias(self) -> str:
        if isinstance(self.answer, AwsError):
            raise self.answer
        return self.answer


REFUSED = AccessDeniedError("no way to IAM")
NAMED = {"Tags": [{"Key": "team", "Value": "x"}, {"Key": "Name", "Value": "web-1"}]}


@pytest.mark.parametrize(
    ("instance", "alias", "expected"),
    [
        (NAMED, "acme-prod", CaseLabel(account_alias="acme-prod", instance_name="web-1")),
        ({}, "", CaseLabel()),
        (NAMED, REFUSED, CaseLabel(instance_name="web-1")),
        (REFUSED, "acme-prod", CaseLabel(account_alias="acme-prod")),
    ],
)
def test_what_can_be_read_is_the_label(
    monkeypatch: pytest.MonkeyPatch, instance: object, alias: str | AwsError, expected: CaseLabel
) -> None:
    monkeypatch.setattr(case_label.Ec2Gateway, "of", lambda session: Ec2(instance))
    monkeypatch.setattr(case_label.IamGateway, "of", lambda session: Iam(alias))
    session = Session()
    assert read_label(lambda: cast("AwsSession", session), INSTANCE) == expected
    assert session.impatiently == 2


def test_without_a_session_there_are_no_names() -> None:
    def refuse() -> AwsSession:
        raise REFUSED

    assert read_label(refuse, INSTANCE) == CaseLabel()


def test_an_artifact_is_named_by_its_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        case_label.Ec2Gateway, "of", lambda session: Ec2(AccessDeniedError("no instance is asked about"))
    )
    monkeypatch.setattr(case_label.IamGateway, "of", lambda session: Iam("acme-prod"))
    session = Session()
    assert read_label(lambda: cast("AwsSession", session), None) == CaseLabel(account_alias="acme-prod")
