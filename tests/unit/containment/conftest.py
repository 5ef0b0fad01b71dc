"""A case whose target is to be contained, on an account in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from forensics import case_keys
from forensics.errors import CustodyChainError
from forensics.models.plan import ResponsePlan
from forensics.settings import Settings
from tests.conftest import ENVIRONMENT
from tests.unit.builders import case, plan
from tests.unit.containment.account import Account, GatewayInMemory
from tests.unit.recorders import FakeRecorder


def settings(**changes: Any) -> Settings:
    """The deployment's settings, with a deny-all profile."""
    given = {name.removeprefix("AIRFLOW__FORENSICS__").lower(): value for name, value in ENVIRONMENT.items()}
    return Settings.model_validate({**given, "containment_profile": "forensics-isolated", **changes})


class SignedRecorder(FakeRecorder):
    """A recorder whose ledger counts as signed once its head was."""

    def __init__(self, **case_changes: Any) -> None:
        super().__init__(case(**case_changes), step="containment.isolate_target")

        def check_signature(case_id: str, *, covers: int) -> None:
            if not self.ledger.signed:
                raise CustodyChainError(f"no valid signature covers event {covers}")

        self.ledger.check_signature = check_signature  # type: ignore[method-assign]


@dataclass
class World:
    """The case's records, the target's account, and what the case's plan wants."""

    recorder: FakeRecorder = field(default_factory=SignedRecorder)
    account: Account = field(default_factory=Account)
    settings: Settings = field(default_factory=settings)
    response: ResponsePlan = field(default_factory=plan)

    @property
    def gateway(self) -> GatewayInMemory:
        """Containment's gateway on the account."""
        return GatewayInMemory(self.account)

    def decide(self, **changes: Any) -> None:
        """Change and record the response plan."""
        self.response = self.response.model_copy(update=changes)
        self.recorder.put(case_keys.PLAN, self.response)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """A fresh case; nothing sleeps."""
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    made = World()
    made.decide()
    return made


@pytest.fixture
def airflow_side(world: World, monkeypatch: pytest.MonkeyPatch, settings_environment: dict[str, str]) -> World:
    """Operators get the world's gateway, whichever role they assume; the roles are recorded in ``phases``."""
    from forensics.case.step import ForensicOperator
    from forensics.containment.call_runner import ContainmentGateway

    phases: list[str] = []

    class Sessions:
        """Sessions of the target's account."""

        def target(self, phase: str) -> str:
            """Remember the phase."""
            phases.append(phase)
            return phase

    of: Callable[[object], GatewayInMemory] = lambda session: world.gateway  # noqa: E731
    monkeypatch.setattr(ContainmentGateway, "of", of)
    monkeypatch.setattr(ForensicOperator, "sessions", property(lambda self: Sessions()))
    monkeypatch.setattr(ForensicOperator, "settings", property(lambda self: world.settings))
    monkeypatch.setattr(ForensicOperator, "_bind", lambda self: world.recorder)
    world.phases = phases  # type: ignore[attr-defined]
    return world
