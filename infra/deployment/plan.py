"""What would be deployed where, and where each parameter comes from. Pure: it asks AWS nothing."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from infra.deployment import reach, templates
from infra.deployment.configuration import Configuration, PlanError

ORDER = templates.ROOT / "infra" / "deployment.yaml"
# Given by the deployment itself, not by a person or a stack.
MADE = {
    "ExternalId": "secret <DeploymentId>/external-id in the forensic account, made at the first deployment",
    "ExternalIdSince": "day on which that secret got its value",
    "ExternalIdBefore": "its value before, while it is rotated (--rotate-external-id)",
    "ForensicAccountId": "accounts.forensic",
    "HomeRegion": "region",
    "ReleasePrefix": "the release that is deployed",
    "ReleaseVersion": "the release that is deployed",
    "ToolkitSha256": "the release that is deployed",
    "PluginsVersion": "version that S3 gives the uploaded plugins.zip",
    "RequirementsVersion": "version that S3 gives the uploaded requirements.txt",
}


# In ``after``: everything that comes earlier in the plan.
EVERYTHING = "everything"
RELEASE = "release"
# Values that say where something of the uploaded release is.
OF_THE_UPLOAD = frozenset({"ReleasePrefix", "PluginsVersion", "RequirementsVersion"})
# Read by the deployment itself, not by a template.
GIVEN = frozenset({"DeploymentId"})


@dataclass(frozen=True)
class Source:
    """Where a parameter's value comes from: ``configuration``, ``output``, ``default`` or ``made``."""

    kind: str
    value: str


@dataclass(frozen=True)
class Step:
    """One stack in one account and Region, or the upload of the release (then ``template`` is empty).

    ``after``: the stacks that have to be there before, :data:`EVERYTHING` for all that come earlier.
    """

    account: str
    account_id: str
    region: str
    stack: str
    template: str
    parameters: dict[str, Source] = field(default_factory=dict)
    after: tuple[str, ...] = ()

    @property
    def is_upload(self) -> bool:
        """Whether this step uploads the release."""
        return not self.template


def steps(config: Configuration, *, order: Path = ORDER) -> list[Step]:
    """Every step in order. Raises :class:`PlanError` naming every parameter that has no source."""
    known = templates.reading(config.deployment_id)
    listed = entries(order)
    _refuse_unknown(config.parameters, listed, known)
    made: list[Step] = []
    outputs: dict[str, str] = {}
    missing: dict[str, tuple[str, list[str]]] = {}
    for entry in listed:
        if not wanted(entry, config.parameters):
            continue
        if "upload" in entry:
            made.append(_upload(config, entry))
            continue
        body = known[entry["template"]]
        sources: dict[str, Source] = {}
        for name, parameter in body.get("Parameters", {}).items():
            own = name in entry.get("own", [])
            source = _source(
                name, parameter, config=config, outputs={} if own else outputs, account=entry["account"], own=own
            )
            if source is None:
                missing.setdefault(name, (parameter["Description"], []))[1].append(config.named(entry["stack"]))
            else:
                sources[name] = source
        made += _everywhere(entry, config, sources, after=_after(entry, config, sources))
        outputs |= dict.fromkeys(body.get("Outputs", {}), config.named(entry["stack"]))
    if missing:
        named = [f"{name} of {', '.join(stacks)} ({meaning})" for name, (meaning, stacks) in missing.items()]
        msg = "no value for " + "; ".join(named) + ". Add them to parameters in the configuration"
        raise PlanError(msg)
    return made


def _refuse_unknown(given: Mapping[str, Any], listed: list[Any], known: Mapping[str, Any]) -> None:
    if unknown := unknown_parameters(given, listed, known):
        msg = f"the configuration has parameters that no template knows: {', '.join(unknown)}"
        raise PlanError(msg)


def unknown_parameters(given: Mapping[str, Any], listed: list[Any], known: Mapping[str, Any]) -> list[str]:
    """Names of parameters that nothing reads, each with the one that it resembles."""
    names = {name for body in known.values() for name in body.get("Parameters", {})}
    names |= GIVEN | {name for entry in listed for key in ("when", "unless") for name in entry.get(key, [])}
    accounts = {entry["account"] for entry in listed}
    scoped = {name for kind in accounts for name in (given.get(kind) or {}) if isinstance(given.get(kind), dict)}
    found = []
    for name in sorted(map(str, (set(given) - accounts | scoped) - names)):
        near = difflib.get_close_matches(name, names | accounts, 1)
        found.append(f"{name} (did you mean {near[0]}?)" if near else name)
    return found


@cache
def entries(order: Path = ORDER) -> list[dict[str, Any]]:
    """What goes where, as ``infra/deployment.yaml`` says it."""
    return list(yaml.safe_load(order.read_text("utf-8"))["stacks"])


def wanted(entry: Mapping[str, Any], given: Mapping[str, Any]) -> bool:
    """Whether this configuration deploys the entry."""
    if "when" in entry and not all(name in given for name in entry["when"]):
        return False
    return not ("unless" in entry and all(name in given for name in entry["unless"]))


def _upload(config: Configuration, entry: Mapping[str, Any]) -> Step:
    (account_id,) = config.account_ids("forensic")
    after = tuple(map(config.named, entry.get("after", [])))
    return Step("forensic", account_id, config.region, stack=RELEASE, template="", after=after)


