"""Step that puts the product's figures to CloudWatch."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import BaseOperator, Context

from forensics.aws.case_store import CaseStore
from forensics.aws.cloudwatch import Metrics
from forensics.aws.hook import ForensicsHook
from forensics.preflight.operations import figures


class MeasureOperationsOperator(BaseOperator):
    """Count open cases, what waits for a person, what stands still, drifted targets and locks that end soon."""

    def execute(self, context: Context) -> dict[str, float]:
        """Returns the figures that were put."""
        hook = ForensicsHook()
        own, settings = hook.own(), hook.settings
        found = figures(CaseStore.of(own, settings), retention_days=settings.retention_days, now=datetime.now(UTC))
        Metrics.of(own).put(found)
        return found
