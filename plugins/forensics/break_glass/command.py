"""``forensics break-glass``: a case by a person's own roles while Airflow is down (docs/break-glass.md)."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from forensics import case_keys
from forensics.aws.caller import caller_arn
from forensics.aws.case_store import CaseStore
from forensics.aws.sessions import Sessions
from forensics.break_glass.acts import BreakGlass, Waits, open_cases
from forensics.break_glass.settings_file import HOW, read_settings
from forensics.break_glass.signed_approval import ApprovalStatement, key_of, person_of, sign, valid_until
from forensics.case.containment_summary import describe
from forensics.case.gaps import gaps
from forensics.containment.approval_record import question_on_record
from forensics.containment.plan import plan_digest
from forensics.containment.plan_text import call_lines
from forensics.containment.release_plan import release_digest
from forensics.errors import ApprovalError, ForensicsError
from forensics.models.approval import ApprovalSubject
from forensics.models.base import CASE_ID_FORM
from forensics.models.containment import ContainmentPlan, ContainmentResult, ReleasePlan, ReleaseResult
from forensics.models.evidence import Outcome
from forensics.printable import visible
from forensics.report import headline
from forensics.report.next_steps import next_steps

DONE, NOT_DONE, REFUSED, WAITS, INTERRUPTED = 0, 1, 4, 6, 130
HELP = """\
Works with a case while Airflow is down: your own roles, the same code, every act in the custody ledger.

First, as the role break-glass (with MFA):   forensics break-glass --profile break-glass show CASE
Then:                                        forensics break-glass --profile break-glass contain CASE --reason "…"

A release, and a containment that policy did not decide, take a second person: the command says what they run (as the role
break-glass-approve), they send back one line, and you repeat your command with --approval LINE.

Exit status: 0 done; 1 not done, or not complete; 2 wrong command line; 4 refused; 6 waits for the second person; 130 Ctrl-C.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    given = _parser().parse_args(arguments)
    try:
        if given.profile:
            os.environ["AWS_PROFILE"] = given.profile
        status: int = given.do(Sessions(read_settings(given.settings)), given)
    except ForensicsError as error:
        _tell(f"Error: {error.message}\n  What to do next: {error.next_action}")
        return REFUSED if isinstance(error, ApprovalError) else NOT_DONE
    except FileExistsError as error:
        _tell(f"Error: {error.filename} exists\n  What to do next: name another file with --to")
        return NOT_DONE
    except KeyboardInterrupt:
        _tell("stopped; what was done is in the ledger, and the same command goes on from there")
        return INTERRUPTED
    return status


