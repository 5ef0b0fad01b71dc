"""Doing: ``start``, ``release``, ``export``, ``preflight``. Each starts a run of a DAG, and waits for it where that is asked."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from forensics_cli import cases
from forensics_cli.api import Api, Document
from forensics_cli.faults import CommandError, Exit, NotFound
from forensics_cli.printing import as_json, plain, say, table, tell
from forensics_cli.watching import CASE_DAG, Watch, checked_pace

if TYPE_CHECKING:
    pass

RELEASE_DAG, EXPORT_DAG, PREFLIGHT_DAG = "forensic_release", "case_export", "forensic_preflight"
# As the form of the DAG has them; Airflow checks them again.
ACTIONS = ("by-policy", "memory+disk+isolate", "memory+disk", "disk+isolate", "memory", "disk", "isolate")
SUBJECT = re.compile(r"(i|snap|ami)-([0-9a-f]{8}|[0-9a-f]{17})")
# How the preflight's report names the state of a line (its OpenAPI document: CheckStatus).
BROKEN, OK, NOT_TRIED = "broken", "ok", "not tried"
GOES_ON = "the run goes on; see it in Airflow, or watch it again"


def add(commands: cases.Commands) -> None:
    """Add the commands that start something."""
    started = commands.add_parser("start", help="open a case about an instance, a snapshot or a machine image")
    started.add_argument("subject", type=_subject, metavar="ID", help="i-…, snap-… or ami-…")
    started.add_argument("--account", required=True, type=account_id, help="its account, 12 digits")
    started.add_argument("--in-region", required=True, help="its Region, for example eu-central-1")
    started.add_argument(
        "--actions", default="by-policy", choices=ACTIONS, help="default: triage decides, and may isolate"
    )
    _why(started)
    add_waiting(started, "follow the case to its end")
    started.set_defaults(do=start)
    released = commands.add_parser("release", help="ask for the release of a case's target; another person approves it")
    released.add_argument("case", type=cases.case_id)
    released.add_argument("--dry-run", action="store_true", help="only show what would be changed, in the task's log")
    _why(released)
    add_waiting(released, "wait until it was carried out or refused")
    released.set_defaults(do=release)
    exported = commands.add_parser("export", help="write a case's bundle for people outside")
    exported.add_argument("case", type=cases.case_id)
    exported.add_argument("--for", dest="recipient", default="", help="who gets it; recorded in the custody ledger")
    exported.add_argument(
        "--largest-mib", type=int, default=1024, help="larger objects are listed by digest; 0: all go in"
    )
    add_waiting(exported, "wait until it is written")
    exported.set_defaults(do=export)
    tried = commands.add_parser("preflight", help="would a case succeed today? starts it, waits, shows what is broken")
    tried.add_argument(
        "--full", action="store_true", help="also make a group, and try a spare instance where one is named"
    )
    tried.add_argument("--instance", default="", help="the spare instance")
    tried.add_argument("--account", default="", help="its account")
    tried.add_argument("--in-region", default="", help="its Region")
    tried.add_argument("--last", action="store_true", help="show the last result and start nothing")
    tried.add_argument("--every", type=float, default=5.0, help="seconds between two looks (default 5)")
    tried.add_argument("--json", action="store_true", help="write the report as JSON")
    tried.set_defaults(do=preflight, after_interrupt=GOES_ON)


def _why(made: argparse.ArgumentParser) -> None:
    made.add_argument("--reason", default="", help="why; goes into the custody ledger")
    made.add_argument("--requester", default="", help="name or ticket; who you are is known to Airflow")


def add_waiting(made: argparse.ArgumentParser, what: str) -> None:
    """Options of a command that may wait for its run."""
    made.add_argument("--wait", action="store_true", help=what)
    made.add_argument("--every", type=float, default=5.0, help="seconds between two looks (default 5)")
    made.add_argument("--json", action="store_true", help="write JSON")
    made.set_defaults(after_interrupt=GOES_ON)


def start(api: Api, given: argparse.Namespace) -> Exit:
    """Open a case."""
    conf = {
        "instance_id": given.subject,
        "account_id": given.account,
        "region": given.in_region,
        "actions": given.actions,
    }
    run = start_run(api, CASE_DAG, {**conf, "reason": given.reason, "requester": given.requester})
    run_id = str(run["dag_run_id"])
    if not given.wait:
        say_started(api, run, given, hint=f"forensics watch {run_id}")
        return Exit.GOOD
    following = Watch(api, checked_pace(given.every))
    case = following.opened(run_id)
    tell(f"case {case}: {api.case_page(case)}")
    report = following.case(case)
    if given.json:
        as_json(report)
    else:
        cases.print_report(report, page=api.case_page(case))
    return cases.good(report)


def release(api: Api, given: argparse.Namespace) -> Exit:
    """Ask for a release. With ``--wait``, good means that the target is as it was before the containment."""
    conf = {"case_id": given.case, "dry_run": given.dry_run, "reason": given.reason, "requester": given.requester}
    run = start_run(api, RELEASE_DAG, conf)
    if not given.wait:
        hint = (
            "the calls are in the log of plan_release"
            if given.dry_run
            else "another person than you answers it under Required Actions"
        )
        say_started(api, run, given, hint=hint)
        return Exit.GOOD
    return _ended(api, RELEASE_DAG, run, given, last="plan_release" if given.dry_run else "release_target")


def export(api: Api, given: argparse.Namespace) -> Exit:
    """Write a bundle."""
    if given.largest_mib < 0:
        raise CommandError(
            "--largest-mib is below 0", next_action="0 puts everything into the bundle", status=Exit.USAGE
        )
    conf = {"case_id": given.case, "requester": given.recipient, "largest_mib": given.largest_mib}
    run = start_run(api, EXPORT_DAG, conf)
    if not given.wait:
        say_started(api, run, given, hint="the notice of the case names the bundle when it is written")
        return Exit.GOOD
    return _ended(api, EXPORT_DAG, run, given, last="export_case")


def preflight(api: Api, given: argparse.Namespace) -> Exit:
    """Run the preflight and show its lines; BAD when something is broken."""
    part, since = ("full" if given.full else "quick"), None
    if not given.last:
        conf = {"part": part, "account_id": given.account, "region": given.in_region, "instance_id": given.instance}
        run = start_run(api, PREFLIGHT_DAG, conf)
        # the report is stored by the run, whose end says nothing more: something broken fails it
        since = Watch(api, checked_pace(given.every)).run(PREFLIGHT_DAG, str(run["dag_run_id"]))["start_date"]
    report = _report(api.preflight(), part=part, since=since)
    if given.json:
        as_json(report)
    else:
        _print_lines(report)
    return Exit.GOOD if report["counts"][BROKEN] == 0 else Exit.BAD


def _report(answer: Document, *, part: str, since: str | None) -> Document:
    found = [r for r in answer["reports"] if since is None or r["part"] == part]
    newest: Document | None = max(found, key=lambda r: str(r["at"]), default=None)
    if newest is None:
        raise NotFound("there is no result of a preflight", next_action="start it: forensics preflight")
    if since and datetime.fromisoformat(newest["at"]) < datetime.fromisoformat(since):
        raise CommandError(
            "the run has stored no result", why=f"the newest is of {newest['at']}", status=Exit.BAD,
            next_action=f"read the log of run_preflight in the DAG {PREFLIGHT_DAG}",
        )  # fmt: skip
    return newest


def _print_lines(report: Document) -> None:
    wrong = [line for line in report["results"] if line["status"] != OK]
    for line in wrong:
        say(f"{line['status']}  {plain(line['check'])} {plain(line['subject'])}: {plain(line['detail'])}")
        if line["next_action"]:
            say(f"  What to do next: {plain(line['next_action'])}")
    counts = report["counts"]
    table([(report["at"], report["part"], *(counts[n] for n in (BROKEN, OK, NOT_TRIED)))], ("AT", "PART", "BROKEN", "IN ORDER", "NOT TRIED"))  # fmt: skip


def start_run(api: Api, dag_id: str, conf: Mapping[str, object]) -> Document:
    """Start a run without the fields that were left empty: the DAG's own defaults count for them."""
    run = api.start(dag_id, {name: value for name, value in conf.items() if value not in ("", None)})
    tell(f"started {run['dag_run_id']}: {api.run_page(dag_id, str(run['dag_run_id']))}")
    return run


