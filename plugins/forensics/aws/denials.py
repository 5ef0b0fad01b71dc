"""Who or what stood in the way of a call: nothing answered, or which of AWS's policies refused it. Pure.

Sources: IAM user guide, "Troubleshoot access denied error messages" (the words by which a message names the kind of policy); AWS KMS
API reference, ``DisabledException`` and ``KMSInvalidStateException``; Amazon EBS direct APIs, ``DEPENDENCY_RESOURCE_NOT_FOUND``.
"""

from __future__ import annotations

import re
from enum import StrEnum

from botocore.exceptions import BotoCoreError, ClientError

from forensics.aws.error_codes import DENIED, GONE, THROTTLED, error_code


class Cause(StrEnum):
    """What stood in the way."""

    UNREACHABLE = "nothing answers"
    ENDPOINT_POLICY = "an endpoint's policy"
    ORGANIZATION = "a policy of the organization"
    SESSION_POLICY = "the session policy"
    ROLE_POLICY = "the role's policy"
    RESOURCE_POLICY = "the resource's policy"
    KEY = "a key"
    EXPIRED = "expired credentials"
    REGION = "a Region that is not enabled"
    MISSING = "it does not exist"
    THROTTLED = "a rate or quota"
    OTHER = "an error"


_MESSAGES = (
    (re.compile(r"VPC endpoint polic", re.IGNORECASE), Cause.ENDPOINT_POLICY),
    (re.compile(r"(service|resource) control polic", re.IGNORECASE), Cause.ORGANIZATION),
    (re.compile(r"session polic(y|ies)\b", re.IGNORECASE), Cause.SESSION_POLICY),
    (re.compile(r"resource-based polic|key polic|bucket polic|queue polic", re.IGNORECASE), Cause.RESOURCE_POLICY),
)
_KEY_CODES = re.compile(
    r"^KMS\.|^(DisabledException|KMSInvalidStateException|KMSAccessDeniedException|KmsKey\w*)$|\bKMS\b"
)
_EXPIRED = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "InvalidClientTokenId", "TokenRefreshRequired"}
)
_REGION = frozenset({"OptInRequired", "AuthFailure", "UnrecognizedClientException", "InvalidToken"})


def cause_of(error: BaseException | None) -> Cause:
    """The cause behind one of our errors or a botocore error."""
    while error is not None:
        if isinstance(error, ClientError):
            return _of_answer(error)
        if isinstance(error, BotoCoreError):
            return Cause.UNREACHABLE
        error = error.__cause__
    return Cause.OTHER


def _of_answer(error: ClientError) -> Cause:
    code = error_code(error)
    message = str(error.response.get("Error", {}).get("Message", ""))
    if error.response.get("Reason") == "DEPENDENCY_RESOURCE_NOT_FOUND" or _KEY_CODES.search(code):
        return Cause.KEY
    if code in _EXPIRED:
        return Cause.EXPIRED
    if code in _REGION:
        return Cause.REGION
    if code in DENIED or "denied" in code.lower() or code == "AuthorizationError":
        named = next((cause for pattern, cause in _MESSAGES if pattern.search(message)), None)
        if named is Cause.RESOURCE_POLICY and " kms:" in message:
            return Cause.KEY  # the resource is a key
        if named:
            return named
        return Cause.KEY if re.search(r"\bkms:|\bciphertext\b|:key/", message) else Cause.ROLE_POLICY
    if code in THROTTLED:
        return Cause.THROTTLED
    return (
        Cause.MISSING
        if code in GONE or "NotFound" in code or "NonExistent" in code or "DoesNotExist" in code
        else Cause.OTHER
    )
