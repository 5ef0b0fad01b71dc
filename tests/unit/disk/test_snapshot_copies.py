"""Each snapshot gets to the forensic account by the route of its key; each pass continues from what AWS shows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from forensics.aws import kms
from forensics.aws.ebs import Snapshot
from forensics.disk import snapshot_copies
from forensics.disk.snapshot_copies import CopyAccounts, SnapshotCopies, copy_region
from forensics.errors import AccessDeniedError, AwsError, SnapshotError, ThrottledError
from forensics.models.disk import KeyCase, KeyFacts, Route
from forensics.models.evidence import DiskEvidence, EvidenceKind, Outcome
from forensics.naming import TAG_CASE, TAG_PURPOSE, TAG_SOURCE, tags
from tests.unit.accounts import FORENSIC, EbsInMemory, KeysInMemory, sessions_of, settings
from tests.unit.builders import ACCOUNT, CASE_ID, REGION, case, evidence
from tests.unit.recorders import FakeRecorder

EVIDENCE_KEY = "arn:aws:kms:eu-central-1:222233334444:key/evidence"
CUSTOMER_KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/customer"
NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
GRANTEE = f"arn:aws:iam::{FORENSIC}:role/forensics-analyse"


class GrantedKeys(KeysInMemory):
    """The member's keys as the role sees them to which they are granted: after some looks."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = 0
        self.looks: list[str] = []

    def describe(self, arn: str) -> KeyFacts:
        self.looks.append(arn)
        return KeyFacts(arn=arn, problem="not authorized") if len(self.looks) <= self.hidden else super().describe(arn)


class World:
    """A case with one disk, and both accounts."""

    def __init__(self, *, region: str = REGION, **changes: object) -> None:
        self.recorder = FakeRecorder()
        self.member, self.forensic = EbsInMemory(account_id=ACCOUNT), EbsInMemory(region=region)
        self.keys, self.forensic_keys, self.granted_keys = KeysInMemory(), KeysInMemory(FORENSIC), GrantedKeys()
        self.settings = settings(**changes)
        self.add_disk("vol-1", "snap-1")

    def add_disk(self, volume: str, snapshot: str, **of_snapshot: object) -> None:
        self.member.add(snapshot, **{"volume_id": volume, **of_snapshot})
        origin = {"volume_id": volume, "snapshot_id": snapshot}
        item = evidence(EvidenceKind.DISK, Outcome.PENDING, origin=origin)
        self.recorder.save_evidence(item.model_copy(update={"evidence_id": f"disk-{volume}"}))

    @property
    def copies(self) -> SnapshotCopies:
        accounts = CopyAccounts(self.member, self.keys, self.forensic, self.forensic_keys, GRANTEE, self.granted_keys)
        return SnapshotCopies(self.recorder, accounts, self.settings)

    def disk(self, volume: str = "vol-1") -> DiskEvidence:
        found = self.recorder.disk(f"disk-{volume}")
        assert found is not None
        return found


def test_an_unencrypted_snapshot_is_shared_copied_and_locked() -> None:
    world = World()
    found = world.copies.advance()
    (copy,) = found.copies
    assert (found.complete, found.in_account, found.over_quota) == (set(), [], [])
    assert world.member.shared == [("snap-1", FORENSIC)]
    assert world.forensic.copied == [{"of": "snap-1", "from": REGION, "key": EVIDENCE_KEY}]
    assert world.forensic.locked == {}, "a copy that may still end in error is not locked: nobody could delete it"
    disk = world.disk()
    assert (disk.origin.copy_id, disk.origin.copy_region) == (copy, REGION)
    assert (disk.origin.key_case, disk.origin.route) == (KeyCase.NONE, Route.SHARE)
    assert "copy" not in disk.lock
    assert world.forensic.known[copy].tags.items() >= {
        TAG_CASE: CASE_ID, TAG_PURPOSE: "evidence-copy", TAG_SOURCE: "snap-1"
    }.items()  # fmt: skip
    assert "snapshots_complete" in world.recorder.view().milestones


def test_the_next_pass_finds_the_copy_and_makes_no_second_one() -> None:
    world = World()
    (copy,) = world.copies.advance().copies
    world.forensic.complete()
    found = world.copies.advance()
    assert (found.complete, found.copies) == ({"disk-vol-1"}, [])
    assert world.forensic.locked == {copy: 365} and world.disk().lock["copy"].state == "governance"
    assert len(world.forensic.copied) == 1 and world.disk().origin.copy_id == copy


def test_a_copy_that_no_list_shows_yet_is_not_made_twice() -> None:
    world = World()
    (copy,) = world.copies.advance().copies
    world.forensic.known[copy] = world.forensic.known[copy].model_copy(update={"tags": {}})
    assert world.copies.advance().copies == [copy] and len(world.forensic.copied) == 1


