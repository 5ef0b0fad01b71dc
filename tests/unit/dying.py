"""Kills a step at each of its writes, before and after, tries it again, and compares what is left with an undisturbed run.

The small sister of ``tests/crash``: one step on the stores of this process, in milliseconds, for each fault that was found there.
"""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from forensics.custody.holding import Kept
from forensics.models.disk import SnapshotLock
from forensics.models.evidence import DiskEvidence
from tests.unit.recorders import FakeRecorder

_TIME = re.compile(r"\d{8}T\d{6}(\.?\d+)?Z|\d{4}-\d\d-\d\d[T ][\d:.]+(Z|\+00:00)?")
_HEX = re.compile(r"\b[0-9a-f]{12,}\b")
_SAID = ("outcome", "status", "phase", "basis", "until")
_WRITES = {
    "store": (
        "put",
        "put_once",
        "swap",
        "update_case",
        "end_case",
        "lease",
        "release_lease",
        "remove",
        "clear_failure",
    ),
    "ledger": ("append", "sign_head"),
    "evidence_store": ("put", "put_first", "put_stream"),
    "landing": ("publish", "revoke"),
    "mailbox": ("publish",),
}


class Keeping:
    """Keeps everything at once."""

    def keep(self, disks: list[DiskEvidence], *, until: datetime, hold: bool) -> Kept:
        """One lock for each disk."""
        lock = SnapshotLock(state="governance", until=until.isoformat())
        return Kept(objects=3, locks={disk.evidence_id: {"copy": lock} for disk in disks})


class Killed(BaseException):
    """The worker died. No handler of the product sees it."""


class Life:
    """One life of a worker: its writes by name, and the one at which it dies."""

    def __init__(self, *, dies_at: int = 0, after: bool = False) -> None:
        self.writes: list[str] = []
        self._dies_at, self._after, self._inside, self.dead = dies_at, after, False, False

    @contextlib.contextmanager
    def of(self, recorder: FakeRecorder) -> Iterator[None]:
        """Every write to the recorder's stores passes here."""
        places = [(name, getattr(recorder, name), methods) for name, methods in _WRITES.items()]
        watched = [(thing, f"{name}.{method}", method) for name, thing, methods in places for method in methods]
        for thing, name, method in watched:
            setattr(thing, method, self._watched(getattr(thing, method), name))
        try:
            yield
        finally:
            for thing, _, method in watched:
                delattr(thing, method)

    def _watched(self, write: Callable[..., Any], name: str) -> Callable[..., Any]:
        def passing(*given: Any, **named: Any) -> Any:
            if self._inside:
                return write(*given, **named)
            if self.dead:
                raise Killed
            self.writes.append(name)
            dies = len(self.writes) == self._dies_at
            if dies and not self._after:
                self.dead = True
                raise Killed
            self._inside = True
            try:
                answer = write(*given, **named)
            finally:
                self._inside = False
            if dies:
                self.dead = True
                raise Killed
            return answer

        return passing


def left(recorder: FakeRecorder) -> Counter[str]:
    """Items, objects, ledger and mail, without what differs from run to run."""
    lines = []
    for (_, sk), data in recorder.store.held.items():
        said = {k: v for k, v in data.items() if k in _SAID} if isinstance(data, dict) else {}
        lines.append("timeline" if sk.startswith("TIMELINE#") else f"item {sk} {said}")
    lines += [f"object {key}" for key in recorder.evidence_store.objects]
    lines += [f"event {e.action} {e.evidence_id} {sorted(e.detail)}" for e in recorder.ledger.events(recorder.case_id)]
    lines += [f"signed {phase}" for phase in recorder.ledger.signed]
    lines += [f"mail {mail.event} {mail.subject}" for mail in recorder.mailbox.mail]
    return Counter(_HEX.sub("<hex>", _TIME.sub("<time>", line)) for line in lines)


def faults(make: Callable[[], FakeRecorder], act: Callable[[FakeRecorder], object]) -> list[str]:
    """What a worker that dies leaves behind, by the write at which it died; empty when every end is the undisturbed one.

    A note may be there twice, and a message whose sender died before it could know that it was taken.
    """
    whole, undisturbed = Life(), make()
    with whole.of(undisturbed):
        act(undisturbed)
    wanted, found = left(undisturbed), []
    assert len(whole.writes) > 2, "the step writes nothing that could be lost"
    for number, name in enumerate(whole.writes, start=1):
        for after in (False, True):
            recorder, life = make(), Life(dies_at=number, after=after)
            with life.of(recorder), contextlib.suppress(Killed):
                act(recorder)
            recorder.store.leases.clear()  # minutes have passed
            act(recorder)
            more, less = left(recorder) - wanted, wanted - left(recorder)
            del more["timeline"]
            unknown = name if after else "".join(whole.writes[number - 2 : number - 1])
            if unknown == "mailbox.publish":
                more = Counter({line: n for line, n in more.items() if not line.startswith("mail ")})
            where = f"{'after' if after else 'before'} {name} ({number})"
            found += [f"{where}: too much: {line}" for line in more] + [f"{where}: missing: {line}" for line in less]
    return found