def say_started(api: Api, run: Document, given: argparse.Namespace, *, hint: str) -> None:
    """Say which run was started, and what comes next."""
    if given.json:
        as_json({"dag_id": run["dag_id"], "run_id": run["dag_run_id"], "state": run["state"]})
        return
    say(str(run["dag_run_id"]))
    tell(hint)


def _ended(api: Api, dag_id: str, run: Document, given: argparse.Namespace, *, last: str) -> Exit:
    """Wait for a run's end; good when its last step was carried out (skipped is not: nothing was changed)."""
    run_id = str(run["dag_run_id"])
    ended = Watch(api, checked_pace(given.every)).run(dag_id, run_id)
    states = {task["task_id"]: task["state"] for task in api.tasks(dag_id, run_id)}
    done = states.get(last) == "success" or (getattr(given, "dry_run", False) and ended["state"] == "success")
    if given.json:
        as_json({"dag_id": dag_id, "run_id": run_id, "state": ended["state"], "tasks": states, "done": done})
    else:
        say(f"{dag_id}: {ended['state']}; {', '.join(f'{name} {state}' for name, state in states.items())}")
        if not done:
            say(f"What to do next: read the log of {last}: {api.run_page(dag_id, run_id)}")
    return Exit.GOOD if done else Exit.BAD


def _subject(text: str) -> str:
    if not SUBJECT.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no id of an instance, snapshot or image: i-0123456789abcdef0")
    return text


def account_id(text: str) -> str:
    """An account\'s id, as an argument."""
    if not re.fullmatch(r"\d{12}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no account: 12 digits")
    return text
