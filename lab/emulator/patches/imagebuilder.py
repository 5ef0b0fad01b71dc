"""EC2 Image Builder, which moto lacks: running a pipeline and looking at the image that it makes.

Only what the product calls. Each GetImage moves an image one state forward, as a build does over an hour; a pipeline called
``…broken…`` fails in its tests. An image that becomes AVAILABLE has an AMI of this account and Region; of a pipeline ``…-to-REGION`` also one of
the same name there, whose snapshot is under the key behind the evidence key's alias there, as the distribution of image-builder.yaml has it.
"""

from __future__ import annotations

import re
import sys
import types
from typing import Any

import boto3
import moto.backend_index
import moto.backends
from moto.core.base_backend import BackendDict, BaseBackend
from moto.core.exceptions import JsonRESTError
from moto.core.responses import ActionResult, BaseResponse
from moto.ec2.models import ec2_backends
from moto.kms.models import kms_backends

SERVICE = "imagebuilder"
EVIDENCE_ALIAS = "alias/forensics-evidence"
STATES = ("PENDING", "BUILDING", "TESTING", "DISTRIBUTING", "AVAILABLE")
_PIPELINE = re.compile(r"arn:aws:imagebuilder:[a-z0-9-]+:\d{12}:image-pipeline/(?P<name>[a-z0-9-]+)")


class ImageBuilderBackend(BaseBackend):
    """Images by ARN, and executions by client token (the same token is the same execution)."""

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.images: dict[str, dict[str, Any]] = {}
        self.tokens: dict[str, str] = {}

    def start(self, pipeline_arn: str, token: str) -> str:
        """Start one execution; returns the ARN of the image to be."""
        pipeline = _PIPELINE.fullmatch(pipeline_arn)
        if pipeline is None:
            raise JsonRESTError("ResourceNotFoundException", f"The pipeline {pipeline_arn} does not exist.")
        if token not in self.tokens:
            name, number = pipeline["name"], len(self.images) + 1
            arn = f"arn:aws:imagebuilder:{self.region_name}:{self.account_id}:image/{name}/1.0.0/{number}"
            self.tokens[token] = arn
            self.images[arn] = {"arn": arn, "name": name, "looks": 0, "amis": []}
        return self.tokens[token]

    def look(self, arn: str) -> dict[str, Any]:
        """The image as GetImage shows it, one state further than at the call before."""
        image = self.images.get(arn)
        if image is None:
            raise JsonRESTError("ResourceNotFoundException", f"The image {arn} does not exist.")
        state = STATES[min(image["looks"], len(STATES) - 1)]
        image["looks"] += 1
        reason = None
        if "broken" in image["name"] and state in STATES[3:]:
            state, reason = "FAILED", "Step 'NothingListens' of component forensics-hardening failed in phase test"
        if state == "AVAILABLE" and not image["amis"]:
            image["amis"] += self._distributed(image["name"], image["looks"])
        return {
            "arn": arn,
            "name": image["name"],
            "state": {"status": state, **({"reason": reason} if reason else {})},
            "outputResources": {"amis": list(image["amis"])},
            "imageRecipe": {
                "parentImage": f"arn:aws:imagebuilder:{self.region_name}:aws:image/amazon-linux-2023-x86/x.x.x",
                "components": [
                    {
                        "componentArn": f"arn:aws:imagebuilder:{self.region_name}:{self.account_id}:component/forensics-toolkit/1.0.0/1",
                        "parameters": [{"name": "sha256", "value": ["a" * 64]}],
                    }
                ],
            },
            "scanState": {"status": "COMPLETED" if state == "AVAILABLE" else "PENDING"},
        }

    def _distributed(self, name: str, number: int) -> list[dict[str, str]]:
        _, _, region = name.partition("-to-")
        called = f"{name}-{len(self.images)}-{number}"
        return [self._register(called, place) for place in (self.region_name, *([region] if region else []))]

    def _register(self, name: str, region: str) -> dict[str, str]:
        made = ec2_backends[self.account_id][region].register_image(
            name=name, description="made by the lab's Image Builder"
        )
        aliases = kms_backends[self.account_id][region]
        key = aliases.get_key_id_from_alias(EVIDENCE_ALIAS)
        if key is not None:
            made.ebs_snapshot.encrypted = True
            made.ebs_snapshot.kms_key_id = aliases.keys[key].arn
        return {"region": region, "image": made.id, "name": name, "accountId": self.account_id}


