"""The landing and the tools bucket: URLs that allow one thing, uploads completed from what S3 itself lists."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber

from forensics.aws.s3_landing import UPLOAD_MARK, LandingGateway, ToolsGateway
from forensics.aws.session import AwsSession
from forensics.errors import EvidenceSizeError, EvidenceTransferError, ResourceGoneError
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


OFFER = "forensics-manifest 1\nstop_at {}\nput btf https://landing.example/k/btf?uploadId={}&X-Amz-Date={}&X-Amz-Signature={}\n"


@pytest.mark.parametrize(
    ("stored", "age", "written"),
    [
        (OFFER.format(1790000000, "u1", "20261130T000000Z", "aa"), 300, False),
        (OFFER.format(1790000000, "u2", "20261130T000000Z", "aa"), 300, True),  # another upload
        (OFFER.format(1790000000, "u1", "20261130T000000Z", "aa"), 3600, True),  # its URLs end soon
        (None, 0, True),
    ],
)
def test_a_manifest_that_nobody_was_sent_is_not_stored_twice(
    stub: Stubber, stored: str | None, age: int, written: bool
) -> None:
    """Found by tests/crash: a try that died before it sent its command left a version of its manifest beside the next one."""
    where = {"Bucket": "landing", "Key": "k/manifest.txt"}
    at = datetime.now(UTC) - timedelta(seconds=age)
    if stored is None:
        stub.add_client_error("get_object", "NoSuchKey", expected_params=where)
    else:
        stub.add_response("get_object", {"Body": stored_body(stored.encode()), "LastModified": at}, where)
    text = OFFER.format(1790000300, "u1", "20261130T000500Z", "bb")
    if written:
        stub.add_response("put_object", {}, {**where, "Body": text.encode(), "ContentType": "text/plain"})
    url = LandingGateway(stub.client, bucket="landing").publish("k/manifest.txt", text=text, again=True)
    assert "/k/manifest.txt?" in url
    stub.assert_no_pending_responses()


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
    assert LandingGateway(stub.client, bucket="landing").complete_upload("k", upload_id="u1", limit=100) == 19


@pytest.mark.parametrize(
    ("parts", "words"), [([], "no part"), ([(1, 16), (3, 16)], "are missing"), ([(2, 16)], "are missing")]
)
def test_an_upload_with_holes_is_refused(stub: Stubber, parts: list[tuple[int, int]], words: str) -> None:
    _list_parts(stub, parts)
    with pytest.raises(EvidenceTransferError, match=words):
        LandingGateway(stub.client, bucket="landing").complete_upload("k", upload_id="u1", limit=100)


def test_an_object_that_did_not_land_has_no_size(stub: Stubber) -> None:
    stub.add_client_error("head_object", "404", http_status_code=404)
    assert LandingGateway(stub.client, bucket="landing").size("k") is None


def test_a_landed_object_that_is_too_large_is_not_read_into_memory(stub: Stubber) -> None:
    stub.add_response("get_object", {"Body": stored_body(b"x" * 100)}, {"Bucket": "landing", "Key": "k"})
    with pytest.raises(EvidenceTransferError, match="larger than the 99 bytes"):
        LandingGateway(stub.client, bucket="landing").read("k", limit=99)


def test_a_manifest_is_published_and_its_url_lives_as_long_as_asked(stub: Stubber) -> None:
    stub.add_response(
        "put_object", {}, {"Bucket": "landing", "Key": "k/manifest", "Body": b"text", "ContentType": "text/plain"}
    )
    url = LandingGateway(stub.client, bucket="landing").publish("k/manifest", text="text", seconds=600)
    assert "/k/manifest?" in url and "text" not in url.split("?")[1]
    assert parse_qs(urlsplit(url).query)["X-Amz-Expires"] == ["600"]


def test_what_a_manifest_offers_is_revoked_by_deleting_it(stub: Stubber) -> None:
    stub.add_response("delete_object", {}, {"Bucket": "landing", "Key": "case/try-1/manifest.txt"})
    LandingGateway(stub.client, bucket="landing").revoke("case/try-1")


def test_a_manifest_with_a_key_is_erased_with_its_version(stub: Stubber) -> None:
    """Without the version the bucket would keep it behind a delete marker."""
    key = {"Bucket": "landing", "Key": "case/try-1/manifest.txt"}
    landing = LandingGateway(stub.client, bucket="landing")
    stub.add_response("head_object", {"VersionId": "v1"}, key)
    stub.add_response("delete_object", {}, {**key, "VersionId": "v1"})
    landing.erase("case/try-1")
    stub.add_client_error("head_object", "404", http_status_code=404)
    landing.erase("case/try-1")
    stub.add_response("head_object", {}, key)
    stub.add_response("delete_object", {}, key)
    landing.erase("case/try-1")
    stub.assert_no_pending_responses()


def test_sizes_of_parts_are_s3s_own_and_none_are_left_of_a_gone_upload(stub: Stubber) -> None:
    _list_parts(stub, [(1, 16), (2, 3)])
    stub.add_client_error("list_parts", "NoSuchUpload")
    landing = LandingGateway(stub.client, bucket="landing")
    assert landing.part_sizes("k", upload_id="u1") == {1: 16, 2: 3}
    assert landing.part_sizes("k", upload_id="u1") == {}


def test_an_upload_that_an_earlier_try_completed_has_its_size(stub: Stubber) -> None:
    stub.add_client_error("list_parts", "NoSuchUpload")
    stub.add_response(
        "head_object", {"ContentLength": 19, "Metadata": {UPLOAD_MARK: "k"}}, {"Bucket": "landing", "Key": "k"}
    )
    assert LandingGateway(stub.client, bucket="landing").complete_upload("k", upload_id="u1", limit=100) == 19


@pytest.mark.parametrize("metadata", [{}, {UPLOAD_MARK: "other"}])
def test_an_object_that_came_in_another_way_than_by_the_upload_is_not_taken(
    stub: Stubber, metadata: dict[str, str]
) -> None:
    stub.add_client_error("list_parts", "NoSuchUpload")
    stub.add_response("head_object", {"ContentLength": 19, "Metadata": metadata}, {"Bucket": "landing", "Key": "k"})
    with pytest.raises(EvidenceTransferError, match="was not made by it: it is not taken"):
        LandingGateway(stub.client, bucket="landing").complete_upload("k", upload_id="u1", limit=100)


def test_an_upload_is_marked_by_whoever_starts_it(stub: Stubber) -> None:
    asked = {"Bucket": "landing", "Key": "k", "Metadata": {UPLOAD_MARK: "k"}}
    stub.add_response("create_multipart_upload", {"UploadId": "u1"}, asked)
    assert LandingGateway(stub.client, bucket="landing").start_upload("k") == "u1"


def test_an_upload_that_is_nowhere_is_an_error(stub: Stubber) -> None:
    stub.add_client_error("list_parts", "NoSuchUpload")
    stub.add_client_error("head_object", "404", http_status_code=404)
    with pytest.raises(ResourceGoneError, match="list parts of s3://landing/k"):
        LandingGateway(stub.client, bucket="landing").complete_upload("k", upload_id="u1", limit=100)


def test_aborting_what_is_gone_is_fine(stub: Stubber) -> None:
    asked = {"Bucket": "landing", "Key": "k", "UploadId": "u1"}
    stub.add_client_error("abort_multipart_upload", "NoSuchUpload", expected_params=asked)
    LandingGateway(stub.client, bucket="landing").abort_upload("k", upload_id="u1")


KEYS = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "secret"}


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("eu-central-1", "s3.dualstack.eu-central-1.amazonaws.com"),
        ("us-gov-west-1", "s3.dualstack.us-gov-west-1.amazonaws.com"),
        ("cn-north-1", "s3.dualstack.cn-north-1.amazonaws.com.cn"),
    ],
)
def test_urls_for_a_host_without_ipv4_name_the_dual_stack_endpoint(
    region: str, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Amazon S3 user guide, "Using Amazon S3 dual-stack endpoints"; botocore's endpoint rules give the name."""
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    session = AwsSession(boto=boto3.session.Session(**KEYS), account_id="111122223333", region=region)
    usual = LandingGateway(session.s3, bucket="landing", dual_stack=lambda: session.s3_dual_stack)
    other = usual.dual_stack()
    assert urlsplit(usual.put_url("k")).hostname == host.replace("dualstack.", "")
    urls = [other.put_url("k"), other.address("k"), *other.part_urls("k", upload_id="u", count=2)]
    assert {urlsplit(url).hostname for url in urls} == {host}
    assert parse_qs(urlsplit(urls[0]).query)["X-Amz-SignedHeaders"] == ["host"], "the name is signed"
    tools = ToolsGateway(session.s3, bucket="tools", dual_stack=lambda: session.s3_dual_stack).dual_stack()
    assert urlsplit(tools.get_url("tools/avml")).hostname == host
    assert urlsplit(usual.put_url("k")).hostname != host, "the first gateway is as it was"


