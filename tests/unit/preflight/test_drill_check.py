"""A drill's line: EC2's answer to a dry run, and nothing where no drills are set up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest.mock import create_autospec

from forensics.aws.ec2 import Ec2Gateway
from forensics.errors import AccessDeniedError
from forensics.models.preflight import CheckStatus
from forensics.preflight.drill_check import DrillCheck
from forensics.preflight.plan import quick_checks
from forensics.preflight.scope import PreflightScope
from tests.unit.preflight.conftest import MEMBER, FakeHook, settings_with

Answering = Callable[[type, Any], None]


def scope_with(**settings: str) -> PreflightScope:
    return PreflightScope(FakeHook(settings_with(**settings)), run="r")  # type: ignore[arg-type]


def test_there_is_a_line_where_drills_are_set_up_and_none_elsewhere() -> None:
    assert not [c for c in quick_checks(scope_with()) if isinstance(c, DrillCheck)]
    (check,) = [c for c in quick_checks(scope_with(drill_account=MEMBER)) if isinstance(c, DrillCheck)]
    assert check.subject == f"forensics-drill-canary in {MEMBER} eu-central-1"


def test_the_role_of_drills_is_asked_and_nothing_is_launched(answering: Answering) -> None:
    ec2 = create_autospec(Ec2Gateway, instance=True)
    answering(Ec2Gateway, ec2)
    scope = scope_with(drill_account=MEMBER)
    line = DrillCheck(scope).run()
    assert line.status is CheckStatus.OK and "@monthly" in line.detail
    ec2.may_launch_canary.assert_called_once_with("forensics-drill-canary")
    ec2.launch_canary.assert_not_called()
    assert [(s.phase, s.account_id, s.case_id) for s in scope.hook.asked] == [("drill", MEMBER, "fc-preflight")]  # type: ignore[attr-defined]


def test_a_refusal_names_the_stack(answering: Answering) -> None:
    ec2 = create_autospec(Ec2Gateway, instance=True)
    ec2.may_launch_canary.side_effect = AccessDeniedError("ask for a canary: denied")
    answering(Ec2Gateway, ec2)
    line = DrillCheck(scope_with(drill_account=MEMBER)).run()
    assert line.status is CheckStatus.BROKEN and "forensics-drill in the drill account" in line.next_action
