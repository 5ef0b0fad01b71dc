"""S3 as the gateways use it: parts, presigned URLs, Object Lock, create-only, versions."""

from __future__ import annotations

import base64
import hashlib
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from forensics.aws.s3 import EvidenceStore
from forensics.aws.s3_archive import EvidenceArchive
from forensics.aws.s3_landing import LandingGateway
from forensics.aws.s3_parts import parts_of
from forensics.errors import ConflictError, EvidenceTransferError
from tests.contract.judges.emulators import Running

PART = 5 * 1024 * 1024


@pytest.fixture
def landing(aws: Running, name: str) -> LandingGateway:
    """A landing bucket."""
    _bucket(aws, name)
    return LandingGateway(aws.client("s3"), bucket=name)


@pytest.fixture
def locked(aws: Running, name: str) -> str:
    """A bucket with Object Lock."""
    _bucket(aws, name, ObjectLockEnabledForBucket=True)
    return name


@pytest.fixture
def evidence(aws: Running, locked: str) -> EvidenceStore:
    """The evidence store on such a bucket."""
    key = f"arn:aws:kms:{aws.region}:{aws.account}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    if "kms" in aws.emulator.services:
        key = aws.client("kms").create_key()["KeyMetadata"]["Arn"]
    return EvidenceStore(
        aws.client("s3"),
        bucket=locked,
        owner=aws.account,
        kms_key=key,
        mode="COMPLIANCE",
        retention_days=1,
        legal_hold=False,
    )


def _bucket(aws: Running, name: str, **settings: Any) -> None:
    aws.client("s3").create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": aws.region}, **settings
    )


def _send(method: str, url: str, body: bytes | None = None) -> tuple[int, bytes]:
    """As a host does it: without an SDK, without credentials."""
    request = urllib.request.Request(
        url, data=body, method=method, headers={"Content-Type": "application/octet-stream"}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def _code(call: Callable[[], Any]) -> str:
    with pytest.raises(ClientError) as caught:
        call()
    return str(caught.value.response["Error"]["Code"])


@pytest.mark.services("s3", "parts")
def test_parts_by_presigned_urls_become_one_object(landing: LandingGateway) -> None:
    key, bodies = "case/memory.lime", [b"a" * PART, b"tail"]
    upload = landing.start_upload(key)
    for url, body in zip(landing.part_urls(key, upload_id=upload, count=2), bodies, strict=True):
        assert _send("PUT", url, body)[0] == 200
    assert landing.part_sizes(key, upload_id=upload) == {1: PART, 2: 4}
    assert landing.complete_upload(key, upload_id=upload, limit=PART * 10) == PART + 4
    assert hashlib.sha256(b"".join(landing.stream(key))).hexdigest() == hashlib.sha256(b"".join(bodies)).hexdigest()


@pytest.mark.services("s3", "parts")
def test_a_completed_upload_can_be_completed_again(landing: LandingGateway) -> None:
    upload = landing.start_upload("k")
    _send("PUT", landing.part_urls("k", upload_id=upload, count=1)[0], b"x")
    assert landing.complete_upload("k", upload_id=upload, limit=PART * 10) == 1
    assert landing.complete_upload("k", upload_id=upload, limit=PART * 10) == 1


@pytest.mark.services("s3", "parts")
def test_an_upload_with_a_missing_part_is_refused_by_us(landing: LandingGateway) -> None:
    upload = landing.start_upload("k")
    _send("PUT", landing.part_urls("k", upload_id=upload, count=2)[1], b"x")
    with pytest.raises(EvidenceTransferError, match="are missing"):
        landing.complete_upload("k", upload_id=upload, limit=PART * 10)


@pytest.mark.services("s3", "parts")
def test_an_aborted_upload_has_no_parts_and_can_be_aborted_again(landing: LandingGateway) -> None:
    upload = landing.start_upload("k")
    _send("PUT", landing.part_urls("k", upload_id=upload, count=1)[0], b"x")
    landing.abort_upload("k", upload_id=upload)
    landing.abort_upload("k", upload_id=upload)
    assert landing.part_sizes("k", upload_id=upload) == {}
    assert landing.size("k") is None


@pytest.mark.services("s3", "parts")
def test_a_part_of_an_unknown_upload_is_refused(landing: LandingGateway) -> None:
    upload = landing.start_upload("k")
    url = landing.part_urls("k", upload_id=upload, count=1)[0]
    landing.abort_upload("k", upload_id=upload)
    status, body = _send("PUT", url, b"x")
    assert status == 404
    assert b"NoSuchUpload" in body


@pytest.mark.services("s3", "parts")
def test_small_parts_in_the_middle_are_refused(aws: Running, landing: LandingGateway) -> None:
    upload = landing.start_upload("k")
    for url in landing.part_urls("k", upload_id=upload, count=2):
        _send("PUT", url, b"small")
    s3 = aws.client("s3")
    parts = [
        {"PartNumber": p["PartNumber"], "ETag": p["ETag"]}
        for p in s3.list_parts(Bucket=landing.bucket, Key="k", UploadId=upload)["Parts"]
    ]
    where = {"Bucket": landing.bucket, "Key": "k", "UploadId": upload}
    assert _code(lambda: s3.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})) == "EntityTooSmall"


