"""Steps of a case that die at any of their writes and are tried again end as if they had not: each was a fault of ``make crash-check``."""

from __future__ import annotations

from typing import Any

import pytest

from forensics import case_keys
from forensics.case.beginning import begin
from forensics.case.persons import StepRun, step_run
from forensics.case.retention import kept_until, retain
from forensics.report import writer
from forensics.report.closing import close_case
from forensics.report.handover import export_case
from forensics.report.writer import complete_report, write_report
from forensics.triage.target_description import TargetDescriber
from tests.unit.custody.archive import ArchiveInMemory
from tests.unit.dying import Keeping, faults
from tests.unit.recorders import FakeRecorder, context
from tests.unit.signing import signing_key
from tests.unit.triage.test_target_description import Ec2, Snapshot, Ssm

RUN = StepRun(run_id="manual__1", dag_id="forensic_case", order="2")


def running(recorder: FakeRecorder) -> FakeRecorder:
    """In a run of Airflow."""
    recorder.run = RUN
    return recorder


def close(recorder: FakeRecorder) -> None:
    """The last step of a case."""
    close_case(
        recorder,
        remove_forensic_resources=lambda: None,
        end_protection=lambda: None,
        complete_report=lambda: complete_report(recorder, task_states={}),
        keep_evidence=lambda at: retain(recorder, Keeping(), until=kept_until(at, days=30), closed=True, hold=False),
        annotate_findings=lambda _: None,
    )


def export(recorder: FakeRecorder) -> None:
    """A bundle for somebody."""
    export_case(recorder, archive=ArchiveInMemory(), requester="court expert", largest_mib=5)


def test_a_target_is_described_once() -> None:
    """A second object of facts: its name had the time of each try."""
    describer = TargetDescriber(Ec2(), Ssm(), Snapshot())
    assert faults(lambda: running(FakeRecorder()), describer.describe) == []


def test_a_case_is_closed_once() -> None:
    """A second RETENTION_SET and a second signature: each try counted the retention from its own clock."""
    assert faults(lambda: running(FakeRecorder()), close) == []


def test_a_report_is_written_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second report: each try stored its own below the time of its own view."""
    for renders in ("render_html", "render_json"):
        monkeypatch.setattr(writer, renders, lambda view: f"{view.case.case_id} at {view.generated_at}")
    tried = lambda recorder: write_report(recorder, task_states={})  # noqa: E731
    assert faults(lambda: running(FakeRecorder()), tried) == []


def test_a_bundle_is_written_once() -> None:
    key = signing_key()

    def made() -> FakeRecorder:
        recorder = running(FakeRecorder(step="export_case"))
        recorder.ledger.key = key
        return recorder

    assert faults(made, export) == []


@pytest.mark.parametrize("again", [RUN, StepRun(run_id="manual__1", dag_id="forensic_case", order="4")])
def test_a_step_that_was_cleared_begins_anew_and_one_that_is_tried_again_does_not(again: StepRun) -> None:
    recorder = running(FakeRecorder())
    first = begin(recorder)
    recorder.run = again
    second = begin(recorder)
    assert first.first and second.first is (again is not RUN) and (second.at == first.at) is (again is RUN)
    assert second.at.tzinfo is not None and len(recorder.store.held) == 2 + (again is not RUN)


def test_without_a_run_everything_is_a_beginning() -> None:
    recorder = FakeRecorder()
    assert begin(recorder).first and begin(recorder).first
    assert not [sk for _, sk in recorder.store.held if sk.startswith(case_keys.BEGUN)]


def test_airflow_raises_max_tries_when_a_task_is_cleared() -> None:
    """airflow.models.taskinstance.clear_task_instances: ``ti.max_tries = ti.try_number + task.retries``."""
    first, second = step_run(context(1, retries=2)), step_run(context(3, retries=2))
    cleared = step_run(context(4, retries=5))
    assert first == second != cleared


def test_the_same_words_are_told_once_in_all_tries_and_again_when_the_step_is_cleared() -> None:
    recorder = running(FakeRecorder())

    def tell(**more: Any) -> int:
        recorder.announce("released", "Target released", once=False, **more)
        return len(recorder.mailbox.mail)

    assert (tell(), tell(), tell(lines=["other"])) == (1, 1, 2)
    recorder.run = StepRun(run_id=RUN.run_id, dag_id=RUN.dag_id, order="5")
    assert tell() == 3 and {mail.event for mail in recorder.mailbox.mail} == {"released"}
