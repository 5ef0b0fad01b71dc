"""The steps of ``case_push``: which cases, and each of them to every system."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Asset, BaseOperator, Context
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from forensics.aws.push_targets import PushTargets
from forensics.case.parameters import optional_case_id
from forensics.case.recorder import CaseRecorder
from forensics.case.step import ForensicOperator, Json
from forensics.errors import ForensicsError, PushError
from forensics.models.base import CASE_ID_FORM
from forensics.printable import single_line
from forensics.push.pushing import push_case
from forensics.settings import get_settings, pairs
from forensics.task_defaults import pushes_configured
from forensics.timeline.assets import CASE_TIMELINE


def push_schedule() -> list[Asset] | None:
    """What starts the DAG: a timeline that was stored, where cases are pushed anywhere."""
    return [CASE_TIMELINE] if pushes_configured() else None


class ListPushesOperator(BaseOperator):
    """The cases to push: the one that was named, or those whose stored timelines started the run; skipped where nothing is configured.

    :param case_id: one case; empty: those of the events
    """

    template_fields = ("case_id",)

    def __init__(self, *, case_id: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.case_id = case_id

    def execute(self, context: Context) -> list[str]:
        """Return the ids, each once."""
        if not pairs(get_settings().pushes):
            raise AirflowSkipException("forensics.pushes names no system: nothing is pushed (docs/push.md)")
        named = optional_case_id("case_id", self.case_id)
        if named:
            return [named]
        events = [e for found in (context.get("triggering_asset_events") or {}).values() for e in found]
        given = [str((e.extra or {}).get("case_id", "")) for e in events]
        found = list(dict.fromkeys(case_id for case_id in given if CASE_ID_FORM.fullmatch(case_id)))
        if not found:
            raise AirflowSkipException("no case was named")
        return found


class PushCaseOperator(ForensicOperator):
    """Push one case to every system of ``forensics.pushes``. What fails is a note in the case, a message and a red run: never a gap of the case."""

    takes_artifacts = True

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Push; the result has an address for each system."""
        arrived, failed = push_case(recorder, PushTargets.of(self.sessions.own(), self.settings), self.settings)
        if failed:
            lines = "; ".join(f"{name}: {why}" for name, why in failed.items())
            raise PushError(
                lines, next_action="do what is said of each system, then start case_push with the case's id"
            )
        return {made.name: made.where for made in arrived}

    def _failed(self, recorder: CaseRecorder, error: Exception, context: Context) -> None:
        """Whatever failed here, timeouts included, is a note and a message, no failed step of the case: it lacks nothing."""
        ti = context["ti"]
        if not isinstance(error, ForensicsError):
            action = "look at the task's log, then start case_push with the case's id"
            error = PushError(single_line(f"{type(error).__name__}: {error}"), next_action=action)
        if ti.try_number <= ti.max_tries and error.retryable:
            self.log.warning("try %s failed and will be repeated: %s", ti.try_number, error.message)
            return
        recorder.note(f"not pushed. {error.message}"[:900])
        lines = [error.message, f"What to do next: {error.next_action}"]
        recorder.announce("push_failed", "Case not pushed", lines=lines, once=False)
        raise AirflowFailException(f"not pushed. {error.message}") from error
