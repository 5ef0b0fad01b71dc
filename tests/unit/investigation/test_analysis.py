"""One pinned command for each document and item, never a second one; every result is imported before a failure is raised."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest

from forensics import document_registry
from forensics.aws.disk_keys import StoredKey
from forensics.errors import InvestigationError, ThrottledError
from forensics.investigation.analysis import MOST_SENT_AGAIN, Analysis, Job
from forensics.investigation.analysis_inputs import AnalysisInputs, ToolInput
from forensics.investigation.artifacts import result_key
from forensics.models.custody import CustodyAction
from forensics.models.documents import Document, OfferedFile, Output
from forensics.models.evidence import EvidenceKind, Outcome
from forensics.models.results import Investigation, UsedKey
from tests.unit.accounts import SsmInMemory, settings
from tests.unit.builders import CASE_ID, evidence, said
from tests.unit.recorders import FakeRecorder

ITEM, KEY = "disk-vol-1", result_key("investigate_disk", "disk-vol-1")
SECONDS = 7200


def document(activity: str = "investigate_disk", **more: Any) -> Document:
    return Document(
        name=f"forensics-{activity}_linux",
        sha256="d" * 64,
        activity=activity,
        platform="linux",
        evidence=EvidenceKind.DISK,
        tool="disk",
        **more,
    )


class Inputs(AnalysisInputs):
    """One volume for each disk."""

    kind = EvidenceKind.DISK

    def __init__(self) -> None:
        self.checked: list[str] = []
        self.again = False
        self.keys: tuple[StoredKey, ...] = ()

    def check(self, items: list[str]) -> None:
        self.checked += items

    def find(self, item: str, *, instance_id: str) -> ToolInput:
        gets = {"thing": (None, "https://thing.invalid")}
        return ToolInput(gets=gets, parameters={"VolumeId": f"volume of {item}"}, keys=self.keys)

    def worth_repeating(self, found: Investigation) -> bool:
        return self.again


class World:
    """A case with an acquired disk, and the documents that a test registers."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *documents: Document) -> None:
        known = {d.name: d for d in documents or (document(),)}
        monkeypatch.setattr(document_registry, "released", lambda: known)
        self.recorder, self.ssm, self.inputs = FakeRecorder(), SsmInMemory(), Inputs()
        self.recorder.save_evidence(evidence(EvidenceKind.DISK))
        self.analysis = Analysis(self.recorder, self.inputs, ssm=self.ssm, settings=settings())

    def start(self, instance_id: str = "i-1") -> list[list[str]]:
        return self.analysis.start(self.analysis.open_jobs([ITEM]), [ITEM], instance_id=instance_id)

    def known(self, key: str = KEY) -> Investigation:
        found = self.recorder.get(key, Investigation)
        assert found is not None
        return found

    def upload(self, command_id: str, activity: str = "investigate_disk", *, findings: int = 1) -> None:
        """End a command well, with its artifacts in the landing bucket."""
        prefix = self.known(result_key(activity, ITEM)).document.landing_prefix
        results = {
            "schema": "forensics.results/1", "case_id": CASE_ID, "evidence_id": ITEM, "tool": "disk",
            "started": "2026-11-24T08:00:00Z", "ended": "2026-11-24T08:01:00Z",
            "findings": [{"id": str(n), "title": "x"} for n in range(findings)],
        }  # fmt: skip
        files = {"results": json.dumps(results).encode(), "timeline": b"{}", "raw": b"tar"}
        for name, body in files.items():
            self.recorder.landing.objects[f"{prefix}/{name}"] = body
        stated = {name: {"sha256": hashlib.sha256(body).hexdigest()} for name, body in files.items()}
        self.ssm.end(command_id, json.dumps({"status": "ok", "artifacts": stated}))


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def test_the_command_is_pinned_and_gets_a_manifest(monkeypatch: pytest.MonkeyPatch) -> None:
    offers = {"signatures": OfferedFile(key="tools/s.hsb", sha256="e" * 64)}
    world = World(monkeypatch, document(takes_limit=True, offers=offers))
    assert world.start() == [["command-1", "i-1"]]
    assert world.inputs.checked == [ITEM]
    (sent,) = world.ssm.sent
    assert (sent["document"], sent["version"], sent["sha256"]) == ("forensics-investigate_disk_linux", "7", "d" * 64)
    assert sent["comment"] == f"{CASE_ID} investigate_disk {ITEM}"
    assert (sent["timeout_seconds"], sent["delivery_seconds"]) == (SECONDS, SECONDS)
    prefix = world.known().document.landing_prefix
    assert prefix.startswith(f"{CASE_ID}/{ITEM}/investigate_disk-")
    assert sent["parameters"] == {
        "CaseId": CASE_ID,
        "EvidenceId": ITEM,
        "ManifestUrl": f"https://landing.invalid/{prefix}/manifest.txt",
        "ExecutionTimeout": str(SECONDS),
        "VolumeId": f"volume of {ITEM}",
    }
    manifest = world.recorder.landing.objects[f"{prefix}/manifest.txt"].decode().splitlines()
    assert manifest == [
        "forensics-manifest 1",
        "get thing - https://thing.invalid",
        f"get signatures {'e' * 64} https://tools.invalid/tools/s.hsb",
        *(f"put {name} https://landing.invalid/{prefix}/{name}" for name in ("results", "timeline", "raw")),
    ]
    known = world.known()
    assert (known.outcome, known.command_id, known.instance_id) == (Outcome.PENDING, "command-1", "i-1")
    detail = world.recorder.ledger.last(CustodyAction.EVIDENCE_ACCESSED).detail
    assert (detail["command_id"], detail["document_sha256"]) == ("command-1", "d" * 64)


