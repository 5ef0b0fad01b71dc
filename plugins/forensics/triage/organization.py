"""Reads the tags of a target's account in AWS Organizations, where the policy's scope names some."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

from forensics import case_keys
from forensics.aws.hook import CaseSessions
from forensics.aws.organizations import OrganizationsGateway
from forensics.case.recorder import CaseRecorder
from forensics.errors import ForensicsError
from forensics.models.organization import OrganizationTags
from forensics.models.policy import Scope
from forensics.settings import names
from forensics.triage.scope import asks_for_accounts, asks_for_units

NOBODY = "no administrator_accounts are named, and AWS Organizations answers its management account and delegated administrators alone"


@dataclass(frozen=True)
class OrganizationReader:
    """Asks in the accounts that may ask: the administrators' (``administrator_accounts``), under their role ``triage``.

    A delegated administrator of any service, Security Hub's or GuardDuty's among them, may read the whole organization (AWS
    Organizations user guide, "Delegated administrator for AWS services that work with Organizations").
    """

    gateways: Callable[[], Sequence[OrganizationsGateway]]

    @classmethod
    def of(cls, sessions: CaseSessions) -> Self:
        """By the deployment's settings, with time-outs of seconds: evidence waits for the plan."""
        accounts = names(sessions.settings.administrator_accounts)
        return cls(lambda: [OrganizationsGateway.of(sessions.account(a, "triage")) for a in accounts])

    def read(self, account_id: str, *, units: bool) -> OrganizationTags:
        """Tags of an account, and of the units above it when ``units``; why not, when nobody answers."""
        said: list[str] = []
        try:
            asked = self.gateways()
        except ForensicsError as error:
            return OrganizationTags(unread=str(error)[:600])
        for gateway in asked:
            try:
                above = gateway.units_above(account_id) if units else None
                return OrganizationTags(
                    account=gateway.tags(account_id),
                    units={unit: gateway.tags(unit) for unit in above} if above is not None else None,
                )
            except ForensicsError as error:
                said.append(f"{error}. What to do next: {error.next_action}")
        return OrganizationTags(unread=("; ".join(said) or NOBODY)[:600])


def organization_tags(
    recorder: CaseRecorder, reader: Callable[[], OrganizationReader], scope: Scope
) -> OrganizationTags:
    """What the policy's scope asks of the organization, read once for a case; nothing is asked when it asks for nothing.

    What could not be read is asked again by the next plan of the case.
    """
    units = asks_for_units(scope)
    if not units and not asks_for_accounts(scope):
        return OrganizationTags()
    known = recorder.get(case_keys.ORGANIZATION, OrganizationTags)
    if known is not None and (known.units is not None or not units):
        return known
    found = reader().read(recorder.case.account_id, units=units)
    if not found.unread:
        recorder.put(case_keys.ORGANIZATION, found)
    return found
