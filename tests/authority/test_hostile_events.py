"""At least 120 seeded hostile events: none isolates without a person; the honest ones of the same shapes do.

AUTHORITY_SEED and AUTHORITY_COUNT (events of each kind) vary them: ``make authority-check``.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.scenarios.finding_events import asff, guardduty, ocsf
from tests.authority.court import Court, Fate
from tests.authority.hostile import ISOLATING, KINDS, LABELS, Maker
from tests.integration.conftest import running_lab

SEED = int(os.environ.get("AUTHORITY_SEED", "20261129"))
COUNT = int(os.environ.get("AUTHORITY_COUNT", "11"))


@pytest.fixture(scope="module")
def court(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Court]:
    """One lab for all: a finding leaves nothing behind that another one could use."""
    with pytest.MonkeyPatch.context() as patch:
        folder: Path = tmp_path_factory.mktemp("authority")
        with running_lab(folder, patch) as lab:
            yield Court(lab)


def test_there_are_enough_of_every_kind() -> None:
    assert len(KINDS) * COUNT >= 120


@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)
def test_a_hostile_event_does_not_isolate_without_a_person(court: Court, make: Maker) -> None:
    dice = random.Random(f"{SEED}/{make.__name__}")
    wrong = []
    for number in range(COUNT):
        hostile = make(court, dice)
        ruling = court.judge(hostile.event)
        assert ruling.reasons and all(ruling.reasons), f"{hostile.story}: nobody is told why"
        if ruling.fate not in hostile.may:
            wrong.append(f"{number} {hostile.story}: {ruling}")
    assert wrong == []


@pytest.mark.parametrize("shape", [asff, guardduty, ocsf], ids=lambda shape: shape.__name__)
def test_an_honest_event_of_the_same_shape_isolates(court: Court, shape) -> None:
    dice = random.Random(f"{SEED}/{shape.__name__}")
    for _ in range(COUNT):
        found = court.finding(label=dice.choice(LABELS), kind=dice.choice(ISOLATING))
        event = shape(found)
        court.known(event, source=event["source"], kind=event["detail-type"])
        ruling = court.judge(event)
        assert ruling.fate is Fate.ISOLATES, str(ruling)


def test_a_persons_signed_request_isolates(court: Court) -> None:
    for _ in range(COUNT):
        ruling = court.judge(court.manual(court.signed(court.request("alice"))))
        assert ruling.fate is Fate.ISOLATES, str(ruling)
