"""One story: findings, two intakes that do not know of each other, runs, a watchdog, faults; then what must hold."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from unittest.mock import patch

import time_machine

from forensics import case_keys
from forensics.aws import case_store, insistence
from forensics.aws.attributes import from_item
from forensics.case import notices
from forensics.custody import ledger
from forensics.custody.chain import verify_chain
from forensics.errors import CustodyChainError, ForensicsError
from forensics.intake import engine, messages, priority_queue
from forensics.intake.dag_run import RunState
from forensics.intake.engine import IntakeEngine
from forensics.intake.lost_runs import CaseRuns, LostRuns
from forensics.models.case import Case, CaseStatus
from forensics.models.custody import CustodyEvent
from forensics.models.finding import Finding, FindingSource, Severity
from tests.interleavings.scheduler import EPOCH, Process, Scheduler, StuckError, Threading
from tests.interleavings.world import DAGS, Handler, Run, Topic, World, begin, close, decide
from tests.unit.builders import finding

URGENT = Severity.HIGH.rank
# Long enough for a message to come back after every kill; a story's end is when nothing is left to do.
LONGEST = 6 * 3600.0
_WATCH_EVERY = 300.0


@dataclass
class Story:
    """How one ended."""

    seed: int
    faults: list[str] = field(default_factory=list)
    trace: list[str] = field(default_factory=list)
    requests: int = 0
    kills: int = 0

    def __str__(self) -> str:
        return "\n".join([f"seed {self.seed}:", *(f"  {fault}" for fault in self.faults), *self.trace[-120:]])


def play(seed: int) -> Story:
    """Play the story of a seed; what did not hold is in ``faults``."""
    story = Story(seed)
    scheduler = Scheduler(seed)
    rng = scheduler.rng
    world = World(scheduler, throttle=rng.choice((0.0, 0.0, 0.01, 0.05)), kills=rng.choice((0, 1, 1, 2, 3)))
    kills = world.kills_left
    with _in(world):
        _begin(world, rng)
        try:
            scheduler.run()
        except StuckError as stuck:
            story.faults.append(str(stuck).splitlines()[0])
        story.faults += _broken(world)
    story.trace, story.requests, story.kills = scheduler.trace, len(scheduler.trace), kills - world.kills_left
    return story


@contextmanager
def _in(world: World) -> Iterator[None]:
    """The product's modules see the scheduler's threads and clock."""
    threads = Threading(world.scheduler)
    with ExitStack() as changed:
        wall = changed.enter_context(time_machine.travel(EPOCH, tick=False))
        world.scheduler.moved = lambda: wall.move_to(world.clock.time())
        changed.enter_context(patch.object(engine, "ADMISSION_THREADS", 2))
        for module in (engine, messages, priority_queue):
            changed.enter_context(patch.object(module, "threading", threads))
        for module in (engine, priority_queue, case_store, ledger, notices, insistence):
            changed.enter_context(patch.object(module, "time", world.clock))
        for module in (case_store, ledger):
            changed.enter_context(patch.object(module, "random", world.scheduler.rng))
        changed.enter_context(
            patch.object(messages.InFlightMessage.__dataclass_fields__["lock"], "default_factory", threads.Lock)
        )
        yield


# ---------------------------------------------------------------------- who acts
def _begin(world: World, rng: random.Random) -> None:
    findings = _findings(rng)
    producer = Process("producer")
    world.killable = {"intake-1", "intake-2", "watchdog-1"}

    def produce() -> None:
        for item in findings:
            world.scheduler.wait(None, rng.choice((0.0, 0.0, 0.1, 5.0, 40.0)))
            world.queue.send(item)
            if rng.random() < 0.3:
                world.queue.send(item)  # EventBridge delivers at least once
        world.produced = True

    world.scheduler.spawn("produce", producer, produce)
    for name in ("intake-1", "intake-2"):
        _spawn_intake(world, name, rng)
    world.scheduler.spawn("scheduler", Process("airflow"), lambda: _airflow(world))
    _spawn_watchdog(world, "watchdog-1", rng)
    world.scheduler.spawn("calm", Process("calm"), lambda: _calm(world))


def _findings(rng: random.Random) -> list[Finding]:
    made = []
    instances = [f"i-{n:017x}" for n in range(rng.randint(1, 3))]
    for number in range(rng.randint(1, 4)):
        severity = rng.choice((Severity.LOW, Severity.MEDIUM, Severity.HIGH, Severity.CRITICAL))
        one = finding(
            key=f"{number:016x}", finding_id=f"finding-{number}", title=f"finding {number}", severity=severity,
            instance_id=rng.choice(instances), source=FindingSource.GUARDDUTY,
            created_at=datetime.fromtimestamp(EPOCH, UTC), updated_at=datetime.fromtimestamp(EPOCH, UTC),
        )  # fmt: skip
        made.append(one)
        if rng.random() < 0.4:  # the same in another format
            made.append(one.model_copy(update={"source": FindingSource.SECURITY_HUB}))
        if rng.random() < 0.3 and severity.rank < Severity.CRITICAL.rank:
            made.append(one.model_copy(update={"severity": Severity.CRITICAL}))
    rng.shuffle(made)
    return made


def _spawn_intake(world: World, name: str, rng: random.Random) -> None:
    """An intake that Airflow starts again when it has ended or died."""

    def supervise() -> None:
        while not _finished(world):
            # the sensor starts it when there is something to take
            world.scheduler.wait(lambda: bool(world.queue.messages), 600.0)
            process = Process(name)
            ended: list[bool] = []

            def work(ended: list[bool] = ended) -> None:
                intake = IntakeEngine(
                    world.queue, Handler(world), urgent_rank=URGENT, visibility=60, window=rng.choice((3, 50))
                )
                with suppress(ForensicsError):  # the task fails and is tried again
                    intake.run(seconds=rng.choice((5.0, 30.0)))
                ended.append(True)

            world.scheduler.spawn("main", process, work)
            world.scheduler.wait(lambda process=process, ended=ended: process.dead or bool(ended), None)  # type: ignore[misc]
            world.scheduler.wait(None, rng.choice((1.0, 15.0, 90.0)))

    world.scheduler.spawn(f"supervisor of {name}", Process("scheduler"), supervise)


def _spawn_watchdog(world: World, name: str, rng: random.Random) -> None:
    def supervise() -> None:
        while not _finished(world):
            world.scheduler.wait(None, _WATCH_EVERY)
            process, ended = Process(name), list[bool]()

            def look(ended: list[bool] = ended) -> None:
                runs = CaseRuns(DAGS.case, state=world.airflow.state, start=world.airflow.trigger, tasks=lambda _: {})
                watchdog = LostRuns(
                    world.store, runs, recorder=world.recorder, write_back=_nobody, settings=world.settings
                )
                with suppress(ForensicsError):  # its task fails; the next look is in five minutes
                    watchdog.look(world.now())
                ended.append(True)

            world.scheduler.spawn("look", process, look)
            world.scheduler.wait(lambda process=process, ended=ended: process.dead or bool(ended), None)  # type: ignore[misc]

    world.scheduler.spawn(f"supervisor of {name}", Process("scheduler"), supervise)


def _nobody(_: Case) -> object:
    raise AssertionError("no case of a story is given up")


def _airflow(world: World) -> None:
    """Runs begin, decide, and end; some are lost on their way: deleted, or ended without having closed their case."""
    rng, lost = world.scheduler.rng, Counter[str]()
    while not _finished(world):
        world.scheduler.wait(None, rng.choice((0.5, 10.0, 60.0)))
        for run in [r for r in world.airflow.runs.values() if r.dag_id == DAGS.case and r.state is RunState.QUEUED]:
            run.state = RunState.LIVE
            world.scheduler.spawn(f"run {run.run_id}", Process("worker"), lambda run=run: _run(world, run, lost))  # type: ignore[misc]


def _run(world: World, run: Run, lost: Counter[str]) -> None:
    rng, case_id = world.scheduler.rng, run.conf["case_id"]
    for step in (begin, decide, close):
        world.scheduler.wait(None, rng.choice((0.2, 20.0, 200.0)))
        if lost[case_id] < 2 and rng.random() < 0.08:
            lost[case_id] += 1
            if rng.random() < 0.5:
                world.airflow.deleted[run.dag_id, run.run_id] += 1  # by a person
                world.airflow.runs.pop((run.dag_id, run.run_id), None)
            else:
                run.state = RunState.ENDED
            return
        _tried(world, step, run)
    run.state = RunState.ENDED


def _tried(world: World, step: object, run: Run) -> None:
    """A step with Airflow's tries."""
    for _ in range(50):
        try:
            step(world, run)  # type: ignore[operator]
        except ForensicsError:
            world.scheduler.wait(None, 10.0)
        else:
            return


