"""The benchmark of Celery workers: its table, its share of a core, its command line."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import pytest

from infra.deployment import capacity
from lab.hosts.usage import cpu_seconds_below
from lab.scenarios.bench_workers import Level, counts, predicted, text
from lab.stack import cores

GIVEN = capacity.inputs(capacity.read())
SPIN = "import os, sys\nif os.fork(): os.wait()\nelse:\n    n = 0\n    while n < 4_000_000: n += 1\n"


def test_the_table_holds_throughput_against_the_fewest_workers_and_against_the_model() -> None:
    one = Level(1, 2, 900.0, 430.0, 700.0, 72)
    two = Level(2, 4, 1_000.0, 900.0, 1_400.0, 144)
    lines = [line.split() for line in text([two, one], GIVEN).splitlines()]
    assert [line[:4] for line in lines[1:3]] == [["1", "2", "900", "8.0"], ["2", "4", "1000", "14.4"]]
    assert [line[4:6] for line in lines[1:3]] == [["100%", "96%"], ["90%", "90%"]]
    # the model by hand: starts a case x processor seconds a start, over the processor seconds that the workers had
    starts = GIVEN["tasks"] + GIVEN["resumes"]
    assert predicted(one, GIVEN) == pytest.approx(430 / 900 * 3600 / (starts * GIVEN["start_processor_seconds"]))


@pytest.mark.parametrize("wrong", ["", "0", "1,x", "17"])
def test_numbers_of_workers_that_make_no_sense_are_refused_with_an_example(wrong: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="as in 1,2,4"):
        counts(wrong)
    assert counts("4,1,2,2") == [1, 2, 4]


def test_a_share_holds_for_what_a_program_starts_and_is_undone() -> None:
    """A real program with a child; the kernel says how long both computed, and where they may run."""
    before = os.sched_getaffinity(0)
    with subprocess.Popen([sys.executable, "-c", f"input()\n{SPIN}"], stdin=subprocess.PIPE, text=True) as program:
        with cores.shared({"one": program.pid}, cores=0.1) as how:
            assert how in {"cgroup", "affinity"}
            groups = Path(f"/proc/{program.pid}/cgroup").read_text("utf-8")
            if how == "cgroup":
                assert f"forensics-bench-{os.getpid()}-one" in groups
            else:
                assert os.sched_getaffinity(program.pid) == {0}
            assert program.stdin is not None
            print(file=program.stdin, flush=True)
            program.wait()
        assert program.returncode == 0
    assert not list(cores.ROOT.glob(f"**/forensics-bench-{os.getpid()}-*"))
    assert os.sched_getaffinity(0) == before
    assert cpu_seconds_below(os.getpid()) > 0


def test_where_no_cgroup_can_be_made_a_program_is_bound_to_one_core(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, text=True) as program:
        with cores.shared({"one": program.pid}, cores=0.5, root=tmp_path / "none") as how:
            assert how == "affinity" and os.sched_getaffinity(program.pid) == {0}
        assert os.sched_getaffinity(program.pid) == set(range(os.cpu_count() or 1))
        assert program.stdin is not None
        print(file=program.stdin, flush=True)
