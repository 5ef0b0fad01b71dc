"""The policy of one's own: read as a case reads it, and the tags that its scope names."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from typing import Any

import pytest

from forensics.aws.kms_signing import SigningKeyGateway
from forensics.aws.organizations import OrganizationsGateway
from forensics.custody.signed_documents import SignatureError, SignedDocuments
from forensics.errors import AccessDeniedError
from forensics.models.preflight import CheckStatus
from forensics.preflight.plan import quick_checks
from forensics.preflight.policy_check import PolicyCheck
from forensics.preflight.scope import PreflightScope
from tests.unit.preflight.conftest import MEMBER, FakeHook, settings_with

Answering = Callable[[type, Any], None]
PACKAGED = resources.files("forensics.triage").joinpath("policy.yaml").read_bytes()
SCOPED = PACKAGED.replace(b"isolate: all", b'isolate: [{kind: account_tag, value: "forensics:respond"}]')


class Documents:
    """One document of the tools bucket."""

    def __init__(self, body: bytes | Exception) -> None:
        self.body = body

    def origin(self, key: str) -> str:
        return f"s3://tools/{key}"

    def read(self, key: str) -> bytes:
        if isinstance(self.body, Exception):
            raise self.body
        return self.body


class Organizations:
    """The organization; it may refuse."""

    def __init__(self, refused: bool = False) -> None:
        self.refused = refused
        self.asked: list[str] = []

    def tags(self, resource_id: str) -> dict[str, str]:
        self.asked.append(resource_id)
        if self.refused:
            raise AccessDeniedError("read the tags: denied")
        return {}


@pytest.fixture
def scope() -> PreflightScope:
    """A deployment with a policy of its own."""
    return PreflightScope(FakeHook(settings_with(policy_key="policy/policy.yaml")), run="r")  # type: ignore[arg-type]


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch, answering: Answering) -> Callable[..., Organizations]:
    """Puts the document and the organization in place."""

    def put(body: bytes | Exception, *, refused: bool = False) -> Organizations:
        organizations = Organizations(refused)
        monkeypatch.setattr(SigningKeyGateway, "of_documents", lambda *_: object())
        monkeypatch.setattr(SignedDocuments, "of", lambda *_, key: Documents(body))
        answering(OrganizationsGateway, organizations)
        return organizations

    return put


def test_a_policy_without_such_tags_asks_nothing(scope: PreflightScope, given: Callable[..., Organizations]) -> None:
    organizations = given(PACKAGED)
    line = PolicyCheck(scope).run()
    assert line.status is CheckStatus.OK and line.detail.endswith(", signed") and organizations.asked == []


def test_the_tags_of_the_first_member_are_read(scope: PreflightScope, given: Callable[..., Organizations]) -> None:
    organizations = given(SCOPED)
    line = PolicyCheck(scope).run()
    assert line.status is CheckStatus.OK and "read in AWS Organizations" in line.detail
    assert organizations.asked == [MEMBER]


def test_tags_that_cannot_be_read_are_broken_with_the_next_step(
    scope: PreflightScope, given: Callable[..., Organizations]
) -> None:
    given(SCOPED, refused=True)
    line = PolicyCheck(scope).run()
    assert line.status is CheckStatus.BROKEN and "read the tags: denied" in line.detail
    assert "delegated administrator" in line.next_action and "isolations wait for a person" in line.next_action


@pytest.mark.parametrize("body", [SignatureError("it is not what was signed"), b"schema: nonsense"])
def test_a_policy_that_a_case_would_not_use_is_broken(
    scope: PreflightScope, given: Callable[..., Organizations], body: bytes | Exception
) -> None:
    given(body)
    assert PolicyCheck(scope).run().status is CheckStatus.BROKEN


def test_the_line_is_there_for_a_policy_of_ones_own_only(scope: PreflightScope, hook: FakeHook) -> None:
    assert any(isinstance(check, PolicyCheck) for check in quick_checks(scope))
    assert not any(isinstance(c, PolicyCheck) for c in quick_checks(PreflightScope(hook, run="r")))  # type: ignore[arg-type]
