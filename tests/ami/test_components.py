"""The AMI's components and recipes: typed, closed, pinned as the product is; their phases run in `make ami-check`."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from ami import image_builder
from ami.image_builder import Component, Recipe
from infra.deployment import image_components, templates

ROOT = Path(__file__).resolve().parents[2]
COMPONENTS, RECIPES = image_builder.names("components"), image_builder.names("recipes")


def checker() -> Any:
    """The script behind `make ami-check`."""
    spec = importlib.util.spec_from_file_location("ami_check", ROOT / "scripts" / "ami_check.py")
    assert spec and spec.loader
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


def test_the_seeds_components_are_there() -> None:
    assert {"base", "toolkit", "plaso", "volatility", "sleuthkit", "yara", "hardening"} <= set(COMPONENTS)
    assert {"amazon-linux-2023", "ubuntu-24.04"} <= set(RECIPES)


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_component_builds_validates_and_tests(name: str) -> None:
    component = image_builder.component(name)
    assert component.name == f"forensics-{name}"
    for phase in component.phases:
        assert any(step.commands() for step in phase.steps), phase.name
        for step in phase.steps:
            for command in step.commands():
                # A failing line in the middle of a step must fail the step.
                assert "\n" not in command or command.startswith("set -euo pipefail\n"), step.name


@pytest.mark.parametrize("name", COMPONENTS)
def test_what_is_fetched_is_checked_by_digest(name: str) -> None:
    for phase in image_builder.component(name).phases:
        for step in phase.steps:
            text = "\n".join(step.commands())
            if "http" in text and "127.0.0.1" not in text and "file://" not in text:
                assert "sha256sum --check --strict" in text, step.name
            if "pip install" in text:
                assert "--require-hashes" in text, step.name
            if step.action == "S3Download":
                (follows,) = [s for s in phase.steps if "sha256sum --check --strict" in "\n".join(s.commands())]
                assert follows.name != step.name


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_gives_every_parameter_and_bash_reads_every_command(name: str) -> None:
    assert checker().check_syntax(name) >= 15
    order = [use.component for use in image_builder.recipe(name).components]
    assert order[0] == "base"
    assert order[-1] == "hardening"
    for needs_toolkit in {"volatility", "yara", "plaso"} & set(order):
        assert order.index("toolkit") < order.index(needs_toolkit)


def test_versions_are_those_of_the_toolkits_lock() -> None:
    pinned = dict(re.findall(r"^([a-z0-9-]+)==(\S+?)(?: |$)", (ROOT / "requirements" / "toolkit.in").read_text(), re.M))
    for name in RECIPES:
        for use in image_builder.recipe(name).components:
            package = {"volatility": "volatility3", "yara": "yara-x"}.get(use.component)
            if package:
                assert use.parameters["version"] == pinned[package], name


def document(**changes: Any) -> dict[str, Any]:
    step = {"name": "Run", "action": "ExecuteBash", "inputs": {"commands": ["echo {{ what }}"]}}
    phases = [{"name": phase, "steps": [step]} for phase in ("build", "validate", "test")]
    what = {"what": {"type": "string", "description": "something"}}
    values = {"name": "forensics-x", "description": "A component of a test, no more.", "schemaVersion": 1.0}
    return {**values, "parameters": [what], "phases": phases, **changes}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"phases": document()["phases"][:2]}, "builds, validates and tests"),
        ({"parameters": []}, r"declared \[\], used \['what'\]"),
        ({"schemaVersion": 2.0}, "schemaVersion"),
        ({"extra": 1}, "extra"),
    ],
)
def test_a_component_that_is_not_whole_is_refused(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Component.model_validate(document(**changes))
    assert Component.model_validate(document()).values({"what": "x"}) == {"what": "x"}


def test_a_recipe_that_forgets_a_parameter_is_refused() -> None:
    with pytest.raises(ValueError, match=r"missing or unknown parameters \['what'\]"):
        Component.model_validate(document()).values({})


def test_a_failing_step_is_named(tmp_path: Path) -> None:
    script = checker()
    with pytest.raises(script.CheckError, match="base, test, X ended with 3:\n  no such thing"):
        script.run(["bash", "-c", "echo no such thing >&2; exit 3"], what="base, test, X")


def test_a_recipe_that_cannot_be_played_says_why() -> None:
    values = {"schema": "forensics.recipe/1", "name": "x", "parent": "p", "root_device": "/dev/xvda"}
    recipe = Recipe.model_validate({**values, "components": [{"component": "base"}]})
    assert "Image Builder" in checker().why_not(recipe)


def test_the_deployed_pipeline_builds_the_recipe_s_components_word_for_word() -> None:
    made = templates.committed()
    wanted = image_builder.recipe(image_components.RECIPE).components
    deployed = made["image-builder"]["Resources"]["Recipe"]["Properties"]["Components"]
    assert [use["ComponentArn"]["Ref"] for use in deployed] == [image_components.output(u.component) for u in wanted]
    by_release = {"archive", "sha256"}
    for use, given in zip(wanted, deployed, strict=True):
        values = {p["Name"]: p["Value"] for p in given.get("Parameters", [])}
        assert set(values) == set(use.parameters)
        fixed = {name: [value] for name, value in use.parameters.items() if name not in by_release}
        assert {n: v for n, v in values.items() if n not in by_release} == fixed
        data = made["image-components"]["Resources"][use.component.capitalize()]["Properties"]["Data"]
        text = (image_builder.FOLDER / "components" / f"{use.component}.yaml").read_text("utf-8")
        # AWS Image Builder: a component's data may have 16,000 characters
        assert data == text and len(text) <= 16_000


def test_nothing_is_installed_without_a_digest() -> None:
    """Every `pip install` of the build has --require-hashes, or installs the release's own source; pip itself is the distribution's."""
    root = image_builder.FOLDER.parent
    texts = [(root / "infra" / "deployment" / "install_toolkit.sh").read_text("utf-8")]
    texts += [file.read_text("utf-8") for file in (image_builder.FOLDER / "components").glob("*.yaml")]
    commands = [
        line.strip()
        for text in texts
        for line in text.splitlines()
        if "pip install" in line and not line.strip().startswith("#")
    ]
    assert len(commands) >= 4
    for command in commands:
        assert "--require-hashes" in command or ("--no-deps" in command and "./source" in command), command
    assert not any("--upgrade" in text for text in texts)
    lock = (root / "requirements" / "build.lock").read_text("utf-8")
    assert all(line.startswith(("setuptools==", "    --hash=sha256:")) for line in lock.splitlines())
