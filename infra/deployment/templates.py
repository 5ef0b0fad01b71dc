"""CloudFormation templates as plain data: short forms (``!Ref``) become long ones (``{"Ref": …}``)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from forensics.deployment import DEFAULT
from infra.deployment import deployment_ids

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "infra" / "cloudformation"
# AWS CloudFormation: a template that is uploaded to S3 may have 1 MiB, one that is given in the call 51,200 bytes.
LARGEST_INLINE = 51_200


class TemplateError(ValueError):
    """A template that cannot be read; the message names the file and the place."""


class _Loader(yaml.CSafeLoader if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader):  # type: ignore[misc]
    """YAML with CloudFormation's tags, and dates left as text (a policy's Version is not a date)."""


def _construct(loader: Any, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    if suffix in ("Ref", "Condition"):
        return {suffix: value}
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _construct)
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def parse(text: str, *, name: str) -> dict[str, Any]:
    """Parse a template's text. Raises :class:`TemplateError`."""
    try:
        found = yaml.load(text, Loader=_Loader)  # noqa: S506 - the loader above is SafeLoader with CloudFormation's tags
    except yaml.YAMLError as error:
        msg = f"{name} is not YAML: {error}"
        raise TemplateError(msg) from error
    if not isinstance(found, dict) or "Resources" not in found:
        msg = f"{name} is not a template: it has no Resources"
        raise TemplateError(msg)
    return found


def load(file: Path) -> dict[str, Any]:
    """Read a template file."""
    return parse(file.read_text("utf-8"), name=file.name)


def committed(deployment_id: str = DEFAULT) -> dict[str, dict[str, Any]]:
    """Every template of the project by its name (``keys``, ``member-roles``, …), generated ones included, with a deployment's names."""
    names = [*(file.stem for file in sorted(FOLDER.glob("*.yaml"))), *generated()]
    return {name: parse(text_of(name, deployment_id), name=name) for name in names}


@cache
def reading(deployment_id: str = DEFAULT) -> Mapping[str, Mapping[str, Any]]:
    """The same as :func:`committed`, parsed once in a process: for those who only read."""
    return committed(deployment_id)


def generated() -> dict[str, str]:
    """Texts of the templates that are made from other parts of the project."""
    from infra.deployment import documents, image_components

    return documents.templates() | image_components.templates()


def text_of(name: str, deployment_id: str = DEFAULT) -> str:
    """The text of a template by its name, committed or generated, with the names of a deployment."""
    file = FOLDER / f"{name}.yaml"
    if file.exists():
        return deployment_ids.rename(file.read_text("utf-8"), deployment_id)
    made = generated()
    if name not in made:
        msg = f"there is no template {name}: known are {', '.join(sorted(committed()))}"
        raise TemplateError(msg)
    return deployment_ids.around_content(made[name], deployment_id)
