"""``sweep``: look for indicators on other instances and on snapshots (docs/sweep.md), and say what was found where."""

from __future__ import annotations

import argparse
import re

from forensics_cli import cases
from forensics_cli.api import Api, Document
from forensics_cli.faults import Exit, WrongUse
from forensics_cli.printing import as_json, plain, say, table, tell
from forensics_cli.runs import account_id, add_waiting, say_started, start_run
from forensics_cli.watching import Watch, checked_pace

SWEEP_DAG, LAST = "forensic_sweep", "conclude_sweep"
TARGET = re.compile(r"(\d{12}/[a-z0-9-]{5,25}/)?(i|snap)-([0-9a-f]{8}|[0-9a-f]{17})")
# How the report names the end of a target about which everything is known (its OpenAPI document: SweepState).
FOUND, NOT_FOUND = "found", "not found"
NOT_BOTH = "name a case, or --indicator once or more"


def add(commands: cases.Commands) -> None:
    """Add the command."""
    made = commands.add_parser("sweep", help="look for a case's indicators, or your own, on instances and snapshots")
    made.add_argument("case", nargs="?", type=cases.case_id, help="the case whose indicators are looked for")
    made.add_argument("--on", action="append", default=[], type=_target, metavar="ID", required=True, help="i-… or snap-…, or account/Region/ID; once for each")  # fmt: skip
    made.add_argument("--indicator", action="append", default=[], metavar="TEXT", help="SHA-256, address, domain, access key id; user: NAME, file: NAME")  # fmt: skip
    made.add_argument("--account", type=account_id, help="account of targets that are written without one")
    made.add_argument("--in-region", default="", help="their Region; default: the home Region")
    for name, what in (("files", "files that are hashed"), ("mib", "MiB that are hashed"), ("seconds", "seconds"), ("blocks", "blocks of 512 KiB of a snapshot")):  # fmt: skip
        made.add_argument(f"--{name}", type=int, default=None, help=f"{what}, at most, for each target")
    made.add_argument("--reason", default="", help="why; goes into the custody ledger")
    add_waiting(made, "wait for the results, and show them")
    made.set_defaults(do=sweep)


def sweep(api: Api, given: argparse.Namespace) -> Exit:
    """Start a sweep. With ``--wait``, good means that every target was looked at whole and nothing was found."""
    if not given.case and not given.indicator:
        raise WrongUse("there is nothing to look for", next_action=NOT_BOTH)
    if not given.account and any("/" not in target for target in given.on):
        raise WrongUse("a target is named without its account", next_action="add --account, or write account/Region/ID")
    instances = [t for t in given.on if t.rpartition("/")[2].startswith("i-")]
    conf = {
        "case_id": given.case, "indicators": "\n".join(given.indicator), "instances": "\n".join(instances),
        "snapshots": "\n".join(t for t in given.on if t not in instances), "account_id": given.account, "region": given.in_region,
        **{name: getattr(given, name) for name in ("files", "mib", "seconds", "blocks")}, "reason": given.reason,
    }  # fmt: skip
    run = start_run(api, SWEEP_DAG, conf)
    if not given.wait:
        say_started(api, run, given, hint=f"what is found is a message, and the result of {LAST}")
        return Exit.GOOD
    run_id = str(run["dag_run_id"])
    ended = Watch(api, checked_pace(given.every)).run(SWEEP_DAG, run_id)
    report = api.result(SWEEP_DAG, run_id, LAST)
    if report is None:
        say(f"{SWEEP_DAG}: {ended['state']}, without results")
        say(f"What to do next: read the logs of plan_sweep and {LAST}: {api.run_page(SWEEP_DAG, run_id)}")
        return Exit.BAD
    if given.json:
        as_json(report)
    else:
        _print(report)
    return Exit.GOOD if {t["state"] for t in report["targets"]} == {NOT_FOUND} else Exit.BAD


def _print(report: Document) -> None:
    order, targets = report["order"], report["targets"]
    table([(t["target"]["subject"], t["target"]["account_id"], t["target"]["region"], t["state"]) for t in targets], ("TARGET", "ACCOUNT", "REGION", "RESULT"))  # fmt: skip
    for swept in targets:
        target = swept["target"]
        for hit in swept["hits"]:
            say(f"{target['subject']}: {plain(hit['kind'])} {plain(hit['value'])} at {plain(hit['at'])}")
        if swept["more"]:
            say(f"{target['subject']}: {swept['more']} more")
        if swept["state"] == FOUND:
            place = f"--account {target['account_id']} --in-region {target['region']}"
            say(f'  What to do next: forensics start {target["subject"]} {place} --reason "sweep {order["sweep_id"]}"')
        elif swept["state"] != NOT_FOUND:
            say(f"{target['subject']}: {plain(swept['reason'])}")
    for left in order["unsearched"]:
        say(f"not looked for: {plain(left)}")
    tell("an instance's answer is its own word: what it does not find proves nothing")


def _target(text: str) -> str:
    if not TARGET.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no target: i-… or snap-…, or 123456789012/eu-central-1/i-…")
    return text
