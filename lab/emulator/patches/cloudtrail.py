"""CloudTrail: an event history that can be looked up, log files and signed digest files in the buckets of the account's trails.

moto keeps trails and writes nothing. Here a control route (``POST /_lab/trail``) tells what was called; CloudTrail then has it in its
history, and each logging trail of the account gets log files and one digest file for each Region, signed as AWS signs them (AWS
CloudTrail user guide, *Custom implementations of CloudTrail log file integrity validation*).
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from moto.cloudtrail.models import cloudtrail_backends
from moto.cloudtrail.responses import CloudTrailResponse
from moto.core.exceptions import JsonRESTError
from moto.s3.models import s3_backends

from lab.emulator.iam.sessions import ORGANIZATION
from lab.emulator.patches.patching import add, replace
from lab.evidence.trail_records import Json, TrailFiles

_PAGE = 50
_lock = threading.Lock()
_history: dict[str, list[Json]] = {}
_keys: dict[str, rsa.RSAPrivateKey] = {}
_last: dict[tuple[str, str], tuple[str, str, str]] = {}


def remember(account: str, records: Iterable[Json]) -> dict[str, Any]:
    """The calls were made: history and the trails' buckets have them. Returns the objects that were written."""
    given = list(records)
    with _lock:
        _history.setdefault(account, []).extend(given)
        written = [key for trail in _trails(account) for key in _deliver(account, trail, given)]
    return {"records": len(given), "objects": written}


def history(account: str | None) -> list[Json]:
    """The calls of an account so far, or of all."""
    with _lock:
        return [call for owner, calls in _history.items() if account in (None, owner) for call in calls]


def _trails(account: str) -> list[Any]:
    found = (trail for backend in cloudtrail_backends[account].values() for trail in backend.trails.values())
    return [trail for trail in found if trail.status.is_logging]


def _deliver(account: str, trail: Any, records: list[Json]) -> list[str]:
    prefix, organization = trail.s3_key_prefix or "", ORGANIZATION if trail.is_org_trail else ""
    files = TrailFiles(account, prefix, organization)
    files.write(r for r in records if trail.is_multi_region or r["awsRegion"] == trail.region_name)
    store = s3_backends[trail.account_id]["aws"]
    for key, body in files.files.items():
        store.put_object(trail.bucket_name, key, body)
    if trail.log_validation:
        for region in dict.fromkeys(key.split("/CloudTrail/")[1].split("/")[0] for key in files.files):
            _sign(account, trail, region, {k: v for k, v in files.files.items() if f"/CloudTrail/{region}/" in k})
    return list(files.files)


def _sign(account: str, trail: Any, region: str, files: dict[str, bytes]) -> None:
    """A digest file over log files, and its signature in the object's metadata."""
    mark = (trail.arn, region)
    before = _last.get(mark)
    end = datetime.now(UTC).replace(microsecond=0)
    if before and end <= datetime.strptime(before[2], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC):
        end = datetime.strptime(before[2], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC) + timedelta(seconds=1)
    root = next(iter(files)).split("/CloudTrail/")[0]
    key = f"{root}/CloudTrail-Digest/{region}/{end:%Y/%m/%d}/{account}_CloudTrail-Digest_{region}_{trail.trail_name}_{trail.region_name}_{end:%Y%m%dT%H%M%SZ}.json.gz"
    listed = [
        {"s3Bucket": trail.bucket_name, "s3Object": name, "hashValue": hashlib.sha256(gzip.decompress(body)).hexdigest(), "hashAlgorithm": "SHA-256"}
        for name, body in files.items()
    ]  # fmt: skip
    digest = {
        "awsAccountId": account, "digestStartTime": f"{end - timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}", "digestEndTime": f"{end:%Y-%m-%dT%H:%M:%SZ}",
        "digestS3Bucket": trail.bucket_name, "digestS3Object": key, "digestPublicKeyFingerprint": fingerprint(region),
        "digestSignatureAlgorithm": "SHA256withRSA", "previousDigestS3Bucket": trail.bucket_name if before else None,
        "previousDigestS3Object": before[0] if before else None, "previousDigestSignature": before[1] if before else None, "logFiles": listed,
    }  # fmt: skip
    plain = json.dumps(digest).encode()
    text = f"{digest['digestEndTime']}\n{trail.bucket_name}/{key}\n{hashlib.sha256(plain).hexdigest()}\n{digest['previousDigestSignature'] or 'null'}"
    signature = _key(region).sign(text.encode(), PKCS1v15(), SHA256()).hex()
    made = s3_backends[trail.account_id]["aws"].put_object(trail.bucket_name, key, gzip.compress(plain, mtime=0))
    made.set_metadata({"x-amz-meta-signature": signature, "x-amz-meta-signature-algorithm": "SHA256withRSA"})
    _last[mark] = (key, signature, str(digest["digestEndTime"]))


