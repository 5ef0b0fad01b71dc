"""CloudTrail: which trails record an account, how far they have delivered, and its own look-up of the last 90 days."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Self

from forensics.aws.error_map import aws_errors
from forensics.aws.session import AwsSession

if TYPE_CHECKING:
    from mypy_boto3_cloudtrail import CloudTrailClient

LookupKey = Literal["ResourceName", "Username", "AccessKeyId", "EventName"]
# LookupEvents: two requests a second for each account and Region (CloudTrail user guide, *Quotas*); half a second is left to others.
PAUSE_SECONDS = 0.6
PAGE = 50


@dataclass(frozen=True)
class Trail:
    """A trail that records the account; an organization's trail is in its management account."""

    arn: str
    bucket: str
    prefix: str
    everywhere: bool
    organization: bool
    validated: bool
    home_region: str


@dataclass(frozen=True)
class Delivery:
    """How far a trail has delivered; ``problem`` is what S3 said to its last try."""

    logging: bool
    until: datetime | None
    problem: str


class CloudTrailGateway:
    """CloudTrail in one account and Region. ``pause`` is the time between two look-ups, in seconds."""

    def __init__(self, client: CloudTrailClient, *, account_id: str, region: str, pause: float = PAUSE_SECONDS) -> None:
        self._cloudtrail = client
        self._pause = pause
        self.account_id = account_id
        self.region = region

    @classmethod
    def of(cls, session: AwsSession, *, pause: float = PAUSE_SECONDS) -> Self:
        """The gateway of a session's account and Region."""
        return cls(session.cloudtrail, account_id=session.account_id, region=session.region, pause=pause)

    @property
    def _where(self) -> str:
        return f"in account {self.account_id}, {self.region}"

    def trails(self) -> list[Trail]:
        """Every trail that records this Region, those of other Regions and of the organization too (DescribeTrails)."""
        with aws_errors(f"describe the trails {self._where}"):
            answer = self._cloudtrail.describe_trails(includeShadowTrails=True)
        return [
            Trail(
                arn=trail.get("TrailARN", ""),
                bucket=trail.get("S3BucketName", ""),
                prefix=trail.get("S3KeyPrefix", ""),
                everywhere=trail.get("IsMultiRegionTrail", False),
                organization=trail.get("IsOrganizationTrail", False),
                validated=trail.get("LogFileValidationEnabled", False),
                home_region=trail.get("HomeRegion", ""),
            )
            for trail in answer["trailList"]
        ]

    def delivery(self, arn: str) -> Delivery:
        """How far a trail has delivered (GetTrailStatus)."""
        with aws_errors(f"ask for the state of {arn} {self._where}"):
            found = self._cloudtrail.get_trail_status(Name=arn)
        return Delivery(
            logging=found.get("IsLogging", False),
            until=found.get("LatestDeliveryTime"),
            problem=found.get("LatestDeliveryError", ""),
        )

    def lookup(self, key: LookupKey, value: str, *, begin: datetime, end: datetime) -> Iterator[list[str]]:
        """Pages of raw records of management events in which an attribute has a value, the newest first (LookupEvents)."""
        token = ""
        while True:
            more = {"NextToken": token} if token else {}
            with aws_errors(f"look up events with {key} {value} {self._where}"):
                answer = self._cloudtrail.lookup_events(
                    LookupAttributes=[{"AttributeKey": key, "AttributeValue": value}],
                    StartTime=begin,
                    EndTime=end,
                    MaxResults=PAGE,
                    **more,  # type: ignore[arg-type]  # the stubs want the token as a literal keyword
                )
            yield [event["CloudTrailEvent"] for event in answer["Events"] if "CloudTrailEvent" in event]
            token = answer.get("NextToken", "")
            time.sleep(self._pause)
            if not token:
                return

    def public_keys(self, *, begin: datetime, end: datetime) -> dict[str, bytes]:
        """Public keys that signed digest files in a window, PKCS #1 DER by their fingerprints (ListPublicKeys)."""
        found: dict[str, bytes] = {}
        with aws_errors(f"list the public keys of CloudTrail {self._where}"):
            for page in self._cloudtrail.get_paginator("list_public_keys").paginate(StartTime=begin, EndTime=end):
                for key in page["PublicKeyList"]:
                    if "Fingerprint" in key and "Value" in key:
                        found[key["Fingerprint"]] = bytes(key["Value"])
        return found
