"""AWS's error codes by meaning."""

from __future__ import annotations

from botocore.exceptions import ClientError

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
        "MaxConcurrentQueriesException",  # CloudTrail Lake: ten queries at once
        "503",
    }
)
GONE = frozenset(
    {
        "InvalidInstanceID.NotFound",
        "InvalidInstanceID.Malformed",
        "InvalidInstanceId",
        "ClusterNotFoundException",  # ECS
        "InvalidSnapshot.NotFound",
        "InvalidAMIID.NotFound",
        "InvalidAMIID.Unavailable",
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
        "TargetNotFoundException",  # Organizations
        "ChildNotFoundException",
        "EventDataStoreNotFoundException",  # CloudTrail Lake
        "QueryIdNotFoundException",
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
