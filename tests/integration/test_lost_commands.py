"""A process that is lost around sending a command leaves neither a second command nor a URL that still opens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from forensics.aws.s3 import LandingGateway
from forensics.aws.ssm import SsmGateway
from forensics.domain import documents
from forensics.operators.analysis import AnalyseDiskOperator
from forensics.operators.investigation import TerminateForensicInstanceOperator
from lab.seed_targets import Images
from tests import memory_image
from tests.integration.conftest import SmallLab
from tests.integration.steps import perform
from tests.integration.test_third_party_tool import RealDisks, attached


class Killed(BaseException):
    """What a lost process looks like from inside: nothing after it runs."""


@pytest.fixture
def images(tmp_path: Path) -> Images:
    return RealDisks(cache=tmp_path / "cache", build_disk=memory_image.write, unpack_memory=memory_image.write)


@pytest.fixture(autouse=True)
def only_the_toolkit(monkeypatch: pytest.MonkeyPatch) -> None:
    toolkit = documents.released()["investigate_disk_linux"]
    monkeypatch.setattr(documents, "released", lambda: {"investigate_disk_linux": toolkit})


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


def test_a_command_whose_sender_was_lost_is_taken_up_and_not_sent_again(
    lab: SmallLab, monkeypatch: pytest.MonkeyPatch
) -> None:
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


def test_what_a_command_was_offered_goes_with_its_instance(lab: SmallLab, monkeypatch: pytest.MonkeyPatch) -> None:
    case_id = attached(lab)
    with monkeypatch.context() as patch:
        die_after(patch, LandingGateway, "publish")
        with pytest.raises(Killed):
            perform(AnalyseDiskOperator(task_id="analyse_disk"), case_id=case_id)
    assert len(manifests(lab)) == 1 and sent(lab) == []
    perform(TerminateForensicInstanceOperator(task_id="terminate"), case_id=case_id)
    assert manifests(lab) == []
