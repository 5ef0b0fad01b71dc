"""Numbers and lists that several documents, the templates and the code share are the same everywhere."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from forensics.intake.engine import BACKOFF, TRIES
from forensics.settings import Settings
from infra.deployment import templates

ROOT = Path(__file__).resolve().parents[2]
WORDS = {5: "five", 10: "ten"}
# Windows Server 2008 R2 is not a requirement
REQUIREMENT = re.compile(r"(?<!2008 )(?<!2012 )\bR\d{1,3}\b")


def _text(name: str) -> str:
    """A document as one line, so that line breaks do not matter."""
    return " ".join((ROOT / name).read_text("utf-8").split())


def _section(document: str, heading: str) -> str:
    text = (ROOT / "docs" / document).read_text("utf-8")
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"docs/{document} has no section {heading!r}"
    return found[1]


def _received_at_most() -> int:
    queue: dict[str, Any] = templates.committed()["intake"]["Resources"]["Findings"]["Properties"]
    return int(queue["RedrivePolicy"]["maxReceiveCount"])


def test_the_queue_is_the_backstop_behind_the_intakes_own_tries() -> None:
    """A message that SQS takes away before the last try would land among the dead without a reason."""
    assert len(BACKOFF) == TRIES < _received_at_most()


def test_runbook_and_intake_name_the_same_tries_as_the_engine() -> None:
    tries, most = TRIES, _received_at_most()
    runbook, intake = _text("docs/runbooks.md"), _text("docs/intake.md")
    assert f"{WORDS[tries]} tries failed over about {sum(BACKOFF) // 60} minutes" in runbook
    assert f"delivered {WORDS[most]} times" in runbook
    assert f"after {tries} tries in the dead-letter queue" in intake
    assert f"`maxReceiveCount` ({most}) is the backstop behind the {tries} tries" in intake
    assert f"in {WORDS[tries]} tries" in _text("docs/configuration.md")


def test_the_runbook_names_the_dag_that_puts_findings_back() -> None:
    assert (ROOT / "dags" / "finding_redrive.py").is_file()
    assert "start the DAG `finding_redrive`" in _text("docs/runbooks.md")


def test_one_table_has_airflows_own_settings_and_the_template_sets_them() -> None:
    rows = re.findall(
        r"^\| `(\w+\.\w+)` \| `([^`]+)` \|", _section("configuration.md", "Airflow's own settings"), re.MULTILINE
    )
    options = templates.committed()["mwaa"]["Resources"]["Environment"]["Properties"]["AirflowConfigurationOptions"]
    assert dict(rows) == {
        name: value for name, value in options.items() if not name.startswith("forensics.") and isinstance(value, str)
    }
    assert (ROOT / "docs" / "configuration.md").read_text("utf-8").count("## Airflow's own") == 1


def test_the_mwaa_page_lists_the_settings_that_the_template_sets() -> None:
    listed = set(
        re.findall(r"`(\w+)`", _section("mwaa.md", "Settings").strip().split("\n\n")[0].partition("lists:")[2])
    )
    options = templates.committed()["mwaa"]["Resources"]["Environment"]["Properties"]["AirflowConfigurationOptions"]
    assert listed == {name.removeprefix("forensics.") for name in options if name.startswith("forensics.")}
    assert listed <= set(Settings.model_fields)


def test_every_parameter_that_has_no_default_is_explained() -> None:
    """Those of the example configuration: what a person has to give."""
    example = (ROOT / "infra" / "deployment.example.yaml").read_text("utf-8").partition("\nparameters:\n")[2]
    given = set(re.findall(r"^  (\w+):", example, re.MULTILINE))
    assert given, "the example has parameters"
    page = (ROOT / "docs" / "deployment.md").read_text("utf-8")
    assert {name for name in given if f"`{name}`" not in page} == set()


def _cited() -> dict[str, str]:
    """Requirement number → a file that cites it."""
    names = subprocess.run(
        ["git", "ls-files", "*.py", "*.yaml", "*.sh", "*.html", "*.md", ":!docs/requirements.md"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    files = [name for name in names if (ROOT / name).is_file() and name != "tests/unit/test_documents_agree.py"]
    return {number: name for name in files for number in REQUIREMENT.findall((ROOT / name).read_text("utf-8"))}


def test_every_requirement_that_is_cited_is_listed() -> None:
    listed = re.findall(r"^\| (R\d+) \|", (ROOT / "docs" / "requirements.md").read_text("utf-8"), re.MULTILINE)
    assert len(listed) == len(set(listed))
    cited = _cited()
    assert {number: cited[number] for number in cited if number not in listed} == {}


@pytest.mark.parametrize("dag", sorted((ROOT / "dags").glob("*.py")), ids=lambda file: file.name)
def test_every_step_of_the_workflow_that_a_dag_names_is_listed(dag: Path) -> None:
    listed = {
        part.strip()
        for row in re.findall(r"^\| ([\da-d, ]+) \|", _section("requirements.md", "The workflow"), re.MULTILINE)
        for part in row.split(",")
    }
    named = re.findall(r"steps? (\d+[a-d]?)(?: (?:to|and) (\d+[a-d]?))?", dag.read_text("utf-8"))
    assert {step for pair in named for step in pair if step} <= listed | {"4"}


def test_every_line_about_the_lab_names_tests_that_exist() -> None:
    rows = [row for row in (ROOT / "docs" / "lab-fidelity.md").read_text("utf-8").splitlines() if "`test_" in row]
    assert len(rows) >= 10
    code = "\n".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    for row in rows:
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert len(cells) == 4 and cells[1], row
        for name in re.findall(r"`(test_\w+)`", cells[3]):
            assert f"def {name}(" in code, name
