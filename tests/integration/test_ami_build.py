"""The AMI build against the lab's Image Builder: the parameter changes after the tests passed, and only then."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from forensics.aws.hook import ForensicsHook
from forensics.investigation.ami_operators import BuildForensicAmiOperator
from forensics.investigation.ami_statements import AMI_BUILD, AmiStatements
from forensics.models.preflight import CheckStatus
from forensics.preflight.ami_check import AmiRegionCheck
from forensics.preflight.scope import PreflightScope
from forensics.settings import get_settings
from lab.accounts import FORENSIC_ACCOUNT, ROOT_SECRET, root_access_key
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


def test_an_image_goes_to_other_regions_under_their_keys_and_with_statements_and_the_preflight_names_what_is_missing(
    lab: SmallLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    abroad = boto3.client("kms", region_name="us-east-1", endpoint_url=lab.endpoint, **forensic_root())
    key = abroad.create_key()["KeyMetadata"]
    abroad.create_alias(AliasName="alias/forensics-evidence", TargetKeyId=key["KeyId"])
    monkeypatch.setenv("AIRFLOW__FORENSICS__AMI_REGIONS", "us-east-1,eu-west-1")
    made: Any = build(monkeypatch, "forensics-to-us-east-1", run_id="manual__abroad")
    assert set(made["copies"]) == {"us-east-1"} and in_use(lab) == made["ami_id"]
    said = [m["message"] for m in lab.mail() if "A new forensic AMI is in use" in m["subject"]][-1]
    assert f"Copies: {made['copies']['us-east-1']} in us-east-1" in said and "NOT copied to eu-west-1" in said
    custodian = ForensicsHook().forensic(AMI_BUILD, "custodian")
    statements = AmiStatements.of(custodian, get_settings())
    assert made["copies"]["us-east-1"] in statements.check(made["copies"]["us-east-1"], required=True)

    def line(region: str) -> Any:
        return AmiRegionCheck(PreflightScope(ForensicsHook(), run="r"), region).run()

    good = line("us-east-1")
    assert good.status is CheckStatus.OK and key["Arn"] in good.detail
    missing = line("eu-west-1")
    assert missing.status is CheckStatus.BROKEN and "has no copy in eu-west-1" in missing.detail
    assert "forensic_ami_build" in missing.next_action
    # somebody replaced the key behind the alias: the copy is under another one
    other = abroad.create_key()["KeyMetadata"]["KeyId"]
    abroad.update_alias(AliasName="alias/forensics-evidence", TargetKeyId=other)
    assert "not under the product's key" in line("us-east-1").detail
    abroad.update_alias(AliasName="alias/forensics-evidence", TargetKeyId=key["KeyId"])
    # an image of the same name that nobody signed for
    monkeypatch.setattr("forensics.investigation.ami_statements.AMI_BUILD", "fc-elsewhere")
    assert "has no signed statement" in line("us-east-1").detail


def forensic_root() -> dict[str, str]:
    return {"aws_access_key_id": root_access_key(FORENSIC_ACCOUNT), "aws_secret_access_key": ROOT_SECRET}
