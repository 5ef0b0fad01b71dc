"""The restore point: recorded before the first change, sealed as soon as that can be, checked before a release."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import Any

import pytest

from forensics import case_keys
from forensics.case.gaps import gaps
from forensics.containment.restore_points import PROMPT, UNSEALED, RestorePoints, RestoreSeal
from forensics.custody.chain import canonical
from forensics.errors import ContainmentError, CustodyChainError, CustodyError, UnreachableError
from forensics.models.base import format_utc
from forensics.models.containment import RestorePoint
from forensics.models.custody import SIGNATURE_ALGORITHM, CustodyAction, SignedHead
from forensics.models.target_facts import InstanceFacts, ProfileFacts
from tests.unit.builders import CASE_ID
from tests.unit.containment.case_world import World
from tests.unit.containment.targets import everything

ROLE = ProfileFacts(association_id="iip-1", name="app", arn="arn", role="app")
TAKEN, SEALED = CustodyAction.RESTORE_POINT_TAKEN, CustodyAction.RESTORE_POINT_SEALED


def as_ec2_knows_it() -> InstanceFacts:
    """The target before IAM was asked."""
    return everything(profile=ROLE.model_copy(update={"role": None, "role_unread": True}))


def stored(world: World, key: str = case_keys.RESTORE_POINT) -> dict[str, Any]:
    """A part as it is in the case store."""
    data = world.recorder.store.data(CASE_ID, key)
    assert isinstance(data, dict)
    return data


def no_kms(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """KMS signs nothing."""

    def out(phase: str) -> dict[str, str]:
        raise UnreachableError("sign the ledger head: AWS could not be reached")

    monkeypatch.setattr(world.recorder, "sign_ledger", out)


def test_a_restore_point_is_never_replaced(world: World) -> None:
    points = RestorePoints(world.recorder)
    assert points.get() is None
    first = points.take(everything())
    assert points.take(everything(stop_protected=True)) == first == points.get()
    assert [i.group_ids for i in first.interfaces] == [("sg-app",), ("sg-app",)]


def test_taking_it_needs_the_case_store_alone_and_enters_its_digest(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requirement R125: isolation waits for no seal and no signature."""
    no_kms(world, monkeypatch)
    RestorePoints(world.recorder).take(everything())
    assert world.recorder.evidence_store.objects == {}
    assert world.recorder.ledger.actions() == [TAKEN]
    digest = hashlib.sha256(canonical(stored(world))).hexdigest()
    assert world.recorder.ledger.last(TAKEN).detail["sha256"] == digest


def test_it_is_locked_logged_and_signed_once(world: World) -> None:
    recorder, points = world.recorder, RestorePoints(world.recorder)
    points.take(everything())
    points.seal()
    points.seal()
    ((key, body),) = recorder.evidence_store.objects.items()
    assert key.startswith(f"cases/{recorder.case_id}/custody/restore-point-")
    assert json.loads(body) == stored(world)
    assert recorder.ledger.actions() == [TAKEN, SEALED]
    assert recorder.ledger.last(SEALED).detail["sha256"] == hashlib.sha256(body).hexdigest()
    assert recorder.ledger.signed == ["restore-point"]


def test_what_iam_says_later_is_a_part_of_its_own_with_a_seal_of_its_own(world: World) -> None:
    points = RestorePoints(world.recorder)
    point = points.take(as_ec2_knows_it())
    points.seal()
    whole = points.add_identity(point, profile=ROLE, role_policies=("forensics-deny-other",))
    assert whole.facts is not None and whole.facts.profile == ROLE
    again = points.add_identity(point, profile=ROLE.model_copy(update={"role": "forged"}), role_policies=())
    assert again == whole == points.get(), "it is written once"
    assert "role_unread" in stored(world)["facts"]["profile"] and stored(world)["facts"]["profile"]["role"] is None
    points.seal()
    assert world.recorder.ledger.actions() == [TAKEN, SEALED, TAKEN, SEALED]
    assert world.recorder.get(case_keys.IDENTITY_SEAL, RestoreSeal) is not None
    found = points.verified()
    assert (found.profile, found.role_policies) == (ROLE, ("forensics-deny-other",))