def test_an_endpoint_of_ones_own_has_no_second_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4999")
    session = AwsSession(boto=boto3.session.Session(**KEYS), account_id="111122223333", region="eu-central-1")
    landing = LandingGateway(session.s3, bucket="landing", dual_stack=lambda: session.s3_dual_stack)
    assert landing.dual_stack().put_url("k").startswith("http://127.0.0.1:4999/landing/k?")


def test_a_tool_is_fetched_from_the_tools_bucket_by_its_url(stub: Stubber) -> None:
    url = ToolsGateway(stub.client, bucket="bucket-of-tools").get_url("tools/avml")
    assert "bucket-of-tools" in url and urlsplit(url).path.endswith("/tools/avml")


@pytest.mark.parametrize(("left", "life"), [(None, 3600), (9000.0, 3600), (725.5, 725), (-3.0, 0)])
def test_urls_live_no_longer_than_what_signs_them(stub: Stubber, left: float | None, life: int) -> None:
    """S3 user guide, "Download and upload objects with presigned URLs"."""
    landing = LandingGateway(stub.client, bucket="landing", credential_seconds=lambda wanted: left)
    assert landing.url_life(3600) == life


def test_parts_that_are_larger_than_what_is_expected_are_not_made_an_object(stub: Stubber) -> None:
    """A presigned UploadPart URL takes up to 5 GiB (S3 user guide, multipart upload limits); completing is not stubbed: it is not called."""
    _list_parts(stub, [(1, 5 * 1024**3), (2, 5 * 1024**3)])
    with pytest.raises(
        EvidenceSizeError, match="10737418240 bytes landed at s3://landing/k, more than the 100"
    ) as caught:
        LandingGateway(stub.client, bucket="landing").complete_upload("k", upload_id="u1", limit=100)
    assert not caught.value.retryable and "isolate the target" in caught.value.next_action


def test_an_upload_that_somebody_else_completed_is_held_to_the_same_limit(stub: Stubber) -> None:
    stub.add_client_error("list_parts", "NoSuchUpload")
    stub.add_response(
        "head_object", {"ContentLength": 101, "Metadata": {UPLOAD_MARK: "k"}}, {"Bucket": "landing", "Key": "k"}
    )
    with pytest.raises(EvidenceSizeError, match="101 bytes landed"):
        LandingGateway(stub.client, bucket="landing").complete_upload("k", upload_id="u1", limit=100)
