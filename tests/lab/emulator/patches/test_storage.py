"""S3, DynamoDB and KMS of the lab: evidence stays as written, URLs are good for what they were signed for."""

from __future__ import annotations

import base64
import hashlib
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, utils

from tests.lab.conftest import FORENSIC, MEMBER, REGION, Lab
from tests.lab.emulator.patches.test_ec2 import refused
from tests.lab.emulator.patches.test_sts import assume, make_role

PART = 5 * 1024 * 1024


@pytest.fixture
def s3(lab: Lab):
    return lab.client("s3")


@pytest.fixture
def bucket(s3) -> str:
    name = f"evidence-{time.monotonic_ns()}"
    s3.create_bucket(
        Bucket=name,
        CreateBucketConfiguration={"LocationConstraint": REGION},
        ObjectLockEnabledForBucket=True,
    )
    return name


def http(method: str, url: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes, dict]:
    """A request as curl makes it: no SDK, no credentials."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, data=body, method=method, headers=names)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        return error.code, error.read(), dict(error.headers)


def test_retention_is_read_and_never_shortened(s3, bucket: str) -> None:
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=2)
    version = s3.put_object(
        Bucket=bucket, Key="k", Body=b"x", ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=until
    )["VersionId"]
    kept = s3.get_object_retention(Bucket=bucket, Key="k")["Retention"]
    assert (kept["Mode"], kept["RetainUntilDate"]) == ("COMPLIANCE", until)
    for retention in (
        {"Mode": "COMPLIANCE", "RetainUntilDate": until - timedelta(days=1)},
        {"Mode": "GOVERNANCE", "RetainUntilDate": until + timedelta(days=1)},
    ):
        with refused("AccessDenied"):
            s3.put_object_retention(Bucket=bucket, Key="k", Retention=retention)
    longer = {"Mode": "COMPLIANCE", "RetainUntilDate": until + timedelta(days=1)}
    s3.put_object_retention(Bucket=bucket, Key="k", Retention=longer)
    with refused("AccessDenied"):
        s3.delete_object(Bucket=bucket, Key="k", VersionId=version)


def test_a_governance_lock_is_extended_and_not_shortened_without_the_bypass(s3, bucket: str) -> None:
    """Amazon S3 user guide, "Object Lock considerations": shortening takes s3:BypassGovernanceRetention."""
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=2)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=until)
    for retention in (
        {"Mode": "GOVERNANCE", "RetainUntilDate": until - timedelta(days=1)},
        {"Mode": "COMPLIANCE", "RetainUntilDate": until + timedelta(days=1)},
    ):
        with refused("AccessDenied"):
            s3.put_object_retention(Bucket=bucket, Key="k", Retention=retention)
    longer = {"Mode": "GOVERNANCE", "RetainUntilDate": until + timedelta(days=1)}
    s3.put_object_retention(Bucket=bucket, Key="k", Retention=longer)
    assert s3.get_object_retention(Bucket=bucket, Key="k")["Retention"]["RetainUntilDate"] == until + timedelta(days=1)


def test_an_object_without_retention(s3, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    with refused("NoSuchObjectLockConfiguration"):
        s3.get_object_retention(Bucket=bucket, Key="k")


def test_wrong_digests_are_refused(s3, bucket: str) -> None:
    wrong = base64.b64encode(hashlib.sha256(b"other").digest()).decode()
    right = base64.b64encode(hashlib.sha256(b"x").digest()).decode()
    with refused("BadDigest"):
        s3.put_object(Bucket=bucket, Key="k", Body=b"x", ChecksumSHA256=wrong)
    with refused("BadDigest"):
        s3.put_object(Bucket=bucket, Key="k", Body=b"x", ContentMD5=base64.b64encode(b"0" * 16).decode())
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ChecksumSHA256=right)
    assert s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")["ChecksumSHA256"] == right
    upload = s3.create_multipart_upload(Bucket=bucket, Key="m")["UploadId"]
    with refused("BadDigest"):
        s3.upload_part(Bucket=bucket, Key="m", UploadId=upload, PartNumber=1, Body=b"x", ChecksumSHA256=wrong)


def test_the_checksum_of_parts_is_composite(s3, bucket: str) -> None:
    upload = s3.create_multipart_upload(Bucket=bucket, Key="m", ChecksumAlgorithm="SHA256")["UploadId"]
    bodies, parts, digests = [b"a" * PART, b"b"], [], b""
    for number, body in enumerate(bodies, 1):
        raw = hashlib.sha256(body).digest()
        digest = base64.b64encode(raw).decode()
        part = s3.upload_part(
            Bucket=bucket, Key="m", UploadId=upload, PartNumber=number, Body=body, ChecksumSHA256=digest
        )
        parts.append({"PartNumber": number, "ETag": part["ETag"], "ChecksumSHA256": digest})
        digests += raw
    done = s3.complete_multipart_upload(Bucket=bucket, Key="m", UploadId=upload, MultipartUpload={"Parts": parts})
    expected = base64.b64encode(hashlib.sha256(digests).digest()).decode() + "-2"
    assert done["ChecksumSHA256"] == expected
    assert s3.head_object(Bucket=bucket, Key="m", ChecksumMode="ENABLED")["ChecksumSHA256"] == expected


def test_a_multipart_object_is_locked_as_asked(s3, bucket: str) -> None:
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=2)
    lock = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": until}
    upload = s3.create_multipart_upload(Bucket=bucket, Key="m", **lock)["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key="m", UploadId=upload, PartNumber=1, Body=b"x")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(Bucket=bucket, Key="m", UploadId=upload, MultipartUpload=parts)
    kept = s3.get_object_retention(Bucket=bucket, Key="m")["Retention"]
    assert (kept["Mode"], kept["RetainUntilDate"]) == ("COMPLIANCE", until)


def test_objects_are_created_only_once(s3, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", IfNoneMatch="*")
    with refused("PreconditionFailed") as caught:
        s3.put_object(Bucket=bucket, Key="k", Body=b"y", IfNoneMatch="*")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 412
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=b"z")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    with refused("PreconditionFailed"):
        s3.complete_multipart_upload(Bucket=bucket, Key="k", UploadId=upload, MultipartUpload=parts, IfNoneMatch="*")


@pytest.mark.parametrize("kind", ["application/octet-stream", "application/x-www-form-urlencoded", None])
def test_parts_arrive_by_presigned_url(s3, bucket: str, kind: str | None) -> None:
    upload = s3.create_multipart_upload(Bucket=bucket, Key="memory.lime")["UploadId"]
    bodies, parts = [b"a=1&b=" + b"\xff" * (PART - 6), b"tail"], []
    for number, body in enumerate(bodies, 1):
        where = {"Bucket": bucket, "Key": "memory.lime", "UploadId": upload, "PartNumber": number}
        url = s3.generate_presigned_url("upload_part", Params=where)
        headers = {} if kind is None else {"Content_Type": kind}
        if kind is None:
            status, _body, answer = put_without_type(url, body)
        else:
            status, _body, answer = http("PUT", url, body, **headers)
        assert status == 200
        parts.append({"PartNumber": number, "ETag": answer["etag"]})
    s3.complete_multipart_upload(
        Bucket=bucket, Key="memory.lime", UploadId=upload, MultipartUpload={"Parts": parts}, IfNoneMatch="*"
    )
    stored = s3.get_object(Bucket=bucket, Key="memory.lime")["Body"].read()
    assert hashlib.sha256(stored).digest() == hashlib.sha256(b"".join(bodies)).digest()


def put_without_type(url: str, body: bytes) -> tuple[int, bytes, dict]:
    import http.client
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=20)
    connection.putrequest("PUT", f"{parts.path}?{parts.query}", skip_accept_encoding=True)
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    answer = connection.getresponse()
    return answer.status, answer.read(), {name.lower(): value for name, value in answer.getheaders()}


def test_an_expired_url_is_refused(s3, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"}, ExpiresIn=1)
    assert http("GET", url)[:2] == (200, b"x")
    time.sleep(1.1)
    status, body, _ = http("GET", url)
    assert status == 403 and b"Request has expired" in body


def test_a_changed_url_is_refused(s3, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="mine", Body=b"x")
    s3.put_object(Bucket=bucket, Key="secret", Body=b"y")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "mine"})
    for changed in (
        url.replace("/mine?", "/secret?"),
        url.replace("X-Amz-Expires=3600", "X-Amz-Expires=36000"),
    ):
        status, body, _ = http("GET", changed)
        assert status == 403 and b"SignatureDoesNotMatch" in body
    assert http("PUT", url, b"z")[0] == 403


def test_nothing_is_read_or_listed_without_a_signature_or_with_anothers(s3, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="mine", Body=b"x")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "mine"})
    plain, query = url.split("?")
    folder = plain.removesuffix("/mine")
    for refusable in (plain, folder, f"{folder}?list-type=2", f"{folder}?{query}", f"{folder}?list-type=2&{query}"):
        assert http("GET", refusable)[0] == 403, refusable
    assert http("GET", url)[0] == 200
    listing = s3.generate_presigned_url("list_objects_v2", Params={"Bucket": bucket})
    assert b"<Key>mine</Key>" in http("GET", listing)[1]


def test_a_url_with_odd_characters_and_signed_headers(s3, bucket: str) -> None:
    where = {"Bucket": bucket, "Key": "cases/a b/ü+(1).json", "ContentType": "application/json"}
    url = s3.generate_presigned_url("put_object", Params=where)
    assert http("PUT", url, b"{}", Content_Type="application/json")[0] == 200
    assert s3.get_object(Bucket=bucket, Key=where["Key"])["Body"].read() == b"{}"
    assert http("PUT", url, b"{}", Content_Type="text/plain")[0] == 403


def test_an_upload_without_length_is_refused_as_s3_does(s3, bucket: str) -> None:
    import http.client
    from urllib.parse import urlsplit

    url = urlsplit(s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "k"}))
    connection = http.client.HTTPConnection(url.netloc, timeout=20)
    connection.putrequest("PUT", f"{url.path}?{url.query}")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 501 and b"NotImplemented" in answer.read()


def test_another_account_cannot_read_the_bucket(lab: Lab, s3, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    with pytest.raises(ClientError, match=r"AccessDenied|403"):
        lab.client("s3", MEMBER).get_object(Bucket=bucket, Key="k")


def test_an_url_of_an_assumed_role_works(lab: Lab, s3, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    role = make_role(lab, FORENSIC, {"AWS": FORENSIC})
    session = assume(lab, role, account=FORENSIC)
    url = lab.client("s3", **session).generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"})
    assert http("GET", url)[:2] == (200, b"x")
    assert http("GET", url.replace("X-Amz-Expires=3600", "X-Amz-Expires=7200"))[0] == 403


def test_a_transaction_token_applies_once(lab: Lab) -> None:
    dynamodb, table = lab.client("dynamodb"), f"t-{time.monotonic_ns()}"
    dynamodb.create_table(
        TableName=table,
        KeySchema=[{"AttributeName": "PK", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "PK", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )

    def add(amount: str) -> None:
        update = {
            "TableName": table,
            "Key": {"PK": {"S": "a"}},
            "UpdateExpression": "ADD n :n",
            "ExpressionAttributeValues": {":n": {"N": amount}},
        }
        dynamodb.transact_write_items(TransactItems=[{"Update": update}], ClientRequestToken=f"token-{table}"[:36])

    add("1")
    add("1")
    assert dynamodb.get_item(TableName=table, Key={"PK": {"S": "a"}})["Item"]["n"] == {"N": "1"}
    with refused("IdempotentParameterMismatchException"):
        add("2")


@pytest.mark.parametrize("ranged", [True, False])
def test_a_transaction_that_is_refused_changes_nothing(lab: Lab, ranged: bool) -> None:
    dynamodb, table = lab.client("dynamodb"), f"t-{time.monotonic_ns()}"
    names = {"PK": "HASH", **({"SK": "RANGE"} if ranged else {})}
    dynamodb.create_table(
        TableName=table,
        KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in names.items()],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in names],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )

    def key(name: str) -> dict[str, Any]:
        return {"PK": {"S": name}, **({"SK": {"S": "x"}} if ranged else {})}

    for name in ("updated", "deleted", "other"):
        dynamodb.put_item(TableName=table, Item={**key(name), "n": {"N": "1"}})
    before = dynamodb.scan(TableName=table)["Items"]
    value = {"UpdateExpression": "SET n = :n", "ExpressionAttributeValues": {":n": {"N": "2"}}}
    writes: list[dict[str, Any]] = [
        {"Update": {"TableName": table, "Key": key("updated"), **value}},
        {"Delete": {"TableName": table, "Key": key("deleted")}},
        {"Put": {"TableName": table, "Item": key("new")}},
    ]
    never = {"Key": key("other"), "ConditionExpression": "attribute_not_exists(PK)"}
    with refused("TransactionCanceledException"):
        dynamodb.transact_write_items(TransactItems=[*writes, {"ConditionCheck": {"TableName": table, **never}}])
    assert dynamodb.scan(TableName=table)["Items"] == before
    dynamodb.transact_write_items(TransactItems=writes)
    after = {item["PK"]["S"]: item.get("n", {}).get("N") for item in dynamodb.scan(TableName=table)["Items"]}
    assert after == {"updated": "2", "other": "1", "new": None}


def test_counting_from_many_threads_loses_nothing(lab: Lab) -> None:
    dynamodb, table = lab.client("dynamodb"), f"t-{time.monotonic_ns()}"
    dynamodb.create_table(
        TableName=table,
        KeySchema=[{"AttributeName": "PK", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "PK", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )

    def add(_number: int) -> None:
        dynamodb.update_item(
            TableName=table,
            Key={"PK": {"S": "a"}},
            UpdateExpression="ADD n :n",
            ExpressionAttributeValues={":n": {"N": "1"}},
        )

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(add, range(120)))
    assert dynamodb.get_item(TableName=table, Key={"PK": {"S": "a"}})["Item"]["n"] == {"N": "120"}


@pytest.mark.parametrize(
    ("spec", "algorithm"),
    [
        ("ECC_NIST_P256", "ECDSA_SHA_256"),
        ("ECC_NIST_P384", "ECDSA_SHA_384"),
        ("RSA_2048", "RSASSA_PSS_SHA_256"),
    ],
)
def test_a_signed_digest_verifies_outside_of_kms(lab: Lab, spec: str, algorithm: str) -> None:
    kms = lab.client("kms")
    key = kms.create_key(KeySpec=spec, KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
    chosen = hashes.SHA384() if algorithm.endswith("384") else hashes.SHA256()
    digest = hashlib.new(chosen.name, b"ledger head").digest()
    call = {"KeyId": key, "MessageType": "DIGEST", "SigningAlgorithm": algorithm}
    signature = kms.sign(Message=digest, **call)["Signature"]
    answer = kms.get_public_key(KeyId=key)
    assert answer["KeyId"] == kms.sign(Message=digest, **call)["KeyId"]
    assert answer["KeyId"].startswith("arn:aws:kms:")
    public = serialization.load_der_public_key(answer["PublicKey"])
    prehashed = utils.Prehashed(chosen)

    def verify(data: bytes) -> None:
        if spec.startswith("RSA"):
            pss = padding.PSS(mgf=padding.MGF1(chosen), salt_length=chosen.digest_size)
            public.verify(signature, data, pss, prehashed)
        else:
            public.verify(signature, data, ec.ECDSA(prehashed))

    verify(digest)
    with pytest.raises(InvalidSignature):
        verify(hashlib.new(chosen.name, b"forged").digest())
    assert kms.verify(Message=digest, Signature=signature, **call)["SignatureValid"]
    with refused("KMSInvalidSignatureException"):
        kms.verify(Message=bytes(len(digest)), Signature=signature, **call)
    with refused("ValidationException"):
        kms.sign(Message=b"not a digest", **call)


def test_a_key_of_another_account_by_its_arn(lab: Lab) -> None:
    arn = lab.client("kms", FORENSIC).create_key()["KeyMetadata"]["Arn"]
    member = lab.client("kms", MEMBER)
    sealed = member.encrypt(KeyId=arn, Plaintext=b"x")["CiphertextBlob"]
    assert member.decrypt(KeyId=arn, CiphertextBlob=sealed)["Plaintext"] == b"x"


def test_a_disabled_key_is_of_no_use(lab: Lab, s3, bucket: str) -> None:
    """AWS KMS developer guide, "Key states of AWS KMS keys"."""
    kms = lab.client("kms")
    key = kms.create_key(KeySpec="ECC_NIST_P384", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
    kms.disable_key(KeyId=key)
    with refused("DisabledException"):
        kms.sign(KeyId=key, Message=b"x", SigningAlgorithm="ECDSA_SHA_384")
    with refused("KMS.DisabledException"):
        s3.put_object(Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="aws:kms", SSEKMSKeyId=key)
    kms.enable_key(KeyId=key)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="aws:kms", SSEKMSKeyId=key)


def test_a_lock_needs_a_bucket_with_object_lock(s3) -> None:
    """Amazon S3 API reference, *PutObject*: Object Lock parameters need a bucket that has Object Lock."""
    name = f"plain-{time.monotonic_ns()}"
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    until = datetime.now(UTC) + timedelta(days=2)
    with refused("InvalidRequest"):
        s3.put_object(Bucket=name, Key="k", Body=b"x", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=until)
