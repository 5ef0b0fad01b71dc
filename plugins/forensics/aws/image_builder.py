"""EC2 Image Builder: run the forensic AMI's pipeline, follow the image, publish the AMI's id."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Self

from forensics.aws.error_map import aws_errors
from forensics.aws.session import AwsSession
from forensics.models.ami import AmiRecord, BuiltFrom, ImagePackage, ScanFinding
from forensics.models.base import Model

if TYPE_CHECKING:
    from mypy_boto3_imagebuilder import ImagebuilderClient
    from mypy_boto3_imagebuilder.type_defs import AmiTypeDef, ImageScanFindingsFilterTypeDef
    from mypy_boto3_ssm import SSMClient

WORKING = frozenset({"PENDING", "CREATING", "BUILDING", "TESTING", "DISTRIBUTING", "INTEGRATING"})


class BuiltImage(Model):
    """An image as GetImage shows it. It becomes AVAILABLE only after its tests have passed."""

    arn: str
    status: str
    reason: str = ""
    ami_id: str | None = None

    @property
    def working(self) -> bool:
        """Whether the build is still running."""
        return self.status in WORKING


class ImageBuilderGateway:
    """Image Builder and the SSM parameter of the AMI, in the forensic account and Region."""

    def __init__(self, imagebuilder: ImagebuilderClient, ssm: SSMClient, *, account_id: str, region: str) -> None:
        self._imagebuilder = imagebuilder
        self._ssm = ssm
        self.account_id = account_id
        self.region = region

    @classmethod
    def of(cls, session: AwsSession) -> Self:
        """The gateway of a session's account and Region."""
        return cls(session.imagebuilder, session.ssm, account_id=session.account_id, region=session.region)

    def start(self, pipeline_arn: str, *, token: str) -> str:
        """Start the pipeline and return the ARN of its image; the same token starts nothing twice."""
        with aws_errors(f"start image pipeline {pipeline_arn}"):
            answer = self._imagebuilder.start_image_pipeline_execution(
                imagePipelineArn=pipeline_arn, clientToken=token[:36]
            )
        return str(answer["imageBuildVersionArn"])

    def image(self, arn: str) -> BuiltImage:
        """Look at an image."""
        with aws_errors(f"look at image {arn}"):
            found = self._imagebuilder.get_image(imageBuildVersionArn=arn)["image"]
        amis = found.get("outputResources", {}).get("amis", [])
        nothing: AmiTypeDef = {}
        own = next((a for a in amis if a.get("region") == self.region), nothing)
        state = found.get("state", {})
        return BuiltImage(
            arn=arn, status=state.get("status", ""), reason=state.get("reason", ""), ami_id=own.get("image")
        )

    def record(self, arn: str, *, ami_id: str, at: datetime) -> AmiRecord:
        """What the image was built from, the packages that SSM Inventory found on the build instance, and Inspector's findings in it."""
        with aws_errors(f"look at image {arn}"):
            found = self._imagebuilder.get_image(imageBuildVersionArn=arn)["image"]
        recipe = found.get("imageRecipe", {})
        materials = [BuiltFrom(uri=recipe["parentImage"])] if "parentImage" in recipe else []
        for used in recipe.get("components", []):
            given = {p["name"]: ",".join(p["value"]) for p in used.get("parameters", [])}
            materials.append(BuiltFrom(uri=used.get("componentArn", ""), parameters=given))
        scanned = found.get("scanState", {}).get("status") == "COMPLETED"
        made = found.get("outputResources", {}).get("amis", [])
        copies = {a["region"]: a["image"] for a in made if a.get("region") != self.region and a.get("image")}
        return AmiRecord(
            copies=copies, ami_id=ami_id, image_arn=arn, built_at=at, built_from=tuple(materials), packages=tuple(self._packages(arn)),
            findings=tuple(self._findings(arn)) if scanned else (), scanned=scanned,
        )  # fmt: skip

    def _packages(self, arn: str) -> Iterator[ImagePackage]:
        with aws_errors(f"list packages of image {arn}"):
            pages = self._imagebuilder.get_paginator("list_image_packages").paginate(imageBuildVersionArn=arn)
            for page in pages:
                yield from (
                    ImagePackage(name=p["packageName"], version=p["packageVersion"]) for p in page["imagePackageList"]
                )

    def _findings(self, arn: str) -> Iterator[ScanFinding]:
        filters: list[ImageScanFindingsFilterTypeDef] = [{"name": "imageBuildVersionArn", "values": [arn]}]
        with aws_errors(f"list scan findings of image {arn}"):
            pages = self._imagebuilder.get_paginator("list_image_scan_findings").paginate(filters=filters)
            for found in (f for page in pages for f in page["findings"]):
                details = found.get("packageVulnerabilityDetails", {})
                packages = details.get("vulnerablePackages", [])
                yield ScanFinding(
                    id=details.get("vulnerabilityId", found.get("title", "")), severity=found.get("severity", "UNTRIAGED"),
                    packages=tuple(p.get("name", "") for p in packages), fixed_in=tuple(p["fixedInVersion"] for p in packages if p.get("fixedInVersion")),
                )  # fmt: skip

    def publish(self, parameter: str, *, ami_id: str) -> int:
        """Let cases use the AMI from now on; returns the parameter's new version."""
        with aws_errors(f"write SSM parameter {parameter} in account {self.account_id}, {self.region}"):
            answer = self._ssm.put_parameter(
                Name=parameter, Value=ami_id, Type="String", DataType="text", Overwrite=True
            )
        return int(answer["Version"])
