"""S3 multipart uploads: the lock asked for at the start (or the bucket's default) is on the object."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from moto.s3.exceptions import NoSuchUpload
from moto.s3.models import MultipartChecksumBuilder, S3Backend
from moto.s3.responses import S3Response

from lab.emulator.patches.patching import replace

_asked = threading.local()
# mode, until, legal hold
NO_LOCK = (None, None, None)


def _post_key(original: Callable[..., Any]) -> Callable[..., Any]:
    def _key_response_post(self: Any, *args: Any, **kwargs: Any) -> Any:
        _asked.lock = (
            self.headers.get("x-amz-object-lock-mode"),
            self.headers.get("x-amz-object-lock-retain-until-date"),
            self.headers.get("x-amz-object-lock-legal-hold"),
        )
        try:
            return original(self, *args, **kwargs)
        finally:
            _asked.lock = NO_LOCK

    return _key_response_post


def _create(original: Callable[..., Any]) -> Callable[..., Any]:
    def create_multipart_upload(self: Any, *args: Any, **kwargs: Any) -> Any:
        upload = original(self, *args, **kwargs)
        upload.lab_lock = getattr(_asked, "lock", NO_LOCK)
        return upload

    return create_multipart_upload


def _complete(original: Callable[..., Any]) -> Callable[..., Any]:
    def complete_multipart_upload(self: Any, bucket_name: str, multipart_id: str, body: Any) -> Any:
        bucket = self.get_bucket(bucket_name)
        mode, until, hold = getattr(bucket.multiparts.get(multipart_id), "lab_lock", NO_LOCK)
        key = original(self, bucket_name, multipart_id, body)
        if key is not None and not mode and bucket.default_lock_mode:
            days = int(bucket.default_lock_days or 0) + 365 * int(bucket.default_lock_years or 0)
            mode = bucket.default_lock_mode
            until = (datetime.now(UTC) + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")
        if key is not None and mode:
            key.lock_mode, key.lock_until = mode, until
        if key is not None and hold:
            key.lock_legal_status = hold
        return key

    return complete_multipart_upload


def _count_part(original: Callable[..., None]) -> Callable[..., None]:
    def add_part(self: Any, part: bytes) -> None:
        if self.lab_asked:
            original(self, part)

    return add_part


def _remember_algorithm(original: Callable[..., None]) -> Callable[..., None]:
    def __init__(self: Any, checksum_algorithm: str | None, checksum_type: str | None) -> None:
        original(self, checksum_algorithm, checksum_type)
        self.lab_asked = checksum_algorithm is not None

    return __init__


def _build(original: Callable[..., Any]) -> Callable[..., Any]:
    def build(self: Any) -> Any:
        # stock moto works seconds on a checksum that nobody asked for and that it then does not show
        return original(self) if self.lab_asked else None

    return build


def _part(original: Callable[..., Any]) -> Callable[..., Any]:
    def upload_part(self: Any, bucket_name: str, multipart_id: str, *rest: Any, **named: Any) -> Any:
        # a host goes on with the URLs of an upload that was aborted or completed: S3 answers 404, stock moto a KeyError
        if multipart_id not in self.get_bucket(bucket_name).multiparts:
            raise NoSuchUpload(upload_id=multipart_id)
        return original(self, bucket_name, multipart_id, *rest, **named)

    return upload_part


def apply() -> None:
    """Install the patch."""
    replace(S3Backend, "upload_part", _part)
    replace(MultipartChecksumBuilder, "__init__", _remember_algorithm)
    replace(MultipartChecksumBuilder, "addPart", _count_part)
    replace(MultipartChecksumBuilder, "build", _build)
    replace(S3Response, "_key_response_post", _post_key)
    replace(S3Backend, "create_multipart_upload", _create)
    replace(S3Backend, "complete_multipart_upload", _complete)
