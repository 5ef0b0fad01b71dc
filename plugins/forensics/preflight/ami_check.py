"""Whether each other Region that the settings name has the forensic AMI that cases use at home, under its own key and with its statement."""

from __future__ import annotations

from forensics.aws.ec2 import Ec2Gateway
from forensics.aws.kms import KeyGateway
from forensics.aws.ssm import SsmGateway
from forensics.errors import ForensicsError, ResourceGoneError
from forensics.investigation.ami_statements import AmiStatements
from forensics.preflight.check import BrokenError, Check
from forensics.preflight.explain import next_action_for
from forensics.preflight.scope import PreflightScope
from forensics.preflight.storage_checks import phase_session

BUILD = "start the DAG forensic_ami_build, which copies the AMI to the Regions of AmiRegions; its message names those that it did not reach"


class AmiRegionCheck(Check):
    """The copy has the name of the image at home, is available, encrypted under the Region's evidence key, and what it was built from is signed."""

    name = "forensic AMI"

    def __init__(self, scope: PreflightScope, region: str) -> None:
        super().__init__(f"copy in {region}")
        self._scope, self._region = scope, region

    def attempt(self) -> str:
        """Look it up by the name of the one at home."""
        s, analyst = self._scope.settings, phase_session(self._scope, "analyse")
        current = SsmGateway.of(analyst).parameter(s.ami_parameter)
        name = Ec2Gateway.of(analyst).image_name(current)
        there = self._scope.phase("analyse", region=self._region)
        try:
            copy = Ec2Gateway.of(there).own_image(name)
        except ResourceGoneError as error:
            msg = f"{current}, which cases use at home, has no copy in {self._region} (no image {name} there)"
            raise BrokenError(msg, next_action=BUILD) from error
        if copy.state != "available":
            raise BrokenError(f"{copy.id} in {self._region} is {copy.state}", next_action=BUILD)
        key = KeyGateway.of(there).resolve(s.evidence_key_alias)
        if not copy.keys or set(copy.keys) != {key}:
            under = ", ".join(k or "no key" for k in copy.keys) or "no snapshot that can be seen"
            msg = f"{copy.id} in {self._region} is under {under}, not under the product's key {key}"
            raise BrokenError(msg, next_action=f"deregister it there; {BUILD}")
        try:
            AmiStatements.of(phase_session(self._scope, "custodian"), s).check(copy.id, required=True)
        except ForensicsError as error:
            raise BrokenError(error.message, next_action=error.next_action) from error
        return f"{copy.id} ({name}), under {key}, is the one of its signed statement"

    def repair(self, error: ForensicsError) -> str:
        """The copy is made by the pipeline; the key by a stack of its own."""
        return f"{next_action_for(error)}. The key there is of stack forensics-regional-key; {BUILD}"
