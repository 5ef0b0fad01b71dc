"""``make preflight-check``: seeded faults of a deployment, each named by the line that owns it; no false alarm on clean deployments.

Ten deployments that differ (drawn from a seed) are made one after the other by the templates. On each the preflight runs clean, then
with each of its share of the faults, then clean again. Exit status 0 only when every fault was named with the right advice by the line
that owns it, and no clean run had a broken line.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import os
import random
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from forensics.models.preflight import CheckResult, CheckStatus, PreflightReport
from forensics.settings import PREFIX
from lab.evidence.images import Images, image_cache
from lab.scenarios.preflight_faults import FULL, QUICK, Fault, injected
from lab.scenarios.preflight_lab import Deployment, deployed, now, refresh

DEPLOYMENTS = 10
# The quick part must end within this on AWS; the lab answers sooner, and is measured, not judged, by the clock.
QUICK_SECONDS = 90

Say = Callable[[str], None]


@dataclass
class Outcome:
    """What was seen on all deployments."""

    named: int = 0
    clean: int = 0
    wrong: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def vary(lab: Deployment, seed: int) -> str:
    """Make this deployment another one than the others, within what is right; returns what was chosen."""
    draw, chosen = random.Random(seed), []

    def setting(name: str, value: str) -> None:
        os.environ[f"{PREFIX}{name.upper()}"] = value
        chosen.append(f"{name}={value[:20]}")

    s3, bucket = lab.client("s3"), lab.facts["tools_bucket"]
    if draw.random() < 0.5:
        tool = b"aarch64 tool %d" % seed
        s3.put_object(Bucket=bucket, Key="tools/avml-aarch64", Body=tool)
        setting("capture_tool_arm64_sha256", hashlib.sha256(tool).hexdigest())
    if draw.random() < 0.5:
        s3.put_object(Bucket=bucket, Key="policy/never-isolate.yaml", Body=b"instances: []\n")
        setting("never_isolate_key", "policy/never-isolate.yaml")
    if draw.random() < 0.5:
        setting("member_regions", lab.facts["region"])
    setting("url_seconds", str(draw.choice([600, 3600, 43200])))
    setting("lock_mode", draw.choice(["GOVERNANCE", "COMPLIANCE"]))
    setting("retention_days", str(draw.choice([1, 365, 3650])))
    setting("legal_hold", draw.choice(["True", "False"]))
    refresh()
    return ", ".join(chosen)


def false_alarms(report: PreflightReport) -> list[str]:
    """Broken lines of a clean deployment."""
    return [f"{r.check} {r.subject}: {r.detail} → {r.next_action}" for r in report.broken]


def missed(report: PreflightReport, fault: Fault) -> str:
    """Why a fault counts as missed; empty when the line that owns it names it with the right advice."""
    owners = [r for r in report.results if r.check == fault.check and fault.subject in r.subject]
    broken = [r for r in owners if r.status is CheckStatus.BROKEN]
    if not broken:
        said = "; ".join(f"{r.check} {r.subject}: {r.detail}" for r in report.broken) or "nothing"
        return f"line {fault.check} {fault.subject} is not broken (broken: {said})"
    if not any(fault.advice in r.next_action for r in broken):
        return f"line {fault.check} advises {broken[0].next_action!r}, not {fault.advice!r}"
    return ""


def play(lab: Deployment, faults: Sequence[Fault], outcome: Outcome, say: Say) -> None:
    """Clean, each fault, clean again."""
    _clean(lab, outcome, say)
    for fault in faults:
        began = now()
        with injected(lab, fault):
            report = lab.preflight(full=fault.full)
        problem = missed(report, fault)
        outcome.named += not problem
        if problem:
            outcome.wrong.append(f"{fault.name}: {problem}")
        others = [r for r in report.broken if not (r.check == fault.check and fault.subject in r.subject)]
        say(f"  {'named' if not problem else 'MISSED'}: {fault.name} ({now() - began:.1f} s{_besides(others)})")
    if faults:
        _clean(lab, outcome, say)


def _clean(lab: Deployment, outcome: Outcome, say: Say) -> None:
    report = lab.preflight()
    outcome.seconds.append(report.seconds)
    outcome.clean += 1
    outcome.wrong += [f"false alarm on a clean deployment: {line}" for line in false_alarms(report)]
    say(f"  clean: {report.headline} in {report.seconds:.1f} s")


def _besides(others: Iterable[CheckResult]) -> str:
    names = sorted({r.check for r in others})
    return f", also {', '.join(names)}" if names else ""


def run(*, deployments: int, seed: int, say: Say) -> Outcome:
    """All deployments, each with its share of the faults."""
    outcome, faults = Outcome(), [*QUICK, *FULL]
    random.Random(seed).shuffle(faults)
    for number in range(deployments):
        with tempfile.TemporaryDirectory(prefix="preflight-") as folder:
            state = Path(folder)
            with deployed(state, Images(image_cache(state))) as lab:
                say(f"deployment {number + 1} of {deployments}: {vary(lab, seed * 1000 + number)}")
                play(lab, faults[number::deployments], outcome, say)
    return outcome


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m lab.scenarios.preflight_check", description=__doc__)
    parser.add_argument("--deployments", type=int, default=DEPLOYMENTS)
    parser.add_argument("--seed", type=int, default=14)
    logging.getLogger("botocore").setLevel(logging.WARNING)
    given = parser.parse_args()
    began = now()
    # ended by `kill`, the lab ends as well
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    def say(text: str) -> None:
        print(f"[{now() - began:6.1f} s] {text}", flush=True)

    outcome = run(deployments=given.deployments, seed=given.seed, say=say)
    total = len(QUICK) + len(FULL)
    say(
        f"{outcome.named} of {total} faults named by the line that owns them; {outcome.clean} clean runs, "
        f"{sum('false alarm' in w for w in outcome.wrong)} false alarms; quick part {min(outcome.seconds):.1f} to "
        f"{max(outcome.seconds):.1f} s (limit on AWS: {QUICK_SECONDS} s)"
    )
    for line in outcome.wrong:
        say(f"WRONG {line}")
    return 1 if outcome.wrong or outcome.named < total else 0


if __name__ == "__main__":
    sys.exit(main())
