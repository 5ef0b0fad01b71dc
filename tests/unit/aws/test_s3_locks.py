"""Retention is extended and holds are changed for exactly one version of an object."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from botocore.stub import Stubber

from forensics.aws.s3_archive import StoredVersion
from forensics.aws.s3_locks import EvidenceLocks
from forensics.errors import AccessDeniedError
from tests.unit.aws.conftest import Stub

UNTIL = datetime(2027, 1, 1, tzinfo=UTC)
NAMED = {"Bucket": "evidence", "Key": "cases/a", "VersionId": "v1", "ExpectedBucketOwner": "222233334444"}


def version(version_id: str | None = "v1") -> StoredVersion:
    return StoredVersion(
        key="cases/a", uri="s3://evidence/cases/a", version_id=version_id, size_bytes=1, written_at=UNTIL, latest=True
    )


@pytest.fixture
def stub(stubbed: Stub) -> Stubber:
    """S3."""
    return stubbed("s3")


@pytest.fixture
def locks(stub: Stubber) -> EvidenceLocks:
    """The bucket."""
    return EvidenceLocks(stub.client, bucket="evidence", owner="222233334444")


@pytest.mark.parametrize("mode", ["GOVERNANCE", "COMPLIANCE"])
def test_retention_is_put_on_the_named_version(stub: Stubber, locks: EvidenceLocks, mode: str) -> None:
    stub.add_response("put_object_retention", {}, {**NAMED, "Retention": {"Mode": mode, "RetainUntilDate": UNTIL}})
    locks.retain(version(), until=UNTIL, mode=mode)  # type: ignore[arg-type]


@pytest.mark.parametrize(("on", "status"), [(True, "ON"), (False, "OFF")])
def test_a_hold_is_put_on_and_lifted(stub: Stubber, locks: EvidenceLocks, on: bool, status: str) -> None:
    stub.add_response("put_object_legal_hold", {}, {**NAMED, "LegalHold": {"Status": status}})
    locks.hold(version(), on=on)


def test_a_bucket_without_versions_has_no_version_to_name(stub: Stubber, locks: EvidenceLocks) -> None:
    plain = {k: v for k, v in NAMED.items() if k != "VersionId"}
    stub.add_response("put_object_legal_hold", {}, {**plain, "LegalHold": {"Status": "ON"}})
    stub.add_response(
        "put_object_retention", {}, {**plain, "Retention": {"Mode": "GOVERNANCE", "RetainUntilDate": UNTIL}}
    )
    locks.hold(version(None))
    locks.retain(version(None), until=UNTIL, mode="GOVERNANCE")


def test_a_refusal_names_the_object(stub: Stubber, locks: EvidenceLocks) -> None:
    stub.add_client_error("put_object_legal_hold", "AccessDenied")
    with pytest.raises(AccessDeniedError, match="lift the legal hold of s3://evidence/cases/a"):
        locks.hold(version(), on=False)