@pytest.mark.services("s3")
def test_a_manifest_is_read_by_its_url_until_it_is_revoked(landing: LandingGateway) -> None:
    url = landing.publish("case/manifest.txt", text="one\ntwo\n")
    assert _send("GET", url) == (200, b"one\ntwo\n")
    landing.revoke("case")
    assert _send("GET", url)[0] == 404


@pytest.mark.services("s3", "signed URLs")
def test_a_url_writes_the_key_that_it_is_for(landing: LandingGateway) -> None:
    url = landing.put_url("result.json")
    assert _send("PUT", url, b"{}")[0] == 200
    assert landing.read("result.json", limit=10) == b"{}"
    assert _send("PUT", url.replace("result.json", "other.json"), b"{}")[0] == 403


@pytest.mark.services("s3", "signed URLs")
def test_an_expired_url_opens_nothing(landing: LandingGateway) -> None:
    landing.publish("k", text="x")
    s3 = landing._s3
    url = s3.generate_presigned_url("get_object", Params={"Bucket": landing.bucket, "Key": "k"}, ExpiresIn=-60)
    assert _send("GET", url)[0] == 403


@pytest.mark.services("s3")
def test_what_is_not_there_has_no_size(landing: LandingGateway) -> None:
    assert landing.size("never") is None


@pytest.mark.services("s3", "versions")
def test_evidence_is_stored_locked_and_read_back(evidence: EvidenceStore) -> None:
    stored = evidence.put("case/a.json", b'{"a": 1}')
    assert (stored.lock_mode, stored.size_bytes) == ("COMPLIANCE", 8)
    assert stored.locked_until > datetime.now(UTC)
    assert stored.version_id
    assert evidence.read_json("case/a.json") == {"a": 1}
    assert evidence.read_range("case/a.json", offset=1, size=3) == b'"a"'


@pytest.mark.services("s3", "versions")
def test_the_same_evidence_again_is_the_same_and_other_bytes_are_refused(evidence: EvidenceStore) -> None:
    first = evidence.put("k", b"one")
    assert evidence.put("k", b"one").sha256 == first.sha256
    with pytest.raises(EvidenceTransferError, match="other content"):
        evidence.put("k", b"two")
    assert b"".join(evidence.stream("k")) == b"one"


@pytest.mark.services("s3", "versions")
def test_a_stream_of_parts_is_one_locked_object(evidence: EvidenceStore) -> None:
    stored = evidence.put_stream("image.raw", iter([b"b" * PART] * 4))
    assert stored.sha256 == hashlib.sha256(b"b" * PART * 4).hexdigest()
    assert (stored.lock_mode, stored.size_bytes) == ("COMPLIANCE", 4 * PART)
    with pytest.raises(EvidenceTransferError, match="other content"):
        evidence.put_stream("image.raw", iter([b"c" * PART] * 4))


@pytest.mark.services("s3", "checksums")
def test_a_wrong_digest_is_refused(aws: Running, landing: LandingGateway) -> None:
    wrong = base64.b64encode(hashlib.sha256(b"other").digest()).decode()
    where = {"Bucket": landing.bucket, "Key": "k"}
    assert _code(lambda: aws.client("s3").put_object(**where, Body=b"x", ChecksumSHA256=wrong)) == "BadDigest"


@pytest.mark.services("s3", "checksums")
def test_create_only_is_refused_with_412(aws: Running, landing: LandingGateway) -> None:
    s3, where = aws.client("s3"), {"Bucket": landing.bucket, "Key": "k", "IfNoneMatch": "*"}
    s3.put_object(**where, Body=b"x")
    with pytest.raises(ClientError) as caught:
        s3.put_object(**where, Body=b"y")
    assert caught.value.response["Error"]["Code"] == "PreconditionFailed"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 412


