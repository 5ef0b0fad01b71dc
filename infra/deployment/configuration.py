"""A person's configuration file: read as it is written, and refused where it cannot lead to a deployment."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from forensics.deployment import DEFAULT
from infra.deployment import deployment_ids


class PlanError(ValueError):
    """The configuration does not lead to a deployment; the message says what is missing and where to put it."""


class Unquoted(str):
    """Text that stands without quotes in the file."""


class _AsWritten(yaml.SafeLoader):
    """Numbers stay text: YAML 1.1 reads an account id that begins with 0 as octal, which is another account."""


_AsWritten.yaml_implicit_resolvers = {
    first: [
        (tag, pattern) for tag, pattern in resolvers if tag not in {"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"}
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _text(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> str:
    value = str(loader.construct_scalar(node))
    return Unquoted(value) if node.style is None else value


def _mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    """A mapping that says each name once: YAML's readers keep the last of two, which need not be the one that was meant."""
    seen: dict[str, int] = {}
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            msg = f"line {key.start_mark.line + 1}: a name is expected, not a list or a mapping"
            raise PlanError(msg)
        line = key.start_mark.line + 1
        if key.value in seen and key.tag != "tag:yaml.org,2002:merge":
            msg = f"line {line}: {key.value} is there twice (first in line {seen[key.value]}): delete one of them"
            raise PlanError(msg)
        seen[key.value] = line
    loader.flatten_mapping(node)
    return dict(loader.construct_mapping(node, deep=True))


_AsWritten.add_constructor("tag:yaml.org,2002:str", _text)
_AsWritten.add_constructor("tag:yaml.org,2002:map", _mapping)


@dataclass(frozen=True)
class Configuration:
    """A person's configuration file."""

    region: str
    accounts: dict[str, Any]
    parameters: dict[str, Any]
    profiles: dict[str, str] = field(default_factory=dict)
    member_regions: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def deployment_id(self) -> str:
        """First part of every name of this deployment (``parameters.DeploymentId``)."""
        return str(self.parameters.get("DeploymentId", DEFAULT))

    def named(self, name: str) -> str:
        """A name of the first deployment, ``forensics-keys`` for instance, as this one calls it."""
        return deployment_ids.named(name, self.deployment_id)

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
        given = yaml.load(file.read_text("utf-8"), Loader=_AsWritten)  # noqa: S506 - a SafeLoader that keeps numbers as text
    except (
        OSError,
        ValueError,
        yaml.YAMLError,
        RecursionError,
    ) as error:  # ValueError: not UTF-8, or a tag that does not fit
        msg = f"configuration {file} cannot be read: {error}; start from infra/deployment.example.yaml"
        raise PlanError(msg) from error
    if not isinstance(given, dict) or not {"region", "accounts", "parameters"} <= set(given):
        msg = f"configuration {file} needs region, accounts and parameters; start from infra/deployment.example.yaml"
        raise PlanError(msg)
    fields = ("region", "accounts", "parameters", "profiles", "member_regions", "settings")
    if unknown := sorted(set(given) - set(fields)):
        near = [f" (did you mean {n}?)" for name in unknown for n in difflib.get_close_matches(str(name), fields, 1)]
        msg = f"configuration {file} has fields that nothing reads: {', '.join(map(str, unknown))}{''.join(near)}"
        raise PlanError(msg)
    for name in ("accounts", "parameters", "profiles", "settings"):
        optional = name in {"profiles", "settings"} and given.get(name) is None
        if not (optional or isinstance(given[name], dict)):
            msg = f"configuration {file}: {name} has to be names with values; start from infra/deployment.example.yaml"
            raise PlanError(msg)
        given[name] = given.get(name) or {}
    regions = given.pop("member_regions", None)
    listed = regions if isinstance(regions, list) else [given["region"] if regions is None else regions]
    return Configuration(member_regions=tuple(map(str, listed)), **given)
