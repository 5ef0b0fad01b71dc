"""A lab for a module of tests, its targets, and the operators of containment and release as a task runs them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import create_autospec

import pytest
from airflow.providers.standard.operators import hitl
from airflow.sdk.exceptions import TaskAwaitingInput, TaskDeferred

from forensics.aws.hook import ForensicsHook
from forensics.aws.sns import Notifier
from forensics.case.notices import CaseNotices
from forensics.case.recorder import CaseRecorder
from forensics.case.waiting import Reminders
from forensics.containment.operators import IsolateTargetOperator, PlanContainmentOperator
from forensics.containment.release_operators import PlanReleaseOperator, ReleaseTargetOperator
from forensics.intake.operators import OpenCaseOperator
from forensics.settings import get_settings
from forensics.triage.operators import DescribeTargetOperator, PlanResponseOperator
from tests.gateways import case_store, recorder_of
from tests.integration.conftest import SmallLab, running_lab
from tests.integration.steps import DagRun, TaskInstance, perform


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallLab]:
    """One seeded lab for all of these tests; each has a target of its own."""
    with pytest.MonkeyPatch.context() as patch, running_lab(tmp_path_factory.mktemp("lab"), patch) as made:
        made.control("config", {"instance_seconds": 0, "terminate_seconds": 0})
        for cap in ("ALL", "ACCOUNT", "GROUP"):
            patch.setenv(f"AIRFLOW__FORENSICS__ISOLATION_CAP_{cap}", "1000")
        get_settings.cache_clear()
        yield made


@pytest.fixture
def target(lab: SmallLab) -> str:
    """A running instance with the application's group and profile, not managed by SSM."""
    network = lab.facts["member_network"]
    answer = lab.client("ec2", "member").run_instances(
        ImageId="ami-0123456789abcdef0", MinCount=1, MaxCount=1, SubnetId=network["subnet_ids"][0],
        SecurityGroupIds=[network["web_security_group_id"]], IamInstanceProfile={"Name": "web-server"},
    )  # fmt: skip
    return str(answer["Instances"][0]["InstanceId"])


class TaskInstanceWithId(TaskInstance):
    """A task instance as human-in-the-loop needs it."""

    id = "01234567-89ab-7def-8123-456789abcdef"


def context(operator: Any, *, user: str | None = "alice", run_id: str = "manual__test") -> dict[str, Any]:
    """What Airflow hands to an operator, in a run that alice has started."""
    ti = TaskInstanceWithId(operator.task_id)
    run = DagRun(run_id, triggering_user_name=user)
    return {"ti": ti, "task_instance": ti, "params": {}, "dag_run": run}


def opened(lab: SmallLab, target: str, **params: str) -> str:
    """A case after triage."""
    given = {"account_id": lab.facts["accounts"]["member"], "region": "eu-central-1", "instance_id": target}
    asked = {"actions": "by-policy", "reason": "test", "requester": "alice", **given, **params}
    step, run_id = OpenCaseOperator(task_id="open_case"), f"manual__{target}"
    case_id = str(perform(step, params=asked, run_id=run_id, user="alice"))
    perform(DescribeTargetOperator(task_id="describe_target"), case_id=case_id)
    perform(PlanResponseOperator(task_id="plan_response"), case_id=case_id)
    return case_id


def recorder(case_id: str) -> CaseRecorder:
    """The case's records."""
    return recorder_of(case_id, step="test")


def plan_step(case_id: str) -> PlanContainmentOperator:
    """The planning task of a case."""
    step = PlanContainmentOperator(task_id="containment.plan_containment")
    step.case_id = case_id
    return step


def plan_release(case_id: str, **arguments: str) -> PlanReleaseOperator:
    """The planning task of a release, its arguments as Airflow renders them."""
    given = {"reason": "", "requester": "", "show_only": "False", **arguments}
    return PlanReleaseOperator(task_id="plan_release", case_id=case_id, **given)


def deferred(step: Any) -> TaskDeferred:
    """Execute until it waits for AWS."""
    with pytest.raises(TaskDeferred) as caught:
        step.execute(context(step))
    return caught.value


def waits_for_a_person(step: Any) -> TaskAwaitingInput:
    """Execute until it has asked a person; no trigger and no triggerer take part in that."""
    with pytest.raises(TaskAwaitingInput) as caught:
        step.execute(context(step))
    return caught.value


def answer(option: str, *, user: str | None = "bob", name: str | None = None) -> dict[str, Any]:
    """A person's answer as Airflow hands it on: the user's id, and the name that they have now."""
    return {
        "chosen_options": [option], "params_input": {}, "responded_at": datetime.now(UTC),
        "responded_by_user": {"id": user, "name": name or user} if user else None, "timedout": user is None,
    }  # fmt: skip


def release_step(case_id: str) -> ReleaseTargetOperator:
    """The releasing task of a case."""
    return ReleaseTargetOperator(task_id="release_target", case_id=case_id)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What would be written to Airflow's database: a running API server is needed for that, so here it is seen only."""
    seen = create_autospec(hitl.upsert_hitl_detail)
    monkeypatch.setattr(hitl, "upsert_hitl_detail", seen)
    return seen


@pytest.fixture
def approval_needed(lab: SmallLab, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Caps of zero: policy wants a person's word for every isolation."""
    monkeypatch.setenv("AIRFLOW__FORENSICS__ISOLATION_CAP_ALL", "0")
    get_settings.cache_clear()
    yield
    monkeypatch.undo()
    get_settings.cache_clear()


def isolate(case_id: str) -> Any:
    """Run the isolation."""
    return perform(IsolateTargetOperator(task_id="containment.isolate_target"), case_id=case_id)


def changes(lab: SmallLab) -> list[str]:
    """Mutating calls of the contain and release roles' account so far; 412 is EC2's answer to a DryRun."""
    calls = lab.control("calls")["calls"]
    services = {"ec2", "autoscaling", "elasticloadbalancing", "iam"}
    member = lab.facts["accounts"]["member"]
    mine = [c for c in calls if c["service"] in services and c["account"] == member and c["status"] != 412]
    return [c["action"] for c in mine if not c["action"].startswith(("Describe", "Get", "List", "Simulate"))]


def groups_of(lab: SmallLab, instance: str) -> list[list[str]]:
    """Security groups of the target's interfaces."""
    found = lab.client("ec2", "member").describe_network_interfaces(
        Filters=[{"Name": "attachment.instance-id", "Values": [instance]}]
    )
    return [[g["GroupId"] for g in e["Groups"]] for e in found["NetworkInterfaces"]]


def reminded(lab: SmallLab, *, after_minutes: float) -> list[str]:
    """The bodies of the reminders that the schedule sends when it runs so long from now."""
    hook = ForensicsHook()
    notices = CaseNotices(case_store(), Notifier.of(hook.own(), hook.settings))
    sent = len(lab.mail())
    _, failed = Reminders(notices, hook.settings).send(datetime.now(UTC) + timedelta(minutes=after_minutes))
    assert failed == []
    return [mail["message"] for mail in lab.mail()[sent:] if "Release" in mail["subject"]]
