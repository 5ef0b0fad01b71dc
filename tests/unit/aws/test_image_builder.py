"""Image Builder: one build for one token, an image followed to its end, its AMI published."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.stub import Stubber

from forensics.aws.image_builder import WORKING, BuiltImage, ImageBuilderGateway
from tests.unit.aws.conftest import Stub
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
