"""Does the pulse stop when the triggerer lives and does nothing, and come back with it?

The triggerer is one process that keeps the heartbeat, and its child that runs the waits: the child is frozen (SIGSTOP), as in
apache/airflow#65945, where the loop hung and the heartbeat went on.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from forensics.intake.pulse_operators import ANSWERED
from lab.progress import wait_until
from lab.scenarios.driver import Lab
from lab.scenarios.kills import api

DAG_ID = "forensic_pulse"


@dataclass
class PulseCheck:
    """What the pulse did: before, while the triggerer was frozen, and after."""

    text: str = ""
    wrong: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, lab: Lab) -> Self:
        """Beat once, freeze, beat, thaw, beat."""
        before = _beat(lab, "before")
        with frozen(lab):
            during = _beat(lab, "frozen")
        after = _beat(lab, "after")
        made = cls(text=f"answered before: {before}, while frozen: {during}, after: {after}")
        if (before, during, after) != (True, False, True):
            made.wrong.append(f"pulse: {made.text}; wanted True, False, True")
        return made


def _beat(lab: Lab, name: str) -> bool:
    """Run the pulse to its end; says whether its line is in a log. What ends without it counts as no answer."""
    run_id = f"pulse-{name}"
    lab.stack.api.post(f"dags/{DAG_ID}/dagRuns", {"dag_run_id": run_id, "logical_date": None})
    state = ""

    def ended() -> bool:
        nonlocal state
        state = str(api(lab, f"dags/{DAG_ID}/dagRuns/{run_id}")["state"])
        return state in ("success", "failed")

    wait_until(
        ended,
        what=f"the pulse {run_id} to end",
        progress=lambda: {"state": state, **lab.progress(run_id, dag_id=DAG_ID)},
        pause=1,
    )
    answered = any(ANSWERED in file.read_text(errors="replace") for file in _logs(lab.stack.state, run_id))
    assert answered == (state == "success"), f"the run ended {state}, its line is {'there' if answered else 'missing'}"
    return answered


def _logs(state: Path, run_id: str) -> list[Path]:
    """The run's task logs, wherever a worker wrote them."""
    return [file for file in state.rglob("*.log") if f"run_id={run_id}" in str(file)]


@contextmanager
def frozen(lab: Lab) -> Iterator[None]:
    """The triggerer's loop stands still; the process that keeps its heartbeat does not."""
    children = lab.stack.children("triggerer")
    assert children, "the triggerer has no child that runs its waits"
    for pid in children:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in children:
            os.kill(pid, signal.SIGCONT)
