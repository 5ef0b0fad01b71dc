"""``make bench EXECUTOR=celery WORKERS=1,2,4``: cases per hour by the number of Celery workers, beside what the capacity model says.

Airflow as on Amazon MWAA (lab/stack/celery.py), each worker bound to half a core; the tools are replayed from tapes, so that workers
do what they do in AWS. Workers are taken away from level to level. A level ends when its last report is written: what its cases wait
for AWS at the end is in the time, so more cases for each worker come nearer to what a day gives. No result fails because of a time.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.deployment import capacity
from lab.hosts.usage import cpu_seconds_below
from lab.paths import ROOT
from lab.progress import StandstillError
from lab.scenarios import bench
from lab.scenarios.driver import DriverError, Lab
from lab.stack import cores, postgres
from lab.stack.process import StackError, cpu_seconds
from lab.stack.stack import Stack

SHARE = 0.5


@dataclass(frozen=True)
class Level:
    """What so many workers did: cases, seconds until the last report, processor seconds of the workers and of all of Airflow.

    ``share`` is what each worker had of a core at most.
    """

    workers: int
    cases: int
    seconds: float
    workers_cpu: float
    airflow_cpu: float
    tries: int
    share: float = SHARE

    @property
    def cases_per_hour(self) -> float:
        """Throughput of the level."""
        return self.cases / self.seconds * 3600

    @property
    def busy(self) -> float:
        """How much of their share the workers used."""
        return self.workers_cpu / (self.workers * self.share * self.seconds)

    @property
    def start_seconds(self) -> float:
        """Processor seconds of workers for each start of a task."""
        return self.workers_cpu / self.tries


def predicted(level: Level, given: dict[str, float]) -> float:
    """The model's cases per hour for these workers (docs/capacity.md, vCPU), were they as busy as they were."""
    starts = given["tasks"] + given["resumes"]
    return 3600 * level.workers * level.share * level.busy / (starts * given["start_processor_seconds"])


def text(levels: Sequence[Level], given: dict[str, float]) -> str:
    """The table; the fewest workers' throughput is what the others are linear to."""
    first = min(levels, key=lambda level: level.workers)
    each = first.cases_per_hour / first.workers
    lines = [
        f"{'workers':>8s}{'cases':>7s}{'seconds':>9s}{'cases/h':>9s}{'linear':>8s}{'busy':>7s}{'s of a start':>13s}{'model':>8s}{'off':>7s}"
    ]
    for level in sorted(levels, key=lambda level: level.workers):
        model = predicted(level, given)
        lines.append(
            f"{level.workers:>8d}{level.cases:>7d}{level.seconds:>9.0f}{level.cases_per_hour:>9.1f}"
            f"{level.cases_per_hour / (each * level.workers):>8.0%}{level.busy:>7.0%}{level.start_seconds:>13.1f}"
            f"{model:>8.1f}{model / level.cases_per_hour - 1:>+7.0%}"
        )
    lines.append(
        f"linear: against {first.workers} worker(s); busy: of {first.share:g} core each; a start: processor seconds of a worker for each try of a task;\n"
        f"model: docs/capacity.md with start_processor_seconds {given['start_processor_seconds']:g} at the same busyness"
    )
    return "\n".join(lines)


def _cpu(pids: Sequence[int]) -> float:
    return sum(cpu_seconds(pid) + cpu_seconds_below(pid) for pid in pids)


def measure(lab: Lab, *, workers: int, cases: int) -> Level:
    """One level: as many findings at once as ``cases``, until all reports are written."""
    for member in lab.stack.workers[workers:]:
        lab.stack.end_worker(member.name)
    pids = {member.name: member.pid for member in lab.stack.workers}
    made = bench.targets(lab, cases)
    with cores.shared(pids, cores=SHARE) as how:
        # by affinity one core each, which workers share where there are fewer
        share = SHARE if how == "cgroup" else min(1.0, (os.cpu_count() or 1) / workers)
        print(f"\n{workers} worker(s), {share:g} of a core each by {how}, {cases} cases at once ...", flush=True)
        before = _cpu(list(pids.values()))
        measured, spent = bench.play(lab, made)
        used = _cpu(list(pids.values())) - before
    level = Level(
        workers,
        cases,
        max(one.marks["report"] for one in measured),
        used,
        spent.airflow,
        sum(one.tries for one in measured),
    )
    print(
        bench.table(f"{workers} worker(s) (seconds after the finding reached SQS)", measured, spent=spent), flush=True
    )
    return level


def levels(lab: Lab, wanted: Sequence[int], *, each: int) -> list[Level]:
    """Record the tools once with all workers, then the levels, most workers first."""
    lab.control("tools", {"mode": "record"})
    print("\nOne case whose tools are run and recorded ...", flush=True)
    bench.play(lab, bench.targets(lab, 1))
    lab.control("tools", {"mode": "replay"})
    return [measure(lab, workers=count, cases=each * count) for count in sorted(wanted, reverse=True)]


def counts(text: str) -> list[int]:
    """``1,2,4`` as numbers; an error says what is allowed."""
    try:
        found = sorted({int(word) for word in text.split(",")})
    except ValueError:
        found = []
    if not found or found[0] < 1 or found[-1] > 16:
        msg = f"{text!r}: numbers of workers from 1 to 16, as in 1,2,4"
        raise argparse.ArgumentTypeError(msg)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        prog="python -m lab.scenarios.bench_workers", description="Cases per hour by Celery workers of half a core."
    )
    parser.add_argument("--state", type=Path, default=ROOT / ".lab" / "bench-workers")
    parser.add_argument("--workers", type=counts, default=[1, 2, 4], help="numbers of workers, e.g. 1,2,4")
    parser.add_argument("--each", type=int, default=2, help="cases at once for each worker")
    given = parser.parse_args(arguments)
    try:
        with (
            postgres.database("postgres") as (name, url),
            Stack(
                given.state, latencies=bench.LATENCIES, database=url, executor="celery", workers=given.workers[-1]
            ) as stack,
        ):
            print(f"\nAirflow on {name}, {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}", flush=True)
            found = levels(Lab(stack), given.workers, each=given.each)
    except (StackError, DriverError, StandstillError) as error:
        print(f"The benchmark failed: {error}", file=sys.stderr)
        return 1
    print("\n" + text(found, capacity.inputs(capacity.read())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
