"""What a configuration says twice, or says against itself: values that are well formed one by one and cannot be right together."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Any

from forensics.deployment import DEFAULT
from infra.deployment import deployment_ids, plan, reach, templates
from infra.deployment.configuration import Configuration
from infra.deployment.regions import partition_of_region, unknown

ARN = re.compile(r"arn:(aws[a-z-]*):([a-z0-9-]+):([a-z0-9-]*):(\d{12})?:(.+)")
# Places and identities that are separate for a reason: the same id for both voids it.
DIFFERENT = (
    ("ControlSubnetIdA", "ControlSubnetIdB", "MWAA needs two subnets in two zones"),
    ("AnalysisSubnetId", "ControlSubnetIdA", "forensic instances do not share a subnet with Airflow"),
    ("AnalysisSubnetId", "ControlSubnetIdB", "forensic instances do not share a subnet with Airflow"),
    ("AnalysisSubnetId", "BuildSubnetId", "the build has a way to the outside, forensic instances have none"),
    ("AnalysisSecurityGroupId", "MwaaSecurityGroupId", "forensic instances do not share a group with Airflow"),
    ("S3PrefixListId", "DynamoDbPrefixListId", "each service has a prefix list of its own"),
    ("KeyAdministratorArn", "ReleaseRoleArn", "whoever releases code does not administer the keys of evidence"),
    ("DocumentSignerRoleArn", "ReleaseRoleArn", "whoever uploads documents does not sign them"),
    ("DocumentSignerRoleArn", "KeyAdministratorArn", "whoever administers keys does not use them"),
)
# Values that stand in an example, or that no file has.
EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
SIGNED_DOCUMENTS = ("policy_key", "never_isolate_key", "lime_list_key")
# Slots AmiRegion1 … of infra/cloudformation/image-builder.yaml.
AMI_REGIONS = 4
SWITCHES = ("EndpointsExist", "NoMwaa", "NoQueryApi", "SecurityRegions")


def found(config: Configuration, *, partition: str | None) -> Iterator[str]:
    """Every contradiction, as a line for a person."""
    if said := deployment_ids.problem(config.deployment_id):
        yield said
        return
    yield from _different(config)
    yield from _prefix(config)
    yield from _switches(config)
    yield from _made(config)
    yield from _unread(config)
    yield from _arns(config, partition)
    yield from _networks(config)
    yield from _ami_regions(config, partition)
    yield from _digests(config)
    yield from _signed(config)
    yield from _two_people(config)
    url = config.parameters.get("RunbookUrl")
    if url is not None and not re.match(r"https?://[^/]+", str(url)):
        yield f"parameters.RunbookUrl: {url!r} is not an address that a person can open from an alarm: begin with https://"


def placeholders(config: Configuration) -> list[str]:
    """What still has the example's value: such a configuration can be planned and must not be deployed."""
    lines = []
    for name, value in config.parameters.items():
        if name.endswith("Sha256") and re.fullmatch(r"(.)\1{63}", str(value)):
            lines.append(
                f"parameters.{name} is the example's placeholder: give the SHA-256 of the file that you upload"
            )
    return lines


def _different(config: Configuration) -> Iterator[str]:
    given = config.parameters
    for one, other, why in DIFFERENT:
        if one in given and other in given and str(given[one]) == str(given[other]):
            yield f"parameters.{one} and parameters.{other} are both {given[one]}: {why}"


def _prefix(config: Configuration) -> Iterator[str]:
    given = config.parameters.get("RolePrefix")
    if given is not None and config.deployment_id != DEFAULT and not str(given).startswith(f"{config.deployment_id}-"):
        yield (
            f"parameters.RolePrefix: {given!r} does not begin with {config.deployment_id}-, the deployment's id: its roles could be those of "
            "another deployment. Leave it out"
        )


def _switches(config: Configuration) -> Iterator[str]:
    for name in SWITCHES:
        value = config.parameters.get(name)
        if value is not None and str(value).lower() not in {"yes", "true"}:
            yield f"parameters.{name}: {value!r}; it is there with the value yes, or it is left out"


def _made(config: Configuration) -> Iterator[str]:
    """What the deployment or an earlier stack gives: a second value would be another bucket, key or account in half of the stacks."""
    for name in plan.MADE:
        if name in config.parameters:
            yield f"parameters.{name} is not yours to give: it comes from {plan.MADE[name]}; leave it out"
    committed, declared, made = templates.reading(), set(), dict[str, str]()
    for entry in plan.entries():
        body = committed.get(entry.get("template", ""), {})
        declared |= set(body.get("Parameters", {}))
        if plan.wanted(entry, config.parameters):
            made |= {n: entry["stack"] for n in body.get("Outputs", {}) if n not in declared and n not in made}
    for name, stack in made.items():
        if name in config.parameters:
            kinds = ", ".join(f"parameters.{e['account']}.{name}" for e in plan.entries() if name in e.get("own", []))
            own = f", or give it to one account as {kinds}" if kinds else ""
            yield f"parameters.{name} comes from stack {stack}: leave it out{own}"


def _unread(config: Configuration) -> Iterator[str]:
    """A value that no deployed stack reads is a misunderstanding, and it is better to hear of it now."""
    committed = templates.reading()
    deployed = [e for e in plan.entries() if plan.wanted(e, config.parameters)]
    read = {n for e in deployed for n in committed.get(e.get("template", ""), {}).get("Parameters", {})}
    read |= {n for e in plan.entries() for key in ("when", "unless") for n in e.get(key, [])}
    known = {n for body in committed.values() for n in body.get("Parameters", {})}
    read |= plan.GIVEN
    for name in config.parameters:
        if name in known - read:
            stacks = ", ".join(e["stack"] for e in plan.entries() if name in _parameters(committed, e))
            yield f"parameters.{name} is read by no stack of this deployment (only by {stacks}, which is left out): leave it out"
    if "AmiId" in config.parameters and {"BuildSubnetId", "BuildSecurityGroupId"} & set(config.parameters):
        yield "parameters: AmiId and BuildSubnetId exclude each other: an AMI of yours, or one that Image Builder makes"


