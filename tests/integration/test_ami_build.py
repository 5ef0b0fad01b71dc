"""The AMI build against the lab's Image Builder: the parameter changes after the tests passed, and only then."""

from __future__ import annotations

import json

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from forensics.aws.hook import ForensicsHook
from forensics.investigation.ami_operators import BuildForensicAmiOperator
from forensics.investigation.ami_statements import AMI_BUILD, AmiStatements
from forensics.settings import get_settings
from tests.integration.conftest import SmallLab
from tests.integration.steps import perform

PIPELINE = "arn:aws:imagebuilder:eu-central-1:222233334444:image-pipeline/{}"


def in_use(lab: SmallLab) -> str:
    return str(lab.client("ssm").get_parameter(Name="/forensics/ami/current")["Parameter"]["Value"])


def build(monkeypatch: pytest.MonkeyPatch, name: str, *, run_id: str = "manual__1") -> dict[str, str]:
    monkeypatch.setenv("AIRFLOW__FORENSICS__IMAGE_PIPELINE_ARN", PIPELINE.format(name) if name else "")
    get_settings.cache_clear()
    made: dict[str, str] = perform(BuildForensicAmiOperator(task_id="build_forensic_ami"), run_id=run_id)
    return made


def test_only_a_tested_image_is_used_by_cases(lab: SmallLab, monkeypatch: pytest.MonkeyPatch) -> None:
    before = in_use(lab)
    with pytest.raises(AirflowSkipException, match="image_pipeline_arn is not set"):
        build(monkeypatch, "")
    with pytest.raises(
        AirflowFailException, match=r"NothingListens.*hardening failed in phase test.*with the previous AMI"
    ):
        build(monkeypatch, "forensics-broken")
    assert in_use(lab) == before
    assert any("was NOT built" in m["subject"] for m in lab.mail())
    made = build(monkeypatch, "forensics")
    assert made["ami_id"] == in_use(lab) != before
    assert lab.client("ec2").describe_images(ImageIds=[made["ami_id"]])["Images"]
    # What was built from what, signed before a case may launch it; the scan's result is told.
    custodian = ForensicsHook().forensic(AMI_BUILD, "custodian")
    statements = AmiStatements.of(custodian, get_settings())
    assert "is the one of the signed statement" in statements.check(made["ami_id"], required=True)
    bucket, key = made["statement"].removeprefix("s3://").split("/", 1)
    sbom = lab.client("s3").get_object(Bucket=bucket, Key=key.replace("statement.dsse", "sbom.cdx"))["Body"].read()
    assert [c["purl"] for c in json.loads(sbom)["components"]] == [
        "pkg:rpm/amzn/bash@5.2.15-1.amzn2023.0.2", "pkg:rpm/amzn/lvm2@2.03.16-1.amzn2023.0.7"
    ]  # fmt: skip
    assert any("The scan found 1 HIGH" in m["message"] for m in lab.mail())
    # the image of before was made by hand, without a statement
    assert "has no signed statement" in statements.check(before, required=False)
    # A repeated try of the same run finds its execution; another run makes another image.
    assert build(monkeypatch, "forensics")["image_arn"] == made["image_arn"]
    assert build(monkeypatch, "forensics", run_id="manual__2")["image_arn"] != made["image_arn"]
    # forensics.ami_parameter is what the next case launches from.
    assert any("A new forensic AMI is in use" in m["subject"] for m in lab.mail())
