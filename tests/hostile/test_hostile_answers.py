"""Seeded hostile answers of a target and of a forensic instance: each ends within its budget in a verdict that people hear of.

HOSTILE_SEED and HOSTILE_COUNT (answers of each kind) vary them: ``make hostile-check``. A failing one prints how to play it again.
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.hostile.answers import KINDS, Maker
from tests.hostile.trial import Bench, Memory, faults

SEED = int(os.environ.get("HOSTILE_SEED", "20261129"))
COUNT = int(os.environ.get("HOSTILE_COUNT", "2"))
PROCESSOR_SECONDS = 60  # of this process for one answer and the honest rest of its case (one or two)
PEAK_MIB = 512


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    """The product's steps."""
    with pytest.MonkeyPatch.context() as patch:
        yield Bench(patch)


@contextmanager
def budget(story: str) -> Iterator[None]:
    """Processor time, not the clock: a walk that does not end is an error that names the answer."""

    def stop(*_: object) -> None:
        pytest.fail(f"{story}: still at work after {PROCESSOR_SECONDS} s of processor time")

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, PROCESSOR_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)
def test_a_hostile_answer_ends_in_a_recorded_and_announced_verdict(
    bench: Bench, make: Maker, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong, most = [], (0, 0)
    for number in range(COUNT):
        answer = make(random.Random(f"{SEED}/{make.__name__}/{number}"), number)
        story = f"HOSTILE_SEED={SEED}, {make.__name__} {number}, {answer.story}"
        with Memory() as memory, budget(story):
            recorder = bench.play(answer)
        most = max(most[0], memory.own_mib), max(most[1], memory.child_mib)
        with budget(story):
            wrong += [f"{story}: {fault}" for fault in faults(recorder, answer)]
    assert wrong == []
    assert max(most) <= PEAK_MIB, f"{make.__name__} took {most} MiB"
    if COUNT > 2:
        with capsys.disabled():
            print(
                f"[hostile-check] {make.__name__}: {COUNT} answers; most memory {most[0]} MiB more here, {most[1]} MiB in a child"
            )
