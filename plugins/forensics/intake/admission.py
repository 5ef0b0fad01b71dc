"""Where a finding enters: it opens a case, joins one, or is known already. Everything here can be done again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from forensics import case_keys
from forensics.aws.case_store import CaseStore
from forensics.aws.session import AwsSession
from forensics.aws.sns import Notifier
from forensics.custody.ledger import CustodyLedger
from forensics.errors import ForensicsError
from forensics.intake.opening import case_from
from forensics.models.base import Model, Utc, format_utc
from forensics.models.case import Case, StepFailure, TimelineKind
from forensics.models.custody import CustodyAction
from forensics.models.finding import Finding
from forensics.settings import Settings

SOURCE = "finding_intake"


@dataclass(frozen=True)
class Admission:
    """What became of a finding.

    ``how`` is the answer of :meth:`CaseStore.open_case`; ``wants_more`` says that the open case has a plan already and
    this finding may ask for more than it.
    """

    how: str
    case: Case
    finding: Finding
    wants_more: bool = False

    @property
    def needs_run(self) -> bool:
        """Whether a DAG run must exist: not for a finding whose case is closed."""
        return self.how != "closed"


class _Joined(Model):
    """That a finding has joined; ``planned``: the case had its plan then, so that the plan may have to grow."""

    at: Utc
    planned: bool


class CaseAdmission:
    """Admits findings one by one; safe to use from several threads and processes at once."""

    def __init__(self, *, store: CaseStore, ledger: CustodyLedger, notifier: Notifier) -> None:
        self._store = store
        self._ledger = ledger
        self._notifier = notifier

    @classmethod
    def of(cls, own: AwsSession, settings: Settings) -> Self:
        """Stores and topic of the forensic account, under the base identity."""
        return cls(
            store=CaseStore.of(own, settings),
            ledger=CustodyLedger.of(
                own, own, settings, actor=f"finding intake in account {settings.forensic_account_id}"
            ),
            notifier=Notifier.of(own, settings),
        )

    def admit(self, finding: Finding, *, received_at: datetime, run_id: str | None = None) -> Admission:
        """Give the finding its case; ``run_id`` is the run that works it when that is not to be named after the case.

        Raises :class:`ForensicsError`; doing it again finds what was done.
        """
        own = case = case_from(finding, received_at=received_at, run_id=run_id)
        how, holder = self._store.open_case(case, finding=finding)
        if how == "escalated":
            own = case = case_from(finding, received_at=received_at, after=holder)
            how, holder = self._store.open_case(case, finding=finding, after=holder)
        if how == "opened":
            return Admission(how, case, finding)
        case = self._store.case(holder)
        if how == "closed":
            self._after_the_end(case, finding)
            return Admission(how, case, finding)
        wants_more = False
        opened_it = own.case_id == case.case_id and finding.source.value == case.source
        if how == "raised" or not opened_it:
            wants_more = self._join(case, finding, received_at=received_at)
        return Admission(how, case, finding, wants_more=wants_more)

    def _join(self, case: Case, finding: Finding, *, received_at: datetime) -> bool:
        """Timeline, ledger, one notification; the mark comes last, so that a killed worker's successor does the rest."""
        mark = f"{case_keys.JOINED}{case_keys.finding(finding)}#{finding.severity.value}"
        done = self._store.get(case.case_id, mark, _Joined)
        if done is not None:
            return done.planned
        words = f"{finding.title[:200]} ({finding.severity.value}, {finding.source.value})"
        self._store.note(
            case.case_id,
            f"another finding joined: {words}",
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
            once=mark,
        )
        self._tell(case, f"finding_joined:{finding.key}:{finding.severity.value}", f"Another finding joined: {words}")
        joined = _Joined(at=datetime.now(UTC), planned=self._store.has(case.case_id, case_keys.PLAN))
        self._store.put_once(case.case_id, mark, joined)
        return joined.planned

    def _after_the_end(self, case: Case, finding: Finding) -> None:
        """The finding's case is closed: no new case; people are told once when the activity went on after the end."""
        if case.closed_at is None or finding.updated_at is None or finding.updated_at <= case.closed_at:
            return
        self._tell(
            case,
            f"active_again:{finding.key}",
            f"A finding of the closed case is still active: {finding.title[:200]} (updated {format_utc(finding.updated_at)})",
            "Look at the target's containment; a custom action on the finding opens a new case.",
        )

    def _tell(self, case: Case, event: str, *lines: str) -> None:
        """Once for each event. Nobody being told must not stop the intake; it is a failure of the case instead."""
        if self._store.has(case.case_id, f"{case_keys.NOTICE}{event}"):
            return
        try:
            self._notifier.publish(
                case_id=case.case_id,
                event=event.partition(":")[0],
                subject=f"[{case.case_id}] {lines[0]}",
                lines=[
                    *lines,
                    f"Case {case.case_id}: instance {case.instance_id} in account {case.account_id}, {case.region}",
                ],
                facts=_facts(case, event),
            )
        except ForensicsError as error:
            self._store.fail(
                case.case_id,
                StepFailure(
                    step=f"notify:{event}", cause=str(error), next_action=error.next_action, at=datetime.now(UTC)
                ),
            )
            return
        self._store.put_once(case.case_id, f"{case_keys.NOTICE}{event}", {"at": format_utc(datetime.now(UTC))})


def _facts(case: Case, event: str) -> dict[str, Any]:
    return {
        "event": event.partition(":")[0],
        "case_id": case.case_id,
        "instance_id": case.instance_id,
        "account_id": case.account_id,
        "region": case.region,
    }