KEYS = (StoredKey(UsedKey(name="/forensics/disk-keys/web", arn="arn:web", version="3"), b"planted-value-one"),)


def test_a_disks_key_is_in_the_manifest_alone_and_the_ledger_says_which(world: World) -> None:
    world.inputs.keys = KEYS
    world.start()
    prefix = world.known().document.landing_prefix
    manifest = world.recorder.landing.objects[f"{prefix}/manifest.txt"].decode()
    encoded = base64.b64encode(KEYS[0].value).decode()
    assert f"key /forensics/disk-keys/web {encoded}\n" in manifest
    said = [{"name": "/forensics/disk-keys/web", "arn": "arn:web", "version": "3"}]
    assert world.recorder.ledger.last(CustodyAction.EVIDENCE_ACCESSED).detail["disk_keys"] == said
    assert any("with the disk keys /forensics/disk-keys/web (version 3)" in note for note in world.recorder.notes)
    elsewhere = f"{world.ssm.sent}{world.known()!r}{world.recorder.notes}{world.recorder.ledger.last(CustodyAction.EVIDENCE_ACCESSED)}"
    assert "planted-value-one" not in elsewhere and encoded not in elsewhere
    # ended or not, the manifest goes with its version
    world.upload("command-1")
    world.analysis.import_results()
    assert world.recorder.landing.erased == [prefix] and world.recorder.landing.revoked == []


def test_a_tool_of_the_users_own_gets_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, document(output=Output.RAW))
    world.inputs.keys = KEYS
    world.start()
    assert world.known().disk_keys == []
    assert (
        "\nkey " not in world.recorder.landing.objects[f"{world.known().document.landing_prefix}/manifest.txt"].decode()
    )


def test_a_command_that_was_sent_is_not_sent_again(world: World) -> None:
    assert world.start() == world.start() == [["command-1", "i-1"]]
    assert len(world.ssm.sent) == 1


def test_a_command_whose_id_was_never_recorded_is_found_by_its_comment(world: World) -> None:
    world.start()
    world.recorder.put(KEY, world.known().model_copy(update={"command_id": None}))
    world.ssm.live[f"{CASE_ID} investigate_disk {ITEM}"] = "command-lost"
    assert world.start() == [["command-lost", "i-1"]]
    assert (world.known().command_id, len(world.ssm.sent)) == ("command-lost", 1)


def test_on_another_instance_the_command_is_sent_anew_and_the_old_manifest_revoked(world: World) -> None:
    world.start()
    old = world.known().document.landing_prefix
    assert world.start("i-2") == [["command-2", "i-2"]]
    assert world.recorder.landing.revoked == [old]
    assert world.known().document.landing_prefix != old


def test_a_call_that_fails_leaves_a_manifest_that_can_be_revoked(world: World) -> None:
    world.ssm.failing = ThrottledError("send command: ThrottlingException")
    with pytest.raises(ThrottledError):
        world.start()
    known = world.known()
    assert (known.outcome, known.command_id) == (Outcome.PENDING, None)
    assert f"{known.document.landing_prefix}/manifest.txt" in world.recorder.landing.objects


