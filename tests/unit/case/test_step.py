"""The shape of every step: retried, recorded, announced, cleared."""

from __future__ import annotations

import contextlib
import importlib
import pkgutil
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, AirflowTaskTimeout, TaskDeferred
from airflow.sdk.execution_time.timeout import timeout as alarm

import forensics
from forensics.aws.polling import CRITICAL, ON_THE_WAY_TO_ISOLATION, PollTrigger, WaitResult
from forensics.case.step import ForensicOperator, Json
from forensics.errors import (
    ContainmentError,
    DigestMismatchError,
    ForensicsError,
    InvestigationError,
    MemoryCaptureError,
)
from forensics.memory.capture_operators import CaptureMemoryOperator
from forensics.memory.live_response_operators import LiveResponseOperator
from forensics.memory.probe_operators import ProbeTargetOperator
from forensics.models.case import StepFailure
from tests.unit.builders import CASE_ID, NOW, SNAPSHOT, case, of_snapshot, said
from tests.unit.recorders import FakeRecorder, context


class Waiting(PollTrigger):
    """A wait of which only its existence matters."""

    def arguments(self) -> dict[str, Any]:
        """Nothing more."""
        return {}

    def check(self) -> WaitResult | None:
        """Never asked here: nothing runs the trigger."""
        return None

    def waiting_for(self) -> str:
        """For the messages."""
        return "nothing"


class Step(ForensicOperator):
    """A step that does what a test says."""

    def __init__(self, *, work: Callable[[Any], Json], recorder: FakeRecorder, **kwargs: Any) -> None:
        super().__init__(case_id=CASE_ID, **kwargs)
        self.work = work
        self.a_recorder = recorder
        self.meant: list[str] = []

    def _bind(self) -> Any:
        """The test's recorder."""
        return self.a_recorder

    def act(self, recorder: Any, context: Any) -> Json:
        """Do it."""
        return self.work(recorder)

    def on_final_failure(self, recorder: Any, cause: str) -> None:
        """Remember it."""
        self.meant.append(cause)

    def wait_failed(self, cause: str, next_action: str) -> ForensicsError:
        """A failed wait of this step."""
        return InvestigationError(cause, next_action=next_action or None)


def make(work: Callable[[Any], Json], recorder: FakeRecorder, kind: type[Step] = Step) -> Step:
    """A step that does this work at this recorder (Airflow's operators take keywords only)."""
    return kind(task_id="step", work=work, recorder=recorder)


def raising(error: BaseException) -> Callable[[Any], Json]:
    """Work that fails so."""

    def work(_: Any) -> Json:
        raise error

    return work


@pytest.fixture
def recorder() -> FakeRecorder:
    """A recorder without records."""
    return FakeRecorder()


def old_failure() -> StepFailure:
    """What an earlier run of the step left."""
    return StepFailure(step="step", cause="earlier", next_action="fix the cause", at=NOW)


@pytest.mark.parametrize("try_number", [1, 2])
def test_an_error_that_will_be_retried_is_noted_and_not_a_failure(recorder: FakeRecorder, try_number: int) -> None:
    error = MemoryCaptureError("the agent went away")
    step = make(raising(error), recorder)
    with pytest.raises(MemoryCaptureError) as caught:
        step.execute(context(try_number))
    assert caught.value is error
    assert recorder.store.failures() == {} and recorder.subjects == [] and step.meant == []
    assert recorder.notes == [f"try {try_number} of step failed and is repeated: the agent went away"]


def test_the_last_try_records_announces_and_fails_for_good(recorder: FakeRecorder) -> None:
    step = make(raising(MemoryCaptureError("the agent went away", next_action="restart the agent")), recorder)
    with pytest.raises(AirflowFailException, match=r"the agent went away. What to do next: restart the agent"):
        step.execute(context(3))
    failure = recorder.store.failures()["step"]
    assert (failure.cause, failure.next_action, failure.try_number) == (
        "the agent went away",
        "restart the agent",
        3,
    )
    assert recorder.subjects == [said("FAILED: step")]
    assert recorder.mailbox.mail[0].lines[2:] == [
        "Cause: the agent went away",
        "What to do next: restart the agent",
    ]
    assert step.meant == ["the agent went away"]


