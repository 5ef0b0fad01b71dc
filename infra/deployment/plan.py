"""What would be deployed where, and where each parameter comes from. Pure: it asks AWS nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from infra.deployment import templates

ORDER = templates.ROOT / "infra" / "deployment.yaml"
# Given by the deployment itself, not by a person or a stack.
MADE = {
    "ExternalId": "secret forensics/external-id in the forensic account, made at the first deployment",
    "ForensicAccountId": "accounts.forensic",
    "HomeRegion": "region",
    "ReleasePrefix": "the release that is deployed",
    "ReleaseVersion": "the release that is deployed",
    "ToolkitSha256": "the release that is deployed",
    "PluginsVersion": "version that S3 gives the uploaded plugins.zip",
    "RequirementsVersion": "version that S3 gives the uploaded requirements.txt",
}


class PlanError(ValueError):
    """The configuration does not lead to a deployment; the message says what is missing and where to put it."""


@dataclass(frozen=True)
class Source:
    """Where a parameter's value comes from: ``configuration``, ``output``, ``default`` or ``made``."""

    kind: str
    value: str


@dataclass(frozen=True)
class Step:
    """One stack in one account and Region, or the upload of the release (then ``template`` is empty)."""

    account: str
    account_id: str
    region: str
    stack: str
    template: str
    parameters: dict[str, Source] = field(default_factory=dict)

    @property
    def is_upload(self) -> bool:
        """Whether this step uploads the release."""
        return not self.template


@dataclass(frozen=True)
class Configuration:
    """A person's configuration file."""

    region: str
    accounts: dict[str, Any]
    parameters: dict[str, Any]
    profiles: dict[str, str] = field(default_factory=dict)
    member_regions: tuple[str, ...] = ()

    def account_ids(self, account: str) -> list[str]:
        """Account ids of a kind of account. Raises :class:`PlanError`."""
        found = self.accounts.get(account)
        if not found:
            msg = f"accounts.{account} is missing in the configuration"
            raise PlanError(msg)
        return [str(a) for a in found] if isinstance(found, list) else [str(found)]

    def value_of(self, name: str, account: str, *, own: bool = False) -> Any | None:
        """A parameter's value: the one under the kind of account (``parameters.security.X``), else the common one.

        ``own``: only the account's own value will do; the common one is meant for other accounts.
        """
        scoped = self.parameters.get(account)
        if isinstance(scoped, dict) and name in scoped:
            return scoped[name]
        return None if own else self.parameters.get(name)


def read(file: Path) -> Configuration:
    """Read a configuration file. Raises :class:`PlanError`."""
    try:
        given = yaml.safe_load(file.read_text("utf-8"))
    except (OSError, yaml.YAMLError) as error:
        msg = f"configuration {file} cannot be read: {error}; start from infra/deployment.example.yaml"
        raise PlanError(msg) from error
    if not isinstance(given, dict) or not {"region", "accounts", "parameters"} <= set(given):
        msg = f"configuration {file} needs region, accounts and parameters; start from infra/deployment.example.yaml"
        raise PlanError(msg)
    regions = given.pop("member_regions", None) or [given["region"]]
    try:
        return Configuration(member_regions=tuple(regions), **given)
    except TypeError as error:
        msg = f"configuration {file} has a field that nothing reads: {error}"
        raise PlanError(msg) from error


def steps(config: Configuration, *, order: Path = ORDER) -> list[Step]:
    """Every step in order. Raises :class:`PlanError` naming every parameter that has no source."""
    known = templates.committed()
    entries = yaml.safe_load(order.read_text("utf-8"))["stacks"]
    _refuse_unknown(config.parameters, entries, known)
    made: list[Step] = []
    outputs: dict[str, str] = {}
    missing: list[str] = []
    for entry in entries:
        if not _wanted(entry, config.parameters):
            continue
        if "upload" in entry:
            made.append(_upload(config))
            continue
        body = known[entry["template"]]
        sources: dict[str, Source] = {}
        for name, parameter in body.get("Parameters", {}).items():
            own = name in entry.get("own", [])
            source = _source(
                name, parameter, config=config, outputs={} if own else outputs, account=entry["account"], own=own
            )
            if source is None:
                missing.append(f"{name} of {entry['stack']} ({parameter['Description']})")
            else:
                sources[name] = source
        made += _everywhere(entry, config, sources)
        outputs |= dict.fromkeys(body.get("Outputs", {}), entry["stack"])
    if missing:
        msg = "no value for " + "; ".join(missing) + ". Add them to parameters in the configuration"
        raise PlanError(msg)
    return made


def _refuse_unknown(given: Mapping[str, Any], entries: list[Any], known: Mapping[str, Any]) -> None:
    names = {name for body in known.values() for name in body.get("Parameters", {})}
    names |= {name for entry in entries for key in ("when", "unless") for name in entry.get(key, [])}
    accounts = {entry["account"] for entry in entries}
    scoped = {name for kind in accounts for name in (given.get(kind) or {}) if isinstance(given.get(kind), dict)}
    if unknown := sorted((set(given) - accounts | scoped) - names):
        msg = f"the configuration has parameters that no template knows: {', '.join(unknown)}"
        raise PlanError(msg)


def _wanted(entry: Mapping[str, Any], given: Mapping[str, Any]) -> bool:
    if "when" in entry and not all(name in given for name in entry["when"]):
        return False
    return not ("unless" in entry and all(name in given for name in entry["unless"]))


def _upload(config: Configuration) -> Step:
    (account_id,) = config.account_ids("forensic")
    return Step(account="forensic", account_id=account_id, region=config.region, stack="release", template="")


def _everywhere(entry: Mapping[str, Any], config: Configuration, sources: dict[str, Source]) -> list[Step]:
    regions = config.member_regions if entry.get("regions") == "all" else (config.region,)
    return [
        Step(
            account=entry["account"],
            account_id=account_id,
            region=region,
            stack=entry["stack"],
            template=entry["template"],
            parameters=sources,
        )
        for account_id in config.account_ids(entry["account"])
        for region in regions
    ]


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
    if name == "HomeRegion":
        return Source("configuration", config.region)
    if name in MADE:
        return Source("made", MADE[name])
    if "Default" in parameter:
        return Source("default", str(parameter["Default"]))
    return None


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
        for name, source in sorted(step.parameters.items()):
            shown = {
                "output": f"from stack {source.value}",
                "made": source.value,
                "default": f"{source.value!r} (default)",
            }
            lines.append(f"        {name} = {shown.get(source.kind, source.value)}")
    return "\n".join(lines).lstrip("\n") + "\n"
