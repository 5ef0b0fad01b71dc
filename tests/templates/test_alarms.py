"""The alarms that watch Airflow itself: they count what the product logs, and fire when nothing is logged any more.

Truth: Amazon CloudWatch Logs user guide, "Filter pattern syntax" (an unquoted term matches a line that contains it); Amazon CloudWatch user
guide, "Configuring how CloudWatch alarms treat missing data"; apache/airflow#65945 (a triggerer whose heartbeat lives and that does nothing).
"""

from __future__ import annotations

import importlib
import re
from typing import Any

import pytest

from forensics.intake.pulse_operators import ANSWERED, WAITING
from infra.deployment import templates

OBSERVED = templates.load(templates.FOLDER / "observability.yaml")["Resources"]
RESOURCES: dict[str, Any] = OBSERVED | templates.load(templates.FOLDER / "airflow-alarms.yaml")["Resources"]
ALARMS = {n: r["Properties"] for n, r in RESOURCES.items() if r["Type"] == "AWS::CloudWatch::Alarm"}
FILTERS = {n: r["Properties"] for n, r in RESOURCES.items() if r["Type"] == "AWS::Logs::MetricFilter"}


def filters_of(alarm: str) -> list[str]:
    """Patterns of the filters that feed an alarm."""
    return [
        made["FilterPattern"]
        for made in FILTERS.values()
        for metric in made["MetricTransformations"]
        if metric["MetricName"] == ALARMS[alarm]["MetricName"]
    ]


@pytest.mark.parametrize(("alarm", "word"), [("TriggererSilent", ANSWERED), ("RunsWait", WAITING)])
def test_the_filter_counts_the_word_that_the_pulse_logs(alarm: str, word: str) -> None:
    assert filters_of(alarm) == [word]
    text = importlib.import_module("forensics.task_docs").TASKS["measure_pulse"]
    assert word not in text, "the UI's text of the task is no answer"


def test_silence_is_an_alarm() -> None:
    """No line at all: no data point, which must count as breaching; more than one pulse may be missing before."""
    alarm = ALARMS["TriggererSilent"]
    assert alarm["TreatMissingData"] == "breaching"
    assert (alarm["Statistic"], alarm["ComparisonOperator"], alarm["Threshold"]) == ("Sum", "LessThanThreshold", 1)
    pulse = (templates.ROOT / "dags" / "forensic_pulse.py").read_text("utf-8")
    every = re.search(r'schedule="\*/(\d+) ', pulse)
    assert every is not None and int(every[1]) * 60 == alarm["Period"] and alarm["EvaluationPeriods"] >= 3


def test_the_triggerer_is_not_watched_by_its_heartbeat() -> None:
    """It lives on while the triggerer does nothing."""
    assert not [n for n, made in ALARMS.items() if "Triggerer" in n and made["Namespace"] == "AmazonMWAA"]


def test_runs_and_steps_that_do_not_start_are_alarms() -> None:
    assert ALARMS["RunsWait"]["Period"] * ALARMS["RunsWait"]["EvaluationPeriods"] <= 1800
    queued = ALARMS["TasksQueued"]
    assert (queued["MetricName"], queued["Statistic"]) == ("QueuedTasks", "Minimum")


@pytest.mark.parametrize("alarm", ALARMS)
def test_every_alarm_tells_somebody_and_has_its_section_of_the_runbooks(alarm: str) -> None:
    properties = ALARMS[alarm]
    assert properties["AlarmActions"]
    text = properties["AlarmDescription"]["Fn::Sub"]
    anchor = text.rpartition("#")[2].rstrip(".")
    page = (templates.ROOT / "docs" / "runbooks.md").read_text("utf-8")
    assert f"\n## {anchor}\n" in page, f"{properties['AlarmName']}: no section {anchor}"
