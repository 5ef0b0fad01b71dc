"""The organization is asked when the policy's scope names its tags, once for a case, and an answer that is missing is said."""

from __future__ import annotations

from typing import Any

import pytest

from forensics import case_keys
from forensics.aws.organizations import OrganizationsGateway
from forensics.errors import AccessDeniedError, ForensicsError
from forensics.models.organization import OrganizationTags
from forensics.models.policy import Scope
from forensics.triage.organization import OrganizationReader, organization_tags
from tests.unit.builders import ACCOUNT
from tests.unit.recorders import FakeRecorder

RESPOND = {"forensics:respond": "isolate"}
ACCOUNT_TAG = {"kind": "account_tag", "value": "forensics:respond"}
UNIT_TAG = {"kind": "organizational_unit_tag", "value": "forensics:respond"}


class Organizations(OrganizationsGateway):
    """Tags by id; what is ``denied`` is refused."""

    def __init__(self, tags: dict[str, dict[str, str]], *, above: tuple[str, ...] = (), denied: bool = False) -> None:
        self.account_id = "111122223333"
        self.known = tags
        self.above = above
        self.denied = denied
        self.asked: list[str] = []

    def tags(self, resource_id: str) -> dict[str, str]:
        self.asked.append(resource_id)
        if self.denied:
            raise AccessDeniedError("AWS answered AccessDeniedException", next_action="look at the role")
        return self.known.get(resource_id, {})

    def units_above(self, account_id: str) -> list[str]:
        self.asked.append(f"above {account_id}")
        return list(self.above)


def reader(*gateways: OrganizationsGateway) -> OrganizationReader:
    return OrganizationReader(lambda: gateways)


def scope(*lines: dict[str, str], part: str = "isolate") -> Scope:
    return Scope.model_validate({part: list(lines)} if lines else {})


def test_a_scope_without_such_lines_asks_nothing() -> None:
    def nobody() -> OrganizationReader:
        raise AssertionError("AWS Organizations was asked")

    for given in (scope(), scope({"kind": "account", "value": ACCOUNT})):
        assert organization_tags(FakeRecorder(), nobody, given) == OrganizationTags()


@pytest.mark.parametrize("part", ["acquire", "isolate"])
def test_tags_are_read_once_for_a_case(part: str) -> None:
    made, organizations = FakeRecorder(), Organizations({ACCOUNT: RESPOND})
    for _ in range(2):
        found = organization_tags(made, lambda: reader(organizations), scope(ACCOUNT_TAG, part=part))
        assert found == OrganizationTags(account=RESPOND)
    assert organizations.asked == [ACCOUNT]
    assert made.get(case_keys.ORGANIZATION, OrganizationTags) == found


def test_units_are_read_when_a_line_is_about_them() -> None:
    made, organizations = (
        FakeRecorder(),
        Organizations({"ou-ab12-00000001": RESPOND}, above=("ou-ab12-00000001", "r-ab12")),
    )
    organization_tags(made, lambda: reader(organizations), scope(ACCOUNT_TAG))
    found = organization_tags(made, lambda: reader(organizations), scope(ACCOUNT_TAG, UNIT_TAG))
    assert found.units == {"ou-ab12-00000001": RESPOND, "r-ab12": {}}
    assert organizations.asked == [ACCOUNT, f"above {ACCOUNT}", ACCOUNT, "ou-ab12-00000001", "r-ab12"]


def test_what_could_not_be_read_is_asked_again_by_the_next_plan() -> None:
    made, organizations = FakeRecorder(), Organizations({ACCOUNT: RESPOND}, denied=True)
    found = organization_tags(made, lambda: reader(organizations), scope(ACCOUNT_TAG))
    assert found.unread == "AWS answered AccessDeniedException. What to do next: look at the role"
    assert made.get(case_keys.ORGANIZATION, OrganizationTags) is None
    organizations.denied = False
    assert organization_tags(made, lambda: reader(organizations), scope(ACCOUNT_TAG)).account == RESPOND


def test_the_next_administrator_is_asked_when_one_is_refused() -> None:
    refused, answers = Organizations({}, denied=True), Organizations({ACCOUNT: RESPOND})
    assert reader(refused, answers).read(ACCOUNT, units=False) == OrganizationTags(account=RESPOND)


def test_without_administrators_there_is_nobody_to_ask() -> None:
    assert "no administrator_accounts are named" in reader().read(ACCOUNT, units=False).unread


def test_a_role_that_cannot_be_assumed_is_said() -> None:
    def refused() -> Any:
        raise ForensicsError("assume role arn: denied")

    assert OrganizationReader(refused).read(ACCOUNT, units=True).unread == "assume role arn: denied"
