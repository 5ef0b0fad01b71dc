"""The intake under a scheduler that a seed drives: nothing is lost or doubled, and a product that would lose or double is caught."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from forensics.aws.case_store import CaseStore
from forensics.case.notices import CaseNotices
from forensics.intake.engine import IntakeEngine
from forensics.intake.lost_runs import LostRuns
from forensics.models.case import Case
from forensics.models.finding import Finding
from tests.interleavings.play import play

STORIES, ENOUGH = 150, 1_500


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """The product says much about what a story does to it."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("first", range(0, STORIES, 50))
def test_nothing_is_lost_and_nothing_doubled(first: int) -> None:
    broken = [story for seed in range(first, first + 50) if (story := play(seed)).faults]
    assert not broken, "\n\n".join(map(str, broken[:2]))


def test_a_seed_gives_the_same_story_again() -> None:
    assert play(7).trace == play(7).trace != play(8).trace


def test_the_stories_kill_and_redeliver() -> None:
    stories = [play(seed) for seed in range(40)]
    assert sum(s.kills for s in stories) > 5 and max(s.requests for s in stories) > 200


def caught(words: str) -> bool:
    """Whether some story says so of a product that was broken on purpose."""
    return any(words in fault for seed in range(ENOUGH) for fault in play(seed).faults)


def test_it_bites_where_a_message_is_told_without_asking_who_tells_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        CaseNotices, "_mine_to_tell", lambda self, case, event: None if self.told(case, event) else "me"
    )
    assert caught("people got")


def test_it_bites_where_a_case_is_opened_without_its_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = CaseStore._try_open

    def without_lock(self: CaseStore, case: Case, finding: Finding, after: str | None) -> bool:
        transact = self._transact
        with monkeypatch.context() as changed:
            changed.setattr(
                self, "_transact", lambda writes, what: transact([w for w in writes if "LOCK" not in str(w)], what)
            )
            return whole(self, case, finding, after)

    monkeypatch.setattr(CaseStore, "_try_open", without_lock)
    assert caught("two open cases at once")


def test_it_bites_where_a_message_is_deleted_before_its_work_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    take = IntakeEngine._take

    def hasty(self: IntakeEngine, messages: object) -> None:
        take(self, messages)  # type: ignore[arg-type]
        self._queue.delete([str(m["ReceiptHandle"]) for m in messages])  # type: ignore[attr-defined]

    monkeypatch.setattr(IntakeEngine, "_take", hasty)
    assert caught("is in no case")


def test_it_bites_where_nobody_looks_for_lost_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LostRuns, "look", lambda self, now: ([], []))
    assert caught("never came to its end")
