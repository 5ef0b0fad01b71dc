"""The one shape of every step: bind the case, do one thing, record it, and record honestly when it fails."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from airflow.sdk import BaseOperator, BaseOperatorLink, Context
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
    AirflowTaskTimeout,
    TaskDeferralError,
    TaskDeferralTimeout,
    TaskDeferred,
)

from forensics.aws.hook import CaseSessions, ForensicsHook
from forensics.aws.polling import CRITICAL, ON_THE_WAY_TO_ISOLATION, PollTrigger, Timing
from forensics.case.links import CaseLink
from forensics.case.persons import step_run
from forensics.case.recorder import CaseRecorder, open_recorder
from forensics.correlation import case_context
from forensics.errors import CaseError, ForensicsError
from forensics.models.base import CASE_ID_FORM
from forensics.models.case import StepFailure
from forensics.models.finding import Severity
from forensics.printable import single_line
from forensics.settings import Settings, get_settings

CASE_ID = "{{ ti.xcom_pull(task_ids='open_case') }}"
# What a step returns: small JSON, for XCom.
Json = Mapping[str, object] | Sequence[object] | str | None


class ForensicOperator(BaseOperator):
    """A step of a case.

    Subclasses implement :meth:`act`, and :meth:`resume` when they defer. A final error is recorded in the case and people
    are notified; before that Airflow retries. Whatever a step does can be done again: clearing is safe.

    :param case_id: the case; by default the one that ``open_case`` returned
    """

    # Whether the step works in the case of an artifact. A step that does not say so is about an instance: it ends skipped there.
    takes_artifacts: ClassVar[bool] = False
    # Whether the target's isolation waits for this step: its looks at AWS come before those of other steps.
    before_isolation: ClassVar[bool] = False
    template_fields: tuple[str, ...] = ("case_id",)
    operator_extra_links: Collection[BaseOperatorLink] = (CaseLink(),)

    def __init__(self, *, case_id: str = CASE_ID, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.case_id = case_id
        self._sessions: CaseSessions | None = None
        self._critical = False

    # ------------------------------------------------------------------ for subclasses
    @abstractmethod
    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Do the step's work; the result is the task's XCom."""

    def resume(self, recorder: CaseRecorder, payload: dict[str, object], context: Context) -> Json:
        """Continue after a wait that ended well; by default its payload is the result."""
        return payload

    def on_final_failure(self, recorder: CaseRecorder, cause: str) -> None:
        """Record what the failure means for evidence or containment, and clean up."""

    @property
    def settings(self) -> Settings:
        """The deployment's settings; of a drill's case, once it is bound, those of drills."""
        return self._sessions.settings if self._sessions else get_settings()

    @property
    def sessions(self) -> CaseSessions:
        """The case's sessions in AWS, available while :meth:`act` or :meth:`resume` runs."""
        if self._sessions is None:
            msg = f"{self.task_id} has no case yet"
            raise CaseError(msg, next_action="this is a defect of the step: it used AWS outside of act and resume")
        return self._sessions

    def wait(self, trigger: PollTrigger) -> None:
        """Defer until the trigger fires; :meth:`resume` follows unless the trigger ends the task itself."""
        left = max(60.0, trigger.deadline - datetime.now(UTC).timestamp() + 120)
        self.defer(trigger=trigger, method_name="resume_after_wait", timeout=timedelta(seconds=left))

    def timing(self, seconds: float, *, ends_task: bool = False) -> Timing:
        """Arguments that every trigger takes; the wait may take ``seconds``."""
        settings = self.settings
        return {
            "poll": settings.poll_seconds,
            "deadline": datetime.now(UTC).timestamp() + seconds,
            "ends_task": ends_task,
            "urgency": CRITICAL * self._critical + ON_THE_WAY_TO_ISOLATION * self.before_isolation,
        }

    # ------------------------------------------------------------------ the shape
    def execute(self, context: Context) -> Json:
        """What Airflow calls: :meth:`act`, guarded."""
        return self._guarded(context, lambda recorder: self.act(recorder, context))

    def resume_after_wait(self, context: Context, event: dict[str, object]) -> Json:
        """What Airflow calls after a deferral: :meth:`resume`, guarded."""

        def proceed(recorder: CaseRecorder) -> Json:
            payload = dict(event)
            if not payload.pop("ok", False):
                raise self.wait_failed(
                    str(payload.get("cause", "the wait failed")), str(payload.get("next_action", ""))
                )
            return self.resume(recorder, payload, context)

        return self._guarded(context, proceed)

    def wait_failed(self, cause: str, next_action: str) -> ForensicsError:
        """The error that a failed wait becomes."""
        return ForensicsError(cause, next_action=next_action or None)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, object] | None, context: Context) -> object:
        """What Airflow calls after a deferral; a wait that Airflow itself ended is a failed step like any other."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except (TaskDeferralError, TaskDeferralTimeout) as error:
            cause = f"Airflow ended the wait: {error}"

            def give_up(recorder: CaseRecorder) -> Json:
                raise self.wait_failed(cause, "look at the resource in AWS, then clear the task") from None

            return self._guarded(context, give_up)

    def _guarded(self, context: Context, work: Callable[[CaseRecorder], Json]) -> Json:
        if not CASE_ID_FORM.fullmatch(self.case_id):
            msg = "no case was opened: open_case failed, its log says why"
            raise AirflowFailException(msg)
        with case_context(self.case_id, step=self.task_id):
            recorder = self._bind()
            recorder.run = step_run(context)
            self._critical = recorder.case.severity == Severity.CRITICAL
            try:
                return self._attempt(recorder, work, context)
            finally:
                recorder.keep_line()

    def _attempt(self, recorder: CaseRecorder, work: Callable[[CaseRecorder], Json], context: Context) -> Json:
        try:
            self._check_subject(recorder)
            result = work(recorder)
        except TaskDeferred as deferral:
            if getattr(deferral.trigger, "ends_task", False):
                # The task may end in the triggerer: an earlier failure of it is over now or will be recorded again,
                # and Airflow writes the links of tasks only that end in a worker.
                recorder.clear_failed(self.task_id)
                self._store_links(context)
            raise
        except AirflowSkipException:
            recorder.clear_failed(self.task_id)
            raise
        except AirflowException:
            raise
        except AirflowTaskTimeout:
            # Not an Exception: Airflow raises it wherever the step was when its execution_timeout had passed.
            self._failed(recorder, self._out_of_time(), context)
            raise
        except Exception as error:
            # The operator's edge is one of two places that may catch everything: whatever failed, the case records it.
            self._failed(recorder, error, context)
            raise
        recorder.clear_failed(self.task_id)
        return result

    def _check_subject(self, recorder: CaseRecorder) -> None:
        artifact = recorder.case.artifact
        if artifact is not None and not self.takes_artifacts:
            raise AirflowSkipException(
                f"{self.task_id}: NOT_APPLICABLE, the case is about {artifact.phrase}, which is no machine"
            )

    def _bind(self) -> CaseRecorder:
        hook = ForensicsHook()
        recorder = open_recorder(hook, self.case_id, step=self.task_id)
        self._sessions = hook.for_case(recorder.case)
        return recorder

    def _out_of_time(self) -> ForensicsError:
        return ForensicsError(
            f"{self.task_id} was stopped: it was at work longer than its execution_timeout of {self.execution_timeout}",
            next_action="read the task's log for what it was doing, remove the cause, then clear the task",
        )

    def _store_links(self, context: Context) -> None:
        for link in self.operator_extra_links:
            # As Airflow's own task runner does, with the task instance for its key.
            address = link.get_link(self, ti_key=context["ti"])  # type: ignore[arg-type]
            context["ti"].xcom_push(key=link.xcom_key, value=address)

    def _failed(self, recorder: CaseRecorder, error: Exception, context: Context) -> None:
        ti = context["ti"]
        retryable = error.retryable if isinstance(error, ForensicsError) else True
        next_action = error.next_action if isinstance(error, ForensicsError) else ForensicsError.default_action
        cause = str(error) if isinstance(error, ForensicsError) else single_line(f"{type(error).__name__}: {error}")
        if retryable and ti.try_number <= ti.max_tries:
            self.log.warning("try %s failed and will be repeated: %s", ti.try_number, cause)
            recorder.note(f"try {ti.try_number} of {self.task_id} failed and is repeated: {cause[:400]}")
            return
        try:
            self.on_final_failure(recorder, cause)
        except Exception as second:
            # Recording must not hide the failure itself: both are in the message.
            self.log.exception("recording the failure failed too")
            cause = single_line(f"{cause} (and recording it failed: {second})")
        recorder.fail(
            StepFailure(
                step=self.task_id,
                cause=cause[:2000],
                next_action=next_action,
                at=datetime.now(UTC),
                try_number=ti.try_number,
            )
        )
        raise AirflowFailException(f"{cause}. What to do next: {next_action}") from error
