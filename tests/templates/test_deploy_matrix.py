"""Every state of a stack and every command of the deployment: each has its way, and none changes anything that nobody agreed to."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infra.deployment import changes, configuration, day_two, deploy, plan, templates
from infra.deployment.operations import DeployError
from infra.deployment.plan import Step
from infra.deployment.stack_states import COMPARABLE, STATES, Readiness, readiness
from infra.deployment.stacks import Deployment
from tests.templates.stack_machine import DRIFTABLE, STATUSES, UPDATABLE, Machine

STEP = Step(
    account="forensic", account_id="222233334444", region="eu-central-1", stack="forensics-keys", template="keys"
)
EVERY: tuple[str | None, ...] = (None, *STATUSES)
STATE = pytest.mark.parametrize("state", EVERY)
GONE = (None, "DELETE_COMPLETE")


def yes(_question: str) -> bool:
    return True


def no(_question: str) -> bool:
    return False


def machine(state: str | None, **more: Any) -> Machine:
    """A stack in a state; one whose deletion failed has something that holds it."""
    return Machine(state, **({"undeletable": "Bucket"} if state == "DELETE_FAILED" else {}), **more)


def clients(found: Machine) -> Callable[..., Any]:
    return lambda *_: found


def deployment(found: Machine, *, ask: Callable[[str], bool] = yes, **more: Any) -> Deployment:
    return Deployment(clients(found), made={}, report=lambda _: None, poll_seconds=0.0, ask=ask, **more)


@STATE
def test_deploy_reaches_a_complete_stack_or_says_who_has_to_do_what(state: str | None) -> None:
    found = machine(state)
    if readiness(state) is Readiness.STUCK:
        with pytest.raises(DeployError, match=rf"{state}: a person has to look at it.*(--uninstall|--import-existing)"):
            deployment(found).apply(STEP)
        assert found.calls == []
        return
    assert deployment(found).apply(STEP) == {"Made": "x"}
    assert found.state in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}
    created = readiness(state) in {Readiness.CREATE, Readiness.REMOVE} or state in {
        "DELETE_IN_PROGRESS",
        "ROLLBACK_IN_PROGRESS",
    }
    assert ("delete_stack" in found.calls) is (readiness(state) is Readiness.REMOVE or state == "ROLLBACK_IN_PROGRESS")
    assert found.state == ("CREATE_COMPLETE" if created else "UPDATE_COMPLETE")


@STATE
def test_deploy_deletes_nothing_that_nobody_agreed_to(state: str | None) -> None:
    found = machine(state)
    if readiness(state) is Readiness.REMOVE or state == "ROLLBACK_IN_PROGRESS":
        with pytest.raises(DeployError, match=r"nothing was deleted: answer yes \(--yes\)"):
            deployment(found, ask=no).apply(STEP)
    elif readiness(state) is not Readiness.STUCK:
        deployment(found, ask=no).apply(STEP)
    assert "delete_stack" not in found.calls


@STATE
def test_dry_run_leaves_the_stack_as_it_is(state: str | None) -> None:
    found = machine(state)
    try:
        deployment(found).apply(STEP, dry_run=True)
    except DeployError as error:
        assert readiness(state) not in {Readiness.CREATE, Readiness.UPDATE} and "A dry run changes nothing" in str(
            error
        )
    assert not {"execute_change_set", "continue_update_rollback", "rollback_stack"} & set(found.calls)
    if "delete_stack" in found.calls:  # the draft that a change set of a new stack leaves
        assert found.state is None and found.calls[-3:] == ["create_change_set", "delete_change_set", "delete_stack"]
    elif readiness(state) is not Readiness.WAIT:
        assert found.state == state


@STATE
def test_status_only_looks(state: str | None) -> None:
    found, said = machine(state), list[str]()
    (line,) = day_two.status([STEP], clients(found), report=said.append)
    assert line["state"] == (state or "not there") and line["means"] == readiness(state).value
    assert found.calls == [] and "forensics-keys in forensic account 222233334444" in said[0]


@STATE
def test_drift_compares_what_can_be_compared_and_names_the_rest(state: str | None) -> None:
    found, said = machine(state), list[str]()
    different = day_two.drift([STEP], clients(found), report=said.append, poll_seconds=0.0)
    compared = found.calls == ["detect_stack_drift"]
    assert compared or not found.calls
    if state in COMPARABLE:
        assert compared and different == 0 and "as its template says" in said[-1]
    elif not compared:
        assert different == 1 and "not compared" in said[-1]


@STATE
def test_uninstall_leaves_no_stack(state: str | None) -> None:
    found, said = machine(state), list[str]()
    day_two.uninstall([STEP], clients(found), report=said.append, ask=yes, poll_seconds=0.0)
    assert found.state in GONE, found.calls
    assert (found.calls == []) is (state in {*GONE, "DELETE_IN_PROGRESS"})
    if state == "DELETE_FAILED":
        assert "left behind: Bucket" in said[-2]


@STATE
def test_uninstall_deletes_nothing_that_nobody_agreed_to(state: str | None) -> None:
    found = machine(state)
    try:
        day_two.uninstall([STEP], clients(found), report=lambda _: None, ask=no, poll_seconds=0.0)
    except DeployError as error:
        assert "nothing was deleted" in str(error)
    assert found.calls == []


def test_the_states_that_can_be_compared_are_those_of_the_user_guide() -> None:
    assert COMPARABLE == DRIFTABLE and {s for s, r in STATES.items() if r is Readiness.UPDATE} == UPDATABLE


def test_a_state_that_is_not_known_yet_is_for_a_person() -> None:
    with pytest.raises(DeployError, match="PAUSED_IN_SPACE: a person has to look"):
        deployment(Machine("PAUSED_IN_SPACE")).apply(STEP)


def test_uninstall_stops_at_what_it_cannot_delete_and_says_what_holds_it() -> None:
    found = Machine("CREATE_COMPLETE", undeletable="Bucket")
    with pytest.raises(
        DeployError, match=r"could not be deleted: DELETE_FAILED: Thing: it is said here.*run this again"
    ):
        day_two.uninstall([STEP], clients(found), report=lambda _: None, ask=yes, poll_seconds=0.0)
    day_two.uninstall([STEP], clients(found), report=lambda _: None, ask=yes, poll_seconds=0.0)
    assert found.state is None


class Account:
    """CloudFormation with a case store, and its table."""

    def __init__(self, open_cases: int) -> None:
        self.open_cases = open_cases
        self.deleted: list[str] = []

    def describe_stacks(self, *, StackName: str) -> dict[str, Any]:
        return {
            "Stacks": [{"StackStatus": "CREATE_COMPLETE", "Outputs": [{"OutputKey": "CaseTable", "OutputValue": "t"}]}]
        }

    def delete_stack(self, *, StackName: str) -> None:
        self.deleted.append(StackName)

    def get_paginator(self, operation: str) -> Any:
        assert operation == "query"
        account = self

        class Pages:
            def paginate(self, *, TableName: str, IndexName: str, **_: Any) -> list[dict[str, int]]:
                assert (TableName, IndexName) == ("t", "GSI2")
                return [{"Count": account.open_cases}, {"Count": 0}]

        return Pages()


def test_uninstall_refuses_while_cases_are_open() -> None:
    account = Account(2)
    step = Step(
        account="forensic",
        account_id="222233334444",
        region="eu-central-1",
        stack=day_two.CASE_STORE,
        template="case-store",
    )
    with pytest.raises(DeployError, match=r"2 cases are open.*Nothing was deleted"):
        day_two.uninstall([step], lambda *_: account, report=lambda _: None, ask=yes, poll_seconds=0.0)
    assert account.deleted == []


# ---------------------------------------------------------------------- the diff
KEY = {
    "Action": "Modify", "ResourceType": "AWS::KMS::Key", "LogicalResourceId": "EvidenceKey", "Replacement": "True", "PolicyAction": "ReplaceAndRetain",
    "Details": [{"Target": {"Attribute": "Properties", "Name": "KeySpec", "Path": "/Properties/KeySpec", "BeforeValue": "SYMMETRIC_DEFAULT", "AfterValue": "RSA_2048"}}],
}  # fmt: skip
ROLE = {
    "Action": "Modify", "ResourceType": "AWS::IAM::Role", "LogicalResourceId": "Acquire", "Replacement": "False",
    "Details": [
        {"Target": {"Attribute": "Properties", "Name": "Policies", "Path": "/Properties/Policies/0", "BeforeValue": "a" * 500, "AfterValue": "b"}},
        {"Target": {"Attribute": "Properties", "Name": "Arn"}, "CausingEntity": "Bucket.Arn"},
    ],
}  # fmt: skip


def test_the_diff_says_property_by_property_what_changes_and_what_becomes_of_the_old() -> None:
    found, said = machine("UPDATE_COMPLETE", changes=(KEY, ROLE)), list[str]()
    made = deployment(found)
    made.report = said.append
    made.apply(STEP, dry_run=True)
    text = "\n".join(said)
    assert "Modify  AWS::KMS::Key EvidenceKey (REPLACED; the old one stays, outside of the stack)" in text
    assert "        Properties/KeySpec: SYMMETRIC_DEFAULT → RSA_2048" in text
    assert f"Properties/Policies/0: {'a' * 120}… (500 characters) → b" in text
    assert "Properties/Arn: (not said) → what Bucket.Arn gives" in text, "the second page of the change set"
    assert ("describe_change_set", True) in [(n, r.get("IncludePropertyValues")) for n, r in found.requests]


def test_a_key_is_not_replaced_unless_somebody_agrees() -> None:
    found = machine("UPDATE_COMPLETE", changes=(KEY, ROLE))
    with pytest.raises(DeployError, match=r"modify AWS::KMS::Key EvidenceKey \(REPLACED.*nothing was changed"):
        deployment(found, ask=no).apply(STEP)
    assert "execute_change_set" not in found.calls and found.state == "UPDATE_COMPLETE"
    deployment(found, ask=yes).apply(STEP)
    assert found.calls[-1] == "execute_change_set"
    assert changes.losses([ROLE, {**KEY, "Replacement": "False"}]) == []
    assert len(changes.losses([{"Action": "Remove", "ResourceType": "AWS::S3::Bucket", "LogicalResourceId": "B"}])) == 1


def test_what_an_earlier_deployment_left_is_taken_into_the_stack_when_told() -> None:
    found = Machine(None, fails_with="forensics-evidence already exists")
    with pytest.raises(DeployError, match=r"already exists \(if an earlier deployment left it: --import-existing"):
        deployment(found).apply(STEP)
    taken = Machine(None)
    deployment(taken, import_existing=True).apply(STEP)
    asked = next(r for n, r in taken.requests if n == "create_change_set")
    assert asked["ImportExistingResources"] is True
    assert "ImportExistingResources" not in next(r for n, r in found.requests if n == "create_change_set")


def test_drift_names_resource_property_and_both_values() -> None:
    drifted = {
        "StackResourceDriftStatus": "MODIFIED", "ResourceType": "AWS::SQS::Queue", "LogicalResourceId": "Findings", "PhysicalResourceId": "q",
        "PropertyDifferences": [{"PropertyPath": "/VisibilityTimeout", "ExpectedValue": "120", "ActualValue": "30", "DifferenceType": "NOT_EQUAL"}],
    }  # fmt: skip
    said = list[str]()
    assert (
        day_two.drift(
            [STEP], clients(machine("CREATE_COMPLETE", drifted=(drifted,))), report=said.append, poll_seconds=0.0
        )
        == 1
    )
    assert (
        "modified AWS::SQS::Queue Findings (q)" in said[1]
        and "/VisibilityTimeout: 120 in the template, 30 now" in said[2]
    )


# ---------------------------------------------------------------------- the command line
EXAMPLE = templates.ROOT / "infra" / "deployment.example.yaml"


def test_the_plan_for_programs_has_every_step_and_source(capsys: pytest.CaptureFixture[str]) -> None:
    assert deploy.main([str(EXAMPLE), "--plan", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    steps = plan.steps(configuration.read(EXAMPLE))
    assert data["schema"] == "forensics.deployment-plan/1" and len(data["steps"]) == len(steps)
    mwaa = next(s for s in data["steps"] if s["stack"] == "forensics-mwaa")
    assert mwaa["parameters"]["CaseTable"] == {"from": "output", "value": "forensics-case-store"}
    assert data["not_ready"], "the example has placeholders"


@pytest.mark.parametrize(("typed", "agreed"), [("y", True), ("YES ", True), ("", False), ("no", False)])
def test_a_person_is_asked_at_a_terminal_and_elsewhere_the_answer_is_no(
    monkeypatch: pytest.MonkeyPatch, typed: str, agreed: bool
) -> None:
    monkeypatch.setattr("builtins.input", lambda _: typed)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    assert deploy.asking(yes=False)("Delete?") is agreed
    monkeypatch.setattr("sys.stdin.isatty", lambda: False)
    assert deploy.asking(yes=False)("Delete?") is False
    assert deploy.asking(yes=True)("Delete?") is True


@pytest.mark.parametrize("command", ["--status", "--drift", "--uninstall"])
def test_a_profile_that_is_missing_is_named_before_anything_is_done(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("config", "credentials"):
        (tmp_path / name).write_text("")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    assert deploy.main([str(EXAMPLE), command]) == 1
    assert "profile" in capsys.readouterr().err
