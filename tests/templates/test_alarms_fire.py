"""Each alarm of the templates rings once by its real cause, is quiet while all is well, and its runbook has owner and first command.

What the product logs and counts comes from the product's own code; the metrics of AWS are held against names and dimensions in its guides:
Amazon SQS developer guide, "Available CloudWatch metrics for Amazon SQS"; Amazon MWAA user guide, "Apache Airflow environment metrics in
CloudWatch"; Amazon DynamoDB developer guide, "DynamoDB metrics and dimensions"; Amazon Data Firehose, "Monitor with CloudWatch metrics";
Amazon EventBridge user guide, "Logging and monitoring Amazon EventBridge Pipes"; AWS Certificate Manager user guide, "CloudWatch metrics".
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog
from airflow.sdk.exceptions import TaskDeferred
from botocore.exceptions import ClientError

from forensics import case_keys
from forensics.aws.case_store import CaseStore
from forensics.aws.cloudwatch import NAMESPACE
from forensics.aws.error_map import aws_errors
from forensics.case.waiting import begin_waiting
from forensics.containment.call_runner import ContainmentGateway
from forensics.containment.drift_rules import Drift, DriftItem
from forensics.containment.watch_list import watch
from forensics.correlation import case_context
from forensics.custody.chain import verify_chain
from forensics.intake import pulse_operators
from forensics.intake.pulse_operators import PulseOperator
from forensics.intake.standing_rules import RunProgress, TaskStay
from forensics.investigation.artifacts import succeeded
from forensics.models.containment import ApiCall, ContainmentResult, ContainmentState
from forensics.models.evidence import Outcome
from forensics.models.notices import Waiting, WaitingKind
from forensics.models.preflight import CheckStatus
from forensics.models.results import Investigation
from forensics.preflight.operations import figures
from infra.deployment import templates
from tests.templates.alarm_machine import Key, counted, key_of, keys_of, state
from tests.unit.builders import CASE_ID, NOW, case, finding
from tests.unit.custody.test_chain import chain
from tests.unit.preflight.test_record import report

FILES = ("observability", "airflow-alarms", "case-alarms", "age-alarms", "protection", "security-account")
RESOURCES = {(file, name): r for file in FILES for name, r in templates.reading()[file]["Resources"].items()}
ALARMS = {where: r["Properties"] for where, r in RESOURCES.items() if r["Type"] == "AWS::CloudWatch::Alarm"}
NAMED = {f"{'security: ' if file == 'security-account' else ''}{p['AlarmName']}": p for (file, _), p in ALARMS.items()}
FILTERS = [r["Properties"] for r in RESOURCES.values() if r["Type"] == "AWS::Logs::MetricFilter"]

# Namespace → metric → dimensions, as the guides above list them.
OF_AWS = {
    "AWS/SQS": {"ApproximateAgeOfOldestMessage": {"QueueName"}, "ApproximateNumberOfMessagesVisible": {"QueueName"}},
    "AmazonMWAA": {
        "SchedulerHeartbeat": {"Environment", "Function"},
        "QueuedTasks": {"Environment", "Function"},
        "TaskInstanceFailures": {"Environment", "DAG", "Task"},
    },
    # ThrottledRequests has TableName and Operation together, never TableName alone: an alarm on that would read nothing
    "AWS/DynamoDB": {"ReadThrottleEvents": {"TableName"}, "WriteThrottleEvents": {"TableName"}},
    "AWS/Firehose": {"DeliveryToS3.DataFreshness": {"DeliveryStreamName"}},
    "AWS/EventBridge/Pipes": {"ExecutionFailed": {"PipeName"}},
    "AWS/CertificateManager": {"DaysToExpiry": {"CertificateArn"}},
}


def task_log(happens: Callable[[], object]) -> list[str]:
    """The lines that a task of a case writes: JSON with the case's id, an exception as Airflow's log has it."""
    out = io.StringIO()
    log = structlog.wrap_logger(
        structlog.PrintLogger(out),
        processors=[structlog.contextvars.merge_contextvars, structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer()],
    )  # fmt: skip
    with case_context(CASE_ID, step="a"):
        try:
            happens()
        except Exception:
            log.exception("Task failed with exception")
        else:
            log.info("done")
    return out.getvalue().splitlines()


def tampered() -> object:
    events = chain([{"n": 1}, {"n": 2}])
    return verify_chain([events[0], events[1].model_copy(update={"actor": "somebody else"})])


def denied() -> object:
    refused = {
        "Error": {"Code": "AccessDeniedException", "Message": "The ciphertext refers to a key that you may not use"}
    }
    with aws_errors("decrypt with the evidence key"):
        raise ClientError(refused, "Decrypt")


def vanished() -> object:
    return succeeded(Investigation.model_construct(command_id="c-1"), None)


def not_contained() -> object:
    gateway = ContainmentGateway.__new__(ContainmentGateway)
    return gateway.perform(ApiCall(service="ec2", operation="terminate_instances", params={}), ids={})


LOGGED = {
    "forensics-custody-broken": tampered,
    "forensics-access-denied": denied,
    "forensics-captures-fail": vanished,
    "forensics-not-contained": not_contained,
}


@pytest.mark.parametrize("name", LOGGED)
def test_an_error_in_a_task_rings_the_alarm_that_counts_it(name: str) -> None:
    """The metric filter counts the line of the failed task, and the line has the case's id for whoever searches it."""
    alarm = NAMED[name]
    (pattern,) = [f["FilterPattern"] for f in FILTERS if key_of_filter(f) == keys_of(alarm)[0]]
    bad, good = task_log(LOGGED[name]), task_log(lambda: None)
    assert counted(pattern, bad) == 1 and counted(pattern, good) == 0
    assert {json.loads(line)["case_id"] for line in bad + good} == {CASE_ID}
    assert rings(alarm, [counted(pattern, bad)]) and not rings(alarm, [counted(pattern, good)])


