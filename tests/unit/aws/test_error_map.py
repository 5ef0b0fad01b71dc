"""Every AWS error becomes one of ours that says what was being done."""

from __future__ import annotations

import pickle

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from forensics.aws.error_map import CONFLICT, DENIED, GONE, THROTTLED, aws_errors, error_code
from forensics.errors import (
    AccessDeniedError,
    AwsError,
    ConflictError,
    ForensicsError,
    ResourceGoneError,
    ThrottledError,
)

TABLE = [
    (code, kind)
    for codes, kind in (
        (DENIED, AccessDeniedError),
        (THROTTLED, ThrottledError),
        (GONE, ResourceGoneError),
        (CONFLICT, ConflictError),
        ({"ConditionalRequestConflict", "IncorrectState", "VolumeInUse", "InternalError", ""}, AwsError),
    )
    for code in sorted(codes)
]


def client_error(code: str, message: str = "no") -> ClientError:
    """What botocore raises."""
    return ClientError({"Error": {"Code": code, "Message": message}}, "DescribeInstances")


@pytest.mark.parametrize(("code", "kind"), TABLE)
def test_each_code_has_its_kind_and_is_named(code: str, kind: type[AwsError]) -> None:
    with pytest.raises(AwsError) as caught, aws_errors("describe i-1 in account 1, eu-central-1"):
        raise client_error(code)
    assert type(caught.value) is kind
    assert "describe i-1 in account 1, eu-central-1" in str(caught.value)
    assert (code or "without a code") in str(caught.value)
    assert error_code(caught.value) == code


def test_no_code_is_in_two_groups() -> None:
    assert len(DENIED | THROTTLED | GONE | CONFLICT) == sum(map(len, (DENIED, THROTTLED, GONE, CONFLICT)))


def test_an_endpoint_that_cannot_be_reached_is_retried() -> None:
    with pytest.raises(AwsError, match="could not be reached") as caught, aws_errors("ask"):
        raise EndpointConnectionError(endpoint_url="https://ec2")
    assert caught.value.retryable and "network path" in caught.value.next_action


@pytest.mark.parametrize("error", [ForensicsError("ours"), KeyError("code"), ValueError("value")])
def test_errors_that_are_not_aws_pass_unchanged(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, aws_errors("ask"):
        raise error
    assert caught.value is error


def test_a_mapped_error_can_be_pickled() -> None:
    with pytest.raises(AwsError) as caught, aws_errors("ask"):
        raise client_error("AccessDenied")
    assert type(pickle.loads(pickle.dumps(caught.value))) is AccessDeniedError


def test_the_code_of_no_error_is_empty() -> None:
    assert error_code(None) == error_code(ValueError("x")) == ""
