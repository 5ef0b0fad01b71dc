"""Closing a case: the status tells how complete it is, and what goes wrong at the end is a gap of the case."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest

from forensics.case.persons import StepRun
from forensics.errors import AwsError, CustodyChainError, RetentionError
from forensics.models.case import Case, CaseStatus, CaseView, Milestone, Phase
from forensics.models.custody import CustodyAction
from forensics.models.disk import SnapshotLock
from forensics.models.evidence import DiskEvidence, Outcome
from forensics.report import render_html
from forensics.report.closing import INSTANCE, PROTECTION, REPORT, RETENTION, SIGNATURE, close_case
from forensics.report.sections import BEING_READ, undigested
from forensics.report.writer import complete_report, write_report
from tests.unit.builders import said
from tests.unit.recorders import FakeRecorder
from tests.unit.report import sample
from tests.unit.report.test_gap_counts import Stored


class Closing:
    """Closes a case and keeps the closed one that its findings are annotated with."""

    def __init__(
        self,
        recorder: FakeRecorder,
        *,
        broken: Exception | None = None,
        unkept: Exception | None = None,
        protected: Exception | None = None,
        task_states: dict[str, str] | None = None,
    ) -> None:
        self.annotated: list[Case] = []
        self.kept_from: list[datetime] = []
        self.unkept = unkept
        self.broken = broken
        self.protected = protected
        recorder.store.locks.add(recorder.case_id)
        self.gaps = [
            str(gap)
            for gap in close_case(
                recorder,
                remove_forensic_resources=self._remove,
                end_protection=self._unprotect,
                complete_report=lambda: complete_report(recorder, task_states=task_states or {}),
                keep_evidence=self._keep,
                annotate_findings=self.annotated.append,
            )
        ]

    def _keep(self, closed_at: datetime) -> None:
        if self.unkept:
            raise self.unkept
        self.kept_from.append(closed_at)

    def _unprotect(self) -> None:
        if self.protected:
            raise self.protected

    def _remove(self) -> None:
        if self.broken:
            raise self.broken


@pytest.fixture
def recorder() -> Stored:
    """A case of which nothing is missing, its report written."""
    made = Stored(sample.complete_view())
    write_report(made, task_states={})
    made.ledger.signed.clear()
    made.mailbox.mail.clear()
    made.store.update_case(made.case_id, status=CaseStatus.OPEN, phase=Phase.INVESTIGATION, closed_at=None)
    return made


def test_a_complete_case_is_closed_signed_and_unlocked(recorder: Stored) -> None:
    closing = Closing(recorder)
    closed = recorder.case_now()
    assert closing.gaps == []
    assert (closed.status, closed.phase) == (CaseStatus.CLOSED, Phase.DONE) and closed.closed_at is not None
    assert closing.annotated == [closed]
    assert recorder.ledger.signed == ["close"] and recorder.store.locks == set()
    assert recorder.ledger.last(CustodyAction.CASE_CLOSED, recorder.case_id).detail["gaps"] == []
    assert Milestone.CLOSED in recorder.view().milestones
    assert (
        recorder.mailbox.mail[-1].facts | {"status": "CLOSED", "gaps": [], "gap_count": 0}
        == recorder.mailbox.mail[-1].facts
    )
    assert recorder.subjects == [said("Case closed: complete", about=recorder.case)]


def test_a_forensic_instance_that_is_still_there_is_a_gap_until_it_is_gone(recorder: Stored) -> None:
    closing = Closing(recorder, broken=AwsError("i-1 could not be terminated", next_action="terminate it"))
    assert closing.gaps == [f"{INSTANCE}: i-1 could not be terminated"]
    assert recorder.case_now().status is CaseStatus.CLOSED_WITH_GAPS
    assert recorder.subjects == [said("Case closed WITH GAPS: 1 gap", about=recorder.case)]
    assert Closing(recorder).gaps == [] and recorder.case_now().status is CaseStatus.CLOSED


def test_protections_that_cannot_be_taken_back_are_a_gap_until_they_are(recorder: Stored) -> None:
    refused = AwsError("ec2.modify_instance_attribute: refused", next_action="give the release role this")
    assert any(PROTECTION in gap and "refused" in gap for gap in Closing(recorder, protected=refused).gaps)
    recorder.store.update_case(recorder.case_id, status=CaseStatus.OPEN, phase=Phase.INVESTIGATION, closed_at=None)
    assert Closing(recorder).gaps == []


def test_retention_counts_from_the_closing_and_what_is_not_kept_is_a_gap(recorder: Stored) -> None:
    closing = Closing(recorder)
    assert closing.kept_from == [recorder.case_now().closed_at]
    failed = Closing(recorder, unkept=RetentionError("1 of 9 pieces of evidence is not kept"))
    assert failed.gaps == [f"{RETENTION}: 1 of 9 pieces of evidence is not kept"]
    assert recorder.case_now().status is CaseStatus.CLOSED_WITH_GAPS
    assert "evidence_retention tries again" in recorder.store.failures(recorder.case_id)[RETENTION].next_action
    assert Closing(recorder).gaps == []


def reports(recorder: Stored) -> list[dict[str, Any]]:
    """The stored versions, oldest first."""
    objects = recorder.evidence_store.objects
    return [json.loads(objects[key]) for key in sorted(objects) if key.endswith("/report.json")]


def test_digests_that_come_after_the_report_are_in_a_later_version(recorder: Stored) -> None:
    """A disk of some TiB is read for hours: the report says that it is, and the closing brings the version that has the digest."""
    partial = next(e for e in sample.evidence() if isinstance(e, DiskEvidence))
    disk = partial.model_copy(update={"outcome": Outcome.ACQUIRED, "reason": None, "digests": partial.digests[:1]})
    recorder.save_evidence(disk.model_copy(update={"digests": ()}))
    write_report(recorder, task_states={})
    before = reports(recorder)[-1]["view"]
    assert undigested(CaseView.model_validate(before)) == [disk.evidence_id]
    page = render_html(CaseView.model_validate(before))
    assert BEING_READ in page
    recorder.save_evidence(disk)
    count = len(reports(recorder))
    assert all("no investigation of it" in gap for gap in Closing(recorder).gaps)
    last = reports(recorder)[-1]["view"]
    assert len(reports(recorder)) == count + 1 and undigested(CaseView.model_validate(last)) == []
    assert [e["digests"] for e in last["evidence"] if e["evidence_id"] == disk.evidence_id] == [
        disk.model_dump(mode="json")["digests"]
    ]
    Closing(recorder)
    assert len(reports(recorder)) == count + 1, "it tells everything: closing again writes no other"


def test_a_report_that_an_earlier_try_had_stored_is_followed_by_what_came_since(recorder: Stored) -> None:
    """A worker died behind the stored report, a digest came, the next try leaves what is stored: the closing has to tell the digest."""
    partial = next(e for e in sample.evidence() if isinstance(e, DiskEvidence))
    disk = partial.model_copy(update={"outcome": Outcome.ACQUIRED, "reason": None, "digests": partial.digests[:1]})
    recorder.run = StepRun(run_id="manual__1", dag_id="forensic_case", order="2")
    recorder.save_evidence(disk.model_copy(update={"digests": ()}))
    write_report(recorder, task_states={})
    recorder.save_evidence(disk)
    write_report(recorder, task_states={})
    found = reports(recorder)
    recorder.step = "report.close_case"
    Closing(recorder)
    assert len(reports(recorder)) == len(found) + 1
    assert undigested(CaseView.model_validate(reports(recorder)[-1]["view"])) == []


def test_a_try_after_a_closing_that_died_does_not_take_its_longer_lock_for_news(recorder: Stored) -> None:
    """Retention changes the locks that the evidence's records hold; a worker that dies after it is tried again."""
    partial = next(e for e in sample.evidence() if isinstance(e, DiskEvidence))
    short, long = (SnapshotLock(state="governance", until=f"2027-0{month}-01T00:00:00+00:00") for month in (1, 2))
    disk = partial.model_copy(update={"outcome": Outcome.ACQUIRED, "reason": None, "lock": {"copy": short}})
    recorder.save_evidence(disk)
    write_report(recorder, task_states={})
    count = len(reports(recorder))
    recorder.save_evidence(disk.model_copy(update={"lock": {"copy": long}}))
    Closing(recorder)
    assert len(reports(recorder)) == count
    recorder.save_evidence(disk.model_copy(update={"lock": {"copy": long}, "size_bytes": 9}))
    Closing(recorder)
    assert len(reports(recorder)) == count + 1


