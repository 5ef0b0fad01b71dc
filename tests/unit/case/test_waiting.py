"""Reminders: not before their interval, not more often than it, not after the end, and never twice by a retry (moto)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from forensics import case_keys
from forensics.aws.case_store import CaseStore
from forensics.case.notices import CaseNotices
from forensics.case.waiting import Reminders, all_waiting, begin_waiting, end_waiting, seal_waits
from forensics.errors import ThrottledError
from forensics.intake.notice_operators import DEAD_LETTERS, look_at_dead_letters
from forensics.models.approval import Approval
from forensics.models.notices import Waiting, WaitingKind
from tests.unit.accounts import settings
from tests.unit.builders import CASE_ID, NOW, case, finding, said
from tests.unit.recorders import FakeRecorder, Mailbox

QUESTION = Waiting(
    kind=WaitingKind.QUESTION,
    name="forensic_case/run/containment.plan_containment",
    case_id=CASE_ID,
    what="Isolate i-1?",
    next_action="answer at https://airflow/x; without an answer: refuse",
    since=NOW,
    until=NOW + timedelta(minutes=60),
)


class Flaky(Mailbox):
    """Refuses the next message."""

    refuse = False

    def publish(self, **message: Any) -> None:
        if self.refuse:
            self.refuse = False
            raise ThrottledError("SNS is busy")
        super().publish(**message)


class Queue:
    """A dead-letter queue with some messages."""

    def __init__(self, number: int) -> None:
        self.number = number

    def dead_letters(self) -> int:
        return self.number


@pytest.fixture
def mailbox() -> Flaky:
    return Flaky()


@pytest.fixture
def reminders(store: CaseStore, mailbox: Flaky) -> Reminders:
    store.open_case(case(), finding=finding())
    return Reminders(CaseNotices(store, mailbox), settings(reminder_minutes=20, reminder_hours=24))


def at(minutes: float) -> Any:
    return NOW + timedelta(minutes=minutes)


def sent_at(reminders: Reminders, *minutes: float) -> list[float]:
    """The minutes at which a run of the task sends something."""
    return [minute for minute in minutes if reminders.send(at(minute))[0]]


def test_a_question_is_brought_back_to_mind_until_its_time_is_over(
    store: CaseStore, reminders: Reminders, mailbox: Flaky
) -> None:
    begin_waiting(store, QUESTION)
    # the task runs every five minutes, some runs twice (a retry)
    runs = sorted([*range(0, 180, 5), 20, 25, 45, 60, 61])
    assert sent_at(reminders, *runs) == [20, 45], (
        "never more often than every 20 minutes, and nothing at or after the end"
    )
    assert list(all_waiting(store)) == []
    first = mailbox.mail[0]
    assert first.event == "reminder" and first.subject == said("Reminder until 09:00Z: Isolate i-1?")
    assert "It ends in 40 minutes, at 2026-11-24 09:00:00Z." in first.lines
    assert "What to do next: answer at https://airflow/x; without an answer: refuse" in first.lines


def test_a_reminder_stops_when_the_question_is_answered(store: CaseStore, reminders: Reminders) -> None:
    begin_waiting(store, QUESTION)
    assert sent_at(reminders, 21) == [21]
    end_waiting(store, QUESTION.kind, QUESTION.name)
    assert sent_at(reminders, *range(25, 60, 5)) == []
    end_waiting(store, QUESTION.kind, QUESTION.name)


def test_a_reminder_stops_with_the_answer_on_record_whatever_became_of_the_run(
    store: CaseStore, reminders: Reminders
) -> None:
    asked = Approval(digest="0" * 64, at=NOW, reason="waits for an answer", open=True, until=at(60))
    store.put(CASE_ID, case_keys.RELEASE_APPROVAL, asked)
    waiting = QUESTION.model_copy(update={"item": case_keys.RELEASE_APPROVAL})
    begin_waiting(store, waiting)
    assert sent_at(reminders, 21) == [21]
    answered = asked.model_copy(update={"open": False, "granted": True, "version": 1})
    store.put(CASE_ID, case_keys.RELEASE_APPROVAL, answered)
    assert sent_at(reminders, 42) == [] and list(all_waiting(store)) == []


def test_a_reminder_that_was_not_sent_is_sent_once_by_the_retry(
    store: CaseStore, reminders: Reminders, mailbox: Flaky
) -> None:
    begin_waiting(store, QUESTION)
    mailbox.refuse = True
    sent, failed = reminders.send(at(21))
    assert sent == [] and [str(error) for error in failed] == ["SNS is busy"]
    assert sent_at(reminders, 21, 21, 22) == [21]
    assert len(mailbox.mail) == 1


def test_one_that_fails_stops_no_other(store: CaseStore, reminders: Reminders, mailbox: Flaky) -> None:
    begin_waiting(store, QUESTION)
    begin_waiting(store, QUESTION.model_copy(update={"name": "another", "what": "Release i-2?"}))
    mailbox.refuse = True
    sent, failed = reminders.send(at(21))
    assert len(sent) == len(failed) == 1


def test_a_question_that_is_asked_again_begins_anew_and_the_same_one_does_not(store: CaseStore) -> None:
    begin_waiting(store, QUESTION)
    begin_waiting(store, QUESTION.model_copy(update={"since": at(10)}))
    assert next(all_waiting(store)).since == NOW
    begin_waiting(store, QUESTION.model_copy(update={"since": at(90), "until": at(150)}))
    assert next(all_waiting(store)).since == at(90)


def test_quarantined_messages_are_a_daily_reminder_until_the_queue_is_empty(
    store: CaseStore, reminders: Reminders, mailbox: Flaky
) -> None:
    day = 24 * 60
    for minutes in range(0, 3 * day, 60):
        look_at_dead_letters(store, Queue(1 + minutes // day), now=at(minutes))  # type: ignore[arg-type]
        reminders.send(at(minutes))
    assert [mail.subject for mail in mailbox.mail] == [
        f"Forensic reminder: 2 messages wait in the {DEAD_LETTERS}",
        f"Forensic reminder: 3 messages wait in the {DEAD_LETTERS}",
    ]
    look_at_dead_letters(store, Queue(0), now=at(3 * day))  # type: ignore[arg-type]
    assert list(all_waiting(store)) == [] and sent_at(reminders, 4 * day, 9 * day) == []


def test_a_case_without_its_seal_waits_until_it_has_one() -> None:
    recorder = FakeRecorder(step="containment.isolate_target")
    for _ in range(2):
        seal_waits(recorder, "restore point", "KMS did not answer")
    (waiting,) = all_waiting(recorder.store)
    assert (waiting.kind, waiting.case_id, waiting.until) == (WaitingKind.SEAL, CASE_ID, None)
    assert "then clear containment.isolate_target. KMS did not answer" in waiting.next_action
    seal_waits(recorder, "custody ledger", None)
    assert list(all_waiting(recorder.store)) == [waiting]
    seal_waits(recorder, "restore point", None)
    assert list(all_waiting(recorder.store)) == []
