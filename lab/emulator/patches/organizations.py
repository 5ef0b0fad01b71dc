"""Organizations: the lab's accounts are members, and who may read the organization or change its tags."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from moto.organizations.exceptions import AWSOrganizationsNotInUseException, OrganizationsClientError
from moto.organizations.models import FakeAccount, FakeOrganization, OrganizationsBackend, organizations_backends
from moto.organizations.responses import OrganizationsResponse

from lab.accounts import FORENSIC_ACCOUNT, MANAGEMENT_ACCOUNT, MEMBER_ACCOUNT, SECURITY_ACCOUNT
from lab.emulator.iam.sessions import ORGANIZATION
from lab.emulator.patches.patching import replace

_MEMBERS = (FORENSIC_ACCOUNT, MEMBER_ACCOUNT, SECURITY_ACCOUNT)
# Organizations API reference: from the management account, or a member account that is a delegated administrator (of any service).
_DELEGATED = ("list_parents", "list_tags_for_resource", "tag_resource", "untag_resource")


class _Denied(OrganizationsClientError):
    def __init__(self) -> None:
        super().__init__("AccessDeniedException", "You don't have permissions to access this resource.")


def _identified(original: Callable[..., None]) -> Callable[..., None]:
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        self.id = ORGANIZATION

    return init


def _with_members(original: Callable[..., Any]) -> Callable[..., Any]:
    """The lab's other accounts are in the management account's organization from its beginning, directly under the root."""

    def create_organization(self: Any, region: str, **kwargs: Any) -> Any:
        made = original(self, region, **kwargs)
        if self.account_id == MANAGEMENT_ACCOUNT:
            for account in _MEMBERS:
                joined = FakeAccount(self.org, AccountName=f"lab-{account}", Email=f"{account}@example.com")
                joined.id = account
                self.accounts.append(joined)
                self.attach_policy(PolicyId="p-FullAWSAccess", TargetId=account)
        return made

    return create_organization


def _delegated(original: Callable[[Any], str]) -> Callable[[Any], str]:
    def call(self: Any) -> str:
        backend: Any = organizations_backends[MANAGEMENT_ACCOUNT][self.partition]
        if self.current_account == MANAGEMENT_ACCOUNT:
            return original(self)
        if backend.org is None:
            raise AWSOrganizationsNotInUseException
        if self.current_account not in {admin.account.id for admin in backend.admins}:
            raise _Denied
        answer = getattr(backend, original.__name__)(**self.request_params)
        return json.dumps(answer or {})

    return call


def apply() -> None:
    """Install the patch."""
    replace(FakeOrganization, "__init__", _identified)
    replace(OrganizationsBackend, "create_organization", _with_members)
    for name in _DELEGATED:
        replace(OrganizationsResponse, name, _delegated)
