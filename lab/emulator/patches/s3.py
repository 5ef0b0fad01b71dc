"""S3: retention is read and kept, digests are checked, presigned URLs expire and cannot be changed."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, quote

from moto.iam.access_control import IAMPolicy, PermissionResult
from moto.s3.exceptions import S3ClientError
from moto.s3.models import FakeBucket, FakeKey, S3Backend
from moto.s3.responses import S3Response

from lab.emulator.iam import keys
from lab.emulator.patches import accounts, state
from lab.emulator.patches.patching import replace

_LOCKED_MESSAGE = "Access Denied because object protected by object lock."
_RETENTION = (
    '<?xml version="1.0" encoding="UTF-8"?><Retention xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    "<Mode>{mode}</Mode><RetainUntilDate>{until}</RetainUntilDate></Retention>"
)


class Refused(S3ClientError):
    """403 with AWS's error code and message."""

    code = "AccessDenied"
    status_code = 403


class NoRetention(S3ClientError):
    """404: the object has no retention."""

    code = "NoSuchObjectLockConfiguration"
    status_code = 404


class KeyNotUsable(S3ClientError):
    """400: the key that the object is encrypted with cannot be used."""

    status_code = 400

    def __init__(self, key: Any) -> None:
        self.code = "KMS.DisabledException" if key.key_state == "Disabled" else "KMS.KMSInvalidStateException"
        super().__init__(f"{key.arn} is {'disabled' if key.key_state == 'Disabled' else key.key_state}.")


class NoObjectLock(S3ClientError):
    """400: a lock was asked for in a bucket without Object Lock."""

    code = "InvalidRequest"
    status_code = 400


class BadDigest(S3ClientError):
    """400: what arrived is not what the caller hashed."""

    code = "BadDigest"
    status_code = 400


def _time(value: Any) -> datetime:
    return datetime.fromisoformat(str(value).replace("Z", "+00:00"))


def _get_key(original: Callable[..., Any]) -> Callable[..., Any]:
    def _key_response_get(self: Any, query: dict[str, Any], key_name: str) -> Any:
        if "retention" not in query:
            return original(self, query, key_name)
        version = (query.get("versionId") or [None])[0]
        key = self.backend.get_object(self.bucket_name, key_name, version_id=version)
        if key is None or not key.lock_mode:
            raise NoRetention("The specified object does not have a ObjectLock configuration")
        return (
            200,
            {"Content-Type": "application/xml"},
            _RETENTION.format(mode=key.lock_mode, until=key.lock_until),
        )

    return _key_response_get


def _is_locked(_original: Callable[..., Any]) -> Callable[..., Any]:
    def is_locked(self: Any, governance_bypass: bool) -> bool:
        """By the lab's clock, so that a retention can end in a test."""
        if self.lock_legal_status == "ON":
            return True
        if not self.lock_mode or (self.lock_mode == "GOVERNANCE" and governance_bypass):
            return False
        return _time(self.lock_until) > datetime.now(UTC) + timedelta(seconds=state.ahead())

    return is_locked


def _put_retention(original: Callable[..., None]) -> Callable[..., None]:
    def put_object_retention(
        self: Any,
        bucket_name: str,
        key_name: str,
        version_id: str | None,
        retention: tuple[str | None, str | None],
    ) -> None:
        key = self.get_object(bucket_name, key_name, version_id=version_id)
        if key is not None and key.lock_mode and _time(key.lock_until) > datetime.now(UTC):
            mode, until = retention
            # Amazon S3 user guide, "Object Lock considerations": an extension keeps the mode; the lab grants nobody
            # s3:BypassGovernanceRetention, so that a governance lock is shortened by nobody either
            if mode != key.lock_mode or not until or _time(until) < _time(key.lock_until):
                raise Refused(_LOCKED_MESSAGE)
        original(self, bucket_name, key_name, version_id, retention)

    return put_object_retention


def _check_digests(response: Any) -> None:
    body = response.body if isinstance(response.body, bytes) else (response.body or "").encode()
    sha256 = response.headers.get("x-amz-checksum-sha256")
    if sha256 and base64.b64encode(hashlib.sha256(body).digest()).decode() != sha256:
        raise BadDigest("The SHA256 you specified did not match the calculated checksum.")
    md5 = response.headers.get("content-md5")
    if md5 and base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode() != md5:
        raise BadDigest("The Content-MD5 you specified did not match what we received.")


def _check_new_object(response: Any, bucket_name: str) -> None:
    """What S3 refuses before it takes an object: a key that cannot be used, a lock where the bucket has none.

    AWS KMS developer guide, "Key states of AWS KMS keys"; S3 API reference, *PutObject*, ``x-amz-object-lock-mode``.
    """
    bucket = response.backend.get_bucket(bucket_name)
    default = ((bucket.encryption or {}).get("Rule") or {}).get("ApplyServerSideEncryptionByDefault", {})
    name = response.headers.get("x-amz-server-side-encryption-aws-kms-key-id") or default.get("KMSMasterKeyID")
    key = keys.key_of(name, bucket.account_id, bucket.region_name)
    if key is not None and key.key_state != "Enabled":
        raise KeyNotUsable(key)
    if response.headers.get("x-amz-object-lock-mode") and not bucket.object_lock_enabled:
        raise NoObjectLock("Bucket is missing Object Lock Configuration")


def _put_key(original: Callable[..., Any]) -> Callable[..., Any]:
    def _key_response_put(self: Any, query: dict[str, Any], key_name: str) -> Any:
        if "x-amz-copy-source" not in self.headers:
            _check_digests(self)
        if set(query) <= {"partNumber", "uploadId"}:
            _check_new_object(self, self.bucket_name)
        return original(self, query, key_name)

    return _key_response_put


