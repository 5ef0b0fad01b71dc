"""S3's authorizations: object actions, what object locks and customer keys ask for beside them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from moto.s3.models import s3_backends

from lab.emulator.iam import keys
from lab.emulator.iam.policy import Request
from lab.emulator.iam.sessions import ORGANIZATION

# API call → IAM action, where they differ (service authorization reference, Amazon S3)
_ACTIONS = {
    "HeadObject": "GetObject", "CreateMultipartUpload": "PutObject", "UploadPart": "PutObject", "CompleteMultipartUpload": "PutObject",
    "ListParts": "ListMultipartUploadParts", "ListObjectsV2": "ListBucket", "HeadBucket": "ListBucket",
    "ListObjectVersions": "ListBucketVersions", "ListBuckets": "ListAllMyBuckets",
}  # fmt: skip
_WRITES = {"PutObject", "CreateMultipartUpload"}


def _key_of(given: Any, bucket: str) -> list[str]:
    """The customer key an object of the bucket is under: the request's own, else the bucket's default."""
    asked = given.headers.get("x-amz-server-side-encryption-aws-kms-key-id")
    if asked:
        return [asked]
    found = next((b[bucket] for b in _buckets(given.account) if bucket in b), None)
    rule = ((found.encryption or {}).get("Rule", {}) if found else {}) or {}
    rule = rule[0] if isinstance(rule, list) else rule
    key = rule.get("ApplyServerSideEncryptionByDefault", {}).get("KMSMasterKeyID")
    return [key] if key and str(key).startswith("arn:") else []


def _buckets(account: str) -> Iterator[Any]:
    for backend in s3_backends[account].values():
        yield backend.buckets


def _hold(given: Any) -> dict[str, Any]:
    """``s3:object-lock-legal-hold`` of a request (service authorization reference, Amazon S3: PutObject, PutObjectLegalHold)."""
    if given.action == "PutObjectLegalHold":
        found = re.search(rb"<Status>\s*(ON|OFF)\s*</Status>", given.body)
        return {"s3:object-lock-legal-hold": found[1].decode()} if found else {}
    status = given.headers.get("x-amz-object-lock-legal-hold")
    return {"s3:object-lock-legal-hold": status} if status else {}


def policy_of(account: str, bucket: str) -> str | None:
    """The bucket's policy."""
    for buckets in _buckets(account):
        if bucket in buckets and buckets[bucket].policy:
            policy = buckets[bucket].policy
            return policy.decode() if isinstance(policy, bytes) else str(policy)
    return None


def authorizations(given: Any) -> Iterator[Request]:
    """Every authorization of an S3 call."""
    for request in _authorizations(given):
        yield request.__class__(
            request.action, request.resource, {**_organization(request.resource), **request.context}
        )


def _organization(resource: str) -> dict[str, Any]:
    """``aws:ResourceOrgID`` of a bucket of the lab's accounts, which are all of one organization (IAM user guide, *Global condition keys*)."""
    bucket = resource.removeprefix("arn:aws:s3:::").partition("/")[0]
    known = resource.startswith("arn:aws:s3:::") and bucket in s3_backends.bucket_accounts
    return {"aws:ResourceOrgID": ORGANIZATION} if known else {}


def _authorizations(given: Any) -> Iterator[Request]:
    bucket, _, key = given.path.lstrip("/").partition("/")
    action = _ACTIONS.get(given.action, given.action)
    if given.action in ("GetObject", "HeadObject") and "versionId" in given.query:
        action = "GetObjectVersion"
    if not key:
        listing = action in ("ListBucket", "ListBucketVersions")
        context = {"s3:prefix": given.query.get("prefix", "")} if listing else {}
        yield Request(f"s3:{action}", f"arn:aws:s3:::{bucket}" if bucket else "*", context)
        return
    resource = f"arn:aws:s3:::{bucket}/{key}"
    sse = "x-amz-server-side-encryption-aws-kms-key-id"
    yield Request(f"s3:{action}", resource, {f"s3:{sse}": given.headers[sse]} if sse in given.headers else _hold(given))
    if given.action in _WRITES:
        if "x-amz-object-lock-mode" in given.headers:
            yield Request("s3:PutObjectRetention", resource)
        if "x-amz-object-lock-legal-hold" in given.headers:
            yield Request("s3:PutObjectLegalHold", resource, _hold(given))
    for kms in _key_of(given, bucket):
        if given.action in _WRITES:
            yield keys.request("kms:GenerateDataKey", kms, via=f"s3.{given.region}")
        elif action in ("GetObject", "GetObjectVersion", "PutObject"):
            yield keys.request("kms:Decrypt", kms, via=f"s3.{given.region}")
