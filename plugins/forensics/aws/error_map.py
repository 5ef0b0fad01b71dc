"""The one place that turns botocore's errors into ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError

from forensics.aws.reachability import EndpointNotAsked
from forensics.errors import (
    AccessDeniedError,
    AwsError,
    ConflictError,
    ResourceGoneError,
    ThrottledError,
    UnreachableError,
)

# Codes by meaning; sources: each service's API reference, "Common errors" and the operation's own list.
DENIED = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "UnauthorizedOperation",
        "AuthFailure",
        "ExpiredToken",
        "403",
        "OptInRequired",
    }
)
THROTTLED = frozenset(
    {
        "Throttling",
        "ThrottlingException",
        "RequestLimitExceeded",
        "SlowDown",
        "TooManyRequestsException",
        "RequestThrottledException",  # EBS direct
        "ProvisionedThroughputExceededException",
        "SnapshotCreationPerVolumeRateExceeded",
        "ConcurrentSnapshotLimitExceeded",
        "ResourceLimitExceeded",
        "InsufficientInstanceCapacity",
        "503",
    }
)
GONE = frozenset(
    {
        "InvalidInstanceID.NotFound",
        "InvalidInstanceID.Malformed",
        "InvalidInstanceId",
        "InvalidSnapshot.NotFound",
        "InvalidVolume.NotFound",
        "InvalidGroup.NotFound",
        "InvalidGroupId.NotFound",
        "InvalidNetworkInterfaceID.NotFound",
        "NoSuchKey",
        "NoSuchBucket",
        "NoSuchUpload",
        "404",
        "ResourceNotFoundException",
        "ParameterNotFound",
        "InvalidDocument",
        "NotFound",
        "NotFoundException",  # KMS
        "NoSuchEntity",
    }
)
# S3's 409 ConditionalRequestConflict is not here: another write was under way, and S3 says to try again.
CONFLICT = frozenset(
    {
        "ConditionalCheckFailedException",
        "TransactionCanceledException",
        "PreconditionFailed",
        "412",
        "InvalidGroup.Duplicate",
    }
)


def error_code(error: BaseException | None) -> str:
    """AWS's error code behind one of our errors or a botocore error; empty when there is none."""
    while error is not None:
        if isinstance(error, ClientError):
            return str(error.response.get("Error", {}).get("Code", ""))
        error = error.__cause__
    return ""


def _kind(error: ClientError) -> type[AwsError]:
    code = error_code(error)
    # EBS direct, ResourceNotFoundException, Reason: the key that the snapshot is encrypted with is not usable
    if error.response.get("Reason") == "DEPENDENCY_RESOURCE_NOT_FOUND":
        return AccessDeniedError
    for codes, kind in (
        (DENIED, AccessDeniedError),
        (THROTTLED, ThrottledError),
        (GONE, ResourceGoneError),
        (CONFLICT, ConflictError),
    ):
        if code in codes:
            return kind
    return AwsError


@contextmanager
def aws_errors(what: str) -> Iterator[None]:
    """Map errors of the AWS calls inside; ``what`` says what was being done, to what and where."""
    try:
        yield
    except ClientError as error:
        code = error_code(error)
        text = error.response.get("Error", {}).get("Message", "") or str(error)
        mapped = _kind(error)(f"{what}: AWS answered {code or 'an error without a code'}: {text}")
        raise mapped from error
    except BotoCoreError as error:
        msg = f"{what}: AWS could not be reached: {error}"
        if isinstance(error, (ConnectionError, HTTPClientError, EndpointNotAsked)):
            raise UnreachableError(msg) from error
        raise AwsError(msg, next_action="check the network path and the endpoint, then clear the task") from error
