"""Retention and legal holds of the evidence bucket's versions: extended, put on, and lifted by the role that may."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Literal, Self

from forensics.aws.error_map import aws_errors
from forensics.aws.s3_archive import StoredVersion
from forensics.aws.session import AwsSession
from forensics.settings import LockMode, Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import (
        PutObjectLegalHoldRequestTypeDef,
        PutObjectRetentionRequestTypeDef,
    )


class EvidenceLocks:
    """Changes what protects a version, and nothing else; each call names the version, so that none is missed or mistaken."""

    def __init__(self, client: S3Client, *, bucket: str, owner: str) -> None:
        self._s3 = client
        self.bucket = bucket
        self._owner = owner

    @classmethod
    def of(cls, session: AwsSession, settings: Settings) -> Self:
        """The deployment's evidence bucket under a session's role: ``custodian`` extends and holds, ``holds`` lifts."""
        return cls(session.s3, bucket=settings.evidence_bucket, owner=settings.forensic_account_id)

    def retain(self, version: StoredVersion, *, until: datetime, mode: LockMode) -> None:
        """Extend a version's retention; S3 lets nobody shorten it without a permission that no role of the product has.

        ``mode`` is the version's own: a change of mode is a change of the lock, not an extension (Amazon S3 user guide,
        "Object Lock considerations"). Raises :class:`AwsError`.
        """
        request: PutObjectRetentionRequestTypeDef = {
            "Bucket": self.bucket,
            "Key": version.key,
            "Retention": {"Mode": mode, "RetainUntilDate": until},
            "ExpectedBucketOwner": self._owner,
        }
        if version.version_id:
            request["VersionId"] = version.version_id
        with aws_errors(f"extend the retention of {version.uri}"):
            self._s3.put_object_retention(**request)

    def hold(self, version: StoredVersion, *, on: bool = True) -> None:
        """Put a legal hold on a version, or lift it. Raises :class:`AwsError`."""
        status: Literal["ON", "OFF"] = "ON" if on else "OFF"
        request: PutObjectLegalHoldRequestTypeDef = {
            "Bucket": self.bucket,
            "Key": version.key,
            "LegalHold": {"Status": status},
            "ExpectedBucketOwner": self._owner,
        }
        if version.version_id:
            request["VersionId"] = version.version_id
        with aws_errors(f"{'put a legal hold on' if on else 'lift the legal hold of'} {version.uri}"):
            self._s3.put_object_legal_hold(**request)