def test_a_digest_that_airflow_ended_after_the_report_is_a_gap(recorder: Stored) -> None:
    closing = Closing(recorder, task_states={"disk.digest_disks": "failed"})
    assert [gap.split(":")[0] for gap in closing.gaps] == ["disk.digest_disks"]
    assert [gap["subject"] for gap in reports(recorder)[-1]["gaps"]] == ["disk.digest_disks"]


def test_a_case_without_a_report_has_a_gap(recorder: Stored) -> None:
    recorder.evidence_store.objects = {k: v for k, v in recorder.evidence_store.objects.items() if "/report/" not in k}
    assert Closing(recorder).gaps == [f"{REPORT}: no report was written"]


def test_a_ledger_that_cannot_be_signed_does_not_keep_the_case_open(
    recorder: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise CustodyChainError("event 3 is missing")

    monkeypatch.setattr(recorder.ledger, "sign_head", broken)
    assert Closing(recorder).gaps == [f"{SIGNATURE}: event 3 is missing"]
    assert recorder.case_now().status is CaseStatus.CLOSED_WITH_GAPS and recorder.store.locks == set()
    assert recorder.mailbox.mail[-1].facts["gaps"] == [f"{SIGNATURE}: event 3 is missing"]


def test_what_never_came_is_a_gap_whatever_phase_the_run_reached() -> None:
    recorder = Stored(sample.running_view())
    found = Closing(recorder).gaps
    assert "isolation: it was wanted but has no result" in found and f"{REPORT}: no report was written" in found
