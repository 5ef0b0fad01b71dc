"""The evidence bucket as an audit reads it: every version, its lock and legal hold, its bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, NotRequired, Self, TypedDict

from forensics.aws.error_map import aws_errors
from forensics.aws.s3_parts import CHUNK
from forensics.aws.s3_reading import read_on
from forensics.aws.session import AwsSession
from forensics.models.base import Model
from forensics.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectVersionTypeDef


class StoredVersion(Model):
    """One version of one object as S3 lists it."""

    key: str
    uri: str
    version_id: str | None
    size_bytes: int
    written_at: datetime
    latest: bool


class ObjectLock(Model):
    """What protects a version at the moment."""

    mode: str | None
    until: datetime | None
    legal_hold: bool


class _VersionRequest(TypedDict):
    Bucket: str
    Key: str
    ExpectedBucketOwner: str
    VersionId: NotRequired[str]


class EvidenceArchive:
    """Reads versions, locks and bytes of the evidence bucket; writes nothing."""

    def __init__(self, client: S3Client, *, bucket: str, owner: str) -> None:
        self._s3 = client
        self.bucket = bucket
        self._owner = owner

    @classmethod
    def of(cls, session: AwsSession, settings: Settings) -> Self:
        """The deployment's evidence bucket."""
        return cls(session.s3, bucket=settings.evidence_bucket, owner=settings.forensic_account_id)

    def _uri(self, key: str) -> str:
        return f"s3://{self.bucket}/{key}"

    def versions(self, prefix: str) -> list[StoredVersion]:
        """All versions of all objects below a prefix, by key, the oldest version of a key first."""
        with aws_errors(f"list versions of {self._uri(prefix)}"):
            pages = self._s3.get_paginator("list_object_versions").paginate(
                Bucket=self.bucket, Prefix=prefix, ExpectedBucketOwner=self._owner
            )
            found = [self._version(v) for page in pages for v in page.get("Versions", [])]
        return sorted(found, key=lambda v: (v.key, v.written_at))

    def deleted(self, prefix: str) -> list[str]:
        """Keys that a delete marker hides: evidence was deleted, its versions are still there."""
        with aws_errors(f"list delete markers of {self._uri(prefix)}"):
            pages = self._s3.get_paginator("list_object_versions").paginate(
                Bucket=self.bucket, Prefix=prefix, ExpectedBucketOwner=self._owner
            )
            return sorted({m["Key"] for page in pages for m in page.get("DeleteMarkers", []) if m.get("IsLatest")})

    def _version(self, record: ObjectVersionTypeDef) -> StoredVersion:
        version = record.get("VersionId")
        return StoredVersion(
            key=record["Key"],
            uri=self._uri(record["Key"]),
            version_id=None if version in {None, "null"} else version,
            size_bytes=int(record["Size"]),
            written_at=record["LastModified"],
            latest=bool(record.get("IsLatest")),
        )

    def lock(self, version: StoredVersion) -> ObjectLock:
        """Retention and legal hold of a version, read from S3 now."""
        with aws_errors(f"read the lock of {version.uri}"):
            head = self._s3.head_object(**self._at(version))
        return ObjectLock(
            mode=head.get("ObjectLockMode"),
            until=head.get("ObjectLockRetainUntilDate"),
            legal_hold=head.get("ObjectLockLegalHoldStatus") == "ON",
        )

    def stream(self, version: StoredVersion, *, chunk: int = CHUNK) -> Iterator[bytes]:
        """The bytes of a version."""
        with aws_errors(f"read {version.uri}"):
            get = partial(self._s3.get_object, **self._at(version))
            yield from read_on(lambda rest: get(**rest), chunk=chunk)

    def sha256(self, version: StoredVersion, *, beat: Callable[[int], None] | None = None) -> str:
        """SHA-256 of a version's bytes, computed here; ``beat`` is called with the number of bytes read so far."""
        digest, seen = hashlib.sha256(), 0
        for piece in self.stream(version):
            digest.update(piece)
            seen += len(piece)
            if beat:
                beat(seen)
        return digest.hexdigest()

    def _at(self, version: StoredVersion) -> _VersionRequest:
        request: _VersionRequest = {
            "Bucket": self.bucket,
            "Key": version.key,
            "ExpectedBucketOwner": self._owner,
        }
        return {**request, "VersionId": version.version_id} if version.version_id else request