def test_after_a_clear_the_tries_count_on(recorder: FakeRecorder) -> None:
    with pytest.raises(ContainmentError):
        make(raising(ContainmentError("x")), recorder).execute(context(4, retries=5))
    assert recorder.store.failures() == {}


@pytest.mark.parametrize("error", [DigestMismatchError("two digests differ")])
def test_damage_is_never_retried(recorder: FakeRecorder, error: ForensicsError) -> None:
    with pytest.raises(AirflowFailException):
        make(raising(error), recorder).execute(context(1))
    assert "examiner" in recorder.store.failures()["step"].next_action


def test_an_unforeseen_error_is_retried_and_then_recorded_with_its_kind(recorder: FakeRecorder) -> None:
    with pytest.raises(KeyError):
        make(raising(KeyError("Output")), recorder).execute(context(1))
    with pytest.raises(AirflowFailException):
        make(raising(KeyError("Output")), recorder).execute(context(3))
    assert recorder.store.failures()["step"].cause == "KeyError: 'Output'"


def at_work_for_ever(_: Any) -> Json:
    """A loop that only Airflow's alarm ends, with what catches everything but that inside."""
    while True:
        with contextlib.suppress(Exception):
            time.sleep(0.01)


def test_a_step_that_airflow_stops_at_its_time_limit_is_retried_then_recorded_and_announced(
    recorder: FakeRecorder,
) -> None:
    """As the task runner does: the alarm raises AirflowTaskTimeout, which is no Exception, inside the step."""
    step = make(at_work_for_ever, recorder)
    with pytest.raises(AirflowTaskTimeout), alarm(0.2):
        step.execute(context(1))
    assert recorder.store.failures() == {}
    with pytest.raises(AirflowFailException, match="longer than its execution_timeout"), alarm(0.2):
        step.execute(context(3))
    assert recorder.store.failures()["step"].cause.startswith("step was stopped: it was at work longer")
    assert len(recorder.subjects) == 1 and step.meant, "announced, and the evidence item says so"


def test_a_skip_passes_and_clears_an_earlier_failure(recorder: FakeRecorder) -> None:
    recorder.store.fail(CASE_ID, old_failure())
    with pytest.raises(AirflowSkipException, match="not wanted"):
        make(raising(AirflowSkipException("not wanted")), recorder).execute(context(3))
    assert recorder.store.failures() == {} and recorder.subjects == []


def test_success_returns_the_result_and_clears_an_earlier_failure(recorder: FakeRecorder) -> None:
    recorder.store.fail(CASE_ID, old_failure())
    recorder.store.fail(CASE_ID, old_failure().model_copy(update={"step": "another"}))
    assert make(lambda _: {"a": 1}, recorder).execute(context()) == {"a": 1}
    assert list(recorder.store.failures()) == ["another"]


def test_an_honest_failure_of_a_step_itself_passes(recorder: FakeRecorder) -> None:
    with pytest.raises(AirflowFailException, match="closed with gaps"):
        make(raising(AirflowFailException("closed with gaps")), recorder).execute(context(1))
    assert recorder.store.failures() == {}


# ---------------------------------------------------------------------- waits
def waits(step: Step, *, seconds: float, ends_task: bool = False) -> Callable[[Any], Json]:
    """Work that waits."""

    def work(_: Any) -> Json:
        step.wait(Waiting(poll=5, deadline=NOW.timestamp() + seconds, ends_task=ends_task))
        return None

    return work


def test_a_wait_defers_to_the_one_way_back(recorder: FakeRecorder) -> None:
    step = make(lambda _: None, recorder)
    step.work = waits(step, seconds=0)
    with pytest.raises(TaskDeferred) as caught:
        step.execute(context())
    assert caught.value.method_name == "resume_after_wait"
    assert caught.value.timeout is not None and caught.value.timeout.total_seconds() >= 60
    assert recorder.store.failures() == {} and recorder.notes == []