class ImageBuilderResponse(BaseResponse):
    """The calls that the product makes."""

    automated_parameter_parsing = True

    def __init__(self) -> None:
        super().__init__(service_name=SERVICE)
        self.automated_parameter_parsing = True

    @property
    def _backend(self) -> ImageBuilderBackend:
        found: ImageBuilderBackend = backends[self.current_account][self.region]
        return found

    def start_image_pipeline_execution(self) -> ActionResult:
        """StartImagePipelineExecution."""
        token = self.params["clientToken"]
        arn = self._backend.start(self.params["imagePipelineArn"], token)
        return ActionResult({"requestId": token, "clientToken": token, "imageBuildVersionArn": arn})

    def get_image(self) -> ActionResult:
        """GetImage."""
        arn = self.params["imageBuildVersionArn"]
        return ActionResult({"requestId": "lab", "image": self._backend.look(arn)})

    def list_image_packages(self) -> ActionResult:
        """ListImagePackages: what SSM Inventory would have found, in pages of one."""
        packages = [("bash", "5.2.15-1.amzn2023.0.2"), ("lvm2", "2.03.16-1.amzn2023.0.7")]
        number = int(self.params.get("nextToken") or 0)
        (name, version), more = packages[number], number + 1 < len(packages)
        page = {"requestId": "lab", "imagePackageList": [{"packageName": name, "packageVersion": version}]}
        return ActionResult(page | ({"nextToken": str(number + 1)} if more else {}))

    def list_image_scan_findings(self) -> ActionResult:
        """ListImageScanFindings: one of Inspector's."""
        (wanted,) = [f["values"][0] for f in self.params["filters"] if f["name"] == "imageBuildVersionArn"]
        package = {"name": "lvm2", "version": "2.03.16", "fixedInVersion": "0:2.03.17"}
        details = {"vulnerabilityId": "CVE-2026-0001", "vulnerablePackages": [package]}
        found = {
            "imageBuildVersionArn": wanted,
            "severity": "HIGH",
            "title": "CVE-2026-0001 - lvm2",
            "packageVulnerabilityDetails": details,
        }
        return ActionResult({"requestId": "lab", "findings": [found]})


# moto's own list of Regions has only the services that it supports
backends = BackendDict(
    ImageBuilderBackend,
    SERVICE,
    use_boto3_regions=False,
    additional_regions=boto3.session.Session().get_available_regions("ec2"),
)


def apply() -> None:
    """Register the service under moto's own names, where its server looks for them."""
    package, models, urls = (types.ModuleType(f"moto.{SERVICE}{part}") for part in ("", ".models", ".urls"))
    package.__path__ = []
    for module in (package, models):
        setattr(module, f"{SERVICE}_backends", backends)
    urls.url_bases = [rf"https?://{SERVICE}\.(.+)\.amazonaws\.com"]  # type: ignore[attr-defined]
    urls.url_paths = {"{0}/.*$": ImageBuilderResponse.dispatch}  # type: ignore[attr-defined]
    package.models, package.urls = models, urls  # type: ignore[attr-defined]
    for module in (package, models, urls):
        sys.modules[module.__name__] = module
    ImageBuilderBackend.__module__ = models.__name__
    ImageBuilderResponse.__module__ = f"moto.{SERVICE}.responses"
    moto.backend_index.backend_url_patterns.append((SERVICE, re.compile(urls.url_bases[0])))
    known = moto.backends.list_of_moto_modules
    moto.backends.list_of_moto_modules = lambda: [*known(), SERVICE]
