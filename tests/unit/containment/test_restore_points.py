"""The restore point: once, sealed before the first change, checked before a release."""

from __future__ import annotations

import hashlib

import pytest

from forensics import case_keys
from forensics.containment.restore_points import RestorePoints, restore_digest
from forensics.errors import ContainmentError, CustodyChainError, CustodyError
from forensics.models.custody import CustodyAction
from tests.unit.containment.case_world import World
from tests.unit.containment.targets import everything


def test_a_restore_point_is_never_replaced(world: World) -> None:
    points = RestorePoints(world.recorder)
    assert points.get() is None
    first = points.take(everything())
    assert points.take(everything(stop_protected=True)) == first == points.get()
    assert [i.group_ids for i in first.interfaces] == [("sg-app",), ("sg-app",)]


def test_it_is_locked_logged_and_signed_once(world: World) -> None:
    recorder, points = world.recorder, RestorePoints(world.recorder)
    point = points.take(everything())
    points.seal(point)
    points.seal(point)
    ((key, body),) = recorder.evidence_store.objects.items()
    assert key.startswith(f"cases/{recorder.case_id}/custody/restore-point-")
    assert hashlib.sha256(body).hexdigest() == restore_digest(point)
    assert recorder.ledger.actions() == [CustodyAction.RESTORE_POINT_TAKEN]
    assert recorder.ledger.last(CustodyAction.RESTORE_POINT_TAKEN).detail["sha256"] == restore_digest(point)
    assert recorder.ledger.signed == ["restore-point"]


def test_a_release_gets_the_facts_that_the_ledger_vouches_for(world: World) -> None:
    points = RestorePoints(world.recorder)
    points.seal(points.take(everything()))
    assert points.verified() == everything()


def test_without_a_restore_point_there_is_nothing_to_release(world: World) -> None:
    with pytest.raises(ContainmentError, match="containment never began"):
        RestorePoints(world.recorder).verified()


def test_a_restore_point_that_was_changed_afterwards_is_refused(world: World) -> None:
    points = RestorePoints(world.recorder)
    point = points.take(everything())
    points.seal(point)
    forged = point.model_copy(update={"facts": everything(stop_protected=True)})
    world.recorder.put(case_keys.RESTORE_POINT, forged)
    with pytest.raises(CustodyError, match="not the one in the custody ledger"):
        points.verified()


def test_a_ledger_that_nobody_signed_vouches_for_nothing(world: World) -> None:
    points = RestorePoints(world.recorder)
    points.seal(points.take(everything()))
    world.recorder.ledger.signed.clear()
    with pytest.raises(CustodyChainError):
        points.verified()
