"""What only looks like the case's own is told once, recorded a bounded number of times, and never adopted."""

from __future__ import annotations

from datetime import UTC, datetime

from forensics.aws.s3 import StoredObject
from forensics.aws.ssm import ExpectedCommand
from forensics.case.adoption import living_command, record_stored, refuse
from forensics.models.custody import CustodyAction
from tests.unit.builders import CASE_ID, INSTANCE
from tests.unit.memory.target import SsmOfTarget
from tests.unit.recorders import FakeRecorder

EXPECTED = ExpectedCommand("fc-1 memory", "forensics-acquire", "a" * 64, "https://landing.example/m")


def test_a_strange_command_is_refused_and_the_own_one_is_taken() -> None:
    recorder, ssm = FakeRecorder(), SsmOfTarget()
    ssm.live, ssm.strange = "command-1", [("command-9", "it runs the document AWS-RunShellScript\n\u202e")]
    for _ in range(2):
        found = living_command(recorder, ssm, instance_id=INSTANCE, expected=EXPECTED, evidence_id="memory-i-1")
        assert found == "command-1"
    assert recorder.ledger.actions() == [CustodyAction.ADOPTION_REFUSED]
    detail = recorder.ledger.last(CustodyAction.ADOPTION_REFUSED).detail
    assert (detail["what"], detail["name"]) == ("command", "command-9")
    (told,) = [m for m in recorder.mailbox.mail if m.event == "planted"]
    assert any("command-9 carries this case's marks" in line for line in told.lines)


def test_people_are_told_once_a_case_however_much_is_planted() -> None:
    recorder = FakeRecorder()
    for number in range(60):
        refuse(recorder, what="snapshot", name=f"snap-{number}", why="no request of this case made it")
    assert len([m for m in recorder.mailbox.mail if m.event == "planted"]) == 1
    assert len(recorder.ledger.actions()) == 20


def test_an_object_is_in_the_ledger_as_it_was_stored() -> None:
    recorder, now = FakeRecorder(), datetime(2026, 11, 24, tzinfo=UTC)
    stored = recorder.evidence_store.put(f"cases/{CASE_ID}/x", b"body")
    assert isinstance(stored, StoredObject) and stored.locked_until > now
    for _ in range(2):
        record_stored(recorder, stored, evidence_id="memory-i-1")
    (event,) = recorder.ledger.events(CASE_ID)
    assert (event.action, event.detail["sha256"], event.detail["uri"]) == (
        CustodyAction.OBJECT_STORED,
        stored.sha256,
        stored.uri,
    )
