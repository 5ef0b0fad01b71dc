"""Organizations: tags, and the units above an account. Shapes and errors are those of botocore's model of the service."""

from __future__ import annotations

import pytest
from botocore.stub import Stubber

from forensics.aws.organizations import OrganizationsGateway
from forensics.errors import AccessDeniedError, AwsError, ResourceGoneError
from tests.unit.aws.conftest import Stub

ACCOUNT, ROOT = "333344445555", "r-ab12"


def unit(number: int) -> str:
    return f"ou-ab12-0000000{number}"


@pytest.fixture
def stub(stubbed: Stub) -> Stubber:
    """Organizations."""
    return stubbed("organizations")


@pytest.fixture
def organizations(stub: Stubber) -> OrganizationsGateway:
    """The gateway, in the security account."""
    return OrganizationsGateway(stub.client, account_id="111122223333")


def under(stub: Stubber, child: str, parent: str) -> None:
    kind = "ROOT" if parent == ROOT else "ORGANIZATIONAL_UNIT"
    stub.add_response("list_parents", {"Parents": [{"Id": parent, "Type": kind}]}, {"ChildId": child})


def test_tags_of_all_pages_are_read(stub: Stubber, organizations: OrganizationsGateway) -> None:
    first = {"Tags": [{"Key": "forensics:respond", "Value": "isolate"}], "NextToken": "more"}
    stub.add_response("list_tags_for_resource", first, {"ResourceId": ACCOUNT})
    stub.add_response(
        "list_tags_for_resource",
        {"Tags": [{"Key": "owner", "Value": ""}]},
        {"ResourceId": ACCOUNT, "NextToken": "more"},
    )
    assert organizations.tags(ACCOUNT) == {"forensics:respond": "isolate", "owner": ""}


def test_the_units_above_an_account_end_with_the_root(stub: Stubber, organizations: OrganizationsGateway) -> None:
    """An empty page with a token is no end (ListParents, note on NextToken)."""
    under(stub, ACCOUNT, unit(1))
    stub.add_response("list_parents", {"Parents": [], "NextToken": "more"}, {"ChildId": unit(1)})
    stub.add_response(
        "list_parents",
        {"Parents": [{"Id": ROOT, "Type": "ROOT"}]},
        {"ChildId": unit(1), "NextToken": "more"},
    )
    assert organizations.units_above(ACCOUNT) == [unit(1), ROOT]


def test_an_organization_that_has_no_end_is_an_error(stub: Stubber, organizations: OrganizationsGateway) -> None:
    """Quotas for AWS Organizations: five levels of units."""
    for child, parent in zip([ACCOUNT, *map(unit, range(1, 6))], map(unit, range(1, 7)), strict=True):
        under(stub, child, parent)
    with pytest.raises(AwsError, match="is under more than 5 units"):
        organizations.units_above(ACCOUNT)


def test_an_account_without_a_parent_is_an_error(stub: Stubber, organizations: OrganizationsGateway) -> None:
    stub.add_response("list_parents", {"Parents": []}, {"ChildId": ACCOUNT})
    with pytest.raises(AwsError, match="names nothing above 333344445555"):
        organizations.units_above(ACCOUNT)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("AccessDeniedException", AccessDeniedError),
        ("TargetNotFoundException", ResourceGoneError),
        ("AWSOrganizationsNotInUseException", AwsError),
    ],
)
def test_a_refusal_says_what_was_read_from_where(
    stub: Stubber, organizations: OrganizationsGateway, code: str, kind: type[AwsError]
) -> None:
    stub.add_client_error("list_tags_for_resource", code)
    with pytest.raises(kind, match="read the tags of 333344445555 in AWS Organizations, from account 111122223333"):
        organizations.tags(ACCOUNT)