def _key(region: str) -> rsa.RSAPrivateKey:
    if region not in _keys:
        _keys[region] = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return _keys[region]


def _public(region: str) -> bytes:
    return _key(region).public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)


def fingerprint(region: str) -> str:
    """The fingerprint by which digest files of a Region name their key."""
    return hashlib.md5(_public(region), usedforsecurity=False).hexdigest()


# ---------------------------------------------------------------------- what moto lacks
def _of(record: Json, key: str, value: str) -> bool:
    who = record["userIdentity"]
    if key == "Username":
        return value in (who.get("userName"), str(who.get("arn", "")).rsplit("/", 1)[-1])
    if key == "AccessKeyId":
        return bool(who.get("accessKeyId") == value)
    if key == "EventName":
        return bool(record["eventName"] == value)
    # CloudTrail lists the resources of a call; here they are what its parameters and its answer name
    return key == "ResourceName" and f'"{value}"' in json.dumps(
        [record["requestParameters"], record["responseElements"]]
    )


def _lookup_events(self: Any) -> str:
    wanted = self._get_param("LookupAttributes", [])
    begin, end = self._get_param("StartTime"), self._get_param("EndTime")
    known = {
        "EventId",
        "EventName",
        "ReadOnly",
        "Username",
        "ResourceType",
        "ResourceName",
        "EventSource",
        "AccessKeyId",
    }
    if any(a.get("AttributeKey") not in known for a in wanted):
        raise JsonRESTError("InvalidLookupAttributesException", "You cannot use this attribute.")
    with _lock:
        history = list(_history.get(self.current_account, []))
    found = [
        r
        for r in history
        if r["awsRegion"] == self.region
        and r.get("managementEvent", True)
        and all(_of(r, a["AttributeKey"], a["AttributeValue"]) for a in wanted)
        and (begin is None or _time(r).timestamp() >= float(begin))
        and (end is None or _time(r).timestamp() <= float(end))
    ]
    found.sort(key=_time, reverse=True)
    first = int(self._get_param("NextToken") or 0)
    size = min(int(self._get_param("MaxResults") or _PAGE), _PAGE)
    events = [_event(r) for r in found[first : first + size]]
    more = {"NextToken": str(first + size)} if len(found) > first + size else {}
    return json.dumps({"Events": events, **more})


def _event(record: Json) -> dict[str, Any]:
    who = record["userIdentity"]
    return {
        "EventId": record["eventID"], "EventName": record["eventName"], "ReadOnly": str(record["readOnly"]).lower(),
        "EventTime": _time(record).timestamp(), "EventSource": record["eventSource"], "AccessKeyId": who.get("accessKeyId", ""),
        "Username": who.get("userName") or str(who.get("arn", "")).rsplit("/", 1)[-1], "Resources": [], "CloudTrailEvent": json.dumps(record),
    }  # fmt: skip


def _time(record: Json) -> datetime:
    return datetime.strptime(record["eventTime"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def _list_public_keys(self: Any) -> str:
    now = datetime.now(UTC).timestamp()
    key = {
        "Value": base64.b64encode(_public(self.region)).decode(), "Fingerprint": fingerprint(self.region),
        "ValidityStartTime": now - 30 * 86_400, "ValidityEndTime": now + 30 * 86_400,
    }  # fmt: skip
    return json.dumps({"PublicKeyList": [key]})


def forget() -> None:
    """Forget what was called."""
    with _lock:
        _history.clear()
        _last.clear()


def _as_documented(original: Callable[[Any], str]) -> Callable[[Any], str]:
    """CreateTrail's answer has not the two members that DescribeTrails has besides (botocore's model)."""

    def create_trail(self: Any) -> str:
        made = json.loads(original(self))
        return json.dumps(
            {k: v for k, v in made.items() if k not in {"HasCustomEventSelectors", "HasInsightSelectors"}}
        )

    return create_trail


def apply() -> None:
    """Install the patch."""
    replace(CloudTrailResponse, "create_trail", _as_documented)
    add(CloudTrailResponse, "lookup_events", _lookup_events)
    add(CloudTrailResponse, "list_public_keys", _list_public_keys)
