"""What pipelines and users of Terraform and CDK are given: commands that exist, two approvals, and a reference that is the templates'."""

from __future__ import annotations

import re
import shlex
from typing import Any

import yaml

from infra.deployment import deploy, plan, reference, templates

SAMPLE = templates.ROOT / "docs" / "samples" / "pipeline.yaml"


def jobs() -> dict[str, Any]:
    return dict(yaml.safe_load(SAMPLE.read_text("utf-8"))["jobs"])


def test_every_command_of_the_sample_is_one_of_the_tool() -> None:
    """argparse itself reads each; a job that only shows deploys nothing."""
    seen = []
    for name, job in jobs().items():
        for command in (step["run"] for step in job["steps"] if "infra.deployment.deploy" in step.get("run", "")):
            words = shlex.split(re.split(r"[|>]", command)[0])
            given = deploy.arguments().parse_args(words[words.index("infra.deployment.deploy") + 1 :])
            looks = given.plan or given.dry_run or given.status
            assert bool(looks) is (name == "show"), command
            seen.append(command)
    assert len(seen) == 5


def test_two_jobs_wait_for_somebody_and_only_the_second_says_yes() -> None:
    made = jobs()
    assert made["deploy"]["environment"] != made["replace"]["environment"]
    says_yes = {name for name, job in made.items() for step in job["steps"] if "--yes" in step.get("run", "")}
    assert says_yes == {"replace"} and made["replace"]["needs"] == "deploy" and made["replace"]["if"] == "failure()"


def test_no_job_has_a_key() -> None:
    text = SAMPLE.read_text("utf-8")
    assert "id-token: write" in text and not re.search(r"secrets\.|AKIA|SECRET", text)


def test_the_reference_is_the_templates() -> None:
    page = reference.page()
    for entry in plan.entries():
        if "template" in entry:
            body = templates.reading()[entry["template"]]
            section = page.partition(f"\n## {entry['template']}\n")[2].partition("\n## ")[0]
            assert section, entry["template"]
            assert all(f"| `{name}` |" in section for name in body.get("Parameters", {}))
            assert all(f"`{name}`" in section for name in body.get("Outputs", {}))
