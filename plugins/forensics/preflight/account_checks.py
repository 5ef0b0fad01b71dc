"""What every account of the deployment must have: roles that let themselves be assumed, the released documents, a key."""

from __future__ import annotations

from collections.abc import Iterable

from forensics.aws.denials import Cause, cause_of
from forensics.aws.kms import KeyGateway
from forensics.aws.ssm import SsmGateway
from forensics.disk.kms_rules import UNUSABLE
from forensics.document_registry import released
from forensics.errors import ForensicsError, ResourceGoneError
from forensics.models.documents import Document
from forensics.naming import role_arn
from forensics.preflight.check import BrokenError, Check, NotTriedError
from forensics.preflight.explain import next_action_for
from forensics.preflight.scope import PreflightScope

REPAIR_ROLES = "repair what the lines of `roles` say, then run it again"


class RoleCheck(Check):
    """A phase's role is assumed as a case assumes it: external id, source identity, session policy."""

    name = "roles"

    def __init__(self, scope: PreflightScope, *, account_id: str, phase: str) -> None:
        super().__init__(f"{scope.settings.role_prefix}{phase} of {account_id}")
        self._scope = scope
        self._account = account_id
        self._phase = phase

    def attempt(self) -> str:
        """Assume it."""
        s = self._scope.settings
        session = self._scope.phase(self._phase, account_id=self._account, region=s.region)
        left = session.seconds_left()
        return f"assumed, {left:.0f} s of credentials" if left is not None else "assumed"

    def repair(self, error: ForensicsError) -> str:
        """STS answers the same whether the role is missing, does not trust us, or another external id is asked for."""
        s = self._scope.settings
        if cause_of(error) is not Cause.ROLE_POLICY:
            return next_action_for(error)
        arn = role_arn(self._account, f"{s.role_prefix}{self._phase}", region=s.region)
        stack = self._stack()
        return (
            f"deploy stack {stack} in account {self._account} again: {arn} has to exist, trust "
            f"{role_arn(s.forensic_account_id, s.role_prefix + 'execution', region=s.region)} and ask for the external id that setting "
            "forensics.external_id has; a service control policy that forbids sts:AssumeRole looks the same"
        )

    def _stack(self) -> str:
        if self._account == self._scope.settings.forensic_account_id:
            return "forensics-roles"
        if self._account in self._scope.security_accounts:
            return "forensics-security"
        return "forensics-member-containment" if self._phase in {"contain", "release"} else "forensics-member-roles"


class DocumentCheck(Check):
    """The SSM documents of an account and Region are those of this release, byte for byte."""

    name = "documents"

    def __init__(
        self, scope: PreflightScope, documents: Iterable[Document], *, account_id: str, region: str, phase: str
    ) -> None:
        super().__init__(f"{account_id} {region}")
        self._scope = scope
        self._documents = tuple(documents)
        self._account = account_id
        self._region = region
        self._phase = phase

    def attempt(self) -> str:
        """Compare the hash of every document with the release's."""
        try:
            ssm = SsmGateway.of(self._scope.phase(self._phase, account_id=self._account, region=self._region))
        except ForensicsError as error:
            msg = f"role {self._phase} could not be assumed, so the documents were not looked at"
            raise NotTriedError(msg, next_action=REPAIR_ROLES) from error
        wrong = [problem for document in self._documents if (problem := self._problem(ssm, document))]
        if wrong:
            raise BrokenError("; ".join(wrong), next_action=self._deploy())
        return f"{len(self._documents)} documents as released"

    def _problem(self, ssm: SsmGateway, document: Document) -> str:
        try:
            found, status = ssm.document_hash(document.name, document.sha256)
        except ResourceGoneError:
            return f"{document.name} does not exist"
        if status not in {"Active", ""}:
            return f"{document.name} is {status}"
        if found != document.sha256:
            return f"{document.name} has SHA-256 {found[:12]}…, the release has {document.sha256[:12]}…"
        return ""

    def _deploy(self) -> str:
        own = self._account == self._scope.settings.forensic_account_id
        stack = "forensics-documents" if own else "forensics-member-documents"
        return (
            f"deploy stack {stack} of this release in account {self._account}, {self._region}: SSM refuses a command whose "
            "document is not the pinned one, so nothing would be captured there"
        )


class MemberKeyCheck(Check):
    """The member account's forensic key: disks under keys that cannot be shared are copied under it first."""

    name = "keys"

    def __init__(self, scope: PreflightScope, *, account_id: str, region: str) -> None:
        super().__init__(f"{scope.settings.member_key_alias} of {account_id}, {region}")
        self._scope = scope
        self._account = account_id
        self._region = region

    def attempt(self) -> str:
        """Describe it."""
        try:
            keys = KeyGateway.of(self._scope.phase("acquire", account_id=self._account, region=self._region))
        except ForensicsError as error:
            msg = "role acquire could not be assumed, so the key was not looked at"
            raise NotTriedError(msg, next_action=REPAIR_ROLES) from error
        alias = self._scope.settings.member_key_alias
        found = keys.describe(alias)
        stack = f"stack forensics-member-region in account {self._account}, {self._region}"
        if found.problem:
            raise BrokenError(found.problem, next_action=f"deploy {stack}: it makes the key and {alias}")
        if found.state in UNUSABLE:
            msg = f"{found.arn} is in state {found.state}"
            raise BrokenError(msg, next_action=f"enable the key, or cancel its deletion ({stack})")
        return f"{found.arn} is {found.state or 'there'}"


def member_documents() -> tuple[Document, ...]:
    """What the member accounts have: the documents that run on targets."""
    return tuple(d for d in released().values() if not d.activity.startswith("investigate_"))


def forensic_documents() -> tuple[Document, ...]:
    """What the forensic account has: the enabled tools."""
    return tuple(d for d in released().values() if d.activity.startswith("investigate_") and d.enabled)