def _calm(world: World) -> None:
    """Trouble ends, as every outage does; what it left must then come to its end."""
    world.scheduler.wait(None, world.scheduler.rng.choice((30.0, 120.0, 900.0)))
    if world.scheduler.rng.random() < 0.3:
        world.clock.jump = world.scheduler.rng.choice((-120.0, 3600.0))
    world.trouble = False


def _finished(world: World) -> bool:
    if world.scheduler.now > LONGEST:
        return True
    if (
        world.trouble
        or not world.produced
        or world.queue.messages
        or any(r.state is not RunState.ENDED for r in world.airflow.runs.values() if r.dag_id == DAGS.case)
    ):
        return False
    return not [c for c in world.cases() if not c.ended]


# ---------------------------------------------------------------------- what must hold
def _broken(world: World) -> list[str]:
    world.trouble = False
    faults = list(_lost(world))
    faults += _doubled(world)
    return faults


def _lost(world: World) -> Iterator[str]:
    if world.queue.messages:
        yield f"messages are left in the queue: {sorted(world.queue.messages)}"
    for sent in world.sent:
        # the same finding in another format is the same finding: one that comes after the case has closed adds nothing
        mark = f"FINDING#{sent.key}#"
        held = [int(i["severity_rank"]["N"]) for i in world.table.items() if i["SK"]["S"].startswith(mark)]
        if not held:
            yield f"finding {sent.key} is in no case"
        elif max(held) < sent.severity.rank:
            yield f"finding {sent.key} is in its case and less severe than it was sent"
    if world.queue.dead:
        yield f"messages went to the dead-letter queue: {world.queue.dead}"
    for case in world.cases():
        if not case.ended:
            yield f"case {case.case_id} never came to its end ({case.status.value}, run {case.run_id})"
        elif case.status is not CaseStatus.CLOSED:
            yield f"case {case.case_id} ended as {case.status.value}"
        if not [key for key in world.airflow.created if key[1].startswith(case.case_id)]:
            yield f"case {case.case_id} never had a run"


