"""What people do with a case when Airflow is down: the services that the pipeline's steps call, under the person's own roles.

Every act is in the custody ledger with the person's ARN. What a second person has to approve does nothing before it is approved.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from forensics import case_keys
from forensics.aws.caller import caller_arn
from forensics.aws.s3_archive import EvidenceArchive
from forensics.aws.sessions import Sessions
from forensics.break_glass.signed_approval import key_of, person_of, read, why_not_good
from forensics.case.persons import StepRun
from forensics.case.recorder import CaseRecorder, open_recorder
from forensics.containment.announcements import announce_incomplete, announce_isolated
from forensics.containment.approval import AnswerRules, HumanResponse, Responder
from forensics.containment.approval_record import Approvals
from forensics.containment.call_runner import ContainmentGateway
from forensics.containment.isolation import TargetIsolation
from forensics.containment.plan import plan_digest, with_requested_approval
from forensics.containment.planner import ContainmentPlanner
from forensics.containment.policy import ContainmentPolicy
from forensics.containment.release import TargetRelease
from forensics.containment.release_plan import release_digest, unapproved_calls
from forensics.containment.restore_points import RestorePoints
from forensics.errors import ApprovalError, ContainmentError, CustodyError
from forensics.models.approval import Approval, ApprovalSubject, Askers, Person
from forensics.models.case import Case
from forensics.models.containment import ContainmentResult, ReleasePlan, ReleaseResult
from forensics.models.custody import CustodyAction
from forensics.models.evidence import Outcome
from forensics.models.plan import Action, ApprovalRequirement, Decision, ResponsePlan
from forensics.naming import case_prefix
from forensics.printable import one_line
from forensics.report.handover import export_case

RUN = "break-glass__"
APPROVE = "Approve"


@dataclass(frozen=True)
class Waits:
    """A question that the second person has to answer before anything is done; ``lines`` is what would be done."""

    subject: ApprovalSubject
    digest: str
    run_id: str
    reasons: tuple[str, ...]
    lines: tuple[str, ...]


class BreakGlass:
    """One person's acts on one case. ``reason`` goes into the ledger with each of them."""

    def __init__(self, sessions: Sessions, case_id: str, *, reason: str = "") -> None:
        self._sessions = sessions
        self._settings = sessions.settings
        self._case_id = case_id
        self._reason = one_line(reason)
        self.person: Person = person_of(caller_arn(sessions))
        self._key = key_of(sessions.own())

    def recorder(self, act: str) -> CaseRecorder:
        """The case's recorder for one act."""
        return open_recorder(self._sessions, self._case_id, step=f"break_glass.{act}", person=str(self.person.id))

    def _enter(self, recorder: CaseRecorder, what: str) -> None:
        """The ledger has the act before it begins."""
        recorder.custody(
            CustodyAction.BREAK_GLASS_USED,
            detail={"act": what, "by": self.person.id or "", "reason": self._reason},
            once=f"break-glass-{what}-{datetime.now(UTC).isoformat()}",
        )

    # ------------------------------------------------------------------ contain
    def contain(self, *, approval: str = "") -> ContainmentResult | Waits:
        """Contain the target by the case's plan.

        One person is enough where the response plan isolates without asking. Where it asks, does not isolate, or was never made, a
        second person approves.
        """
        recorder = self.recorder("contain")
        response = _response(recorder.plan(), self.person, self._reason)
        gateway = ContainmentGateway.of(self._sessions.for_case(recorder.case).target("contain"))
        planner = ContainmentPlanner(recorder, gateway, self._settings, response=response)
        plan = planner.complete(*planner.prepare())
        plan = with_requested_approval(plan, policy=ContainmentPolicy.of(self._settings, response))
        _check_digest(plan.digest, plan_digest(plan.steps), self._case_id)
        self._enter(recorder, "contain")
        if plan.approval:
            lines = tuple(f"{step.call} ({step.reason})" for step in plan.steps)
            waits = self._approved(recorder, ApprovalSubject.CONTAINMENT, plan.digest, approval, plan.approval, lines)
            if waits is not None:
                return waits
        return self._isolate(recorder, TargetIsolation(recorder, gateway, self._settings, response=response))

    def _isolate(self, recorder: CaseRecorder, isolation: TargetIsolation) -> ContainmentResult:
        result = isolation.isolate()
        if result.outcome is Outcome.DONE:
            announce_isolated(recorder, result)
        elif result.outcome in {Outcome.PARTIAL, Outcome.FAILED}:
            announce_incomplete(recorder, result)
        recorder.keep_line()
        return result

    # ------------------------------------------------------------------ release
    def release(self, *, approval: str = "") -> ReleaseResult | Waits | None:
        """Release the target to its signed restore point, approved by a second person; None when nothing differs from it."""
        recorder = self.recorder("release")
        original = RestorePoints(recorder).verified()
        gateway = ContainmentGateway.of(self._sessions.for_case(recorder.case).target("release"))
        release = TargetRelease(recorder, gateway, self._settings, original=original)
        plan = recorder.get(case_keys.RELEASE_PLAN, ReleasePlan) if approval else None
        if plan is None or unapproved_calls(release.settled().calls, approved=plan):
            requester, warnings = str(self.person), RestorePoints(recorder).warnings()
            plan = release.plan(requester=requester, reason=self._reason, warnings=warnings)
        if not plan.calls:
            return None
        _check_digest(plan.digest, release_digest(plan.calls), self._case_id)
        self._enter(recorder, "release")
        lines = tuple(str(call) for call in plan.calls)
        reasons = ("a release takes two people", *plan.warnings)
        waits = self._approved(recorder, ApprovalSubject.RELEASE, plan.digest, approval, reasons, lines)
        return waits or self._carry_out(recorder, release, plan)

    def _carry_out(self, recorder: CaseRecorder, release: TargetRelease, plan: ReleasePlan) -> ReleaseResult:
        approvals = Approvals(recorder, ApprovalSubject.RELEASE)
        current = approvals.current()
        if current is None:
            raise ApprovalError(f"the approval of the release of case {self._case_id} is gone", next_action="ask again")
        calls = release.pending().calls
        if new := unapproved_calls(calls, approved=plan):
            msg = f"the target changed after approval; these calls are new: {', '.join(new[:8])}"
            raise ApprovalError(msg, next_action="start again without --approval: it asks anew")
        result = release.carry_out(calls, approval=current)
        if result.outcome is Outcome.DONE:
            approvals.spend()
        recorder.keep_line()
        return result

    # ------------------------------------------------------------------ the second person
    def _approved(
        self,
        recorder: CaseRecorder,
        subject: ApprovalSubject,
        digest: str,
        line: str,
        reasons: tuple[str, ...],
        lines: tuple[str, ...],
    ) -> Waits | None:
        """None when a second person has approved this plan, and from now on it counts as in use; else what they are asked."""
        question = self._question(recorder, subject, digest)
        approvals = Approvals(recorder, subject)
        if question.open and line:
            self._answer(recorder, approvals, question, line)
        elif question.open:
            return Waits(subject, digest, question.run_id, reasons, lines)
        if why := approvals.use(digest):
            raise ApprovalError(f"nothing was done: {why}", next_action="start again without --approval: it asks anew")
        return None

    def _question(self, recorder: CaseRecorder, subject: ApprovalSubject, digest: str) -> Approval:
        """The question about this plan that is on record of an earlier call, asked or answered, or a new one."""
        approvals, now = Approvals(recorder, subject), datetime.now(UTC)
        known = approvals.current()
        if known is not None and known.run_id.startswith(RUN) and known.digest == digest:
            in_time = known.open and (known.until is None or now < known.until)
            if in_time or known.why_not_usable(digest=digest, run_id=known.run_id, now=now) is None:
                recorder.run = self._run(known.run_id)
                return known
        recorder.run = self._run(f"{RUN}{now:%Y%m%dT%H%M%S.%fZ}")
        wait = timedelta(seconds=self._settings.approval_timeout_seconds)
        return approvals.ask(digest, askers=recorder.run.askers, two_persons=True, wait=wait)

    def _run(self, run_id: str) -> StepRun:
        return StepRun(run_id=run_id, dag_id="break_glass", askers=Askers(known=(self.person,)))

    def _answer(self, recorder: CaseRecorder, approvals: Approvals, question: Approval, line: str) -> None:
        """Record the second person's answer. Raises :class:`ApprovalError` when it does not count."""
        statement = read(line, self._key)
        askers = (*question.askers.known, self.person)
        for asker in askers:
            why = why_not_good(
                statement, case_id=self._case_id, subject=approvals.subject,
                digest=question.digest, run_id=question.run_id, asker=asker, now=datetime.now(UTC),
            )  # fmt: skip
            if why:
                raise ApprovalError(f"the approval does not count: {why}", next_action="ask the second person again")
        person = statement.person
        response = HumanResponse(
            chosen_options=(APPROVE,), responded_by_user=Responder(id=person.id, name=person.login)
        )
        valid = min(timedelta(seconds=self._settings.approval_valid_seconds), statement.expires_at - datetime.now(UTC))
        answered = approvals.answer(
            response, digest=question.digest, rules=AnswerRules(accept=APPROVE, two_persons=True, valid=valid)
        )
        if not answered.granted:
            raise ApprovalError(f"not approved: {answered.reason}", next_action="ask the second person again")

    # ------------------------------------------------------------------ hand over and check
    def export(self, *, recipient: str, largest_mib: int | None, to: Path | None = None) -> dict[str, object]:
        """Write the case's bundle into the evidence store, and a copy to a file; returns uri, sha256, bytes, fingerprint."""
        recorder = self.recorder("export")
        self._enter(recorder, "export")
        archive = EvidenceArchive.of(self._sessions.forensic(self._case_id, "custodian"), self._settings)
        made = export_case(recorder, archive=archive, requester=recipient, largest_mib=largest_mib)
        if to is not None:
            _fetch(archive, case_id=self._case_id, uri=str(made["uri"]), to=to)
        return made

    def verify(self) -> dict[str, object]:
        """Recompute the ledger's chain, check that a signed head covers it, and that the restore point is the sealed one.

        Raises :class:`CustodyError` naming the first difference.
        """
        recorder = self.recorder("verify")
        ledger = recorder.gateways.ledger
        events, head = ledger.verified(self._case_id)
        signed = max((s.seq for s in ledger.signed_heads(self._case_id)), default=0)
        if not signed:
            raise CustodyError(f"no head of the ledger of {self._case_id} is signed", next_action="compare with custody/ in the evidence store")  # fmt: skip
        ledger.check_signature(self._case_id, covers=signed)
        contained = RestorePoints(recorder).get() is not None
        if contained:
            RestorePoints(recorder).verified()
        return {
            "events": len(events),
            "head": head,
            "signed_up_to": signed,
            "restore_point": "sealed" if contained else "none",
        }


