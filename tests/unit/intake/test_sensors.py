"""The sensor: it drains the queue, defers when there is nothing, and keeps the day's counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred

from forensics.errors import AwsError
from forensics.intake import sensors
from forensics.intake.finding_handler import FindingHandler, IntakeGateways
from forensics.intake.intake_log import IntakeLog
from forensics.intake.sensors import WAIT_SECONDS, FindingQueueSensor
from forensics.intake.triggers import QueueDepthTrigger

pytestmark = pytest.mark.usefixtures("settings_environment")


class Log(IntakeLog):
    """Keeps what is counted."""

    def __init__(self) -> None:
        self.counted: list[dict[str, int]] = []
        self.error: AwsError | None = None

    def count(self, numbers: Mapping[str, int], *, at: datetime) -> None:
        if self.error:
            raise self.error
        self.counted.append(dict(numbers))


class Engine:
    """Counts as the test says."""

    result: Counter[str] = Counter()
    error: Exception | None = None
    lingers: list[float] = []

    def __init__(self, queue: object, handler: FindingHandler, *, urgent_rank: int, visibility: int) -> None:
        self.counts: Counter[str] = Counter()
        assert (urgent_rank, handler._dags.extension) == (3, "forensic_extension")

    def run(self, *, seconds: float, linger: float) -> Counter[str]:
        type(self).lingers.append(linger)
        self.counts.update(type(self).result)
        if self.error:
            raise self.error
        return self.counts


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    made = Log()
    monkeypatch.setattr(IntakeLog, "of", lambda session, settings: made)
    monkeypatch.setattr(sensors, "IntakeEngine", Engine)
    monkeypatch.setattr(Engine, "result", Counter())
    monkeypatch.setattr(Engine, "error", None)
    monkeypatch.setattr(Engine, "lingers", [])
    return made


def run(event: dict[str, object] | None = None) -> dict[str, int]:
    context: Any = {}
    return FindingQueueSensor(task_id="receive_findings", extension_dag_id="forensic_extension").execute(context, event)


def test_what_was_processed_is_counted_and_returned(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Engine, "result", Counter(opened=2))
    assert run() == {"opened": 2}
    assert log.counted == [{"opened": 2}] and Engine.lingers == [0.0]


def test_an_empty_queue_is_waited_for_without_a_worker(log: Log) -> None:
    with pytest.raises(TaskDeferred) as deferred:
        run()
    assert isinstance(deferred.value.trigger, QueueDepthTrigger)
    assert deferred.value.method_name == "execute"
    assert deferred.value.timeout is not None and deferred.value.timeout.total_seconds() > WAIT_SECONDS


def test_after_a_wait_the_task_ends_and_lingers_for_latecomers(log: Log) -> None:
    assert run({"ok": True, "depth": 1}) == {}
    assert Engine.lingers == [1.0]


def test_counts_are_kept_also_when_the_engine_fails(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Engine, "result", Counter(opened=1))
    monkeypatch.setattr(Engine, "error", AwsError("SQS is away"))
    with pytest.raises(AwsError, match="SQS is away"):
        run()
    assert log.counted == [{"opened": 1}]


def test_counts_that_cannot_be_kept_fail_nothing(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Engine, "result", Counter(opened=1))
    log.error = AwsError("the table is away")
    assert run() == {"opened": 1}


def test_the_gateways_are_the_products_own(log: Log) -> None:
    hook = sensors.ForensicsHook()
    gateways = IntakeGateways.of(hook.own(), hook.settings, session=hook.session, for_case=hook.for_case)
    assert gateways.store.table == "forensics-cases" and gateways.log is log
