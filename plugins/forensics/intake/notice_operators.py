"""Digests and reminders: what people are sent on a schedule."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from airflow.sdk import BaseOperator, Context

from forensics.aws.case_store import CaseStore
from forensics.aws.hook import ForensicsHook
from forensics.aws.sns import Notifier
from forensics.aws.sqs import FindingQueue
from forensics.case.notices import CaseNotices
from forensics.case.waiting import Reminders, begin_waiting, end_waiting
from forensics.correlation import case_context
from forensics.errors import ForensicsError
from forensics.models.notices import Waiting, WaitingKind

DEAD_LETTERS = "dead-letter queue"


class SendNoticesOperator(BaseOperator):
    """Send the digests that are due and the reminders of what waits for a person; a message that fails stops no other."""

    def execute(self, context: Context) -> dict[str, list[str]]:
        """Returns the cases whose digest was sent, and what people were reminded of."""
        hook = ForensicsHook()
        own, settings = hook.own(), hook.settings
        store = CaseStore.of(own, settings)
        notices = CaseNotices(
            store, Notifier.of(own, settings), ui_url=settings.ui_url, digest_minutes=settings.digest_minutes
        )
        now = datetime.now(UTC)
        failed: list[ForensicsError] = []
        sent = send_digests(notices, now=now, failed=failed)
        try:
            look_at_dead_letters(store, FindingQueue.of(own, settings), now=now)
        except ForensicsError as error:
            failed.append(error)
        reminded, more = Reminders(notices, settings).send(now)
        try:
            send_again(notices.notifier, now=now)
        except ForensicsError as error:
            failed.append(error)
        _raise([*failed, *more])
        return {"digests": sent, "reminders": reminded}


def send_digests(notices: CaseNotices, *, now: datetime, failed: list[ForensicsError]) -> list[str]:
    """Send every digest that is due; returns their cases. What could not be sent is added to ``failed`` and stays due."""
    sent = []
    for case in notices.due(now):
        with case_context(case.case_id, step="send_notices"):
            try:
                if notices.digest(case):
                    sent.append(case.case_id)
            except ForensicsError as error:
                failed.append(error)
    return sent


def send_again(notifier: Notifier, *, now: datetime) -> None:
    """Give channels what they did not take; people are told by mail of a channel that takes nothing. Raises :class:`ForensicsError`."""
    troubles = notifier.channels.retry(now) if notifier.channels else []
    if troubles:
        notifier.publish(
            case_id="none",
            event="channel_trouble",
            subject=f"{len(troubles)} message channel{'' if len(troubles) == 1 else 's'} of EC2 forensics take no messages",
            lines=[
                *troubles,
                "What they did not take is tried again every five minutes, for a day; it was sent by mail.",
            ],
            facts={"channels": troubles},
        )


def look_at_dead_letters(store: CaseStore, queue: FindingQueue, *, now: datetime) -> None:
    """Messages in the dead-letter queue wait for a person until there are none."""
    number = queue.dead_letters()
    if number == 0:
        end_waiting(store, WaitingKind.QUARANTINE, DEAD_LETTERS)
        return
    waiting = Waiting(
        kind=WaitingKind.QUARANTINE,
        name=DEAD_LETTERS,
        what=f"{number} message{' waits' if number == 1 else 's wait'} in the {DEAD_LETTERS}",
        next_action="look at the Intake page for the reasons, then put them back with the DAG finding_redrive",
        since=now,
    )
    begin_waiting(store, waiting)


def _raise(failed: Sequence[ForensicsError]) -> None:
    if failed:
        first = failed[0]
        msg = f"{len(failed)} of the due messages could not be sent: {'; '.join(str(error)[:300] for error in failed[:5])}"
        raise ForensicsError(
            msg, next_action=f"{first.next_action}; what is due is tried again in five minutes"
        ) from first
