"""Two workers at once on one step: the twin that Airflow starts after a heartbeat was lost, under the scheduler that a seed drives.

Both are the product on the same stores, each with a recorder of its own. Who goes on, and how much time passes, is chosen at every call
of a store or of AWS; in a third of the stories one of the two dies somewhere. The end must be that of one undisturbed worker.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import time_machine

from forensics.aws import insistence
from forensics.case import notices, requests, turns
from forensics.case.persons import StepRun
from forensics.case.recorder import CaseRecorder
from forensics.case.requests import MadeBefore
from forensics.case.retention import kept_until, retain
from forensics.errors import ForensicsError
from forensics.memory.capture import MemoryCapture
from forensics.memory.live_response import LiveResponse, Pass
from forensics.memory.probe import send_probe
from forensics.report import writer
from forensics.report.closing import close_case
from forensics.report.handover import export_case
from forensics.report.writer import complete_report, write_report
from forensics.triage.target_description import TargetDescriber
from tests.interleavings.scheduler import EPOCH, Clock, Process, Scheduler, StuckError
from tests.unit.builders import target
from tests.unit.custody.archive import ArchiveInMemory
from tests.unit.dying import Keeping, left
from tests.unit.memory.target import Host, SsmOfTarget, settings
from tests.unit.signing import signing_key
from tests.unit.triage.test_target_description import Ec2, Snapshot, Ssm

RUN = StepRun(run_id="manual__1", dag_id="forensic_case", order="2")
KEY = signing_key()
_CALLS = {
    "store": ("data", "several", "has", "put", "put_once", "swap", "update_case", "end_case", "lease", "release_lease", "remove",
              "clear_failure"),
    "ledger": ("head", "append", "sign_head"),
    "evidence_store": ("put", "put_first", "put_stream", "adopt", "found", "iter_uris"),
    "landing": ("publish", "revoke", "start_upload"),
    "mailbox": ("publish",),
}  # fmt: skip


class SsmThatLists(SsmOfTarget):
    """SSM that lists what was sent."""

    def find_command(self, *, instance_id: str, expected: Any) -> Any:
        """The newest command with this comment."""
        named = [f"command-{n}" for n, sent in enumerate(self.sent, start=1) if sent.comment == expected.comment]
        self.live = named[-1] if named else None
        return super().find_command(instance_id=instance_id, expected=expected)

    def invocation(self, *, command_id: str, instance_id: str) -> Any:
        """A command that was sent is at work."""
        self.answers.pop(command_id, None)
        self.answer(command_id, {}, status="InProgress")
        return self.answers[command_id]


class Ec2ThatMakes:
    """CreateSnapshots: something new each time."""

    def __init__(self) -> None:
        self.made: list[str] = []

    def create(self) -> list[str]:
        """One more."""
        self.made.append(f"snap-{len(self.made) + 1}")
        return [self.made[-1]]

    def listed(self) -> list[str]:
        """What there is."""
        return list(self.made)


@dataclass
class Place:
    """One case's stores, and AWS beside them."""

    host: Host = field(default_factory=lambda: Host(ssm=SsmThatLists()))
    ec2: Ec2ThatMakes = field(default_factory=Ec2ThatMakes)

    def end(self) -> Counter[str]:
        """What is there."""
        made = Counter({"commands": len(self.host.ssm.sent), "snapshots": len(self.ec2.made)})
        opened = len(self.host.recorder.landing.uploads) - len(self.host.recorder.landing.aborted)
        return left(self.host.recorder) + made + Counter({"open uploads": opened})


Work = Callable[[Place, CaseRecorder], object]


def _close(_: Place, recorder: CaseRecorder) -> None:
    close_case(
        recorder,
        remove_forensic_resources=lambda: None,
        end_protection=lambda: None,
        complete_report=lambda: complete_report(recorder, task_states={}),
        keep_evidence=lambda at: retain(recorder, Keeping(), until=kept_until(at, days=30), closed=True, hold=False),
        annotate_findings=lambda _: None,
    )


def _snapshot(place: Place, recorder: CaseRecorder) -> None:
    before = MadeBefore(recorder, "snapshots")
    found = before.find(place.ec2.listed, described=lambda name: [name], name=str, foreign=lambda _name, _at: None)
    if not found:
        before.make(place.ec2.create)


STEPS: Mapping[str, Work] = {
    "describe": lambda _, recorder: TargetDescriber(Ec2(), Ssm(), Snapshot()).describe(recorder),
    "snapshot": _snapshot,
    "probe": lambda place, recorder: send_probe(recorder, place.host.ssm, platform="linux"),
    "first pass": lambda place, recorder: LiveResponse(recorder, place.host.ssm, settings(), Pass.FIRST).begin(
        target()
    ),
    "capture": lambda place, recorder: MemoryCapture(recorder, place.host.gateways, settings()).begin(target()),
    "report": lambda _, recorder: write_report(recorder, task_states={}),
    "export": lambda _, recorder: export_case(recorder, archive=ArchiveInMemory(), requester="expert", largest_mib=5),
    "close": _close,
}


@dataclass
class Twins:
    """How one story ended."""

    seed: int
    step: str
    faults: list[str] = field(default_factory=list)
    trace: list[str] = field(default_factory=list)
    killed: bool = False

    def __str__(self) -> str:
        return "\n".join([f"seed {self.seed}, {self.step}:", *(f"  {fault}" for fault in self.faults), *self.trace])


