"""CloudTrail in the lab: what was called can be looked up, and lies in the trail's bucket with a signed digest."""

from __future__ import annotations

import gzip
import hashlib
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from lab.evidence.trail_records import Account
from tests.lab.conftest import MEMBER, REGION, Lab

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def trail(lab: Lab) -> str:
    """A trail of a test's own; returns the name of its bucket."""
    name = f"trail-{time.monotonic_ns()}"
    lab.client("s3", MEMBER).create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    cloudtrail = lab.client("cloudtrail", MEMBER)
    cloudtrail.create_trail(Name=name, S3BucketName=name, IsMultiRegionTrail=True, EnableLogFileValidation=True)
    cloudtrail.start_logging(Name=name)
    return name


def called(lab: Lab, number: int = 1) -> tuple[Account, list[dict[str, Any]]]:
    place = Account(MEMBER, REGION, f"i-{time.monotonic_ns():017x}"[-19:])
    records = [
        place.call(NOW - timedelta(minutes=n), "ec2:DescribeInstances", place.instance(), {"n": n})
        for n in range(number)
    ]
    lab.post("trail", {"account": MEMBER, "records": records})
    return place, records


def test_a_trail_s_bucket_has_log_files_as_aws_names_and_writes_them(lab: Lab, trail: str) -> None:
    _, records = called(lab)
    s3 = lab.client("s3", MEMBER)
    keys = [o["Key"] for o in s3.list_objects_v2(Bucket=trail)["Contents"]]
    (log,) = [k for k in keys if k.startswith(f"AWSLogs/{MEMBER}/CloudTrail/{REGION}/")]
    plain = gzip.decompress(s3.get_object(Bucket=trail, Key=log)["Body"].read())
    assert json.loads(plain)["Records"] == records
    (digest,) = [k for k in keys if "/CloudTrail-Digest/" in k]
    got = s3.get_object(Bucket=trail, Key=digest)
    body = gzip.decompress(got["Body"].read())
    facts = json.loads(body)
    assert facts["logFiles"] == [
        {"s3Bucket": trail, "s3Object": log, "hashValue": hashlib.sha256(plain).hexdigest(), "hashAlgorithm": "SHA-256"}
    ]
    (key,) = lab.client("cloudtrail", MEMBER).list_public_keys()["PublicKeyList"]
    assert key["Fingerprint"] == facts["digestPublicKeyFingerprint"]
    signed = f"{facts['digestEndTime']}\n{trail}/{digest}\n{hashlib.sha256(body).hexdigest()}\nnull"
    public = load_der_public_key(key["Value"])
    assert isinstance(public, RSAPublicKey)
    public.verify(bytes.fromhex(got["Metadata"]["signature"]), signed.encode(), PKCS1v15(), SHA256())


def test_events_are_looked_up_by_attribute_and_time_page_by_page(lab: Lab) -> None:
    place, records = called(lab, 60)
    wanted = [{"AttributeKey": "Username", "AttributeValue": place.instance_id}]
    pages = list(lab.client("cloudtrail", MEMBER).get_paginator("lookup_events").paginate(LookupAttributes=wanted))
    found = [json.loads(e["CloudTrailEvent"]) for page in pages for e in page["Events"]]
    assert [len(p["Events"]) for p in pages] == [50, 10] and found == records
    late = lab.client("cloudtrail", MEMBER).lookup_events(LookupAttributes=wanted, StartTime=NOW - timedelta(minutes=5))
    assert len(late["Events"]) == 6


def test_an_attribute_that_does_not_exist_is_refused(lab: Lab) -> None:
    with pytest.raises(ClientError, match="InvalidLookupAttributesException"):
        lab.client("cloudtrail", MEMBER).lookup_events(
            LookupAttributes=[{"AttributeKey": "Password", "AttributeValue": "x"}]
        )
