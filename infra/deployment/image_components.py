"""The template with Image Builder's components, made from ``ami/components/`` so that a component exists once."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import yaml

from ami import image_builder
from infra.deployment.documents import Dumper, Literal

NAME = "image-components"
# The recipe that the stack image-builder deploys; the others are built where their distribution is wanted.
RECIPE = "amazon-linux-2023"


@lru_cache(maxsize=1)
def templates() -> dict[str, str]:
    """Template name → text."""
    names = [use.component for use in image_builder.recipe(RECIPE).components]
    body: dict[str, Any] = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"Forensic account: Image Builder's components of the recipe {RECIPE}. Made from ami/components/, word for word.",
        "Parameters": {
            "ReleaseVersion": {
                "Description": "Version of the release",
                "Type": "String",
                "AllowedPattern": r"^\d+\.\d+\.\d+$",
            }
        },
        "Resources": {name.capitalize(): _component(name) for name in names},
        "Outputs": {output(name): {"Value": {"Ref": name.capitalize()}} for name in names},
    }
    return {NAME: yaml.dump(body, Dumper=Dumper, sort_keys=False, width=100_000)}


def output(name: str) -> str:
    """The output, and the parameter of the stack image-builder, that has a component's ARN."""
    return f"{name.capitalize()}ComponentArn"


def _component(name: str) -> dict[str, Any]:
    file = image_builder.FOLDER / "components" / f"{name}.yaml"
    about = image_builder.component(name)
    return {
        "Type": "AWS::ImageBuilder::Component",
        "Properties": {
            "Name": about.name,
            "Platform": "Linux",
            # a component's version cannot change its content: a release brings a new version
            "Version": {"Ref": "ReleaseVersion"},
            "ChangeDescription": about.description[:1024],
            "Data": Literal(file.read_text("utf-8")),
        },
    }
