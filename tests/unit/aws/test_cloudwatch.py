"""The product's numbers go to its own namespace, in the form that CloudWatch takes."""

from __future__ import annotations

from forensics.aws.cloudwatch import Metrics
from tests.unit.aws.conftest import Stub


def test_each_number_is_one_metric_without_dimensions(stubbed: Stub) -> None:
    stub = stubbed("cloudwatch")
    data = [{"MetricName": "PreflightBroken", "Value": 2, "Unit": "Count"}]
    stub.add_response("put_metric_data", {}, {"Namespace": "Forensics", "MetricData": data})
    Metrics(stub.client).put({"PreflightBroken": 2})
