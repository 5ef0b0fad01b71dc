"""The full part on accounts in memory; with AWS's own answers it is played in tests/integration/test_preflight.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from forensics.aws.ebs import EbsGateway
from forensics.aws.ebs_direct import EbsDirectGateway
from forensics.aws.ec2 import Ec2Gateway
from forensics.aws.kms import KeyGateway
from forensics.containment.call_runner import ContainmentGateway
from forensics.models.disk import KeyFacts
from forensics.models.preflight import CheckStatus
from forensics.preflight.scope import PreflightScope, Target
from forensics.preflight.target_checks import LARGEST_GIB, DiskCheck, GroupCheck, Stopwatch
from tests.unit.preflight.conftest import MEMBER, REGION, FakeHook

Answering = Callable[[type, Any], None]
TARGET = Target(MEMBER, REGION, "i-0123456789abcdef0")


class Groups:
    """A member account's security groups; ``left`` rules stay after a revocation."""

    def __init__(self, vpc: str | None = "vpc-1", left: int = 0) -> None:
        self.facts = self
        self.vpc, self.left = vpc, left
        self.calls: list[str] = []

    def first_vpc(self) -> str | None:
        return self.vpc

    def perform(self, call: Any, *, ids: dict[str, str]) -> str | None:
        self.calls.append(call.operation)
        return "sg-1" if call.operation == "create_security_group" else None

    def rule_count(self, group_id: str) -> int:
        assert group_id == "sg-1"
        return self.left


@pytest.mark.parametrize(
    ("groups", "status"),
    [(Groups(), CheckStatus.OK), (Groups(left=1), CheckStatus.BROKEN), (Groups(vpc=None), CheckStatus.NOT_TRIED)],
)
def test_a_group_is_made_emptied_read_back_and_always_removed(
    scope: PreflightScope, answering: Answering, groups: Groups, status: CheckStatus
) -> None:
    answering(ContainmentGateway, groups)
    line = GroupCheck(scope, account_id=MEMBER, region=REGION).run()
    assert line.status is status, line.detail
    made = ["create_security_group", "revoke_security_group_egress", "delete_security_group"]
    assert groups.calls == (made if groups.vpc else [])


def disk(scope: PreflightScope, answering: Answering, *, gib: int, key: KeyFacts | None = None) -> Any:
    from tests.unit.accounts import EbsInMemory

    class Volumes:
        def volumes(self, instance_id: str) -> list[dict[str, int]]:
            return [{"Size": gib}]

    class Account(EbsInMemory):
        def create_snapshots(self, instance_id: str, **asked: Any) -> Any:
            return [self.add("snap-1", encrypted=key is not None, kms_key_id=key.arn if key else None)]

    class Keys:
        def describe(self, arn: str) -> KeyFacts:
            assert key is not None
            return key

    class Blocks:
        def tokens(self, snapshot_id: str) -> Any:
            return iter([(0, "t")])

    for kind, gateway in (
        (Ec2Gateway, Volumes()),
        (EbsGateway, Account()),
        (KeyGateway, Keys()),
        (EbsDirectGateway, Blocks()),
    ):
        answering(kind, gateway)
    return DiskCheck(scope, TARGET)


def test_a_large_disk_is_not_copied(scope: PreflightScope, answering: Answering) -> None:
    line = disk(scope, answering, gib=LARGEST_GIB + 1).run()
    assert (line.status, "small disk" in line.next_action) == (CheckStatus.NOT_TRIED, True)


def test_a_key_that_nobody_can_use_is_named(scope: PreflightScope, answering: Answering) -> None:
    key = KeyFacts(arn=f"arn:aws:kms:{REGION}:{MEMBER}:key/1", account_id=MEMBER, manager="CUSTOMER", state="Disabled")
    line = disk(scope, answering, gib=8, key=key).run()
    assert (line.status, "enable" in line.next_action) == (CheckStatus.BROKEN, True)


def test_without_the_roles_nothing_is_tried(scope: PreflightScope, hook: FakeHook, answering: Answering) -> None:
    hook.refused |= {"contain", "triage"}
    assert GroupCheck(scope, account_id=MEMBER, region=REGION).run().status is CheckStatus.NOT_TRIED
    assert DiskCheck(scope, TARGET).run().status is CheckStatus.NOT_TRIED


def test_each_step_is_timed() -> None:
    watch = Stopwatch()
    assert watch.time("one", lambda: 7) == 7
    watch.time("two", lambda: None)
    assert [part.split()[0] for part in str(watch).split(", ")] == ["one", "two"]
