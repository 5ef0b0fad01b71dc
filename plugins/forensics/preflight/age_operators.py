"""Step that puts ages of keys, secrets, AMI and symbol library to CloudWatch."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowFailException

from forensics.aws.cloudwatch import Metrics
from forensics.aws.hook import ForensicsHook
from forensics.preflight.ages import measure
from forensics.preflight.operators import run_name
from forensics.preflight.scope import PreflightScope


class MeasureAgesOperator(BaseOperator):
    """Look at keys, external id, secrets of channels, AMI and symbol library; fail when one could not be looked at."""

    def execute(self, context: Context) -> dict[str, float]:
        """Returns the figures that were put."""
        hook = ForensicsHook()
        found = measure(PreflightScope(hook, run=run_name()), now=datetime.now(UTC))
        Metrics.of(hook.own()).put(found.figures)
        for line in found.lines:
            self.log.info("%s", line)
        if found.problems:
            # what could be measured is put already: alarms on it are right
            msg = f"{len(found.problems)} ages were not measured, their alarms keep their state: {'; '.join(found.problems)[:1800]}"
            raise AirflowFailException(msg)
        return found.figures