@pytest.mark.services("s3", "versions")
def test_a_locked_version_is_neither_deleted_nor_freed(aws: Running, evidence: EvidenceStore) -> None:
    stored, s3 = evidence.put("k", b"x"), aws.client("s3")
    where = {"Bucket": evidence.bucket, "Key": "k", "VersionId": stored.version_id}
    assert _code(lambda: s3.delete_object(**where)) == "AccessDenied"
    shorter = {"Mode": "COMPLIANCE", "RetainUntilDate": datetime.now(UTC) + timedelta(minutes=5)}
    assert _code(lambda: s3.put_object_retention(**where, Retention=shorter)) == "AccessDenied"
    assert (
        _code(lambda: s3.put_object_retention(**where, Retention=shorter, BypassGovernanceRetention=True))
        == "AccessDenied"
    )


@pytest.mark.services("s3", "versions")
def test_a_delete_hides_evidence_and_keeps_its_versions(aws: Running, evidence: EvidenceStore) -> None:
    evidence.put("case/k", b"x")
    aws.client("s3").delete_object(Bucket=evidence.bucket, Key="case/k")
    archive = EvidenceArchive(aws.client("s3"), bucket=evidence.bucket, owner=aws.account)
    assert archive.deleted("case/") == ["case/k"]
    (version,) = archive.versions("case/")
    assert not version.latest
    assert archive.sha256(version) == hashlib.sha256(b"x").hexdigest()
    assert archive.lock(version).mode == "COMPLIANCE"


@pytest.mark.services("s3", "versions")
def test_a_legal_hold_keeps_a_version_without_retention(aws: Running, locked: str) -> None:
    s3 = aws.client("s3")
    version = s3.put_object(
        Bucket=locked, Key="k", Body=b"x", ObjectLockLegalHoldStatus="ON", ChecksumAlgorithm="SHA256"
    )["VersionId"]
    where = {"Bucket": locked, "Key": "k", "VersionId": version}
    assert _code(lambda: s3.delete_object(**where)) == "AccessDenied"
    s3.put_object_legal_hold(**where, LegalHold={"Status": "OFF"})
    s3.delete_object(**where)
    archive = EvidenceArchive(s3, bucket=locked, owner=aws.account)
    assert archive.versions("") == []


@pytest.mark.services("s3", "checksums")
def test_the_owner_of_a_bucket_is_checked(aws: Running, landing: LandingGateway) -> None:
    where = {"Bucket": landing.bucket, "Key": "k", "ExpectedBucketOwner": "999988887777"}
    assert _code(lambda: aws.client("s3").put_object(**where, Body=b"x")) == "AccessDenied"


@pytest.mark.services("s3", "versions")
def test_a_lock_needs_a_bucket_with_object_lock(aws: Running, landing: LandingGateway) -> None:
    until = datetime.now(UTC) + timedelta(days=1)
    lock = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": until, "ChecksumAlgorithm": "SHA256"}
    code = _code(lambda: aws.client("s3").put_object(Bucket=landing.bucket, Key="k", Body=b"x", **lock))
    assert code == "InvalidRequest"


@pytest.mark.services("s3", "versions")
def test_lists_are_complete_and_in_order(aws: Running, evidence: EvidenceStore) -> None:
    for number in (2, 10, 1):
        evidence.put(f"case/{number}", b"x")
    evidence.put("other", b"x")
    assert evidence.list("case/") == [evidence.uri(f"case/{n}") for n in (1, 10, 2)]
    page = aws.client("s3").list_objects_v2(Bucket=evidence.bucket, Prefix="case/", MaxKeys=2)
    assert page["IsTruncated"]
    rest = aws.client("s3").list_objects_v2(
        Bucket=evidence.bucket, Prefix="case/", MaxKeys=2, ContinuationToken=page["NextContinuationToken"]
    )
    assert [item["Key"] for item in [*page["Contents"], *rest["Contents"]]] == ["case/1", "case/10", "case/2"]


@pytest.mark.services("s3", "versions")
def test_a_conflict_has_one_name(evidence: EvidenceStore, aws: Running) -> None:
    evidence.put("k", b"x")
    upload = aws.client("s3").create_multipart_upload(Bucket=evidence.bucket, Key="k", ChecksumAlgorithm="SHA256")[
        "UploadId"
    ]
    (body,) = parts_of(iter([b"y"]))
    part = evidence._part("k", upload=upload, number=1, part=body)
    with pytest.raises(ConflictError):
        evidence._complete("k", upload=upload, parts=[part])