def test_a_copy_that_a_lost_worker_made_is_locked_and_recorded() -> None:
    world = World()
    world.forensic.errors["copy"] = AwsError("the connection was lost")
    world.copies.advance()
    del world.forensic.errors["copy"]
    made = {t["Key"]: t["Value"] for t in tags(CASE_ID, "evidence-copy", source="snap-1")}
    said = f"Forensic evidence of case {CASE_ID}: copy of snap-1"
    world.forensic.add("copy-8", tags=made, description="Created by an intruder")
    world.forensic.add("copy-9", tags=made, description=said)
    assert world.copies.advance().complete == {"disk-vol-1"}
    assert world.forensic.locked == {"copy-9": 365}
    assert world.disk().lock["copy"].state == "governance"


def encrypted(world: World, key: str = CUSTOMER_KEY) -> None:
    world.member.add("snap-1", encrypted=True, kms_key_id=key)


def test_a_customer_key_is_granted_to_the_role_that_copies() -> None:
    world = World()
    encrypted(world)
    world.copies.advance()
    assert world.keys.grants == [(CUSTOMER_KEY, GRANTEE, CASE_ID)]
    assert (world.disk().origin.key_case, world.disk().origin.route) == (KeyCase.CUSTOMER, Route.GRANT)


def test_the_keys_of_original_and_complete_copy_are_recorded_for_the_audit() -> None:
    world = World()
    encrypted(world)
    world.copies.advance()
    assert world.disk().origin.key_ids == {"snapshot": CUSTOMER_KEY}, "a pending copy may show an alias"
    world.forensic.complete()
    world.copies.advance()
    assert world.disk().origin.key_ids == {"snapshot": CUSTOMER_KEY, "copy": EVIDENCE_KEY}


def test_a_copy_waits_for_its_grant_once_for_each_key() -> None:
    world = World()
    encrypted(world)
    world.add_disk("vol-2", "snap-2", encrypted=True, kms_key_id=CUSTOMER_KEY)
    world.granted_keys.hidden = 2
    world.copies.advance()
    assert world.granted_keys.looks == [CUSTOMER_KEY] * 3
    assert len(world.forensic.copied) == 2


def test_a_grant_that_is_never_seen_does_not_keep_the_copy_from_being_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kms, "GRANTED_WITHIN", 0.0)
    world = World()
    encrypted(world)
    world.granted_keys.hidden = 99
    world.copies.advance()
    assert len(world.forensic.copied) == 1 and world.disk().origin.route == Route.GRANT


def test_a_key_that_cannot_be_granted_is_replaced_in_its_own_account() -> None:
    world = World()
    encrypted(world)
    world.keys.refuse_grants = AccessDeniedError("create grant: AccessDenied")
    found = world.copies.advance()
    (member_copy,) = found.in_account
    assert found.copies == [] and world.member.shared == [], "nothing is shared before the copy is complete"
    assert world.member.copied == [
        {"of": "snap-1", "from": REGION, "key": world.keys.resolve("alias/forensics-member")}
    ]
    assert world.member.locked == {} and world.disk().origin.route is Route.REENCRYPT

    world.member.complete()
    (copy,) = world.copies.advance().copies
    assert len(world.member.copied) == 1, "the copy in the account is made once"
    assert world.member.shared == [(member_copy, FORENSIC)]
    assert world.forensic.copied[0]["of"] == member_copy
    disk = world.disk()
    assert world.member.locked == {member_copy: 365} and disk.lock["member_copy"].state == "governance"
    assert (disk.origin.member_copy_id, disk.origin.copy_id) == (member_copy, copy)


def test_a_blocked_disk_says_what_to_do_and_does_not_hold_up_the_others() -> None:
    world = World()
    encrypted(world)
    world.keys.known[CUSTOMER_KEY] = KeyFacts(arn=CUSTOMER_KEY, account_id=ACCOUNT, state="Disabled")
    world.add_disk("vol-2", "snap-2")
    found = world.copies.advance()
    assert len(found.copies) == 1 and world.disk("vol-2").origin.copy_id == found.copies[0]
    blocked = world.disk()
    assert "is in state Disabled: nobody can decrypt with it" in str(blocked.reason)
    assert str(blocked.origin.next_action).startswith(f"enable {CUSTOMER_KEY}")
    assert blocked.origin.copy_id is None


@pytest.mark.parametrize(
    ("message", "route"),
    [("Given key ID is not accessible", Route.REENCRYPT), ("Client.InternalError", Route.GRANT)],
)
def test_a_failed_copy_is_made_again_by_another_route_when_the_key_was_the_cause(message: str, route: Route) -> None:
    world = World()
    encrypted(world)
    (failed,) = world.copies.advance().copies
    world.forensic.add(failed, "error", message=message, tags=world.forensic.known[failed].tags)
    found = world.copies.advance()
    assert world.disk().origin.route is route
    assert (len(found.in_account), len(found.copies)) == ((1, 0) if route is Route.REENCRYPT else (0, 1))
    assert any(f"copy {failed} ended in error: {message}" in note for note in world.recorder.notes)


