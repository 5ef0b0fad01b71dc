"""What a configuration must be before anything is asked of AWS: what the templates' own patterns say, and what follows from it.

All findings are collected: a person mends a file once, not one line at a time.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from infra.deployment import contradictions, plan, reach, settings, templates
from infra.deployment.configuration import Configuration, PlanError, Unquoted
from infra.deployment.regions import partition_of_region, unknown

ACCOUNT = re.compile(r"\d{12}")
ROLE = re.compile(r"arn:(aws[a-z-]*):iam::(\d{12}):role/(?:.*/)?([^/]+)")
# CloudFormation user guide, "AWS-specific parameter types": CloudFormation asks EC2 whether the id exists; its form is known here.
ID_FORMS = {
    "AWS::EC2::VPC::Id": r"vpc-([0-9a-f]{8}|[0-9a-f]{17})",
    "AWS::EC2::Subnet::Id": r"subnet-([0-9a-f]{8}|[0-9a-f]{17})",
    "AWS::EC2::SecurityGroup::Id": r"sg-([0-9a-f]{8}|[0-9a-f]{17})",
}
LIST_FORMS = {
    "OrganizationalUnitIds": r"ou-[0-9a-z]{4,32}-[a-z0-9]{8,32}|r-[0-9a-z]{4,32}",
    "WebhookSourceCidrs": r"\d{1,3}(\.\d{1,3}){3}/\d{1,2}|[0-9a-f:]{2,39}/\d{1,3}",
    "TargetIds": r"ou-[0-9a-z]{4,32}-[a-z0-9]{8,32}|r-[0-9a-z]{4,32}|\d{12}",
}
# Roles that have to be in the forensic account.
FORENSIC_ROLES = ("KeyAdministratorArn", "ReleaseRoleArn", "DocumentSignerRoleArn", "RemovalRoleArn")


def validate(config: Configuration) -> None:
    """Raises :class:`PlanError` naming everything that is wrong, where, and what is expected."""
    wrong = list(
        dict.fromkeys(
            [
                *_unknown(config),
                *_accounts(config),
                *_regions(config),
                *_groups(config),
                *_values(config),
                *_roles(config),
                *_profiles(config),
                *contradictions.found(config, partition=partition_of_region().get(str(config.region))),
                *settings.problems(config.settings),
            ]
        )
    )
    if not wrong:  # the names of Regions that exist
        wrong = reach.problems(config)
    if wrong:
        lines = "\n".join(f"  - {line}" for line in wrong)
        raise PlanError(f"the configuration cannot be deployed:\n{lines}")


def _unknown(config: Configuration) -> Iterator[str]:
    for name in plan.unknown_parameters(config.parameters, plan.entries(), templates.reading()):
        yield f"parameters: no template knows {name}"


def _accounts(config: Configuration) -> Iterator[str]:
    kinds = list(dict.fromkeys(entry["account"] for entry in plan.entries()))
    seen: dict[str, str] = {}
    for kind, given in config.accounts.items():
        if kind not in kinds:
            near = difflib.get_close_matches(str(kind), kinds, 1)
            yield f"accounts.{kind}: known are {', '.join(kinds)}" + (f" (did you mean {near[0]}?)" if near else "")
        found = given if isinstance(given, list) else [given]
        if not found or given is None:
            yield f"accounts.{kind} is empty"
            continue
        if isinstance(given, list) and kind != "members":
            yield f"accounts.{kind}: one account is expected, not a list"
        for account in found:
            if not ACCOUNT.fullmatch(str(account)) or str(account) == "0" * 12:
                yield f"accounts.{kind}: {str(account)!r} is not an account id of 12 digits"
            elif isinstance(account, Unquoted) and account.startswith("0"):
                yield f"accounts.{kind}: write {account} in quotes; other readers of YAML take it for an octal number, which is another account"
            yield from _twice(str(account), kind, seen)
            seen.setdefault(str(account), kind)
    for kind in dict.fromkeys(e["account"] for e in plan.entries() if plan.wanted(e, config.parameters)):
        if kind not in config.accounts:
            yield f"accounts.{kind} is missing: stacks are deployed there"
    yield from _drill(config)
    security, stated = config.accounts.get("security"), config.parameters.get("SecurityAccountId")
    if stated is not None and security is not None and str(stated) != str(security):
        yield f"parameters.SecurityAccountId is {stated}, accounts.security is {security}: both are the security account"


def _drill(config: Configuration) -> Iterator[str]:
    """The canary is a target: it lives where the member roles are, and the product has to know where."""
    drill, members = config.accounts.get("drill"), _list(config.accounts.get("members"))
    if drill is None:
        return
    if members and str(drill) not in map(str, members):
        yield f"accounts.drill is {drill}, which is none of accounts.members: a drill needs the roles of a member account"
    if str(config.settings.get("drill_account", "")) != str(drill):
        yield f"settings.drill_account has to be {drill}, as accounts.drill: without it no drill begins"


def _twice(account: str, kind: str, seen: Mapping[str, str]) -> Iterator[str]:
    other = seen.get(account)
    if other == kind:
        yield f"accounts.{kind} has {account} twice"
    elif other and "forensic" in {kind, other}:
        yield (
            f"accounts.{kind} and accounts.{other} are both {account}: evidence has to be out of the reach of the "
            "accounts that it is about and of those who administer them"
        )
    elif other and {kind, other} in ({"security", "members"}, {"security", "drill"}):
        yield f"accounts.{kind} and accounts.{other} are both {account}: their roles have the same names and would collide"


def _regions(config: Configuration) -> Iterator[str]:
    known, home = partition_of_region(), str(config.region)
    given: dict[str, Any] = {"region": [home], "member_regions": config.member_regions}
    if not config.member_regions:
        yield "member_regions is empty: leave it out for the home Region, or name the Regions whose instances are in scope"
    listed = config.parameters.get("MemberRegions")
    if listed is not None:
        given["parameters.MemberRegions"] = listed if isinstance(listed, list) else str(listed).split(",")
    for where, regions in given.items():
        names = [str(region).strip() for region in regions]
        for region in sorted({r for r in names if names.count(r) > 1}):
            yield f"{where} has {region} twice"
        for region in names:
            if said := unknown(region):
                yield f"{where}: {said}"
            elif home in known and known[region] != known[home]:
                yield f"{where}: {region} is in partition {known[region]}, {home} in {known[home]}: no call crosses partitions"


def _groups(config: Configuration) -> Iterator[str]:
    """What stands for a stack is given as a whole or not at all."""
    given = config.parameters
    for entry in plan.entries():
        for reason in ("unless", "when"):
            names = entry.get(reason, [])
            there = [name for name in names if name in given]
            if len(names) > 1 and there and len(there) < len(names):
                missing = ", ".join(name for name in names if name not in given)
                yield f"parameters: {', '.join(there)} without {missing}: give all of them, or none and {entry['stack']} makes them"
    if "AmiId" not in given and not {"BuildSubnetId", "BuildSecurityGroupId"} <= set(given):
        yield (
            "parameters: give AmiId (an AMI that has the toolkit), or BuildSubnetId and BuildSecurityGroupId for Image "
            "Builder to make one: without an AMI nothing can be examined"
        )


def _values(config: Configuration) -> Iterator[str]:
    """Each value against the patterns, lists and limits of every template that takes it."""
    kinds = {entry["account"] for entry in plan.entries()}
    for where, given in _scopes(config):
        for name, value in given.items():
            if name in kinds and where == "parameters":
                yield f"{where}.{name}: names with values are expected, for the stacks of that account"
            if value is None or str(value).strip() == "" or value == []:
                yield f"{where}.{name} has no value: give one, or leave the line out for the default"
                continue
            known = _declarations(name)
            # one template may take as a list what another takes as text with commas
            listed = isinstance(value, list) and any(p["Type"] == "CommaDelimitedList" for p in known)
            joined = ",".join(map(str, value)) if listed else value
            for parameter in known:
                problem = _problem(name, value if parameter["Type"] == "CommaDelimitedList" else joined, parameter)
                if problem:
                    yield f"{where}.{name}: {problem} ({parameter['Description']})"
                    break


def _scopes(config: Configuration) -> Iterator[tuple[str, Mapping[str, Any]]]:
    kinds = {entry["account"] for entry in plan.entries()}
    yield "parameters", {k: v for k, v in config.parameters.items() if not (k in kinds and isinstance(v, dict))}
    for kind in sorted(kinds):
        scoped = config.parameters.get(kind)
        if isinstance(scoped, dict):
            yield f"parameters.{kind}", scoped


def _declarations(name: str) -> list[Mapping[str, Any]]:
    bodies = templates.reading().values()
    return [body["Parameters"][name] for body in bodies if name in body.get("Parameters", {})]


def _problem(name: str, value: Any, parameter: Mapping[str, Any]) -> str | None:
    kind = parameter["Type"]
    if kind == "CommaDelimitedList":
        items = value if isinstance(value, list) else str(value).split(",")
        form = LIST_FORMS.get(name)
        texts = [str(i).strip() for i in items]
        if twice := sorted({t for t in texts if texts.count(t) > 1}):
            return f"{', '.join(twice)} is there twice"
        wrong = [str(i) for i in items if form and not re.fullmatch(form, str(i).strip())]
        return f"{', '.join(map(repr, wrong))} is not of the form {form}" if wrong else None
    joined = ",".join(map(str, value)) if isinstance(value, list) else ""
    if isinstance(value, dict) or (
        isinstance(value, list) and not re.fullmatch(parameter.get("AllowedPattern", "$"), joined)
    ):
        return "one value is expected"
    text = joined or str(value)
    if isinstance(value, bool):
        return f'YAML reads this as {value}: write it in quotes, "{"yes" if value else "no"}"'
    if text != text.strip():
        return f"{text!r} has spaces around it"
    if kind == "Number":
        return _number(text, parameter)
    if "AllowedValues" in parameter and text not in map(str, parameter["AllowedValues"]):
        return f"{text!r} is not one of {', '.join(map(str, parameter['AllowedValues']))}"
    pattern = parameter.get("AllowedPattern") or ID_FORMS.get(kind)
    if pattern and not re.fullmatch(pattern, text):
        return f"{text!r} does not match {pattern}"
    return None


def _number(text: str, parameter: Mapping[str, Any]) -> str | None:
    if not re.fullmatch(r"-?\d+", text):
        return f"{text!r} is not a whole number"
    if "AllowedValues" in parameter and int(text) not in map(int, parameter["AllowedValues"]):
        return f"{text} is not one of {', '.join(map(str, parameter['AllowedValues']))}"
    least, most = parameter.get("MinValue"), parameter.get("MaxValue")
    if least is not None and int(text) < int(least):
        return f"{text} is below {least}"
    return f"{text} is above {most}" if most is not None and int(text) > int(most) else None


def _roles(config: Configuration) -> Iterator[str]:
    forensic = str(config.accounts.get("forensic"))
    partition = partition_of_region().get(str(config.region))
    for name in FORENSIC_ROLES:
        found = ROLE.fullmatch(str(config.parameters.get(name, "")))
        if found is None:
            continue  # missing or malformed: said elsewhere
        if found[2] != forensic:
            yield f"parameters.{name} is a role of account {found[2]}; it has to be one of the forensic account {forensic}"
        if partition and found[1] != partition:
            yield f"parameters.{name} is in partition {found[1]}, {config.region} in {partition}"
    administrator = ROLE.fullmatch(str(config.parameters.get("KeyAdministratorArn", "")))
    in_members = config.parameters.get("KeyAdministratorRole")
    if administrator and in_members and str(in_members).rpartition("/")[2] != administrator[3]:
        yield (
            f"parameters.KeyAdministratorRole is {in_members}, KeyAdministratorArn names {administrator[3]}: the role "
            "that administers keys has one name in all accounts"
        )


def _profiles(config: Configuration) -> Iterator[str]:
    """Whoever names profiles at all names one for each account that gets a stack, and knows no others."""
    if not config.profiles:
        return
    known = {"release", *config.accounts, *(str(a) for v in config.accounts.values() for a in _list(v))}
    for name, profile in config.profiles.items():
        if str(name) not in known:
            near = difflib.get_close_matches(str(name), known, 1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            yield f"profiles.{name}: there is no such account; known are {', '.join(sorted(known))}{hint}"
        if not isinstance(profile, str) or not profile.strip():
            yield f"profiles.{name}: the name of an AWS CLI profile is expected, not {profile!r}"
    kinds = dict.fromkeys(e["account"] for e in plan.entries() if plan.wanted(e, config.parameters))
    for kind in kinds:
        for account in map(str, _list(config.accounts.get(kind))):
            if not (config.profiles.get(account) or config.profiles.get(kind)):
                yield f"profiles: none for {kind} (account {account}), where stacks are deployed to"


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
