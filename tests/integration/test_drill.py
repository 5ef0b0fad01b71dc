"""A drill against the lab: its canary, its case's marks and locks, its judgement, its removal; what a drill that died leaves."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import create_autospec

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from forensics.aws.hook import ForensicsHook
from forensics.containment.operators import IsolateTargetOperator
from forensics.containment.protection_operators import ProtectTargetOperator
from forensics.disk.copy_operators import CopySnapshotsOperator
from forensics.disk.snapshot_operators import SnapshotVolumesOperator
from forensics.drill import operators
from forensics.drill.operators import (
    AwaitDrillCaseOperator,
    JudgeDrillOperator,
    LaunchCanaryOperator,
    OpenDrillCaseOperator,
    RemoveCanaryOperator,
    RemoveOldDrillsOperator,
)
from forensics.drill.record import last_report, unfinished
from forensics.drill.removal import DrillRemoval
from forensics.intake.dag_run import trigger_run
from forensics.intake.operators import OpenCaseOperator
from forensics.memory.capture_operators import CaptureMemoryOperator
from forensics.memory.verify_operators import VerifyMemoryOperator
from forensics.models.case import Case
from forensics.models.custody import CustodyAction
from forensics.report.operators import CloseCaseOperator, WriteReportOperator
from forensics.settings import get_settings
from tests.gateways import case_store, recorder_of
from tests.integration.conftest import SmallLab
from tests.integration.steps import perform
from tests.integration.test_case_steps import triage


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The case's run is not started: its steps are performed by the test."""
    found = create_autospec(trigger_run, return_value=True)
    monkeypatch.setattr(operators, "trigger_run", found)
    return found


def launch() -> str:
    return str(perform(LaunchCanaryOperator(task_id="launch_canary")))


def opened(started: Any) -> str:
    case_id = str(perform(OpenDrillCaseOperator(task_id="open_drill_case")))
    (call,) = started.call_args_list
    assert call.args == ("forensic_case",) and call.kwargs["run_id"] == case_id
    perform(OpenCaseOperator(task_id="open_case", case_id=case_id), run_id=case_id)
    return case_id


def play(case_id: str) -> None:
    """A case without the forensic tools."""
    triage(case_id)
    perform(ProtectTargetOperator(task_id="protect_target"), case_id=case_id)
    perform(CaptureMemoryOperator(task_id="capture_memory"), case_id=case_id)
    perform(VerifyMemoryOperator(task_id="verify_memory"), case_id=case_id)
    perform(SnapshotVolumesOperator(task_id="snapshot_volumes"), case_id=case_id)
    perform(CopySnapshotsOperator(task_id="copy_snapshots"), case_id=case_id)
    perform(IsolateTargetOperator(task_id="isolate_target"), case_id=case_id)
    perform(WriteReportOperator(task_id="write_report"), case_id=case_id)
    with pytest.raises(AirflowFailException):  # the tools' gaps
        perform(CloseCaseOperator(task_id="close_case"), case_id=case_id)


def state_of(lab: SmallLab, instance_id: str) -> str:
    found = lab.client("ec2", "member").describe_instances(InstanceIds=[instance_id])["Reservations"]
    return str(found[0]["Instances"][0]["State"]["Name"])


def snapshots(lab: SmallLab, account: str, case_id: str) -> list[dict[str, Any]]:
    marks = [
        {"Name": "tag:forensics:case", "Values": [case_id]},
        {"Name": "tag:forensics:drill", "Values": ["fc-drill"]},
    ]
    found = lab.client("ec2", account).describe_snapshots(Filters=marks, OwnerIds=["self"])["Snapshots"]
    # a copy that ended in error (its share had not spread) is not locked
    return [s for s in found if s["State"] == "completed"]


def groups(lab: SmallLab, case_id: str) -> list[Any]:
    marks = [{"Name": "tag:forensics:case", "Values": [case_id]}]
    return list(lab.client("ec2", "member").describe_security_groups(Filters=marks)["SecurityGroups"])


@pytest.fixture
def whole(lab: SmallLab, started: Any) -> Iterator[tuple[str, str]]:
    """A canary and its case, played to the end."""
    canary = launch()
    case_id = opened(started)
    play(case_id)
    yield canary, case_id


