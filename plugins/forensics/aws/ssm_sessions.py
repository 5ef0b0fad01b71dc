"""Systems Manager: the sessions on an instance, and where Session Manager keeps what was typed and shown in them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, Self

from forensics.aws.error_map import aws_errors
from forensics.aws.session import AwsSession
from forensics.errors import ResourceGoneError

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

# Session Manager's preferences (Systems Manager user guide, *Session document schema*).
PREFERENCES = "SSM-SessionManagerRunShell"
MOST_SESSIONS = 400


@dataclass(frozen=True)
class SessionLogging:
    """Where the preferences send sessions: empty when they are not logged there."""

    bucket: str = ""
    prefix: str = ""
    group: str = ""


class SessionGateway:
    """Session Manager in one account and Region."""

    def __init__(self, client: SSMClient, *, account_id: str, region: str) -> None:
        self._ssm = client
        self._where = f"in account {account_id}, {region}"

    @classmethod
    def of(cls, session: AwsSession) -> Self:
        """The gateway of a session's account and Region."""
        return cls(session.ssm, account_id=session.account_id, region=session.region)

    def sessions(self, instance_id: str) -> list[dict[str, Any]]:
        """Sessions on an instance, open ones and those of the last 30 days (DescribeSessions), at most :data:`MOST_SESSIONS`."""
        wanted: Any = [{"key": "Target", "value": instance_id}]
        states: tuple[Literal["Active"], Literal["History"]] = ("Active", "History")
        found: list[dict[str, Any]] = []
        for state in states:
            with aws_errors(f"list sessions on {instance_id} {self._where}"):
                pages = self._ssm.get_paginator("describe_sessions").paginate(State=state, Filters=wanted)
                listed = islice((s for page in pages for s in page["Sessions"]), MOST_SESSIONS)
                found += [dict(s) for s in listed]
        return found[:MOST_SESSIONS]

    def logging(self) -> SessionLogging:
        """What the preferences say (GetDocument); without any, sessions are not logged."""
        try:
            with aws_errors(f"read Session Manager's preferences {self._where}"):
                text = self._ssm.get_document(Name=PREFERENCES, DocumentFormat="JSON").get("Content", "")
        except ResourceGoneError:
            return SessionLogging()
        try:
            inputs = json.loads(text).get("inputs", {})
        except (ValueError, AttributeError):
            inputs = {}
        if not isinstance(inputs, dict):
            return SessionLogging()
        names = ("s3BucketName", "s3KeyPrefix", "cloudWatchLogGroupName")
        return SessionLogging(*(str(inputs.get(name) or "") for name in names))
