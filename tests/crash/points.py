"""One step of the story, killed at every request that it makes, before and after the service has seen it, and tried again.

The state before the step is a process; each point is a fork of it. So each point begins from the same lab, and a failing one is made again
by its name (step, number of the request, before or after).
"""

from __future__ import annotations

import contextlib
import difflib
import os
import pickle
import random
import re
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forensics.aws import polling, reachability
from forensics.aws import session as aws_session
from forensics.settings import get_settings
from lab.emulator import images
from lab.stack.state import free_port
from tests.crash.inside import InsideLab, Killed
from tests.crash.picture import Picture, picture
from tests.iam.steps import Step

NOTICED_AFTER, PACE = 300, 5  # seconds: scheduler.task_instance_heartbeat_timeout; how often hosts look for commands
# What the story itself says when a question was answered in the first life and need not be asked again.
ANSWERED = "did not ask for approval"
_ORPHANS = "mail orphans "


@dataclass(frozen=True)
class Point:
    """Where the process dies: at the ``number``-th request of its first life, before or after AWS has seen it."""

    step: str
    number: int
    after: bool

    def __str__(self) -> str:
        return f"{self.step} / {self.number} / {'after' if self.after else 'before'}"


@dataclass
class Outcome:
    """What one life, or a killed one and its repetition, left."""

    error: str = ""
    calls: list[str] = field(default_factory=list)
    left: Picture = field(default_factory=Picture)
    killed_in: str = ""
    last_done: str = ""  # what the dead one had done last, of which it could not know yet
    trace: str = ""


@dataclass(frozen=True)
class Fault:
    """A point whose end differs from the undisturbed one."""

    point: Point
    killed_in: str
    error: str
    more: tuple[str, ...]
    less: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"FAULT {self.point}: killed in {self.killed_in}"]
        lines += [f"    the repetition failed: {self.error}"] if self.error else []
        left = list(self.less)
        for line in self.more:
            twin = next((other for other in left if _place(other) == _place(line)), None)
            if twin is None:
                lines.append(f"    too much: {line[:400]}")
                continue
            left.remove(twin)
            lines.append(f"    differs:  {_place(line)[:150]}: {_difference(twin, line)[:600]}")
        lines += [f"    missing:  {line[:400]}" for line in left]
        return "\n".join(lines)


def _place(line: str) -> str:
    found = re.match(r"\d+ x (item .*?\"SK\": \{.*?\}|\S+ \S+ \S+)", line)
    return found[1] if found else line


def _difference(was: str, now: str) -> str:
    matcher = difflib.SequenceMatcher(None, was, now, autojunk=False)
    pieces = [
        f"{was[max(0, a - 40) : b]!r} is {now[max(0, c - 40) : d]!r}"
        for tag, a, b, c, d in matcher.get_opcodes()
        if tag != "equal"
    ]
    return "; ".join(pieces)


