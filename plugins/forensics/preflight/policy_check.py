"""The policy of one's own: it is signed and valid, and the tags that its scope names in AWS Organizations can be read."""

from __future__ import annotations

from forensics.aws.kms_signing import SigningKeyGateway
from forensics.aws.organizations import OrganizationsGateway
from forensics.custody.signed_documents import SignedDocuments
from forensics.errors import ConfigurationError, ForensicsError
from forensics.models.policy import Policy
from forensics.preflight.check import BrokenError, Check
from forensics.preflight.explain import next_action_for
from forensics.preflight.scope import PreflightScope
from forensics.triage.organization import OrganizationReader
from forensics.triage.policy import parse_policy
from forensics.triage.scope import asks_for_accounts, asks_for_units


class PolicyCheck(Check):
    """Read as a case reads it; only for a policy of one's own."""

    name = "policy"

    def __init__(self, scope: PreflightScope) -> None:
        super().__init__(scope.settings.policy_key)
        self._scope = scope

    def attempt(self) -> str:
        """Verify the signature, read the policy, and ask for the tags of the first member account when its scope names some."""
        policy = self._policy()
        units = asks_for_units(policy.scope)
        if not units and not asks_for_accounts(policy.scope):
            return f"version {policy.version}, signed"
        asked = self._scope.members[:1] or self._scope.security_accounts[:1]
        # the same accounts that a case asks; one that is a member too has the role as well
        accounts = self._scope.administrators
        reader = OrganizationReader(lambda: [self._organizations(account) for account in accounts])
        found = reader.read(asked[0] if asked else self._scope.settings.forensic_account_id, units=units)
        if found.unread:
            raise BrokenError(
                f"its scope names tags of accounts or units, which could not be read: {found.unread}",
                next_action="give forensics.administrator_accounts the account that is delegated administrator of Security Hub or GuardDuty, deploy "
                "stack forensics-security there, and with Profile closed name accounts by id; until then isolations wait for a person",
            )
        return f"version {policy.version}, signed; tags of accounts are read in AWS Organizations"

    def repair(self, error: ForensicsError) -> str:
        """Without it cases use the packaged policy and isolate nothing by themselves."""
        return f"{next_action_for(error)}. Until it is repaired, cases use the packaged policy and nothing is isolated without a person's order"

    def _policy(self) -> Policy:
        s = self._scope.settings
        key = SigningKeyGateway.of_documents(self._scope.phase("custodian"), s)
        documents = SignedDocuments.of(self._scope.own(), s, key=key)
        try:
            return parse_policy(documents.read(s.policy_key), origin=documents.origin(s.policy_key)).policy
        except ConfigurationError as error:
            raise BrokenError(error.message, next_action=error.next_action) from error

    def _organizations(self, account: str) -> OrganizationsGateway:
        return OrganizationsGateway.of(self._scope.phase("triage", account_id=account))
