"""The steps of the symbol library: each waits for its builder, and a failed build is not repeated."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from forensics.aws.triggers import SsmCommandsCompletedTrigger
from forensics.errors import InvestigationError
from forensics.investigation.symbol_build import BuildJob, SymbolBuild
from forensics.investigation.symbol_operators import BuildSymbolsOperator, LaunchBuilderOperator, RemoveBuilderOperator
from forensics.investigation.triggers import ForensicInstanceOnlineTrigger, InstancesGoneTrigger
from forensics.models.symbols import SymbolTable
from tests.unit.accounts import FORENSIC, HookInMemory, settings
from tests.unit.investigation.library import table
from tests.unit.recorders import TaskInstance

JOB = BuildJob(command_id="command-1", instance_id="i-1", prefix="fc-symbols/x", document_sha256="3" * 64)
FAILED = {"ok": False, "cause": "timed out waiting for i-1", "next_action": "look at it"}


class Run:
    run_id = "manual__1"


CONTEXT: Any = {"dag_run": Run(), "ti": TaskInstance(2)}


class Builds(SymbolBuild):
    """Builds that remember what they were asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.ending = ["i-1"]
        self.error: InvestigationError | None = None
        self.untaken = 0

    def launch(self, run_id: str, try_number: int) -> str:
        self.calls.append(("launch", run_id, try_number))
        return "i-1"

    def send(self, package: str, sha256: str) -> BuildJob:
        self.calls.append(("send", package, sha256))
        return JOB

    def was_not_taken(self, job: BuildJob) -> bool:
        self.untaken -= 1
        return self.untaken >= 0

    def revoke(self, job: BuildJob) -> None:
        self.calls.append(("revoke", job.prefix))

    def store(self, job: BuildJob, *, package: str, sha256: str) -> SymbolTable:
        self.calls.append(("store", job, package, sha256))
        if self.error:
            raise self.error
        return table()

    def terminate(self) -> list[str]:
        return self.ending


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> Builds:
    made = Builds()
    monkeypatch.setattr(SymbolBuild, "of", lambda own, **sessions: made)
    hook = HookInMemory(settings())
    monkeypatch.setattr("forensics.investigation.symbol_operators.ForensicsHook", lambda: hook)
    return made


def deferral(step: Any) -> TaskDeferred:
    with pytest.raises(TaskDeferred) as caught:
        step.execute(CONTEXT)
    return caught.value


def test_the_launch_waits_for_the_agent_under_the_librarys_identity(builds: Builds) -> None:
    step = LaunchBuilderOperator(task_id="launch_builder")
    found = deferral(step)
    assert builds.calls == [("launch", "manual__1", 2)]
    trigger = found.trigger
    assert isinstance(trigger, ForensicInstanceOnlineTrigger) and trigger.instance_id == "i-1"
    assert (trigger.scope["case_id"], trigger.scope["account_id"]) == ("fc-symbols", FORENSIC)
    assert getattr(step, found.method_name)(CONTEXT, {"ok": True, "instance_id": "i-1"}) == "i-1"
    with pytest.raises(AirflowFailException, match=r"timed out waiting for i-1\. What to do next: look at it"):
        getattr(step, found.method_name)(CONTEXT, FAILED)


def build(builds: Builds) -> tuple[BuildSymbolsOperator, TaskDeferred]:
    step = BuildSymbolsOperator(task_id="build_symbols", package="a.deb", sha256="1" * 64)
    return step, deferral(step)


def test_the_build_waits_for_its_command_and_stores_the_table(builds: Builds) -> None:
    step, found = build(builds)
    assert isinstance(found.trigger, SsmCommandsCompletedTrigger)
    assert found.trigger.commands == [["command-1", "i-1"]]
    made = getattr(step, found.method_name)(CONTEXT, {"ok": True}, **found.kwargs)
    assert made == {
        "banner": table().banner, "method": "btf", "key": table().key, "sha256": "a" * 64, "symbols": 5, "notes": [],
    }  # fmt: skip
    assert builds.calls[1:] == [("revoke", "fc-symbols/x"), ("store", JOB, "a.deb", "1" * 64)]


def test_a_build_that_failed_is_revoked_and_not_repeated(builds: Builds) -> None:
    step, found = build(builds)
    with pytest.raises(AirflowFailException, match="timed out waiting for i-1"):
        getattr(step, found.method_name)(CONTEXT, FAILED, **found.kwargs)
    assert builds.calls[1:] == [("revoke", "fc-symbols/x")]
    builds.error = InvestigationError("no symbol table was built: no vmlinux", next_action="put another package")
    with pytest.raises(AirflowFailException, match=r"no vmlinux\. What to do next: put another package"):
        getattr(step, found.method_name)(CONTEXT, {"ok": True}, **found.kwargs)


def test_a_command_that_the_builder_never_took_is_sent_once_more(builds: Builds) -> None:
    builds.untaken = 2
    step, found = build(builds)
    with pytest.raises(TaskDeferred) as again:
        getattr(step, found.method_name)(CONTEXT, {"ok": True}, **found.kwargs)
    assert [name for name, *_ in builds.calls] == ["send", "revoke", "send"]
    getattr(step, again.value.method_name)(CONTEXT, {"ok": True}, **again.value.kwargs)
    assert [name for name, *_ in builds.calls] == ["send", "revoke", "send", "revoke", "store"]


def test_package_and_digest_come_from_the_runs_parameters() -> None:
    step = BuildSymbolsOperator(task_id="build_symbols")
    assert step.template_fields == ("package", "sha256")
    assert (step.package, step.sha256) == ("{{ params.package }}", "{{ params.sha256 }}")


def test_the_removal_waits_until_the_builder_is_gone(builds: Builds) -> None:
    step = RemoveBuilderOperator(task_id="remove_builder")
    found = deferral(step)
    assert isinstance(found.trigger, InstancesGoneTrigger) and found.trigger.instance_ids == ["i-1"]
    assert getattr(step, found.method_name)(CONTEXT, {"ok": True, "instances": ["i-1"]}) == ["i-1"]
    builds.ending = []
    assert step.execute(CONTEXT) == []
