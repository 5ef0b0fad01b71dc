"""``make bench``: how much slower is a case than the work in it, and how much slower are ten at once than one?

One run on the lab with injected AWS latencies, for one case and for ten at once. The critical path is the sum of the
injected latencies and the tools' own times (as SSM reports them) along the longest path; the ratio of wall time to it is
what the product adds. That ratio flatters a machine that collapses, because tools that starve are in the critical path: so
every time is shown against the single case's as well.

``TOOLS=replayed``: in AWS the tools run on machines of their own. The first case runs them and is recorded (lab/hosts/tapes);
from then on each command returns its recorded results after its recorded time and takes no core: what is left is the product.
No result fails because of a time.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from forensics import case_keys
from forensics.case.board_line import stage_times
from forensics.memory.probe import ProbeRecord
from forensics.models.board import Stage
from forensics.models.case import CaseView, Milestone
from forensics.models.evidence import MemoryEvidence
from lab.evidence import memory
from lab.evidence.images import image_cache
from lab.hosts.usage import cpu_seconds_below
from lab.paths import ROOT
from lab.progress import StandstillError
from lab.scenarios.driver import DriverError, Lab, finding
from lab.scenarios.targets import add_target
from lab.stack import postgres
from lab.stack.process import StackError, cpu_seconds
from lab.stack.stack import Stack

# As a small instance has them: still short for a snapshot (minutes in AWS), which is work in AWS and not the product's.
LATENCIES = {
    "snapshot_seconds": 40.0, "copy_seconds": 35.0, "instance_seconds": 20.0, "agent_seconds": 15.0, "volume_seconds": 3.0,
    "terminate_seconds": 10.0,
}  # fmt: skip
CAPTURE_MIB_S = 6.0
ROWS = (
    ("case open", Milestone.OPENED),
    ("snapshots requested", Milestone.SNAPSHOTS_STARTED),
    ("memory captured", Milestone.MEMORY_COMPLETE),
    ("isolated", Milestone.CONTAINED),
    ("report", Milestone.REPORTED),
)
FIRST_ANSWER = "first answer of a tool"
NOTES = {
    "real": "\nThe tools run for real on these cores, behind Airflow; in AWS they have machines of their own. With several cases at\n"
    "once they share the cores and take longer, which is in the critical path; what the product adds is shown separately.",
    "replayed": "\nThe tools take their recorded time and no core, as on machines of their own; the lab's server, which is AWS here, does.\n"
    "Aims on two cores, ten at once: isolated 45 s (60 worst), snapshots requested 10 s worst, report 1.3 x one.",
}
LABELS = (*(label for label, _ in ROWS[:-1]), FIRST_ANSWER, ROWS[-1][0])


@dataclass(frozen=True)
class Measured:
    """Seconds after the finding's arrival in SQS, and the critical path of the work."""

    case_id: str
    received: datetime
    marks: dict[str, float]
    critical: float
    tries: int = 0

    @property
    def ratio(self) -> float:
        """Wall time to the report over the critical path."""
        return self.marks["report"] / self.critical


def measure(lab: Lab, view: CaseView) -> Measured:
    """Read one case's times from its records."""
    start = view.milestones[Milestone.RECEIVED.value]
    reached = {label: view.milestones.get(name.value) for label, name in ROWS}
    marks = {label: (at - start).total_seconds() for label, at in reached.items() if at}
    answered = stage_times(view).get(Stage.ANSWERED)
    if answered is not None:
        marks[FIRST_ANSWER] = answered
    tries = sum(int(task.get("try_number") or 0) for task in lab.tasks(view.case.case_id).values())
    return Measured(view.case.case_id, start, marks, critical_path(lab, view), tries)


