"""What containment tells people: timeline entries and messages, in one place."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from forensics.case.addresses import question_page
from forensics.case.containment_advice import next_action
from forensics.case.recorder import CaseRecorder
from forensics.containment.plan_text import manual_lines
from forensics.containment.question_text import QuestionText, clock, said_lines, who_may
from forensics.errors import HeldElsewhereError
from forensics.models.approval import Approval
from forensics.models.case import Milestone, TimelineKind
from forensics.models.containment import ContainmentPlan, ContainmentResult, PlanPreflight, PreflightAnswer
from forensics.models.target_facts import OtherContainment, OwnGroup
from forensics.printable import count, defanged


def note(recorder: CaseRecorder, what: str, *, at: datetime | None = None) -> None:
    """Add a line about containment to the case's timeline."""
    recorder.note(what, kind=TimelineKind.CONTAINMENT, at=at)


def announce_isolated(recorder: CaseRecorder, result: ContainmentResult) -> None:
    """The target is isolated: milestone, timeline, message, signed ledger."""
    recorder.milestone(Milestone.CONTAINED, result.contained_at)
    note(recorder, f"target isolated: {result.state.value} (group {result.group_id})", at=result.contained_at)
    recorder.announce(
        "contained",
        f"Target isolated: {result.state.value}",
        lines=[
            *[f"Not proven: {residual}" for residual in result.residuals],
            *[f"Failed: {step}" for step in failed_steps(result)],
            *[f"Manual step: {line}" for line in manual_lines(result.manual_steps)],
        ],
        facts={"state": result.state.value, "group_id": result.group_id},
    )
    recorder.sign_ledger("containment")


def announce_incomplete(recorder: CaseRecorder, result: ContainmentResult) -> None:
    """Isolation is incomplete; Airflow tries again. Once for an open network, and once for what is open after that."""
    event, headline = "containment_partial", f"Containment is PARTIAL: {result.state.value}"
    if result.network_closed:
        event, headline = "containment_open_items", "Network closed, containment is PARTIAL"
        if result.credentials_open:
            headline = "Network closed, credentials still valid: PARTIAL"
    recorder.announce(
        event,
        headline,
        lines=[
            f"Open: {result.reason}",
            f"Changes that succeeded stay in place, and the step is tried again. If this persists: {next_action(result)}.",
        ],
        facts={
            "state": result.state.value,
            "outcome": result.outcome.value,
            "network_closed": result.network_closed,
            "credentials_open": list(result.credentials_open),
            "next_action": next_action(result),
        },
    )


def announce_gone(recorder: CaseRecorder, result: ContainmentResult, *, state: str) -> None:
    """The target ended before it could be isolated."""
    note(recorder, f"not isolated: {result.reason}")
    recorder.announce("target_gone", f"The target is {state}: it ended before isolation", lines=[str(result.reason)])


def announce_held(recorder: CaseRecorder, reason: str) -> None:
    """Another deployment has contained the target: it stays as it is."""
    recorder.announce(
        "held_elsewhere",
        "Contained already, by another deployment",
        lines=[
            f"{reason}. Every network interface was read in its empty group: this deployment does not contain it a second time and undoes nothing.",
            "Its credentials are that case's to end: see there. Evidence is acquired here as far as a closed network lets it.",
            f"What to do: {HeldElsewhereError.default_action}, if it has to stay closed then. When the other deployment opens it, you are told.",
            "You know no such deployment? Then somebody imitates one: isolate the instance manually, and look who made that group.",
        ],
        facts={"reason": reason},
    )


def announce_imitation(recorder: CaseRecorder, other: OtherContainment) -> None:
    """A group looks like another deployment's quarantine group, and no such deployment is known."""
    note(
        recorder,
        f"ALERT: a group looks as if {other} had contained the target; the setting other_deployments does not name it",
    )
    recorder.announce(
        f"imitation:{other.deployment}:{other.case_id}",
        "ALERT: closed by an unknown deployment",
        lines=[
            f"Every network interface is alone in an empty group that looks as if {other} had contained the target. Such a group keeps open connections open.",
            "The setting other_deployments does not name that deployment: the target is contained by this case as any other is.",
            "What to do: look who made the group (CloudTrail, CreateSecurityGroup). If the deployment is yours, put its id into other_deployments.",
        ],
    )


