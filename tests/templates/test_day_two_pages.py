"""The pages of day two: every command on them exists with its options, every DAG, stack, target and page that they name is there, and the deploy
tool has no option that no page tells. What the tool is said to print is in its code.
"""

from __future__ import annotations

import argparse
import importlib
import re
import subprocess
import sys
from functools import cache

import botocore.session
import pytest

from infra.deployment import deploy, plan, templates

DOCS = templates.ROOT / "docs"
PAGES = ("day-two", "upgrade", "disaster", "break-glass", "drills", "runbooks", "deployment", "preflight", "cost")
DAGS = {file.stem for file in (templates.ROOT / "dags").glob("*.py")}


def page(name: str) -> str:
    return (DOCS / f"{name}.md").read_text("utf-8")


@cache
def options() -> dict[str, argparse.Action]:
    return {o: a for a in deploy.arguments()._actions for o in a.option_strings if o.startswith("--")}


@pytest.mark.parametrize("name", PAGES)
def test_every_option_of_the_deploy_tool_that_a_page_uses_exists(name: str) -> None:
    commands = re.findall(r"\bD((?: --[a-z-]+)+)|infra\.deployment\.deploy [a-z.]+((?: --[a-z-]+)+)", page(name))
    used = {option for found in commands for option in " ".join(found).split()}
    assert used <= set(options()), f"{name}: {used - set(options())}"


def test_every_option_of_the_deploy_tool_is_told_on_the_page_of_day_two() -> None:
    text = page("day-two")
    missing = {o for o in options() if o not in text} - {"--help", "--release"}
    assert missing == set()


@pytest.mark.parametrize("name", PAGES)
def test_make_targets_of_a_page_exist(name: str) -> None:
    makefile = (templates.ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))
    named = set(re.findall(r"`make ([a-z-]+)", page(name))) | set(
        re.findall(r"^    make ([a-z-]+)", page(name), re.MULTILINE)
    )
    assert named <= targets, f"{name}: {named - targets}"


@cache
def usage(module: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-m", module, "--help"], cwd=templates.ROOT, capture_output=True, text=True, timeout=120, check=False
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-800:]
    return ran.stdout


@pytest.mark.parametrize("name", PAGES)
def test_programs_of_a_page_exist_with_their_options(name: str) -> None:
    for module, rest in re.findall(r"python -m (infra\.[a-z_.]+)([^`\n#]*)", page(name)):
        importlib.import_module(module)
        for option in re.findall(r"--[a-z-]+", rest):
            assert option in usage(module), f"{name}: {module} has no {option}"


@pytest.mark.parametrize("name", PAGES)
def test_dags_and_stacks_of_a_page_exist(name: str) -> None:
    text = page(name)
    called = set(re.findall(r"DAGs? `([a-z_]+)`", text))
    assert called <= DAGS, f"{name}: no DAG {called - DAGS}"
    stacks = {str(e["stack"]) for e in plan.entries() if "stack" in e}
    named = set(re.findall(r"stacks? `(forensics-[a-z-]+)`", text))
    assert named <= stacks, f"{name}: no stack {named - stacks}"


@pytest.mark.parametrize("name", PAGES)
def test_commands_of_aws_on_a_page_exist(name: str) -> None:
    """botocore's model: service and operation; the CLI's own high-level commands are named."""
    session, own = botocore.session.get_session(), {("s3", "cp"), ("s3", "ls"), ("sso", "login"), ("configure", "sso")}
    for service, command in re.findall(r"aws ([a-z0-9-]+) ([a-z][a-z0-9-]+)", page(name)):
        if (service, command) in own or service not in session.get_available_services():
            assert (service, command) in own, f"{name}: aws {service} {command}"
            continue
        operations = {o.lower() for o in session.get_service_model(service).operation_names}
        assert command.replace("-", "") in operations, f"{name}: aws {service} {command}"


def test_every_row_has_a_command_and_what_one_sees() -> None:
    text = page("day-two")
    rows = [
        line.strip("|").split("|")
        for line in text.splitlines()
        if line.startswith("| ") and not line.startswith(("| State", "| `…"))
    ]
    tables = [[cell.strip() for cell in row] for row in rows if len(row) in (3, 4)]
    assert len(tables) > 20
    assert all(all(row) for row in tables), [row for row in tables if not all(row)]


SAID = {
    "no change": "stacks", "a new external id was made; the roles accept both": "external_ids",
    "the external id before is accepted no more, as the stacks are updated": "external_ids",
    "what open cases hold is read by this release": "going_back",
    "nothing was changed, because this release cannot read what open cases hold": "going_back",
}  # fmt: skip


@pytest.mark.parametrize("words", SAID)
def test_what_the_tool_is_said_to_print_is_in_its_code(words: str) -> None:
    code = (templates.ROOT / "infra" / "deployment" / f"{SAID[words]}.py").read_text("utf-8")
    assert words in page("day-two") and words in code