def test_a_drill_is_marked_everywhere_judged_and_removed(lab: SmallLab, whole: tuple[str, str]) -> None:
    canary, case_id = whole
    assert perform(AwaitDrillCaseOperator(task_id="await_drill_case")) == "CLOSED_WITH_GAPS"
    mails = [m for m in lab.mail() if m["attributes"]["case_id"] == case_id]
    assert mails and all(m["subject"].startswith("DRILL HIGH ") for m in mails)
    assert all("no machine of yours is concerned" in m["message"] for m in mails)
    view = recorder_of(case_id).view()
    assert view.case.drill and view.findings[0].drill
    (event,) = [e for e in view.custody if e.action is CustodyAction.CASE_OPENED]
    assert event.detail["drill"] is True
    html = (
        lab.client("s3")
        .get_object(
            Bucket=lab.facts["evidence_bucket"],
            Key=next(u for u in view.objects if u.endswith("report.html")).split("/", 3)[3],
        )["Body"]
        .read()
    )
    assert b"DRILL: a canary that the pipeline launched" in html
    assert state_of(lab, canary) == "running" and groups(lab, case_id)

    removed = perform(RemoveCanaryOperator(task_id="remove_canary"))
    assert state_of(lab, canary) == "terminated" and not groups(lab, case_id) and removed
    with pytest.raises(AirflowFailException, match="process found: no tool says"):
        perform(JudgeDrillOperator(task_id="judge_drill"))
    report = last_report(case_store())
    assert report is not None and report.case_id == case_id
    passed = {check.name: check.passed for check in report.checks}
    assert passed == {
        "file found": False, "persistence found": False, "process found": False, "socket found": False,  # no tools ran
        "memory captured": True, "disks copied": True, "contained": True, "report written": True, "custody verified": True,
        "marked as a drill": True, "closed without gaps": False, "removed": True,
    }  # fmt: skip
    assert {"canary ready", "opened", "contained", "reported", "closed"} <= set(report.seconds)
    (told,) = [m for m in lab.mail() if m["attributes"]["event"] == "drill"]
    assert told["subject"].startswith("DRILL drill FAILED: 7 of 12 checks passed")
    numbers = lab.client("cloudwatch").list_metrics(Namespace="Forensics")["Metrics"]
    assert {"DrillFailedChecks", "DrillChecks"} <= {m["MetricName"] for m in numbers}


def test_what_a_drill_locks_is_locked_for_a_day_and_deleted_after_it(lab: SmallLab, whole: tuple[str, str]) -> None:
    _, case_id = whole
    made = {account: snapshots(lab, account, case_id) for account in ("member", "forensic")}
    assert all(made.values())
    retained = recorder_of(case_id).view()
    assert retained.case.closed_at is not None
    objects = lab.client("s3").list_objects_v2(Bucket=lab.facts["evidence_bucket"], Prefix=f"cases/{case_id}/")[
        "Contents"
    ]
    for item in objects:
        head = lab.client("s3").head_object(Bucket=lab.facts["evidence_bucket"], Key=item["Key"])
        assert head["ObjectLockRetainUntilDate"] - datetime.now(UTC) <= timedelta(days=1), item["Key"]
        assert head.get("ObjectLockLegalHoldStatus", "OFF") == "OFF"
    perform(RemoveCanaryOperator(task_id="remove_canary"))
    ids = sorted(s["SnapshotId"] for found in made.values() for s in found)
    assert not set(ids) & set(perform(RemoveOldDrillsOperator(task_id="remove_old_drills"))), "they are locked"
    (run,) = unfinished(case_store())
    for account, found in made.items():
        for one in found:
            lab.client("ec2", account).unlock_snapshot(SnapshotId=one["SnapshotId"])
    removed = DrillRemoval(ForensicsHook(), run).snapshots(datetime.now(UTC))
    assert sorted(removed) == ids
    assert not list(unfinished(case_store()))


def test_a_drill_that_died_half_way_is_removed_by_the_reaper(
    lab: SmallLab, started: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    canary = launch()
    assert launch() == canary, "a second try makes no second canary"
    opened(started)
    assert perform(RemoveOldDrillsOperator(task_id="remove_old_drills")) == []  # it may still be at work
    monkeypatch.setattr(operators, "GRACE", timedelta(days=-1))
    assert perform(RemoveOldDrillsOperator(task_id="remove_old_drills")) == [canary]
    assert state_of(lab, canary) in {"shutting-down", "terminated"}
    perform(RemoveOldDrillsOperator(task_id="remove_old_drills"))
    perform(RemoveOldDrillsOperator(task_id="remove_old_drills"))
    assert not list(unfinished(case_store()))


def test_a_real_finding_on_a_canary_makes_its_case_a_real_one(lab: SmallLab, whole: tuple[str, str]) -> None:
    """What a stranger does on a canary is no drill: its evidence is kept as long as any."""
    canary, case_id = whole
    store = case_store()
    store.update_case(case_id, drill=False)
    perform(RemoveCanaryOperator(task_id="remove_canary"))
    (run,) = unfinished(store)
    assert DrillRemoval(ForensicsHook(), run).snapshots(datetime.now(UTC) + timedelta(days=400)) == []
    assert snapshots(lab, "member", case_id) and not list(unfinished(store))
    assert isinstance(store.case(case_id), Case) and canary


def test_without_a_drill_account_the_drill_is_skipped(lab: SmallLab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__FORENSICS__DRILL_ACCOUNT", "")
    get_settings.cache_clear()
    for operator in (LaunchCanaryOperator, RemoveCanaryOperator, JudgeDrillOperator):
        with pytest.raises(AirflowSkipException):
            perform(operator(task_id="step"))