def key_of_filter(made: dict[str, Any]) -> Key:
    (metric,) = made["MetricTransformations"]
    return metric["MetricNamespace"], metric["MetricName"], frozenset()


def rings(alarm: dict[str, Any], points: Sequence[float | None], *, before: str = "OK") -> bool:
    limit = alarm["Threshold"]
    if isinstance(limit, dict):  # a parameter of the template
        alarm = {**alarm, "Threshold": templates.reading()["age-alarms"]["Parameters"][limit["Ref"]]["Default"]}
    return state(alarm, dict.fromkeys(keys_of(alarm)[:1], points), before=before) == "ALARM"


# What stands still, waits and fails in the services, as datum of their own metrics: (bad periods, good periods), the newest last.
FROM_AWS: dict[str, tuple[list[float | None], list[float | None]]] = {
    "forensics-findings-wait": ([301.0] * 5, [40.0] * 5),
    "forensics-urgent-wait": ([75.0] * 5, [20.0] * 5),
    "forensics-findings-dead": ([1.0], [0.0]),
    "forensics-events-undelivered": ([1.0], [0.0]),
    "security: forensics-events-undelivered": ([1.0], [0.0]),
    "forensics-unreported": ([1.0], [0.0]),
    # no heartbeat is no datum, not a zero
    "forensics-scheduler-silent": ([None], [60.0]),
    "forensics-tasks-queued": ([3.0] * 3, [3.0, 0.0, 2.0]),
    "forensics-steps-fail": ([1.0], [0.0]),
    "forensics-store-throttled": ([4.0], [0.0]),
    "forensics-ledger-archive-late": ([3700.0], [200.0]),
    "forensics-ledger-archive-pipe": ([1.0], [0.0]),
    "forensics-certificate-ends": ([29.0], [395.0]),
}


@pytest.mark.parametrize("name", FROM_AWS)
def test_a_documented_metric_of_aws_rings_its_alarm(name: str) -> None:
    alarm = NAMED[name]
    for namespace, metric, dimensions in keys_of(alarm):
        assert {d for d, _ in dimensions} == OF_AWS[namespace][metric], f"{namespace} {metric} has no such dimensions"
    bad, good = FROM_AWS[name]
    assert rings(alarm, bad) and not rings(alarm, good)