def test_a_seal_that_fails_is_a_gap_until_a_later_try(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    points = RestorePoints(world.recorder)
    points.take(everything())
    with monkeypatch.context() as patch:
        no_kms(world, patch)
        why = points.try_to_seal()
    assert why is not None and why.startswith("the restore point is not sealed: sign the ledger head")
    failure = world.recorder.store.failures()[UNSEALED]
    assert "isolation is not affected" in failure.next_action and "containment.isolate_target" in failure.next_action
    view = _view(world)
    assert UNSEALED in {gap.subject for gap in gaps(view)}
    assert points.try_to_seal() is None
    assert world.recorder.store.failures() == {} and world.recorder.ledger.signed == ["restore-point"]


def _view(world: World) -> Any:
    from forensics.case.view import read_view

    view = read_view(world.recorder.store, None, CASE_ID)
    assert view is not None
    return view


def test_an_unsealed_restore_point_releases_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    points = RestorePoints(world.recorder)
    points.take(everything())
    with monkeypatch.context() as patch:
        no_kms(world, patch)
        points.try_to_seal()
    with pytest.raises(CustodyError, match="is not sealed, nothing is released") as caught:
        points.verified()
    assert "clear containment.isolate_target" in caught.value.next_action


@pytest.mark.parametrize("key", [case_keys.RESTORE_POINT, case_keys.RESTORE_IDENTITY])
def test_what_was_changed_before_the_seal_is_not_sealed(
    world: World, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    """While KMS is out, whoever can write the case store must not get a signature for another restore point."""
    points = RestorePoints(world.recorder)
    points.add_identity(points.take(as_ec2_knows_it()), profile=ROLE, role_policies=())
    world.recorder.store.held[CASE_ID, key] = {**stored(world, key), "taken_at": "2026-11-24T00:00:00.000000Z"}
    why = points.try_to_seal()
    assert why is not None and "was changed after it was taken: it is not sealed" in why
    assert world.recorder.ledger.signed == [] and world.recorder.get(case_keys.RESTORE_SEAL, RestoreSeal) is None


def test_a_second_copy_under_object_lock_is_an_alarm(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first copy was stored while KMS was out: a forged item and a forged ledger do not hide it."""
    points = RestorePoints(world.recorder)
    points.take(everything())
    with monkeypatch.context() as patch:
        no_kms(world, patch)
        points.try_to_seal()
    forged = {**stored(world), "taken_at": "2026-11-24T00:00:00.000000Z"}
    world.recorder.store.held[CASE_ID, case_keys.RESTORE_POINT] = forged
    events = world.recorder.ledger.events(CASE_ID)
    for event in events:
        world.recorder.store.held.pop((CASE_ID, f"{case_keys.CUSTODY_EVENT}{event.seq:08d}"))
    world.recorder.ledger._once.clear()
    why = points.try_to_seal()
    assert why is not None and "is another restore-point of case" in why
    assert world.recorder.ledger.signed == []


def test_a_release_gets_the_facts_that_the_ledger_vouches_for(world: World) -> None:
    points = RestorePoints(world.recorder)
    points.take(everything())
    points.seal()
    assert points.verified() == everything()


def test_a_restore_point_of_an_earlier_release_counts_as_it_was_written(world: World) -> None:
    """Its item lacks fields that were added since, and its ledger event names no part: the digest is over what is stored."""
    points = RestorePoints(world.recorder)
    points.take(everything())
    old = stored(world)
    for name in ("iam_unknown",):
        del old["facts"][name]
    del old["facts"]["profile"]["role_unread"]
    world.recorder.store.held[CASE_ID, case_keys.RESTORE_POINT] = old
    world.recorder.store.held.pop((CASE_ID, f"{case_keys.CUSTODY_EVENT}00000001"))
    digest = hashlib.sha256(canonical(old)).hexdigest()
    world.recorder.custody(TAKEN, detail={"sha256": digest, "uri": "s3://evidence/x", "object_sha256": digest})
    world.recorder.put(case_keys.RESTORE_SEAL, RestoreSeal(uri="s3://evidence/x"))
    world.recorder.sign_ledger("restore-point")
    assert points.verified() == everything()


def test_without_a_restore_point_there_is_nothing_to_release(world: World) -> None:
    with pytest.raises(ContainmentError, match="containment never began"):
        RestorePoints(world.recorder).verified()


def test_a_restore_point_that_was_changed_afterwards_is_refused(world: World) -> None:
    points = RestorePoints(world.recorder)
    point = points.take(everything())
    points.seal()
    forged = point.model_copy(update={"facts": everything(stop_protected=True)})
    world.recorder.put(case_keys.RESTORE_POINT, forged)
    with pytest.raises(CustodyError, match="not the one in the custody ledger"):
        points.verified()


def test_a_ledger_that_nobody_signed_vouches_for_nothing(world: World) -> None:
    points = RestorePoints(world.recorder)
    points.take(everything())
    points.seal()
    world.recorder.ledger.signed.clear()
    with pytest.raises(CustodyChainError):
        points.verified()


@pytest.mark.parametrize("late", [False, True])
def test_whoever_approves_a_release_hears_of_a_late_seal(world: World, late: bool) -> None:
    points = RestorePoints(world.recorder)
    point = points.take(everything())
    points.seal()
    at = point.taken_at + PROMPT + timedelta(seconds=1 if late else -1)
    statement = {"case_id": CASE_ID, "seq": 2, "head": "0" * 64, "signed_at": format_utc(at)}
    head = SignedHead(
        seq=2, head="0" * 64, phase="restore-point", uri="s3://evidence/head", statement=json.dumps(statement),
        signature="", algorithm=SIGNATURE_ALGORITHM, key_arn="arn", public_key_der="",
    )  # fmt: skip
    world.recorder.put(f"{case_keys.LEDGER_SIGNATURE}00000002#restore-point", head)
    warnings = points.warnings()
    assert [("signed only at" in w and "CloudTrail" in w) for w in warnings] == ([True] if late else [])
    assert isinstance(points.get(), RestorePoint)
