"""Whether a drill could begin: its role may launch the canary, asked for as a dry run."""

from __future__ import annotations

from forensics.aws.ec2 import Ec2Gateway
from forensics.errors import ForensicsError
from forensics.preflight.check import Check
from forensics.preflight.explain import next_action_for
from forensics.preflight.scope import PreflightScope


class DrillCheck(Check):
    """The role ``drill`` of the drill account may launch the canary from its launch template; nothing is launched."""

    name = "drill"

    def __init__(self, scope: PreflightScope) -> None:
        s = scope.settings
        super().__init__(f"{s.drill_launch_template} in {s.drill_account} {s.drill_region or s.region}")
        self._scope = scope

    def attempt(self) -> str:
        """Ask EC2 with DryRun."""
        s = self._scope.settings
        session = self._scope.phase("drill", account_id=s.drill_account, region=s.drill_region or s.region)
        Ec2Gateway.of(session).may_launch_canary(s.drill_launch_template)
        return f"the canary could be launched; drills begin: {s.drill_schedule}"

    def repair(self, error: ForensicsError) -> str:
        """Role and launch template are of one stack."""
        return f"{next_action_for(error)}. Role and launch template are of stack forensics-drill in the drill account"