def _parameters(committed: Mapping[str, Any], entry: Mapping[str, Any]) -> Mapping[str, Any]:
    return dict(committed.get(entry.get("template", ""), {}).get("Parameters", {}))


def _arns(config: Configuration, partition: str | None) -> Iterator[str]:
    forensic, home = str(config.accounts.get("forensic")), str(config.region)
    for where, kind, given in _scopes(config):
        accounts = {str(a) for a in _list(config.accounts.get(kind))} if kind else {forensic}
        for name, value in given.items():
            parts = ARN.fullmatch(str(value))
            if parts is None:
                continue
            if partition and parts[1] != partition:
                yield f"{where}.{name} is in partition {parts[1]}, {home} in {partition}"
            if parts[3] and parts[3] != home and kind != "members":
                yield f"{where}.{name} is in Region {parts[3]}; the stacks that read it are in {home}"
            if parts[2] != "iam" and parts[4] and parts[4] not in accounts:
                yield f"{where}.{name} is of account {parts[4]}; the stacks that read it are in {', '.join(sorted(accounts))}"


def _scopes(config: Configuration) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    yield "parameters", "", {k: v for k, v in config.parameters.items() if not isinstance(v, dict | list)}
    for kind, value in config.parameters.items():
        if isinstance(value, dict):
            yield f"parameters.{kind}", str(kind), value


def _ami_regions(config: Configuration, partition: str | None) -> Iterator[str]:
    regions = reach.ami_regions(config)
    if regions and "BuildSubnetId" not in config.parameters:
        yield "parameters.AmiRegions: the AMI is yours (AmiId): copy it yourself, or let Image Builder make it (BuildSubnetId)"
    if len(regions) > AMI_REGIONS:
        yield f"parameters.AmiRegions: {len(regions)} Regions beside the home Region; the pipeline copies to {AMI_REGIONS}"
    for region in regions:
        if said := unknown(region):
            yield f"parameters.AmiRegions: {said}"
        elif partition and partition_of_region()[region] != partition:
            yield f"parameters.AmiRegions: {region} is in partition {partition_of_region()[region]}, {config.region} in {partition}"


def _networks(config: Configuration) -> Iterator[str]:
    seen: dict[str, ipaddress.IPv4Network] = {}
    for name, value in config.parameters.items():
        if not str(name).endswith("Cidr") or value is None:
            continue
        try:
            network = ipaddress.IPv4Network(str(value))
        except ValueError as error:
            yield f"parameters.{name}: {error}: write the network's own address, as in 10.80.0.0/22"
            continue
        if not network.is_private:
            yield f"parameters.{name}: {network} is not a private network (RFC 1918): hosts of the internet could not be told from yours"
        yield from (
            f"parameters.{name} ({network}) overlaps parameters.{other} ({net})"
            for other, net in seen.items()
            if network.overlaps(net)
        )
        seen[str(name)] = network


def _digests(config: Configuration) -> Iterator[str]:
    values = {f"parameters.{k}": v for k, v in config.parameters.items() if str(k).endswith("Sha256")}
    values |= {f"settings.{k}": v for k, v in config.settings.items() if str(k).endswith("sha256")}
    for where, value in values.items():
        if str(value).lower() == EMPTY_SHA256:
            yield f"{where} is the SHA-256 of an empty file: the file that was hashed had nothing in it"
        elif re.fullmatch(r"[0-9A-Fa-f]{64}", str(value)) and str(value) != str(value).lower():
            yield f"{where}: write the digest in small letters, as sha256sum does"


def _signed(config: Configuration) -> Iterator[str]:
    signer = str(config.parameters.get("DocumentSignerRoleArn", ""))
    for name in SIGNED_DOCUMENTS:
        if name in config.settings and not signer:
            yield (
                f"settings.{name} names a document that nobody could sign: give parameters.DocumentSignerRoleArn, the role of the "
                "people who sign it"
            )
    prefix = str(config.parameters.get("RolePrefix", f"{config.deployment_id}-"))
    if signer.rpartition("/")[2].startswith(prefix):
        yield f"parameters.DocumentSignerRoleArn: {signer} is named like a role of the product ({prefix}…), which must not sign"


def _two_people(config: Configuration) -> Iterator[str]:
    """Who breaks the glass and who approves it: one person with both roles would be two."""
    first, second = (_list(config.parameters.get(name)) for name in ("BreakGlassUserArns", "BreakGlassApproverArns"))
    if bool(first) != bool(second):
        yield "parameters.BreakGlassUserArns and parameters.BreakGlassApproverArns go together: without approvers nothing can be released"
    for arn in sorted({str(a) for a in first} & {str(a) for a in second}):
        yield f"parameters.BreakGlassApproverArns: {arn} is one of BreakGlassUserArns too, and would approve what they ask for"
    for arn in [*first, *second]:
        if not re.fullmatch(r"arn:aws[a-z-]*:iam::\d{12}:user/[A-Za-z0-9+=,.@_/-]{1,512}", str(arn)):
            yield f"{arn} is not the ARN of an IAM user: only a user's session has MFA and a name that IAM vouches for"


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
