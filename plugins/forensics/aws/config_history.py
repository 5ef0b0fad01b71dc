"""AWS Config: how a resource was configured before, where a recorder is on."""

from __future__ import annotations

from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, Self

from botocore.exceptions import ClientError

from forensics.aws.error_map import aws_errors, error_code
from forensics.aws.session import AwsSession

if TYPE_CHECKING:
    from mypy_boto3_config import ConfigServiceClient

# GetResourceConfigHistory: these mean that there is no history, not that it could not be read (AWS Config API reference).
_NOTHING = {
    "NoAvailableConfigurationRecorderException": "no recorder is on",
    "ResourceNotDiscoveredException": "the recorder has never seen it",
}
MOST_ITEMS = 200


class ConfigGateway:
    """Config in one account and Region."""

    def __init__(self, client: ConfigServiceClient, *, account_id: str, region: str) -> None:
        self._config = client
        self._where = f"in account {account_id}, {region}"

    @classmethod
    def of(cls, session: AwsSession) -> Self:
        """The gateway of a session's account and Region."""
        return cls(session.config, account_id=session.account_id, region=session.region)

    def history(self, kind: str, resource: str, *, begin: datetime, end: datetime) -> tuple[list[dict[str, Any]], str]:
        """Configuration items of a resource in a window, the newest first, at most :data:`MOST_ITEMS`; and why there are none.

        :param kind: ``AWS::EC2::Instance``
        """
        asked: Any = {
            "resourceType": kind,
            "resourceId": resource,
            "earlierTime": begin,
            "laterTime": end,
            "limit": 100,
        }
        with aws_errors(f"read Config's history of {resource} {self._where}"):
            try:
                pages = self._config.get_paginator("get_resource_config_history").paginate(**asked)
                items = islice((item for page in pages for item in page["configurationItems"]), MOST_ITEMS)
                return [dict(item) for item in items], ""
            except ClientError as error:
                if error_code(error) not in _NOTHING:
                    raise
                return [], _NOTHING[error_code(error)]
