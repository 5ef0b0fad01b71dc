"""The policy's scope on the lab: the tags that count are those that EC2 shows to the triage role."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from forensics.containment.operators import IsolateTargetOperator, PlanContainmentOperator
from forensics.models.plan import Action
from forensics.models.policy import Scope
from forensics.triage import isolation_guard
from forensics.triage.policy import packaged
from lab.accounts import MANAGEMENT_ACCOUNT, MEMBER_ACCOUNT, SECURITY_ACCOUNT
from lab.seed.accounts import Account
from tests.gateways import recorder_of
from tests.integration.conftest import SmallLab
from tests.integration.steps import perform
from tests.integration.test_case_steps import open_case, triage

OF_TARGET = [
    {"kind": "instance_tag", "value": "forensics:respond=isolate"},
    {"kind": "security_group_tag", "value": "forensics:respond"},
]
OF_ORGANIZATION = [
    {"kind": "account_tag", "value": "forensics:respond=isolate"},
    {"kind": "organizational_unit_tag", "value": "forensics:respond=isolate"},
]


@pytest.fixture(autouse=True)
def _narrow(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = OF_ORGANIZATION if "organization" in request.fixturenames else OF_TARGET
    policy = packaged().policy.model_copy(update={"scope": Scope.model_validate({"isolate": lines})})
    monkeypatch.setattr(isolation_guard, "packaged", lambda: replace(packaged(), policy=policy))


@pytest.fixture
def organization(lab: SmallLab) -> Any:
    """The organization of the lab's accounts, as its management account sees it; the security account is a delegated administrator."""
    client = Account(MANAGEMENT_ACCOUNT, lab.endpoint).client("organizations")
    client.create_organization(FeatureSet="ALL")
    client.register_delegated_administrator(AccountId=SECURITY_ACCOUNT, ServicePrincipal="guardduty.amazonaws.com")
    return client


def test_a_target_without_the_tag_is_not_touched_and_people_are_told(lab: SmallLab) -> None:
    case_id = open_case(lab)
    assert triage(case_id) == {"memory": True, "disk": True, "isolate": False}
    for step in (PlanContainmentOperator(task_id="plan_containment"), IsolateTargetOperator(task_id="isolate_target")):
        with pytest.raises(AirflowSkipException, match="outside the policy's scope"):
            perform(step, case_id=case_id)
    recorder = recorder_of(case_id, step="test")
    plan = recorder.plan()
    assert plan is not None and plan.waiting == (Action.ISOLATE,)
    assert any("isolate waits for a person's order" in entry.what for entry in recorder.view().timeline)
    (told,) = [mail for mail in lab.mail() if "YOUR ORDER IS NEEDED" in mail["subject"]]
    assert "forensics:respond=isolate" in told["message"] and "ForensicIsolate" in told["message"]


@pytest.mark.parametrize("where", ["instance", "group"])
def test_a_tag_on_the_instance_or_on_its_group_brings_it_into_scope(lab: SmallLab, where: str) -> None:
    instance = lab.facts["instances"]["web-server"]["instance_id"]
    ec2 = lab.client("ec2", "member")
    described = ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    tagged = instance if where == "instance" else described["SecurityGroups"][0]["GroupId"]
    ec2.create_tags(Resources=[tagged], Tags=[{"Key": "forensics:respond", "Value": "isolate"}])
    case_id = open_case(lab)
    assert triage(case_id)["isolate"] is True
    target = recorder_of(case_id, step="test").target()
    assert target is not None
    found = target.tags if where == "instance" else target.group_tags[tagged]
    assert found["forensics:respond"] == "isolate"


@pytest.mark.parametrize("where", ["account", "root"])
def test_a_tag_of_the_account_or_above_it_brings_its_instances_into_scope(
    lab: SmallLab, organization: Any, where: str
) -> None:
    tagged = MEMBER_ACCOUNT if where == "account" else organization.list_roots()["Roots"][0]["Id"]
    organization.tag_resource(ResourceId=tagged, Tags=[{"Key": "forensics:respond", "Value": "isolate"}])
    case_id = open_case(lab)
    assert triage(case_id)["isolate"] is True
    plan = recorder_of(case_id, step="test").plan()
    assert plan is not None
    (reason,) = [reason for reason in plan.isolate.reasons if "AWS Organizations" in reason]
    assert f"{'account ' if where == 'account' else ''}{tagged} has the tag forensics:respond=isolate" in reason


def test_an_account_without_the_tag_waits(lab: SmallLab, organization: Any) -> None:
    assert triage(open_case(lab)) == {"memory": True, "disk": True, "isolate": False}


def test_an_organization_that_does_not_answer_leaves_the_isolation_to_a_person(
    lab: SmallLab, organization: Any
) -> None:
    """The security account is no delegated administrator any more: evidence all the same, and the plan says why."""
    organization.deregister_delegated_administrator(
        AccountId=SECURITY_ACCOUNT, ServicePrincipal="guardduty.amazonaws.com"
    )
    case_id = open_case(lab)
    assert triage(case_id) == {"memory": True, "disk": True, "isolate": False}
    plan = recorder_of(case_id, step="test").plan()
    assert plan is not None and plan.waiting == (Action.ISOLATE,)
    assert "AWS answered AccessDeniedException" in plan.isolate.reasons[-1]
    (told,) = [mail for mail in lab.mail() if "YOUR ORDER IS NEEDED" in mail["subject"]]
    assert "could not be read" in told["message"]
