"""What a tool gets: the image with its symbols, or the attached volume; a table that nobody signed is never offered."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from unittest.mock import create_autospec

import pytest

from forensics.aws import visibility
from forensics.aws.disk_keys import DiskKeyGateway, StoredKey
from forensics.custody.signed_documents import SignatureError
from forensics.errors import InvestigationError
from forensics.investigation import analysis_inputs
from forensics.investigation.analysis_inputs import DiskInputs, MemoryInputs, ToolInput
from forensics.models.evidence import EvidenceKind, Outcome
from forensics.models.results import Investigation, UsedKey
from forensics.models.symbols import SymbolTable
from tests.unit.accounts import EbsInMemory
from tests.unit.builders import CASE_ID, INSTANCE, evidence
from tests.unit.recorders import FakeRecorder

MEMORY = f"memory-{INSTANCE}"
BANNER = "Linux version 6.1.0-test (somebody@example) #1 SMP"
TABLE = SymbolTable(
    banner=BANNER,
    method="dwarf",
    key="cases/fc-symbols/linux/t.json.xz",
    sha256="a" * 64,
    bytes=9,
    symbols=5,
    package="symbols/packages/a.deb",
    package_sha256="1" * 64,
    kernel_sha256="2" * 64,
    document_sha256="3" * 64,
    instance_id="i-1",
    built_at=datetime(2026, 11, 1, tzinfo=UTC),
)


class Library:
    """The symbol library, with what a test puts there."""

    def __init__(self, table: SymbolTable | None = None, error: SignatureError | None = None) -> None:
        self.table, self.error = table, error

    def find(self, banner: str) -> SymbolTable | None:
        assert banner == BANNER
        if self.error:
            raise self.error
        return self.table

    def get_url(self, table: SymbolTable) -> str:
        return f"https://library.invalid/{table.key}"


@pytest.fixture
def recorder() -> FakeRecorder:
    made = FakeRecorder()
    fact = {"key": f"cases/{CASE_ID}/btf", "sha256": "b" * 64, "bytes": 5}
    made.save_evidence(
        evidence(
            EvidenceKind.MEMORY,
            uri="s3://evidence/cases/x/image.lime",
            digests=[{"value": "c" * 64, "subject": "image", "source": "target"}] * 2,
            origin={"kernel_banner": BANNER, "kernel_facts": {"btf": fact}},
        )
    )
    return made


def inputs(recorder: FakeRecorder, **library: Any) -> MemoryInputs:
    return MemoryInputs(recorder, symbols=Library(**library), archive=None)  # type: ignore[arg-type]


def test_the_image_goes_with_the_kernels_own_facts(recorder: FakeRecorder) -> None:
    assert inputs(recorder).find(MEMORY, instance_id="i-1") == ToolInput(
        gets={
            "memory": ("c" * 64, "https://evidence.invalid/cases/x/image.lime"),
            "btf": ("b" * 64, f"https://evidence.invalid/cases/{CASE_ID}/btf"),
        }
    )


def test_the_librarys_table_is_offered_and_named_in_the_timeline(recorder: FakeRecorder) -> None:
    found = inputs(recorder, table=TABLE).find(MEMORY, instance_id="i-1")
    assert found.gets["symbols"] == ("a" * 64, f"https://library.invalid/{TABLE.key}")
    assert recorder.notes == [f"symbol library offers {TABLE.key}, made from {TABLE.package} (dwarf)"]


def test_a_table_that_nobody_signed_is_noted_and_not_offered(recorder: FakeRecorder) -> None:
    found = inputs(recorder, error=SignatureError("entry x is not what was signed")).find(MEMORY, instance_id="i-1")
    assert "symbols" not in found.gets
    assert recorder.notes[0].startswith("symbol library: entry x is not what was signed; ")


def test_an_image_without_a_banner_asks_the_library_nothing(recorder: FakeRecorder) -> None:
    recorder.save_evidence(evidence(EvidenceKind.MEMORY, uri="s3://evidence/k"))
    assert inputs(recorder, table=TABLE).symbol_table(MEMORY) is None


def test_an_item_without_a_stored_image_is_an_error(recorder: FakeRecorder) -> None:
    recorder.save_evidence(evidence(EvidenceKind.MEMORY, Outcome.PARTIAL))
    with pytest.raises(InvestigationError, match=f"evidence {MEMORY} has no stored object"):
        inputs(recorder).find(MEMORY, instance_id="i-1")


@pytest.mark.parametrize(
    ("outcome", "reason", "table", "again"),
    [
        (Outcome.PARTIAL, "no symbol table for 6.1.0-test", TABLE, True),
        (Outcome.PARTIAL, "no symbol table for 6.1.0-test", None, False),
        (Outcome.PARTIAL, "one plugin failed", TABLE, False),
        (Outcome.DONE, "", TABLE, False),
    ],
)
def test_an_image_without_symbols_is_worth_a_second_run_once_there_is_a_table(
    recorder: FakeRecorder, outcome: Outcome, reason: str, table: SymbolTable | None, again: bool
) -> None:
    found = Investigation(activity="investigate_memory", evidence_id=MEMORY, outcome=outcome, reason=reason)
    assert inputs(recorder, table=table).worth_repeating(found) is again


def test_stored_images_are_hashed_again_first(recorder: FakeRecorder, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[str] = []
    monkeypatch.setattr(analysis_inputs, "rehash", lambda archive, of, item: hashed.append(item.evidence_id))
    inputs(recorder).check([MEMORY, "memory-unknown"])
    assert hashed == [MEMORY]


def test_a_volume_that_no_list_shows_yet_is_waited_for() -> None:
    """EC2 developer guide, "Eventual consistency": found in an end-to-end run, it cost the step a try."""

    class Late(EbsInMemory):
        looks = 0

        def find_volumes(self, *, tags: dict[str, str]) -> Any:
            self.looks += 1
            return super().find_volumes(tags=tags) if self.looks > 1 else []

    ebs = Late()
    marks = {"forensics_case": CASE_ID, "forensics_evidence": "disk-vol-1"}
    ebs.add_volume("vol-7", "in-use", holder="i-1", **marks)
    found = DiskInputs(FakeRecorder(), ebs).find("disk-vol-1", instance_id="i-1")
    assert found == ToolInput(parameters={"VolumeId": "vol-7"}) and ebs.looks == 2


def test_a_disk_is_found_by_its_attached_volume(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visibility, "LISTED_WITHIN", 0.0)
    ebs, recorder = EbsInMemory(), FakeRecorder()
    marks = {"forensics_case": CASE_ID, "forensics_evidence": "disk-vol-1"}
    disks = DiskInputs(recorder, ebs)
    ebs.add_volume("vol-8", "available", **marks)
    with pytest.raises(InvestigationError, match="no volume of disk-vol-1 is attached"):
        disks.find("disk-vol-1", instance_id="i-1")
    ebs.add_volume("vol-9", "in-use", holder="i-2", **marks)
    with pytest.raises(InvestigationError, match="attached to another instance than i-1") as caught:
        disks.find("disk-vol-1", instance_id="i-1")
    assert caught.value.next_action == "clear investigation.attach_evidence_volumes"
    ebs.add_volume("vol-7", "in-use", holder="i-1", **marks)
    assert disks.find("disk-vol-1", instance_id="i-1") == ToolInput(parameters={"VolumeId": "vol-7"})
    done = Investigation(activity="investigate_disk", evidence_id="disk-vol-1", outcome=Outcome.PARTIAL)
    assert disks.worth_repeating(done) is False


def test_keys_of_disks_that_can_be_read_are_given_and_the_others_named() -> None:
    ebs, recorder = EbsInMemory(), FakeRecorder()
    marks = {"forensics_case": CASE_ID, "forensics_evidence": "disk-vol-1"}
    ebs.add_volume("vol-7", "in-use", holder="i-1", **marks)
    web = StoredKey(UsedKey(name="/forensics/disk-keys/web", version="1"), b"planted")
    stored = create_autospec(DiskKeyGateway, instance=True)
    refusal = InvestigationError("the parameter is not there", next_action="store it")
    stored.read.side_effect = lambda name: web if name == web.used.name else (_ for _ in ()).throw(refusal)
    names = ["/forensics/disk-keys/gone", web.used.name, web.used.name]
    disks = DiskInputs(recorder, ebs, stored=stored, keys=names)
    assert disks.find("disk-vol-1", instance_id="i-1").keys == (web,)
    assert stored.read.call_count == 2
    (note,) = recorder.notes
    assert note == "the parameter is not there; the disk is examined without this key. store it"


@pytest.mark.parametrize(
    ("outcome", "used", "again"),
    [
        (Outcome.PARTIAL, [], True),
        (Outcome.PARTIAL, ["/forensics/disk-keys/web"], False),
        (Outcome.DONE, [], False),
    ],
)
def test_a_disk_that_was_read_in_part_is_examined_again_with_a_new_key(
    outcome: Outcome, used: list[str], again: bool
) -> None:
    disks = DiskInputs(FakeRecorder(), EbsInMemory(), keys=["/forensics/disk-keys/web"])
    done = Investigation(
        activity="investigate_disk",
        evidence_id="disk-vol-1",
        outcome=outcome,
        disk_keys=[UsedKey(name=name) for name in used],
    )
    assert disks.worth_repeating(done) is again
