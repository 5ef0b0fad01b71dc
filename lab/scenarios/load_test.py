"""``make storm``: a load test of the intake on the real scheduler and the lab, while processes are killed.

Findings about few instances arrive in several forms, out of order, some of them twice, while AWS throttles and processes
die by ``kill -9``. Afterwards each instance has exactly one case and one run, and every finding is in its case.
With ``EXECUTOR=celery`` tasks run on three workers that share no disk, and workers are killed with their disks.
The DAG ``finding_intake`` is the product's own; ``forensic_case`` is the stand-in ``lab/scenarios/load_test_case.py``.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from forensics.custody.chain import verify_chain
from forensics.errors import ForensicsError
from forensics.models.case import Case
from forensics.models.custody import CustodyAction, CustodyEvent
from forensics.models.finding import Finding
from lab.accounts import MEMBER_ACCOUNT, REGION
from lab.paths import ROOT
from lab.progress import StandstillError, wait_until
from lab.scenarios.driver import DriverError, Lab, finding
from lab.scenarios.finding_events import SHAPES
from lab.scenarios.kills import Killer, api
from lab.scenarios.pulse_check import PulseCheck
from lab.stack import celery, postgres
from lab.stack.process import StackError
from lab.stack.stack import Stack

WAVES = 20
# kill -9, and seconds: a worker that was killed needs a quarter of a minute to be back
CELERY_LOAD = (25, 375.0)
LABELS = ("LOW", "MEDIUM", "HIGH", "CRITICAL")


@dataclass(frozen=True)
class Load:
    """How much is sent, and what goes wrong meanwhile."""

    findings: int = 300
    instances: int = 120
    other_shapes: float = 0.30
    redelivered: float = 0.20
    throttled: float = 0.20
    kills: int = 10
    span_seconds: float = 150.0
    seed: int = 20261124

    def messages(self) -> list[Message]:
        """All messages, shuffled; re-delivered ones are in it twice."""
        dice = random.Random(self.seed)
        made: list[Message] = []
        for number in range(self.findings):
            instance = f"i-{0x0F00000000000000 + number % self.instances:017x}"
            document = finding(place(instance), title=f"Load test finding {number}", label=dice.choice(LABELS))
            shapes = dice.sample(sorted(SHAPES), 2 if dice.random() < self.other_shapes else 1)
            made += [Message(document["Id"], shape, json.dumps(SHAPES[shape](document))) for shape in shapes]
        made += dice.sample(made, int(len(made) * self.redelivered))
        dice.shuffle(made)
        return made


@dataclass(frozen=True)
class Message:
    """One message of the load test."""

    finding_id: str
    shape: str
    body: str


def place(instance_id: str, *, region: str = REGION) -> dict[str, Any]:
    """What :func:`lab.scenarios.driver.finding` wants to know of an instance."""
    arn = f"arn:aws:ec2:{region}:{MEMBER_ACCOUNT}:instance/{instance_id}"
    return {"region": region, "account": MEMBER_ACCOUNT, "instance_id": instance_id, "arn": arn}


@dataclass
class Figures:
    """The outcome."""

    messages: int = 0
    findings: int = 0
    instances: int = 0
    records: int = 0
    cases: int = 0
    runs: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    throttled: int = 0
    dead_letters: int = 0
    killed: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    pulse: PulseCheck | None = None

    @property
    def clean(self) -> bool:
        """Nothing lost, nothing doubled, every case traced."""
        return not (self.lost or self.doubled or self.broken or (self.pulse and self.pulse.wrong))

    def text(self) -> str:
        """The figures for people."""
        kills = ", ".join(f"{name} {n}" for name, n in sorted(self.killed.items())) or "none"
        lines = [
            f"  messages sent          {self.messages} ({self.findings} findings about {self.instances} instances)",
            f"  AWS calls throttled    {self.throttled}",
            f"  kill -9                {kills}",
            f"  all processed after    {self.seconds:.0f} s",
            f"  cases / runs           {self.cases} / {self.runs} (wanted {self.instances})",
            f"  finding records        {self.records}",
            f"  lost                   {len(self.lost)}",
            f"  doubled                {len(self.doubled)}",
            f"  in dead-letter queue   {self.dead_letters}",
            f"  frozen triggerer       {self.pulse.text if self.pulse else 'not tried'}",
        ]
        return "\n".join([*lines, *[f"  WRONG: {w}" for w in (self.lost + self.doubled + self.broken)[:20]]])


@contextmanager
def load_stack(
    state: Path, *, report: Callable[[str], None] = print, database: str | None = None, executor: str | None = None
) -> Iterator[Lab]:
    """The stack with the product's intake and the stand-in case."""
    dags = state.parent / f"{state.name}-dags"
    shutil.rmtree(dags, ignore_errors=True)
    dags.mkdir(parents=True)
    shutil.copy(ROOT / "dags" / "finding_intake.py", dags)
    for stand_in in ("case", "pulse"):
        shutil.copy(ROOT / "lab" / "scenarios" / f"load_test_{stand_in}.py", dags / f"forensic_{stand_in}.py")
    with Stack(state, dags=dags, database=database, executor=executor, report=report) as stack:
        yield Lab(stack)


