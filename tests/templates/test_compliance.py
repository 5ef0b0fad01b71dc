"""Every control names parts and tests that exist, and the list is an OSCAL component definition.

The rules below are those of the component definition model of OSCAL 1.1.2 (pages.nist.gov/OSCAL, "Component Definition v1.1.2 JSON Format Reference"):
required members, forms of uuid, token and date-time. With ``OSCAL_PYTHON`` (an interpreter that has compliance-trestle) that program validates it too.
"""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from infra.deployment import compliance, templates

CONTROLS = compliance.controls()["controls"]
UUID = re.compile(r"[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[45][0-9A-Fa-f]{3}-[89ABab][0-9A-Fa-f]{3}-[0-9A-Fa-f]{12}")
TOKEN = re.compile(r"[A-Za-z_][A-Za-z0-9._-]*")
TRESTLE = "import sys; from trestle.oscal.component import ComponentDefinition as C; from pathlib import Path; C.oscal_read(Path(sys.argv[1])); print('valid')"


@cache
def functions(file: str) -> set[str]:
    tree = ast.parse((templates.ROOT / file).read_text("utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("control", CONTROLS, ids=lambda c: f"{c['source']}-{c['id']}")
def test_what_a_control_names_exists(control: dict[str, Any]) -> None:
    assert control["tests"], "shown by nothing"
    for part in control["parts"]:
        template, _, resource = part.partition(".")
        assert resource in templates.reading()[template]["Resources"], part
    for test in control["tests"]:
        file, _, function = test.partition("::")
        assert function in functions(file), test


def test_each_control_is_said_once_and_the_families_are_there() -> None:
    everything = [(c["source"], c["id"]) for c in CONTROLS + compliance.controls()["not_met"]]
    assert len(everything) == len(set(everything))
    families = {i.partition("-")[0] for source, i in everything if source == "nist"}
    assert {"au", "ir", "cp", "ac"} <= families
    assert {source for source, _ in everything} == set(compliance.controls()["sources"]) == {"nist", "fsbp", "cis"}


def test_the_document_is_an_oscal_component_definition() -> None:
    whole = compliance.oscal()
    assert set(whole) == {"component-definition"}
    made = whole["component-definition"]
    assert UUID.fullmatch(made["uuid"]) and {"title", "last-modified", "version", "oscal-version"} == set(
        made["metadata"]
    )
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", made["metadata"]["last-modified"])
    (component,) = made["components"]
    assert {"uuid", "type", "title", "description"} <= set(component) and UUID.fullmatch(component["uuid"])
    seen = [made["uuid"], component["uuid"]]
    for implementation in component["control-implementations"]:
        assert {"uuid", "source", "description", "implemented-requirements"} == set(implementation)
        assert implementation["implemented-requirements"], "at least one"
        seen.append(implementation["uuid"])
        for requirement in implementation["implemented-requirements"]:
            assert {"uuid", "control-id", "description"} <= set(requirement) and TOKEN.fullmatch(
                requirement["control-id"]
            )
            assert all(
                TOKEN.fullmatch(link["rel"]) and not re.search(r"\s", link["href"]) for link in requirement["links"]
            )
            seen.append(requirement["uuid"])
    assert len(seen) == len(set(seen)) and all(UUID.fullmatch(i) for i in seen)
    assert json.dumps(whole) == json.dumps(compliance.oscal()), "two runs, one document"


def test_trestle_takes_it(tmp_path: Path) -> None:
    python = os.environ.get("OSCAL_PYTHON")
    if not python:
        pytest.skip("OSCAL_PYTHON names no interpreter with compliance-trestle: the rules above were checked alone")
    file = tmp_path / "component-definition.json"
    file.write_text(json.dumps(compliance.oscal()), "utf-8")
    ran = subprocess.run([python, "-c", TRESTLE, str(file)], capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert ran.stdout.strip().endswith("valid"), ran.stderr[-2000:]


def test_the_table_has_every_control() -> None:
    rows = compliance.table().splitlines()
    assert sum(row.startswith(("| NIST", "| FSBP", "| CIS")) for row in rows) == len(CONTROLS) + len(
        compliance.controls()["not_met"]
    )


def of_type(kind: str) -> list[dict[str, Any]]:
    return [
        r["Properties"]
        for body in templates.reading().values()
        for r in body["Resources"].values()
        if r["Type"] == kind
    ]


def test_symmetric_keys_rotate() -> None:
    """KMS rotates symmetric encryption keys only (AWS KMS developer guide, "Rotate AWS KMS keys")."""
    keys = [k for k in of_type("AWS::KMS::Key") if k.get("KeySpec", "SYMMETRIC_DEFAULT") == "SYMMETRIC_DEFAULT"]
    assert len(keys) >= 7 and all(k["EnableKeyRotation"] is True for k in keys)


def test_machines_of_the_product_ask_for_a_token_at_the_metadata_service() -> None:
    """The launch of a forensic instance itself: tests/unit/aws/test_ec2.py."""
    options = [i["InstanceMetadataOptions"] for i in of_type("AWS::ImageBuilder::InfrastructureConfiguration")]
    options += [t["LaunchTemplateData"]["MetadataOptions"] for t in of_type("AWS::EC2::LaunchTemplate")]
    assert len(options) == 3 and all(
        o["HttpTokens"] == "required" and o["HttpPutResponseHopLimit"] == 1 for o in options
    )


def test_the_vpc_has_flow_logs_and_table_and_buckets_their_logs() -> None:
    (flow,) = of_type("AWS::EC2::FlowLog")
    assert flow["TrafficType"] == "ALL" and flow["ResourceId"] == {"Ref": "Vpc"}
    logged = [b for b in of_type("AWS::S3::Bucket") if "LoggingConfiguration" in b]
    # all but the one that receives the logs
    assert len(logged) == len(of_type("AWS::S3::Bucket")) - 1


def test_the_table_can_be_restored() -> None:
    (table,) = of_type("AWS::DynamoDB::Table")
    assert table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True
    assert table["DeletionProtectionEnabled"] is True


def test_no_bucket_is_public() -> None:
    wanted = {
        "BlockPublicAcls": True,
        "BlockPublicPolicy": True,
        "IgnorePublicAcls": True,
        "RestrictPublicBuckets": True,
    }
    buckets = of_type("AWS::S3::Bucket")
    assert len(buckets) == 7 and all(b["PublicAccessBlockConfiguration"] == wanted for b in buckets)