@pytest.mark.usefixtures("settings_environment")
@pytest.mark.parametrize(
    ("severity", "before", "urgency"),
    [("LOW", False, 0), ("HIGH", True, ON_THE_WAY_TO_ISOLATION), ("CRITICAL", False, CRITICAL), ("CRITICAL", True, 3)],
)
def test_waits_of_critical_cases_and_of_what_isolation_waits_for_look_first(
    severity: str, before: bool, urgency: int
) -> None:
    kind = type("Urgent", (Step,), {"before_isolation": before})
    step = make(lambda _: step.wait(Waiting(**step.timing(60))), FakeRecorder(case(severity=severity)), kind)
    with pytest.raises(TaskDeferred) as caught:
        step.execute(context())
    assert caught.value.trigger.urgency == urgency
    assert caught.value.trigger.serialize()[1]["urgency"] == urgency


def test_isolation_waits_for_these_steps_and_they_say_so() -> None:
    for kind in (ProbeTargetOperator, CaptureMemoryOperator, LiveResponseOperator):
        assert kind.before_isolation


def test_a_wait_that_ended_well_hands_its_payload_on(recorder: FakeRecorder) -> None:
    recorder.store.fail(CASE_ID, old_failure())
    result = make(lambda _: None, recorder).resume_after_wait(context(), event={"ok": True, "ids": ["a"]})
    assert result == {"ids": ["a"]}
    assert recorder.store.failures() == {}


@pytest.mark.parametrize(
    "event", [{"ok": False, "cause": "timed out", "next_action": "look"}, {"cause": "timed out"}, {}]
)
def test_a_wait_that_failed_becomes_the_steps_error(recorder: FakeRecorder, event: dict[str, Any]) -> None:
    with pytest.raises(InvestigationError, match=event.get("cause", "the wait failed")) as caught:
        make(lambda _: None, recorder).resume_after_wait(context(1), event=event)
    assert caught.value.next_action


def test_a_wait_that_failed_for_the_last_time_is_recorded(recorder: FakeRecorder) -> None:
    with pytest.raises(AirflowFailException):
        make(lambda _: None, recorder).resume_after_wait(context(3), event={"ok": False, "cause": "timed out"})
    assert recorder.store.failures()["step"].cause == "timed out"


def test_a_wait_that_ends_the_task_itself_has_cleared_an_earlier_failure(recorder: FakeRecorder) -> None:
    recorder.store.fail(CASE_ID, old_failure())
    step = make(lambda _: None, recorder)
    step.work = waits(step, seconds=60, ends_task=True)
    with pytest.raises(TaskDeferred):
        step.execute(context(4, retries=5))
    assert recorder.store.failures() == {}


@pytest.mark.parametrize("error", ["Trigger timeout", "Trigger failure"])
def test_a_trigger_that_died_or_timed_out_for_the_last_time_is_recorded(recorder: FakeRecorder, error: str) -> None:
    step = make(lambda _: None, recorder)
    with pytest.raises(AirflowFailException):
        step.resume_execution("__fail__", {"error": error}, context(3))
    assert "step" in recorder.store.failures() and recorder.subjects


def test_a_failure_is_recorded_also_when_cleaning_up_after_it_fails(recorder: FakeRecorder) -> None:
    class Untidy(Step):
        def on_final_failure(self, recorder: Any, cause: str) -> None:
            raise InvestigationError("the instance could not be terminated")

    with pytest.raises(AirflowFailException):
        make(raising(InvestigationError("no agent")), recorder, Untidy).execute(context(3))
    assert "no agent" in recorder.store.failures()["step"].cause
    assert "could not be terminated" in recorder.store.failures()["step"].cause


# ---------------------------------------------------------------------- every step
def _kinds(root: type[ForensicOperator] = ForensicOperator) -> Iterator[type[ForensicOperator]]:
    for module in pkgutil.walk_packages(forensics.__path__, "forensics."):
        if module.name.endswith("operators"):
            importlib.import_module(module.name)
    for kind in root.__subclasses__():
        if kind.__module__.startswith("forensics."):
            yield kind
            yield from _kinds(kind)


KINDS = sorted(set(_kinds()), key=lambda k: k.__name__)
STEPS = [k for k in KINDS if not k.__name__.startswith("_")]
ARGUMENTS = {"CheckProfileOperator": {"activity": "investigate_disk"}}


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
def test_every_step_says_what_it_does_and_what_act_does(kind: type[ForensicOperator]) -> None:
    assert kind.__dict__.get("__doc__")
    if "act" in kind.__dict__:
        assert kind.act.__doc__