def play_twins(seed: int) -> Twins:
    """Play the story of a seed; what did not hold is in ``faults``."""
    step = [*STEPS][seed % len(STEPS)]
    story, scheduler, place = Twins(seed, step), Scheduler(seed), Place()
    story.killed = scheduler.rng.random() < 1 / 3
    life = _Life(scheduler, dies_at=scheduler.rng.randint(1, 25) if story.killed else 0)
    with _in(scheduler), life.of(place):
        for name in ("worker", "twin"):
            scheduler.spawn(name, Process(name), lambda name=name: _work(scheduler, place, step, late=name == "twin"))  # type: ignore[misc]
        try:
            scheduler.run()
        except (StuckError, Exception) as error:
            story.faults.append(f"{type(error).__name__}: {error}".splitlines()[0])
    story.trace = scheduler.trace
    if not story.faults:
        story.faults = _differences(place.end(), _alone(step), killed=story.killed, doubt=life.in_doubt)
    return story


def _work(scheduler: Scheduler, place: Place, step: str, *, late: bool) -> None:
    rng = scheduler.rng
    if late:
        scheduler.wait(None, rng.choice((0.0, 0.01, 1.0, 120.0)))
    first = place.host.recorder
    recorder = CaseRecorder(first.case, first.gateways, step=first.step)
    recorder.run = RUN
    for _ in range(3):
        try:
            STEPS[step](place, recorder)
        except ForensicsError as error:
            scheduler.trace.append(f"{scheduler.now:8.2f} {scheduler.current.process.name} is tried again: {error}")
            scheduler.wait(None, 300.0)
        else:
            return


def _alone(step: str) -> Counter[str]:
    """What one undisturbed worker leaves."""
    place = Place()
    place.host.recorder.run = RUN
    place.host.recorder.ledger.key = KEY
    with _rendered():
        STEPS[step](place, place.host.recorder)
    return place.end()


def _differences(found: Counter[str], wanted: Counter[str], *, killed: bool, doubt: bool) -> list[str]:
    """A note and a signature of the ledger's head may be there twice, a message only when its sender died before it could write down that
    it was taken.

    An upload of a dead worker that nobody knows is ended by the bucket's rule (AbortIncompleteMultipartUpload).
    """
    more, less = found - wanted, wanted - found
    if killed:
        del more["open uploads"]
    fine = ("timeline", "signed ", "mail ") if doubt else ("timeline", "signed ")
    faults = [f"too much: {line}" for line in more if not line.startswith(fine)]
    return faults + [f"missing: {line}" for line in less]


class _Life:
    """Every call of a store or of AWS passes here: others may run first, the process may die before or after it."""

    def __init__(self, scheduler: Scheduler, *, dies_at: int) -> None:
        self._scheduler, self._dies_at, self._calls, self._inside = scheduler, dies_at, 0, False
        self._last: dict[str, str] = {}
        self.in_doubt = False

    @contextmanager
    def of(self, place: Place) -> Iterator[None]:
        """While the story is played."""
        recorder = place.host.recorder
        recorder.ledger.key = KEY
        watched = [(getattr(recorder, name), name, methods) for name, methods in _CALLS.items()]
        watched += [
            (place.host.ssm, "ssm", ("send", "find_command", "invocation")),
            (place.ec2, "ec2", ("create", "listed")),
        ]
        for thing, name, methods in watched:
            for method in methods:
                setattr(thing, method, self._watched(getattr(thing, method), f"{name}.{method}"))
        yield
        for thing, _, methods in watched:
            for method in methods:
                delattr(thing, method)

    def _watched(self, call: Callable[..., Any], name: str) -> Callable[..., Any]:
        def passing(*given: Any, **named: Any) -> Any:
            if self._inside:
                return call(*given, **named)
            scheduler, rng = self._scheduler, self._scheduler.rng
            scheduler.wait(None, rng.choice((0.0, 0.001, 0.02, 0.5)), name)
            self._calls += 1
            dies, after = self._calls == self._dies_at, rng.random() < 0.5
            if dies and not after:
                # as if it had died with the answer of the call before
                self.in_doubt = self._last.get(scheduler.current.process.name) == "mailbox.publish"
                self._die(name)
            self._inside = True
            try:
                answer = call(*given, **named)
            finally:
                self._inside = False
            self._last[scheduler.current.process.name] = name
            if dies:
                self.in_doubt = name == "mailbox.publish"
                self._die(name)
            return answer

        return passing

    def _die(self, where: str) -> None:
        process = self._scheduler.current.process
        self._scheduler.trace.append(f"{self._scheduler.now:8.2f} {process.name} dies at {where}")
        # the other one is Airflow's next try: it comes when the heartbeat has been missing for long enough
        process.dead = True
        self._scheduler.wait(None, 0.0)


@contextmanager
def _rendered() -> Iterator[None]:
    """Pages that are small."""
    with patch.object(writer, "render_html", lambda _: "x"), patch.object(writer, "render_json", lambda _: "{}"):
        yield


def _until_found(clock: Clock) -> Callable[..., list[str]]:
    """As :func:`forensics.aws.visibility.until_found`, in virtual time."""

    def look(listed: Callable[[], list[str]], *, seconds: float) -> list[str]:
        end = clock.monotonic() + seconds
        while not (found := listed()) and clock.monotonic() < end:
            clock.sleep(5.0)
        return found

    return look


@contextmanager
def _in(scheduler: Scheduler) -> Iterator[None]:
    clock = Clock(scheduler)
    with ExitStack() as changed:
        wall = changed.enter_context(time_machine.travel(EPOCH, tick=False))
        scheduler.moved = lambda: wall.move_to(clock.time())
        for module in (notices, turns, insistence):
            changed.enter_context(patch.object(module, "time", clock))
        changed.enter_context(_rendered())
        changed.enter_context(patch.object(requests, "until_found", _until_found(clock)))
        yield
