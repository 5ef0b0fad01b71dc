"""Image Builder: one build for one token, an image followed to its end, its AMI published."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.stub import Stubber

from forensics.aws.image_builder import WORKING, BuiltImage, ImageBuilderGateway
from forensics.models.ami import ScanFinding
from tests.unit.aws.conftest import Stub
from tests.unit.builders import NOW
from tests.unit.moto_store import make_client

PIPELINE = "arn:aws:imagebuilder:eu-central-1:222233334444:image-pipeline/forensic"
IMAGE = "arn:aws:imagebuilder:eu-central-1:222233334444:image/forensic/1.0.0/1"


@pytest.fixture
def builder(stubbed: Stub) -> Stubber:
    """Image Builder."""
    return stubbed("imagebuilder")


@pytest.fixture
def ssm(stubbed: Stub) -> Stubber:
    """SSM."""
    return stubbed("ssm")


@pytest.fixture
def gateway(builder: Stubber, ssm: Stubber) -> ImageBuilderGateway:
    """The gateway."""
    return ImageBuilderGateway(builder.client, ssm.client, account_id="222233334444", region="eu-central-1")


def test_the_same_token_starts_nothing_twice(builder: Stubber, gateway: ImageBuilderGateway) -> None:
    asked = {"imagePipelineArn": PIPELINE, "clientToken": "r" * 36}
    builder.add_response("start_image_pipeline_execution", {"imageBuildVersionArn": IMAGE}, asked)
    assert gateway.start(PIPELINE, token="r" * 60) == IMAGE


@pytest.mark.parametrize(
    ("image", "seen"),
    [
        ({"state": {"status": "BUILDING"}}, BuiltImage(arn=IMAGE, status="BUILDING")),
        (
            {"state": {"status": "FAILED", "reason": "step ExecuteBash failed"}},
            BuiltImage(arn=IMAGE, status="FAILED", reason="step ExecuteBash failed"),
        ),
        (
            {
                "state": {"status": "AVAILABLE"},
                "outputResources": {
                    "amis": [
                        {"region": "us-east-1", "image": "ami-other"},
                        {"region": "eu-central-1", "image": "ami-home"},
                    ]
                },
            },
            BuiltImage(arn=IMAGE, status="AVAILABLE", ami_id="ami-home"),
        ),
    ],
)
def test_an_image_is_seen_with_its_reason_and_its_ami_of_this_region(
    builder: Stubber, gateway: ImageBuilderGateway, image: dict[str, Any], seen: BuiltImage
) -> None:
    builder.add_response("get_image", {"image": image}, {"imageBuildVersionArn": IMAGE})
    assert gateway.image(IMAGE) == seen


def test_every_status_of_the_api_is_known_to_be_final_or_not() -> None:
    known = set(make_client("imagebuilder").meta.service_model.shape_for("ImageStatus").enum)
    assert known >= WORKING
    assert known - WORKING == {"AVAILABLE", "CANCELLED", "FAILED", "DEPRECATED", "DELETED", "DISABLED"}


def test_the_amis_id_is_published_for_the_cases(ssm: Stubber, gateway: ImageBuilderGateway) -> None:
    asked = {
        "Name": "/forensics/ami/current",
        "Value": "ami-home",
        "Type": "String",
        "DataType": "text",
        "Overwrite": True,
    }
    ssm.add_response("put_parameter", {"Version": 4}, asked)
    assert gateway.publish("/forensics/ami/current", ami_id="ami-home") == 4


def test_a_record_has_materials_packages_and_findings(builder: Stubber, gateway: ImageBuilderGateway) -> None:
    """Every page of both lists; findings of an image whose scan has not ended are not asked for."""
    component = {"componentArn": "arn:c", "parameters": [{"name": "sha256", "value": ["a"]}]}
    image = {
        "imageRecipe": {"parentImage": "arn:base", "components": [component]},
        "scanState": {"status": "COMPLETED"},
    }
    builder.add_response("get_image", {"image": image}, {"imageBuildVersionArn": IMAGE})
    page = {"imagePackageList": [{"packageName": "bash", "packageVersion": "5"}], "nextToken": "2"}
    builder.add_response("list_image_packages", page, {"imageBuildVersionArn": IMAGE})
    page = {"imagePackageList": [{"packageName": "lvm2", "packageVersion": "2"}]}
    builder.add_response("list_image_packages", page, {"imageBuildVersionArn": IMAGE, "nextToken": "2"})
    details = {"vulnerabilityId": "CVE-1", "vulnerablePackages": [{"name": "lvm2", "fixedInVersion": "3"}]}
    asked = {"filters": [{"name": "imageBuildVersionArn", "values": [IMAGE]}]}
    builder.add_response(
        "list_image_scan_findings", {"findings": [{"severity": "HIGH", "packageVulnerabilityDetails": details}]}, asked
    )
    record = gateway.record(IMAGE, ami_id="ami-1", at=NOW)
    assert [m.uri for m in record.built_from] == ["arn:base", "arn:c"] and record.built_from[1].parameters == {
        "sha256": "a"
    }
    assert [p.name for p in record.packages] == ["bash", "lvm2"]
    assert record.findings == (ScanFinding(id="CVE-1", severity="HIGH", packages=("lvm2",), fixed_in=("3",)),)
    assert record.scanned and record.by_severity == {"HIGH": 1}
    builder.add_response("get_image", {"image": {"scanState": {"status": "SCANNING"}}}, {"imageBuildVersionArn": IMAGE})
    builder.add_response("list_image_packages", {"imagePackageList": []}, {"imageBuildVersionArn": IMAGE})
    record = gateway.record(IMAGE, ami_id="ami-1", at=NOW)
    assert (record.scanned, record.findings) == (False, ())
