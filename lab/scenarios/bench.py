"""``make bench``: how much slower is a case than the work in it?

One run on the lab with injected AWS latencies, for one case and for ten at once. The critical path is the sum of the
injected latencies and the tools' own times (as SSM reports them) along the longest path; the ratio of wall time to it is
what the product adds. No result fails because of a time.
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
from forensics.memory.probe_operators import ProbeRecord
from forensics.models.case import CaseView, Milestone
from forensics.models.evidence import MemoryEvidence
from lab.evidence import memory
from lab.evidence.images import image_cache
from lab.paths import ROOT
from lab.progress import StandstillError
from lab.scenarios.driver import DriverError, Lab, finding
from lab.scenarios.targets import add_target
from lab.stack import postgres
from lab.stack.process import StackError
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


@dataclass(frozen=True)
class Measured:
    """Seconds after the finding's arrival in SQS, and the critical path of the work."""

    case_id: str
    received: datetime
    marks: dict[str, float]
    critical: float

    @property
    def ratio(self) -> float:
        """Wall time to the report over the critical path."""
        return self.marks["report"] / self.critical


def measure(lab: Lab, view: CaseView) -> Measured:
    """Read one case's times from its records."""
    start = view.milestones[Milestone.RECEIVED.value]
    marks = {label: (view.milestones[name.value] - start).total_seconds() for label, name in ROWS}
    return Measured(view.case.case_id, start, marks, critical_path(lab, view))


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
        # Commands for one kind of evidence run side by side: the longest counts.
        kind = item.evidence_id.split("-", 1)[0]
        tools[kind] = max(tools[kind], _elapsed(ssm, str(item.command_id), str(item.instance_id)))
    ready = memory_flow + boot
    return max(ready + tools["memory"], max(ready, disk_flow) + 2 * LATENCIES["volume_seconds"] + tools["disk"])


def _elapsed(ssm: Any, command_id: str, instance_id: str) -> float:
    answer = ssm.get_command_invocation(CommandId=command_id, InstanceId=instance_id)
    started, ended = (
        datetime.fromisoformat(str(answer[name]).replace("Z", "+00:00"))
        for name in ("ExecutionStartDateTime", "ExecutionEndDateTime")
    )
    return (ended - started).total_seconds()


def play(lab: Lab, targets: list[dict[str, Any]]) -> list[Measured]:
    """Send a finding for each target at the same moment and wait for all cases."""
    lab.wait_intake()
    since = datetime.now(UTC).replace(microsecond=0)
    for target in targets:
        lab.import_finding(finding(target, title="Command and control (benchmark)"))

    cases = [lab.wait_case(target["instance_id"], not_before=since).case_id for target in targets]
    failed = {case: state for case, state in lab.finish_all(cases).items() if state != "success"}
    if failed:
        msg = f"some cases did not succeed, so their times mean nothing: {failed}"
        raise DriverError(msg)
    return [measure(lab, lab.view(case)) for case in cases]


def table(title: str, measured: list[Measured]) -> str:
    """The figures of one round as text: median and worst over its cases."""
    lines = [f"{title}", f"  {'':24s}{'median':>10s}{'worst':>10s}"]
    for label, _ in ROWS:
        values = [m.marks[label] for m in measured]
        lines.append(f"  {label:24s}{statistics.median(values):>9.1f}s{max(values):>9.1f}s")
    paths, ratios = [m.critical for m in measured], [m.ratio for m in measured]
    added = [m.marks["report"] - m.critical for m in measured]
    lines.append(f"  {'critical path of work':24s}{statistics.median(paths):>9.1f}s{max(paths):>9.1f}s")
    lines.append(f"  {'wall / critical path':24s}{statistics.median(ratios):>10.2f}{max(ratios):>10.2f}")
    lines.append(f"  {'added by the product':24s}{statistics.median(added):>9.1f}s{max(added):>9.1f}s")
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


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        prog="python -m lab.scenarios.bench", description="Wall time of cases over the work in them."
    )
    parser.add_argument("--state", type=Path, default=ROOT / ".lab" / "bench")
    parser.add_argument("--cases", type=int, default=10, help="cases at once in the second round")
    parser.add_argument("--database", choices=postgres.KINDS, default="auto")
    parser.add_argument("--steps", action="store_true", help="print when each task of the slowest case ran")
    given = parser.parse_args()
    try:
        with (
            postgres.database(given.database) as (name, url),
            Stack(given.state, latencies=LATENCIES, database=url) as stack,
        ):
            lab = Lab(stack)
            load = os.getloadavg()[0]
            print(f"\nAirflow on {name}, {os.cpu_count()} cores, load average {load:.1f}; one case ...", flush=True)
            first = play(lab, targets(lab, 1))
            print(table("\nOne case (seconds after the finding reached SQS)", first), flush=True)
            if given.steps:
                print(steps(lab, first[0]), flush=True)
            if given.cases > 1:
                print(f"\n{given.cases} cases at once ...", flush=True)
                many = play(lab, targets(lab, given.cases))
                print(table(f"\n{given.cases} cases at once", many), flush=True)
                if given.steps:
                    print(steps(lab, max(many, key=lambda m: m.ratio)), flush=True)
    except (StackError, DriverError, StandstillError) as error:
        print(f"The benchmark failed: {error}", file=sys.stderr)
        return 1
    print(
        "\nThe tools run for real on these cores, behind Airflow; in AWS they have machines of their own. With several cases at"
    )
    print(
        "once they share the cores and take longer, which is in the critical path; what the product adds is shown separately."
    )
    print("Targets on 2 cores: case open <= 3 s, snapshots requested <= 10 s, ratio <= 1.2 (one), <= 1.5 (ten).")
    return 0


if __name__ == "__main__":
    sys.exit(main())
