"""Step that looks at contained targets."""

from __future__ import annotations

import time
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowFailException

from forensics import case_keys
from forensics.aws.case_store import CaseStore
from forensics.aws.hook import ForensicsHook
from forensics.case.audit_record import list_cases
from forensics.case.recorder import CaseRecorder, open_recorder
from forensics.containment.call_runner import ContainmentGateway
from forensics.containment.drift_rules import Drift
from forensics.containment.drift_watch import DriftWatch
from forensics.containment.watch_list import complete_list, watched_cases
from forensics.correlation import case_context
from forensics.errors import ForensicsError
from forensics.models.base import format_utc
from forensics.models.case import StepFailure

# Under this step the watchdog holds the lease of an isolation, and a target that cannot be looked at is a gap of its case.
STEP = "case_watchdog.look_at_contained"
NEXT = "make the account's role forensics-contain usable again, and look at the target yourself until then"


class LookAtContainedOperator(BaseOperator):
    """Look at every contained target: is it still as containment left it? The one looked at longest ago comes first.

    A target that cannot be looked at is announced once and is a gap of its case. The step fails when a case cannot be read,
    or its time is over before it has looked at all; the next run begins with the rest.

    :param budget_seconds: after this no further target is looked at
    """

    def __init__(self, *, budget_seconds: float = 240.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.budget_seconds = budget_seconds

    def execute(self, context: Context) -> dict[str, int]:
        """Return how many targets were as they were, drifted, left alone, unseen."""
        hook = ForensicsHook()
        store = CaseStore.of(hook.own(), hook.settings)
        complete_list(store, lambda: list_cases(store))
        end = time.monotonic() + self.budget_seconds
        waiting = sorted(watched_cases(store), key=lambda case_id: _looked_at(store, case_id))
        answers: Counter[str] = Counter()
        failed: list[str] = []
        for number, case_id in enumerate(waiting):
            if time.monotonic() > end:
                msg = f"{len(waiting) - number} of {len(waiting)} contained targets were not looked at in {self.budget_seconds:.0f} s"
                raise AirflowFailException(f"{msg}. What to do next: release those whose case is over")
            try:
                with case_context(case_id, step=STEP):
                    answers[self._look(hook, case_id)] += 1
            except ForensicsError as error:
                failed.append(f"{case_id}: {error}")
        if failed:
            msg = f"{len(failed)} contained targets could not be looked at: {'; '.join(failed)[:2000]}"
            raise AirflowFailException(f"{msg}. What to do next: remove the cause; the next run looks again")
        return dict(answers)

    def _look(self, hook: ForensicsHook, case_id: str) -> str:
        recorder = open_recorder(hook, case_id, step=STEP)
        response = recorder.plan()
        if response is None:
            return "left alone"
        try:
            gateway = ContainmentGateway.of(hook.for_case(recorder.case).target("contain"))
            answer = DriftWatch(recorder, gateway, hook.settings, response=response).look(datetime.now(UTC))
        except ForensicsError as error:
            self._unseen(recorder, error)
            return "unseen"
        if answer != "left alone":
            recorder.clear_failed(STEP)
        return answer

    def _unseen(self, recorder: CaseRecorder, error: ForensicsError) -> None:
        """Say once that the target cannot be looked at: nobody knows whether it is still contained."""
        self.log.error("case %s: %s", recorder.case_id, error)
        if recorder.get(f"{case_keys.FAILURE}{STEP}", StepFailure) is None:
            cause = f"the contained target cannot be looked at: {error}"
            recorder.fail(StepFailure(step=STEP, cause=cause[:2000], next_action=NEXT, at=datetime.now(UTC)))


def _looked_at(store: CaseStore, case_id: str) -> str:
    drift = store.get(case_id, case_keys.DRIFT, Drift)
    return format_utc(drift.looked_at) if drift else ""