def critical_path(lab: Lab, view: CaseView) -> float:
    """Longest path through injected latencies and tool times, in seconds."""
    capture = next(e for e in view.evidence if isinstance(e, MemoryEvidence))
    member, store = lab.member.client("ssm"), lab.store()
    asked = store.get(view.case.case_id, case_keys.PROBE, ProbeRecord)
    probe = _elapsed(member, asked.command_id, asked.instance_id) if asked else 0.0
    memory_flow = probe + _elapsed(member, str(capture.origin.command_id), view.case.instance_id)
    disk_flow = LATENCIES["snapshot_seconds"] + LATENCIES["copy_seconds"]
    boot = LATENCIES["instance_seconds"] + LATENCIES["agent_seconds"]
    tools = {"memory": 0.0, "disk": 0.0}
    ssm = lab.forensic.client("ssm")
    for item in view.investigations:
        # Commands for one kind of evidence run side by side: the longest counts. What the product itself reads has no command.
        kind = item.evidence_id.split("-", 1)[0]
        if item.command_id and kind in tools:
            tools[kind] = max(tools[kind], _elapsed(ssm, item.command_id, str(item.instance_id)))
    ready = memory_flow + boot
    return max(ready + tools["memory"], max(ready, disk_flow) + 2 * LATENCIES["volume_seconds"] + tools["disk"])


def _elapsed(ssm: Any, command_id: str, instance_id: str) -> float:
    answer = ssm.get_command_invocation(CommandId=command_id, InstanceId=instance_id)
    started, ended = (
        datetime.fromisoformat(str(answer[name]).replace("Z", "+00:00"))
        for name in ("ExecutionStartDateTime", "ExecutionEndDateTime")
    )
    return (ended - started).total_seconds()


@dataclass(frozen=True)
class Spent:
    """What one round took of what the product itself spends: calls of AWS (its hosts' transfers are among them), processor
    seconds of Airflow's processes with all their tasks.
    """

    calls: int
    airflow: float


def _airflow_seconds(lab: Lab) -> float:
    return sum(cpu_seconds(pid) + cpu_seconds_below(pid) for pid in lab.stack.airflow_processes)


def play(lab: Lab, targets: list[dict[str, Any]]) -> tuple[list[Measured], Spent]:
    """Send a finding for each target at the same moment and wait for all cases."""
    lab.wait_intake()
    before, calls = _airflow_seconds(lab), int(lab.control("health")["asked"])
    since = datetime.now(UTC).replace(microsecond=0)
    for target in targets:
        lab.import_finding(finding(target, title="Command and control (benchmark)"))

    cases = [lab.wait_case(target["instance_id"], not_before=since).case_id for target in targets]
    failed = {case: state for case, state in lab.finish_all(cases).items() if state != "success"}
    if failed:
        msg = f"some cases did not succeed, so their times mean nothing: {failed}"
        raise DriverError(msg)
    spent = Spent(int(lab.control("health")["asked"]) - calls, _airflow_seconds(lab) - before)
    return [measure(lab, lab.view(case)) for case in cases], spent


def table(title: str, measured: list[Measured], *, single: Measured | None = None, spent: Spent | None = None) -> str:
    """The figures of one round as text: median and worst over its cases, and the median against the single case's."""
    beside = f"{'of one':>10s}" if single else ""
    lines = [f"{title}", f"  {'':24s}{'median':>10s}{'worst':>10s}{beside}"]
    for label in LABELS:
        values = [m.marks[label] for m in measured if label in m.marks]
        if len(values) < len(measured):
            lines.append(f"  {label:24s}reached by {len(values)} of {len(measured)}")
            continue
        middle = statistics.median(values)
        against = f"{middle / single.marks[label]:>9.2f}x" if single and single.marks.get(label) else ""
        lines.append(f"  {label:24s}{middle:>9.1f}s{max(values):>9.1f}s{against}")
    paths, ratios = [m.critical for m in measured], [m.ratio for m in measured]
    added = [m.marks["report"] - m.critical for m in measured]
    lines.append(f"  {'critical path of work':24s}{statistics.median(paths):>9.1f}s{max(paths):>9.1f}s")
    lines.append(f"  {'wall / critical path':24s}{statistics.median(ratios):>10.2f}{max(ratios):>10.2f}")
    lines.append(f"  {'added by the product':24s}{statistics.median(added):>9.1f}s{max(added):>9.1f}s")
    tries = [m.tries for m in measured]
    lines.append(f"  {'tries of tasks':24s}{statistics.median(tries):>10.0f}{max(tries):>10d}")
    if spent:
        count = len(measured)
        lines.append(
            f"  a case: {spent.calls / count:.0f} calls of AWS, {spent.airflow / count:.1f} s of Airflow's processors"
        )
    return "\n".join(lines)


