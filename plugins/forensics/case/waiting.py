"""What waits for a person, and how people are reminded of it: on a schedule, not more often than a setting, until it has ended.

What waits is an item that all cases share. A reminder takes a lease before it is sent: nobody sends another before it ends.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from forensics import case_keys
from forensics.aws.case_store import CaseStore
from forensics.case.messages import plain_text
from forensics.case.notices import CaseNotices
from forensics.case.recorder import CaseRecorder
from forensics.errors import ForensicsError
from forensics.models.approval import Approval
from forensics.models.notices import Waiting, WaitingKind
from forensics.naming import NOTICES
from forensics.settings import Settings

REMINDER_EVENT = "reminder"


def begin_waiting(store: CaseStore, waiting: Waiting) -> None:
    """Something waits for a person from now on; what waits already keeps its beginning unless its end is another."""
    key = _key(waiting.kind, waiting.name)
    known = store.get(NOTICES, key, Waiting)
    if known is not None and known.until == waiting.until:
        waiting = waiting.model_copy(update={"since": known.since})
    store.put(NOTICES, key, waiting)


def end_waiting(store: CaseStore, kind: WaitingKind, name: str) -> None:
    """It waits no more: no reminder follows. Nothing happens when it did not wait."""
    store.remove(NOTICES, _key(kind, name))


def all_waiting(store: CaseStore) -> Iterator[Waiting]:
    """Everything that waits."""
    return (Waiting.stored(data) for _, data in store.items(NOTICES, case_keys.WAITING))


def seal_waits(recorder: CaseRecorder, part: str, why: str | None) -> None:
    """A part of the case (restore point, ledger) has no seal, and why; None: it has one now."""
    store, name = recorder.gateways.store, f"{recorder.case_id}/{part}"
    if why is None:
        end_waiting(store, WaitingKind.SEAL, name)
        return
    begin_waiting(
        store,
        Waiting(
            kind=WaitingKind.SEAL,
            name=name,
            case_id=recorder.case_id,
            what=f"the {part} is not sealed"[:500],
            next_action=f"look at the evidence store and the signing key, then clear {recorder.step}. {why}"[:1000],
            since=datetime.now(UTC),
        ),
    )


def question_waits(recorder: CaseRecorder, question: Approval, *, item: str, what: str, next_action: str) -> None:
    """A question is open: people are reminded of it until it is answered or its time is over. ``item``: where it is kept."""
    begin_waiting(
        recorder.gateways.store,
        Waiting(
            kind=WaitingKind.QUESTION,
            name=f"{recorder.case_id}/{item}",
            case_id=recorder.case_id,
            what=what[:500],
            next_action=next_action[:1000],
            since=datetime.now(UTC),
            until=question.until,
            item=item,
        ),
    )


@dataclass(frozen=True)
class Reminders:
    """Reminds people through the topic of the case messages."""

    notices: CaseNotices
    settings: Settings

    def send(self, now: datetime) -> tuple[list[str], list[ForensicsError]]:
        """Send what is due; returns what people were reminded of, and what could not be sent. What is over is forgotten."""
        sent, failed = [], []
        for waiting in all_waiting(self.notices.store):
            try:
                if self._remind(waiting, now=now):
                    sent.append(waiting.what)
            except ForensicsError as error:
                failed.append(error)
        return sent, failed

    def _remind(self, waiting: Waiting, *, now: datetime) -> bool:
        store, interval = self.notices.store, self._interval(waiting.kind)
        if self._over(waiting, now=now):
            end_waiting(store, waiting.kind, waiting.name)
            return False
        if now - waiting.since < interval:
            return False
        lease = f"reminder:{waiting.kind.value}:{hashlib.sha256(waiting.name.encode()).hexdigest()[:16]}"
        seconds = int(interval.total_seconds())
        holder = uuid4().hex
        if not store.lease(NOTICES, lease, holder=holder, seconds=seconds, now=now):
            return False
        try:
            self._publish(waiting, now=now)
        except ForensicsError:
            store.release_lease(NOTICES, lease, holder=holder)
            raise
        return True

    def _over(self, waiting: Waiting, *, now: datetime) -> bool:
        if waiting.until is not None and now >= waiting.until:
            return True
        if not waiting.item:
            return False
        question = self.notices.store.get(waiting.case_id, waiting.item, Approval)
        return question is None or not question.open

    def _interval(self, kind: WaitingKind) -> timedelta:
        if kind is WaitingKind.QUESTION:
            return timedelta(minutes=self.settings.reminder_minutes)
        return timedelta(hours=self.settings.reminder_hours)

    def _publish(self, waiting: Waiting, *, now: datetime) -> None:
        headline, lines = reminder_text(waiting, now=now)
        facts = {
            "kind": waiting.kind.value,
            "since": waiting.since.isoformat(),
            **({"until": waiting.until.isoformat()} if waiting.until else {}),
        }
        if waiting.case_id:
            case = self.notices.store.case(waiting.case_id)
            self.notices.tell(case, REMINDER_EVENT, headline, lines=lines, facts=facts, once=False)
            return
        self.notices.notifier.publish(
            case_id="none",
            event=REMINDER_EVENT,
            subject=f"Forensic reminder: {plain_text(waiting.what)}",
            lines=[headline, *lines],
            facts=facts,
        )


def reminder_text(waiting: Waiting, *, now: datetime) -> tuple[str, list[str]]:
    """Headline and lines of a reminder."""
    end = f" until {waiting.until:%H:%M}Z" if waiting.until else ""
    lines = [
        f"It has waited since {waiting.since:%Y-%m-%d %H:%M:%SZ}.",
        *(
            [f"It ends in {_minutes(waiting.until - now)}, at {waiting.until:%Y-%m-%d %H:%M:%SZ}."]
            if waiting.until
            else []
        ),
        f"What to do next: {waiting.next_action}",
    ]
    return f"Reminder{end}: {waiting.what}", lines


def _minutes(left: timedelta) -> str:
    minutes = max(1, round(left.total_seconds() / 60))
    return f"{minutes} minute{'' if minutes == 1 else 's'}" if minutes < 120 else f"{minutes // 60} hours"


def _key(kind: WaitingKind, name: str) -> str:
    return f"{case_keys.WAITING}{kind.value}#{name}"
