"""Handing a case over: the bundle is recorded, signed for, stored and announced."""

from __future__ import annotations

import pytest

from forensics.case.persons import StepRun
from forensics.models.custody import CustodyAction
from forensics.report.handover import export_case
from tests.unit.custody.archive import ArchiveInMemory
from tests.unit.recorders import FakeRecorder
from tests.unit.signing import signing_key


@pytest.mark.parametrize(("requester", "recipient"), [("court expert", "court expert"), ("", "not said")])
def test_a_bundle_is_recorded_before_it_is_written(requester: str, recipient: str) -> None:
    recorder = FakeRecorder(step="export_case")
    recorder.ledger.key = signing_key()
    made = export_case(recorder, archive=ArchiveInMemory(), requester=requester, largest_mib=5)
    event = recorder.ledger.last(CustodyAction.CASE_EXPORTED)
    assert event.facts and event.facts.moved_to == recipient
    assert (event.detail["requester"], event.detail["largest_mib"]) == (requester, 5)
    assert recorder.ledger.signed == ["export"]
    ((key, body),) = recorder.evidence_store.objects.items()
    assert made["uri"] == f"s3://evidence/{key}" and made["bytes"] == len(body) and b"case.jsonld" in body
    assert key.endswith(f"/{recorder.case_id}.tar") and b"CASE_EXPORTED" in body
    mail = recorder.mailbox.mail[-1]
    assert mail.event == "case_exported" and f"Signing key: {made['fingerprint']}" in mail.lines
    assert recorder.notes[-1] == f"case exported: {made['uri']}"


def test_each_bundle_of_a_cleared_step_is_in_the_ledger() -> None:
    recorder = FakeRecorder(step="export_case")
    recorder.ledger.key = signing_key()
    for order in ("2", "5"):
        recorder.run = StepRun(run_id="manual__1", order=order)
        export_case(recorder, archive=ArchiveInMemory(), requester="court expert", largest_mib=5)
    assert recorder.ledger.actions().count(CustodyAction.CASE_EXPORTED) == 2