def steps(lab: Lab, measured: Measured) -> str:
    """When each task of a case was queued for the last time and ended, in seconds after the finding's arrival."""
    lines = [f"  {'task':44s}{'queued':>9s}{'started':>9s}{'ended':>9s}"]
    rows = []
    for task_id, task in lab.tasks(measured.case_id).items():
        times = [task.get(name) for name in ("queued_when", "start_date", "end_date")]
        rows.append((task_id, [datetime.fromisoformat(t) if t else None for t in times]))
    for task_id, times in sorted(rows, key=lambda row: row[1][2] or measured.received):
        cells = "".join(f"{(t - measured.received).total_seconds():>9.1f}" if t else f"{'-':>9s}" for t in times)
        lines.append(f"  {task_id:44s}{cells}")
    return "\n".join(lines)


def targets(lab: Lab, count: int) -> list[dict[str, Any]]:
    """Targets with the lab's real memory image, captured at a rate that a real instance has, and a small disk."""
    files = memory.unpack(image_cache(lab.stack.state) / "memory-web-server")
    kernel = {name: str(getattr(files, name)) for name in ("btf", "kallsyms", "version", "iomem")}

    def one(number: int) -> dict[str, Any]:
        target = add_target(lab, f"bench-{number}", memory=str(files.memory), kernel=kernel)
        known = next(i for i in lab.control("instance")["instances"] if i["instance_id"] == target["instance_id"])
        lab.control("instance", {**known, "capture_rate_mib_s": CAPTURE_MIB_S})
        return target

    lab.member.client("ec2")  # made before the threads are: boto3's default session must not be shared among them
    with ThreadPoolExecutor(count) as pool:  # each launch waits for its instance
        made = list(pool.map(one, range(count)))
    lab.wait_online([target["instance_id"] for target in made])
    return made


def rounds(lab: Lab, *, tools: str, count: int, with_steps: bool) -> None:
    """One case, and so many at once; with replayed tools, the first one runs them and is recorded."""

    def show(title: str, number: int, single: Measured | None = None) -> list[Measured]:
        print(f"\n{title} ...", flush=True)
        measured, spent = play(lab, targets(lab, number))
        print(
            table(f"\n{title} (seconds after the finding reached SQS)", measured, single=single, spent=spent),
            flush=True,
        )
        if with_steps:
            print(steps(lab, max(measured, key=lambda m: m.ratio)), flush=True)
        return measured

    if tools == "replayed":
        lab.control("tools", {"mode": "record"})
        show("One case whose tools are run and recorded", 1)
        names = lab.control("tools", {"mode": "replay"})["tapes"]
        print(f"  {len(names)} tapes: {', '.join(names)}", flush=True)
    single = show(f"One case, tools {tools}", 1)[0]
    if count > 1:
        show(f"{count} cases at once, tools {tools}", count, single)


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        prog="python -m lab.scenarios.bench", description="Wall time of cases over the work in them."
    )
    parser.add_argument("--state", type=Path, default=ROOT / ".lab" / "bench")
    parser.add_argument("--cases", type=int, default=10, help="cases at once in the second round")
    parser.add_argument("--tools", choices=("real", "replayed"), default="replayed", help="see the module's text")
    parser.add_argument("--database", choices=postgres.KINDS, default="auto")
    parser.add_argument("--steps", action="store_true", help="print when each task of the slowest case ran")
    given = parser.parse_args()
    try:
        with (
            postgres.database(given.database) as (name, url),
            Stack(given.state, latencies=LATENCIES, database=url) as stack,
        ):
            load = os.getloadavg()[0]
            print(f"\nAirflow on {name}, {os.cpu_count()} cores, load average {load:.1f}", flush=True)
            rounds(Lab(stack), tools=given.tools, count=given.cases, with_steps=given.steps)
    except (StackError, DriverError, StandstillError) as error:
        print(f"The benchmark failed: {error}", file=sys.stderr)
        return 1
    print(NOTES[given.tools])
    return 0


if __name__ == "__main__":
    sys.exit(main())
