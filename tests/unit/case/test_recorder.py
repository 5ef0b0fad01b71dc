"""The recorder: what steps read and record about a case."""

from __future__ import annotations

from datetime import timedelta

import pytest

from forensics import case_keys
from forensics.aws.request_log import take
from forensics.case.persons import StepRun
from forensics.errors import AccessDeniedError, AwsError, CaseError
from forensics.models.case import Milestone, Phase, StepFailure
from forensics.models.custody import CustodyAction, CustodyFacts
from forensics.models.evidence import (
    EvidenceKind,
    LiveResponseEvidence,
    LiveResponseOrigin,
    MemoryEvidence,
    MemoryOrigin,
    Outcome,
)
from forensics.models.finding import Severity
from tests.unit.builders import CASE_ID, INSTANCE, NOW, case, evidence, finding, said
from tests.unit.recorders import FakeRecorder

MEMORY = f"memory-{INSTANCE}"


@pytest.fixture
def recorder() -> FakeRecorder:
    """A recorder of an open case that a person asked for."""
    take()
    return FakeRecorder(case(requester="Ada", reason="incident 7", run_id="manual__1"), step="memory.capture_memory")


def test_evidence_comes_back_by_kind(recorder: FakeRecorder) -> None:
    memory, disk = evidence(EvidenceKind.MEMORY), evidence(EvidenceKind.DISK)
    live = LiveResponseEvidence(evidence_id=f"live-response-{INSTANCE}", outcome=Outcome.PENDING)
    for item in (memory, disk, live):
        recorder.save_evidence(item)
    assert recorder.evidence() == [disk, live, memory]
    assert recorder.evidence(EvidenceKind.DISK) == recorder.disks() == [disk]
    assert (recorder.memory(), recorder.live_response(), recorder.disk(disk.evidence_id)) == (memory, live, disk)
    assert recorder.disk(memory.evidence_id) is None and recorder.evidence_item("disk-vol-9") is None


def test_the_finding_that_opened_the_case_comes_first_then_the_most_severe(recorder: FakeRecorder) -> None:
    opened = finding(severity=Severity.LOW)
    others = [finding(key="b" * 16, severity=Severity.CRITICAL), finding(key="c" * 16, severity=Severity.HIGH)]
    for found in (others[1], opened, others[0]):
        recorder.put(case_keys.finding(found), found)
    assert recorder.findings() == [opened, *others]


def test_an_item_that_fails_is_recorded_everywhere_and_its_urls_are_revoked(recorder: FakeRecorder) -> None:
    begun = MemoryEvidence(
        evidence_id=MEMORY, outcome=Outcome.PENDING, started_at=NOW, origin=MemoryOrigin(landing_prefix=f"{CASE_ID}/m")
    )
    recorder.fail_evidence(begun, reason="the agent is gone " + "x" * 2000)
    failed = recorder.memory()
    assert failed and failed.outcome is Outcome.FAILED and failed.ended_at and len(str(failed.reason)) == 1000
    event = recorder.ledger.last(CustodyAction.EVIDENCE_FAILED)
    assert (event.evidence_id, event.detail["outcome"]) == (MEMORY, "FAILED")
    assert recorder.notes[0].startswith(f"{MEMORY}: FAILED, the agent is gone")
    assert recorder.landing.revoked == [f"{CASE_ID}/m"]


def test_a_manifest_that_cannot_be_deleted_is_a_remark(recorder: FakeRecorder) -> None:
    """An S3 endpoint policy without DeleteObject lost every image that had landed; the manifest's URLs expire anyway."""
    recorder.landing.refusal = AccessDeniedError("delete s3://landing/m: no VPC endpoint policy allows it")
    recorder.revoke_manifest(f"{CASE_ID}/m")
    (note,) = recorder.notes
    assert "was not deleted; its URLs end when they expire" in note and "no VPC endpoint policy allows it" in note


def test_evidence_without_a_landing_place_revokes_nothing(recorder: FakeRecorder) -> None:
    recorder.fail_evidence(evidence(EvidenceKind.DISK, Outcome.PENDING), reason="the key is disabled")
    recorder.fail_evidence(
        LiveResponseEvidence(
            evidence_id=f"live-response-{INSTANCE}", outcome=Outcome.PENDING, origin=LiveResponseOrigin()
        ),
        reason="not begun",
        outcome=Outcome.NOT_APPLICABLE,
    )
    assert recorder.landing.revoked == []


