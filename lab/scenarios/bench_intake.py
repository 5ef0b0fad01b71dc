"""``make bench``, the intake: how fast do findings become cases, and does a critical one wait behind a flood?

On the stack with the product's ``finding_intake`` and the load test's stand-in for ``forensic_case`` (its first step only), on
PostgreSQL when its programs are on this machine, otherwise on SQLite. No result fails because of a time.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import signal
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests

from forensics.models.case import Case
from lab.paths import ROOT
from lab.progress import StandstillError, wait_until
from lab.scenarios.driver import DriverError, Lab, finding
from lab.scenarios.finding_events import asff
from lab.scenarios.kills import api
from lab.scenarios.load_test import all_cases, all_runs, load_stack, place, send
from lab.stack import postgres
from lab.stack.process import StackError

_number = itertools.count(1)
# The wait for findings has gone on for so long when the system counts as idle. A finding that comes within
# RESUME_AFTER (forensics.aws.polling) of the one before waits for the rest of that time.
IDLE_SECONDS = 10


@dataclass(frozen=True)
class Burst:
    """A burst of findings: seconds from its first message until the last case was open, and until the last run existed.

    ``held``: the cases' own tasks waited meanwhile, as if they had machines of their own.
    """

    findings: int
    opened: float
    runs: float
    held: bool

    def text(self) -> str:
        """One line for people."""
        beside = "cases held   " if self.held else "cases running"
        return (
            f"  {self.findings:5d} waiting findings, {beside}   {self.findings / self.opened:6.1f} cases/s   all open after "
            f"{self.opened:5.1f} s   all runs there after {self.runs:5.1f} s ({self.findings / self.runs:.1f}/s)"
        )


def fresh(label: str) -> dict[str, Any]:
    """A finding about an instance that has none yet."""
    return finding(place(f"i-{0x0B00000000000000 + next(_number):017x}"), title=f"Benchmark {label}", label=label)


def instance_of(document: dict[str, Any]) -> str:
    """The instance of a finding."""
    return str(document["Resources"][0]["Id"].rpartition("/")[2])


def single(lab: Lab) -> tuple[float, float]:
    """One finding on an idle system: seconds from its arrival in SQS until its case is open, and until its run has started."""
    lab.wait_intake()
    time.sleep(IDLE_SECONDS)
    document = fresh("HIGH")
    lab.import_finding(document)
    case = lab.wait_case(instance_of(document))
    run = started(lab, str(case.run_id))
    arrived = case.received_at or case.opened_at
    return (case.opened_at - arrived).total_seconds(), (run - arrived).total_seconds()


def started(lab: Lab, run_id: str) -> datetime:
    """When a run started to run; waits for it."""

    def start() -> str | None:
        with contextlib.suppress(requests.RequestException):  # not there yet
            return lab.run(run_id)["start_date"]
        return None

    found = wait_until(start, what=f"run {run_id} to start", progress=lambda: lab.progress(run_id))
    return datetime.fromisoformat(str(found))


@contextlib.contextmanager
def held(lab: Lab, *, really: bool) -> Iterator[None]:
    """Let runs of the case DAG be created but not start: the intake is measured, not what else two cores do."""
    if not really:
        yield
        return
    lab.stack.api.patch("dags/forensic_case", {"is_paused": True})
    try:
        yield
    finally:
        lab.stack.api.patch("dags/forensic_case", {"is_paused": False})


def burst(lab: Lab, size: int, *, hold: bool) -> Burst:
    """Many findings at once, of HIGH severity, each about an instance of its own."""
    lab.wait_intake()
    documents = [fresh("HIGH") for _ in range(size)]
    wanted = {instance_of(d) for d in documents}
    with held(lab, really=hold):
        began = datetime.now(UTC)
        send(lab, [json.dumps(asff(d)) for d in documents])
        opened = wait_cases(lab, wanted)
        ids = {str(case.run_id) for case in opened}
        wait_runs(lab, ids)
    queued = [datetime.fromisoformat(r["queued_at"]) for r in all_runs(lab) if r["dag_run_id"] in ids]
    last = max(case.opened_at for case in opened)
    return Burst(size, (last - began).total_seconds(), (max(queued) - began).total_seconds(), hold)


def wait_cases(lab: Lab, instances: set[str]) -> list[Case]:
    """Wait until every one of these instances has a case."""
    found: list[Case] = []

    def complete() -> bool:
        nonlocal found
        found = [c for c in all_cases(lab) if c.instance_id in instances]
        return len(found) >= len(instances)

    what = f"{len(instances)} findings to have a case"
    wait_until(complete, what=what, progress=lambda: {"cases": len(found), "queue": lab.queued()}, pause=2)
    return found


def wait_runs(lab: Lab, run_ids: set[str]) -> None:
    """Wait until these runs exist."""

    def missing() -> int:
        return len(run_ids - {r["dag_run_id"] for r in all_runs(lab)})

    wait_until(lambda: not missing(), what=f"{len(run_ids)} runs to exist", progress=missing, pause=2)


def settle(lab: Lab) -> None:
    """Wait until no run of the case DAG is queued or running: each round starts on an idle system."""

    def busy() -> dict[str, int]:
        states = ("queued", "running")
        return {s: api(lab, "dags/forensic_case/dagRuns", limit=1, state=s)["total_entries"] for s in states}

    wait_until(lambda: not any(busy().values()), what="the runs of the last round to end", progress=busy, pause=2)


def behind_a_flood(lab: Lab, flood: int) -> tuple[float, float, int]:
    """One critical finding behind a flood of low ones: seconds to its case and to its run, and how many had run before."""
    lab.wait_intake()
    send(lab, [json.dumps(asff(fresh("LOW"))) for _ in range(flood)])
    critical = fresh("CRITICAL")
    before = datetime.now(UTC)
    send(lab, [json.dumps(asff(critical))])
    (case,) = wait_cases(lab, {instance_of(critical)})
    run = started(lab, str(case.run_id))
    earlier = [r for r in all_runs(lab) if r["start_date"] and before < datetime.fromisoformat(r["start_date"]) < run]
    return (case.opened_at - before).total_seconds(), (run - before).total_seconds(), len(earlier)


def measure(lab: Lab, given: argparse.Namespace) -> None:
    """All rounds, printed as they come."""
    singles = [single(lab) for _ in range(given.singles)]
    for what, values in (("case open", [s[0] for s in singles]), ("run started", [s[1] for s in singles])):
        print(
            f"  one finding, idle        {what:12s} median {statistics.median(values):4.1f} s, worst {max(values):4.1f} s",
            flush=True,
        )
    for size in given.bursts:
        for hold in (True, False):
            print(burst(lab, size, hold=hold).text(), flush=True)
            settle(lab)
    opened, run, earlier = behind_a_flood(lab, given.flood)
    print(
        f"  critical behind {given.flood} low   case open {opened:.1f} s, run started {run:.1f} s, {earlier} low ones started before it"
    )


def main() -> int:
    """Run the benchmark of the intake."""
    parser = argparse.ArgumentParser(
        prog="python -m lab.scenarios.bench_intake", description="Findings per second, and latency."
    )
    parser.add_argument("--state", type=Path, default=ROOT / ".lab" / "bench-intake")
    parser.add_argument("--database", choices=postgres.KINDS, default="auto")
    parser.add_argument("--bursts", type=int, nargs="*", default=[200, 1000], help="waiting findings in each round")
    parser.add_argument("--singles", type=int, default=7)
    parser.add_argument("--flood", type=int, default=1000, help="low findings before the critical one")
    given = parser.parse_args()
    # `kill` and `timeout` must clear up as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with postgres.database(given.database) as (name, url), load_stack(given.state, database=url) as lab:
            load = os.getloadavg()[0]
            print(
                f"\nIntake on {name}, {os.cpu_count()} cores, load average {load:.1f} before the first round",
                flush=True,
            )
            measure(lab, given)
    except (StackError, DriverError, StandstillError) as error:
        print(f"The benchmark of the intake failed: {error}", file=sys.stderr)
        return 1
    print("\nTargets on 2 cores with PostgreSQL: >= 12 cases/s, one finding's case open <= 3 s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
