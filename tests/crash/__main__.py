"""``make crash-check``: every step of the story is killed at its requests and tried again; the end must be that of an undisturbed run."""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from unittest.mock import create_autospec, patch

from airflow.providers.standard.operators import hitl
from airflow.sdk.execution_time import task_runner

from lab.accounts import MEMBER_ACCOUNT, ROOT_SECRET, root_access_key
from lab.evidence.images import Images
from tests.containment.world import World
from tests.crash.inside import InsideLab, inside_lab
from tests.crash.points import Fault, Forks, Outcome, Point, die_and_live, judged, live, points
from tests.iam.steps import Step
from tests.iam.story import PIPELINE, Story

SETTINGS = {
    "IMAGE_PIPELINE_ARN": PIPELINE, "ARCHIVE_GUARDDUTY": "true", "ISOLATION_CAP_ALL": "1000", "ISOLATION_CAP_ACCOUNT": "1000",
    "ISOLATION_CAP_GROUP": "1000",
}  # fmt: skip
LATENCIES = {"instance_seconds": 1.0, "terminate_seconds": 1.0, "snapshot_seconds": 2.0, "copy_seconds": 2.0}


@contextmanager
def story(folder: Path, images: Images, *, seed: int) -> Iterator[tuple[InsideLab, Story]]:
    """The story on a fresh lab of this process."""
    with ExitStack() as opened:
        # a running API server is needed to ask a person, and a supervisor to write a task's links
        opened.enter_context(patch.object(hitl, "upsert_hitl_detail", create_autospec(hitl.upsert_hitl_detail)))
        opened.enter_context(patch.object(task_runner, "SUPERVISOR_COMMS", None, create=True))
        named = {f"AIRFLOW__FORENSICS__{name}": value for name, value in SETTINGS.items()}
        lab = opened.enter_context(inside_lab(folder, images=images, **named))
        lab.control("config", {**LATENCIES, "hidden_seed": seed})
        world = World(lab.endpoint, access_key=root_access_key(MEMBER_ACCOUNT), secret_key=ROOT_SECRET)
        runs = folder / "runs"
        runs.mkdir()
        yield lab, Story(lab, world, runs)


class Check:
    """The proof: counts, faults, what it says while it runs."""

    def __init__(self, *, seed: int, most: int, workers: int, only: str, at: str) -> None:
        self._rng, self._most, self._workers = random.Random(seed), most, workers
        self._only, self._at = only, at
        self.tried, self.faults = 0, list[Fault]()
        self.problems: list[str] = []
        self._began = time.perf_counter()

    def step(self, lab: InsideLab, step: Step) -> None:
        """All points of one step."""
        forks, undisturbed = Forks(self._workers), list[Outcome]()
        forks.start(lambda: live(lab, step), undisturbed.append)
        forks.finish()
        (good,) = undisturbed
        if good.error:
            self.problems.append(f"{step.name}, undisturbed: {good.error}")
        faults: list[Fault] = []
        chosen = points(step.name, good.calls, most=self._most, rng=self._rng)
        if self._at:
            chosen = [p for p in chosen if str(p).endswith(self._at)] or [_point(step.name, self._at)]
        for point in chosen:
            forks.start(lambda p=point: die_and_live(lab, step, p), lambda o, p=point: self._judge(p, good, o, faults))
        forks.finish()
        self.tried += len(chosen)
        self.faults += faults
        passed = time.perf_counter() - self._began
        self._say(
            f"[{passed:6.0f} s] {len(chosen):4d} points of {len(good.calls):4d} requests, {len(faults):3d} faults  {step.name}"
        )
        for fault in faults:
            self._say(str(fault))

    def _judge(self, point: Point, good: Outcome, outcome: Outcome, faults: list[Fault]) -> None:
        found = judged(point, good, outcome)
        if found:
            faults.append(found)

    def wants(self, name: str) -> bool:
        """Whether the points of a step are tried; one sends another finding each time that it is tried."""
        return self._only in name and name != "finding_intake.joins_a_case"

    @staticmethod
    def _say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)


def _drained(step: Step) -> Step:
    """What works on a queue for a while is done when it has looked twice: how much it sees in one look depends on the machine."""
    if not step.name.startswith("finding_intake.") or any(word in step.name for word in ("waits", "answers")):
        return step

    def run() -> None:
        step.run()
        step.run()

    return replace(step, run=run)


def _point(step: str, at: str) -> Point:
    number, _, when = at.partition("/")
    return Point(step, int(number), when.strip() == "after")


def main(arguments: list[str] | None = None) -> int:
    """Play the story; exit status 0 only without a fault."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument(
        "--seed", type=int, default=1, help="chooses the points where there are more than --most, and what AWS hides"
    )
    parser.add_argument("--most", type=int, default=60, help="points of one step at most (default 60; 0: all)")
    parser.add_argument("--workers", type=int, default=2, help="forks at a time")
    parser.add_argument("--step", default="", help="only steps with this in their name")
    parser.add_argument("--from", dest="first", default="", help="no points of the steps before the step of this name")
    parser.add_argument("--until", default="", help="stop behind the step of this name")
    parser.add_argument("--at", default="", help='only this point, as a fault names it: "12 / after"')
    parser.add_argument("--cache", type=Path, default=Path(".lab/cache"), help="where the shipped images are unpacked")
    parser.add_argument("--log", type=Path, default=Path(".lab/crash.log"), help="where the product's own log lines go")
    given = parser.parse_args(arguments)
    given.log.parent.mkdir(parents=True, exist_ok=True)
    # the product logs to standard output, from many forks
    os.dup2(os.open(given.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), 1)
    check = Check(
        seed=given.seed,
        most=given.most or sys.maxsize,
        workers=given.workers,
        only=given.step,
        at=given.at.replace(" ", ""),
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        story(Path(folder), Images(given.cache), seed=given.seed) as (lab, told),
    ):
        begun = not given.first
        for step in told.steps():
            begun = begun or step.name == given.first
            step = _drained(step)  # what one leaves in the queue, the next one would find
            step.prepare()
            step.renew()
            if begun and check.wants(step.name):
                check.step(lab, step)
            lab.wire.begin()
            lab.hosts.listen()
            try:
                step.run()
            except Exception as error:
                check.problems.append(f"{step.name}: {type(error).__name__}: {error}")
            if step.name == given.until:
                break
    for problem in dict.fromkeys(check.problems):
        print(f"PROBLEM: {problem[:500]}", file=sys.stderr)
    print(
        f"{check.tried} points, {len(check.faults)} faults, {len(check.problems)} problems; seed {given.seed}",
        file=sys.stderr,
    )
    return 1 if check.faults or check.problems or not check.tried else 0


if __name__ == "__main__":
    sys.exit(main())
