"""Sessions: what every AssumeRole carries, when credentials are renewed, and one session and client for all threads."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import boto3
import botocore.credentials
import pytest
from botocore.credentials import RefreshableCredentials
from botocore.exceptions import ConnectTimeoutError
from botocore.stub import ANY, Stubber

from forensics.aws import session as sessions
from forensics.aws.lazy_clients import LazyClient
from forensics.aws.session import AwsSession, Scope, assume, forget, own_session, preload_models
from forensics.errors import AccessDeniedError, UnreachableError
from tests.unit.aws.conftest import Stub
from tests.unit.builders import ACCOUNT, CASE_ID, INSTANCE, REGION
from tests.unit.moto_store import KEYS

ROLE = f"arn:aws:iam::{ACCOUNT}:role/forensics-acquire"
SCOPE = Scope(ACCOUNT, REGION, phase="acquire", case_id=CASE_ID, instance_id=INSTANCE)
POLICY: dict[str, object] = {"Version": "2012-10-17", "Statement": []}


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """No session of another test is found again."""
    forget()
    yield
    forget()


@pytest.fixture
def sts(stubbed: Stub) -> Stubber:
    """STS of the base identity."""
    return stubbed("sts")


@pytest.fixture
def source(sts: Stubber) -> AwsSession:
    """The base identity."""
    made = AwsSession(boto=boto3.session.Session(**KEYS), account_id="222233334444", region=REGION)
    made._clients["sts"] = sts.client
    return made


def allow(sts: Stubber, key: str, *, until: datetime | None = None, **expected: Any) -> None:
    """STS gives credentials once; every argument of the call is expected, ``expected`` ones as given."""
    credentials = {
        "AccessKeyId": key.ljust(16, "_"),
        "SecretAccessKey": "testing",
        "SessionToken": "testing",
        "Expiration": until or datetime.now(UTC) + timedelta(hours=1),
    }
    arguments = {
        "RoleArn": ROLE,
        "RoleSessionName": f"{CASE_ID}-acquire",
        "ExternalId": "forensics-test",
        "SourceIdentity": CASE_ID,
        "DurationSeconds": 3600,
        **expected,
    }
    sts.add_response("assume_role", {"Credentials": credentials}, arguments)


def assumed(source: AwsSession, scope: Scope = SCOPE, **changes: Any) -> AwsSession:
    arguments = {"role_arn": ROLE, "external_id": "forensics-test", "session_name": f"{CASE_ID}-acquire", **changes}
    return assume(scope, source=source, **arguments)


def key_of(session: AwsSession) -> str:
    """The access key that a call would be signed with now."""
    return str(session.boto.get_credentials().get_frozen_credentials().access_key).rstrip("_")


def test_assume_role_carries_external_id_source_identity_and_the_session_policy(
    sts: Stubber, source: AwsSession
) -> None:
    allow(sts, "first", Policy=json.dumps(POLICY))
    made = assumed(source, policy=POLICY)
    assert key_of(made) == "first"
    assert (made.account_id, made.region, made.role_arn, made.case_id) == (ACCOUNT, REGION, ROLE, CASE_ID)


def test_without_a_session_policy_none_is_sent(sts: Stubber, source: AwsSession) -> None:
    allow(sts, "first")
    assert key_of(assumed(source)) == "first"


def test_a_refusal_names_the_role_and_the_case_and_is_not_kept(sts: Stubber, source: AwsSession) -> None:
    sts.add_client_error("assume_role", "AccessDenied")
    with pytest.raises(AccessDeniedError, match=f"assume role {ROLE} for {CASE_ID}"):
        assumed(source)
    allow(sts, "second")
    assert key_of(assumed(source)) == "second"


def test_the_same_role_region_case_and_policy_share_a_session(sts: Stubber, source: AwsSession) -> None:
    allow(sts, "first")
    assert assumed(source) is assumed(source)


@pytest.mark.parametrize(
    ("scope", "changes"),
    [
        (Scope(ACCOUNT, "us-east-1", phase="acquire", case_id=CASE_ID), {}),
        (Scope(ACCOUNT, REGION, phase="acquire", case_id="fc-20261124-9999999999"), {}),
        (SCOPE, {"role_arn": f"arn:aws:iam::{ACCOUNT}:role/forensics-contain"}),
        (SCOPE, {"policy": POLICY}),
    ],
    ids=["region", "case", "role", "policy"],
)
def test_another_role_region_case_or_policy_is_another_session(
    sts: Stubber, source: AwsSession, scope: Scope, changes: dict[str, Any]
) -> None:
    allow(sts, "first")
    allow(sts, "second", RoleArn=ANY, SourceIdentity=scope.case_id, **({"Policy": ANY} if "policy" in changes else {}))
    assert (key_of(assumed(source)), key_of(assumed(source, scope, **changes))) == ("first", "second")


def test_a_process_whose_credentials_changed_starts_anew(sts: Stubber, source: AwsSession) -> None:
    allow(sts, "first")
    allow(sts, "second")
    before = assumed(source)
    forget()
    assert assumed(source) is not before


def test_more_sessions_than_are_kept_drop_the_one_that_was_used_longest_ago(
    sts: Stubber, source: AwsSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To drop all sessions at once made each of many waits assume its role again and again."""
    monkeypatch.setattr("forensics.aws.session.SESSIONS_KEPT", 2)
    scopes = [
        Scope("333344445555", "eu-central-1", phase="acquire", case_id=f"fc-20261124-000000000{n}") for n in range(3)
    ]
    for number in (0, 1, 2, 1):
        allow(sts, f"key-{number}", RoleArn=ANY, SourceIdentity=scopes[number].case_id)
    first, _, again = assumed(source, scopes[0]), assumed(source, scopes[1]), assumed(source, scopes[0])
    assert again is first
    assumed(source, scopes[2])
    assert assumed(source, scopes[0]) is first, "used after the second one, which was dropped"
    assert key_of(assumed(source, scopes[1])) == "key-1"