class Forks:
    """Runs functions in forks of this process, some at a time; each has this process's lab, and what it does there stays there."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._running: dict[int, tuple[int, Callable[[Any], None]]] = {}

    def start(self, work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        """Fork and let ``work`` run there; ``done`` gets its result here, later."""
        while len(self._running) >= self._at_once:
            self._collect()
        reading, writing = os.pipe()
        sys.stdout.flush()
        pid = os.fork()
        if pid:
            os.close(writing)
            self._running[pid] = (reading, done)
            return
        code = 1
        try:
            os.close(reading)
            with os.fdopen(writing, "wb") as out:
                pickle.dump(work(), out)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)

    def finish(self) -> None:
        """Wait for all."""
        while self._running:
            self._collect()

    def _collect(self) -> None:
        pid, (reading, done) = next(iter(self._running.items()))
        with os.fdopen(reading, "rb") as given:
            data = given.read()
        os.waitpid(pid, 0)
        del self._running[pid]
        if not data:
            msg = f"the fork {pid} ended without a result; its trace is above"
            raise RuntimeError(msg)
        done(pickle.loads(data))  # noqa: S301 - written by our own fork


def reborn(lab: InsideLab) -> None:
    """As a new process of Airflow: nothing is remembered of the dead one."""
    # threads do not come along into a fork: a pool that believes in its own would wait for them for ever
    polling._POOL = ThreadPoolExecutor(max_workers=4, thread_name_prefix="forensics-trigger")
    aws_session.forget()
    reachability.forget()
    get_settings.cache_clear()
    os.environ["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{lab.hosts.port}"


def live(lab: InsideLab, step: Step) -> Outcome:
    """The step, undisturbed."""
    own_port(lab)
    lab.wire.begin()
    error, trace = _run(step)
    calls = list(lab.wire.sent)
    return Outcome(error, calls, picture(lab), trace=trace)


def die_and_live(lab: InsideLab, step: Step, point: Point) -> Outcome:
    """The step, killed at a point and tried again as Airflow does."""
    own_port(lab)
    lab.wire.begin(kill_at=point.number, after=point.after)
    # a first life that ends in an error before its point is one that Airflow repeats as well
    with contextlib.suppress(Killed, Exception):
        step.run()
    killed_in, last_done = lab.wire.killed_in, lab.wire.sent[-2] if len(lab.wire.sent) > 1 else ""
    # Airflow sees that the heartbeat is missing; meanwhile the hosts end what they were sent
    for _ in range(NOTICED_AFTER // PACE):
        time.sleep(PACE)
    lab.wire.begin()
    reborn(lab)
    error, trace = _run(step)
    return Outcome(error, list(lab.wire.sent), picture(lab), killed_in, last_done, trace)


def own_port(lab: InsideLab) -> None:
    """In a fork: hosts of its own, and nothing that the parent had remembered."""
    lab.hosts.port = free_port()
    images.go_on_in(Path(tempfile.mkdtemp(prefix="fork-", dir=lab.hosts.state)))
    reborn(lab)
    lab.hosts.listen()


def _run(step: Step) -> tuple[str, str]:
    try:
        step.run()
    except Exception as error:
        return f"{type(error).__name__}: {error}", traceback.format_exc()
    return "", ""


def points(step: str, calls: Sequence[str], *, most: int, rng: random.Random) -> list[Point]:
    """Every point of a step, or a seeded choice of so many."""
    found = [Point(step, number, after) for number in range(1, len(calls) + 1) for after in (False, True)]
    return found if len(found) <= most else sorted(rng.sample(found, most), key=lambda p: (p.number, p.after))


def _may_come_twice(line: str, point: Point, outcome: Outcome) -> bool:
    """A note of the timeline; a message whose sender died before it knew that SNS has it."""
    if " TIMELINE#" in line:
        return True
    # a manifest is withdrawn by whoever looks, and S3 marks each deletion; what was not completed expires by the bucket's rule
    if line.startswith(("delete marker ", "open upload ")):
        return True
    # a person who asks for a link again gets another one, and the ledger says who got links
    if " CUSTODY#" in line and "OBJECT_DOWNLOADED" in line:
        return True
    # each preflight tries the stores with objects of its own, which expire by the buckets' rules
    if line.startswith("object ") and "preflight/<time>" in line:
        return True
    # a person's answer is lost with the try that got it: the question is asked again, and said to be
    if line.startswith("mail ") and "Approval needed" in line:
        return True
    known = outcome.killed_in if point.after else outcome.last_done
    return line.startswith("mail ") and known == "Action=Publish"


def judged(point: Point, undisturbed: Outcome, outcome: Outcome) -> Fault | None:
    """What differs; None when nothing does."""
    error = "" if outcome.error == undisturbed.error or ANSWERED in outcome.error else outcome.error
    more, less = outcome.left - undisturbed.left, undisturbed.left - outcome.left
    for line in [line for line in more if _may_come_twice(line, point, outcome)]:
        del more[line]
    for line in [line for line in less if line.startswith("delete marker ") and outcome.left[line]]:
        del less[line]
    # what a dead reaper has not reported goes with the next message, which says more then
    if any(line.startswith(_ORPHANS) for line in outcome.left - undisturbed.left):
        for counted in (more, less):
            for line in [line for line in counted if line.startswith(_ORPHANS)]:
                del counted[line]
    if not error and not more and not less:
        return None
    return Fault(
        point, outcome.killed_in, error,
        tuple(f"{n} x {line}" for line, n in sorted(more.items())), tuple(f"{n} x {line}" for line, n in sorted(less.items())),
    )  # fmt: skip