@pytest.mark.parametrize("kind", STEPS, ids=lambda k: k.__name__)
def test_every_step_can_be_built_and_its_template_fields_exist(kind: type[ForensicOperator]) -> None:
    step = kind(task_id="step", **ARGUMENTS.get(kind.__name__, {}))
    assert "case_id" in step.template_fields
    for name in step.template_fields:
        assert hasattr(step, name)
    assert "open_case" in step.case_id, "the case is the one that open_case returned"


@pytest.mark.parametrize("kind", STEPS, ids=lambda k: k.__name__)
def test_every_step_is_made_of_act_and_not_of_execute(kind: type[ForensicOperator]) -> None:
    assert kind.execute is ForensicOperator.execute
    assert kind.act is not ForensicOperator.act


# ---------------------------------------------------------------------- the case of an artifact
# What works on disks, records, reports and evidence. A step that is not named here is about a machine.
WITHOUT_A_MACHINE = {
    "AnalyseDiskOperator", "AnalyseMemoryOperator", "AttachEvidenceVolumesOperator", "AuditCaseOperator", "CheckProfileOperator",
    "CloseCaseOperator", "CompareDiskOperator", "WriteProfileReportOperator",
    "CopySnapshotsOperator", "DescribeTargetOperator", "DigestDisksOperator", "ExportCaseOperator", "ExtendPlanOperator",
    "KeepEvidenceOperator", "LaunchForensicInstanceOperator", "LiftHoldsOperator", "PlanHoldLiftOperator", "PlanResponseOperator",
    "LinkCasesOperator", "PushCaseOperator", "SnapshotVolumesOperator", "StoreTimelineOperator", "TerminateForensicInstanceOperator", "WriteReportOperator",
}  # fmt: skip


def test_only_steps_that_need_no_machine_work_on_an_artifact() -> None:
    for module in pkgutil.walk_packages(forensics.__path__, "forensics."):
        importlib.import_module(module.name)
    kinds, found = [ForensicOperator], set()
    while kinds:
        kinds += (of := kinds.pop()).__subclasses__()
        if of.__module__.startswith("forensics.") and not of.__name__.startswith("_") and of.takes_artifacts:
            found.add(of.__name__)
    assert found == WITHOUT_A_MACHINE


def test_a_step_about_a_machine_ends_skipped_by_name_and_does_nothing() -> None:
    recorder = FakeRecorder(of_snapshot())
    recorder.fail(old_failure())
    step = make(raising(AssertionError("it was called")), recorder)
    with pytest.raises(AirflowSkipException, match=f"step: NOT_APPLICABLE, the case is about snapshot {SNAPSHOT}"):
        step.execute(context(1))
    with pytest.raises(AirflowSkipException, match="NOT_APPLICABLE"):
        step.resume_after_wait(context(1), {"ok": True})
    assert recorder.store.failures() == {}, "whatever an earlier release left"


def test_a_step_that_takes_artifacts_works_on_them() -> None:
    class Disks(Step):
        """A step about what is stored."""

        takes_artifacts = True

    assert make(lambda _: "done", FakeRecorder(of_snapshot()), Disks).execute(context(1)) == "done"


@pytest.mark.parametrize(
    "error", [None, AirflowSkipException("no"), ForensicsError("broken")], ids=["done", "skipped", "failed"]
)
def test_however_a_step_ends_the_board_finds_the_case_as_it_is_then(
    recorder: FakeRecorder, error: Exception | None
) -> None:
    step = make(raising(error) if error else lambda _: None, recorder)
    given = context(try_number=9)
    with contextlib.suppress(AirflowSkipException, AirflowFailException, ForensicsError):
        step.execute(given)
    line = recorder.store.lines.held[recorder.case_id]  # type: ignore[attr-defined]
    assert line.contained == "no, not decided" and line.gaps == (1 if isinstance(error, ForensicsError) else 0)


def test_a_line_that_cannot_be_written_fails_no_step(recorder: FakeRecorder, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(case_id: str, line: object) -> None:
        raise ForensicsError("denied")

    monkeypatch.setattr(recorder.store.lines, "put", refused)
    assert make(lambda _: {"done": True}, recorder).execute(context()) == {"done": True}
