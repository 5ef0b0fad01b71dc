"""S3: a request that names the bucket's owner is refused when the owner is another (S3 user guide, *Verifying bucket ownership*)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.s3.exceptions import MissingBucket
from moto.s3.responses import S3Response

from lab.emulator.patches.patching import replace
from lab.emulator.patches.s3 import Refused


def _owned(original: Callable[..., Any]) -> Callable[..., Any]:
    def response(self: Any, request: Any, full_url: str) -> Any:
        expected = request.headers.get("x-amz-expected-bucket-owner")
        if expected:
            try:
                bucket = self.backend.get_bucket(self.parse_bucket_name_from_url(request, full_url))
            except MissingBucket:
                bucket = None  # whatever is asked says so itself
            if bucket is not None and bucket.account_id != expected:
                raise Refused("Access Denied")
        return original(self, request, full_url)

    return response


def apply() -> None:
    """Install the patch, inside the check of signatures."""
    replace(S3Response, "_key_response", _owned)
    replace(S3Response, "_bucket_response", _owned)
