"""Which gate refused a call, by AWS's own words.

The messages follow the forms that the IAM user guide, "Troubleshoot access denied error messages", gives for each kind of policy.
"""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError, EndpointConnectionError

from forensics.aws.denials import Cause, cause_of
from forensics.aws.error_map import aws_errors
from forensics.errors import ForensicsError

WHO = "User: arn:aws:sts::222233334444:assumed-role/forensics-execution/a is not authorized to perform: s3:DeleteObject"
ON = "on resource: arn:aws:s3:::b/manifest.txt"


def answered(code: str, message: str, **more: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}, **more}, "Call")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("code", "message", "cause"),
    [
        (
            "AccessDenied",
            f"{WHO} {ON} because no VPC endpoint policy allows the s3:DeleteObject action",
            Cause.ENDPOINT_POLICY,
        ),
        ("AccessDenied", f"{WHO} {ON} with an explicit deny in a VPC endpoint policy", Cause.ENDPOINT_POLICY),
        ("AccessDeniedException", f"{WHO} {ON} with an explicit deny in a service control policy", Cause.ORGANIZATION),
        (
            "AccessDenied",
            f"{WHO} {ON} because no service control policy allows the s3:DeleteObject action",
            Cause.ORGANIZATION,
        ),
        ("AccessDenied", f"{WHO} {ON} with an explicit deny in a resource control policy", Cause.ORGANIZATION),
        (
            "AccessDenied",
            f"{WHO} {ON} because no session policy allows the s3:DeleteObject action",
            Cause.SESSION_POLICY,
        ),
        ("AccessDenied", f"{WHO} {ON} with an explicit deny in a resource-based policy", Cause.RESOURCE_POLICY),
        (
            "AccessDenied",
            f"{WHO} {ON} because no identity-based policy allows the s3:DeleteObject action",
            Cause.ROLE_POLICY,
        ),
        ("UnauthorizedOperation", "You are not authorized to perform this operation.", Cause.ROLE_POLICY),
        (
            "AccessDenied",
            "is not authorized to perform: kms:GenerateDataKey on resource: arn:aws:kms:x:1:key/2",
            Cause.KEY,
        ),
        (
            "UnauthorizedOperation",
            f"{WHO.replace('s3:DeleteObject', 'kms:ReEncryptTo')} {ON} because no resource-based policy allows the kms:ReEncryptTo action",
            Cause.KEY,
        ),
        ("DisabledException", "arn:aws:kms:eu-central-1:1:key/2 is disabled.", Cause.KEY),
        ("KMS.DisabledException", "arn:aws:kms:eu-central-1:1:key/2 is disabled.", Cause.KEY),
        ("KMSInvalidStateException", "is pending deletion.", Cause.KEY),
        ("ExpiredTokenException", "The security token included in the request is expired", Cause.EXPIRED),
        ("OptInRequired", "You are not subscribed to this service.", Cause.REGION),
        ("NoSuchBucket", "The specified bucket does not exist", Cause.MISSING),
        ("AWS.SimpleQueueService.NonExistentQueue", "The specified queue does not exist.", Cause.MISSING),
        ("ResourceNotFoundException", "Requested resource not found", Cause.MISSING),
        ("ThrottlingException", "Rate exceeded", Cause.THROTTLED),
        ("ValidationException", "1 validation error detected", Cause.OTHER),
    ],
)
def test_the_cause_of_an_answer(code: str, message: str, cause: Cause) -> None:
    assert cause_of(answered(code, message)) is cause
    with pytest.raises(ForensicsError) as mapped, aws_errors("do it"):
        raise answered(code, message)
    assert cause_of(mapped.value) is cause, "our own errors keep it"


def test_no_answer_is_no_way() -> None:
    for error in (ConnectTimeoutError(endpoint_url="https://iam"), EndpointConnectionError(endpoint_url="https://iam")):
        assert cause_of(error) is Cause.UNREACHABLE
    assert cause_of(ForensicsError("x")) is Cause.OTHER


def test_ebs_direct_tells_of_a_key_by_its_reason() -> None:
    """Recorded by stackd, testdata/aws/ebs/sharing_data_contract.json: a refused key is a ResourceNotFoundException."""
    error = answered("ResourceNotFoundException", "KMS key not found", Reason="DEPENDENCY_RESOURCE_NOT_FOUND")
    assert cause_of(error) is Cause.KEY
