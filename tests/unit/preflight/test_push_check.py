"""A system's line: its secret is read and nothing is sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest.mock import create_autospec

from forensics.aws.push_targets import PushTargets
from forensics.errors import PushError
from forensics.models.preflight import CheckStatus
from forensics.models.push import PushAccess
from forensics.preflight.plan import quick_checks
from forensics.preflight.push_check import PushCheck
from forensics.preflight.scope import PreflightScope
from tests.unit.preflight.conftest import FakeHook, settings_with

Answering = Callable[[type, Any], None]


def test_each_system_has_a_line() -> None:
    found = quick_checks(PreflightScope(FakeHook(settings_with(pushes="soc=a, relik=b")), run="r"))  # type: ignore[arg-type]
    assert [c.subject for c in found if isinstance(c, PushCheck)] == ["soc", "relik"]


def test_a_secret_that_is_valid_and_one_that_is_not(answering: Answering) -> None:
    targets = create_autospec(PushTargets, instance=True)
    answering(PushTargets, targets)
    check = PushCheck(PreflightScope(FakeHook(settings_with()), run="r"), "soc")  # type: ignore[arg-type]
    targets.access.return_value = PushAccess(kind="timesketch", server="https://sketch.example.com")
    assert (found := check.run()).status is CheckStatus.OK and "timesketch" in found.detail
    targets.access.side_effect = PushError("the secret is not JSON", next_action="correct the secret soc")
    assert (found := check.run()).status is CheckStatus.BROKEN and "correct the secret" in found.next_action
