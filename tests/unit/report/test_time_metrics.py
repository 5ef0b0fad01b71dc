"""A case's times as metrics: once, of real cases alone, and a refusal stops nothing."""

from __future__ import annotations

from typing import Any
from unittest.mock import create_autospec

import pytest

from forensics.aws.case_store import CaseStore
from forensics.aws.cloudwatch import Metrics
from forensics.case.recorder import CaseGateways, CaseRecorder
from forensics.case_keys import TIMES_PUT
from forensics.errors import AccessDeniedError
from forensics.report import time_metrics
from forensics.report.time_metrics import put_times, times_of
from tests.unit.report import sample


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A closed case whose times are not put yet."""
    monkeypatch.setattr(time_metrics, "read_board_view", lambda *_: sample.rich_view())
    made = create_autospec(CaseRecorder, instance=True, case_id=sample.CASE_ID)
    made.gateways = create_autospec(CaseGateways, instance=True, store=create_autospec(CaseStore, instance=True))
    made.put_once.return_value = True
    return made


def test_each_stage_that_was_reached_is_a_metric_in_seconds(recorder: Any) -> None:
    metrics = create_autospec(Metrics, instance=True)
    put_times(recorder, metrics)
    (numbers,), more = metrics.put.call_args
    assert more == {"unit": "Seconds"} and "SecondsToContained" in numbers and min(numbers.values()) >= 0
    recorder.put_once.assert_called_once()


def test_they_are_put_once(recorder: Any) -> None:
    metrics = create_autospec(Metrics, instance=True)
    recorder.put_once.return_value = False
    put_times(recorder, metrics)
    metrics.put.assert_not_called()


@pytest.mark.parametrize("mark", ["sample", "drill"])
def test_samples_and_drills_say_nothing_about_real_cases(mark: str) -> None:
    view = sample.rich_view()
    assert times_of(view) and not times_of(view.model_copy(update={"case": view.case.model_copy(update={mark: True})}))


def test_a_refusal_is_said_and_tried_at_the_next_closing(recorder: Any) -> None:
    metrics = create_autospec(Metrics, instance=True)
    metrics.put.side_effect = AccessDeniedError("put metrics: denied")
    put_times(recorder, metrics)
    assert "denied" in recorder.note.call_args.args[0]
    recorder.gateways.store.remove.assert_called_once_with(sample.CASE_ID, TIMES_PUT)


def test_a_worker_that_dies_in_between_leaves_no_metric_twice(recorder: Any) -> None:
    """The mark is there before the request: whoever comes after the dead puts nothing."""

    class Killed(BaseException):
        pass

    metrics = create_autospec(Metrics, instance=True)
    metrics.put.side_effect = Killed
    with pytest.raises(Killed):
        put_times(recorder, metrics)
    recorder.put_once.assert_called_once()
    recorder.gateways.store.remove.assert_not_called()