def test_a_certificate_that_has_ended_rings_by_silence() -> None:
    """ACM publishes no days of a certificate that has ended."""
    assert rings(NAMED["forensics-certificate-ends"], []) and rings(NAMED["forensics-certificate-ends"], [None])


def test_a_throttled_write_rings_as_a_throttled_read_does() -> None:
    """Only one of the two metrics has data: the other is filled with zero."""
    alarm = NAMED["forensics-store-throttled"]
    for key in keys_of(alarm):
        assert state(alarm, {key: [2.0]}) == "ALARM"
    assert state(alarm, {}) == "OK"


def test_the_pulse_rings_by_silence_and_by_runs_that_wait(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """forensic_pulse as Airflow runs it; what its log has is counted by the filters."""
    waiting = {"forensic_case": 2}
    monkeypatch.setattr(pulse_operators, "queued_runs", lambda dag_id: waiting.get(dag_id, 0))
    pulse = PulseOperator(task_id="measure_pulse", watched=["forensic_case"])
    with pytest.raises(TaskDeferred):
        pulse.execute({})  # type: ignore[arg-type]
    lines = capfd.readouterr().out.splitlines()
    late, answered = NAMED["forensics-runs-wait"], NAMED["forensics-triggerer-silent"]
    patterns = {key_of_filter(f): f["FilterPattern"] for f in FILTERS}
    assert rings(late, [counted(patterns[key_of(late)], lines)] * 2)
    assert counted(patterns[key_of(answered)], lines) == 0
    assert rings(answered, []) and rings(answered, [0.0] * 3), "no wait came back"
    pulse.answered({}, event=None, due=datetime.now(UTC).timestamp())  # type: ignore[arg-type]
    lines = capfd.readouterr().out.splitlines()
    assert not rings(answered, [0.0, 0.0, counted(patterns[key_of(answered)], lines)])
    assert not rings(late, [0.0, 0.0])


def test_a_broken_preflight_and_none_at_all_ring() -> None:
    """The value that record_report puts is the number of broken lines."""
    broken, silent = NAMED["forensics-preflight-broken"], NAMED["forensics-preflight-silent"]
    found = report("quick", CheckStatus.BROKEN, CheckStatus.OK).counts[CheckStatus.BROKEN]
    assert rings(broken, [float(found)]) and not rings(broken, [0.0])
    assert silent["Statistic"] == "SampleCount" and rings(silent, [None, None]) and not rings(silent, [None, 1.0])


def test_every_alarm_on_cases_rings_by_what_the_product_has_recorded(store: CaseStore) -> None:
    """A case of four days, a seal that is missing, a run that stands still, a changed target, a lock that nobody renewed."""
    store.open_case(case(opened_at=NOW - timedelta(hours=1)), finding=finding())
    quiet = figures(store, retention_days=4, now=NOW)
    begin_waiting(store, Waiting(kind=WaitingKind.SEAL, name="x", what="no seal", next_action="clear", since=NOW))
    store.put(
        CASE_ID,
        case_keys.RUN_PROGRESS,
        RunProgress(run_id="r", tasks={"t": TaskStay(state="running", since=NOW, told=True)}),
    )
    watch(store, CASE_ID, ContainmentResult(outcome=Outcome.DONE, state=ContainmentState.ALL_FLOWS_VERIFIED))
    store.put(CASE_ID, case_keys.DRIFT, Drift(looked_at=NOW, items=(DriftItem(key="g", what="another group"),)))
    found = figures(store, retention_days=4, now=NOW + timedelta(hours=76))
    rung = set()
    for (file, _), alarm in ALARMS.items():
        if file == "case-alarms":
            assert alarm["Namespace"] == NAMESPACE and alarm["MetricName"] in found
            periods = int(alarm["EvaluationPeriods"])
            assert rings(alarm, [found[alarm["MetricName"]]] * periods), alarm["AlarmName"]
            assert not rings(alarm, [quiet[alarm["MetricName"]]] * periods)
            # nobody counts: what has rung goes on ringing, what has not stays quiet
            assert rings(alarm, [], before="ALARM") and not rings(alarm, [])
            rung.add(alarm["AlarmName"])
    assert len(rung) == 5


def test_no_alarm_is_left_out() -> None:
    here = set(LOGGED) | set(FROM_AWS)
    here |= {
        "forensics-runs-wait",
        "forensics-triggerer-silent",
        "forensics-preflight-broken",
        "forensics-preflight-silent",
    }
    # those on ages ring in the lab: tests/integration/test_ages.py
    here |= {p["AlarmName"] for (file, _), p in ALARMS.items() if file in {"case-alarms", "age-alarms"}}
    everywhere = {
        p["AlarmName"] for t in templates.reading().values() for r in t["Resources"].values()
        if r["Type"] == "AWS::CloudWatch::Alarm" for p in [r["Properties"]]
    }  # fmt: skip
    assert set(NAMED) == here and {n.removeprefix("security: ") for n in here} == everywhere


ROW = re.compile(
    r"^\| \[`([a-z-]+)`\]\(#([a-z-]+)\) \| (.+?) \| (.+?) \| (SOC|cloud|evidence) \| (.+?) \|$", re.MULTILINE
)


def test_every_alarm_has_cause_metric_owner_and_a_first_command_in_the_runbooks() -> None:
    page = (templates.ROOT / "docs" / "runbooks.md").read_text("utf-8")
    rows = {found[1]: found for found in ROW.finditer(page)}
    assert {f"forensics-{name}" for name in rows} == {n.removeprefix("security: ") for n in NAMED}
    for name, row in rows.items():
        text = next(p for p in NAMED.values() if p["AlarmName"] == f"forensics-{name}")["AlarmDescription"]["Fn::Sub"]
        assert text.endswith(f"#{row[2]}") and f"\n## {row[2]}\n" in page, name
        # a program's command, or where to click
        assert re.match(r"(`aws [a-z-]+ [a-z-]+|Airflow UI → )", row[6]), f"{name}: {row[6]}"


def test_commands_of_the_runbooks_exist() -> None:
    """botocore's model: service and operation of each ``aws`` command."""
    import botocore.session

    page = (templates.ROOT / "docs" / "runbooks.md").read_text("utf-8")
    session, seen = botocore.session.get_session(), set()
    for service, command in re.findall(r"aws ([a-z0-9-]+) ([a-z-]+)", page):
        operations = session.get_service_model(service).operation_names
        assert command.replace("-", "") in {o.lower() for o in operations}, f"aws {service} {command}"
        seen.add((service, command))
    assert len(seen) >= 6


def test_the_dashboard_answers_three_questions_and_shows_every_alarm() -> None:
    body = templates.reading()["dashboard"]["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    widgets = json.loads(re.sub(r"\$\{[A-Za-z:]+\}", "x", body))["widgets"]
    headings = [w["properties"]["markdown"] for w in widgets if w["type"] == "text"]
    assert headings == ["## Is it healthy?", "## Are we in time?", "## What waits for a person?"]
    shown = {arn.rpartition(":")[2] for w in widgets if w["type"] == "alarm" for arn in w["properties"]["alarms"]}
    # an alarm that not every deployment has is in no widget, which would show an error for it
    always = {p["AlarmName"] for where, p in ALARMS.items() if "Condition" not in RESOURCES[where]}
    assert shown == {n for n in NAMED if not n.startswith("security: ") and n in always}
    metrics = {m[1] for w in widgets if w["type"] == "metric" for m in w["properties"]["metrics"]}
    assert {"OpenCases", "WaitsForPerson", "WaitsForPersonMinutes", "OldestOpenCaseHours", "TargetsDrifted"} <= metrics
    # no widget lies on another
    cells = [
        (x, y) for w in widgets for x in range(w["x"], w["x"] + w["width"]) for y in range(w["y"], w["y"] + w["height"])
    ]
    assert len(cells) == len(set(cells)) and max(x for x, _ in cells) < 24
