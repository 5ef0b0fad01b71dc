"""An endpoint that cannot be reached costs one time-out, not one for each call and try.

Source: botocore's standard retry mode, which repeats a call after a connection error or a read time-out ("Retries", botocore
documentation), and its events ``before-send`` and ``needs-retry``, which each try passes.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ConnectionClosedError, ConnectTimeoutError, ReadTimeoutError

from forensics.aws import reachability
from forensics.aws.autoscaling import AutoScalingGateway
from forensics.aws.iam import IamGateway
from forensics.aws.session import AwsSession
from forensics.errors import UnreachableError
from tests.unit.builders import ACCOUNT, INSTANCE, REGION
from tests.unit.moto_store import KEYS


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No outage of another test is remembered; pauses between tries take no time."""
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda seconds: None)
    reachability.forget()
    yield
    reachability.forget()


@pytest.fixture
def nowhere() -> str:
    """An endpoint on which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


class Tries:
    """The tries that reach the network, and what becomes of them (the answers in order, the last for all that follow)."""

    def __init__(self, client: Any, *errors: Exception) -> None:
        self.made = 0
        self._errors = list(errors)
        client.meta.events.register_last("before-send", self.send)

    def send(self, **_: Any) -> None:
        """One try."""
        self.made += 1
        if self._errors:
            raise self._errors.pop(0) if len(self._errors) > 1 else self._errors[0]


def session(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> AwsSession:
    """A session whose IAM is at an endpoint."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_IAM", endpoint)
    return AwsSession(boto=boto3.session.Session(**KEYS), account_id=ACCOUNT, region=REGION)


def iam_of(made: AwsSession) -> IamGateway:
    """IAM in a session."""
    return IamGateway.of(made)


def test_the_first_failure_is_not_repeated_and_the_next_calls_are_not_sent(
    monkeypatch: pytest.MonkeyPatch, nowhere: str
) -> None:
    made = session(monkeypatch, nowhere)
    tries = Tries(made.client("iam"))
    with pytest.raises(UnreachableError, match="read instance profile app in account") as first:
        iam_of(made).profile_role("app")
    with pytest.raises(UnreachableError, match="did not answer a moment ago") as second:
        iam_of(made).own_policies("app")
    assert tries.made == 1
    for error in (first.value, second.value):
        assert nowhere in str(error), "the path is named"
        assert "no way from Airflow's subnets to iam" in error.message
        assert "parameters.Profile in deployment.yaml opens the way to IAM" in error.next_action


@pytest.mark.parametrize("kind", [ConnectTimeoutError, ReadTimeoutError])
def test_another_client_of_the_same_endpoint_is_not_asked_either(
    monkeypatch: pytest.MonkeyPatch, nowhere: str, kind: type[Exception]
) -> None:
    first, other = session(monkeypatch, nowhere), session(monkeypatch, nowhere)
    Tries(first.client("iam"), kind(endpoint_url=nowhere))
    tries = Tries(other.client("iam"))
    for made in (first, other):
        with pytest.raises(UnreachableError):
            iam_of(made).profiles_of("app")
    assert tries.made == 0


def test_another_service_behind_the_same_address_is_asked(monkeypatch: pytest.MonkeyPatch, nowhere: str) -> None:
    """One proxy, or the lab, may stand for several services: what one of them does not answer says nothing of the others."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_AUTO_SCALING", nowhere)
    made = session(monkeypatch, nowhere)
    Tries(made.client("iam"), ConnectTimeoutError(endpoint_url=nowhere))
    tries = Tries(made.client("autoscaling"))
    for ask in (lambda: iam_of(made).profiles_of("app"), lambda: AutoScalingGateway.of(made).membership(INSTANCE)):
        with pytest.raises(UnreachableError):
            ask()
    assert tries.made == 1


def test_it_is_asked_again_after_a_while(monkeypatch: pytest.MonkeyPatch, nowhere: str) -> None:
    made = session(monkeypatch, nowhere)
    tries = Tries(made.client("iam"), ConnectTimeoutError(endpoint_url=nowhere))
    with pytest.raises(UnreachableError):
        iam_of(made).profiles_of("app")
    monkeypatch.setattr(reachability, "HOLD_SECONDS", -1.0)
    reachability.forget()
    with pytest.raises(UnreachableError):
        iam_of(made).profiles_of("app")
    assert tries.made > 2, "with nothing to hold it, botocore repeats the call by itself"


def test_a_connection_that_was_closed_is_tried_again_once(monkeypatch: pytest.MonkeyPatch, nowhere: str) -> None:
    """AWS closes idle connections; a firewall that ends each of them is no way to the endpoint."""
    made = session(monkeypatch, nowhere)
    tries = Tries(made.client("iam"), ConnectionClosedError(endpoint_url=nowhere))
    with pytest.raises(UnreachableError):
        iam_of(made).profiles_of("app")
    assert tries.made == 2
    with pytest.raises(UnreachableError, match="did not answer a moment ago"):
        iam_of(made).profiles_of("app")
    assert tries.made == 2


def test_one_closed_connection_is_no_outage(monkeypatch: pytest.MonkeyPatch, nowhere: str) -> None:
    made = session(monkeypatch, nowhere)
    closed = ConnectionClosedError(endpoint_url=nowhere)
    tries = Tries(made.client("iam"), closed, ConnectTimeoutError(endpoint_url=nowhere))
    with pytest.raises(UnreachableError, match="Connect timeout"):
        iam_of(made).profiles_of("app")
    assert tries.made == 2


@pytest.mark.parametrize(("service", "read"), [("iam", 5), ("autoscaling", 15), ("elb", 15), ("elbv2", 15)])
def test_what_isolation_does_not_wait_for_has_short_time_outs(service: str, read: int) -> None:
    made = AwsSession(boto=boto3.session.Session(**KEYS), account_id=ACCOUNT, region=REGION)
    config: Any = made.client(service).meta.config
    assert (config.connect_timeout, config.read_timeout) == (3, read)


def test_everything_else_is_as_patient_as_before() -> None:
    made = AwsSession(boto=boto3.session.Session(**KEYS), account_id=ACCOUNT, region=REGION)
    config: Any = made.client("ec2").meta.config
    assert (config.connect_timeout, config.read_timeout) == (10, 60)
