"""S3: the landing bucket (untrusted uploads) and the tools bucket, as hosts see them: by presigned URLs."""

from __future__ import annotations

import copy
import hashlib
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Self

from forensics.aws.error_map import aws_errors
from forensics.aws.s3 import URL_SECONDS
from forensics.aws.s3_parts import CHUNK, MIB
from forensics.aws.s3_reading import read_on
from forensics.aws.session import AwsSession
from forensics.errors import AwsError, EvidenceSizeError, EvidenceTransferError, ResourceGoneError
from forensics.manifest import MANIFEST
from forensics.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import PartTypeDef


# Metadata of an upload that this product started: the key that it was started for.
UPLOAD_MARK = "forensics-upload"
# A manifest that was made longer ago is not offered to a host: its URLs end too soon.
MANIFEST_FRESH = timedelta(minutes=15)
# What differs between two manifests that offer the same: the signatures of their URLs, and when the command must stop for them.
_VARIES = re.compile(r"(X-Amz-[\w-]+|AWSAccessKeyId|Signature|Expires)=[^&\s]*&?|^stop_at \d+$", re.MULTILINE)


class HostUrls:
    """A bucket that hosts see by presigned URLs."""

    _signer: S3Client
    _dual_stack: Callable[[], S3Client] | None

    def dual_stack(self) -> Self:
        """The same bucket with URLs that a host without IPv4 can use too."""
        other = copy.copy(self)
        if self._dual_stack is not None:
            other._signer = self._dual_stack()
        return other


