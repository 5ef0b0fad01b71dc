"""The evidence bucket as an auditor sees it: all versions, deletions, locks, and the bytes of one version."""

from __future__ import annotations

import hashlib
import io
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber

from forensics.aws.s3_archive import EvidenceArchive, ObjectLock, StoredVersion
from forensics.errors import AccessDeniedError
from tests.unit.aws.conftest import Stub

OWNER, PREFIX = "222233334444", "cases/fc-20261124-0123456789/"
EARLY, LATE = datetime(2026, 11, 24, 8, tzinfo=UTC), datetime(2026, 11, 24, 9, tzinfo=UTC)
LISTED = {"Bucket": "evidence", "Prefix": PREFIX, "ExpectedBucketOwner": OWNER}


@pytest.fixture
def stub(stubbed: Stub) -> Stubber:
    """S3."""
    return stubbed("s3")


@pytest.fixture
def archive(stub: Stubber) -> EvidenceArchive:
    """The bucket."""
    return EvidenceArchive(stub.client, bucket="evidence", owner=OWNER)


def listed(name: str, version: str, written: datetime, *, latest: bool = True) -> dict[str, Any]:
    """A version in S3's listing."""
    return {"Key": f"{PREFIX}{name}", "VersionId": version, "Size": 3, "LastModified": written, "IsLatest": latest}


def stored(name: str = "a", version: str | None = "v1") -> StoredVersion:
    """A version of ours."""
    key = f"{PREFIX}{name}"
    return StoredVersion(
        key=key, uri=f"s3://evidence/{key}", version_id=version, size_bytes=3, written_at=EARLY, latest=True
    )


def test_every_version_is_listed_and_the_oldest_of_a_key_comes_first(stub: Stubber, archive: EvidenceArchive) -> None:
    first = {
        "Versions": [listed("b", "v9", EARLY), listed("a", "v2", LATE)],
        "IsTruncated": True,
        "NextKeyMarker": "k",
        "NextVersionIdMarker": "v",
    }
    second = {"Versions": [listed("a", "v1", EARLY, latest=False)], "IsTruncated": False}
    stub.add_response("list_object_versions", first, LISTED)
    stub.add_response("list_object_versions", second, {**LISTED, "KeyMarker": "k", "VersionIdMarker": "v"})
    found = archive.versions(PREFIX)
    assert [(v.key.removeprefix(PREFIX), v.version_id, v.latest) for v in found] == [
        ("a", "v1", False),
        ("a", "v2", True),
        ("b", "v9", True),
    ]
    assert found[0].uri == f"s3://evidence/{PREFIX}a"


def test_a_bucket_without_versions_has_no_version_id(stub: Stubber, archive: EvidenceArchive) -> None:
    answer = {"Versions": [listed("a", "null", EARLY)], "IsTruncated": False}
    stub.add_response("list_object_versions", answer, LISTED)
    assert archive.versions(PREFIX)[0].version_id is None


def test_a_key_that_a_delete_marker_hides_is_deleted(stub: Stubber, archive: EvidenceArchive) -> None:
    markers = [{"Key": f"{PREFIX}gone", "IsLatest": True}, {"Key": f"{PREFIX}back", "IsLatest": False}]
    stub.add_response("list_object_versions", {"DeleteMarkers": markers, "IsTruncated": False}, LISTED)
    assert archive.deleted(PREFIX) == [f"{PREFIX}gone"]


@pytest.mark.parametrize(
    ("head", "lock"),
    [
        (
            {
                "ObjectLockMode": "COMPLIANCE",
                "ObjectLockRetainUntilDate": LATE,
                "ObjectLockLegalHoldStatus": "ON",
            },
            ObjectLock(mode="COMPLIANCE", until=LATE, legal_hold=True),
        ),
        ({"ObjectLockLegalHoldStatus": "OFF"}, ObjectLock(mode=None, until=None, legal_hold=False)),
        ({}, ObjectLock(mode=None, until=None, legal_hold=False)),
    ],
)
def test_the_lock_of_exactly_that_version_is_read(
    stub: Stubber, archive: EvidenceArchive, head: dict[str, Any], lock: ObjectLock
) -> None:
    asked = {"Bucket": "evidence", "Key": f"{PREFIX}a", "ExpectedBucketOwner": OWNER, "VersionId": "v1"}
    stub.add_response("head_object", head, asked)
    assert archive.lock(stored()) == lock


@pytest.mark.parametrize("version", ["v1", None])
def test_the_digest_is_of_that_versions_bytes_and_progress_is_reported(
    stub: Stubber, archive: EvidenceArchive, version: str | None
) -> None:
    asked = {"Bucket": "evidence", "Key": f"{PREFIX}a", "ExpectedBucketOwner": OWNER}
    body = StreamingBody(io.BytesIO(b"abc"), 3)
    stub.add_response("get_object", {"Body": body}, {**asked, "VersionId": version} if version else asked)
    seen: list[int] = []
    assert archive.sha256(stored(version=version), beat=seen.append) == hashlib.sha256(b"abc").hexdigest()
    assert seen == [3]


def test_a_refusal_names_the_object(stub: Stubber, archive: EvidenceArchive) -> None:
    stub.add_client_error("get_object", "AccessDenied")
    with pytest.raises(AccessDeniedError, match=f"read s3://evidence/{PREFIX}a"):
        archive.sha256(stored())