def send(lab: Lab, bodies: list[str]) -> None:
    """Put messages into the findings' queue, ten at a time."""
    sqs = lab.forensic.client("sqs")
    for start in range(0, len(bodies), 10):
        entries = [{"Id": str(n), "MessageBody": body} for n, body in enumerate(bodies[start : start + 10])]
        answer = _patient(partial(sqs.send_message_batch, QueueUrl=lab.facts["queue_url"], Entries=entries))
        if answer.get("Failed"):
            msg = f"the queue refused messages: {answer['Failed']}"
            raise DriverError(msg)


def throttle(lab: Lab, share: float, *, seed: int) -> None:
    """Let AWS refuse a share of all calls (the load test's own calls are not spared)."""
    rules = (
        [{"id": "load-test", "p": share, "seed": seed, "code": "ThrottlingException", "status": 400}] if share else []
    )
    lab.control("faults", rules)


def run_load(lab: Lab, load: Load, *, report: Callable[[str], None] = print) -> Figures:
    """Send the load to a running stack, wait until all of it is processed, and count what is left."""
    messages = load.messages()
    lab.wait_intake()
    began = time.monotonic()
    lab.control("config", {"sqs_redelivered_share": load.redelivered})
    throttle(lab, load.throttled, seed=load.seed)
    killer = Killer(lab, load, report)
    killer.start()
    for wave in range(WAVES):
        send(lab, [m.body for m in messages[wave::WAVES]])
        time.sleep(load.span_seconds / WAVES)
    wait_until(
        lambda: not killer.is_alive(), what="the last process to be killed", progress=lambda: killer.killed.total()
    )
    if killer.error is not None:
        raise killer.error
    _wait_processed(lab, report=report)
    took = time.monotonic() - began
    throttled = sum(1 for call in lab.control("calls")["calls"] if call["fault"])
    lab.control("faults", [])
    figures = trace(lab, load, messages)
    figures.seconds, figures.killed, figures.throttled = took, killer.killed, throttled
    report("  the triggerer's loop is frozen, its heartbeat goes on")
    figures.pulse = PulseCheck.of(lab)
    return figures


def _patient(call: Callable[[], Any], *, tries: int = 40) -> Any:
    """Repeat a call of the load test itself that AWS throttles."""
    for left in range(tries, 0, -1):
        try:
            return call()
        except Exception as error:
            if left == 1 or "Throttling" not in str(error):
                raise
            time.sleep(0.1)
    return None


def _wait_processed(lab: Lab, *, report: Callable[[str], None]) -> None:
    """Wait until the queue is empty and every run has ended."""
    shown = ""

    def seen() -> dict[str, Any]:
        nonlocal shown
        states = Counter(str(run["state"]) for run in all_runs(lab))
        now = {"messages in the queue": _patient(lab.queued), **{f"runs {name}": n for name, n in states.items()}}
        if (text := ", ".join(f"{name}: {value}" for name, value in now.items())) != shown:
            report(f"  {text}")
            shown = text
        return now

    def processed() -> bool:
        now = seen()
        return not now.pop("messages in the queue") and bool(now) and set(now) <= {"runs success", "runs failed"}

    wait_until(
        processed,
        what=f"all findings to be processed (logs in {lab.stack.state / 'logs'})",
        progress=seen,
        pause=2,
    )


def all_runs(lab: Lab) -> list[dict[str, Any]]:
    """Every run of the case DAG, page by page (the API may be away for a moment)."""
    found: list[dict[str, Any]] = []
    while True:
        page = api(lab, "dags/forensic_case/dagRuns", limit=100, offset=len(found))
        found += page["dag_runs"]
        if len(found) >= page["total_entries"] or not page["dag_runs"]:
            return found


def all_cases(lab: Lab) -> list[Case]:
    """Every case of the store, page by page."""
    found: list[Case] = []
    cursor: str | None = None
    while True:
        page, cursor = lab.store().list_cases(limit=100, cursor=cursor)
        found += page
        if cursor is None:
            return found


