"""Which accounts, Regions and identities a preflight works with."""

from __future__ import annotations

from forensics.preflight.scope import PreflightScope, Target
from tests.unit.preflight.conftest import FORENSIC, MEMBER, REGION, SECURITY, FakeHook, settings_with


def test_the_named_instances_account_is_tried_as_well(hook: FakeHook) -> None:
    scope = PreflightScope(hook, run="r", target=Target("444455556666", REGION, "i-1"))  # type: ignore[arg-type]
    assert scope.members == (MEMBER, "444455556666")
    assert scope.security_accounts == (SECURITY,)
    assert scope.regions == (REGION,)


def test_regions_come_from_the_settings() -> None:
    hook = FakeHook(settings_with(member_regions="eu-west-1, us-east-1"))
    assert PreflightScope(hook, run="r").regions == ("eu-west-1", "us-east-1")  # type: ignore[arg-type]


def test_sessions_carry_the_preflights_identity_and_the_readers_its_own(scope: PreflightScope, hook: FakeHook) -> None:
    scope.phase("custodian")
    scope.phase("reader")
    scope.phase("triage", account_id=MEMBER, region="eu-west-1")
    assert [(s.account_id, s.region, s.case_id) for s in hook.asked] == [
        (FORENSIC, REGION, "fc-preflight"),
        (FORENSIC, REGION, "web-ui"),
        (MEMBER, "eu-west-1", "fc-preflight"),
    ]