def test_a_custody_event_says_who_why_with_what_and_what_its_detail_says(recorder: FakeRecorder) -> None:
    recorder.custody(
        CustodyAction.EVIDENCE_ACQUIRED,
        evidence_id=MEMORY,
        detail={"uri": "s3://e/m", "sha256": "a" * 64, "bytes": 7, "tool": {"name": "avml", "version": "1"}},
        facts=CustodyFacts(notes="by the test"),
    )
    event = recorder.ledger.last(CustodyAction.EVIDENCE_ACQUIRED)
    facts = event.facts
    assert facts is not None and event.detail["step"] == "memory.capture_memory"
    assert facts.identity == {
        "source_identity": CASE_ID,
        "step": "memory.capture_memory",
        "run_id": "manual__1",
        "requester": "Ada",
    }
    assert (facts.authority, facts.notes, facts.size_bytes) == ("incident 7", "by the test", 7)
    assert facts.tool == {"name": "avml", "version": "1"} and facts.location == {"uri": "s3://e/m"}
    assert [d.value for d in facts.digests] == ["a" * 64]


def test_a_statement_is_made_once_in_a_run(recorder: FakeRecorder) -> None:
    """Found by tests/crash: a step that died between the ledger and its own record said the same thing twice."""
    recorder.run = StepRun(run_id="scheduled__1")
    for _ in range(2):
        recorder.custody(CustodyAction.PLAN_DECIDED, detail={"revision": 1})
    assert recorder.ledger.actions() == [CustodyAction.PLAN_DECIDED]
    recorder.custody(CustodyAction.PLAN_DECIDED, detail={"revision": 2})
    recorder.run = StepRun(run_id="scheduled__2")
    recorder.custody(CustodyAction.PLAN_DECIDED, detail={"revision": 2})
    assert recorder.ledger.actions() == [CustodyAction.PLAN_DECIDED] * 3, (
        "what differs, and another run's, is another statement"
    )


def test_without_a_persons_reason_the_finding_is_the_authority() -> None:
    recorder = FakeRecorder(case())
    recorder.custody(CustodyAction.PLAN_DECIDED)
    facts = recorder.ledger.last(CustodyAction.PLAN_DECIDED).facts
    assert facts and facts.authority == f"finding {'k' * 16} from guardduty" and "requester" not in facts.identity
    assert facts.tool["name"] == "ec2-forensics"


def test_people_are_notified_once_of_a_milestone_and_each_time_of_a_failure(recorder: FakeRecorder) -> None:
    recorder.announce("triaged", "Plan decided")
    recorder.announce("triaged", "Plan decided")
    failure = StepFailure(step="memory.capture_memory", cause="no agent", next_action="start it", at=NOW)
    recorder.fail(failure)
    recorder.fail(failure)
    assert recorder.subjects == [said("Plan decided")] + [said("FAILED: memory.capture_memory")] * 2
    assert recorder.store.failures() == {"memory.capture_memory": failure}


def test_a_message_that_cannot_be_sent_is_a_gap_until_one_can(
    recorder: FakeRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> None:
        raise AwsError("the topic is gone", next_action="create the topic")

    with monkeypatch.context() as patch:
        patch.setattr(recorder.mailbox, "publish", refuse)
        recorder.announce("triaged", "Plan decided")
    failure = recorder.store.failures()["notify:triaged"]
    assert (failure.cause, failure.next_action) == ("the topic is gone", "create the topic")
    recorder.announce("triaged", "Plan decided")
    assert recorder.store.failures() == {} and len(recorder.subjects) == 1


def test_phases_milestones_and_the_view(recorder: FakeRecorder) -> None:
    recorder.phase(Phase.ACQUISITION)
    recorder.milestone(Milestone.TRIAGED, NOW)
    recorder.milestone(Milestone.TRIAGED, NOW + timedelta(hours=1))
    view = recorder.view()
    assert view.case.phase is Phase.ACQUISITION and view.milestones["triaged"] == NOW


def test_a_case_that_is_gone_is_an_error(recorder: FakeRecorder) -> None:
    del recorder.store.held[CASE_ID, case_keys.CASE]
    with pytest.raises(CaseError, match="no longer exists"):
        recorder.view()


def test_flows_beside_each_other_move_a_case_on_and_never_back() -> None:
    made = FakeRecorder()
    seen = []
    for phase in (Phase.INVESTIGATION, Phase.CONTAINMENT, Phase.REPORT, Phase.DONE, Phase.INVESTIGATION):
        made.phase(phase)
        seen.append(made.gateways.store.case(made.case_id).phase)
    assert seen == [Phase.INVESTIGATION, Phase.INVESTIGATION, Phase.REPORT, Phase.DONE, Phase.INVESTIGATION]