def _doubled(world: World) -> Iterator[str]:
    yield from (f"two open cases at once: {place}" for place in sorted(world.open_twice))
    for key, count in world.airflow.created.items():
        if count > 1 + world.airflow.deleted[key]:
            yield f"run {key} was created {count} times"
    for item in world.table.items():
        if item["SK"]["S"] == "LOCK":
            yield f"a lock is left: {item['PK']['S']} of {item['case_id']['S']}"
    yield from _doubled_messages(world.topic)
    for case in world.cases():
        events = list(_events(world, case.case_id))
        try:
            verify_chain(events)
        except CustodyChainError as error:
            yield f"ledger of {case.case_id}: {error}"
        said = Counter(
            (
                e.action.value,
                str(e.detail.get("finding")),
                str(e.detail.get("source")),
                str(e.detail.get("severity")),
                str(e.detail.get("new_run")),
            )
            for e in events
        )
        yield from (f"ledger of {case.case_id} has {what} {count} times" for what, count in said.items() if count > 1)


def _events(world: World, case_id: str) -> list[CustodyEvent]:
    return [
        CustodyEvent.model_validate(from_item(item["data"]))
        for item in world.table.items()
        if item["PK"]["S"] == f"CASE#{case_id}" and item["SK"]["S"].startswith(case_keys.CUSTODY_EVENT)
    ]


def _doubled_messages(topic: Topic) -> Iterator[str]:
    """A message comes twice only when its sender died before it could know that SNS had taken it."""
    for (case_id, event), count in topic.sent.items():
        if count > 1 and (case_id, event) not in topic.in_doubt:
            yield f"people got {event} of {case_id} {count} times"
