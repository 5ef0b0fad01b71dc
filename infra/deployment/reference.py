"""``python -m infra.deployment.reference``: prints what each template takes and gives, as Markdown, for Terraform and CDK users."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from infra.deployment import plan, templates

_HEAD = """# What each template takes and gives

For `aws_cloudformation_stack` (Terraform), `CfnInclude` (CDK) and whoever deploys the templates by other means than `infra.deployment.deploy`. An output and
the parameter that it feeds have the same name; the order is that of `infra/deployment.yaml`. `--plan --json` gives the same with values for one
configuration.
What is *made* comes from the deployment: the upload of the release gives `ReleasePrefix` and the versions, `ExternalId` is a secret of yours.
"""


def page() -> str:
    """The page's text."""
    return _HEAD + "".join(section for entry in plan.entries() for section in _section(entry))


def _section(entry: dict[str, Any]) -> Iterator[str]:
    if "upload" in entry:
        yield "\n## The release\n\nEverything of `dist/ec2-forensics-<version>/` below `ReleasePrefix` of `ReleaseBucket`, as the role `ReleaseRoleArn`.\n"
        return
    body = templates.reading()[entry["template"]]
    yield f"\n## {entry['template']}\n\nStack `{entry['stack']}`, account {entry['account']}{_where(entry)}. {_one_line(body['Description'])}\n"
    if body.get("Parameters"):
        yield "\n| Parameter | Default | From | Meaning |\n|---|---|---|---|\n"
        for name, given in body["Parameters"].items():
            default = (
                f"`{given['Default']}`"
                if given.get("Default") not in {None, ""}
                else ("empty" if "Default" in given else "")
            )
            yield f"| `{name}` | {default} | {_source(name, entry)} | {_one_line(given['Description'])} |\n"
    if body.get("Outputs"):
        yield f"\nOutputs: {', '.join(f'`{name}`' for name in body['Outputs'])}.\n"


def _where(entry: dict[str, Any]) -> str:
    regions = {
        "all": ", every Region of targets",
        "others": ", every Region of targets but the home Region",
        "iam": ", the Region of IAM's events",
    }
    left_out = f", left out with {', '.join(entry['unless'])}" if "unless" in entry else ""
    only = f", only with {', '.join(entry['when'])}" if "when" in entry else ""
    return regions.get(str(entry.get("regions")), "") + left_out + only


def _source(name: str, entry: dict[str, Any]) -> str:
    """The stack whose output it is, the deployment itself, or a person."""
    if name in plan.MADE:
        return "made"
    for earlier in plan.entries():
        if earlier is entry:
            break
        if name in templates.reading().get(earlier.get("template", ""), {}).get(
            "Outputs", {}
        ) and name not in entry.get("own", []):
            return f"output of `{earlier['template']}`"
    return "you"


def _one_line(text: str) -> str:
    return " ".join(str(text).split()).replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    print(page(), end="")