def test_documents_are_named_with_those_that_were_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, document(), document("investigate_off", enabled=False))
    assert world.analysis.open_jobs([ITEM]) == [Job(document(), ITEM)]
    assert world.recorder.notes == [
        "documents for disk: forensics-investigate_disk_linux "
        "(not: forensics-investigate_off_linux: switched off in the registry)"
    ]


@pytest.mark.parametrize(
    ("outcome", "again", "is_open"),
    [
        (Outcome.DONE, False, False),
        (Outcome.PARTIAL, False, False),
        (Outcome.PARTIAL, True, True),
        (Outcome.FAILED, False, True),
        (Outcome.PENDING, False, True),
    ],
)
def test_what_has_succeeded_is_not_open(world: World, outcome: Outcome, again: bool, is_open: bool) -> None:
    world.inputs.again = again
    done = Investigation(activity="investigate_disk", evidence_id=ITEM, outcome=outcome)
    world.recorder.put(KEY, done)
    assert bool(world.analysis.open_jobs([ITEM])) is is_open
    assert bool(world.recorder.notes) is is_open, "nothing is said when there is nothing to do"


def test_results_are_imported_and_announced(world: World) -> None:
    world.start()
    world.upload("command-1", findings=3)
    assert world.analysis.import_results() == {f"investigate_disk of {ITEM}": 3}
    assert world.known().outcome is Outcome.DONE
    assert world.recorder.subjects == [said("Investigation of disk done: 3 findings")]
    assert world.recorder.mailbox.mail[0].facts["findings"] == {f"investigate_disk of {ITEM}": 3}


def test_one_failed_command_does_not_hide_the_others_results(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, document(), document("investigate_scan"))
    assert world.start() == [["command-1", "i-1"], ["command-2", "i-1"]]
    world.ssm.end("command-1", "", status="Failed")
    world.upload("command-2", "investigate_scan")
    with pytest.raises(InvestigationError, match=f"investigation failed: investigate_disk of {ITEM}: .*ended Failed"):
        world.analysis.import_results()
    assert world.known().outcome is Outcome.FAILED and "ended Failed" in str(world.known().reason)
    assert world.known(result_key("investigate_scan", ITEM)).outcome is Outcome.DONE
    assert world.recorder.mailbox.mail == []


# ---------------------------------------------------------------------- commands that no agent took
def lose(world: World, command_id: str) -> None:
    """SSM gives it up: radkawar/stackd, testdata/aws/ssm/managed_execution_native.json."""
    world.ssm.end(command_id, "", status="TimedOut", detail="DeliveryTimedOut", exit_code=-1)


def test_a_command_that_no_agent_took_is_sent_again_with_uploads_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, document(), document("investigate_scan"))
    world.start()
    first = world.known().document.landing_prefix
    lose(world, "command-1")
    world.upload("command-2", "investigate_scan")
    assert world.analysis.send_again() == [["command-3", "i-1"], ["command-2", "i-1"]]
    assert (world.known().command_id, world.known().sent_again) == ("command-3", 1)
    assert world.known().document.landing_prefix != first and first in world.recorder.landing.revoked
    assert any("was not taken by i-1: it is sent again" in note for note in world.recorder.notes)
    world.upload("command-3")
    assert world.analysis.send_again() == [], "nothing is lost any more"
    assert len(world.analysis.import_results()) == 2


def test_a_command_that_the_wait_gave_up_is_sent_again_and_one_that_a_person_cancelled_is_not(world: World) -> None:
    world.start()
    world.ssm.end("command-1", "", status="Cancelled", detail="Cancelled", exit_code=-1)
    assert world.analysis.send_again() == []
    assert world.analysis.send_again(["command-1"]) == [["command-2", "i-1"]]


def test_an_instance_that_takes_nothing_is_given_up_with_its_cause(world: World) -> None:
    world.start()
    for number in range(1, MOST_SENT_AGAIN + 1):
        lose(world, f"command-{number}")
        assert world.analysis.send_again() == [[f"command-{number + 1}", "i-1"]]
    lose(world, f"command-{MOST_SENT_AGAIN + 1}")
    assert world.analysis.send_again() == []
    with pytest.raises(InvestigationError, match="DeliveryTimedOut") as error:
        world.analysis.import_results()
    assert "PingStatus may be minutes old" in error.value.next_action
