"""What settings and response plan ask of containment."""

from __future__ import annotations

from datetime import UTC, datetime

from forensics.containment.policy import ContainmentPolicy, isolation_due
from forensics.models.plan import Measure, Order, ResponsePlan
from tests.unit.builders import plan
from tests.unit.containment.targets import settings


def decided(*, required: bool = False, reasons: tuple[str, ...] = ()) -> ResponsePlan:
    """A response plan with this approval."""
    response = plan()
    update = {"approval": response.approval.model_copy(update={"required": required, "reasons": reasons})}
    return response.model_copy(update=update)


def test_the_settings_say_how_and_the_response_plan_says_what() -> None:
    given = settings(break_tracked_flows=False, idle_flow_seconds=60, revoke_role_sessions=True)
    response = plan().model_copy(update={"order": Order.CONTAIN_FIRST, "containment": (Measure.CREDENTIALS_FIRST,)})
    policy = ContainmentPolicy.of(given, response)
    assert policy == ContainmentPolicy(
        order=Order.CONTAIN_FIRST,
        measures=(Measure.CREDENTIALS_FIRST,),
        break_flows=False,
        idle_seconds=60,
        deny_profile="forensics-isolated",
        revoke_role=True,
    )
    assert policy.contain_first and policy.credentials_first


def test_an_ordinary_case_acquires_first_and_asks_nobody() -> None:
    policy = ContainmentPolicy.of(settings(), plan())
    assert not policy.contain_first and not policy.credentials_first
    assert policy.approval == ()


def test_an_approval_that_is_required_always_has_a_reason() -> None:
    assert ContainmentPolicy.of(settings(), decided(required=True, reasons=("production",))).approval == ("production",)
    assert ContainmentPolicy.of(settings(), decided(required=True)).approval == ("the response plan requires it",)
    assert ContainmentPolicy.of(settings(), decided(required=False, reasons=("was over a cap",))).approval == ()


def test_isolation_is_due_some_seconds_after_the_decision() -> None:
    assert isolation_due(datetime(2026, 11, 24, tzinfo=UTC), seconds=90) == 1795478490.0
