"""S3: buckets of others into which AWS writes an account's logs; they are read and never written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Self

from forensics.aws.error_map import aws_errors
from forensics.aws.session import AwsSession
from forensics.errors import EvidenceTransferError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class LogFile:
    """An object of a log bucket as it is listed."""

    key: str
    size: int
    etag: str
    modified: datetime


@dataclass(frozen=True)
class LogBytes:
    """An object as it was read: its bytes, version and metadata."""

    body: bytes
    version_id: str
    metadata: dict[str, str]


class LogBucketGateway:
    """One bucket, under a session of the account whose logs it holds."""

    def __init__(self, client: S3Client, *, bucket: str) -> None:
        self._s3 = client
        self.bucket = bucket

    @classmethod
    def of(cls, session: AwsSession, bucket: str) -> Self:
        """The gateway of a bucket."""
        return cls(session.s3, bucket=bucket)

    def folders(self, prefix: str) -> list[str]:
        """Names of the folders below a prefix, without the prefix and the slash at the end."""
        with aws_errors(f"list s3://{self.bucket}/{prefix}"):
            pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix, Delimiter="/")
            found = [p["Prefix"] for page in pages for p in page.get("CommonPrefixes", []) if "Prefix" in p]
        return [name.removeprefix(prefix).rstrip("/") for name in found]

    def files(self, prefix: str) -> Iterator[LogFile]:
        """The objects below a prefix, asked for a thousand at a time."""
        with aws_errors(f"list s3://{self.bucket}/{prefix}"):
            pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
            for page in pages:
                for item in page.get("Contents", []):
                    yield LogFile(item["Key"], item["Size"], item["ETag"].strip('"'), item["LastModified"])

    def read(self, key: str, *, limit: int) -> LogBytes:
        """One object. Raises :class:`EvidenceTransferError` when it has more than ``limit`` bytes."""
        with aws_errors(f"read s3://{self.bucket}/{key}"):
            answer = self._s3.get_object(Bucket=self.bucket, Key=key)
            if answer["ContentLength"] > limit:
                msg = f"s3://{self.bucket}/{key} has {answer['ContentLength']} bytes, more than the {limit} that are read of one"
                raise EvidenceTransferError(msg)
            return LogBytes(answer["Body"].read(), answer.get("VersionId", ""), dict(answer.get("Metadata", {})))
