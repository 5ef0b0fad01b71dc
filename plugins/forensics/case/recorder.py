"""The recorder of one case: everything that steps read and record about it, in one place."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self, TypeVar

import structlog

from forensics import __version__, case_keys
from forensics.aws.case_store import CaseStore
from forensics.aws.request_log import take
from forensics.aws.s3 import EvidenceStore
from forensics.aws.s3_landing import LandingGateway, ToolsGateway
from forensics.aws.session import AwsSession
from forensics.aws.sessions import Sessions
from forensics.aws.sns import Notifier
from forensics.case.board_line import keep_line
from forensics.case.notices import CaseNotices
from forensics.case.persons import StepRun
from forensics.case.stored_results import stored_results
from forensics.case.view import ResultsReader, read_view
from forensics.custody.chain import facts_of
from forensics.custody.ledger import CustodyLedger
from forensics.errors import AwsError, CaseError, ForensicsError
from forensics.models.artifact import ArtifactDescription
from forensics.models.base import Model, VersionedModel
from forensics.models.case import Case, CaseView, Milestone, Phase, StepFailure, TimelineKind
from forensics.models.custody import CustodyAction, CustodyFacts
from forensics.models.evidence import (
    AnyEvidence,
    CommandOrigin,
    DiskEvidence,
    Evidence,
    EvidenceKind,
    LiveResponseEvidence,
    MemoryEvidence,
    Outcome,
    read_evidence,
)
from forensics.models.finding import Finding
from forensics.models.plan import ResponsePlan
from forensics.models.target import Target
from forensics.naming import evidence_id
from forensics.settings import Settings

log = structlog.get_logger(__name__)
M = TypeVar("M", bound=Model)
E = TypeVar("E", bound=Evidence)


@dataclass(frozen=True)
class CaseGateways:
    """A case's stores, ledger and topic in the forensic account."""

    store: CaseStore
    evidence: EvidenceStore
    landing: LandingGateway
    tools: ToolsGateway
    ledger: CustodyLedger
    notifier: Notifier

    @classmethod
    def of(cls, own: AwsSession, role: AwsSession, settings: Settings, *, person: str = "") -> Self:
        """Evidence and signatures under the session of a role (``custodian``, ``reader``), the rest under the base identity.

        ``person`` is who acts where that is no process of the product.
        """
        store = CaseStore.of(own, settings)
        actor = f"{role.role_arn} as {role.case_id}" + (f" for {person}" if person else "")
        return cls(
            store=store,
            evidence=EvidenceStore.of(role, settings),
            landing=LandingGateway.of(own, settings),
            tools=ToolsGateway.of(own, settings),
            ledger=CustodyLedger.of(own, role, settings, actor=actor),
            notifier=Notifier.of(own, settings),
        )

    def view(self, case_id: str, *, read: ResultsReader = stored_results) -> CaseView | None:
        """The whole case, or None when it does not exist; ``read`` reads its tools' results."""
        return read_view(self.store, self.evidence, case_id, read=read)


