"""Plays a run to its end: Airflow's rules choose the tasks, the product's operators work in the lab of this process."""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException, TaskDeferred
from airflow.sdk.execution_time.context import OutletEventAccessors
from airflow.triggers.base import TaskSuccessEvent

from forensics.errors import ForensicsError
from tests.clear.case_run import CaseRun
from tests.integration import steps
from tests.integration.steps import DagRun, fire

BROKEN = "broken on purpose"
# This step watches others: it goes on when nothing else does.
WATCHES = "containment.plan_containment"
OPENS = "open_case"


class TaskInstance(steps.TaskInstance):
    """What operators read of their task instance; the states of the run are those of the run."""

    states: dict[str, str] = {}

    def get_task_states(
        self, *, dag_id: str, run_ids: list[str], task_ids: list[str] | None = None
    ) -> dict[str, dict[str, str]]:
        """As Airflow answers: the tasks that have a state."""
        return dict.fromkeys(run_ids, self.states)


@dataclass
class Deferred:
    """A task that waits in the triggerer."""

    operator: BaseOperator
    context: dict[str, Any]
    deferral: TaskDeferred


class Worker:
    """Runs tasks in their last try.

    :param given: the parameters of the run, which open_case reads
    """

    def __init__(self, dag: Any, run: CaseRun, *, given: dict[str, Any], user: str) -> None:
        self._dag, self.run, self._given, self._user = dag, run, given, user
        self.case_id = ""
        self._waiting: dict[str, Deferred] = {}
        self.errors: dict[str, str] = {}

    def play(self, *, broken: str = "", late: bool = False, before: Callable[[str], None] = lambda _: None) -> None:
        """Run until nothing is left to do. ``broken`` fails for good: before it does anything, or (``late``) when it has done it.

        ``before`` is called with the name of each task that is about to begin.
        """
        while True:
            names = [name for name in self.run.ready() if name not in self._waiting]
            if names:
                name = names[0]
                before(name)
                self._begin(name, breaks=name == broken, late=late)
            elif self._waiting:
                name = next(iter(self._waiting))
                self._follow(name, self._waiting.pop(name), breaks=name == broken and late)
            else:
                return

    def _begin(self, name: str, *, breaks: bool, late: bool) -> None:
        time.sleep(1)  # a worker takes its time to start
        task = self._dag.get_task(name)
        if isinstance(task, EmptyOperator):  # the scheduler ends it by itself
            self.run.ended(name, "success")
            return
        operator = copy.copy(task)
        if hasattr(operator, "case_id") and name != OPENS:
            operator.case_id = self.case_id or "None"
        if breaks:
            _break(operator, late=late)
        tries = self.run.max_tries(name)
        instance = TaskInstance(name, try_number=tries + 1, max_tries=tries)
        instance.states = {task_id: state for task_id, state in self.run.states().items() if state}
        context = {
            "ti": instance,
            "params": self._given,
            "dag_run": DagRun(self.run.run_id, triggering_user_name=self._user),
            "outlet_events": OutletEventAccessors(),
        }
        operator.render_template_fields(context)
        self._end(name, lambda: operator.execute(context), Deferred(operator, context, TaskDeferred(trigger=None, method_name="")), late=breaks and late)  # type: ignore[arg-type]  # fmt: skip

    def _follow(self, name: str, waiting: Deferred, *, breaks: bool) -> None:
        """The wait ends, and the task goes on."""
        deferral = waiting.deferral
        path, arguments = deferral.trigger.serialize()
        module, kind = path.rsplit(".", 1)
        event = asyncio.run(fire(getattr(__import__(module, fromlist=[kind]), kind)(**arguments)))
        method = getattr(waiting.operator, deferral.method_name)
        payload = event.payload
        if isinstance(event, TaskSuccessEvent):
            if not breaks:
                self.run.ended(name, "success")
                return
            method = waiting.operator.resume_after_wait  # type: ignore[attr-defined]
            payload = {"ok": False, "cause": BROKEN, "next_action": "clear it"}
        kwargs = {**(deferral.kwargs or {}), "event": payload}
        self._end(name, lambda: method(waiting.context, **kwargs), waiting, late=breaks)

    def _end(self, name: str, work: Callable[[], Any], waiting: Deferred, *, late: bool) -> None:
        try:
            result = work()
        except TaskDeferred as deferral:
            held = Deferred(waiting.operator, waiting.context, deferral)
            if name == WATCHES:
                self._waiting[name] = held
                return
            self._follow(name, held, breaks=late)
            return
        except AirflowSkipException:
            self.run.ended(name, "skipped")
            return
        except Exception as error:
            # as Airflow's task runner: whatever a task raises is its end
            self.errors[name] = f"{type(error).__name__}: {error}"
            self.run.ended(name, "failed")
            return
        if name == OPENS:
            self.case_id = str(result)
        self.run.ended(name, "success")


def _break(operator: BaseOperator, *, late: bool) -> None:
    """The operator fails in this try; nothing that it did is taken back."""

    def after(work: Callable[..., Any]) -> Callable[..., Any]:
        def broken(*args: Any, **kwargs: Any) -> Any:
            if late:
                work(*args, **kwargs)
            raise ForensicsError(BROKEN, next_action="clear it")

        return broken

    for name in ("_open",) if operator.task_id == OPENS else ("act", "resume"):
        setattr(operator, name, after(getattr(operator, name)))
