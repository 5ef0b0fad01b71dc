"""Put findings back that ended in the dead-letter queue."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow.sdk import BaseOperator, Context
from pydantic import TypeAdapter

from forensics.aws.hook import ForensicsHook
from forensics.aws.sqs import FindingQueue
from forensics.intake.redrive import redrive


class RedriveFindingsOperator(BaseOperator):
    """Move messages from the dead-letter queue back to the findings' queue, each sent before it is deleted.

    A kill in between leaves a message in both queues: it finds its case and is deleted. Messages that arrive while this
    runs are left alone. Malformed messages would only be quarantined again, so they stay unless ``quarantined`` asks for
    them (after a fix of the parser); those that are left are hidden for a minute.

    :param limit: how many messages are moved at most
    :param quarantined: whether malformed messages are moved as well
    """

    template_fields = ("limit", "quarantined")

    def __init__(
        self,
        *,
        limit: int | str = "{{ params.limit }}",
        quarantined: bool | str = "{{ params.quarantined }}",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.limit = limit
        self.quarantined = quarantined

    def execute(self, context: Context) -> dict[str, int]:
        """Return how many messages were moved and how many were left."""
        hook = ForensicsHook()
        counts = redrive(
            FindingQueue.of(hook.own(), hook.settings),
            limit=int(self.limit),
            # A rendered template is text: "False" is not to count as true.
            quarantined=TypeAdapter(bool).validate_python(self.quarantined),
            began=datetime.now(UTC),
        )
        self.log.info("dead letters: %s moved back, %s left", counts.moved, counts.left)
        return {"moved": counts.moved, "left": counts.left}