def fail_copies(world: World, *, seconds: float = 0.0, message: str = "not accessible") -> None:
    """Every copy that is pending ends in error; the newest began so long after the first."""
    for number, (name, made) in enumerate(list(world.forensic.known.items())):
        started = NOON + timedelta(seconds=seconds * number)
        world.forensic.known[name] = made.model_copy(
            update={"state": "error", "message": message, "started_at": started}
        )


def test_a_copy_that_began_before_its_share_had_spread_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """radkawar/stackd, docs/ec2.md: the request succeeds, and the copy ends in error."""
    paused: list[float] = []
    monkeypatch.setattr(snapshot_copies, "time", SimpleNamespace(sleep=paused.append))
    world = World()
    (first,) = world.copies.advance().copies
    fail_copies(world)
    (second,) = world.copies.advance(after_wait=True).copies
    assert second != first and world.disk().origin.copy_id == second
    assert paused == [snapshot_copies.SHARE_PAUSE] and world.forensic.locked == {}


def test_copies_that_go_on_failing_end_the_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot_copies, "SHARE_PAUSE", 0.0)
    world = World()
    world.copies.advance()
    for _ in range(snapshot_copies.MOST_FAILED_COPIES - 1):
        fail_copies(world)
        world.copies.advance(after_wait=True)
    fail_copies(world)
    with pytest.raises(SnapshotError, match="copy ended in state error"):
        world.copies.advance(after_wait=True)
    assert len(world.forensic.copied) == snapshot_copies.MOST_FAILED_COPIES
    world.copies.advance()
    assert len(world.forensic.copied) == snapshot_copies.MOST_FAILED_COPIES + 1, "a new try makes another"


@pytest.mark.parametrize(
    ("failed", "again"),
    [
        ([(0, "not accessible")], True),
        ([(0, "not accessible"), (200, "not accessible")], False),
        ([(0, "Given key ID is not accessible")], False),
        ([], False),
    ],
)
def test_only_what_fails_soon_after_the_first_may_be_the_share(failed: list[tuple[int, str]], again: bool) -> None:
    made = [
        Snapshot(id="s", volume_id="v", state="error", message=text, started_at=NOON + timedelta(seconds=at))
        for at, text in failed
    ]
    assert snapshot_copies.may_be_share(made) is again


def test_a_full_quota_is_not_a_failure() -> None:
    world = World()
    world.forensic.errors["copy"] = ThrottledError("copy snapshot snap-1: ResourceLimitExceeded")
    found = world.copies.advance()
    assert found.over_quota == ["disk-vol-1: copy snapshot snap-1: ResourceLimitExceeded"]
    assert world.disk().reason is None


def test_a_refused_call_is_the_disks_reason() -> None:
    world = World()
    world.member.errors["share"] = AccessDeniedError("share snapshot snap-1: UnauthorizedOperation")
    world.add_disk("vol-2", "snap-2")
    found = world.copies.advance()
    assert (found.copies, found.over_quota) == ([], [])
    assert world.disk().reason == world.disk("vol-2").reason == "share snapshot snap-1: UnauthorizedOperation"


def test_an_acquired_disk_is_left_alone() -> None:
    world = World()
    world.recorder.save_evidence(world.disk().model_copy(update={"outcome": Outcome.ACQUIRED}))
    found = world.copies.advance()
    assert (found.complete, found.copies, world.forensic.copied) == (set(), [], [])


def test_a_failed_original_and_no_original_end_the_step() -> None:
    world = World()
    world.member.add("snap-1", "error", message="no space")
    with pytest.raises(SnapshotError, match="snap-1 of vol-1: no space"):
        world.copies.advance()
    empty = World()
    empty.recorder.save_evidence(empty.disk().model_copy(update={"origin": type(empty.disk().origin)()}))
    with pytest.raises(SnapshotError, match="no snapshot to copy") as caught:
        empty.copies.advance()
    assert caught.value.next_action == "clear disk.snapshot_volumes"


def test_in_another_region_the_key_there_is_used() -> None:
    world = World(region="eu-west-1")
    world.copies.advance()
    assert world.forensic.copied[0]["key"] == world.forensic_keys.resolve("alias/forensics-evidence")
    assert world.disk().origin.copy_region == "eu-west-1"


@pytest.mark.parametrize(("may_leave", "region"), [("", "us-east-1"), ("us-east-1,us-west-2", REGION), ("*", REGION)])
def test_the_copies_go_where_policy_lets_them(may_leave: str, region: str) -> None:
    assert copy_region(case(region="us-east-1"), settings(cross_region_from=may_leave)) == region


def test_both_ends_have_the_cases_own_sessions() -> None:
    accounts = CopyAccounts.of(sessions_of(FakeRecorder()), "eu-west-1")
    assert (accounts.source.account_id, accounts.source.region) == (ACCOUNT, REGION)
    assert (accounts.forensic.account_id, accounts.forensic.region) == (FORENSIC, "eu-west-1")
    assert accounts.grantee == GRANTEE