def open_cases(sessions: Sessions) -> Iterator[Case]:
    """The cases that have not ended."""
    from forensics.aws.case_store import CaseStore

    store = CaseStore.of(sessions.own(), sessions.settings)
    for case_id in store.open_cases():
        yield store.case(case_id)


def _check_digest(stated: str, found: str, case_id: str) -> None:
    """People approve a plan by its digest: one whose digest is another one was changed after it was made."""
    if stated != found:
        msg = f"the recorded plan of case {case_id} is not the one that its digest names: nothing is done"
        raise CustodyError(msg, next_action="find out who changed the case store (CloudTrail, the ledger archive)")


def _response(recorded: ResponsePlan | None, person: Person, reason: str) -> ResponsePlan:
    """The case's response plan; with the reasons for a second person where isolating is a person's decision and not the policy's."""
    if recorded is None:
        why = "triage made no response plan: isolating is a person's order"
        return _with_approval(_ordered(person, reason), why)
    if not recorded.isolate.possible:
        msg = f"the target cannot be isolated: {'; '.join(recorded.isolate.reasons)}"
        raise ContainmentError(msg, next_action="isolate it manually (docs/containment.md)")
    if not recorded.isolate.wanted:
        return _with_approval(recorded, f"policy does not isolate: {'; '.join(recorded.isolate.reasons)}")
    return recorded


