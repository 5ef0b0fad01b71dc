"""Leases on parts of a case, in moto's DynamoDB: one holder, also where clocks disagree."""

from __future__ import annotations

from datetime import timedelta

from forensics.aws.case_store import CaseStore
from tests.unit.builders import CASE_ID, NOW


def test_a_lease_has_one_holder_until_it_ends(store: CaseStore) -> None:
    assert store.lease(CASE_ID, "x", holder="a", seconds=20, now=NOW)
    assert store.lease(CASE_ID, "x", holder="a", seconds=20, now=NOW), "its holder renews it"
    assert not store.lease(CASE_ID, "x", holder="b", seconds=20, now=NOW + timedelta(seconds=20))
    assert store.lease(CASE_ID, "x", holder="b", seconds=20, now=NOW + timedelta(seconds=21))
    store.release_lease(CASE_ID, "x", holder="a")
    assert store.lease_holder(CASE_ID, "x") == "b", "who lost it releases nothing"
    store.release_lease(CASE_ID, "x", holder="b")
    assert store.lease_holder(CASE_ID, "x") is None


def test_of_several_who_wait_for_a_dead_holder_with_another_clock_one_takes_over(store: CaseStore) -> None:
    """Seeds 2464, 11966, 23536 of `make intake-check`: each of them took it, and people were told twice."""
    assert store.lease(CASE_ID, "x", holder="dead", seconds=20, now=NOW + timedelta(days=1))
    assert not store.lease(CASE_ID, "x", holder="b", seconds=20, now=NOW)
    seen = store.lease_holder(CASE_ID, "x")
    assert seen == "dead"
    taken = [store.lease(CASE_ID, "x", holder=name, seconds=20, now=NOW, instead_of=seen) for name in ("b", "c")]
    assert taken == [True, False] and store.lease_holder(CASE_ID, "x") == "b"
