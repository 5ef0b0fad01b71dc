"""A process that is lost around sending a command leaves neither a second command nor a URL that still opens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred

from forensics import document_registry as documents
from forensics.aws.s3_landing import LandingGateway
from forensics.aws.ssm import SsmGateway
from forensics.errors import ThrottledError
from forensics.investigation.analysis_operators import AnalyseDiskOperator
from forensics.investigation.instance_operators import TerminateForensicInstanceOperator
from forensics.memory.live_response_operators import LiveResponseOperator
from lab.evidence.images import Images
from lab.progress import wait_until
from tests.integration.conftest import SmallLab
from tests.integration.steps import DagRun, TaskInstance, perform
from tests.integration.test_case_steps import open_case, triage
from tests.integration.test_third_party_tool import RealDisks, attached


class Killed(BaseException):
    """What a lost process looks like from inside: nothing after it runs."""


@pytest.fixture
def images(tmp_path: Path) -> Images:
    return RealDisks(tmp_path / "cache")


@pytest.fixture(autouse=True)
def only_the_toolkit(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = {"investigate_disk_linux", "live_response_linux"}
    known = {name: entry for name, entry in documents.released().items() if name in wanted}
    monkeypatch.setattr(documents, "released", lambda: known)


def die_after(monkeypatch: pytest.MonkeyPatch, owner: type, name: str) -> None:
    """The call does its work at AWS, and the process is gone before it hears of it."""
    real = getattr(owner, name)

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        real(self, *args, **kwargs)
        raise Killed

    monkeypatch.setattr(owner, name, call)


def manifests(lab: SmallLab) -> list[str]:
    pages = lab.client("s3").get_paginator("list_objects_v2").paginate(Bucket=lab.facts["landing_bucket"])
    return [o["Key"] for page in pages for o in page.get("Contents", []) if o["Key"].endswith("/manifest.txt")]


def sent(lab: SmallLab) -> list[str]:
    return [c["CommandId"] for c in lab.client("ssm").list_commands()["Commands"] if "investigate" in c["Comment"]]


def test_a_command_whose_sender_was_lost_is_found_and_not_sent_again(
    lab: SmallLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    # how many commands there are is the question here: SSM loses none of them
    lab.control("config", {"ssm_first_lost_share": 0, "ssm_late_answer_share": 0})
    case_id = attached(lab)
    with monkeypatch.context() as patch:
        die_after(patch, SsmGateway, "send")
        with pytest.raises(Killed):
            perform(AnalyseDiskOperator(task_id="analyse_disk"), case_id=case_id)
    (first,) = sent(lab)
    assert manifests(lab)
    done = perform(AnalyseDiskOperator(task_id="analyse_disk"), case_id=case_id)
    volumes = lab.facts["instances"]["web-server"]["volumes"].values()
    assert set(done) == {f"investigate_disk of disk-{v}" for v in volumes}
    assert first in sent(lab) and len(sent(lab)) == len(volumes)
    assert manifests(lab) == []


def test_a_manifest_is_revoked_with_its_instance(lab: SmallLab, monkeypatch: pytest.MonkeyPatch) -> None:
    case_id = attached(lab)
    with monkeypatch.context() as patch:
        die_after(patch, LandingGateway, "publish")
        with pytest.raises(Killed):
            perform(AnalyseDiskOperator(task_id="analyse_disk"), case_id=case_id)
    assert len(manifests(lab)) == 1 and sent(lab) == []
    perform(TerminateForensicInstanceOperator(task_id="terminate"), case_id=case_id)
    assert manifests(lab) == []


def test_a_live_response_that_ended_while_its_task_was_lost_is_not_taken_twice(lab: SmallLab) -> None:
    case_id = open_case(lab)
    triage(case_id)
    operator = LiveResponseOperator(task_id="live_response", case_id=case_id)
    # Airflow loses the try after the command was sent; the command ends all the same.
    with pytest.raises(TaskDeferred):
        operator.execute({"ti": TaskInstance("live_response"), "params": {}, "dag_run": DagRun("manual__test")})
    ssm = lab.client("ssm", "member")
    (command,) = live = [c["CommandId"] for c in ssm.list_commands()["Commands"] if "live-response" in c["Comment"]]
    wait_until(
        lambda: ssm.list_commands(CommandId=command)["Commands"][0]["Status"] == "Success",
        what=f"command {command} to succeed",
        progress=lambda: lab.control("activity"),
    )
    assert perform(LiveResponseOperator(task_id="live_response"), case_id=case_id)["outcome"] == "ACQUIRED"
    assert [c["CommandId"] for c in ssm.list_commands()["Commands"] if "live-response" in c["Comment"]] == live
    assert manifests(lab) == []


def test_a_live_response_whose_archive_s3_does_not_give_at_once_is_not_taken_twice(
    lab: SmallLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    case_id = open_case(lab)
    triage(case_id)

    def throttled(*_: Any, **__: Any) -> int:
        raise ThrottledError("look at it: SlowDown")

    with monkeypatch.context() as patch:
        patch.setattr(LandingGateway, "size", throttled)
        with pytest.raises(ThrottledError):
            perform(LiveResponseOperator(task_id="live_response"), case_id=case_id, try_number=1)
    assert perform(LiveResponseOperator(task_id="live_response"), case_id=case_id)["outcome"] == "ACQUIRED"
    commands = lab.client("ssm", "member").list_commands()["Commands"]
    assert len([c for c in commands if "live-response" in c["Comment"]]) == 1
