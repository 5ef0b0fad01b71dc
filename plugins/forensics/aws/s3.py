"""S3: the evidence store, locked and create-only."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Literal, NotRequired, Self, TypedDict

from pydantic import JsonValue

from forensics.aws.error_map import aws_errors
from forensics.aws.s3_parts import CHUNK, MIB, PartBody, parts_of
from forensics.aws.s3_reading import read_on
from forensics.aws.session import AwsSession
from forensics.errors import ConflictError, EvidenceTransferError, ForensicsError, ResourceGoneError
from forensics.models.base import Model
from forensics.settings import LockMode, Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef, HeadObjectRequestTypeDef

log = logging.getLogger(__name__)
URL_SECONDS = 3600
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]")


class StoredObject(Model):
    """An object of the evidence store as it was written."""

    uri: str
    bucket: str
    key: str
    version_id: str | None
    sha256: str
    size_bytes: int
    lock_mode: str
    locked_until: datetime


class _LockRequest(TypedDict):
    ObjectLockMode: LockMode
    ObjectLockRetainUntilDate: datetime
    ObjectLockLegalHoldStatus: NotRequired[Literal["ON"]]


class EvidenceStore:
    """Create-only writes under Object Lock, with checksum, owner check and the evidence key."""

    def __init__(
        self,
        client: S3Client,
        *,
        bucket: str,
        owner: str,
        kms_key: str,
        mode: LockMode,
        retention_days: int,
        legal_hold: bool = True,
    ) -> None:
        self._s3 = client
        self._legal_hold = legal_hold
        self.bucket = bucket
        self._owner = owner
        self._kms_key = kms_key
        self._mode = mode
        self._days = retention_days

    @classmethod
    def of(cls, session: AwsSession, settings: Settings) -> Self:
        """The deployment's evidence bucket, with its lock mode, retention and legal hold."""
        return cls(
            session.s3,
            bucket=settings.evidence_bucket,
            owner=settings.forensic_account_id,
            kms_key=settings.evidence_key_arn,
            mode=settings.lock_mode,
            retention_days=settings.retention_days,
            legal_hold=settings.legal_hold,
        )

    def uri(self, key: str) -> str:
        """s3:// URI of a key."""
        return f"s3://{self.bucket}/{key}"

    def _lock(self) -> _LockRequest:
        until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=self._days)
        lock: _LockRequest = {"ObjectLockMode": self._mode, "ObjectLockRetainUntilDate": until}
        return {**lock, "ObjectLockLegalHoldStatus": "ON"} if self._legal_hold else lock

    def put(self, key: str, body: bytes, *, content_type: str = "application/octet-stream") -> StoredObject:
        """Write one object; the same bytes written by an earlier try are accepted, other bytes are an error."""
        try:
            return self._create(key, body, content_type=content_type)
        except ConflictError:
            return self._existing(key, sha256=hashlib.sha256(body).hexdigest())

    def put_first(
        self, key: str, body: bytes, *, content_type: str = "application/octet-stream"
    ) -> tuple[StoredObject, bytes]:
        """Write one object unless it is there; returns what is stored now: of an earlier try or a twin, whatever its bytes."""
        try:
            return self._create(key, body, content_type=content_type), body
        except ConflictError:
            return self.adopt(key)

    def adopt(self, key: str, *, limit: int = 64 * MIB) -> tuple[StoredObject, bytes]:
        """An object that is stored, with its bytes hashed here; raises :class:`ResourceGoneError` when there is none."""
        body = self._read(key, limit=limit)
        return self._read_back(key, version=None, sha256=hashlib.sha256(body).hexdigest(), size=len(body)), body

    def _create(self, key: str, body: bytes, *, content_type: str) -> StoredObject:
        digest = hashlib.sha256(body)
        with aws_errors(f"write {self.uri(key)}"):
            answer = self._s3.put_object(
                Bucket=self.bucket,
                Key=key,
                Body=body,
                ContentType=content_type,
                IfNoneMatch="*",
                ExpectedBucketOwner=self._owner,
                ServerSideEncryption="aws:kms",
                SSEKMSKeyId=self._kms_key,
                ChecksumAlgorithm="SHA256",
                ChecksumSHA256=base64.b64encode(digest.digest()).decode(),
                Metadata={"sha256": digest.hexdigest()},
                **self._lock(),
            )
        return self._read_back(key, version=answer.get("VersionId"), sha256=digest.hexdigest(), size=len(body))

    def _read_back(self, key: str, *, version: str | None, sha256: str, size: int) -> StoredObject:
        """Ask S3 what it stored: the size must be right and the lock must be there, or it is not evidence."""
        request: HeadObjectRequestTypeDef = {"Bucket": self.bucket, "Key": key, "ExpectedBucketOwner": self._owner}
        if version:
            request["VersionId"] = version
        with aws_errors(f"read back {self.uri(key)}"):
            head = self._s3.head_object(**request)
        mode, until = head.get("ObjectLockMode"), head.get("ObjectLockRetainUntilDate")
        if int(head["ContentLength"]) != size:
            msg = f"{self.uri(key)} has {head['ContentLength']} bytes in S3, {size} were written"
            raise EvidenceTransferError(msg)
        if mode not in {"GOVERNANCE", "COMPLIANCE"} or until is None or until <= datetime.now(UTC):
            msg = f"{self.uri(key)} was stored without a lock (mode {mode}, until {until})"
            raise EvidenceTransferError(
                msg, next_action="check Object Lock on the evidence bucket, then clear the task"
            )
        return StoredObject(
            uri=self.uri(key),
            bucket=self.bucket,
            key=key,
            version_id=version or head.get("VersionId"),
            sha256=sha256,
            size_bytes=size,
            lock_mode=mode,
            locked_until=until,
        )

    def found(self, key: str) -> StoredObject | None:
        """An object that is stored, read and hashed here; None when there is none."""
        try:
            return self._existing(key, sha256=None)
        except ResourceGoneError:
            return None

    def _existing(self, key: str, *, sha256: str | None) -> StoredObject:
        found, size = hashlib.sha256(), 0
        for chunk in self.stream(key):
            found.update(chunk)
            size += len(chunk)
        if sha256 and found.hexdigest() != sha256:
            msg = f"{self.uri(key)} exists already with other content ({found.hexdigest()}, expected {sha256})"
            raise EvidenceTransferError(msg, next_action="look at the object's versions; nothing was overwritten")
        return self._read_back(key, version=None, sha256=found.hexdigest(), size=size)

    def put_stream(
        self,
        key: str,
        chunks: Iterator[bytes],
        *,
        on_chunk: Callable[[bytes], object] | None = None,
        adopt: bool = False,
    ) -> StoredObject:
        """Write a large object part by part, hashing as it passes; memory stays bounded whatever its size (:mod:`.s3_parts`).

        ``adopt``: what is there already counts, whatever its bytes; without, other bytes are an error.
        """
        with aws_errors(f"start writing {self.uri(key)}"):
            upload = self._s3.create_multipart_upload(
                Bucket=self.bucket,
                Key=key,
                ExpectedBucketOwner=self._owner,
                ServerSideEncryption="aws:kms",
                SSEKMSKeyId=self._kms_key,
                ChecksumAlgorithm="SHA256",
                **self._lock(),
            )["UploadId"]
        digest, size = hashlib.sha256(), 0
        parts: list[CompletedPartTypeDef] = []

        def passing() -> Iterator[bytes]:
            nonlocal size
            for chunk in chunks:
                digest.update(chunk)
                size += len(chunk)
                if on_chunk:
                    on_chunk(chunk)
                yield chunk

        try:
            for number, part in enumerate(parts_of(passing()), start=1):
                with part:
                    parts.append(self._part(key, upload=upload, number=number, part=part))
            version = self._complete(key, upload=upload, parts=parts)
        except ConflictError:
            self._give_up(key, upload)
            return self._existing(key, sha256=None if adopt else digest.hexdigest())
        except BaseException:
            self._give_up(key, upload)
            raise
        return self._read_back(key, version=version, sha256=digest.hexdigest(), size=size)

    def _part(self, key: str, *, upload: str, number: int, part: PartBody) -> CompletedPartTypeDef:
        checksum = base64.b64encode(part.sha256).decode()
        with aws_errors(f"write part {number} of {self.uri(key)}"):
            answer = self._s3.upload_part(
                Bucket=self.bucket,
                Key=key,
                UploadId=upload,
                PartNumber=number,
                Body=part.body,
                ChecksumSHA256=checksum,
                ExpectedBucketOwner=self._owner,
            )
        return {"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": checksum}

    def _complete(self, key: str, *, upload: str, parts: list[CompletedPartTypeDef]) -> str | None:
        if not parts:
            msg = f"nothing to write to {self.uri(key)}: the source is empty"
            raise EvidenceTransferError(msg)
        with aws_errors(f"complete {self.uri(key)}"):
            answer = self._s3.complete_multipart_upload(
                Bucket=self.bucket,
                Key=key,
                UploadId=upload,
                IfNoneMatch="*",
                ExpectedBucketOwner=self._owner,
                MultipartUpload={"Parts": parts},
            )
        version = answer.get("VersionId")
        return str(version) if version else None

    def _give_up(self, key: str, upload: str) -> None:
        """Abort after an error, which is what people must read, not that of the abort: the bucket's rule ends what is left."""
        try:
            self._abort(key, upload)
        except ForensicsError as error:
            log.warning("the upload %s of %s is left to the bucket's rule: %s", upload, key, error)

    def _abort(self, key: str, upload: str) -> None:
        try:
            with aws_errors(f"abort writing {self.uri(key)}"):
                self._s3.abort_multipart_upload(
                    Bucket=self.bucket, Key=key, UploadId=upload, ExpectedBucketOwner=self._owner
                )
        except ResourceGoneError:
            return

    def stream(self, key: str, *, chunk: int = CHUNK) -> Iterator[bytes]:
        """Read an object of the evidence store in chunks."""
        with aws_errors(f"read {self.uri(key)}"):
            get = partial(self._s3.get_object, Bucket=self.bucket, Key=key, ExpectedBucketOwner=self._owner)
            yield from read_on(lambda rest: get(**rest), chunk=chunk)

    def read_range(self, key: str, *, offset: int, size: int) -> bytes:
        """A piece of a stored object; shorter where the object ends."""
        with aws_errors(f"read {self.uri(key)}"):
            answer = self._s3.get_object(
                Bucket=self.bucket,
                Key=key,
                ExpectedBucketOwner=self._owner,
                Range=f"bytes={offset}-{offset + size - 1}",
            )
            return bytes(answer["Body"].read())

    def read_json(self, key: str, *, limit: int = 64 * MIB) -> JsonValue:
        """Read a JSON object."""
        found: JsonValue = json.loads(self._read(key, limit=limit))
        return found

    def _read(self, key: str, *, limit: int) -> bytes:
        data = bytearray()
        for part in self.stream(key):
            data += part
            if len(data) > limit:
                msg = f"{self.uri(key)} is larger than {limit} bytes"
                raise EvidenceTransferError(msg)
        return bytes(data)

    def look(self, key: str) -> tuple[str | None, int]:
        """Version and size in bytes of a stored object; raises :class:`ResourceGoneError` when there is none."""
        with aws_errors(f"look at {self.uri(key)}"):
            head = self._s3.head_object(Bucket=self.bucket, Key=key, ExpectedBucketOwner=self._owner)
        return head.get("VersionId"), int(head["ContentLength"])

    def get_url(self, key: str, *, seconds: int = URL_SECONDS, name: str = "") -> str:
        """Presigned GET of one object, by default valid for an hour; with ``name`` a browser saves it under that name."""
        params = {"Bucket": self.bucket, "Key": key}
        if name:
            params["ResponseContentDisposition"] = f'attachment; filename="{_NOT_IN_NAMES.sub("_", name)[-200:]}"'
        return str(self._s3.generate_presigned_url("get_object", Params=params, ExpiresIn=seconds))

    def folders(self, prefix: str) -> list[str]:
        """Names directly below a prefix that ends with a slash, without the slash: no object below them is listed."""
        with aws_errors(f"list {self.uri(prefix)}"):
            pages = self._s3.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=prefix, Delimiter="/", ExpectedBucketOwner=self._owner
            )
            found = [item["Prefix"] for page in pages for item in page.get("CommonPrefixes", [])]
        return [name.removeprefix(prefix).rstrip("/") for name in found]

    def list(self, prefix: str) -> list[str]:
        """URIs of all objects below a prefix."""
        return [*self.iter_uris(prefix)]

    def iter_uris(self, prefix: str) -> Iterator[str]:
        """URIs of the objects below a prefix, asked for a thousand at a time as they are needed."""
        with aws_errors(f"list {self.uri(prefix)}"):
            pages = self._s3.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=prefix, ExpectedBucketOwner=self._owner
            )
            yield from (self.uri(item["Key"]) for page in pages for item in page.get("Contents", []))

    def newest(self, prefix: str) -> datetime | None:
        """When the newest object below a prefix was written; None when there is none."""
        with aws_errors(f"list {self.uri(prefix)}"):
            pages = self._s3.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=prefix, ExpectedBucketOwner=self._owner
            )
            return max((item["LastModified"] for page in pages for item in page.get("Contents", [])), default=None)
