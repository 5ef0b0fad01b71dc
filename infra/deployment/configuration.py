"""A person's configuration file: read as it is written, and refused where it cannot lead to a deployment."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml


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


_AsWritten.add_constructor("tag:yaml.org,2002:str", _text)


@dataclass(frozen=True)
class Configuration:
    """A person's configuration file."""

    region: str
    accounts: dict[str, Any]
    parameters: dict[str, Any]
    profiles: dict[str, str] = field(default_factory=dict)
    member_regions: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)

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
    except (OSError, yaml.YAMLError) as error:
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
    for name in ("accounts", "parameters"):
        if not isinstance(given[name], dict):
            msg = f"configuration {file}: {name} has to be names with values; start from infra/deployment.example.yaml"
            raise PlanError(msg)
    regions = given.pop("member_regions", None) or [given["region"]]
    listed = regions if isinstance(regions, list) else [regions]
    profiles = given.pop("profiles", None) or {}
    settings = given.pop("settings", None) or {}
    return Configuration(member_regions=tuple(map(str, listed)), profiles=profiles, settings=settings, **given)