class CaseRecorder:
    """What is known about one case, and how a step adds to it.

    ``ui_url``: address of Airflow's UI for links in messages. ``digest_minutes``: how long routine messages wait for others.
    """

    def __init__(
        self, case: Case, gateways: CaseGateways, *, step: str, ui_url: str = "", digest_minutes: int = 0
    ) -> None:
        self.case = case
        self.gateways = gateways
        self.step = step
        self.run = StepRun()
        self.seen_requests: dict[str, Model] = {}  # what this worker has seen made (forensics.case.requests)
        self._ui_url = ui_url
        self.notices = CaseNotices(gateways.store, gateways.notifier, ui_url=ui_url, digest_minutes=digest_minutes)

    @property
    def ui_url(self) -> str:
        """The address of Airflow's UI without a closing slash; empty where the setting is."""
        return self._ui_url.rstrip("/")

    @property
    def case_id(self) -> str:
        """The case's id."""
        return self.case.case_id

    # ------------------------------------------------------------------ what is known
    def get(self, key: str, kind: type[M]) -> M | None:
        """One item of the case (``case_keys``), or None."""
        return self.gateways.store.get(self.case_id, key, kind)

    def put(self, key: str, value: Model) -> None:
        """Write one item of the case."""
        self.gateways.store.put(self.case_id, key, value)

    def put_once(self, key: str, value: Model) -> bool:
        """Write one item of the case unless it is there; whether it was written."""
        return self.gateways.store.put_once(self.case_id, key, value)

    def swap(self, key: str, value: VersionedModel) -> bool:
        """Write one item of the case on the condition that it is still the one that was read; whether it was written."""
        return self.gateways.store.swap(self.case_id, key, value)

    def target(self) -> Target | None:
        """The target's description, once triage has made it."""
        return self.get(case_keys.TARGET, Target)

    def artifact(self) -> ArtifactDescription | None:
        """The artifact's description, once triage has made it."""
        return self.get(case_keys.ARTIFACT, ArtifactDescription)

    def plan(self) -> ResponsePlan | None:
        """The response plan, once triage has made it."""
        return self.get(case_keys.PLAN, ResponsePlan)

    def findings(self) -> list[Finding]:
        """All findings of the case, the one that opened it first."""
        found = [Finding.stored(d) for _, d in self.gateways.store.items(self.case_id, case_keys.FINDING)]
        return sorted(found, key=lambda f: (f.key != self.case.finding_key, -f.severity.rank, f.key))

    def evidence(self, kind: EvidenceKind | None = None) -> list[AnyEvidence]:
        """All evidence recorded so far."""
        found = [read_evidence(d) for _, d in self.gateways.store.items(self.case_id, case_keys.EVIDENCE)]
        return [e for e in found if kind is None or e.kind is kind]

    def disks(self) -> list[DiskEvidence]:
        """The disks recorded so far."""
        return [e for e in self.evidence() if isinstance(e, DiskEvidence)]

    def evidence_item(self, evidence_id: str) -> AnyEvidence | None:
        """One piece of evidence by its id; None when it is not recorded."""
        data = self.gateways.store.data(self.case_id, f"{case_keys.EVIDENCE}{evidence_id}")
        return None if data is None else read_evidence(data)

    def memory(self) -> MemoryEvidence | None:
        """The target's memory, once its capture has begun."""
        found = self.evidence_item(evidence_id(EvidenceKind.MEMORY, self.case.instance_id))
        return found if isinstance(found, MemoryEvidence) else None

    def live_response(self) -> LiveResponseEvidence | None:
        """The target's live response, once it has begun."""
        found = self.evidence_item(evidence_id(EvidenceKind.LIVE_RESPONSE, self.case.instance_id))
        return found if isinstance(found, LiveResponseEvidence) else None

    def disk(self, item: str) -> DiskEvidence | None:
        """One disk by its evidence id."""
        found = self.evidence_item(item)
        return found if isinstance(found, DiskEvidence) else None

    def view(self) -> CaseView:
        """The whole case as it is now; raises :class:`CaseError` when it no longer exists."""
        view = self.gateways.view(self.case_id)
        if view is None:
            msg = f"case {self.case_id} no longer exists"
            raise CaseError(msg)
        return view

    # ------------------------------------------------------------------ what is recorded
    def save_evidence(self, evidence: E) -> E:
        """Record an evidence item as it is now."""
        self.put(f"{case_keys.EVIDENCE}{evidence.evidence_id}", evidence)
        return evidence

    def fail_evidence(self, evidence: E, *, reason: str, outcome: Outcome = Outcome.FAILED) -> E:
        """Record that an item could not be acquired, in store, ledger and timeline."""
        failed = evidence.model_copy(
            update={"outcome": outcome, "reason": reason[:1000], "ended_at": datetime.now(UTC)}
        )
        self.custody(
            CustodyAction.EVIDENCE_FAILED,
            evidence_id=evidence.evidence_id,
            detail={"outcome": outcome.value, "reason": reason[:1000]},
        )
        self.note(
            f"{evidence.evidence_id}: {outcome.value}, {reason[:500]}",
            kind=TimelineKind.EVIDENCE,
            evidence_id=evidence.evidence_id,
        )
        # Last: steps take an item that has its outcome for done.
        self.save_evidence(failed)
        origin = evidence.origin
        if isinstance(origin, CommandOrigin):
            self.revoke_manifest(origin.landing_prefix)
        return failed

    def revoke_manifest(self, prefix: str | None, *, with_keys: bool = False) -> None:
        """Delete the manifest below a landing prefix, so that nobody who finds it can use its URLs. Safe to repeat.

        One ``with_keys`` of disks is removed with the version that the bucket would keep.

        A manifest that cannot be deleted is a remark on the timeline: its URLs expire by themselves, and what they brought
        must not be lost for it.
        """
        if not prefix:
            return
        try:
            if with_keys:
                self.gateways.landing.erase(prefix)
            else:
                self.gateways.landing.revoke(prefix)
        except AwsError as error:
            holds = (
                "it holds a disk's key: delete all of its versions" if with_keys else "its URLs end when they expire"
            )
            self.note(
                f"the manifest below {prefix} was not deleted; {holds}. {error}"[:1000],
                kind=TimelineKind.EVIDENCE,
            )

    def note(
        self,
        what: str,
        *,
        kind: TimelineKind = TimelineKind.CASE,
        at: datetime | None = None,
        evidence_id: str | None = None,
    ) -> None:
        """Add a timeline entry of this step."""
        self.gateways.store.note(self.case_id, what, kind=kind, source=self.step, at=at, evidence_id=evidence_id)

    def milestone(self, name: Milestone, at: datetime | None = None) -> None:
        """Record the time of a milestone, the first time only."""
        self.gateways.store.milestone(self.case_id, name, at)

    def phase(self, phase: Phase) -> None:
        """Move the case on to a phase. Flows run side by side: none moves it back, but a repeated step after the report does."""
        now = self.gateways.store.case(self.case_id).phase
        if phase.order > now.order or now in {Phase.REPORT, Phase.DONE}:
            self.gateways.store.update_case(self.case_id, phase=phase)

    def custody(
        self,
        action: CustodyAction,
        *,
        evidence_id: str | None = None,
        detail: Mapping[str, object] | None = None,
        facts: CustodyFacts | None = None,
        once: str | None = None,
    ) -> None:
        """Append to the custody ledger; who, why, clock, tool and request ids are added here.

        ``once`` names the event within the case. Without it the same statement is made once in a run: a step that died right
        after it, and is tried again, does not say it twice.
        """
        stated = {"step": self.step, **(detail or {})}
        given = (facts or CustodyFacts()).model_dump(exclude_unset=True)
        lifted = facts_of(stated).model_dump(exclude_unset=True)
        merged = {**self._standing_facts().model_dump(exclude_unset=True), **lifted, **given}
        self.gateways.ledger.append(
            self.case_id,
            action,
            evidence_id=evidence_id,
            detail=stated,
            facts=CustodyFacts.model_validate(merged),
            once=once or self._once_in_run(action, evidence_id, stated),
        )

    def _once_in_run(self, action: CustodyAction, evidence_id: str | None, stated: Mapping[str, object]) -> str | None:
        if not self.run.run_id:
            return None
        text = json.dumps([self.run.run_id, evidence_id, stated], sort_keys=True, default=str)
        return f"{action.value}-{hashlib.sha256(text.encode()).hexdigest()[:32]}"

    def _once_in_order(self, said: Sequence[str]) -> str:
        run = self.run
        if not run.run_id:
            return ""
        text = json.dumps([run.dag_id, run.run_id, run.order, self.step, *said])
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def _standing_facts(self) -> CustodyFacts:
        """Who, by which authority, whose clock, with what, by which AWS requests: the same for all events of a step."""
        case = self.case
        identity = {"source_identity": case.case_id, "step": self.step, "run_id": case.run_id or ""}
        if case.requester:
            identity["requester"] = case.requester
        requests = take()
        return CustodyFacts(
            identity=identity,
            authority=case.reason or f"finding {case.finding_key} from {case.source}",
            time_source="clock of the process that wrote the event, UTC",
            tool={"name": "ec2-forensics", "version": __version__},
            **({"request_ids": requests} if requests else {}),
        )

    def sign_ledger(self, phase: str) -> dict[str, str]:
        """Sign the ledger's head at the end of a phase."""
        signed = self.gateways.ledger.sign_head(self.case_id, phase=phase, evidence=self.gateways.evidence)
        if why := signed.get("no_timestamp"):
            self.note(
                f"the ledger's head ({phase}) was signed without a trusted time: {why}", kind=TimelineKind.CUSTODY
            )
        return signed

    def announce(
        self,
        event: str,
        headline: str,
        *,
        lines: Sequence[str] = (),
        facts: Mapping[str, object] | None = None,
        once: bool = True,
        routine: bool = False,
        with_held: bool = False,
        same: str = "",
    ) -> None:
        """Notify people of a milestone, by default once per case.

        ``once=False``: each time, but the same words of a step once in all tries that Airflow makes of it (``same``: what counts
        instead of the words). ``routine``: nobody has to act on it, it is a line of the case's next digest. ``with_held``: the lines that wait for
        one go with this message.
        """
        notices = self.notices
        if routine and notices.hold(self.case, event, headline, once=once):
            return
        mark = "" if once else self._once_in_order([event, headline, same] if same else [event, headline, *lines])
        told, once = (f"{event}:{mark}", True) if mark else (event, once)
        try:
            notices.tell(
                self.case, told, headline, lines=lines, facts=facts, once=once, with_held=with_held, name=event
            )
        except ForensicsError as error:
            # A message that cannot be sent must not stop the acquisition; it makes the case incomplete instead.
            self.mark_failed(f"notify:{event}", error)
            return
        self.clear_failed(f"notify:{event}")

    def keep_line(self) -> None:
        """Keep the line by which the board finds the case; it shows nothing of a case without it, so that no step fails for it."""
        try:
            keep_line(self.gateways.store, self.case_id)
        except (ForensicsError, ValueError) as error:
            log.warning("the board's line was not written", case_id=self.case_id, error=str(error))

    def mark_failed(self, step: str, error: ForensicsError) -> None:
        """Record that a part of a step failed, without a message; it is a gap of the case until it is cleared."""
        failure = StepFailure(step=step, cause=str(error), next_action=error.next_action, at=datetime.now(UTC))
        self.gateways.store.fail(self.case_id, failure)

    def clear_failed(self, step: str) -> None:
        """Remove the failure of a step, or of a part of one, that has succeeded since."""
        self.gateways.store.clear_failure(self.case_id, step)

    def fail(self, failure: StepFailure) -> None:
        """Record a step's failure and notify people: the step, the cause, what to do next."""
        self.gateways.store.fail(self.case_id, failure)
        self.note(f"FAILED {failure.step}: {failure.cause[:500]}", kind=TimelineKind.FAILURE)
        self.announce(
            f"failed:{failure.step}",
            f"FAILED: {failure.step}",
            lines=[f"Cause: {failure.cause}", f"What to do next: {failure.next_action}"],
            facts={"step": failure.step, "cause": failure.cause[:2000], "next_action": failure.next_action},
            once=False,
        )


def open_recorder(hook: Sessions, case_id: str, *, step: str, person: str = "") -> CaseRecorder:
    """The recorder of a case for one of its steps, evidence under the custodian's role."""
    case = CaseStore.of(hook.own(), hook.settings).case(case_id)
    settings = hook.for_case(case).settings
    gateways = CaseGateways.of(hook.own(), hook.forensic(case_id, "custodian"), settings, person=person)
    return CaseRecorder(
        case,
        gateways,
        step=step,
        ui_url=settings.ui_url,
        digest_minutes=settings.digest_minutes,
    )
