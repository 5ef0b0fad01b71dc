"""The AMI build against the lab's Image Builder: the parameter changes after the tests passed, and only then."""

from __future__ import annotations

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from forensics.investigation.ami_operators import BuildForensicAmiOperator
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
    # A repeated try of the same run finds its execution; another run makes another image.
    assert build(monkeypatch, "forensics")["image_arn"] == made["image_arn"]
    assert build(monkeypatch, "forensics", run_id="manual__2")["image_arn"] != made["image_arn"]
    # forensics.ami_parameter is what the next case launches from.
    assert any("A new forensic AMI is in use" in m["subject"] for m in lab.mail())
