"""How often one case's tasks read the case store: a bound for each, in a process of its own (the lab inside it is global)."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

from tests.crash.counted import MOST_READS, MOST_READS_IN_ALL, MOST_READS_OF_OTHERS, over_bounds

ROOT = Path(__file__).resolve().parents[2]


def test_no_task_of_a_case_reads_the_case_store_more_often_than_its_bound() -> None:
    """Each step once read ten items one by one for the board's line, and each event of the ledger its head: 1,265 reads a case, 667 since."""
    command = [sys.executable, "-m", "tests.crash.counted", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=1800)
    assert done.returncode == 0 and "PROBLEM" not in done.stderr, done.stderr[-4000:]


def test_a_task_over_its_bound_and_a_case_over_all_are_named() -> None:
    assert over_bounds(Counter({"report.close_case": MOST_READS["report.close_case"], "x": MOST_READS_OF_OTHERS})) == []
    assert over_bounds(Counter({"x": MOST_READS_OF_OTHERS + 1})) == [
        f"x reads the case store {MOST_READS_OF_OTHERS + 1} times"
    ]
    many = Counter({f"task{n}": 30 for n in range(MOST_READS_IN_ALL // 30 + 1)})
    (told,) = over_bounds(many)
    assert told.startswith("all tasks reads")