def announce_altered_groups(recorder: CaseRecorder, groups: Sequence[OwnGroup], *, token: str) -> None:
    """Somebody gave rules to the quarantine groups that this token names."""
    names = ", ".join(f"{g.id} ({g.name})" for g in groups)
    note(recorder, f"ALERT: somebody changed the quarantine group {names}; it is not used again")
    recorder.announce(
        f"group_altered:{token}",
        "ALERT: the quarantine group was changed by somebody else",
        lines=[f"Group {names} has rules that this product did not create; a new group replaces it."],
    )


def announce_refused_steps(recorder: CaseRecorder, plan: ContainmentPlan, preflight: PlanPreflight) -> None:
    """AWS would refuse calls of the plan."""
    refused = preflight.of(PreflightAnswer.REFUSED)
    recorder.announce(
        f"rehearsal:{plan.digest[:12]}",
        f"Containment would fail: {len(refused)} of {count(len(plan.steps), 'call')} would be refused",
        lines=[
            *[f"{step.name}: {step.detail}" for step in refused[:20]],
            "Nothing was changed. Give the contain role these permissions, or be ready to isolate manually.",
        ],
    )


def announce_question(
    recorder: CaseRecorder,
    event: str,
    headline: str,
    question: Approval,
    *,
    text: QuestionText,
    why: Sequence[str] = (),
) -> None:
    """A question waits for people: what, why, who may answer, where and until when."""
    note(recorder, f"approval requested until {clock(question.until)} for plan {question.digest[:12]}: {headline}")
    recorder.announce(
        event,
        f"Approval needed: {headline}",
        lines=[
            *[f"Why: {defanged(reason)}" for reason in why],
            *said_lines(text),
            *[f"{defanged(line)}." for line in who_may(question, accept=text.accept, two_persons=text.two_persons)],
            *(
                [f"{count(len(text.calls), 'call')}, each with what it opens or closes,, shown there"]
                if text.calls
                else []
            ),
            f"{where_to_answer(recorder, question)}; no answer means: {text.default}",
        ],
        facts={"plan_digest": question.digest, **_facts(recorder, question)},
        once=False,
        same=question.digest,  # a try that died and asks again has only a later end
    )


def announce_not_counted(recorder: CaseRecorder, question: Approval) -> None:
    """An answer did not count, or not alone: the others hear that the question is still theirs."""
    recorder.announce(
        "approval_still_open",
        "Still open: another person has to answer",
        lines=[f"{defanged(question.reason)}.", where_to_answer(recorder, question)],
        facts={"plan_digest": question.digest, "reason": question.reason[:500], **_facts(recorder, question)},
        once=False,
    )


def where_to_answer(recorder: CaseRecorder, question: Approval) -> str:
    """Where and until when a question is answered."""
    if url := _question_url(recorder, question):
        return f"Answer until {clock(question.until)} here: {url}"
    run = f"run {question.run_id} of {recorder.run.dag_id or 'the DAG'}"
    return (
        f"Answer until {clock(question.until)} in Airflow under Browse, Required Actions: task {question.step} of {run}"
    )


def _question_url(recorder: CaseRecorder, question: Approval) -> str:
    run = recorder.run
    if not (recorder.ui_url and run.dag_id and question.run_id):
        return ""
    return question_page(recorder.ui_url, dag_id=run.dag_id, run_id=question.run_id, task_id=question.step)


def _facts(recorder: CaseRecorder, question: Approval) -> dict[str, str]:
    until = question.until.isoformat() if question.until else ""
    return {"until": until, "answer_at": _question_url(recorder, question), "run_id": question.run_id}


def announce_contain_first(recorder: CaseRecorder, open_items: Sequence[str]) -> None:
    """How the first step of a contain-first case ended; ``open_items`` is what could not be done."""
    if not open_items:
        note(
            recorder,
            "contain first: only the VPC endpoints of SSM and S3 are reachable until acquisition has ended",
        )
        return
    left = "; ".join(open_items)
    note(recorder, f"contain first: {left}")
    recorder.announce("contain_first", "The target could not be contained first", lines=[f"Open: {left}"])


def failed_steps(result: ContainmentResult) -> list[str]:
    """Steps that did not succeed, one on a line."""
    return [f"{s.name} on {s.target}: {s.detail}" for s in result.steps if not s.done]
