"""A part of ``make crash-check``: the steps of the intake, in a process of its own (the lab inside it is global)."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.crash.points import Outcome, Point, judged

ROOT = Path(__file__).resolve().parents[2]
POINT = Point("step", 3, after=True)


def test_every_step_of_the_intake_ends_as_if_it_had_not_died(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "tests.crash",
        "--until",
        "write back (ocsf)",
        "--most",
        "6",
        "--log",
        str(tmp_path / "log"),
    ]
    done = subprocess.run(
        [*command, "--cache", str(tmp_path / "cache")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert ", 0 faults, 0 problems" in done.stderr.splitlines()[-1], done.stderr[-4000:]


@pytest.mark.parametrize(
    ("line", "killed_in", "is_fault"),
    [
        ("forensic snapshot completed {}", "Action=CopySnapshot", True),
        ("mail closed HIGH: Case closed", "Action=Publish", False),
        ("mail closed HIGH: Case closed", "DynamoDB_20120810.PutItem", True),
        ('item CASE#x CUSTODY#y {"action": {"S": "OBJECT_DOWNLOADED"}}', "DynamoDB_20120810.TransactWriteItems", False),
        ('item CASE#x CUSTODY#y {"action": {"S": "CASE_COMMENTED"}}', "DynamoDB_20120810.TransactWriteItems", True),
        ("item CASE#x TIMELINE#y {}", "DynamoDB_20120810.PutItem", False),
    ],
)
def test_what_is_there_twice_is_a_fault_unless_nobody_could_have_known(
    line: str, killed_in: str, is_fault: bool
) -> None:
    undisturbed, twice = Outcome(left=Counter([line])), Outcome(left=Counter([line, line]), killed_in=killed_in)
    assert (judged(POINT, undisturbed, twice) is not None) is is_fault


def test_what_is_missing_and_what_fails_is_a_fault() -> None:
    undisturbed = Outcome(left=Counter(["item CASE#x MILESTONE#closed {}"]))
    assert "missing:  1 x item CASE#x MILESTONE#closed" in str(judged(POINT, undisturbed, Outcome()))
    failed = Outcome(left=undisturbed.left, error="AirflowFailException: it cannot go on")
    assert "the repetition failed: AirflowFailException" in str(judged(POINT, undisturbed, failed))