def _with_approval(response: ResponsePlan, why: str) -> ResponsePlan:
    needed = ApprovalRequirement(required=True, reasons=(*response.approval.reasons, why))
    return response.model_copy(update={"approval": needed})


def _ordered(person: Person, reason: str) -> ResponsePlan:
    """A plan that isolates and does nothing else, where triage has made none. It is not recorded: the case's own comes later."""
    why = (f"ordered by {person} without Airflow: {reason or 'no reason given'}",)
    nothing = {action: Decision(action=action, wanted=False, reasons=why) for action in (Action.MEMORY, Action.DISK)}
    return ResponsePlan(
        memory=nothing[Action.MEMORY],
        disk=nothing[Action.DISK],
        isolate=Decision(action=Action.ISOLATE, wanted=True, reasons=why),
        policy_version="break-glass",
        decided_at=datetime.now(UTC),
    )


def _fetch(archive: EvidenceArchive, *, case_id: str, uri: str, to: Path) -> None:
    """Write a stored object of the case to a file that did not exist."""
    found = next((v for v in archive.versions(f"{case_prefix(case_id)}bundle/") if v.uri == uri), None)
    if found is None:
        raise CustodyError(f"{uri} is not listed in the evidence store", next_action="export again")
    with to.open("xb") as file:
        for chunk in archive.stream(found):
            file.write(chunk)