def trace(lab: Lab, load: Load, messages: list[Message]) -> Figures:
    """Trace every finding to its case, and every case to its run."""
    cases, runs = all_cases(lab), all_runs(lab)
    figures = Figures(len(messages), load.findings, load.instances, cases=len(cases), runs=len(runs))
    figures.dead_letters = lab.queued("dead_letter_queue_url")
    places: dict[tuple[str, str], list[str]] = defaultdict(list)
    for case in cases:
        items = dict(lab.store().items(case.case_id))
        found = [Finding.model_validate(data) for sk, data in items.items() if sk.startswith("FINDING#")]
        for item in found:
            places[item.finding_id, item.source.value].append(case.case_id)
        events = [CustodyEvent.model_validate(d) for sk, d in items.items() if sk.startswith("CUSTODY#")]
        figures.broken += _ledger_faults(case, events, joined=len(found) - 1)
    figures.records = sum(len(holders) for holders in places.values())
    wanted = {(m.finding_id, m.shape) for m in messages}
    figures.lost += [f"finding {key} is in no case" for key in sorted(wanted - set(places))]
    figures.doubled += [f"finding {key} is in cases {ids}" for key, ids in places.items() if len(ids) > 1]
    by_instance = Counter(case.instance_id for case in cases)
    figures.doubled += [f"{n} cases of instance {i}" for i, n in by_instance.items() if n > 1]
    figures.lost += [f"{load.instances - len(by_instance)} instances without a case"] * (
        len(by_instance) < load.instances
    )
    known = Counter(str(run["dag_run_id"]) for run in runs)
    figures.lost += [f"case {c.case_id} has no run" for c in cases if known[str(c.run_id)] == 0]
    figures.doubled += [f"run {run_id} belongs to no case" for run_id in set(known) - {str(c.run_id) for c in cases}]
    figures.broken += [f"run {run['dag_run_id']} ended {run['state']}" for run in runs if run["state"] != "success"]
    return figures


def _ledger_faults(case: Case, events: list[CustodyEvent], *, joined: int) -> list[str]:
    """What is wrong with a case's ledger: one opening, one entry for each finding that joined, a whole chain."""
    actions = Counter(event.action for event in events)
    wanted = {CustodyAction.CASE_OPENED: 1, CustodyAction.FINDING_JOINED: joined}
    faults = [
        f"case {case.case_id}: {actions[action]} times {action.value} in the ledger, wanted {number}"
        for action, number in wanted.items()
        if actions[action] != number
    ]
    try:
        verify_chain(events)
    except ForensicsError as error:
        faults.append(str(error))
    return faults


def main() -> int:
    """Run the load test."""
    parser = argparse.ArgumentParser(
        prog="python -m lab.scenarios.load_test",
        description="Many findings while AWS throttles and processes are killed.",
    )
    parser.add_argument("--state", type=Path, default=ROOT / ".lab" / "storm")
    parser.add_argument("--database", choices=postgres.KINDS, default="auto", help="Airflow's database")
    parser.add_argument("--executor", choices=celery.EXECUTORS, default=os.environ.get("LAB_EXECUTOR") or "local")
    for name, default in (("findings", 300), ("instances", 120), ("seed", Load.seed)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--kills", type=int, help="10; with Celery 25")
    parser.add_argument("--span", type=float, help="seconds over which findings arrive: 150; with Celery 375")
    given = parser.parse_args()
    kills, span = CELERY_LOAD if given.executor == "celery" else (Load.kills, Load.span_seconds)
    # `kill` and `timeout` must clear up as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    load = Load(
        given.findings,
        given.instances,
        kills=kills if given.kills is None else given.kills,
        seed=given.seed,
        span_seconds=given.span or span,
    )
    try:
        with (
            postgres.database(given.database) as (name, url),
            load_stack(given.state, database=url, executor=given.executor) as lab,
        ):
            workers = f"{len(lab.stack.workers)} Celery workers" if lab.stack.workers else "one machine"
            print(
                f"Airflow on {name}, {workers}, {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}",
                flush=True,
            )
            figures = run_load(lab, load)
    except (StackError, DriverError, StandstillError) as error:
        print(f"The load test could not be measured: {error}", file=sys.stderr)
        return 1
    print(f"\nThe load test (seed {load.seed})\n{figures.text()}")
    return 0 if figures.clean else 1


if __name__ == "__main__":
    sys.exit(main())
