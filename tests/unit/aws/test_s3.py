"""The evidence store: what each request carries, and what happens to a second write."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from botocore.config import Config
from botocore.response import StreamingBody
from botocore.stub import Stubber

from forensics.aws import s3_parts
from forensics.aws.s3 import EvidenceStore
from forensics.errors import AccessDeniedError, EvidenceTransferError
from tests.unit.moto_store import KEYS, checksum, make_client

OWNER, KEY_ARN = "222233334444", "arn:aws:kms:eu-central-1:222233334444:key/evidence"
KEY = "cases/fc-20261124-0123456789/report/report.json"


ABORT = {"Bucket": "evidence", "Key": KEY, "UploadId": "u1", "ExpectedBucketOwner": OWNER}


class Sent:
    """Equal to a file that holds these bytes."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, io.BufferedRandom) or other.read() != self._content:
            return False
        other.seek(0)
        return True

    __hash__ = None  # type: ignore[assignment]


class InDays:
    """Equal to a moment that many days from now, give or take a minute."""

    def __init__(self, days: int) -> None:
        self.days = days

    def __eq__(self, other: object) -> bool:
        assert isinstance(other, datetime)
        return abs(other - datetime.now(UTC) - timedelta(days=self.days)) < timedelta(minutes=1)

    __hash__ = None  # type: ignore[assignment]


def stored_body(data: bytes) -> StreamingBody:
    """The body of a GetObject answer."""
    return StreamingBody(io.BytesIO(data), len(data))


@pytest.fixture
def stub() -> Iterator[Stubber]:
    """S3 that answers what a test has put down, in order, and nothing else."""
    with Stubber(make_client("s3")) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


@pytest.fixture
def evidence(stub: Stubber) -> EvidenceStore:
    """A store with 30 days of retention."""
    return EvidenceStore(
        stub.client, bucket="evidence", owner=OWNER, kms_key=KEY_ARN, mode="COMPLIANCE", retention_days=30
    )


def expected_put(body: bytes, **more: Any) -> dict[str, Any]:
    """What PutObject must carry."""
    return {
        "Bucket": "evidence",
        "Key": KEY,
        "Body": body,
        "ContentType": "application/json",
        "IfNoneMatch": "*",
        "ExpectedBucketOwner": OWNER,
        "ServerSideEncryption": "aws:kms",
        "SSEKMSKeyId": KEY_ARN,
        "ChecksumAlgorithm": "SHA256",
        "ChecksumSHA256": checksum(body),
        "Metadata": {"sha256": hashlib.sha256(body).hexdigest()},
        "ObjectLockMode": "COMPLIANCE",
        "ObjectLockRetainUntilDate": InDays(30),
        "ObjectLockLegalHoldStatus": "ON",
        **more,
    }


UNTIL = datetime(2127, 1, 1, tzinfo=UTC)


def _read_back(stub: Stubber, size: int, *, version: str | None = None, **changes: Any) -> None:
    """S3 describes what it stored: a HeadObject of exactly that version."""
    head = {
        "ContentLength": size,
        "ObjectLockMode": "COMPLIANCE",
        "ObjectLockRetainUntilDate": UNTIL,
        **changes,
    }
    where = {"Bucket": "evidence", "Key": KEY, "ExpectedBucketOwner": OWNER}
    stub.add_response("head_object", head, {**where, "VersionId": version} if version else where)


def test_put_is_create_only_owned_encrypted_checked_and_locked(stub: Stubber, evidence: EvidenceStore) -> None:
    stub.add_response("put_object", {"VersionId": "v1"}, expected_put(b"{}"))
    _read_back(stub, 2, version="v1")
    stored = evidence.put(KEY, b"{}", content_type="application/json")
    assert (stored.uri, stored.version_id, stored.size_bytes) == (f"s3://evidence/{KEY}", "v1", 2)
    assert stored.sha256 == hashlib.sha256(b"{}").hexdigest()
    assert (stored.lock_mode, stored.locked_until) == ("COMPLIANCE", UNTIL), "as read back, not as asked for"


@pytest.mark.parametrize(
    ("head", "words"),
    [
        ({"ObjectLockMode": None}, "without a lock"),
        ({"ObjectLockRetainUntilDate": None}, "without a lock"),
        ({"ObjectLockRetainUntilDate": datetime(2020, 1, 1, tzinfo=UTC)}, "without a lock"),
        ({"ContentLength": 1}, "has 1 bytes in S3, 2 were written"),
    ],
)
def test_what_s3_did_not_lock_or_keep_whole_is_not_evidence(
    stub: Stubber, evidence: EvidenceStore, head: dict[str, Any], words: str
) -> None:
    answer = {"ContentLength": 2, "ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": UNTIL, **head}
    stub.add_response("put_object", {"VersionId": "v1"}, expected_put(b"{}"))
    stub.add_response("head_object", {k: v for k, v in answer.items() if v is not None})
    with pytest.raises(EvidenceTransferError, match=words):
        evidence.put(KEY, b"{}", content_type="application/json")


def _refuse_as_existing(stub: Stubber, found: bytes) -> None:
    stub.add_client_error("put_object", "PreconditionFailed", http_status_code=412)
    where = {"Bucket": "evidence", "Key": KEY, "ExpectedBucketOwner": OWNER}
    stub.add_response("get_object", {"Body": stored_body(found)}, where)


