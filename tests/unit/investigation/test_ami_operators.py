"""The step that builds the AMI: skipped without a pipeline, red when the build failed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, TaskDeferred

from forensics.errors import InvestigationError
from forensics.investigation.ami_build import AmiBuild, PublishedAmi
from forensics.investigation.ami_operators import BuildForensicAmiOperator
from forensics.investigation.image_triggers import ImageBuiltTrigger
from tests.unit.accounts import HookInMemory, settings

ARN = "arn:aws:imagebuilder:eu-central-1:222233334444:image/forensics/1.0.0/1"


class Run:
    run_id = "manual__1"


CONTEXT: Any = {"dag_run": Run()}


class Builds(AmiBuild):
    """Builds with one outcome."""

    def __init__(self) -> None:
        self.runs: list[str] = []

    def start(self, run_id: str) -> str:
        self.runs.append(run_id)
        return ARN

    def publish(self, event: Mapping[str, object]) -> PublishedAmi:
        if not event["ok"]:
            raise InvestigationError("phase test failed", next_action="read the log")
        return PublishedAmi(ami_id="ami-2", image_arn=ARN, parameter_version=4)


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> Builds:
    made = Builds()
    monkeypatch.setattr(AmiBuild, "of", lambda own, builder, custodian, known: made)
    return made


def with_pipeline(monkeypatch: pytest.MonkeyPatch, arn: str) -> None:
    hook = HookInMemory(settings(image_pipeline_arn=arn))
    monkeypatch.setattr("forensics.investigation.ami_operators.ForensicsHook", lambda: hook)


def test_the_build_is_awaited_and_published(builds: Builds, monkeypatch: pytest.MonkeyPatch) -> None:
    with_pipeline(monkeypatch, "arn:aws:imagebuilder:eu-central-1:222233334444:image-pipeline/forensics")
    step = BuildForensicAmiOperator(task_id="build_forensic_ami")
    with pytest.raises(TaskDeferred) as caught:
        step.execute(CONTEXT)
    trigger = caught.value.trigger
    assert isinstance(trigger, ImageBuiltTrigger) and trigger.image_arn == ARN
    assert builds.runs == ["manual__1"]
    publish = getattr(step, caught.value.method_name)
    assert publish(CONTEXT, {"ok": True}) == {
        "ami_id": "ami-2", "image_arn": ARN, "parameter_version": 4, "statement": "", "findings": {}, "copies": {},
    }  # fmt: skip
    with pytest.raises(AirflowFailException, match=r"phase test failed\. What to do next: read the log"):
        publish(CONTEXT, {"ok": False})


def test_without_a_pipeline_the_step_is_skipped(builds: Builds, monkeypatch: pytest.MonkeyPatch) -> None:
    with_pipeline(monkeypatch, "")
    with pytest.raises(AirflowSkipException, match="image_pipeline_arn is not set"):
        BuildForensicAmiOperator(task_id="build_forensic_ami").execute(CONTEXT)
    assert builds.runs == []
