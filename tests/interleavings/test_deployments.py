"""Two deployments isolate one instance in the same second: a part of ``make races-check``, in a process of its own (the lab inside it is global)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.interleavings.deployments import IDS, stories

ROOT = Path(__file__).resolve().parents[2]


def test_however_two_deployments_meet_one_holds_the_target_and_the_other_names_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.interleavings.deployments", "--most", "8", "--log", str(tmp_path / "log")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=1800)
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stderr.splitlines()[-1].startswith("9 races of "), done.stderr[-4000:]
    assert ", 0 faults; held by " in done.stderr.splitlines()[-1], done.stderr[-4000:]


def test_stories_stop_both_and_let_both_die() -> None:
    some = stories(60, most=40, seed=3)
    assert len(some) == 40 and {dies for _, dies in some} == {"", *IDS}
    assert {tuple(stops) for stops, _ in some} == {IDS[:1], IDS}
    assert len(stories(20, most=0, seed=3)) == 2 * 20 + 20 * 20