class Clock:
    """The time that botocore reads."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = datetime.now(UTC)
        monkeypatch.setattr(botocore.credentials, "_local_now", self)

    def __call__(self) -> datetime:
        return self.now

    def rules(self, session: AwsSession) -> None:
        """Let this clock tell the session's credentials the time."""
        credentials = session.boto.get_credentials()
        assert isinstance(credentials, RefreshableCredentials)
        credentials._time_fetcher = self  # type: ignore[attr-defined]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock that a test sets."""
    return Clock(monkeypatch)


@pytest.fixture
def hour(sts: Stubber, source: AwsSession, clock: Clock) -> AwsSession:
    """A session that was assumed now, for an hour."""
    allow(sts, "first", until=clock.now + timedelta(hours=1))
    made = assumed(source)
    clock.rules(made)
    return made


def test_credentials_with_more_than_half_an_hour_left_are_kept(hour: AwsSession, clock: Clock) -> None:
    clock.now += timedelta(minutes=24)
    assert key_of(hour) == "first"


@pytest.mark.parametrize("minutes", [26, 31, 59])
def test_credentials_always_have_half_an_hour_left(sts: Stubber, hour: AwsSession, clock: Clock, minutes: int) -> None:
    clock.now += timedelta(minutes=minutes)
    allow(sts, "second", until=clock.now + timedelta(hours=1))
    assert key_of(hour) == "second"
    assert key_of(hour) == "second", "renewed once, not with every call"


def test_a_renewal_that_fails_is_tried_again_while_half_an_hour_is_left(
    sts: Stubber, hour: AwsSession, clock: Clock
) -> None:
    clock.now += timedelta(minutes=27)
    sts.add_client_error("assume_role", "Throttling")
    assert key_of(hour) == "first"
    allow(sts, "second", until=clock.now + timedelta(hours=1))
    assert key_of(hour) == "second"


def test_a_renewal_that_fails_with_less_than_half_an_hour_left_is_an_error(
    sts: Stubber, hour: AwsSession, clock: Clock
) -> None:
    clock.now += timedelta(minutes=31)
    sts.add_client_error("assume_role", "AccessDenied")
    with pytest.raises(AccessDeniedError, match=f"assume role {ROLE}"):
        key_of(hour)


class SlowBoto:
    """A boto session whose clients take a moment to make."""

    def __init__(self) -> None:
        self.made: list[tuple[str, str, Any]] = []
        self.watched: list[str] = []

    def client(self, service: str, *, region_name: str, config: Any) -> Any:
        time.sleep(0.05)
        self.made.append((service, region_name, config))
        events = SimpleNamespace(register=lambda event, _: self.watched.append(event), register_first=lambda *_: None)
        model = SimpleNamespace(service_name=service)
        meta = SimpleNamespace(events=events, endpoint_url="https://aws", region_name=region_name, service_model=model)
        return SimpleNamespace(meta=meta, describe=lambda: service)


@pytest.fixture
def slow() -> SlowBoto:
    """Clients of nothing."""
    return SlowBoto()


@pytest.fixture
def lazy(slow: SlowBoto) -> AwsSession:
    """A session whose clients take a moment to make."""
    return AwsSession(boto=slow, account_id=ACCOUNT, region="eu-west-3")  # type: ignore[arg-type]


def test_a_client_is_made_when_it_is_used_and_watched(slow: SlowBoto, lazy: AwsSession) -> None:
    client = lazy.ec2
    assert isinstance(client, LazyClient) and slow.made == []
    assert client.describe() == "ec2"
    ((service, region, config),) = slow.made
    assert (service, region, config.retries["mode"]) == ("ec2", "eu-west-3", "standard")
    assert slow.watched == ["after-call", "before-parameter-build"]


