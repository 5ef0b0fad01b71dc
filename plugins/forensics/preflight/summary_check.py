"""Whether the model of summaries answers: access to it in the home Region, and the role that may ask, where a summary is switched on."""

from __future__ import annotations

from forensics.aws.bedrock import BedrockGateway
from forensics.preflight.check import Check
from forensics.preflight.scope import PreflightScope
from forensics.preflight.storage_checks import phase_session


class SummaryCheck(Check):
    """The model is asked for one word; nothing of a case goes there."""

    name = "summary"

    def __init__(self, scope: PreflightScope) -> None:
        super().__init__(scope.settings.summary_model)
        self._scope = scope

    def attempt(self) -> str:
        """Ask."""
        settings = self._scope.settings
        session = phase_session(self._scope, "summary")
        gateway = BedrockGateway.of(
            session, model=settings.summary_model, guardrail=settings.summary_guardrail, seconds=30.0
        )
        said = gateway.ask("Answer with one word.", "Say: ready", most_tokens=20)
        return f"it answers in {settings.region}" + (f" ({said.stopped})" if said.stopped else "")
