"""Reading: ``list``, ``show``, ``watch``, ``timeline``."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING, TypeAlias

from forensics_cli.api import Api, Document
from forensics_cli.faults import Exit, NotFound, WrongUse
from forensics_cli.printing import as_json, facts, plain, say, table
from forensics_cli.watching import Watch, checked_pace

if TYPE_CHECKING:
    Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

CASE_FORM = re.compile(r"fc-\d{8}-[0-9a-f]{10}")
FILTERS = ("status", "severity", "contained", "account", "region", "owner", "playbook", "age", "needs", "sort")
ALL_ENTRIES = 1_000_000


def case_id(text: str) -> str:
    """argparse type of a case id."""
    if not CASE_FORM.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a case id: they look like fc-20261124-0a1b2c3d4e")
    return text


def add(commands: Commands) -> None:
    """Add the commands that read."""
    listed = commands.add_parser("list", help="the cases, those that need a person first")
    listed.add_argument("text", nargs="?", default="", help="text in id, title, instance, account, Region, tags")
    for name in FILTERS:
        listed.add_argument(
            f"--{name}" if name != "region" else "--in-region", dest=f"by_{name}", default="", metavar="VALUE"
        )
    listed.add_argument("--limit", type=int, default=50, help="cases at most (default 50)")
    listed.add_argument("--json", action="store_true", help="write JSON")
    listed.set_defaults(do=list_cases)
    shown = commands.add_parser("show", help="one case: state, containment, evidence, what to do next")
    shown.add_argument("case", type=case_id)
    shown.add_argument("--json", action="store_true", help="write the whole report as JSON")
    shown.set_defaults(do=show)
    watched = commands.add_parser("watch", help="follow a case, or a run that opens one, to its end")
    watched.add_argument("case", metavar="CASE|RUN", help="id of a case, or of a run of forensic_case")
    watched.add_argument("--every", type=float, default=5.0, help="seconds between two looks (default 5)")
    watched.add_argument("--json", action="store_true", help="write the report as JSON at the end")
    watched.set_defaults(do=watch, after_interrupt="the case goes on; watch it again with the same command")
    timed = commands.add_parser("timeline", help="the merged timeline of a case, oldest first")
    timed.add_argument("case", type=case_id)
    timed.add_argument("--since", default="", help="UTC unless it names an offset: 2026-11-24T03:00")
    timed.add_argument("--until", default="", help="the same")
    timed.add_argument("--kind", default="", help="kind of entry, as the page shows it")
    timed.add_argument("--evidence", default="", help="id of the evidence that an entry is from")
    timed.add_argument("--text", default="", help="text in the entry")
    timed.add_argument("--limit", type=int, default=ALL_ENTRIES, help="entries at most")
    timed.add_argument("--json", action="store_true", help="write one JSON document")
    timed.set_defaults(do=timeline)


def list_cases(api: Api, given: argparse.Namespace) -> Exit:
    """The board."""
    asked = {"q": given.text, **{name: getattr(given, f"by_{name}") for name in FILTERS}}
    found = list(api.cases(asked, limit=_positive(given.limit)))
    if given.json:
        as_json(found)
        return Exit.GOOD
    if not found:
        say("no case")
        return Exit.GOOD
    rows = [
        (c["case"]["case_id"], c["case"]["status"], c["case"]["severity"], c["contained"] or "?", c["case"]["account_id"],
         c["case"]["instance_id"], "; ".join(c["needs"]) or "-", c["case"]["title"])
        for c in found
    ]  # fmt: skip
    table(rows, ("CASE", "STATUS", "SEVERITY", "CONTAINED", "ACCOUNT", "INSTANCE", "NEEDS A PERSON", "TITLE"))
    return Exit.GOOD


def show(api: Api, given: argparse.Namespace) -> Exit:
    """One case. The status is BAD where a case has ended with gaps or failed."""
    report = api.case(given.case)
    if given.json:
        as_json(report)
    else:
        print_report(report, page=api.case_page(given.case))
    return good(report)


def watch(api: Api, given: argparse.Namespace) -> Exit:
    """Follow a case to its end."""
    following = Watch(api, checked_pace(given.every))
    named = CASE_FORM.match(given.case)
    case = named.group() if named else following.opened(given.case)
    report = following.case(case)
    if given.json:
        as_json(report)
    else:
        print_report(report, page=api.case_page(case))
    return good(report)


def timeline(api: Api, given: argparse.Namespace) -> Exit:
    """The timeline; without a match the status says so."""
    asked = {
        "since": given.since,
        "until": given.until,
        "kind": given.kind,
        "evidence_id": given.evidence,
        "text": given.text,
    }
    entries = api.timeline(given.case, asked, limit=_positive(given.limit))
    if given.json:
        as_json({"case_id": given.case, "entries": list(entries)})
        return Exit.GOOD
    count = 0
    for count, entry in enumerate(entries, start=1):  # noqa: B007 - the last number is used below
        where = f" [{plain(entry['evidence_id'])}]" if entry["evidence_id"] else ""
        say(f"{entry['time']}  {plain(entry['kind'])}  {plain(entry['what'])}{where}")
    if not count:
        raise NotFound(f"no entry of {given.case} fits", next_action="leave options away; times are UTC")
    return Exit.GOOD


def print_report(report: Document, *, page: str) -> None:
    """What a responder asks first."""
    case, summary = report["view"]["case"], report["summary"]
    facts(
        {
            "Case": case["case_id"],
            "Title": case["title"],
            "About": f"{case['instance_id']} in {case['account_id']}, {case['region']}",
            "Status": summary["status_in_words"],
            "Contained": summary["contained_in_words"],
            "Evidence": summary["evidence"],
            "Findings": summary["findings"],
            "Custody": report["custody"]["in_words"],
            "Page": page,
        }
    )
    for number, gap in enumerate(report["gaps"], start=1):
        say(f"Gap {number}: {plain(gap.get('subject') or gap.get('what'))}: {plain(gap.get('reason') or '')}")
    for step in report["next_steps"]:
        say(f"To do{' now' if step['urgent'] else ''}: {plain(step['do'])} ({plain(step['why'])})")


def good(report: Document) -> Exit:
    """Whether a case is under way or has ended complete."""
    return Exit.GOOD if report["summary"]["status"] in {"OPEN", "CLOSED"} else Exit.BAD


def _positive(limit: int) -> int:
    if limit < 1:
        raise WrongUse(f"--limit {limit} is out of range", next_action="choose 1 or more")
    return limit