def test_the_same_bytes_again_are_accepted_as_they_lie_there(stub: Stubber, evidence: EvidenceStore) -> None:
    _refuse_as_existing(stub, b"{}")
    _read_back(stub, 2, VersionId="v0", ObjectLockMode="GOVERNANCE")
    stored = evidence.put(KEY, b"{}", content_type="application/json")
    assert (stored.version_id, stored.lock_mode) == ("v0", "GOVERNANCE")
    assert stored.locked_until == UNTIL


def test_other_bytes_under_the_same_key_are_refused(stub: Stubber, evidence: EvidenceStore) -> None:
    _refuse_as_existing(stub, b"[]")
    with pytest.raises(EvidenceTransferError, match="exists already with other content") as caught:
        evidence.put(KEY, b"{}", content_type="application/json")
    assert "nothing was overwritten" in caught.value.next_action


def test_a_write_that_races_another_is_retried_and_not_taken_for_an_existing_object(
    stub: Stubber, evidence: EvidenceStore
) -> None:
    stub.add_client_error("put_object", "ConditionalRequestConflict", http_status_code=409)
    with pytest.raises(Exception, match="ConditionalRequestConflict") as caught:
        evidence.put(KEY, b"{}")
    assert caught.value.retryable  # type: ignore[attr-defined]


def _expect_upload(stub: Stubber, parts: list[bytes]) -> None:
    stub.add_response(
        "create_multipart_upload",
        {"UploadId": "u1"},
        {
            "Bucket": "evidence",
            "Key": KEY,
            "ExpectedBucketOwner": OWNER,
            "ServerSideEncryption": "aws:kms",
            "SSEKMSKeyId": KEY_ARN,
            "ChecksumAlgorithm": "SHA256",
            "ObjectLockMode": "COMPLIANCE",
            "ObjectLockRetainUntilDate": InDays(30),
            "ObjectLockLegalHoldStatus": "ON",
        },
    )
    for number, body in enumerate(parts, start=1):
        stub.add_response(
            "upload_part",
            {"ETag": f'"{number}"'},
            {
                "Bucket": "evidence",
                "Key": KEY,
                "UploadId": "u1",
                "PartNumber": number,
                "Body": Sent(body),
                "ChecksumSHA256": checksum(body),
                "ExpectedBucketOwner": OWNER,
            },
        )


def _complete(parts: list[bytes]) -> dict[str, Any]:
    listed = [{"PartNumber": n, "ETag": f'"{n}"', "ChecksumSHA256": checksum(b)} for n, b in enumerate(parts, start=1)]
    return {
        "Bucket": "evidence",
        "Key": KEY,
        "UploadId": "u1",
        "IfNoneMatch": "*",
        "ExpectedBucketOwner": OWNER,
        "MultipartUpload": {"Parts": listed},
    }


def test_a_stream_is_written_in_parts_each_with_its_checksum(
    stub: Stubber, evidence: EvidenceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_parts, "CHUNK", 4)
    parts = [b"abcd", b"efgh", b"ij"]
    _expect_upload(stub, parts)
    stub.add_response("complete_multipart_upload", {"VersionId": "v1"}, _complete(parts))
    _read_back(stub, 10, version="v1")
    seen: list[bytes] = []
    stored = evidence.put_stream(KEY, iter([b"abc", b"", b"defghij"]), on_chunk=seen.append)
    assert b"".join(seen) == b"".join(parts)
    assert (stored.sha256, stored.size_bytes) == (hashlib.sha256(b"abcdefghij").hexdigest(), 10)


def test_an_empty_source_is_an_error_and_leaves_no_upload(stub: Stubber, evidence: EvidenceStore) -> None:
    _expect_upload(stub, [])
    stub.add_response("abort_multipart_upload", {}, ABORT)
    with pytest.raises(EvidenceTransferError, match="the source is empty"):
        evidence.put_stream(KEY, iter([]))


def test_a_failure_in_the_middle_aborts_the_upload(stub: Stubber, evidence: EvidenceStore) -> None:
    _expect_upload(stub, [])
    stub.add_client_error("upload_part", "AccessDenied")
    stub.add_response("abort_multipart_upload", {}, ABORT)
    with pytest.raises(AccessDeniedError):
        evidence.put_stream(KEY, iter([b"x"]))


def test_a_repeated_stream_of_the_same_bytes_is_accepted(stub: Stubber, evidence: EvidenceStore) -> None:
    _expect_upload(stub, [b"abc"])
    stub.add_client_error("complete_multipart_upload", "PreconditionFailed", http_status_code=412)
    stub.add_client_error("abort_multipart_upload", "NoSuchUpload", expected_params=ABORT)
    stub.add_response("get_object", {"Body": stored_body(b"abc")})
    _read_back(stub, 3, VersionId="v0")
    assert evidence.put_stream(KEY, iter([b"abc"])).version_id == "v0"


def test_a_link_for_a_person_names_the_file_and_ends_soon() -> None:
    """As the product signs (SigV4): Amazon S3 API reference, "Authenticating requests: using query parameters"."""
    client = boto3.session.Session(**KEYS).client("s3", config=Config(signature_version="s3v4"))
    store = EvidenceStore(client, bucket="evidence", owner=OWNER, kms_key=KEY_ARN, mode="COMPLIANCE", retention_days=30)
    asked = parse_qs(urlsplit(store.get_url(KEY, seconds=120, name='a"b\r\n/c.html')).query)
    assert asked["X-Amz-Expires"] == ["120"]
    assert asked["response-content-disposition"] == ['attachment; filename="a_b___c.html"']
    assert parse_qs(urlsplit(store.get_url(KEY)).query)["X-Amz-Expires"] == ["3600"]
