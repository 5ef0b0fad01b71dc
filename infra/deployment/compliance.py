"""``python -m infra.deployment.compliance [--oscal]``: which control is met by what, as a table or as an OSCAL component definition.

OSCAL 1.1.2, component definition model (pages.nist.gov/OSCAL). Its ids follow from what they name, so that two runs give the same document.
"""

from __future__ import annotations

import argparse
import json
import uuid
from functools import cache
from typing import Any

import yaml

from infra.deployment import package, templates

CONTROLS = templates.ROOT / "infra" / "controls.yaml"
OSCAL = "1.1.2"
# Of the list itself: it changes when the list does, not when it is printed.
CHANGED = "2026-11-30T00:00:00Z"
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:ec2-forensics:controls")


@cache
def controls() -> dict[str, Any]:
    """The list as people keep it."""
    found: dict[str, Any] = yaml.safe_load(CONTROLS.read_text("utf-8"))
    return found


def _id(*parts: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, "/".join(parts)))


def _token(control: str) -> str:
    """A control's id as OSCAL's tokens allow it: they begin with a letter."""
    return control if control[0].isalpha() else f"cis-{control}"


def oscal() -> dict[str, Any]:
    """The component definition."""
    listed = controls()
    implementations = [
        {
            "uuid": _id("implementation", name), "source": source["href"], "description": f"{source['title']}, as far as it applies.",
            "implemented-requirements": [_requirement(c) for c in listed["controls"] if c["source"] == name],
        }
        for name, source in listed["sources"].items()
    ]  # fmt: skip
    component = {
        "uuid": _id("component"), "type": "software", "title": "EC2 forensics",
        "description": "Automated forensics of EC2 instances: finding, acquisition, containment, investigation, custody.",
        "control-implementations": implementations,
    }  # fmt: skip
    metadata = {
        "title": "EC2 forensics: controls", "last-modified": CHANGED, "version": package.version(), "oscal-version": OSCAL,
    }  # fmt: skip
    return {"component-definition": {"uuid": _id("definition"), "metadata": metadata, "components": [component]}}


def _requirement(control: dict[str, Any]) -> dict[str, Any]:
    links = [
        {
            "href": f"infra/cloudformation/{part.partition('.')[0]}.yaml#{part.partition('.')[2]}",
            "rel": "implementation",
        }
        for part in control["parts"]
    ]
    links += [{"href": test, "rel": "validation"} for test in control["tests"]]
    made = {
        "uuid": _id(control["source"], control["id"]),
        "control-id": _token(control["id"]),
        "description": control["how"],
        "links": links,
    }
    if yours := control.get("yours"):
        made["remarks"] = f"Yours: {yours}."
    return made


def table() -> str:
    """The list for people, in Markdown."""
    listed = controls()
    lines = ["| Control | How | Part | Test | Yours |", "|---|---|---|---|---|"]
    for control in listed["controls"]:
        parts, tests = (
            ", ".join(f"`{p}`" for p in control["parts"]),
            ", ".join(f"`{t.partition('::')[2]}`" for t in control["tests"]),
        )
        lines.append(f"| {_shown(control)} | {control['how']} | {parts} | {tests} | {control.get('yours', '')} |")
    lines += ["", "Not met by the product alone:", "", "| Control | Why |", "|---|---|"]
    lines += [f"| {_shown(missing)} | {missing['why']} |" for missing in listed["not_met"]]
    return "\n".join(lines) + "\n"


def _shown(control: dict[str, Any]) -> str:
    names = {"nist": "NIST", "fsbp": "FSBP", "cis": "CIS"}
    shown = control["id"].upper() if control["source"] == "nist" else control["id"]
    return f"{names[control['source']]} {shown}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m infra.deployment.compliance", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--oscal", action="store_true", help="an OSCAL component definition instead of the table")
    print(json.dumps(oscal(), indent=1) if parser.parse_args().oscal else table())
