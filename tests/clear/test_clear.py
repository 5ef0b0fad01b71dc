"""A part of ``make clear-check``, in a process of its own (the lab inside it is global), and that its judgement bites."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.clear.ending import differences, gone

ROOT = Path(__file__).resolve().parents[2]
ENDED = {"containment": "DONE", "page, contained": "yes", "page, gap_count": "0", "evidence": "memory ACQUIRED"}


@pytest.mark.thorough
def test_two_steps_that_failed_for_good_are_made_good_by_one_clear(tmp_path: Path) -> None:
    steps = "containment.isolate_target,report.close_case"
    command = [sys.executable, "-m", "tests.clear", "--small", "--early", "--steps", steps]
    done = subprocess.run(
        [*command, "--log", str(tmp_path / "log"), "--cache", str(tmp_path / "cache")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=3600,
    )
    assert done.returncode == 0, done.stderr[-6000:]
    assert done.stderr.splitlines()[-1] == "2 failures, 0 faults", done.stderr[-6000:]


def test_what_differs_is_named() -> None:
    other = {**ENDED, "containment": "FAILED", "failures": "x"}
    assert differences(ENDED, other) == [
        "containment: 'FAILED', undisturbed 'DONE'",
        "failures: 'x', undisturbed 'nothing'",
    ]
    assert differences(ENDED, dict(ENDED)) == []


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"evidence": "memory FAILED", "page, gap_count": "1"}, 0),
        ({"evidence": "memory FAILED"}, 1),
        ({"evidence": ""}, 1),
        ({"containment": "FAILED"}, 1),
    ],
)
def test_evidence_that_is_gone_must_be_said_to_be_and_the_target_contained(changes: dict[str, str], wrong: int) -> None:
    assert len(gone(ENDED, {**ENDED, **changes})) == wrong
