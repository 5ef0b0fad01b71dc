"""A case whose target is to be contained, on an account in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from forensics import case_keys
from forensics.case.persons import StepRun
from forensics.errors import CustodyChainError
from forensics.models.plan import ResponsePlan
from forensics.settings import Settings
from tests.unit.builders import case, plan
from tests.unit.containment.account import Account, GatewayInMemory
from tests.unit.containment.targets import settings
from tests.unit.recorders import FakeRecorder


class SignedRecorder(FakeRecorder):
    """A recorder whose ledger counts as signed once its head was."""

    def __init__(self, **case_changes: Any) -> None:
        super().__init__(case(**case_changes), step="containment.isolate_target")
        self.run = StepRun("run-1", "forensic_case")

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
    phases: list[str] = field(default_factory=list)

    @property
    def gateway(self) -> GatewayInMemory:
        """Containment's gateway on the account."""
        return GatewayInMemory(self.account)

    def decide(self, **changes: Any) -> None:
        """Change and record the response plan."""
        self.response = self.response.model_copy(update=changes)
        self.recorder.put(case_keys.PLAN, self.response)
