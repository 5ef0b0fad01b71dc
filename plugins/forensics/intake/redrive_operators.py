"""Put findings back that ended in the dead-letter queue."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, Context

from forensics.aws.hook import ForensicsHook
from forensics.aws.sqs import FindingQueue

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import MessageTypeDef

HIDDEN_SECONDS = 60


class RedriveFindingsOperator(BaseOperator):
    """Move messages from the dead-letter queue back to the findings' queue, each sent before it is deleted.

    A kill in between leaves a message in both queues: it finds its case and is deleted. What comes back while this runs
    is left alone. Malformed messages would only be quarantined again, so they stay unless the parameter
    ``quarantined`` asks for them (after a mend of the parser); those that are left are hidden for a minute.
    """

    def execute(self, context: Context) -> dict[str, int]:
        """Return how many messages were moved and how many were left."""
        hook, params = ForensicsHook(), context["params"]
        queue = FindingQueue.of(hook.own(), hook.settings)
        began, limit = datetime.now(UTC).timestamp() * 1000, int(params["limit"])
        counts = {"moved": 0, "left": 0}
        while counts["moved"] < limit:
            messages = queue.receive_dead(visibility=HIDDEN_SECONDS)
            if not messages:
                break
            for message in messages:
                if counts["moved"] < limit and self._wanted(message, params, began):
                    queue.redrive(message)
                    counts["moved"] += 1
                else:
                    counts["left"] += 1
        self.log.info("dead letters: %s moved back, %s left", counts["moved"], counts["left"])
        return counts

    def _wanted(self, message: MessageTypeDef, params: dict[str, Any], began: float) -> bool:
        mark = message.get("MessageAttributes", {}).get("verdict")
        verdict = mark.get("StringValue", "dead") if mark else "dead"
        if float(message["Attributes"]["SentTimestamp"]) > began:
            return False
        return bool(params["quarantined"]) or verdict != "quarantine"
