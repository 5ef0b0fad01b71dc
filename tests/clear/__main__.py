"""``make clear-check``: each step of a case fails for good, Airflow's rules decide what follows, and the step is cleared once.

The case must end as the undisturbed one ended: status, gaps, failures, evidence, containment, results, the report in the store and the state of
each task. The undisturbed case is played once; each step is broken in a fork of it.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.accounts import REGION
from lab.evidence.images import Images
from tests.clear.case_run import CaseRun
from tests.clear.ending import Ending, differences, ending, gone
from tests.clear.worker import Worker
from tests.crash.__main__ import story
from tests.crash.inside import InsideLab
from tests.crash.points import Forks, own_port
from tests.integration.conftest import SmallImages

DAGS = Path(__file__).parents[2] / "dags"
RUN_ID = "manual__clear"
# They need the target to be reachable. When one fails for good the target is isolated all the same, and no clear brings back what it had:
# containment does not wait for an acquisition that has failed, and is not undone for one.
GONE = frozenset({"memory.capture_memory", "memory.live_response"})


@dataclass
class Broken:
    """A case whose step was broken, and cleared."""

    failed: Ending = field(default_factory=dict)
    cleared: Ending = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True)
class Break:
    """The step, and whether its work was done before it failed."""

    step: str
    late: bool

    def __str__(self) -> str:
        return f"{self.step} ({'fails when its work is done' if self.late else 'fails before it begins'})"


def dag_of_a_case() -> Any:
    """The DAG forensic_case."""
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(dag_folder=str(DAGS / "forensic_case.py"), load_op_links=False)
    assert not bag.import_errors, bag.import_errors
    return bag.dags["forensic_case"]


def break_and_clear(lab: InsideLab, worker: Worker, what: Break) -> Broken:
    """In a fork, before the step begins: it fails, the run goes on to its end, the step is cleared with what follows it."""
    own_port(lab)
    began = time.perf_counter()
    worker.play(broken=what.step, late=what.late)
    failed = ending(worker.case_id, worker.run.states())
    worker.errors.clear()
    time.sleep(600)  # until a person has read what is wrong
    worker.run.clear(what.step)
    worker.play()
    cleared = ending(worker.case_id, worker.run.states())
    return Broken(failed, cleared, dict(worker.errors), time.perf_counter() - began)


class Check:
    """The proof for the chosen steps."""

    def __init__(self, lab: InsideLab, *, wanted: Callable[[Break], bool], workers: int, small: bool) -> None:
        self._lab, self._wanted, self._small = lab, wanted, small
        self._forks = Forks(workers)
        self.tried, self.faults = 0, 0
        self._done: list[tuple[Break, Broken]] = []
        self._good: Ending = {}

    def _ended(self, what: Break, broken: Broken) -> None:
        """Judged at once when it is known how the undisturbed case ends; until then kept, and said."""
        if self._good:
            self._judge(what, broken)
            return
        self._done.append((what, broken))
        say(f"[{broken.seconds:6.0f} s] played, judged when the undisturbed case has ended: {what}")

    def run(self, worker: Worker) -> None:
        """Play the case, and break its steps on the way."""

        def before(name: str) -> None:
            for late in (False, True):
                what = Break(name, late)
                if self._wanted(what):
                    self._forks.start(
                        lambda w=what: break_and_clear(self._lab, worker, w),
                        lambda b, w=what: self._ended(w, b),
                    )

        self._lab.hosts.listen()
        began = time.perf_counter()
        worker.play(before=before)
        good = self._good = ending(worker.case_id, worker.run.states())
        say(
            f"[{time.perf_counter() - began:6.0f} s] undisturbed: {good.get('page, status')}, gaps: {good.get('page, gap_count')}"
        )
        for what, broken in self._done:
            self._judge(what, broken)
        self._forks.finish()
        if not self._small and (worker.errors or good.get("page, gaps")):
            say(f"FAULT the undisturbed case: {worker.errors or good.get('page, gaps')}")
            self.faults += 1

    def _judge(self, what: Break, broken: Broken) -> None:
        good = self._good
        self.tried += 1
        found = differences(good, broken.cleared)
        if what.step in GONE:
            found = gone(good, broken.cleared)
        if broken.failed.get(f"task {what.step}") != "failed":
            found.append(f"the step did not fail: it is {broken.failed.get(f'task {what.step}')}")
        self.faults += bool(found)
        say(f"[{broken.seconds:6.0f} s] {'FAULT' if found else 'as undisturbed'}  {what}")
        for line in [*found, *(f"{name}: {error}" for name, error in broken.errors.items() if found)]:
            say(f"    {line[:700]}")


def say(text: str) -> None:
    """To the person who waits."""
    print(text, file=sys.stderr, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0 only without a fault."""
    parser = argparse.ArgumentParser(prog="python -m tests.clear", description=__doc__)
    parser.add_argument("--steps", default="", help="only these steps, with commas between them; empty: all")
    parser.add_argument("--early", action="store_true", help="only failures before a step begins")
    parser.add_argument(
        "--small", action="store_true", help="small images with nothing in them: seconds instead of minutes"
    )
    parser.add_argument("--workers", type=int, default=2, help="forks at a time")
    parser.add_argument("--cache", type=Path, default=Path(".lab/cache"), help="where the shipped images are unpacked")
    parser.add_argument("--log", type=Path, default=Path(".lab/clear.log"), help="where the product's own log lines go")
    given = parser.parse_args(arguments)
    given.log.parent.mkdir(parents=True, exist_ok=True)
    # the product logs to standard output, from many forks
    os.dup2(os.open(given.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), 1)
    chosen = [name.strip() for name in given.steps.split(",") if name.strip()]
    dag = dag_of_a_case()
    unknown = set(chosen) - set(dag.task_ids)
    if unknown:
        parser.error(f"no step is called {', '.join(sorted(unknown))}")

    def wanted(what: Break) -> bool:
        return (not chosen or what.step in chosen) and not (given.early and what.late)

    with (
        tempfile.TemporaryDirectory() as folder,
        story(Path(folder), SmallImages(given.cache) if given.small else Images(given.cache), seed=1) as (lab, _),
    ):
        check = Check(lab, wanted=wanted, workers=given.workers, small=given.small)
        web = lab.facts["instances"]["web-server"]
        asked = {
            "account_id": lab.facts["accounts"]["member"], "region": REGION, "instance_id": web["instance_id"],
            "actions": "memory+disk+isolate", "reason": "break and clear", "requester": "alice", "case_id": None,
        }  # fmt: skip
        check.run(Worker(dag, CaseRun(dag, run_id=RUN_ID), given=asked, user="alice"))
    say(f"{check.tried} failures, {check.faults} faults")
    return 1 if check.faults or not (check.tried or given.steps == "none") else 0


if __name__ == "__main__":
    sys.exit(main())