def test_threads_that_ask_at_once_share_one_client(slow: SlowBoto, lazy: AwsSession) -> None:
    with ThreadPoolExecutor(max_workers=8) as pool:
        clients = list(pool.map(lambda _: lazy.client("ec2"), range(8)))
    assert [service for service, _, _ in slow.made] == ["ec2"]
    assert all(client is clients[0] for client in clients)


def test_s3_signs_with_version_four(slow: SlowBoto, lazy: AwsSession) -> None:
    lazy.client("s3")
    lazy.client("kms")
    (_, _, s3), (_, _, kms) = slow.made
    assert (s3.signature_version, s3.s3) == ("s3v4", {"addressing_style": "path"})
    assert kms.signature_version is None


@pytest.mark.parametrize(
    "service",
    [
        "autoscaling", "dynamodb", "ebs", "ec2", "elb", "elbv2", "guardduty", "iam", "imagebuilder", "kms", "s3",
        "securityhub", "sns", "sqs", "ssm", "sts",
    ],
)  # fmt: skip
def test_each_client_is_of_the_service_it_is_named_after(slow: SlowBoto, lazy: AwsSession, service: str) -> None:
    assert getattr(lazy, service).describe() == service


def test_the_base_identity_is_one_session_for_each_connection_and_region() -> None:
    made: list[str] = []

    def base() -> Any:
        made.append("made")
        return botocore.session.get_session()

    first = own_session("222233334444", REGION, base=base)
    assert own_session("222233334444", REGION, base=base) is first
    assert own_session("222233334444", REGION, connection="forensics_aws", base=base) is not first
    assert own_session("222233334444", "us-east-1", base=base).region == "us-east-1"
    assert len(made) == 3


def test_a_scope_survives_the_database() -> None:
    assert Scope(**json.loads(json.dumps(SCOPE.as_dict()))) == SCOPE


def test_a_process_that_forks_has_read_the_models_before(monkeypatch: pytest.MonkeyPatch) -> None:
    preload_models()
    monkeypatch.setattr(sessions._MODELS, "file_loader", None)
    for service in sessions._PRELOADED:
        assert sessions._MODELS.load_service_model(service, "service-2")["metadata"]["uid"]


def refreshable(seconds: float, *, renewed: float = 21_600.0) -> tuple[AwsSession, list[float]]:
    """A session with the credentials of a container, which end in so many seconds; and the lives of those that were fetched."""
    fetched: list[float] = []

    def fetch() -> dict[str, str]:
        fetched.append(renewed)
        return metadata(renewed)

    def metadata(life: float) -> dict[str, str]:
        end = datetime.now(UTC) + timedelta(seconds=life)
        return {
            "access_key": "testing", "secret_key": "testing", "token": "testing", "expiry_time": end.isoformat()
        }  # fmt: skip

    core = sessions._core()
    core._credentials = RefreshableCredentials.create_from_metadata(  # type: ignore[attr-defined]
        metadata=metadata(seconds), refresh_using=fetch, method="container-role"
    )
    return AwsSession(boto=boto3.session.Session(botocore_session=core), account_id=ACCOUNT, region=REGION), fetched


def test_credentials_that_end_too_soon_are_renewed_before_they_sign() -> None:
    """boto/botocore#2604: a URL is signed with whatever life is left."""
    session, fetched = refreshable(1200)
    assert session.renewed_seconds_left(600) == pytest.approx(1200, abs=60) and fetched == []
    assert session.renewed_seconds_left(3600) == pytest.approx(21_600, abs=60) and len(fetched) == 1


def test_what_cannot_be_renewed_yet_says_what_is_left() -> None:
    session, _ = refreshable(700, renewed=700)
    assert session.renewed_seconds_left(3600) == pytest.approx(700, abs=60)


def test_keys_that_do_not_end_have_no_seconds() -> None:
    keys = AwsSession(boto=boto3.session.Session(**KEYS), account_id=ACCOUNT, region=REGION)
    assert keys.renewed_seconds_left(3600) is None


def test_sts_is_asked_at_home_whatever_the_targets_region(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the home Region has an endpoint for STS (infra/cloudformation/endpoints.yaml)."""
    asked: list[str] = []
    source = AwsSession(boto=boto3.session.Session(**KEYS), account_id="222233334444", region="eu-central-1")

    def answer(**_: Any) -> None:
        asked.append(str(source.client("sts").meta.endpoint_url))
        raise ConnectTimeoutError(endpoint_url=asked[-1])

    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda seconds: None)
    source.client("sts").meta.events.register_last("before-send", answer)
    scope = Scope("333344445555", "ap-southeast-2", phase="triage", case_id="fc-1")
    with pytest.raises(UnreachableError):
        assume(
            scope, source=source, role_arn="arn:aws:iam::333344445555:role/t", external_id="x" * 16, session_name="fc-1"
        )
    assert set(asked) == {"https://sts.eu-central-1.amazonaws.com"}
