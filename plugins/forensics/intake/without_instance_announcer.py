"""Tells people of findings that name no instance: once for each wave, and not by hundreds of messages in an hour."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Self

from forensics.aws.insistence import insist
from forensics.aws.session import AwsSession, Scope
from forensics.aws.sns import Notifier
from forensics.errors import ForensicsError
from forensics.intake import without_instance as words
from forensics.intake.artifact_origins import ArtifactOrigins
from forensics.intake.intake_log import IntakeLog
from forensics.intake.messages import Answer
from forensics.models.intake import FindingWithoutInstance, MessageOutcome
from forensics.settings import Settings

# Messages of one kind about one account in an hour; the Intake page has the others.
MOST_IN_AN_HOUR = 10


class WithoutInstanceAnnouncer:
    """Answers findings without an instance; safe to use from several threads and to repeat."""

    def __init__(self, notifier: Notifier, log: IntakeLog, origins: ArtifactOrigins, *, quiet_days: int) -> None:
        self._notifier = notifier
        self._log = log
        self._origins = origins
        self._quiet = timedelta(days=quiet_days)

    @classmethod
    def of(cls, own: AwsSession, settings: Settings, *, session: Callable[[Scope], AwsSession]) -> Self:
        """The deployment's topic and table; look-ups in the findings' accounts."""
        return cls(
            Notifier.of(own, settings),
            IntakeLog.of(own, settings),
            ArtifactOrigins.of(session),
            quiet_days=settings.recurrence_quiet_days,
        )

    def answer(self, item: FindingWithoutInstance, *, at: datetime) -> Answer:
        """Tell people when they must know; returns what the Intake page shows.

        Raises :class:`AwsError` when they could not be told: the message is then processed again.
        """
        reason, action = words.reason(item), words.next_action(item)
        if not words.is_told(item):
            return Answer(
                MessageOutcome.IGNORED, f"{reason} ({item.severity.value}: below {words.TOLD_FROM.value})", action
            )
        key = words.wave_key(item)
        if self._log.told_before(key, at=at, quiet=self._quiet):
            return Answer(MessageOutcome.ANNOUNCED, f"{reason}; people were told before", action)
        if not self._log.claim_telling(key, at=at):
            return Answer(
                MessageOutcome.ANNOUNCED, f"{reason}; people are told by another message of the same wave", action
            )
        try:
            return Answer(MessageOutcome.ANNOUNCED, self._tell(item, key, at=at), action)
        except ForensicsError:
            self._log.not_told(key)
            raise

    def _tell(self, item: FindingWithoutInstance, key: str, *, at: datetime) -> str:
        """Send the message, unless there were too many in the hour; returns the record's reason."""
        number = 0 if item.action else self._log.tally(f"{item.account_id}#{item.kind.name}", at=at)
        if number > MOST_IN_AN_HOUR:
            self._log.not_told(key)
            note = f"no message of its own: more than {MOST_IN_AN_HOUR} of this kind in the account within the hour"
            return f"{words.reason(item)}; {note}"
        found = self._origins.related(item)
        self._publish(found, last=number == MOST_IN_AN_HOUR)
        insist(
            lambda: self._log.told(key, at=at, quiet=self._quiet), what=f"that people were told of {item.finding_id}"
        )
        return words.reason(found)

    def _publish(self, item: FindingWithoutInstance, *, last: bool) -> None:
        more = (
            ["More of this kind in this account within this hour are listed on the page Intake only."] if last else []
        )
        self._notifier.publish(
            case_id="none",
            event=words.EVENT,
            subject=words.subject(item),
            lines=[*words.lines(item), *more],
            facts=words.facts(item),
        )
