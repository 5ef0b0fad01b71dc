"""The one place that turns botocore's errors into ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError

from forensics.aws import remedies
from forensics.aws.error_codes import CONFLICT, DENIED, GONE, THROTTLED, error_code
from forensics.aws.reachability import EndpointNotAsked
from forensics.aws.request_log import forget_call, last_call
from forensics.errors import (
    AccessDeniedError,
    AwsError,
    ConflictError,
    ResourceGoneError,
    ThrottledError,
    UnreachableError,
)


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
    """Map errors of the AWS calls inside; ``what`` says what was being done, to what and where.

    The message names the call and the way that it took, the next action the line of the deployment file that opens it
    (:mod:`forensics.aws.remedies`).
    """
    forget_call()
    try:
        yield
    except ClientError as error:
        code = error_code(error)
        text = error.response.get("Error", {}).get("Message", "") or str(error)
        remedy = remedies.of(error, last_call())
        msg = f"{what}: AWS answered {code or 'an error without a code'}: {text}{remedy.path}"
        raise _kind(error)(msg, next_action=remedy.next_action) from error
    except BotoCoreError as error:
        if isinstance(error, (ConnectionError, HTTPClientError, EndpointNotAsked)):
            remedy = remedies.of(error, last_call())
            msg = f"{what}: AWS could not be reached: {error}{remedy.path}"
            raise UnreachableError(msg, next_action=remedy.next_action) from error
        msg = f"{what}: the call could not be made: {error}"
        raise AwsError(msg, next_action="read what botocore says above, then clear the task") from error


__all__ = ["CONFLICT", "DENIED", "GONE", "THROTTLED", "aws_errors", "error_code"]