class LandingGateway(HostUrls):
    """Where hosts upload; nothing here is trusted. URLs are signed by the process's own role.

    :param credential_seconds: how long what signs the URLs still lives (:meth:`AwsSession.renewed_seconds_left`)
    """

    def __init__(
        self,
        client: S3Client,
        *,
        bucket: str,
        credential_seconds: Callable[[float], float | None] = lambda _wanted: None,
        dual_stack: Callable[[], S3Client] | None = None,
    ) -> None:
        self._s3 = self._signer = client
        self._dual_stack = dual_stack
        self.bucket = bucket
        self._credential_seconds = credential_seconds

    @classmethod
    def of(cls, session: AwsSession, settings: Settings) -> Self:
        """The deployment's landing bucket."""
        return cls(
            session.s3,
            bucket=settings.landing_bucket,
            credential_seconds=session.renewed_seconds_left,
            dual_stack=lambda: session.s3_dual_stack,
        )

    def url_life(self, wanted: int) -> int:
        """For how many seconds URLs that are signed now really open: ``wanted``, or until their credentials end."""
        left = self._credential_seconds(wanted)
        return wanted if left is None else max(0, min(wanted, int(left)))

    def _uri(self, key: str) -> str:
        return f"s3://{self.bucket}/{key}"

    def start_upload(self, key: str) -> str:
        """Start a multipart upload and return its id."""
        with aws_errors(f"start upload to {self._uri(key)}"):
            answer = self._s3.create_multipart_upload(Bucket=self.bucket, Key=key, Metadata={UPLOAD_MARK: key})
        return str(answer["UploadId"])

    def part_urls(
        self, key: str, *, upload_id: str, count: int, first: int = 1, seconds: int = URL_SECONDS
    ) -> list[str]:
        """Presigned UploadPart URLs for the parts ``first`` to ``count``; each can write that part of that key and nothing else."""
        return [
            self._signer.generate_presigned_url(
                "upload_part",
                Params={"Bucket": self.bucket, "Key": key, "UploadId": upload_id, "PartNumber": number},
                ExpiresIn=seconds,
            )
            for number in range(first, count + 1)
        ]

    def put_url(self, key: str, *, seconds: int = URL_SECONDS) -> str:
        """Presigned PUT of one key."""
        return str(
            self._signer.generate_presigned_url(
                "put_object", Params={"Bucket": self.bucket, "Key": key}, ExpiresIn=seconds
            )
        )

    def publish(self, key: str, *, text: str, seconds: int = URL_SECONDS, again: bool = False) -> str:
        """Store a small text object (a manifest) and return its presigned GET URL, valid for ``seconds``.

        ``again``: an earlier try may have stored it and died before anybody was sent it. One that offers the same, moments old, is used:
        each version of a manifest is a bundle of credentials, and a deletion leaves it in the bucket until it expires.
        """
        if not (again and self._offers_the_same(key, text)):
            with aws_errors(f"write {self._uri(key)}"):
                self._s3.put_object(Bucket=self.bucket, Key=key, Body=text.encode(), ContentType="text/plain")
        return str(
            self._signer.generate_presigned_url(
                "get_object", Params={"Bucket": self.bucket, "Key": key}, ExpiresIn=seconds
            )
        )

    def _offers_the_same(self, key: str, text: str) -> bool:
        try:
            with aws_errors(f"read {self._uri(key)}"):
                found = self._s3.get_object(Bucket=self.bucket, Key=key)
        except AwsError:
            return False  # what is not there or cannot be read is written anew
        fresh = datetime.now(UTC) - found["LastModified"] < MANIFEST_FRESH
        said = found["Body"].read(2 * len(text) + CHUNK).decode("utf-8", "replace")
        return fresh and _VARIES.sub("", said) == _VARIES.sub("", text)

    def revoke(self, prefix: str) -> None:
        """Revoke what the manifest below a prefix offers, by deleting it. Safe to repeat."""
        key = f"{prefix}/{MANIFEST}"
        with aws_errors(f"delete {self._uri(key)}"):
            self._s3.delete_object(Bucket=self.bucket, Key=key)

    def erase(self, prefix: str) -> None:
        """Remove the manifest below a prefix for good: the bucket keeps no older version of it. Safe to repeat."""
        key = f"{prefix}/{MANIFEST}"
        try:
            with aws_errors(f"look at {self._uri(key)}"):
                version = self._s3.head_object(Bucket=self.bucket, Key=key).get("VersionId")
        except ResourceGoneError:
            return
        with aws_errors(f"erase {self._uri(key)}"):
            if version:
                self._s3.delete_object(Bucket=self.bucket, Key=key, VersionId=version)
            else:  # a bucket without versions keeps nothing
                self._s3.delete_object(Bucket=self.bucket, Key=key)

    def delete(self, key: str) -> None:
        """Delete a manifest; the role may delete nothing else (every key must end in ``/manifest.txt``)."""
        with aws_errors(f"delete {self._uri(key)}"):
            self._s3.delete_object(Bucket=self.bucket, Key=key)

    def part_sizes(self, key: str, *, upload_id: str) -> dict[int, int]:
        """Size in bytes of every part that S3 has of an upload; empty when the upload is gone."""
        try:
            return {int(p["PartNumber"]): int(p["Size"]) for p in self._parts(key, upload_id)}
        except ResourceGoneError:
            return {}

    def complete_upload(self, key: str, *, upload_id: str, limit: int) -> int:
        """Complete the upload from the parts that S3 itself lists; returns the size in bytes.

        Raises :class:`EvidenceSizeError`, and completes nothing, where those are more than ``limit`` bytes together: S3 takes
        5 GiB for each part that was offered, whatever size was meant.
        """
        try:
            parts = self._parts(key, upload_id)
        except ResourceGoneError:
            size = self._completed(key)
            if size is None:
                raise
            return self._within(key, size, limit)  # an earlier try has completed it
        if not parts:
            msg = f"no part of {self._uri(key)} arrived"
            raise EvidenceTransferError(msg, next_action="check the target's network path to S3, then clear the task")
        numbers = [p["PartNumber"] for p in parts]
        if numbers != list(range(1, len(parts) + 1)):
            msg = f"parts of {self._uri(key)} are missing: {len(parts)} arrived, the last is number {numbers[-1]}"
            raise EvidenceTransferError(msg, next_action="clear the task to capture again")
        size = self._within(key, sum(int(p["Size"]) for p in parts), limit)
        with aws_errors(f"complete upload of {self._uri(key)}"):
            self._s3.complete_multipart_upload(
                Bucket=self.bucket,
                Key=key,
                UploadId=upload_id,
                MultipartUpload={"Parts": [{"PartNumber": p["PartNumber"], "ETag": p["ETag"]} for p in parts]},
            )
        return size

    def _completed(self, key: str) -> int | None:
        """Size of the object that an upload of ours became; None when there is none.

        Raises :class:`EvidenceTransferError` for an object that came in another way. Only whoever starts an upload gives it its
        metadata: a presigned URL takes no header that it was not signed for (S3 API reference, *Authenticating requests*).
        """
        try:
            with aws_errors(f"look at {self._uri(key)}"):
                found = self._s3.head_object(Bucket=self.bucket, Key=key)
        except ResourceGoneError:
            return None
        if found.get("Metadata", {}).get(UPLOAD_MARK) != key:
            msg = f"the upload to {self._uri(key)} is gone, and the object there was not made by it: it is not taken"
            raise EvidenceTransferError(
                msg, next_action="look in CloudTrail who wrote the object; clear the task to capture again"
            )
        return int(found["ContentLength"])

    def address(self, key: str) -> str:
        """Address of a landed object without the query that signs it: what its URLs begin with."""
        url = self._signer.generate_presigned_url(
            "get_object", Params={"Bucket": self.bucket, "Key": key}, ExpiresIn=60
        )
        return str(url).partition("?")[0]

    def _within(self, key: str, size: int, limit: int) -> int:
        if size > limit:
            msg = f"{size} bytes landed at {self._uri(key)}, more than the {limit} that it can have"
            raise EvidenceSizeError(
                msg, next_action="take it for an attack on the pipeline; isolate the target, continue with its disks"
            )
        return size

    def _parts(self, key: str, upload_id: str) -> list[PartTypeDef]:
        with aws_errors(f"list parts of {self._uri(key)}"):
            pages = self._s3.get_paginator("list_parts").paginate(Bucket=self.bucket, Key=key, UploadId=upload_id)
            return [part for page in pages for part in page.get("Parts", [])]

    def abort_upload(self, key: str, *, upload_id: str) -> None:
        """Abort an upload; one that is gone already is fine."""
        try:
            with aws_errors(f"abort upload of {self._uri(key)}"):
                self._s3.abort_multipart_upload(Bucket=self.bucket, Key=key, UploadId=upload_id)
        except ResourceGoneError:
            return

    def size(self, key: str) -> int | None:
        """Size of a landed object in bytes, or None when it is not there."""
        try:
            with aws_errors(f"look at {self._uri(key)}"):
                return int(self._s3.head_object(Bucket=self.bucket, Key=key)["ContentLength"])
        except ResourceGoneError:
            return None

    def stream(self, key: str, *, chunk: int = CHUNK) -> Iterator[bytes]:
        """Read a landed object in chunks of bounded size."""
        with aws_errors(f"read {self._uri(key)}"):
            get = partial(self._s3.get_object, Bucket=self.bucket, Key=key)
            yield from read_on(lambda rest: get(**rest), chunk=chunk)

    def read(self, key: str, *, limit: int) -> bytes:
        """Read a small landed object whole; more than ``limit`` bytes is an error, not memory."""
        return b"".join(self._limited(key, limit))

    def _limited(self, key: str, limit: int) -> Iterator[bytes]:
        seen = 0
        for chunk in self.stream(key, chunk=MIB):
            seen += len(chunk)
            if seen > limit:
                msg = f"{self._uri(key)} is larger than the {limit} bytes allowed for it"
                raise EvidenceTransferError(msg)
            yield chunk


class ToolsGateway(HostUrls):
    """The bucket with the tools that hosts fetch."""

    def __init__(self, client: S3Client, *, bucket: str, dual_stack: Callable[[], S3Client] | None = None) -> None:
        self._s3 = self._signer = client
        self._dual_stack = dual_stack
        self.bucket = bucket

    @classmethod
    def of(cls, session: AwsSession, settings: Settings) -> Self:
        """The deployment's tools bucket."""
        return cls(session.s3, bucket=settings.tools_bucket, dual_stack=lambda: session.s3_dual_stack)

    def get_url(self, key: str) -> str:
        """Presigned GET of a tool."""
        return str(
            self._signer.generate_presigned_url(
                "get_object", Params={"Bucket": self.bucket, "Key": key}, ExpiresIn=URL_SECONDS
            )
        )

    def sha256(self, key: str) -> str:
        """SHA-256 of a tool's bytes, computed here."""
        digest = hashlib.sha256()
        with aws_errors(f"read s3://{self.bucket}/{key}"):
            body = self._s3.get_object(Bucket=self.bucket, Key=key)["Body"]
            for chunk in body.iter_chunks(chunk_size=MIB):
                digest.update(chunk)
        return digest.hexdigest()
