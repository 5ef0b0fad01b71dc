"""The policy's scope on the lab: the tags that count are those that EC2 shows to the triage role."""

from __future__ import annotations

from dataclasses import replace

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from forensics.containment.operators import IsolateTargetOperator, PlanContainmentOperator
from forensics.models.plan import Action
from forensics.models.policy import Scope
from forensics.triage import isolation_guard
from forensics.triage.policy import packaged
from tests.gateways import recorder_of
from tests.integration.conftest import SmallLab
from tests.integration.steps import perform
from tests.integration.test_case_steps import open_case, triage


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        {"kind": "instance_tag", "value": "forensics:respond=isolate"},
        {"kind": "security_group_tag", "value": "forensics:respond"},
    ]
    policy = packaged().policy.model_copy(update={"scope": Scope.model_validate({"isolate": lines})})
    monkeypatch.setattr(isolation_guard, "packaged", lambda: replace(packaged(), policy=policy))


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
