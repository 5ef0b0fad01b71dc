"""Which accounts and Regions of the organization have the member stacks, and which have not, with the reason: ``deploy --organization``.

Accounts that join later get their stacks by themselves (AutoDeployment). What stays without them is said here: suspended and closing
accounts, Regions that an account has not enabled, instances that failed or are still of the release before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

from botocore.exceptions import ClientError

from infra.deployment import templates
from infra.deployment.configuration import Configuration
from infra.deployment.operations import DeployError
from infra.deployment.plan import Step
from infra.deployment.stacks import Clients

TEMPLATE = "member-stackset"
# Organizations API reference, *Account*: State replaces Status (2025); accounts made before may have only the latter.
AWAY = {
    "SUSPENDED": "is suspended",
    "PENDING_CLOSURE": "is being closed",
    "CLOSED": "is closed",
    "PENDING_ACTIVATION": "is not active yet",
}
# Account Management API reference, *RegionOptStatus*.
ENABLED = {"ENABLED", "ENABLED_BY_DEFAULT"}


def access_problem(step: Step, config: Configuration, clients: Clients) -> str:
    """Why StackSets cannot reach the organization; empty when it can (CloudFormation, DescribeOrganizationsAccess)."""
    client = clients(step.account_id, step.region, "cloudformation")
    try:
        status = str(client.describe_organizations_access(CallAs=call_as(config))["Status"])
    except ClientError as error:
        return f"whether StackSets may reach the organization cannot be seen: {error}"
    if status == "ENABLED":
        return ""
    return (
        f"trusted access of StackSets is {status}: switch it on in the management account (CloudFormation → StackSets → Enable trusted access); it "
        "also makes the service-linked roles"
    )


def call_as(config: Configuration) -> str:
    """Who asks: the management account, or a delegated administrator (parameter ``CallAs``)."""
    return str(config.value_of("CallAs", "management") or "SELF")


def report(config: Configuration, steps: Sequence[Step], clients: Clients, *, say: Callable[[str], None]) -> int:
    """Say what is missing, and why; returns how many places want a person. Raises :class:`DeployError` without StackSets."""
    step = next((s for s in steps if s.template == TEMPLATE), None)
    if step is None:
        msg = (
            "this configuration has no StackSets (parameters.OrganizationalUnitIds): --status shows the members' stacks"
        )
        raise DeployError(msg)
    if problem := access_problem(step, config, clients):
        raise DeployError(f"{step.account} account {step.account_id}: {problem}")
    accounts = {a["Id"]: a for unit in _units(config) for a in _accounts(_client(step, clients, "organizations"), unit)}
    away = {i: why for i, a in accounts.items() if (why := AWAY.get(str(a.get("State") or a["Status"])))}
    for account, why in away.items():
        say(
            f"account {account} ({accounts[account].get('Name', '')}) {why}: StackSets leaves it out; what it has stays"
        )
    wanted = 0
    for name, regions in _sets(config).items():
        wanted += _of_set(name, regions, sorted(set(accounts) - set(away)), step, config, clients, say)
    return wanted


def _of_set(
    name: str,
    regions: Sequence[str],
    accounts: Sequence[str],
    step: Step,
    config: Configuration,
    clients: Clients,
    say: Callable[[str], None],
) -> int:
    found = {
        (i["Account"], i["Region"]): i
        for i in _instances(_client(step, clients, "cloudformation"), name, call_as(config))
    }
    counted: Counter[str] = Counter()
    closed = cache(lambda account: _not_enabled(step, account, clients, say))
    for account in accounts:
        for region in regions:
            instance = found.get((account, region))
            if instance is not None and instance["Status"] == "CURRENT":
                counted["CURRENT"] += 1
            elif instance is not None:
                detail = instance.get("StackInstanceStatus", {}).get("DetailedStatus", "")
                counted[instance["Status"]] += 1
                say(
                    f"  {name} in {account}, {region}: {instance['Status']} {detail} {instance.get('StatusReason', '')}".rstrip()
                )
            elif region in closed(account):
                counted["opted out"] += 1
                say(
                    f"  {name} in {account}, {region}: the account has not enabled this Region; instances there have no forensics"
                )
            else:
                counted["missing"] += 1
                say(
                    f"  {name} in {account}, {region}: no stack instance; the next deployment or AutoDeployment makes it"
                )
    say(f"{name}: " + ", ".join(f"{number} {state}" for state, number in sorted(counted.items())))
    return counted.total() - counted["CURRENT"] - counted["opted out"]


def _client(step: Step, clients: Clients, service: str) -> Any:
    return clients(step.account_id, step.region, service)


def _units(config: Configuration) -> list[str]:
    given = config.parameters["OrganizationalUnitIds"]
    return list(given) if isinstance(given, list) else [u.strip() for u in str(given).split(",")]


def _sets(config: Configuration) -> dict[str, list[str]]:
    """Name of each stack set → Regions of its instances."""
    given = config.parameters.get("MemberRegions") or list(config.member_regions)
    every = list(given) if isinstance(given, list) else [r.strip() for r in str(given).split(",")]
    sets = templates.reading(config.deployment_id)[TEMPLATE]["Resources"].values()
    found = {}
    for resource in (s["Properties"] for s in sets if s["Type"] == "AWS::CloudFormation::StackSet"):
        (group,) = resource["StackInstancesGroup"]
        found[resource["StackSetName"]] = every if group["Regions"] == {"Ref": "MemberRegions"} else [config.region]
    return found


def _accounts(organizations: Any, parent: str) -> Iterator[dict[str, Any]]:
    """Every account of a unit and of the units below it."""
    for page in organizations.get_paginator("list_accounts_for_parent").paginate(ParentId=parent):
        yield from page["Accounts"]
    for page in organizations.get_paginator("list_organizational_units_for_parent").paginate(ParentId=parent):
        for unit in page["OrganizationalUnits"]:
            yield from _accounts(organizations, unit["Id"])


def _instances(client: Any, name: str, as_whom: str) -> Iterator[dict[str, Any]]:
    for page in client.get_paginator("list_stack_instances").paginate(StackSetName=name, CallAs=as_whom):
        yield from page["Summaries"]


def _not_enabled(step: Step, account: str, clients: Clients, say: Callable[[str], None]) -> set[str]:
    """Regions that an account has not enabled; empty, and said so, when nobody may ask."""
    try:
        pages = _client(step, clients, "account").get_paginator("list_regions").paginate(AccountId=account)
        return {r["RegionName"] for page in pages for r in page["Regions"] if r["RegionOptStatus"] not in ENABLED}
    except ClientError as error:
        say(
            f"  which Regions account {account} has enabled cannot be seen ({error}): trusted access of Account Management is needed"
        )
        return set()
