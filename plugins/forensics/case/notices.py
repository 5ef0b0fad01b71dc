"""Messages about cases: at once, or in the case's next digest; each once, whatever is tried again.

What people have to act on is told at once. Findings that join and steps that end well are lines of a digest, sent when the first of
them has waited for ``digest_minutes``, or with the message of the case's end. That an event was told is an item of the case, written when SNS has
taken the message: only a worker that dies between the two, or cannot write it for all its tries, leaves a message that is sent twice;
none is ever lost.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from uuid import uuid4

from forensics import case_keys
from forensics.aws.case_store import CaseStore
from forensics.aws.insistence import insist
from forensics.aws.sns import Notifier
from forensics.case.messages import message
from forensics.models.base import format_utc
from forensics.models.case import Case
from forensics.models.notices import CaseLabel, DigestDue, HeldLine, Notified
from forensics.models.target import Target
from forensics.naming import NOTICES

DIGEST_EVENT = "digest"
# A digest is read, not searched: the timeline has every line.
SHOWN_LINES = 100
TELLING_SECONDS = 20  # what a process may take to publish, before another one does
MOST_WAITS = 6  # so many times that long a worker waits for others who tell


@dataclass(frozen=True)
class CaseNotices:
    """``digest_minutes``: how long lines wait for others; 0: nothing waits, each event is a message of its own."""

    store: CaseStore
    notifier: Notifier
    ui_url: str = ""
    digest_minutes: int = 0

    def label(self, case_id: str) -> CaseLabel:
        """The names of account and instance for subjects; empty ones when they are not known."""
        known = self.store.get(case_id, case_keys.LABEL, CaseLabel) or CaseLabel()
        if known.instance_name:
            return known
        target = self.store.get(case_id, case_keys.TARGET, Target)
        return known.model_copy(update={"instance_name": target.tags.get("Name", "") if target else ""})

    def tell(
        self,
        case: Case,
        event: str,
        headline: str,
        *,
        lines: Sequence[str] = (),
        facts: Mapping[str, object] | None = None,
        once: bool = True,
        severity: str = "",
        with_held: bool = False,
        name: str = "",
    ) -> None:
        """Send a message now, with ``once`` unless it was sent; ``with_held``: the lines that wait for a digest go with it.

        ``name``: what subscribers filter on, when it is not the event. Raises :class:`ForensicsError`; trying again sends
        what was not sent.
        """
        holder = self._mine_to_tell(case.case_id, event) if once else None
        if once and holder is None:
            return
        held = self.held(case.case_id) if with_held else []
        more = ["Since the last message:", *_held_lines(held)] if held else []
        name = name or event
        made = message(
            case,
            name,
            headline,
            lines=[*lines, *more],
            facts={**(facts or {}), **(_held_facts(held) if held else {})},
            ui_url=self.ui_url,
            label=self.label(case.case_id),
            severity=severity,
        )
        try:
            self.notifier.publish(
                case_id=case.case_id, event=name, subject=made.subject, lines=list(made.lines), facts=made.facts
            )
        except Exception:
            if holder:
                self.store.release_lease(case.case_id, _telling(event), holder=holder)
            raise
        self._mark(case.case_id, event)
        if holder:
            self.store.release_lease(case.case_id, _telling(event), holder=holder)
        self._let_go(case.case_id, held)

    def _mine_to_tell(self, case_id: str, event: str) -> str | None:
        """The holder of the lease under which this process tells people; None when another one has, or is just doing it and does
        not die of it.

        Two workers meet here when a message of the queue comes twice, or a task's heartbeat was lost. Rather twice than never: whoever
        keeps the lease longer than a publisher may take, has died, whatever the clocks say; of those who wait for it one tells.
        """
        holder, name = uuid4().hex, _telling(event)
        began = time.monotonic()
        last, suspect = began + MOST_WAITS * TELLING_SECONDS, None
        while not self.told(case_id, event):
            now = time.monotonic()
            if suspect is None and now > began + TELLING_SECONDS:
                suspect = self.store.lease_holder(case_id, name)
            dead = suspect if now > began + 2 * TELLING_SECONDS else None
            if self.store.lease(case_id, name, holder=holder, seconds=TELLING_SECONDS, instead_of=dead):
                if not self.told(case_id, event):
                    return holder
                self.store.release_lease(case_id, name, holder=holder)
                return None
            if now > last:
                return holder
            if dead:  # another one took it over
                began, suspect = now, None
            time.sleep(0.5)
        return None

    def told(self, case_id: str, event: str) -> bool:
        """Whether people were told of an event."""
        return self.store.has(case_id, f"{case_keys.NOTICE}{event}")

    def hold(self, case: Case, event: str, line: str, *, finding: bool = False, once: bool = True) -> bool:
        """Keep a line for the next digest; False when nothing waits here, and the event is to be told at once.

        With ``once`` an event that was told or is held already is not held again; without, its newest line counts.
        """
        if self.digest_minutes == 0:
            return False
        if once and self.told(case.case_id, event):
            return True
        now = datetime.now(UTC)
        kept = HeldLine(event=event, at=now, line=line[:2000], finding=finding)
        # The line first: whoever takes the mark away looks for lines again afterwards.
        if once:
            self.store.put_once(case.case_id, f"{case_keys.HELD}{event}", kept)
        else:
            self.store.put(case.case_id, f"{case_keys.HELD}{event}", kept)
        self._wait(case.case_id, now)
        return True

    def held(self, case_id: str) -> list[HeldLine]:
        """The lines that wait for the case's next digest, oldest first."""
        found = [HeldLine.stored(data) for _, data in self.store.items(case_id, case_keys.HELD)]
        return sorted(found, key=lambda line: (line.at, line.event))

    def due(self, now: datetime) -> list[Case]:
        """The cases whose digest is due: the first line has waited for its time, or the case has ended."""
        due = []
        for key, data in self.store.items(NOTICES, case_keys.DIGEST):
            case_id = key.removeprefix(case_keys.DIGEST)
            if not self.store.has(case_id, case_keys.CASE):
                self.store.remove(NOTICES, key)
                continue
            case = self.store.case(case_id)
            waited = (now - DigestDue.stored(data).since).total_seconds()
            if case.ended or waited >= self.digest_minutes * 60:
                due.append(case)
        return due

    def digest(self, case: Case) -> bool:
        """Send what waits as one message; whether there was anything. Raises :class:`ForensicsError`; then it waits on."""
        held = self.held(case.case_id)
        if held:
            made = message(
                case,
                DIGEST_EVENT,
                digest_headline(held),
                lines=_held_lines(held),
                facts=_held_facts(held),
                ui_url=self.ui_url,
                label=self.label(case.case_id),
            )
            self.notifier.publish(
                case_id=case.case_id,
                event=DIGEST_EVENT,
                subject=made.subject,
                lines=list(made.lines),
                facts=made.facts,
            )
            self._let_go(case.case_id, held)
        else:
            self._unmark(case.case_id)
        return bool(held)

    def _let_go(self, case_id: str, held: Sequence[HeldLine]) -> None:
        """The lines were told; lines that came meanwhile wait for their own digest.

        The mark that lets a digest come is gone only while no line waits: a process that dies in between strands none.
        """
        if not held:
            return
        for line in held:
            self._mark(case_id, line.event)
            held_as = f"{case_keys.HELD}{line.event}"
            insist(partial(self.store.remove, case_id, held_as), what=f"that {line.event} of {case_id} waits no more")
        if self.held(case_id):
            self.store.put(NOTICES, f"{case_keys.DIGEST}{case_id}", DigestDue(since=datetime.now(UTC)))
            return
        self._unmark(case_id)

    def _unmark(self, case_id: str) -> None:
        """No digest is due; a line that came in this moment gets its mark back."""
        self.store.remove(NOTICES, f"{case_keys.DIGEST}{case_id}")
        if self.held(case_id):
            self._wait(case_id, datetime.now(UTC))

    def _wait(self, case_id: str, since: datetime) -> None:
        self.store.put_once(NOTICES, f"{case_keys.DIGEST}{case_id}", DigestDue(since=since))

    def _mark(self, case_id: str, event: str) -> None:
        mark = Notified(at=format_utc(datetime.now(UTC)))
        insist(
            lambda: self.store.put_once(case_id, f"{case_keys.NOTICE}{event}", mark),
            what=f"that people were told of {event} of {case_id}",
        )


def _telling(event: str) -> str:
    return f"tell:{event}"


def digest_headline(held: Sequence[HeldLine]) -> str:
    """How much a digest has to say: findings first."""
    findings = sum(line.finding for line in held)
    steps = len(held) - findings
    parts = [
        *([f"{findings} finding{'' if findings == 1 else 's'} joined"] if findings else []),
        *([f"{steps} step{'' if steps == 1 else 's'} done"] if steps else []),
    ]
    return ", ".join(parts)


def _held_lines(held: Sequence[HeldLine]) -> list[str]:
    shown = [f"{line.at:%H:%M:%SZ} {line.line}" for line in held[:SHOWN_LINES]]
    left = len(held) - len(shown)
    return [*shown, *([f"and {left} more: they are on the case's timeline"] if left else [])]


def _held_facts(held: Sequence[HeldLine]) -> dict[str, object]:
    return {
        "digest": list(dict.fromkeys(line.event.partition(":")[0] for line in held)),
        "findings_joined": sum(line.finding for line in held),
    }
