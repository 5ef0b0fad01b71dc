"""CloudWatch Logs: events of a log group into which AWS writes an account's records; they are read and never written."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from forensics.aws.error_map import aws_errors
from forensics.aws.session import AwsSession

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient

# The tag and its value by which an owner lets role logs read a log group (infra/cloudformation/member-roles.yaml).
TAG, TAG_VALUE = "forensics:records", "read"
# FilterLogEvents: five requests a second for each account and Region in the slowest Regions (CloudWatch Logs user guide, *Quotas*).
PAUSE_SECONDS = 0.25


@dataclass(frozen=True)
class LogPage:
    """One answer: the events' messages in the order of their times; ``size`` is their bytes."""

    messages: tuple[str, ...]
    size: int


class LogGroupGateway:
    """The log groups of one account and Region. ``pause`` is the time between two requests, in seconds."""

    def __init__(
        self, client: CloudWatchLogsClient, *, account_id: str, region: str, pause: float = PAUSE_SECONDS
    ) -> None:
        self._logs = client
        self._pause = pause
        self.account_id = account_id
        self.region = region

    @classmethod
    def of(cls, session: AwsSession, *, pause: float = PAUSE_SECONDS) -> Self:
        """The gateway of a session's account and Region."""
        return cls(session.logs, account_id=session.account_id, region=session.region, pause=pause)

    def pages(
        self, group: str, *, begin: datetime, end: datetime, streams: str = "", pattern: str = ""
    ) -> Iterator[LogPage]:
        """Pages of a group's events in a window (FilterLogEvents); a page without events does not mean that there are no more.

        :param streams: only streams whose names begin so
        :param pattern: only events that match this filter pattern
        """
        request: dict[str, Any] = {
            "logGroupName": group,
            "startTime": int(begin.timestamp() * 1000),
            "endTime": int(end.timestamp() * 1000),
        }
        request |= {"logStreamNamePrefix": streams} if streams else {}
        request |= {"filterPattern": pattern} if pattern else {}
        while True:
            with aws_errors(f"read log group {group} in account {self.account_id}, {self.region}"):
                answer = self._logs.filter_log_events(**request)
            messages = tuple(event["message"] for event in answer["events"] if "message" in event)
            yield LogPage(messages, sum(len(m) for m in messages))
            token = answer.get("nextToken")
            if not token or token == request.get("nextToken"):
                return
            request["nextToken"] = token
            time.sleep(self._pause)
