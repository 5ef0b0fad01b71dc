"""Image Builder components and recipes as typed data (AWSTOE component manager, document schema 1.0)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

FOLDER = Path(__file__).resolve().parent
PHASES = ("build", "validate", "test")
_USE = re.compile(r"\{\{\s*([A-Za-z][A-Za-z0-9_]*)\s*\}\}")
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9]{1,63}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Step(_Strict):
    """One step; only actions that the check can play."""

    name: Name
    action: Literal["ExecuteBash", "S3Download"]
    inputs: Any

    def commands(self) -> list[str]:
        """The shell commands of an ExecuteBash step."""
        return [str(c) for c in self.inputs["commands"]] if self.action == "ExecuteBash" else []


class Phase(_Strict):
    """build runs once; validate runs before the image is made; test runs on an instance of the new image."""

    name: Literal["build", "validate", "test"]
    steps: tuple[Step, ...] = Field(min_length=1)


class Parameter(_Strict):
    """A value that a recipe gives."""

    type: Literal["string"]
    description: str = Field(min_length=5)
    default: str | None = None


class Component(_Strict):
    """One component document."""

    name: str = Field(pattern=r"^forensics-[a-z0-9]+$")
    description: str = Field(min_length=20)
    schemaVersion: float = Field(ge=1.0, le=1.0)
    parameters: tuple[dict[str, Parameter], ...] = ()
    phases: tuple[Phase, ...]

    @model_validator(mode="after")
    def _whole(self) -> Component:
        names = tuple(phase.name for phase in self.phases)
        if names != PHASES:
            raise ValueError(f"{self.name}: phases are {names}; a component builds, validates and tests")
        declared = {name for entry in self.parameters for name in entry}
        used = {n for p in self.phases for s in p.steps for n in _USE.findall(str(s.inputs))}
        if used != declared:
            raise ValueError(f"{self.name}: parameters declared {sorted(declared)}, used {sorted(used)}")
        return self

    def values(self, given: dict[str, str]) -> dict[str, str]:
        """Defaults and a recipe's values together. Raises ValueError naming what is missing or unknown."""
        known = {name: p for entry in self.parameters for name, p in entry.items()}
        merged = {name: p.default for name, p in known.items() if p.default is not None} | given
        if set(merged) != set(known):
            raise ValueError(f"{self.name}: missing or unknown parameters {sorted(set(merged) ^ set(known))}")
        return merged


class Chroot(_Strict):
    """Where debootstrap finds the same system."""

    suite: str
    script: str
    mirror: str
    keyring: str


class Use(_Strict):
    """A component of a recipe with its values."""

    component: str
    parameters: dict[str, str] = Field(default_factory=dict)


class Recipe(_Strict):
    """One variant of the AMI; the differences between distributions are here and nowhere else."""

    schema_name: Literal["forensics.recipe/1"] = Field(alias="schema")
    name: str
    parent: str
    root_device: str
    chroot: Chroot | None = None
    components: tuple[Use, ...] = Field(min_length=1)


def component(name: str) -> Component:
    """Read one component by its file's name."""
    return Component.model_validate(yaml.safe_load((FOLDER / "components" / f"{name}.yaml").read_text("utf-8")))


def recipe(name: str) -> Recipe:
    """Read one recipe by its file's name."""
    return Recipe.model_validate(yaml.safe_load((FOLDER / "recipes" / f"{name}.yaml").read_text("utf-8")))


def names(kind: Literal["components", "recipes"]) -> list[str]:
    """Names of all files of a kind."""
    return sorted(path.stem for path in (FOLDER / kind).glob("*.yaml"))


def filled(text: str, values: dict[str, str]) -> str:
    """A command with its parameters put in, as AWSTOE does."""
    return _USE.sub(lambda use: values[use[1]], text)
