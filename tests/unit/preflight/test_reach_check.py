"""A service is reached when it answers; who refused decides what a person does."""

from __future__ import annotations

from typing import Any

import pytest

from forensics.aws.denials import Cause
from forensics.aws.reach import Answer, ReachGateway
from forensics.models.preflight import CheckStatus
from forensics.preflight.reach_check import reach_checks
from forensics.preflight.scope import PreflightScope
from tests.unit.preflight.conftest import FakeHook, settings_with


class Answers(ReachGateway):
    """One answer to every question."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer

    def ask(self, service: str, operation: str, params: Any) -> Answer:
        return self.answer


def lines(scope: PreflightScope, monkeypatch: pytest.MonkeyPatch, answer: Answer) -> dict[str, Any]:
    monkeypatch.setattr(ReachGateway, "of", lambda _: Answers(answer))
    return {check.subject: check.run() for check in reach_checks(scope)}


def test_every_role_asks_for_what_its_work_needs(scope: PreflightScope, monkeypatch: pytest.MonkeyPatch) -> None:
    found = lines(scope, monkeypatch, Answer())
    assert {line.status for line in found.values()} == {CheckStatus.OK}
    services = {subject.split()[0] for subject in found}
    assert services == {
        "sts", "dynamodb", "sqs", "sns", "s3", "kms", "ec2", "ssm", "securityhub", "guardduty", "autoscaling", "elbv2", "ebs", "iam",
        "cloudtrail", "logs",
    }  # fmt: skip
    assert "iam in us-east-1, contain" in found, "IAM has one Region (IAM user guide, IAM endpoints)"


def test_every_member_region_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    scope = PreflightScope(FakeHook(settings_with(member_regions="eu-central-1,us-west-2")), run="r")  # type: ignore[arg-type]
    found = lines(scope, monkeypatch, Answer())
    assert {s for s in found if "us-west-2" in s} == {
        f"{name} in us-west-2, {phase}"
        for name, phase in (
            ("ec2", "triage"), ("ssm", "triage"), ("autoscaling", "triage"), ("elbv2", "triage"), ("ebs", "acquire"), ("kms", "acquire"),
            ("cloudtrail", "logs"), ("logs", "logs"),
        )
    }  # fmt: skip


def test_the_way_out_of_the_home_region_is_a_line_of_the_deployment_file(
    scope: PreflightScope, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = lines(scope, monkeypatch, Answer(cause=Cause.UNREACHABLE))
    assert "Profile: standard" in found["iam in us-east-1, contain"].next_action
    assert "endpoints.yaml" in found["kms in eu-central-1, custodian"].next_action


@pytest.mark.parametrize(
    ("cause", "advice"),
    [
        (Cause.UNREACHABLE, "deploy"),
        (Cause.ENDPOINT_POLICY, "endpoint's policy"),
        (Cause.ORGANIZATION, "service control policy"),
        (Cause.REGION, "enable the Region"),
    ],
)
def test_who_refused_decides_the_advice(
    scope: PreflightScope, monkeypatch: pytest.MonkeyPatch, cause: Cause, advice: str
) -> None:
    for line in lines(scope, monkeypatch, Answer(cause=cause, code="X", text="y")).values():
        assert line.status is CheckStatus.BROKEN
        assert advice in line.next_action


def test_what_does_not_exist_shows_that_the_way_is_open(scope: PreflightScope, monkeypatch: pytest.MonkeyPatch) -> None:
    found = lines(scope, monkeypatch, Answer(cause=Cause.MISSING, code="NoSuchKey"))
    assert {line.status for line in found.values()} == {CheckStatus.OK}


def test_without_its_role_a_service_is_not_tried(
    hook: FakeHook, scope: PreflightScope, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook.refused.add("contain")
    assert lines(scope, monkeypatch, Answer())["iam in us-east-1, contain"].status is CheckStatus.NOT_TRIED
