"""The targets that the watchdog looks at."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from forensics import case_keys
from forensics.containment.drift_rules import Drift
from forensics.containment.watch_list import complete_list, is_watched, unwatch, watch, watched_cases
from forensics.models.case import Case
from forensics.models.containment import ContainmentResult, ContainmentState, ReleaseResult
from forensics.models.evidence import Outcome
from tests.unit.builders import CASE_ID, NOW, case
from tests.unit.recorders import StoreInMemory

CLOSED = ContainmentResult(outcome=Outcome.DONE, state=ContainmentState.NEW_FLOWS_BLOCKED, contained_at=NOW)


@pytest.fixture
def store() -> StoreInMemory:
    return StoreInMemory()


def test_only_a_target_whose_network_is_closed_is_watched_until_it_is_released(store: StoreInMemory) -> None:
    watch(store, CASE_ID, CLOSED.model_copy(update={"state": ContainmentState.FAILED}))
    assert list(watched_cases(store)) == []
    watch(store, CASE_ID, CLOSED)
    store.put(CASE_ID, case_keys.DRIFT, Drift(looked_at=NOW))
    assert list(watched_cases(store)) == [CASE_ID] and is_watched(store, CASE_ID)
    unwatch(store, CASE_ID)
    assert not is_watched(store, CASE_ID) and not store.has(CASE_ID, case_keys.DRIFT)


def test_targets_that_an_earlier_release_contained_are_found_once(store: StoreInMemory) -> None:
    released = ReleaseResult(outcome=Outcome.DONE, released_at=NOW + timedelta(hours=1))
    cases = {
        name: f"fc-20261124-{n:010x}" for n, name in enumerate(("contained", "released", "again", "partly", "open"))
    }
    for name, case_id in cases.items():
        later = {"contained_at": NOW + timedelta(hours=2)} if name == "again" else {}
        state = {"state": ContainmentState.NOT_CONTAINED} if name == "open" else {}
        store.put(case_id, case_keys.CONTAINMENT, CLOSED.model_copy(update=later | state))
    for name in ("released", "again"):
        store.put(cases[name], case_keys.RELEASE, released)
    store.put(cases["partly"], case_keys.RELEASE, ReleaseResult(outcome=Outcome.PARTIAL))
    read: list[int] = []

    def every() -> Iterator[Case]:
        read.append(1)
        return (case(case_id=case_id) for case_id in cases.values())

    for _ in range(2):
        complete_list(store, every)
    assert set(watched_cases(store)) == {cases[n] for n in ("contained", "again", "partly")}
    assert read == [1]
