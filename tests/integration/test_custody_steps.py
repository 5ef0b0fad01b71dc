"""Custody against the lab: a case is handed over and checked from outside; an audit finds what was tampered with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from forensics.case.audit_operators import AuditCaseOperator, ListCasesOperator
from forensics.case.recorder import CaseRecorder
from forensics.disk.copy_operators import CopySnapshotsOperator
from forensics.disk.snapshot_operators import SnapshotVolumesOperator
from forensics.errors import DigestMismatchError
from forensics.models.custody import CustodyAction, CustodyEvent
from forensics.models.evidence import Digest, EvidenceKind, MemoryEvidence, Outcome
from forensics.naming import evidence_id, evidence_key
from forensics.report.bundle_operators import ExportCaseOperator
from forensics_verify.bundle import verify
from forensics_verify.container import open_bundle
from tests.gateways import recorder_of, rehash_stored
from tests.integration.conftest import SmallLab
from tests.integration.steps import perform
from tests.integration.test_case_steps import open_case, triage


@pytest.fixture
def acquired(lab: SmallLab) -> str:
    """A case with disks in the forensic account and a (small) stored memory image."""
    case_id = open_case(lab)
    triage(case_id)
    for step in (SnapshotVolumesOperator, CopySnapshotsOperator):
        perform(step(task_id=step.__name__), case_id=case_id)
    recorder = recorder_of(case_id, step="verify_memory")
    item = evidence_id(EvidenceKind.MEMORY, recorder.case.instance_id)
    stored = recorder.gateways.evidence.put(
        evidence_key(case_id, EvidenceKind.MEMORY, item=item, name="memory.lime"), b"image" * 999
    )
    said = Digest(value=stored.sha256, subject="the stream as it was sent", source="target")
    recorder.save_evidence(
        MemoryEvidence(
            evidence_id=item, outcome=Outcome.ACQUIRED, uri=stored.uri,
            version_id=stored.version_id, size_bytes=stored.size_bytes,
            digests=(said, said.model_copy(update={"subject": "the stored object", "source": "control-plane"})),
        )
    )  # fmt: skip
    detail = {"uri": stored.uri, "sha256": stored.sha256, "bytes": stored.size_bytes}
    recorder.custody(CustodyAction.EVIDENCE_ACQUIRED, evidence_id=item, detail=detail)
    recorder.sign_ledger("memory")
    return case_id


def _where(uri: str) -> dict[str, str]:
    bucket, key = uri.removeprefix("s3://").split("/", 1)
    return {"Bucket": bucket, "Key": key}


def audit(case_id: str) -> dict[str, Any]:
    return dict(perform(AuditCaseOperator(task_id="audit_case"), case_id=case_id))


def test_a_case_is_audited_handed_over_and_checked_by_somebody_without_aws(
    lab: SmallLab, acquired: str, tmp_path: Path
) -> None:
    report = audit(acquired)
    assert report["differences"] == []
    assert report["objects"] >= 4 and report["heads"] >= 2 and report["snapshots"] == 4
    assert perform(ListCasesOperator(task_id="list_cases")) == [acquired]
    recorder = recorder_of(acquired, step="analyse_memory")
    _rehash(lab, recorder)
    made = perform(ExportCaseOperator(task_id="export_case", requester="court expert"), case_id=acquired)
    path = tmp_path / "case.tar"
    lab.client("s3").download_file(**_where(made["uri"]), Filename=str(path))
    findings = verify(open_bundle(path), trusted=[made["fingerprint"]])
    assert [str(p) for p in findings.problems] == []
    graph = json.loads(b"".join(open_bundle(path).stream("case.jsonld")))["@graph"]
    assert sum(n["@type"] == "case-investigation:InvestigativeAction" for n in graph) == len(
        recorder.gateways.ledger.events(acquired)
    )
    assert findings.checked["comparisons of source and copy, equal"] == 1
    assert findings.checked["evidence objects with the listed digest"] >= 4
    assert any("Signing key: " + made["fingerprint"] in m["message"] for m in lab.mail())
    _every_event_says_who_why_where_and_by_which_request(recorder.gateways.ledger.events(acquired), acquired)


def _every_event_says_who_why_where_and_by_which_request(events: list[CustodyEvent], case_id: str) -> None:
    for event in events:
        assert event.facts is not None, event.action
        assert event.facts.identity["source_identity"] == case_id
        assert event.facts.identity["step"] and event.facts.authority and event.facts.time_source
        assert event.facts.tool["name"] and event.facts.tool["version"]
    locked = next(e for e in events if e.action is CustodyAction.EVIDENCE_LOCKED and "snapshot_id" in e.detail)
    assert locked.facts and locked.facts.location["snapshot_id"] == locked.detail["snapshot_id"]
    assert any(r.startswith("ec2:LockSnapshot ") for r in locked.facts.request_ids)
    stored = next(e for e in events if e.action is CustodyAction.EVIDENCE_ACQUIRED and "uri" in e.detail)
    assert stored.facts and stored.facts.digests[0].value == stored.detail["sha256"] and stored.facts.size_bytes


def _rehash(lab: SmallLab, recorder: CaseRecorder) -> None:
    """Bytes that changed are not analysed; bytes that did not are, and the ledger says that all digests are equal."""
    (memory,) = recorder.evidence(EvidenceKind.MEMORY)
    wrong = Digest(value="0" * 64, subject="the stream as it was sent", source="target")
    with pytest.raises(DigestMismatchError, match="now, but target said 0000"):
        rehash_stored(recorder, memory.model_copy(update={"digests": (wrong,)}))
    rehash_stored(recorder, memory)
    (event,) = [
        e for e in recorder.gateways.ledger.events(recorder.case_id) if e.action is CustodyAction.EVIDENCE_VERIFIED
    ]
    assert event.facts and len(event.facts.digests) == 3 and len({d.value for d in event.facts.digests}) == 1


def _alarm(lab: SmallLab, case_id: str) -> str:
    """The audit fails at once, without a retry, and people are notified."""
    with pytest.raises(AirflowFailException) as caught:
        perform(AuditCaseOperator(task_id="audit_case"), case_id=case_id, try_number=1)
    assert any("FAILED: audit_case" in m["subject"] for m in lab.mail())
    return str(caught.value)


def _change_event(lab: SmallLab, case_id: str, number: int) -> None:
    """What somebody with write access to the table can do."""
    dynamodb, table = lab.client("dynamodb"), lab.facts["case_table"]
    key = {"PK": {"S": f"CASE#{case_id}"}, "SK": {"S": f"CUSTODY#{number:08d}"}}
    item = dynamodb.get_item(TableName=table, Key=key)["Item"]
    item["data"]["M"]["actor"] = {"S": "somebody else"}
    dynamodb.put_item(TableName=table, Item=item)


def test_tampering_is_an_alarm_that_names_it(lab: SmallLab, acquired: str) -> None:
    s3, recorder = lab.client("s3"), recorder_of(acquired, step="test")
    (memory,) = recorder.evidence(EvidenceKind.MEMORY)
    image = _where(str(memory.uri))
    s3.put_object(**image, Body=b"other bytes")
    facts = next(u for u in recorder.view().objects if "/control-plane/" in u)
    s3.delete_object(**_where(facts))
    head = next(u for u in recorder.view().objects if "/custody/head-" in u)
    s3.put_object_legal_hold(**_where(head), LegalHold={"Status": "OFF"})
    disk = recorder.evidence(EvidenceKind.DISK)[0]
    lab.client("ec2").unlock_snapshot(SnapshotId=disk.origin.copy_id)
    lab.client("ec2", "member").modify_snapshot_attribute(
        SnapshotId=disk.origin.snapshot_id, Attribute="createVolumePermission", OperationType="add",
        GroupNames=["all"],
    )  # fmt: skip
    said = _alarm(lab, acquired)
    assert f"{memory.uri}: has 2 versions" in said
    assert f"{facts}: is hidden by a delete marker" in said
    assert f"{head}: has no legal hold" in said
    assert f"snapshot {disk.origin.copy_id} in account {lab.facts['accounts']['forensic']}: is not locked" in said
    assert f"snapshot {disk.origin.snapshot_id} in account {lab.facts['accounts']['member']}: is public" in said
    assert recorder.gateways.ledger.events(acquired)[-1].action is CustodyAction.AUDIT_FAILED
    _change_event(lab, acquired, 3)
    assert "event 3 was changed after it was written" in _alarm(lab, acquired)