def _parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="forensics break-glass", description=HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    kept = Path(os.environ.get("FORENSICS_SETTINGS", "forensics-settings.json"))
    made.add_argument("--settings", type=Path, default=kept, help=f"the deployment's settings as JSON ({HOW})")
    made.add_argument("--profile", default="", help="AWS profile of the role")
    commands = made.add_subparsers(title="commands", required=True, metavar="COMMAND")
    commands.add_parser("list", help="the open cases").set_defaults(do=_list)
    for name, do, text in (
        ("show", _show, "a case: state, containment, gaps, what to do next"),
        ("contain", _contain, "isolate the target by the case's plan"),
        ("release", _release, "bring the target back to its signed restore point"),
        ("approve", _approve, "as the second person: sign what the first one asks"),
        ("export", _export, "write the bundle"),
        ("verify", _verify, "check ledger, signature and restore point"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("case", type=_case_id)
        command.set_defaults(do=do)
        if name in {"contain", "release"}:
            command.add_argument("--reason", required=True, help="why; goes into the ledger")
            command.add_argument("--approval", default="", metavar="LINE", help="what the second person sent")
        if name == "approve":
            command.add_argument("subject", choices=["containment", "release"])
            command.add_argument("digest", help="the plan, as the first person's command names it")
        if name == "export":
            command.add_argument("--for", dest="recipient", required=True, help="who gets it; goes into the ledger")
            command.add_argument(
                "--largest-mib", type=int, default=1024, help="larger objects are listed only; 0: all go in"
            )
            command.add_argument("--to", type=Path, help="file to write a copy to")
    return made


def _case_id(text: str) -> str:
    if not CASE_ID_FORM.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a case id: they look like fc-20261124-0a1b2c3d4e")
    return text


# ---------------------------------------------------------------------- what each does
def _list(sessions: Sessions, given: argparse.Namespace) -> int:
    for case in open_cases(sessions):
        _say(f"{case.case_id}  {case.severity}  {case.account_id} {case.region} {case.instance_id}  {case.title}")
    return DONE


def _show(sessions: Sessions, given: argparse.Namespace) -> int:
    view = BreakGlass(sessions, given.case).recorder("show").view()
    _say(f"{view.case.case_id}: {view.case.title}")
    _say(f"  {headline.status_words(view)}")
    _say(f"  {describe(view).sentence}")
    _say(f"  {headline.evidence_sentence(view)}")
    _say(f"  {headline.findings_sentence(view)}")
    for gap in gaps(view):
        _say(f"  gap: {gap}")
    for step in next_steps(view):
        _say(f"  to do{' now' if step.urgent else ''}: {step.do} ({step.why})")
    return DONE


def _contain(sessions: Sessions, given: argparse.Namespace) -> int:
    made = BreakGlass(sessions, given.case, reason=given.reason).contain(approval=given.approval)
    return _waits(given, made) if isinstance(made, Waits) else _ended(made)


def _release(sessions: Sessions, given: argparse.Namespace) -> int:
    made = BreakGlass(sessions, given.case, reason=given.reason).release(approval=given.approval)
    if made is None:
        _say("nothing differs from the restore point: nothing is changed")
        return DONE
    return _waits(given, made) if isinstance(made, Waits) else _ended(made)


def _ended(result: ContainmentResult | ReleaseResult) -> int:
    if isinstance(result, ContainmentResult):
        _say(f"containment: {result.state.value}, {result.outcome.value}")
    else:
        _say(f"release: {result.outcome.value}, approved by {result.approved_by}")
    for step in result.steps:
        _say(f"  {'done' if step.done else 'FAILED'}  {step.name} on {step.target}: {step.detail}")
    if result.outcome is not Outcome.DONE:
        _say(f"not complete: {result.reason}\nWhat to do next: remove the cause and run the same command again")
    return DONE if result.outcome is Outcome.DONE else NOT_DONE


def _waits(given: argparse.Namespace, waits: Waits) -> int:
    """What the second person runs, and what follows."""
    for line in waits.lines:
        _say(f"  would: {line}")
    for reason in waits.reasons:
        _say(f"  because: {reason}")
    _say("Nothing is done yet. Another person, as the role break-glass-approve:")
    _say(f"  forensics break-glass approve {given.case} {waits.subject.value} {waits.digest}")
    _say("They send you one line; then repeat your command with --approval LINE.")
    return WAITS


def _approve(sessions: Sessions, given: argparse.Namespace) -> int:
    """Show the plan on record and sign it; the line is the only thing on standard output."""
    own, settings = sessions.own(), sessions.settings
    store, subject = CaseStore.of(own, settings), ApprovalSubject(given.subject)
    question = question_on_record(store, given.case, subject)
    if question is None or not question.open or question.digest != given.digest:
        found = question.digest if question is not None and question.open else "none"
        msg = f"the open question about the {given.subject} of case {given.case} is not about this plan ({found})"
        raise ApprovalError(msg, next_action="compare the digest with the first person's, who asks again if need be")
    person = person_of(caller_arn(sessions))
    if question.askers.include(person):
        raise ApprovalError(
            f"{person} asked for it and may not approve it", next_action="let another person approve it"
        )
    _tell(
        f"You are {person}. Asked by {', '.join(map(str, question.askers.known))}; case {given.case}, {given.subject}:"
    )
    for line in _plan_lines(store, given.case, subject, given.digest):
        _tell(f"  {line}")
    if sys.stdin.isatty() and input("Type the first 8 characters of the digest to approve: ") != given.digest[:8]:
        raise ApprovalError("not approved", next_action="nothing was signed")
    statement = ApprovalStatement(
        case_id=given.case, subject=subject, digest=given.digest, run_id=question.run_id, by=str(person.id),
        expires_at=valid_until(datetime.now(UTC), seconds=settings.approval_valid_seconds),
    )  # fmt: skip
    _say(sign(statement, key_of(own)))
    return DONE


def _plan_lines(store: CaseStore, case_id: str, subject: ApprovalSubject, digest: str) -> list[str]:
    """The calls of the plan on record. Raises :class:`ApprovalError` when its own digest is another one."""
    if subject is ApprovalSubject.RELEASE:
        release = store.get(case_id, case_keys.RELEASE_PLAN, ReleasePlan)
        calls, stated = (list(release.calls), release_digest(release.calls)) if release else ([], "")
    else:
        plan = store.get(case_id, case_keys.CONTAINMENT_PLAN, ContainmentPlan)
        calls, stated = ([step.call for step in plan.steps], plan_digest(plan.steps)) if plan else ([], "")
    if stated != digest:
        msg = f"the recorded plan of case {case_id} is not the one with this digest"
        raise ApprovalError(
            msg, next_action="nothing was signed; find out who changed it, then let the first person ask again"
        )
    return call_lines(calls)


def _export(sessions: Sessions, given: argparse.Namespace) -> int:
    made = BreakGlass(sessions, given.case).export(
        recipient=given.recipient, largest_mib=given.largest_mib or None, to=given.to
    )
    for name, value in made.items():
        _say(f"{name}: {value}")
    return DONE


def _verify(sessions: Sessions, given: argparse.Namespace) -> int:
    for name, value in BreakGlass(sessions, given.case).verify().items():
        _say(f"{name}: {value}")
    return DONE


def _say(text: str) -> None:
    print("\n".join(visible(line) for line in text.split("\n")), flush=True)


def _tell(text: str) -> None:
    print("\n".join(visible(line) for line in text.split("\n")), file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
