"""Names of a second deployment: the templates are written with the names of the first, ``forensics-…``; another id takes its place.

The keys of conditions (``aws:ResourceTag/forensics:case``) carry names too, and CloudFormation has no function for keys: so the text is
changed before it is deployed, not by a parameter. What is no name stays: options of Airflow (``forensics.case_table``), the product's
own name (``ec2-forensics``), and what SSM documents and components contain, which is pinned by digest.
"""

from __future__ import annotations

import re

from forensics.deployment import DEFAULT, action_name, is_id

# Folder of a release with the templates as they are written, and beside it those of another deployment.
FOLDER = "cloudformation"
_NAME = re.compile(r"(?<!ec2-)(?<![\w.])forensics(?![\w.])")
_EVENT_SOURCE = re.compile(r"(?<![\w.-])forensics\.(manual|preflight|progress)(?![\w.])")
_METRICS = re.compile(r"(Namespace: |[Nn]amespace\": |\[\")Forensics(?=[\",}\s])")
# What PyYAML writes for the content of a document or component: a block, or a quoted text where a block cannot hold it.
_CONTENT = re.compile(r" *(Content|Data): ")
_ACTION = re.compile(r"(?<![\w-])(Forensic(?:Triage|Isolate|Full|Release))(?!\w)")


def problem(deployment_id: str) -> str:
    """Why this cannot be a deployment's id; empty when it can."""
    if is_id(deployment_id):
        return ""
    return (
        f"parameters.DeploymentId: {deployment_id!r}: 2 to 13 lower-case letters and digits that begin with a letter, without a hyphen, and "
        "not with aws, amazon, amzn or sthree; every name begins with it"
    )


def folder(deployment_id: str) -> str:
    """Folder of a release in which CloudFormation finds this deployment's templates."""
    return FOLDER if deployment_id == DEFAULT else f"{FOLDER}-{deployment_id}"


def named(name: str, deployment_id: str) -> str:
    """``forensics-keys`` as this deployment calls it."""
    return name if deployment_id == DEFAULT else _NAME.sub(deployment_id, name)


def rename(text: str, deployment_id: str) -> str:
    """A template's text with the names of a deployment; byte for byte the same for the first one.

    Templates with content of its own (SSM documents, components) are for :func:`around_content`.
    """
    if deployment_id == DEFAULT:
        return text
    text = text.replace("${ReleasePrefix}/cloudformation/", f"${{ReleasePrefix}}/{folder(deployment_id)}/")
    text = _EVENT_SOURCE.sub(rf"{deployment_id}.\1", text)
    text = _METRICS.sub(rf"\1Forensics/{deployment_id}", text)
    text = _ACTION.sub(lambda found: action_name(found[1], deployment_id), text)
    return _NAME.sub(deployment_id, text)


def around_content(text: str, deployment_id: str) -> str:
    """As :func:`rename` for a generated template: what documents and components contain stays byte for byte."""
    if deployment_id == DEFAULT:
        return text
    made, depth = [], None
    for line in text.splitlines(keepends=True):
        indent = len(line) - len(line.lstrip(" "))
        if depth is not None and (not line.strip() or indent > depth):
            made.append(line)
            continue
        begins = _CONTENT.match(line)
        made.append(line if begins else rename(line, deployment_id))
        depth = indent if begins else None
    return "".join(made)