def _checksum(original: Callable[..., Any]) -> Callable[..., Any]:
    def _get_checksum(self: Any, response_headers: dict[str, Any]) -> tuple[str, str | None]:
        if not self.headers.get("x-amz-sdk-checksum-algorithm"):
            # a checksum that the caller has computed itself comes without the SDK's own header
            for algorithm in ("SHA256", "SHA1", "CRC64NVME", "CRC32C", "CRC32"):
                header = f"x-amz-checksum-{algorithm.lower()}"
                value = self.headers.get(header)
                if value:
                    response_headers[header] = value
                    return algorithm, value
        return original(self, response_headers)

    return _get_checksum


def _complete(original: Callable[..., Any]) -> Callable[..., Any]:
    def complete_multipart_upload(self: Any, bucket_name: str, multipart_id: str, body: Any) -> Any:
        key = original(self, bucket_name, multipart_id, body)
        if key is not None and key.checksum_type == "COMPOSITE" and "-" not in (key.checksum_value or "-"):
            # AWS: the checksum of the parts' checksums, and how many they were
            key.checksum_value = f"{key.checksum_value}-{key.checksum_parts}"
        return key

    return complete_multipart_upload


def _post_key(original: Callable[..., Any]) -> Callable[..., Any]:
    def _key_response_post(
        self: Any, request: Any, body: bytes, bucket_name: str, query: dict[str, Any], key_name: str
    ) -> Any:
        if "uploads" in query:
            _check_new_object(self, bucket_name)
        status, headers, answer = original(self, request, body, bucket_name, query, key_name)
        key = self.backend.get_object(bucket_name, key_name) if query.get("uploadId") else None
        if status != 200 or key is None or not key.checksum_value or not key.checksum_algorithm:
            return status, headers, answer
        name = f"Checksum{key.checksum_algorithm}"
        text = answer.decode() if isinstance(answer, bytes) else answer
        end = "</CompleteMultipartUploadResult>"
        return status, headers, text.replace(end, f"<{name}>{key.checksum_value}</{name}>{end}")

    return _key_response_post


def _checked_url(original: Callable[..., Any]) -> Callable[..., Any]:
    def response(self: Any, request: Any, full_url: str) -> Any:
        if "Authorization" not in request.headers:
            if "X-Amz-Signature" not in request.args:
                raise Refused("Access Denied")  # nothing in the lab is public
            check_presigned(
                method=request.method,
                path=request.path,
                query=request.query_string.decode(),
                headers={name.lower(): value for name, value in request.headers.items()},
            )
        return original(self, request, full_url)

    return response


def check_presigned(*, method: str, path: str, query: str, headers: dict[str, str]) -> None:
    """Refuse a presigned URL that is past its time or was changed. Raises Refused (403)."""
    pairs = parse_qsl(query, keep_blank_values=True)
    given = dict(pairs)
    signed_at = datetime.strptime(given["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    if datetime.now(UTC) > signed_at + timedelta(seconds=int(given["X-Amz-Expires"])):
        raise Refused("Request has expired")
    access_key, day, region, service, _kind = given["X-Amz-Credential"].split("/")
    secret = accounts.secret_of(access_key)
    if secret is None:
        return  # a key that the lab did not issue, such as "testing" in other settings: nothing to compare with
    names = given["X-Amz-SignedHeaders"].split(";")
    canonical = "\n".join(
        [
            method,
            quote(path, safe="/-_.~"),
            "&".join(
                sorted(f"{quote(k, safe='-_.~')}={quote(v, safe='-_.~')}" for k, v in pairs if k != "X-Amz-Signature")
            ),
            *[f"{name}:{' '.join(headers.get(name, '').split())}" for name in names],
            "",
            ";".join(names),
            given.get("X-Amz-Content-Sha256") or headers.get("x-amz-content-sha256") or "UNSIGNED-PAYLOAD",
        ]
    )
    scope = f"{day}/{region}/{service}/aws4_request"
    hashed = hashlib.sha256(canonical.encode()).hexdigest()
    key = f"AWS4{secret}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    text = f"AWS4-HMAC-SHA256\n{given['X-Amz-Date']}\n{scope}\n{hashed}"
    if not hmac.compare_digest(hmac.new(key, text.encode(), hashlib.sha256).hexdigest(), given["X-Amz-Signature"]):
        refusal = Refused(
            "The request signature we calculated does not match the signature you provided. "
            "Check your key and signing method."
        )
        refusal.code = "SignatureDoesNotMatch"
        raise refusal


def _get_permission(_original: Callable[..., Any]) -> Callable[..., Any]:
    def get_permission(self: Any, action: str, resource: str) -> Any:
        """Stock moto ignores conditions: a policy that denies plain HTTP would deny everybody. lab.emulator.iam evaluates those with conditions."""
        if self.policy is None:
            return PermissionResult.NEUTRAL
        document = json.loads(self.policy)
        found = document.get("Statement", [])
        plain = [s for s in (found if isinstance(found, list) else [found]) if not s.get("Condition")]
        return IAMPolicy(json.dumps({**document, "Statement": plain})).is_action_permitted(action, resource)

    return get_permission


def apply() -> None:
    """Install the patch."""
    replace(FakeBucket, "get_permission", _get_permission)
    replace(S3Response, "_key_response", _checked_url)
    replace(S3Response, "_bucket_response", _checked_url)
    replace(S3Response, "_key_response_get", _get_key)
    replace(S3Response, "_key_response_put", _put_key)
    replace(S3Response, "_key_response_post", _post_key)
    replace(S3Response, "_get_checksum", _checksum)
    replace(S3Backend, "complete_multipart_upload", _complete)
    replace(FakeKey, "is_locked", _is_locked)
    replace(S3Backend, "put_object_retention", _put_retention)
