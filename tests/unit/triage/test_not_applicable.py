"""What an artifact cannot have is recorded by name, and is neither declined nor missing."""

from __future__ import annotations

import pytest

from forensics import case_keys
from forensics.case import containment_summary
from forensics.case.gaps import gaps
from forensics.models.artifact import Artifact, ArtifactDescription, ArtifactKind
from forensics.models.case import CaseStatus
from forensics.models.containment import ContainmentResult
from forensics.models.evidence import DiskEvidence, Outcome
from forensics.models.finding import CustomAction, Severity
from forensics.models.plan import ResponsePlan
from forensics.models.verification import Standing, Verification
from forensics.report.completeness import completeness
from forensics.report.sections import plan_rows
from forensics.triage.context import TriageContext
from forensics.triage.decision import decide, extend
from forensics.triage.not_applicable import record_not_applicable
from forensics.triage.plan_text import decision_text, plan_facts
from forensics.triage.policy import packaged
from tests.unit.builders import (
    IMAGE,
    NOW,
    SNAPSHOT,
    described_artifact,
    finding,
    investigation,
    of_snapshot,
    plan,
    view,
)
from tests.unit.recorders import FakeRecorder

ABOUT = {"instance_id": SNAPSHOT, "artifact": Artifact(kind=ArtifactKind.SNAPSHOT, id=SNAPSHOT)}
MALWARE = finding(types=("Execution:EC2/MaliciousFile!Snapshot",), **ABOUT)


def decided(*findings: object, target: ArtifactDescription | None = None, **context: object) -> ResponsePlan:
    asked = findings or (MALWARE,)
    known = TriageContext(verify=False, **context)  # type: ignore[arg-type]
    return decide(asked, target=target or described_artifact(), loaded=packaged(), now=NOW, context=known)  # type: ignore[arg-type]


def test_only_the_disks_of_an_artifact_are_decided() -> None:
    made = decided()
    assert (made.memory.go, made.disk.go, made.isolate.go) == (False, True, False)
    assert (made.memory.applies, made.disk.applies, made.isolate.applies) == (False, True, False)
    assert made.playbook == "malware" and made.containment == () and not made.approval.required
    assert decision_text(made.memory).startswith(f"memory: NOT_APPLICABLE (snapshot {SNAPSHOT} is no machine")
    assert plan_facts(made)["disk"] is True
    assert [row.answer for row in plan_rows(view(plan=made))] == ["NOT APPLICABLE", "yes", "NOT APPLICABLE"]


def test_a_person_may_order_its_disks_and_orders_of_isolation_isolate_nothing() -> None:
    quiet = finding(severity=Severity.LOW, **ABOUT)
    assert not decided(quiet).disk.go
    full = finding(key="f" * 16, severity=Severity.LOW, action=CustomAction.FULL, **ABOUT)
    both = decided(quiet, full)
    assert both.disk.go and not both.isolate.go
    grown = extend(decided(quiet), (quiet, full), target=described_artifact(), loaded=packaged(), now=NOW)
    assert grown.disk.go and grown.revision == 2
    closed = view(case=of_snapshot(status=CaseStatus.CLOSED), plan=both, findings=(full,))
    assert not [gap for gap in gaps(closed) if "isolation" in gap.subject]


def test_a_forged_request_acquires_nothing() -> None:
    forged = {MALWARE.key: Verification(finding_key=MALWARE.key, standing=Standing.FORGED, reason="no", at=NOW)}
    assert not decided(verifications=forged).disk.wanted


@pytest.mark.parametrize(
    ("changes", "why"),
    [({"bundle": "amis/golden.manifest.xml"}, "bundle amis/golden.manifest.xml in S3"), ({}, "names no EBS snapshot")],
)
def test_an_image_without_snapshots_says_where_its_content_is(changes: dict[str, str], why: str) -> None:
    image = described_artifact(artifact=Artifact(kind=ArtifactKind.IMAGE, id=IMAGE), disks=(), **changes)
    made = decided(target=image)
    assert made.disk.wanted and not made.disk.go and any(why in reason for reason in made.disk.reasons)


def test_memory_live_response_and_isolation_end_not_applicable_by_name_once() -> None:
    recorder = FakeRecorder(of_snapshot())
    for _ in range(2):
        record_not_applicable(recorder, decided())
    outcomes = {e.evidence_id: e.outcome for e in recorder.evidence()}
    assert outcomes == {
        f"memory-{SNAPSHOT}": Outcome.NOT_APPLICABLE,
        f"live-response-{SNAPSHOT}": Outcome.NOT_APPLICABLE,
    }
    assert len(recorder.ledger.actions()) == 2
    result = recorder.get(case_keys.CONTAINMENT, ContainmentResult)
    assert (
        result is not None and result.outcome is Outcome.NOT_APPLICABLE and "no network to close" in str(result.reason)
    )
    other = FakeRecorder()
    record_not_applicable(other, plan())
    assert other.evidence() == [] and other.get(case_keys.CONTAINMENT, ContainmentResult) is None, "an instance"


def test_the_case_is_complete_when_every_disk_is_acquired_and_examined() -> None:
    disk = DiskEvidence(evidence_id=f"disk-{SNAPSHOT}", outcome=Outcome.ACQUIRED)
    recorder = FakeRecorder(of_snapshot())
    record_not_applicable(recorder, decided())
    whole = view(
        case=of_snapshot(status=CaseStatus.CLOSED), plan=decided(), artifact=described_artifact(),
        containment=recorder.get(case_keys.CONTAINMENT, ContainmentResult),
        evidence=(*recorder.evidence(), disk), investigations=(investigation(f"disk-{SNAPSHOT}"),),
    )  # fmt: skip
    found = [str(gap) for gap in gaps(whole) if "could not be read" not in gap.why]
    assert found == []
    said = containment_summary.describe(whole)
    assert (said.short, said.level, said.act) == ("not applicable", "idle", None)
    assert not any("memory" in part.what for part in completeness(whole).parts)
    missing = whole.model_copy(update={"evidence": (disk.model_copy(update={"evidence_id": "disk-snap-2"}),)})
    assert any("belongs to the artifact but nothing was recorded" in gap.why for gap in gaps(missing))
