"""Fixtures of containment; what tests of pure rules do not need is imported when a fixture is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.unit.containment.case_world import World
    from tests.unit.recorders import FakeRecorder


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """A fresh case; nothing sleeps."""
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    from tests.unit.containment.case_world import World

    made = World()
    made.decide()
    return made


@pytest.fixture
def airflow_side(world: World, monkeypatch: pytest.MonkeyPatch, settings_environment: dict[str, str]) -> World:
    """Operators get the world's gateway, whichever role they assume; the roles are recorded in ``phases``."""
    from forensics.case.step import ForensicOperator
    from forensics.containment.call_runner import ContainmentGateway

    class Sessions:
        """Sessions of the target's account."""

        def target(self, phase: str) -> str:
            """Remember the phase."""
            world.phases.append(phase)
            return phase

    monkeypatch.setattr(ContainmentGateway, "of", lambda session: world.gateway)
    monkeypatch.setattr(ForensicOperator, "sessions", property(lambda self: Sessions()))
    monkeypatch.setattr(ForensicOperator, "settings", property(lambda self: world.settings))

    def bind(self: ForensicOperator) -> FakeRecorder:
        """The world's recorder, as this step's."""
        world.recorder.step = self.task_id
        return world.recorder

    monkeypatch.setattr(ForensicOperator, "_bind", bind)
    return world
