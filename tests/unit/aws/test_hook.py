"""The hook: whose identity it has, which roles it assumes with it, and what *Test* says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from airflow.sdk import BaseHook
from botocore.stub import Stubber
from moto import mock_aws

from forensics.aws.hook import ForensicsHook
from forensics.aws.session import AwsSession, Scope, forget
from forensics.aws.session_policy import session_policy
from forensics.settings import Settings, load
from tests.unit.builders import ACCOUNT, CASE_ID, INSTANCE, REGION, case
from tests.unit.moto_store import KEYS

FORENSIC = "222233334444"
MOTO_ACCOUNT = "123456789012"
CONNECTION = {
    "conn_type": "aws",
    "login": "key-of-the-connection",
    "password": "testing",
    "extra": {"region_name": "us-east-1"},
}


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The process has credentials of its own, and no session of another test is found again."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key-of-the-process")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AIRFLOW_CONN_FORENSICS_AWS", json.dumps(CONNECTION))
    forget()
    yield
    forget()


@pytest.fixture
def settings(settings_environment: dict[str, str]) -> Settings:
    """Settings without a connection."""
    return load(settings_environment)


@pytest.fixture
def with_connection(settings: Settings) -> Settings:
    """Settings that name the connection."""
    return settings.model_copy(update={"aws_conn_id": "forensics_aws"})


def key_of(session: AwsSession) -> str:
    return str(session.boto.get_credentials().access_key)


def test_the_connection_that_the_setting_names_is_the_identity(with_connection: Settings) -> None:
    own = ForensicsHook(with_connection).own()
    assert key_of(own) == "key-of-the-connection"
    assert (own.account_id, own.region) == (FORENSIC, REGION), "the home Region, not the connection's"
    assert own.client("sts").meta.region_name == REGION


def test_without_the_setting_no_connection_is_looked_up(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(BaseHook, "get_connection", classmethod(lambda cls, conn_id: asked.append(conn_id)))
    assert key_of(ForensicsHook(settings).own()) == "key-of-the-process"
    assert asked == []


def test_with_the_setting_exactly_that_connection_is_looked_up(
    with_connection: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    real = BaseHook.get_connection

    def noted(conn_id: str) -> Any:
        asked.append(conn_id)
        return real(conn_id)

    monkeypatch.setattr(BaseHook, "get_connection", staticmethod(noted))
    ForensicsHook(with_connection).own()
    assert set(asked) == {"forensics_aws"}


@pytest.mark.parametrize("account", [MOTO_ACCOUNT, FORENSIC])
@pytest.mark.parametrize("conn_id", ["", "forensics_aws"])
def test_the_test_button_says_whose_identity_it_is(settings: Settings, account: str, conn_id: str) -> None:
    named = settings.model_copy(update={"forensic_account_id": account, "aws_conn_id": conn_id})
    with mock_aws():
        good, words = ForensicsHook(named).test_connection()
    assert good is (account == MOTO_ACCOUNT)
    assert f":{MOTO_ACCOUNT}:" in words or f"::{MOTO_ACCOUNT}:" in words
    assert good or words.endswith(f"is not in the forensic account {FORENSIC}")


def test_the_test_button_says_why_it_failed(settings: Settings) -> None:
    hook = ForensicsHook(settings)
    with Stubber(hook.own().client("sts")) as stub:
        stub.add_client_error("get_caller_identity", "ExpiredToken", "the token has expired")
        good, words = hook.test_connection()
    assert not good and "the token has expired" in words


def test_get_conn_is_the_base_identity(settings: Settings) -> None:
    hook = ForensicsHook(settings)
    assert hook.get_conn() is hook.own()


def credentials() -> dict[str, Any]:
    """What AssumeRole answers."""
    given = {"AccessKeyId": "key-of-the-role_", "SecretAccessKey": "testing", "SessionToken": "testing"}
    return {"Credentials": {**given, "Expiration": datetime.now(UTC) + timedelta(hours=1)}}


@pytest.mark.parametrize(
    ("scope", "pinned"),
    [
        (Scope(ACCOUNT, "eu-west-1", phase="acquire", case_id=CASE_ID, instance_id=INSTANCE), True),
        (Scope(ACCOUNT, "eu-west-1", phase="triage", case_id=CASE_ID), True),
        (Scope(FORENSIC, REGION, phase="custodian", case_id=CASE_ID), False),
    ],
    ids=["target", "account", "forensic"],
)
def test_a_phases_role_is_assumed_and_pinned_in_other_accounts(
    with_connection: Settings, scope: Scope, pinned: bool
) -> None:
    hook = ForensicsHook(with_connection)
    policy = session_policy(account_id=ACCOUNT, region="eu-west-1", instance_id=scope.instance_id)
    arguments = {
        "RoleArn": f"arn:aws:iam::{scope.account_id}:role/forensics-{scope.phase}",
        "RoleSessionName": f"{CASE_ID}-{scope.phase}",
        "ExternalId": "forensics-test",
        "SourceIdentity": CASE_ID,
        "DurationSeconds": 3600,
        **({"Policy": json.dumps(policy)} if pinned else {}),
    }
    with Stubber(hook.own().client("sts")) as stub:
        stub.add_response("assume_role", credentials(), arguments)
        made = hook.session(scope)
        stub.assert_no_pending_responses()
    assert key_of(made) == "key-of-the-role_"
    assert (made.account_id, made.region, made.case_id) == (scope.account_id, scope.region, CASE_ID)


def test_a_roles_name_follows_from_prefix_and_phase(settings: Settings) -> None:
    hook = ForensicsHook(settings.model_copy(update={"role_prefix": "ir-"}))
    scope = Scope(ACCOUNT, REGION, phase="contain", case_id=CASE_ID)
    assert hook.role_arn(scope) == hook.for_case(case()).role_arn(scope) == f"arn:aws:iam::{ACCOUNT}:role/ir-contain"


class Noted(ForensicsHook):
    """A hook that gives sessions of nothing and keeps the scopes that were asked for."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.scopes: list[Scope] = []

    def session(self, scope: Scope) -> AwsSession:
        self.scopes.append(scope)
        return AwsSession(boto=boto3.session.Session(**KEYS), account_id=scope.account_id, region=scope.region)


def test_a_cases_sessions_are_in_the_targets_and_the_forensic_account(settings: Settings) -> None:
    hook = Noted(settings)
    sessions = hook.for_case(case(region="eu-west-1"))
    sessions.target("acquire")
    sessions.account("444455556666", "triage")
    sessions.forensic()
    sessions.forensic("custodian", region="eu-west-1")
    hook.forensic("fc-symbols", "analyse")
    assert hook.scopes == [
        Scope(ACCOUNT, "eu-west-1", phase="acquire", case_id=CASE_ID, instance_id=INSTANCE),
        Scope("444455556666", "eu-west-1", phase="triage", case_id=CASE_ID),
        Scope(FORENSIC, REGION, phase="analyse", case_id=CASE_ID),
        Scope(FORENSIC, "eu-west-1", phase="custodian", case_id=CASE_ID),
        Scope(FORENSIC, REGION, phase="analyse", case_id="fc-symbols"),
    ]


def test_a_cases_own_identity_and_settings_are_the_hooks(settings: Settings) -> None:
    hook = ForensicsHook(settings)
    sessions = hook.for_case(case())
    assert sessions.own() is hook.own() and sessions.settings is settings
