"""Which accounts and Regions lack the member stacks, and why: suspended, closing, not enabled, failed, outdated, missing.

The services answer with shapes that botocore's models have (Stubber); meanings: AWS CloudFormation API reference, *StackInstanceSummary* and
*DescribeOrganizationsAccess*; AWS Organizations API reference, *Account*; AWS Account Management API reference, *ListRegions*.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from infra.deployment import look_first, organization, plan
from infra.deployment.configuration import Configuration
from infra.deployment.operations import DeployError
from infra.deployment.plan import Step
from tests.templates.test_two_deployments import everything

FINE, SUSPENDED, CLOSING, NEW = "111111111111", "222222222222", "333333333333", "444444444444"
HOME, AWAY = "eu-central-1", "eu-west-1"
SETS = (
    "forensics-member-roles",
    "forensics-member-containment",
    "forensics-member-region",
    "forensics-member-documents",
)


def config() -> Configuration:
    whole = everything()[1]
    return replace(whole, parameters={**whole.parameters, "MemberRegions": [HOME, AWAY]})


def account(number: str, **more: str) -> dict[str, Any]:
    return {"Id": number, "Name": f"account {number[0]}", "Status": "ACTIVE", **more}


def instance(number: str, region: str, **more: Any) -> dict[str, Any]:
    return {"Account": number, "Region": region, "Status": "CURRENT", **more}


class Services:
    """Stubbed clients of the management account; what is not expected is refused."""

    def __init__(self, *, access: str = "ENABLED") -> None:
        self.made = {
            n: boto3.client(n, region_name=HOME, aws_access_key_id="x", aws_secret_access_key="x")
            for n in ("cloudformation", "organizations", "account")
        }
        self.stubs = {name: Stubber(client) for name, client in self.made.items()}
        self.stubs["cloudformation"].add_response(
            "describe_organizations_access", {"Status": access}, {"CallAs": "SELF"}
        )

    def __call__(self, _account: str, _region: str, service: str) -> Any:
        return self.made[service]

    def organization(self, *below: dict[str, Any]) -> None:
        """One unit with an account, and a unit below it with the others."""
        org = self.stubs["organizations"]
        org.add_response("list_accounts_for_parent", {"Accounts": [account(FINE)]}, {"ParentId": "ou-ab12-cdef3456"})
        units = {"OrganizationalUnits": [{"Id": "ou-ab12-below0001"}]}
        org.add_response("list_organizational_units_for_parent", units, {"ParentId": "ou-ab12-cdef3456"})
        org.add_response("list_accounts_for_parent", {"Accounts": list(below)}, {"ParentId": "ou-ab12-below0001"})
        org.add_response(
            "list_organizational_units_for_parent", {"OrganizationalUnits": []}, {"ParentId": "ou-ab12-below0001"}
        )

    def instances(self, name: str, *found: dict[str, Any]) -> None:
        self.stubs["cloudformation"].add_response(
            "list_stack_instances", {"Summaries": list(found)}, {"StackSetName": name, "CallAs": "SELF"}
        )

    def run(self, given: Configuration) -> tuple[int, list[str]]:
        lines: list[str] = []
        for stub in self.stubs.values():
            stub.activate()
        wanted = organization.report(given, plan.steps(given), self, say=lines.append)
        for stub in self.stubs.values():
            stub.assert_no_pending_responses()
        return wanted, lines


def test_a_complete_organization_wants_nobody() -> None:
    services = Services()
    services.organization()
    for name in SETS:
        services.instances(name, instance(FINE, HOME), instance(FINE, AWAY))
    wanted, lines = services.run(config())
    assert wanted == 0
    assert lines == [f"{SETS[0]}: 1 CURRENT", f"{SETS[1]}: 1 CURRENT", f"{SETS[2]}: 2 CURRENT", f"{SETS[3]}: 2 CURRENT"]


def test_each_reason_is_said_and_only_what_wants_a_person_counts() -> None:
    services = Services()
    services.organization(
        account(SUSPENDED, Status="SUSPENDED"), account(CLOSING, State="PENDING_CLOSURE"), account(NEW)
    )
    old = {
        "Status": "OUTDATED",
        "StatusReason": "AccessDenied: a policy denies it",
        "StackInstanceStatus": {"DetailedStatus": "FAILED"},
    }
    services.instances(SETS[0], instance(FINE, HOME), instance(NEW, HOME))
    services.instances(SETS[1], instance(FINE, HOME, **old), instance(NEW, HOME))
    services.instances(SETS[2], instance(FINE, HOME), instance(FINE, AWAY), instance(NEW, HOME))
    services.instances(SETS[3], instance(FINE, HOME), instance(FINE, AWAY))
    regions = {
        "Regions": [
            {"RegionName": HOME, "RegionOptStatus": "ENABLED_BY_DEFAULT"},
            {"RegionName": AWAY, "RegionOptStatus": "DISABLED"},
        ]
    }
    for _ in (2, 3):
        services.stubs["account"].add_response("list_regions", regions, {"AccountId": NEW})
    wanted, lines = services.run(config())
    said = "\n".join(lines)
    assert (
        f"account {SUSPENDED} (account 2) is suspended" in said
        and f"account {CLOSING} (account 3) is being closed" in said
    )
    assert f"{SETS[1]} in {FINE}, {HOME}: OUTDATED FAILED AccessDenied: a policy denies it" in said
    assert f"{SETS[2]} in {NEW}, {AWAY}: the account has not enabled this Region" in said
    assert f"{SETS[3]} in {NEW}, {HOME}: no stack instance" in said
    # the outdated one, and the documents that are missing at home; a Region that is switched off wants nobody
    assert wanted == 2


def test_without_trusted_access_nothing_is_asked_and_nothing_is_deployed() -> None:
    with pytest.raises(DeployError, match="trusted access of StackSets is DISABLED: switch it on"):
        Services(access="DISABLED").run(config())
    given = config()
    (members,) = [s for s in plan.steps(given) if s.template == organization.TEMPLATE]
    services = Services(access="DISABLED")
    services.stubs["cloudformation"].activate()

    class NoStack:
        def describe_stacks(self, **_: Any) -> Any:
            raise services.made["cloudformation"].exceptions.ClientError(
                {"Error": {"Code": "ValidationError", "Message": "Stack does not exist"}}, "DescribeStacks"
            )

        def __getattr__(self, name: str) -> Any:
            return getattr(services.made["cloudformation"], name)

    with pytest.raises(DeployError, match=r"nothing was changed.*\n.*trusted access of StackSets is DISABLED"):
        look_first.refuse([members], lambda *_: NoStack(), given)


def test_members_by_themselves_have_no_such_report() -> None:
    steps: list[Step] = plan.steps(everything()[0])
    with pytest.raises(DeployError, match="has no StackSets"):
        organization.report(everything()[0], steps, Services(), say=print)
