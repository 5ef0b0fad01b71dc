"""Roles, documents and keys of an account."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from forensics.aws.error_map import aws_errors
from forensics.aws.kms import KeyGateway
from forensics.aws.ssm import SsmGateway
from forensics.errors import ResourceGoneError
from forensics.models.disk import KeyFacts
from forensics.models.preflight import CheckStatus
from forensics.preflight.account_checks import (
    DocumentCheck,
    MemberKeyCheck,
    RoleCheck,
    forensic_documents,
    member_documents,
)
from forensics.preflight.scope import PreflightScope
from tests.unit.preflight.conftest import FORENSIC, MEMBER, REGION, SECURITY, FakeHook

Answering = Callable[[type, Any], None]


class Documents:
    """Documents by name: hash and status."""

    def __init__(self, held: dict[str, tuple[str, str]]) -> None:
        self.held = held

    def document_hash(self, name: str, sha256: str) -> tuple[str, str]:
        if name not in self.held:
            raise ResourceGoneError(f"{name} is not there")
        return self.held[name]


def released() -> dict[str, tuple[str, str]]:
    return {d.name: (d.sha256, "Active") for d in member_documents()}


def documents(scope: PreflightScope) -> DocumentCheck:
    return DocumentCheck(scope, member_documents(), account_id=MEMBER, region=REGION, phase="acquire")


def test_documents_as_released_are_in_order(scope: PreflightScope, answering: Answering) -> None:
    answering(SsmGateway, Documents(released()))
    assert documents(scope).run().status is CheckStatus.OK
    assert {d.name for d in forensic_documents()} & {d.name for d in member_documents()} == set()


@pytest.mark.parametrize(
    ("change", "said"),
    [(None, "does not exist"), (("0" * 64, "Active"), "has SHA-256 000000000000"), (("", "Creating"), "is Creating")],
)
def test_a_document_that_differs_is_named(
    scope: PreflightScope, answering: Answering, change: tuple[str, str] | None, said: str
) -> None:
    held, name = released(), member_documents()[0].name
    if change:
        held[name] = change
    else:
        del held[name]
    answering(SsmGateway, Documents(held))
    line = documents(scope).run()
    assert (line.status, name in line.detail, said in line.detail) == (CheckStatus.BROKEN, True, True)
    assert f"forensics-member-documents of this release in account {MEMBER}" in line.next_action


@pytest.mark.parametrize(
    ("account", "phase", "stack"),
    [
        (MEMBER, "acquire", "forensics-member-roles"),
        (MEMBER, "release", "forensics-member-containment"),
        (SECURITY, "findings", "forensics-security"),
        (FORENSIC, "custodian", "forensics-roles"),
    ],
)
def test_a_role_that_is_refused_names_its_stack(
    scope: PreflightScope, hook: FakeHook, monkeypatch: pytest.MonkeyPatch, account: str, phase: str, stack: str
) -> None:
    def refuse(_: object) -> None:
        with aws_errors("assume role"):
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "not authorized"}}, "AssumeRole")

    monkeypatch.setattr(hook, "session", refuse)
    line = RoleCheck(scope, account_id=account, phase=phase).run()
    assert line.status is CheckStatus.BROKEN
    assert f"stack {stack} in account {account}" in line.next_action
    assert "external id" in line.next_action


def test_a_role_that_lets_itself_be_assumed_is_in_order(scope: PreflightScope) -> None:
    assert RoleCheck(scope, account_id=MEMBER, phase="triage").run().status is CheckStatus.OK


@pytest.mark.parametrize(
    ("facts", "status", "said"),
    [
        (KeyFacts(arn="arn:k", state="Enabled"), CheckStatus.OK, ""),
        (KeyFacts(arn="arn:k", state="Disabled"), CheckStatus.BROKEN, "enable the key"),
        (KeyFacts(arn="arn:k", problem="not found"), CheckStatus.BROKEN, "forensics-member-region"),
    ],
)
def test_the_members_key(
    scope: PreflightScope, answering: Answering, facts: KeyFacts, status: CheckStatus, said: str
) -> None:
    class Keys:
        def describe(self, arn: str) -> KeyFacts:
            return facts

    answering(KeyGateway, Keys())
    line = MemberKeyCheck(scope, account_id=MEMBER, region=REGION).run()
    assert (line.status, said in line.next_action) == (status, True)


def test_without_the_role_nothing_is_said_about_the_account(scope: PreflightScope, hook: FakeHook) -> None:
    hook.refused.add("acquire")
    for check in (documents(scope), MemberKeyCheck(scope, account_id=MEMBER, region=REGION)):
        assert check.run().status is CheckStatus.NOT_TRIED
