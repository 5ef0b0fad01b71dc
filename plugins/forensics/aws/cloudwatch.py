"""CloudWatch: the product's own numbers, for alarms and the dashboard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, Self

from forensics.aws.error_map import aws_errors
from forensics.aws.session import AwsSession
from forensics.deployment import DEFAULT, DEPLOYMENT

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient

NAMESPACE = "Forensics" if DEPLOYMENT == DEFAULT else f"Forensics/{DEPLOYMENT}"


class Metrics:
    """Numbers without dimensions in the namespace of this deployment (the role may write to no other)."""

    def __init__(self, client: CloudWatchClient) -> None:
        self._cloudwatch = client

    @classmethod
    def of(cls, session: AwsSession) -> Self:
        """The metrics of a session's account and Region."""
        return cls(session.cloudwatch)

    def put(self, numbers: Mapping[str, float], *, unit: Literal["Count", "Seconds"] = "Count") -> None:
        """Put one value of each metric, as of now."""
        with aws_errors(f"put metrics {', '.join(numbers)} of {NAMESPACE}"):
            self._cloudwatch.put_metric_data(
                Namespace=NAMESPACE,
                MetricData=[{"MetricName": name, "Value": value, "Unit": unit} for name, value in numbers.items()],
            )
