"""Whether each system that cases are pushed to could be asked: its secret is there and valid, its host is allowed. Nothing is sent."""

from __future__ import annotations

from forensics.aws.push_targets import PushTargets
from forensics.preflight.check import Check
from forensics.preflight.scope import PreflightScope


class PushCheck(Check):
    """One system's secret is read as a push reads it."""

    name = "pushes"

    def __init__(self, scope: PreflightScope, system: str) -> None:
        super().__init__(system)
        self._scope = scope

    def attempt(self) -> str:
        """Read it."""
        access = PushTargets.of(self._scope.own(), self._scope.settings).access(self.subject)
        return f"{access.kind}: its secret is valid"
