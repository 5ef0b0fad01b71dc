"""CloudTrail's records and log files as AWS writes them, of calls that a story tells.

Shapes: AWS CloudTrail user guide, *CloudTrail record contents* and *CloudTrail log file examples*; EC2, IAM, SSM and S3 write parameters
in their own forms (``{"instancesSet": {"items": [...]}}``). Accounts, names and addresses are invented (RFC 5737, AWS's examples).
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

Json = dict[str, Any]


def stamp(moment: datetime) -> str:
    """``2026-11-30T01:02:03Z``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def made_id(*parts: object) -> str:
    """An event id in AWS's form, the same for the same parts."""
    text = hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:32]}"


@dataclass(frozen=True)
class Account:
    """Where calls happen, and who may make them."""

    account_id: str
    region: str
    instance_id: str
    role: str = "web-server"
    home: str = "203.0.113.10"
    key: str = "ASIAINSTANCE00EXAMPLE"

    def instance(self, *, address: str = "", key: str = "", **more: Any) -> Json:
        """The instance's own session."""
        return {
            "userIdentity": self.assumed(self.role, self.instance_id, key=key or self.key),
            "sourceIPAddress": address or self.home,
            **more,
        }

    def assumed(self, role: str, session: str, *, key: str = "ASIAOTHERROLE0EXAMPLE") -> Json:
        """``userIdentity`` of a role's session."""
        issuer = {
            "type": "Role", "principalId": "AROAEXAMPLEID000000", "arn": f"arn:aws:iam::{self.account_id}:role/{role}",
            "accountId": self.account_id, "userName": role,
        }  # fmt: skip
        found: Json = {
            "type": "AssumedRole", "principalId": f"AROAEXAMPLEID000000:{session}",
            "arn": f"arn:aws:sts::{self.account_id}:assumed-role/{role}/{session}", "accountId": self.account_id, "accessKeyId": key,
            "sessionContext": {"sessionIssuer": issuer, "webIdFederationData": {}, "attributes": {"creationDate": "2026-11-01T00:00:00Z", "mfaAuthenticated": "false"}},
        }  # fmt: skip
        if session.startswith("i-"):
            found["sessionContext"]["ec2RoleDelivery"] = "2.0"
        return found

    def user(self, name: str, *, key: str = "AKIAIOSFODNN7EXAMPLE", address: str = "192.0.2.44", **more: Any) -> Json:
        """A user with an access key."""
        identity = {
            "type": "IAMUser", "principalId": "AIDAEXAMPLEID000000", "arn": f"arn:aws:iam::{self.account_id}:user/{name}",
            "accountId": self.account_id, "accessKeyId": key, "userName": name,
        }  # fmt: skip
        return {"userIdentity": identity, "sourceIPAddress": address, **more}

    def person(self, name: str, *, role: str = "operators", address: str = "192.0.2.44", **more: Any) -> Json:
        """A person who came in by the identity provider."""
        return {
            "userIdentity": self.assumed(role, name, key="ASIAPERSON0000EXAMPLE"),
            "sourceIPAddress": address,
            **more,
        }

    def service(self, name: str, **more: Any) -> Json:
        """An AWS service by itself."""
        return {
            "userIdentity": {"type": "AWSService", "invokedBy": name},
            "sourceIPAddress": name,
            "userAgent": name,
            **more,
        }

    def call(
        self,
        at: datetime,
        call: str,
        who: Json,
        /,
        parameters: Json | None = None,
        answer: Json | None = None,
        **more: Any,
    ) -> Json:
        """One record of ``service:Name``."""
        service, name = call.split(":")
        changes = not name.startswith(("Get", "List", "Describe", "Head", "Lookup"))
        record: Json = {
            "eventVersion": "1.11", "eventTime": stamp(at), "eventSource": f"{service}.amazonaws.com", "eventName": name,
            "awsRegion": self.region, "userAgent": "aws-cli/2.27.0 md/awscrt#0.26.1 ua/2.1", "requestParameters": parameters,
            "responseElements": answer, "requestID": made_id(at, call, "request"), "readOnly": not changes, "eventType": "AwsApiCall",
            "managementEvent": service != "s3" or "Object" not in name, "recipientAccountId": self.account_id, "eventCategory": "Management",
        }  # fmt: skip
        record |= who
        record |= more
        record["eventID"] = made_id(
            at,
            call,
            json.dumps(who, sort_keys=True),
            json.dumps(parameters, sort_keys=True),
            json.dumps(more, sort_keys=True),
        )
        return record


def log_file(records: Iterable[Json]) -> bytes:
    """The plain bytes of a log file."""
    return json.dumps({"Records": list(records)}, separators=(",", ":")).encode()


def log_key(
    account_id: str,
    region: str,
    at: datetime,
    *,
    prefix: str = "",
    organization: str = "",
    mark: str = "AbCdEfGh12345678",
) -> str:
    """The key of a log file that was delivered at ``at``."""
    at = at.astimezone(UTC)
    parts = [prefix, "AWSLogs", organization, account_id, "CloudTrail", region, f"{at:%Y/%m/%d}"]
    return "/".join([*(p for p in parts if p), f"{account_id}_CloudTrail_{region}_{at:%Y%m%dT%H%MZ}_{mark}.json.gz"])


@dataclass
class TrailFiles:
    """Log files of one account by their keys, an hour's calls of a Region in each."""

    account_id: str
    prefix: str = ""
    organization: str = ""
    files: dict[str, bytes] = field(default_factory=dict)

    def write(self, records: Iterable[Json]) -> None:
        """Sort calls into files, as CloudTrail delivers them: gzip, some minutes later."""
        hours: dict[tuple[str, datetime], list[Json]] = {}
        for record in records:
            at = datetime.strptime(record["eventTime"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
            hours.setdefault((record["awsRegion"], at.replace(minute=at.minute // 5 * 5, second=0)), []).append(record)
        for (region, at), found in hours.items():
            mark = made_id(region, at, len(found)).replace("-", "")[:16]
            key = log_key(self.account_id, region, at, prefix=self.prefix, organization=self.organization, mark=mark)
            self.files[key] = gzip.compress(log_file(found), mtime=0)
