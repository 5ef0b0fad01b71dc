"""Two workers at once on one step end as one does, and a product that would do it twice is caught."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from forensics.case import requests
from forensics.memory import probe
from tests.interleavings.twins import STEPS, play_twins

STORIES = 80  # make twins-check plays more


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def test_two_workers_at_once_end_as_one() -> None:
    stories = [play_twins(seed) for seed in range(STORIES)]
    broken = [story for story in stories if story.faults]
    assert not broken, "\n\n".join(map(str, broken[:2]))
    assert {story.step for story in stories} == set(STEPS) and sum(story.killed for story in stories) > STORIES / 5


def test_a_seed_gives_the_same_story_again() -> None:
    assert play_twins(3).trace == play_twins(3).trace != play_twins(11).trace


@contextmanager
def _no_turn(*_: Any) -> Iterator[None]:
    yield


@pytest.mark.parametrize(
    ("module", "step", "words"), [(probe, "probe", "commands"), (requests, "snapshot", "snapshots")]
)
def test_it_bites_where_workers_do_not_take_turns(
    monkeypatch: pytest.MonkeyPatch, module: Any, step: str, words: str
) -> None:
    monkeypatch.setattr(module, "turn", _no_turn)
    number = [*STEPS].index(step)
    seeds = range(number, 1600, len(STEPS))
    assert any(f"too much: {words}" in play_twins(seed).faults for seed in seeds)
