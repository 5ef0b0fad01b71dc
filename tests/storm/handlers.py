"""Two handlers of the findings' queue as processes that can be killed: the product's engine, and a naive one.

``python handlers.py product|naive RUNS_DIRECTORY [SERVICE CALLS]``; settings and endpoint come from the environment.
Airflow's part is played by a directory: a run exists when its file exists, and a file can be made once (``O_EXCL``), as
a run id can. With a service and a number the process ends with SIGKILL right after that many changes in that service
(messages deleted, items written): the moments between two calls, where a crash hurts.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from botocore.client import BaseClient

from forensics.aws.hook import ForensicsHook
from forensics.intake.engine import IntakeEngine
from forensics.intake.finding_handler import FindingHandler
from forensics.intake.messages import RunOrder
from forensics.intake.new_case import case_from
from forensics.intake.run_orders import TriggeredDags
from forensics.intake.sensors import URGENT_RANK
from forensics.models.case import Case
from tests.gateways import case_store, finding_queue, intake_gateways


class FileWork(FindingHandler):
    """The product's handler, with a directory instead of Airflow."""

    def __init__(self, hook: ForensicsHook, runs: Path) -> None:
        super().__init__(intake_gateways(), hook.settings, TriggeredDags())
        self._runs = runs

    def start(self, order: RunOrder) -> bool:
        """Make the run's file unless it is there."""
        return make(self._runs / order.run_id)

    def has_room(self) -> bool:
        """True: the directory takes any number of runs."""
        return True


def make(file: Path) -> bool:
    """Make a file that must not exist; returns whether it did not."""
    try:
        os.close(os.open(file, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def product(runs: Path) -> None:
    """The product's engine."""
    hook = ForensicsHook()
    engine = IntakeEngine(finding_queue(), FileWork(hook, runs), urgent_rank=URGENT_RANK, visibility=3)
    engine.run(seconds=120, linger=2)


def naive(runs: Path) -> None:
    """A first naive version: delete on receipt, then a case and a run under a new id for each message."""
    hook = ForensicsHook()
    queue, work, store = finding_queue(), FileWork(hook, runs), case_store()
    idle = time.monotonic()
    while time.monotonic() - idle < 2:
        for message in queue.receive(visibility=3):
            queue.delete([message["ReceiptHandle"]])
            idle = time.monotonic()
            for finding in work.read(message["Body"], datetime.now(UTC)).findings:
                case_id = f"fc-20261124-{uuid.uuid4().hex[:10]}"
                case = Case(**{**case_from(finding, received_at=datetime.now(UTC)).model_dump(), "case_id": case_id})
                store.put(case_id, "META", case)
                store.add_finding(case_id, finding)
                make(runs / case_id)


CHANGES = {"sqs": {"DeleteMessageBatch"}, "dynamodb": {"PutItem", "UpdateItem", "TransactWriteItems"}}


def die_after(service: str, calls: int) -> None:
    """Kill this process, as ``kill -9`` does, once AWS has carried out that many changes."""
    count, call = itertools.count(1), BaseClient._make_api_call

    def counted(self: BaseClient, operation: str, arguments: dict[str, Any]) -> Any:
        answer = call(self, operation, arguments)
        if operation in CHANGES[service] and self.meta.service_model.service_name == service and next(count) == calls:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    BaseClient._make_api_call = counted


if __name__ == "__main__":
    if len(sys.argv) > 3:
        die_after(sys.argv[3], int(sys.argv[4]))
    {"product": product, "naive": naive}[sys.argv[1]](Path(sys.argv[2]))
