"""Operators of the memory room on gateways that stay in this process (imported when they are used: rule tests need neither)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.unit.memory.target import Host


@pytest.fixture
def step_host(monkeypatch: pytest.MonkeyPatch) -> Host:
    """A triaged case; every operator gets its target's gateways."""
    from forensics.aws.hook import ForensicsHook
    from forensics.aws.ssm import SsmGateway
    from forensics.case.step import ForensicOperator
    from forensics.memory.capture_setup import CaptureGateways
    from tests.unit.memory.target import Host, SessionsOfTarget, settings

    host = Host()
    monkeypatch.setattr(SsmGateway, "of", lambda session: host.ssm)
    monkeypatch.setattr(CaptureGateways, "of", lambda sessions: host.gateways)
    sessions = SessionsOfTarget(ForensicsHook(settings=settings()), host.case)
    monkeypatch.setattr(ForensicOperator, "sessions", sessions)
    monkeypatch.setattr(ForensicOperator, "settings", settings())
    return host
