"""The line of the model: there when it is switched on, broken with what to do when it may not be asked."""

from __future__ import annotations

from unittest.mock import create_autospec

import pytest

from forensics.aws.bedrock import BedrockGateway, Said
from forensics.errors import AccessDeniedError
from forensics.models.preflight import CheckStatus
from forensics.preflight.plan import quick_checks
from forensics.preflight.scope import PreflightScope
from forensics.preflight.summary_check import SummaryCheck
from tests.unit.preflight.conftest import FakeHook, settings_with

MODEL = "amazon.nova-pro-v1:0"


def scope(**given: str) -> PreflightScope:
    return PreflightScope(FakeHook(settings_with(**given)), run="r")  # type: ignore[arg-type]


def test_it_has_a_line_when_it_is_switched_on() -> None:
    assert [c.subject for c in quick_checks(scope(summary_model=MODEL)) if isinstance(c, SummaryCheck)] == [MODEL]
    assert not [c for c in quick_checks(scope()) if isinstance(c, SummaryCheck)]


def test_a_model_that_answers_and_one_that_may_not_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = create_autospec(BedrockGateway, instance=True)
    monkeypatch.setattr(BedrockGateway, "of", lambda *_, **__: gateway)
    gateway.ask.return_value = Said("ready", "", 5, 1)
    assert (found := SummaryCheck(scope(summary_model=MODEL)).run()).status is CheckStatus.OK
    assert "it answers in eu-central-1" in found.detail
    gateway.ask.side_effect = AccessDeniedError("ask the model: denied", next_action="give access to the model")
    assert (found := SummaryCheck(scope(summary_model=MODEL)).run()).status is CheckStatus.BROKEN
    assert found.next_action
