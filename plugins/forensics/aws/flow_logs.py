"""EC2: the flow logs that record a network interface, and where they go."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from forensics.aws.error_map import aws_errors
from forensics.aws.session import AwsSession

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client


# The format of a flow log that names none (Amazon VPC user guide, *Flow log records*).
DEFAULT_FIELDS = (
    "version", "account-id", "interface-id", "srcaddr", "dstaddr", "srcport", "dstport", "protocol", "packets", "bytes", "start", "end",
    "action", "log-status",
)  # fmt: skip
_FIELD = re.compile(r"\$\{([a-z0-9-]+)\}")


@dataclass(frozen=True)
class FlowLog:
    """A flow log: of what, where to, in which form.

    ``bucket`` and ``prefix`` are those of a destination in S3, ``group`` is a log group; ``fields`` are the names of its format in order.
    """

    log_id: str
    resource: str
    kind: str
    bucket: str
    prefix: str
    group: str
    parquet: bool
    hive: bool
    traffic: str
    active: bool
    problem: str
    fields: tuple[str, ...] = DEFAULT_FIELDS


class FlowLogGateway:
    """DescribeFlowLogs in one account and Region."""

    def __init__(self, client: EC2Client, *, account_id: str, region: str) -> None:
        self._ec2 = client
        self.account_id = account_id
        self.region = region

    @classmethod
    def of(cls, session: AwsSession) -> Self:
        """The gateway of a session's account and Region."""
        return cls(session.ec2, account_id=session.account_id, region=session.region)

    def of_resources(self, resources: Iterable[str]) -> list[FlowLog]:
        """The flow logs of a VPC, subnets and interfaces; each of them records the interfaces below it."""
        wanted = list(dict.fromkeys(resources))
        if not wanted:
            return []
        with aws_errors(f"describe flow logs of {', '.join(wanted[:3])} in account {self.account_id}, {self.region}"):
            answer = self._ec2.describe_flow_logs(Filters=[{"Name": "resource-id", "Values": wanted[:200]}])
        found = []
        for log in answer["FlowLogs"]:
            kind = str(log.get("LogDestinationType") or "cloud-watch-logs")
            bucket, _, prefix = (
                log.get("LogDestination", "").rpartition(":")[2].partition("/") if kind == "s3" else ("", "", "")
            )
            options = log.get("DestinationOptions", {})
            found.append(
                FlowLog(
                    log_id=log.get("FlowLogId", ""), resource=log.get("ResourceId", ""), kind=kind, bucket=bucket, prefix=prefix,
                    group=log.get("LogGroupName", "") or _group_of(log.get("LogDestination", "")),
                    parquet=options.get("FileFormat") == "parquet", hive=bool(options.get("HiveCompatiblePartitions")),
                    traffic=str(log.get("TrafficType", "")), active=log.get("FlowLogStatus") == "ACTIVE",
                    problem=log.get("DeliverLogsErrorMessage", ""),
                    fields=tuple(_FIELD.findall(log.get("LogFormat", ""))) or DEFAULT_FIELDS,
                )
            )  # fmt: skip
        return found


def _group_of(arn: str) -> str:
    """``arn:…:log-group:NAME:*`` → NAME; any other destination as it is."""
    return arn.partition(":log-group:")[2].removesuffix(":*") or arn
