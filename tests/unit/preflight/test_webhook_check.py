"""A sender's line: its secret is read as the intake reads it, and nothing of it is shown but the names of its keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest.mock import create_autospec

from forensics.errors import ConfigurationError
from forensics.intake.webhook_senders import WebhookSenders
from forensics.models.preflight import CheckStatus
from forensics.models.webhook import WebhookAccess
from forensics.preflight.plan import quick_checks
from forensics.preflight.scope import PreflightScope
from forensics.preflight.webhook_check import WebhookCheck
from tests.unit.preflight.conftest import FakeHook, settings_with
from tests.webhooks import KEY

Answering = Callable[[type, Any], None]


def line(answering: Answering, **answer: Any) -> Any:
    senders = create_autospec(WebhookSenders, instance=True)
    senders.check.configure_mock(**answer)
    answering(WebhookSenders, senders)
    return WebhookCheck(PreflightScope(FakeHook(settings_with()), run="r"), "edr").run()  # type: ignore[arg-type]


def test_each_sender_has_a_line() -> None:
    settings = settings_with(webhook_senders="edr=a, cnapp=b")
    found = quick_checks(PreflightScope(FakeHook(settings), run="r"))  # type: ignore[arg-type]
    assert [c.subject for c in found if isinstance(c, WebhookCheck)] == ["edr", "cnapp"]


def test_a_good_secret_is_told_by_its_keys_names_alone(answering: Answering) -> None:
    found = line(answering, return_value=WebhookAccess(keys={"2026-10": KEY}, accounts=("333344445555",)))
    assert (found.status, found.detail) == (CheckStatus.OK, "keys 2026-10; may speak of 1 accounts")


def test_a_wrong_secret_is_broken_with_what_to_do(answering: Answering) -> None:
    error = ConfigurationError("the secret is not JSON", next_action="correct the secret forensics/webhook/edr")
    found = line(answering, side_effect=error)
    assert found.status is CheckStatus.BROKEN and "correct the secret" in found.next_action