def _after(entry: Mapping[str, Any], config: Configuration, sources: Mapping[str, Source]) -> tuple[str, ...]:
    """What has to be there before this stack: what gives its parameters, the upload, and what the list says."""
    listed = [name if name == EVERYTHING else config.named(name) for name in entry.get("after", [])]
    outputs = [s.value for s in sources.values() if s.kind == "output"]
    made = {name for name, s in sources.items() if s.kind == "made"}
    size = len(templates.text_of(entry["template"], config.deployment_id).encode())
    uploaded = [RELEASE] if made & OF_THE_UPLOAD or size > templates.LARGEST_INLINE else []
    return tuple(dict.fromkeys([*listed, *uploaded, *sorted(outputs)]))


def _everywhere(
    entry: Mapping[str, Any], config: Configuration, sources: dict[str, Source], *, after: tuple[str, ...]
) -> list[Step]:
    regions = {
        "all": config.member_regions,
        "others": other_regions(config),
        # where IAM writes its events, when that is not the home Region, in which they are read
        "iam": tuple(r for r in (reach.iam_region(config.region),) if r != config.region),
    }.get(str(entry.get("regions")), (config.region,))
    return [
        Step(
            account=entry["account"],
            account_id=account_id,
            region=region,
            stack=config.named(entry["stack"]),
            template=entry["template"],
            parameters=sources,
            after=after,
        )
        for account_id in config.account_ids(entry["account"])
        for region in regions
    ]


def other_regions(config: Configuration) -> tuple[str, ...]:
    """The Regions besides the home Region that targets are in, that disks are copied from or that have a copy of the forensic AMI: each has an
    evidence key of its own."""
    listed = config.parameters.get("MemberRegions") or []
    named = listed if isinstance(listed, list) else str(listed).split(",")
    across = str(config.settings.get("cross_region_from") or "").split(",")
    found = [str(r).strip() for r in (*config.member_regions, *named, *across, *reach.ami_regions(config))]
    return tuple(dict.fromkeys(r for r in found if r not in {"", "*", config.region}))


def _source(
    name: str,
    parameter: Mapping[str, Any],
    *,
    config: Configuration,
    outputs: Mapping[str, str],
    account: str,
    own: bool,
) -> Source | None:
    value = config.value_of(name, account, own=own)
    if value is not None:
        return Source("configuration", ",".join(map(str, value)) if isinstance(value, list) else str(value))
    if name in outputs:
        return Source("output", outputs[name])
    if name == "ForensicAccountId":
        return Source("configuration", config.account_ids("forensic")[0])
    # with StackSets there may be no list of members: then the preflight tries those that parameters.MemberAccounts names
    if name == "MemberAccounts" and config.accounts.get("members"):
        return Source("configuration", ",".join(config.account_ids("members")))
    if name == "MemberRegions" and "Default" in parameter:
        return Source("configuration", ",".join(map(str, config.member_regions)))
    if name == "HomeRegion":
        return Source("configuration", config.region)
    if name in ("EgressNames", "MoreEgressNames"):
        return Source("configuration", reach.egress_lists(config)[name == "MoreEgressNames"])
    if slot := re.fullmatch(r"AmiRegion(\d)", name):
        return Source("configuration", dict(enumerate(reach.ami_regions(config), 1)).get(int(slot[1]), ""))
    if name == "IamRegion":
        return Source("configuration", reach.iam_region(config.region))
    if name in MADE:
        return Source("made", MADE[name])
    if "Default" in parameter:
        return Source("default", str(parameter["Default"]))
    return None


def tool_upload(config: Configuration) -> str:
    """The command that brings the capture tool to the tools bucket (step 6 of docs/deployment.md)."""
    (account_id,) = config.account_ids("forensic")
    profile = config.profiles.get("release")
    bucket = config.named(f"forensics-tools-{account_id}-{config.region}")
    command = f"aws s3 cp avml s3://{bucket}/tools/avml --region {config.region}" + (
        f" --profile {profile}" if profile else ""
    )
    role = config.value_of("ReleaseRoleArn", "forensic") or "ReleaseRoleArn"
    return (
        f"After stack {config.named('forensics-work-buckets')}: upload the memory capture tool to {bucket}, as {role}.\n"
        f"  sha256sum avml   # has to be {config.value_of('CaptureToolSha256', 'forensic')}\n  {command}\n"
    )


def as_data(planned: list[Step]) -> dict[str, Any]:
    """The plan for programs: the steps in order, each parameter with its source and, where it is known, its value."""
    return {
        "schema": "forensics.deployment-plan/1",
        "steps": [
            {
                "number": number,
                "account": step.account,
                "account_id": step.account_id,
                "region": step.region,
                "stack": None if step.is_upload else step.stack,
                "template": step.template or None,
                "after": list(step.after),
                "parameters": {n: {"from": s.kind, "value": s.value} for n, s in sorted(step.parameters.items())},
            }
            for number, step in enumerate(planned, 1)
        ],
    }


def text(planned: list[Step]) -> str:
    """The plan for a person: account by account, in order."""
    lines, last = [], ""
    for number, step in enumerate(planned, 1):
        where = f"{step.account} account {step.account_id}, {step.region}"
        if where != last:
            lines += ["", where]
            last = where
        if step.is_upload:
            lines.append(f"  {number:2}. upload the release (make package) to the release bucket")
            continue
        lines.append(f"  {number:2}. {step.stack}  (infra/cloudformation: {step.template})")
        if step.after:
            lines.append(f"        after {', '.join(step.after)}")
        for name, source in sorted(step.parameters.items()):
            shown = {
                "output": f"from stack {source.value}",
                "made": source.value,
                "default": f"{source.value!r} (default)",
            }
            lines.append(f"        {name} = {shown.get(source.kind, source.value)}")
    return "\n".join(lines).lstrip("\n") + "\n"
