"""The landing and the tools bucket: URLs that allow one thing, uploads completed from what S3 itself lists."""

from __future__ import annotations

import io
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber

from forensics.aws.s3_landing import LandingGateway
from forensics.aws.session import AwsSession
from forensics.errors import EvidenceTransferError
from tests.unit.aws.conftest import Stub


@pytest.fixture
def stub(stubbed: Stub) -> Stubber:
    """S3."""
    return stubbed("s3")


def stored_body(data: bytes) -> StreamingBody:
    """The body of a GetObject answer."""
    return StreamingBody(io.BytesIO(data), len(data))


def test_presigned_urls_can_write_one_thing_and_sign_nothing_but_the_host() -> None:
    client = AwsSession(boto=make_session(), account_id="222233334444", region="eu-central-1").client("s3")
    landing = LandingGateway(client, bucket="landing")
    urls = [*landing.part_urls("case/memory.lime", upload_id="u1", count=3), landing.put_url("case/btf")]
    queries = [parse_qs(urlsplit(url).query) for url in urls]
    assert [q.get("partNumber") for q in queries] == [["1"], ["2"], ["3"], None]
    for query in queries:
        # A signed checksum header would be one of an empty body, and curl would have to send it.
        assert query["X-Amz-SignedHeaders"] == ["host"]
        assert not [name for name in query if "checksum" in name.lower()]
        assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]


def make_session() -> Any:
    """A session with keys that open nothing."""
    import boto3

    return boto3.session.Session(aws_access_key_id="testing", aws_secret_access_key="testing")


def _list_parts(stub: Stubber, parts: list[tuple[int, int]]) -> None:
    listed = [{"PartNumber": n, "ETag": f'"{n}"', "Size": size} for n, size in parts]
    where = {"Bucket": "landing", "Key": "k", "UploadId": "u1"}
    stub.add_response("list_parts", {"Parts": listed, "IsTruncated": False}, where)


def test_an_upload_is_completed_from_what_s3_lists(stub: Stubber) -> None:
    _list_parts(stub, [(1, 16), (2, 3)])
    stub.add_response(
        "complete_multipart_upload",
        {},
        {
            "Bucket": "landing",
            "Key": "k",
            "UploadId": "u1",
            "MultipartUpload": {
                "Parts": [{"PartNumber": 1, "ETag": '"1"'}, {"PartNumber": 2, "ETag": '"2"'}],
            },
        },
    )
    assert LandingGateway(stub.client, bucket="landing").complete_upload("k", upload_id="u1") == 19


@pytest.mark.parametrize(
    ("parts", "words"), [([], "no part"), ([(1, 16), (3, 16)], "are missing"), ([(2, 16)], "are missing")]
)
def test_an_upload_with_holes_is_refused(stub: Stubber, parts: list[tuple[int, int]], words: str) -> None:
    _list_parts(stub, parts)
    with pytest.raises(EvidenceTransferError, match=words):
        LandingGateway(stub.client, bucket="landing").complete_upload("k", upload_id="u1")


def test_an_object_that_did_not_land_has_no_size(stub: Stubber) -> None:
    stub.add_client_error("head_object", "404", http_status_code=404)
    assert LandingGateway(stub.client, bucket="landing").size("k") is None


def test_a_landed_object_that_is_too_large_is_not_read_into_memory(stub: Stubber) -> None:
    stub.add_response("get_object", {"Body": stored_body(b"x" * 100)}, {"Bucket": "landing", "Key": "k"})
    with pytest.raises(EvidenceTransferError, match="larger than the 99 bytes"):
        LandingGateway(stub.client, bucket="landing").read("k", limit=99)
