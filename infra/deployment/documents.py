"""Templates with the SSM documents, made from ``ssm_documents/`` so that a document exists once.

What runs on forensic instances (``investigate_…``) goes to the forensic account, everything else to the members.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "ssm_documents"
FORENSIC = "documents-investigate"
MEMBER = "documents-acquire"


class Literal(str):
    """Text that is written as a block, so that a person can read the template."""


class Dumper(yaml.SafeDumper):
    """Writes :class:`Literal` as blocks."""


Dumper.add_representer(
    Literal, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style="|")
)


@lru_cache(maxsize=1)
def templates() -> dict[str, str]:
    """Template name → text, one for the forensic account and one for the members."""
    files = sorted(FOLDER.glob("*_*.yaml"))
    inside = [f for f in files if f.stem.startswith("investigate_")]
    return {
        FORENSIC: _template("Forensic account: SSM documents for forensic instances.", inside),
        MEMBER: _template("Member account: SSM documents for targets.", [f for f in files if f not in inside]),
    }


def _template(description: str, files: list[Path]) -> str:
    resources = {_logical(f.stem): _document(f) for f in files}
    body: dict[str, Any] = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"{description} Made from ssm_documents/; commands are pinned to the digests that are their tags.",
        "Resources": resources,
        "Outputs": {f"{name}Name": {"Value": {"Ref": name}} for name in resources},
    }
    return yaml.dump(body, Dumper=Dumper, sort_keys=False, width=100_000)


def _logical(stem: str) -> str:
    return "".join(part.capitalize() for part in stem.split("_"))


def _document(file: Path) -> dict[str, Any]:
    content = file.read_bytes()
    return {
        "Type": "AWS::SSM::Document",
        "Properties": {
            "Name": f"forensics-{file.stem}",
            "DocumentType": "Command",
            "DocumentFormat": "YAML",
            "TargetType": "/AWS::EC2::Instance",
            # a changed document becomes a new version beside the old one, which running commands keep
            "UpdateMethod": "NewVersion",
            # as text, byte for byte: the product sends commands with the digest of these bytes
            "Content": Literal(content.decode("utf-8")),
            "Tags": [{"Key": "forensics:sha256", "Value": hashlib.sha256(content).hexdigest()}],
        },
    }
