"""Organizations: who may read it, who is in it. Source: AWS Organizations API reference, ListTagsForResource, ListParents, TagResource."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from lab.accounts import FORENSIC_ACCOUNT, MANAGEMENT_ACCOUNT, MEMBER_ACCOUNT, SECURITY_ACCOUNT
from tests.lab.conftest import Lab

TAG = [{"Key": "forensics:respond", "Value": "isolate"}]


@pytest.fixture(scope="module")
def organization(lab: Lab) -> Any:
    """The management account's view; the security account is a delegated administrator."""
    client = lab.client("organizations", MANAGEMENT_ACCOUNT)
    client.create_organization(FeatureSet="ALL")
    client.register_delegated_administrator(AccountId=SECURITY_ACCOUNT, ServicePrincipal="guardduty.amazonaws.com")
    return client


def test_a_delegated_administrator_reads_the_tags_of_every_account(lab: Lab, organization: Any) -> None:
    organization.tag_resource(ResourceId=MEMBER_ACCOUNT, Tags=TAG)
    administrator = lab.client("organizations", SECURITY_ACCOUNT)
    assert administrator.list_tags_for_resource(ResourceId=MEMBER_ACCOUNT)["Tags"] == TAG
    (parent,) = administrator.list_parents(ChildId=MEMBER_ACCOUNT)["Parents"]
    assert parent == {"Id": organization.list_roots()["Roots"][0]["Id"], "Type": "ROOT"}
    administrator.untag_resource(ResourceId=MEMBER_ACCOUNT, TagKeys=["forensics:respond"])
    assert organization.list_tags_for_resource(ResourceId=MEMBER_ACCOUNT)["Tags"] == []


@pytest.mark.parametrize("account", [MEMBER_ACCOUNT, FORENSIC_ACCOUNT])
def test_any_other_member_is_denied(lab: Lab, organization: Any, account: str) -> None:
    client = lab.client("organizations", account)
    for call in (
        lambda: client.list_tags_for_resource(ResourceId=account),
        lambda: client.list_parents(ChildId=account),
        lambda: client.tag_resource(ResourceId=account, Tags=TAG),
    ):
        with pytest.raises(ClientError, match="AccessDeniedException"):
            call()


def test_the_labs_accounts_are_its_members(organization: Any) -> None:
    known = {account["Id"] for account in organization.list_accounts()["Accounts"]}
    assert {FORENSIC_ACCOUNT, MANAGEMENT_ACCOUNT, MEMBER_ACCOUNT, SECURITY_ACCOUNT} <= known
