"""Admission of a finding: it opens a case, joins one, or is known already. Everything here can be repeated safely."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

from forensics import case_keys
from forensics.aws.case_store import CaseStore
from forensics.aws.session import AwsSession
from forensics.aws.sns import Notifier
from forensics.case.notices import CaseNotices
from forensics.custody.ledger import CustodyLedger
from forensics.errors import ForensicsError
from forensics.intake.new_case import case_from
from forensics.intake.recurrence import Recurrence, SeenAgain, recurrence
from forensics.models.base import Model, Utc, format_utc
from forensics.models.case import Case, CaseStatus, StepFailure, TimelineKind
from forensics.models.containment import ReleaseResult
from forensics.models.custody import CustodyAction
from forensics.models.finding import Finding, Severity
from forensics.models.intake import AdmissionOutcome
from forensics.settings import Settings

SOURCE = "finding_intake"


@dataclass(frozen=True)
class Admission:
    """What became of a finding; ``wants_more``: the open case has a plan, and this finding may ask for more than it."""

    outcome: AdmissionOutcome
    case: Case
    finding: Finding
    wants_more: bool = False

    @property
    def needs_run(self) -> bool:
        """Whether a DAG run must exist; not for a finding whose case is closed."""
        return self.outcome is not AdmissionOutcome.CLOSED


class _Joined(Model):
    """A finding that has joined; ``planned``: the case had its plan already, so the plan may have to be extended."""

    at: Utc
    planned: bool


class CaseAdmission:
    """Admits findings one at a time; safe to use from several threads and processes at once."""

    def __init__(self, *, store: CaseStore, ledger: CustodyLedger, notifier: Notifier, settings: Settings) -> None:
        self._store = store
        self._ledger = ledger
        self._notices = CaseNotices(store, notifier, ui_url=settings.ui_url, digest_minutes=settings.digest_minutes)
        self._settings = settings

    @classmethod
    def of(cls, own: AwsSession, settings: Settings) -> Self:
        """Stores and topic of the forensic account, under the base identity."""
        return cls(
            store=CaseStore.of(own, settings),
            ledger=CustodyLedger.of(
                own, own, settings, actor=f"finding intake in account {settings.forensic_account_id}"
            ),
            notifier=Notifier.of(own, settings),
            settings=settings,
        )

    def admit(self, finding: Finding, *, received_at: datetime, run_id: str | None = None) -> Admission:
        """Give the finding its case; ``run_id``: the case's DAG run, when it is not to be named after the case.

        Raises :class:`ForensicsError`; repeating it finds what was done.
        """
        own = case = case_from(finding, received_at=received_at, run_id=run_id)
        outcome, holder = self._store.open_case(case, finding=finding)
        again = None
        if outcome is AdmissionOutcome.CLOSED:
            again = self._after_the_end(self._store.case(holder), finding, received_at=received_at)
        if outcome is AdmissionOutcome.ESCALATED or (again is not None and again.reopen):
            before, own = holder, case_from(finding, received_at=received_at, after=holder)
            case = own
            outcome, holder = self._store.open_case(case, finding=finding, after=holder)
            if outcome is AdmissionOutcome.OPENED:
                why = again.why if again else "it is more severe than ever in that case"
                note = f"the finding is active again after case {before} had closed: {why}"
                self._store.note(case.case_id, note, kind=TimelineKind.FINDING, source=SOURCE, at=received_at)
        if outcome is AdmissionOutcome.OPENED:
            return Admission(outcome, case, finding)
        case = self._store.case(holder)
        if outcome is AdmissionOutcome.CLOSED:
            return Admission(outcome, case, finding)
        wants_more = False
        opened_it = own.case_id == case.case_id and finding.source.value == case.source
        if outcome is AdmissionOutcome.RAISED or not opened_it:
            wants_more = self._join(case, finding, received_at=received_at)
        return Admission(outcome, case, finding, wants_more=wants_more)

    def _join(self, case: Case, finding: Finding, *, received_at: datetime) -> bool:
        """Timeline, ledger, one notification; the record comes last, so that a killed worker's successor does the rest."""
        key = f"{case_keys.JOINED}{case_keys.finding(finding)}#{finding.severity.value}"
        done = self._store.get(case.case_id, key, _Joined)
        if done is not None:
            return done.planned
        case = self._no_drill_any_more(case, finding, received_at=received_at)
        description = f"{finding.title[:200]} ({finding.severity.value}, {finding.source.value})"
        self._store.note(
            case.case_id,
            f"another finding joined: {description}",
            kind=TimelineKind.FINDING,
            source=SOURCE,
            at=received_at,
        )
        self._ledger.append(
            case.case_id,
            CustodyAction.FINDING_JOINED,
            detail={
                "step": SOURCE,
                "finding": finding.finding_id[:500],
                "source": finding.source.value,
                "severity": finding.severity.value,
                "title": finding.title[:200],
            },
            once=key,
        )
        self._announce_joined(case, finding, f"Another finding joined: {description}")
        self._raise_severity(case, finding, received_at=received_at)
        joined = _Joined(at=datetime.now(UTC), planned=self._store.has(case.case_id, case_keys.PLAN))
        self._store.put_once(case.case_id, key, joined)
        return joined.planned

    def _no_drill_any_more(self, case: Case, finding: Finding, *, received_at: datetime) -> Case:
        """A finding that no drill made is real, whatever the machine was launched for: its case is marked as a drill no longer."""
        if not case.drill or finding.drill:
            return case
        what = f"this case is no drill any more: a finding that the drill did not make joined it, from {finding.source.value}"
        self._store.note(case.case_id, what, kind=TimelineKind.FINDING, source=SOURCE, at=received_at)
        return self._store.update_case(case.case_id, drill=False)

    def _raise_severity(self, case: Case, finding: Finding, *, received_at: datetime) -> None:
        """The case is as severe as its most severe finding: after the message, for which it is news, and the timeline's line."""
        if finding.severity_unread or finding.severity.rank <= Severity(case.severity).rank:
            return
        risen = f"the case's severity is {finding.severity.value} now, it was {case.severity}"
        self._store.note(case.case_id, risen, kind=TimelineKind.FINDING, source=SOURCE, at=received_at)
        self._store.raise_severity(case.case_id, finding.severity)

    def _announce_joined(self, case: Case, finding: Finding, headline: str) -> None:
        """In the case's next digest; at once when a person ordered it, or when it is more severe than all before, HIGH or above."""
        event = f"finding_joined:{finding.key}:{finding.severity.value}" + (
            f":{finding.order}" if finding.order else ""
        )
        risen = f"severity_raised:{finding.severity.value}"
        new_height = finding.severity.rank >= max(Severity(case.severity).rank + 1, Severity.HIGH.rank)
        if finding.action is not None:
            self._tell(case, event, headline)
        elif new_height and not self._notices.told(case.case_id, risen):
            said = f"Severity is {finding.severity.value} now: {finding.title[:200]}"
            self._tell(case, risen, said, headline, severity=finding.severity.value)
        elif not self._notices.hold(case, event, headline, finding=True):
            self._tell(case, event, headline)

    def _after_the_end(self, case: Case, finding: Finding, *, received_at: datetime) -> Recurrence | None:
        """The finding's case is closed: a new wave opens a case, or people are told of it once."""
        if case.closed_at is None or finding.action is not None:
            return None
        key = f"{case_keys.SEEN_AGAIN}{finding.key}"
        release = self._store.get(case.case_id, case_keys.RELEASE, ReleaseResult)
        updated = finding.updated_at or received_at
        if case.status is CaseStatus.FAILED and updated > case.closed_at:
            seen = SeenAgain(wave=updated, last=updated)
            return Recurrence(seen, announce=True, reopen=True, why="that case could not be brought to its end")
        again = recurrence(
            self._store.get(case.case_id, key, SeenAgain),
            updated=updated,
            closed_at=case.closed_at,
            released_at=release.released_at if release else None,
            severity=finding.severity,
            quiet=timedelta(days=self._settings.recurrence_quiet_days),
            opens_from=Severity(self._settings.recurrence_opens_from),
        )
        if again is None or again.reopen:  # the new case is the record of a wave that opens one
            return again
        if again.announce:
            self._tell(
                case,
                f"active_again:{finding.key}:{format_utc(again.seen.wave)}",
                f"A finding of the closed case is still active: {finding.title[:200]} (updated {format_utc(updated)})",
                "Look at the target's containment; a custom action on the finding opens a new case.",
            )
        self._store.put(case.case_id, key, again.seen)
        return again

    def _tell(self, case: Case, event: str, *lines: str, severity: str = "") -> None:
        """Tell people once of each event. A message that is not sent does not stop the intake: it is a failure of the case."""
        try:
            self._notices.tell(case, event, lines[0], lines=lines[1:], severity=severity, name=event.partition(":")[0])
        except ForensicsError as error:
            self._store.fail(
                case.case_id,
                StepFailure(
                    step=f"notify:{event}", cause=str(error), next_action=error.next_action, at=datetime.now(UTC)
                ),
            )
