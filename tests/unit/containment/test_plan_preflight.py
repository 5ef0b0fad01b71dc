"""What AWS answers to a plan before anything is changed."""

from __future__ import annotations

from typing import Any

import pytest

from forensics import case_keys
from forensics.containment.plan_preflight import preflight, preflight_once
from forensics.errors import AccessDeniedError, AwsError, ContainmentError, ThrottledError
from forensics.models.containment import ApiCall, ContainmentPlan, PlanPreflight, PreflightAnswer
from tests.unit.containment.account import Account, GatewayInMemory
from tests.unit.containment.case_world import World
from tests.unit.containment.targets import everything, planned


class DryRun(GatewayInMemory):
    """A gateway all of whose calls have ``DryRun``; ``error`` is what AWS answers."""

    error: AwsError | None = None

    def has_dry_run(self, call: ApiCall) -> bool:
        """Always here."""
        return True

    def perform(self, call: ApiCall, *, ids: Any) -> str | None:
        """Answer."""
        assert call.params["DryRun"] is True
        if DryRun.error is not None:
            raise DryRun.error
        return None


def coded(code: str, kind: type[AwsError] = AwsError) -> AwsError:
    """An error with AWS's code behind it."""
    from botocore.exceptions import ClientError

    error = kind(f"AWS answered {code}")
    error.__cause__ = ClientError({"Error": {"Code": code, "Message": ""}}, "Operation")
    return error


@pytest.fixture
def plan() -> ContainmentPlan:
    """A plan with one EC2 call that needs nothing made before."""
    whole = planned(everything())
    return whole.model_copy(update={"steps": tuple(s for s in whole.steps if s.id == "credentials.metadata")})


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (coded("DryRunOperation"), PreflightAnswer.ALLOWED),
        (coded("UnauthorizedOperation", AccessDeniedError), PreflightAnswer.REFUSED),
        (coded("RequestLimitExceeded", ThrottledError), PreflightAnswer.NOT_ASKED),
        (AwsError("AWS could not be reached"), PreflightAnswer.NOT_ASKED),
    ],
)
def test_ec2s_answer_to_a_dry_run(
    monkeypatch: pytest.MonkeyPatch, plan: ContainmentPlan, error: AwsError, answer: PreflightAnswer
) -> None:
    monkeypatch.setattr(DryRun, "error", error)
    (step,) = preflight(DryRun(Account()), plan).steps
    assert (step.name, step.answer) == ("credentials.metadata", answer)


def test_a_dry_run_that_was_carried_out_is_an_alarm(monkeypatch: pytest.MonkeyPatch, plan: ContainmentPlan) -> None:
    monkeypatch.setattr(DryRun, "error", None)
    with pytest.raises(ContainmentError, match="as if it had been carried out"):
        preflight(DryRun(Account()), plan)


def test_a_step_about_a_group_that_does_not_exist_yet_cannot_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DryRun, "error", coded("DryRunOperation"))
    answers = {s.name: s for s in preflight(DryRun(Account()), planned(everything())).steps}
    assert answers["isolate.close.eni-0"].answer is PreflightAnswer.NOT_ASKED
    assert answers["isolate.close.eni-0"].detail == "it needs quarantine:vpc-1, which an earlier step makes"


def test_iam_decides_about_calls_without_a_dry_run(plan: ContainmentPlan) -> None:
    gateway = GatewayInMemory(Account())
    iam: Any = gateway.facts.iam
    assert preflight(gateway, plan).of(PreflightAnswer.ALLOWED) == preflight(gateway, plan).steps
    iam.answers["ec2:ModifyInstanceMetadataOptions"] = (None, "IAM cannot say")
    assert preflight(gateway, plan).steps[0].answer is PreflightAnswer.NOT_ASKED
    iam.answers["ec2:ModifyInstanceMetadataOptions"] = (False, "IAM would refuse it")
    (step,) = preflight(gateway, plan).steps
    assert (step.answer, step.detail) == (PreflightAnswer.REFUSED, "IAM would refuse it")


def test_without_a_role_nobody_can_be_asked(plan: ContainmentPlan) -> None:
    (step,) = preflight(GatewayInMemory(Account(), role_arn=""), plan).steps
    assert step.detail == "ec2.modify_instance_metadata_options has no DryRun"


def test_a_profile_without_a_role_cannot_be_given() -> None:
    gateway = GatewayInMemory(Account())
    profiles: Any = gateway.facts.iam
    profiles.profiles.clear()
    refused = preflight(gateway, planned(everything())).of(PreflightAnswer.REFUSED)
    assert [s.name for s in refused] == ["credentials.profile"]
    assert "forensics-isolated does not exist" in refused[0].detail


def test_a_plan_is_asked_about_once_and_a_refusal_is_announced(world: World) -> None:
    plan, gateway = planned(everything()), world.gateway
    iam: Any = gateway.facts.iam
    iam.answers["iam:PutRolePolicy"] = (False, "IAM would refuse it")
    found = preflight_once(world.recorder, gateway, plan)
    assert [s.name for s in found.of(PreflightAnswer.REFUSED)] == ["credentials.deny"]
    (mail,) = world.recorder.mailbox.mail
    assert mail.event == f"rehearsal:{plan.digest[:12]}"
    assert mail.subject.endswith(f"Containment would fail: 1 of {len(plan.steps)} calls would be refused")
    iam.answers.clear()
    assert preflight_once(world.recorder, gateway, plan) == found
    assert world.recorder.get(case_keys.PLAN_PREFLIGHT, PlanPreflight) == found
    other = planned(everything(spot=True))
    assert preflight_once(world.recorder, gateway, other).of(PreflightAnswer.REFUSED) == ()
    assert len(world.recorder.notes) == 2 and len(world.recorder.mailbox.mail) == 1
