"""The readiness list over accounts: every instance is looked at, and an account that refuses is named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from forensics.aws.case_store import CaseStore
from forensics.aws.cloudwatch import Metrics
from forensics.aws.fleet import FleetGateway, WaysToS3
from forensics.aws.kms import KeyGateway
from forensics.models.disk import KeyFacts
from forensics.models.target import SsmStatus
from forensics.preflight.readiness import last_readiness, readiness, record_readiness
from forensics.preflight.scope import PreflightScope
from tests.unit.preflight.conftest import MEMBER, REGION, FakeHook, Items, settings_with
from tests.unit.preflight.test_record import Numbers

Answering = Callable[[type, Any], None]


class Fleet:
    """Two running instances; SSM manages one."""

    account_id, region = MEMBER, REGION

    def running(self) -> list[dict[str, Any]]:
        tags = [{"Key": "Name", "Value": "web"}]
        return [
            {"InstanceId": "i-1", "InstanceType": "t3.small", "Tags": tags, "VpcId": "vpc-1", "SubnetId": "subnet-1"},
            {"InstanceId": "i-2", "InstanceType": "t3.small", "VpcId": "vpc-1", "SubnetId": "subnet-1"},
        ]

    def ssm_status(self) -> dict[str, SsmStatus]:
        return {"i-1": SsmStatus(managed=True, ping="Online", platform_name="Debian GNU/Linux", platform_version="12")}

    def keys_of_volumes(self) -> dict[str, set[str]]:
        return {"i-2": {"arn:k"}}

    def memory_mib(self, types: Any) -> dict[str, int]:
        return {"t3.small": 2048}

    def ways_to_s3(self) -> WaysToS3:
        return WaysToS3(subnets={}, vpcs={"vpc-1": True}, endpoints=frozenset())


class Keys:
    """Every key is disabled."""

    def describe(self, arn: str) -> KeyFacts:
        return KeyFacts(arn=arn, account_id=MEMBER, state="Disabled")


def test_each_instance_is_judged_by_itself(scope: PreflightScope, hook: FakeHook, answering: Answering) -> None:
    for kind, gateway in ((FleetGateway, Fleet()), (KeyGateway, Keys())):
        answering(kind, gateway)
    report = readiness(scope)
    assert (report.instances, report.unready_count, report.problems) == (2, 1, ())
    (item,) = report.unready
    assert (item.instance_id, item.memory[0][:6], item.disk[0][:14]) == ("i-2", "no SSM", "key not usable")
    items, numbers = Items(), Numbers()
    answering(CaseStore, items)
    answering(Metrics, numbers)
    record_readiness(hook, report)  # type: ignore[arg-type]
    assert last_readiness(items) == report  # type: ignore[arg-type]
    assert numbers.sent == {"NotCapturable": 1, "RunningInstances": 2}


def test_an_account_that_refuses_is_named_and_hides_nothing(answering: Answering) -> None:
    hook = FakeHook(settings_with(), refused={"triage"})
    answering(FleetGateway, Fleet())
    report = readiness(PreflightScope(hook, run="r"))  # type: ignore[arg-type]
    assert report.instances == 0
    assert report.problems[0].startswith(f"{MEMBER}, {REGION}: ")
