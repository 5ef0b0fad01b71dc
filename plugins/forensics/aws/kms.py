"""KMS keys of other accounts: what they are, and letting the forensic account decrypt with one."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple, Self

from forensics.aws.error_map import aws_errors
from forensics.aws.session import AwsSession
from forensics.aws.visibility import until
from forensics.errors import AccessDeniedError, ResourceGoneError
from forensics.models.disk import KeyFacts

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_kms.literals import GrantOperationType

# KMS developer guide, "Using a grant token": less than a few seconds typically, minutes at times.
GRANTED_WITHIN = 60.0
# What CopySnapshot needs of the source's key (EBS User Guide, "Share a KMS key").
OPERATIONS: tuple[GrantOperationType, ...] = ("DescribeKey", "Decrypt", "CreateGrant", "ReEncryptFrom")


class KeyAge(NamedTuple):
    """A key of the deployment: its state, when it was made, and its rotation (None where KMS has none for its kind)."""

    state: str
    made: datetime
    signs: bool
    rotates: bool | None = None
    next_rotation: datetime | None = None


class KeyGateway:
    """KMS calls in one account and Region."""

    def __init__(self, client: KMSClient, *, account_id: str, region: str) -> None:
        self._kms = client
        self._where = f"in account {account_id}, {region}"

    @classmethod
    def of(cls, session: AwsSession) -> Self:
        """The gateway of a session's account and Region."""
        return cls(session.kms, account_id=session.account_id, region=session.region)

    def describe(self, arn: str) -> KeyFacts:
        """Owner, manager and state of a key; a refusal is returned as the ``problem``, not raised."""
        try:
            with aws_errors(f"describe key {arn} {self._where}"):
                found = self._kms.describe_key(KeyId=arn)["KeyMetadata"]
        except (AccessDeniedError, ResourceGoneError) as error:
            return KeyFacts(arn=arn, problem=str(error)[:300])
        return KeyFacts(
            arn=str(found["Arn"]),
            account_id=found.get("AWSAccountId"),
            manager=found.get("KeyManager"),
            state=found.get("KeyState"),
        )

    def grant(self, arn: str, *, principal: str, name: str) -> str:
        """Let a principal decrypt with the key; repeating it with the same name and grantee gives the same grant."""
        with aws_errors(f"grant {principal} the use of key {arn} {self._where}"):
            answer = self._kms.create_grant(
                KeyId=arn, GranteePrincipal=principal, Operations=list(OPERATIONS), Name=name
            )
        return str(answer["GrantId"])

    def wait_until_granted(self, arn: str, *, seconds: float | None = None) -> bool:
        """Whether this principal can use a key that was granted to it, asked again while KMS refuses it.

        A copy that begins before a new grant is in effect ends in error, and CopySnapshot takes no grant token. DescribeKey is
        one of the operations that are granted, and costs nothing.

        :param seconds: for how long; :data:`GRANTED_WITHIN` by default
        """
        limit = GRANTED_WITHIN if seconds is None else seconds
        return not until(lambda: self.describe(arn), lambda found: not found.problem, seconds=limit).problem

    def resolve(self, alias: str) -> str:
        """The ARN of the key behind an alias."""
        with aws_errors(f"look up key {alias} {self._where}"):
            return str(self._kms.describe_key(KeyId=alias)["KeyMetadata"]["Arn"])

    def age(self, key_id: str) -> KeyAge:
        """State, age and rotation of a key of the deployment.

        DescribeKey and GetKeyRotationStatus (AWS KMS API reference): only a symmetric key with key material of KMS rotates, and the
        status of one that is not enabled says nothing. Raises :class:`AwsError`.
        """
        with aws_errors(f"look at key {key_id} {self._where}"):
            found = self._kms.describe_key(KeyId=key_id)["KeyMetadata"]
            state, made = str(found["KeyState"]), found["CreationDate"]
            signs = found.get("KeyUsage") == "SIGN_VERIFY"
            own = found.get("KeySpec") == "SYMMETRIC_DEFAULT" and found.get("Origin") == "AWS_KMS"
            if not own or state != "Enabled":
                return KeyAge(state, made, signs)
            status = self._kms.get_key_rotation_status(KeyId=key_id)
        return KeyAge(state, made, signs, bool(status["KeyRotationEnabled"]), status.get("NextRotationDate"))
