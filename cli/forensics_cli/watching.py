"""Waits for a case or a run, and says what has changed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from forensics_cli.api import ENDED, Api, Document
from forensics_cli.faults import CommandError, Exit, Unreachable, WrongUse
from forensics_cli.printing import plain, tell

T = TypeVar("T")
CASE_DAG = "forensic_case"
# How long an Airflow that does not answer is asked again before the command gives up.
PATIENCE_SECONDS = 600.0
ACTIVE = frozenset({"running", "deferred", "awaiting_input", "up_for_retry", "up_for_reschedule", "restarting"})


@dataclass(frozen=True)
class Pace:
    """How often to look, and the clock; tests have their own."""

    every: float = 5.0
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic


class Watch:
    """One wait. Lines go to standard error, each change once."""

    def __init__(self, api: Api, pace: Pace) -> None:
        self._api = api
        self._pace = pace
        self._seen: dict[str, str] = {}

    def run(self, dag_id: str, run_id: str) -> Document:
        """Wait for the end of a run; returns it."""
        while True:
            run = self._patiently(lambda: self._api.run(dag_id, run_id))
            self._say("run", f"run {run_id}: {run['state']}")
            if run["state"] in ENDED:
                return run
            self._steps(dag_id, run_id)
            self._pace.sleep(self._pace.every)

    def opened(self, run_id: str) -> str:
        """Wait until a run has opened its case; returns the case's id. Raises when the run ends without one."""
        while True:
            if case_id := self._patiently(lambda: self._api.case_of_run(run_id)):
                return case_id
            run = self._patiently(lambda: self._api.run(CASE_DAG, run_id))
            if run["state"] in ENDED:
                raise CommandError(
                    f"run {run_id} has ended ({run['state']}) without a case",
                    next_action=f"read the log of open_case: {self._api.run_page(CASE_DAG, run_id)}",
                    status=Exit.BAD,
                )
            self._say("run", f"run {run_id}: {run['state']}, no case yet")
            self._pace.sleep(self._pace.every)

    def case(self, case_id: str) -> Document:
        """Wait until a case has ended; returns its report."""
        while True:
            report = self._patiently(lambda: self._api.case(case_id))
            case, summary = report["view"]["case"], report["summary"]
            self._say("phase", f"phase {case['phase']}, status {case['status']}")
            self._say("contained", str(summary["contained_in_words"]))
            self._say("evidence", str(summary["evidence"]))
            self._say("findings", str(summary["findings"]))
            for step in report["next_steps"]:
                self._say(
                    f"next:{step['do']}", f"to do{' now' if step['urgent'] else ''}: {step['do']} ({step['why']})"
                )
            if case["status"] != "OPEN":
                return report
            if run_id := case.get("run_id"):
                self._steps(CASE_DAG, str(run_id))
            self._pace.sleep(self._pace.every)

    def _steps(self, dag_id: str, run_id: str) -> None:
        """Which steps are at work or wait, when that has changed; a person may see cases and not runs."""
        try:
            tasks = self._api.tasks(dag_id, run_id)
        except CommandError:
            return
        active = sorted(f"{t['task_id']} ({t['state']})" for t in tasks if t.get("state") in ACTIVE)
        if active:
            self._say("steps", f"under way: {', '.join(active)}")

    def _say(self, name: str, text: str) -> None:
        if text and self._seen.get(name) != text:
            self._seen[name] = text
            tell(f"{datetime.now(UTC):%H:%M:%SZ}  {plain(text)}")

    def _patiently(self, ask: Callable[[], T]) -> T:
        """Ask; an Airflow that is restarted, or a network that is gone for some minutes, ends no wait."""
        end = self._pace.clock() + PATIENCE_SECONDS
        while True:
            try:
                return ask()
            except Unreachable as fault:
                if self._pace.clock() >= end:
                    raise
                self._say("reach", f"{fault.what}: asked again")
                self._pace.sleep(self._pace.every)


def checked_pace(every: float) -> Pace:
    """A pace that does not burden Airflow."""
    if not 1 <= every <= 600:
        raise WrongUse(f"--every {every:g} is out of range", next_action="choose 1 to 600 seconds")
    return Pace(every=every)
