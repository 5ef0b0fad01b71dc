"""Findings are told their case, each in the API of the service that sent it; what a service refuses stops nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from forensics.hooks.session import ForensicsHook
from forensics.ingest import read_event
from forensics.models.case import Case, CaseStatus
from forensics.models.finding import Finding
from forensics.operators.write_back import annotate
from forensics.settings import get_settings
from lab.shapes import asff, guardduty, ocsf
from lab.story import finding
from tests.integration.conftest import SmallLab


class Opened:
    """A case that was opened by the finding as it came, and the finding's document."""

    def __init__(self, lab: SmallLab, event: dict[str, Any], document: dict[str, Any]) -> None:
        intake = read_event(json.dumps(event), received_at=datetime.now(UTC), administrators=("111122223333",))
        (self.finding,) = intake.findings
        self.document = document
        self.hook = ForensicsHook()
        admitted = self.hook.door().admit(self.finding, received_at=datetime.now(UTC))
        self.case: Case = admitted.case

    def annotate(self, status: CaseStatus = CaseStatus.OPEN) -> None:
        """As the first or the last step of the case does."""
        store = self.hook.store()
        case = store.update_case(self.case.case_id, status=status)
        annotate(self.hook, store, case, [self.finding], step="test")

    def timeline(self) -> list[str]:
        """What the case's timeline says."""
        return [data["what"] for _, data in self.hook.store().items(self.case.case_id, "TIMELINE#")]


def put(lab: SmallLab, event: dict[str, Any], account: str) -> None:
    """Play the service that sends the event."""
    entry = {"Source": event["source"], "DetailType": event["detail-type"], "Detail": json.dumps(event["detail"])}
    assert not lab.client("events", account).put_events(Entries=[entry])["FailedEntryCount"]


def document(lab: SmallLab) -> dict[str, Any]:
    """A finding about the lab's web server."""
    return finding(lab.facts["instances"]["web-server"], title="Command and control")


def test_security_hub_shows_case_and_state(lab: SmallLab) -> None:
    item = document(lab)
    hub = lab.client("securityhub", "security")
    hub.batch_import_findings(Findings=[item])
    opened = Opened(lab, asff(item), item)
    seen = []
    for status in (CaseStatus.OPEN, CaseStatus.CLOSED):
        opened.annotate(status)
        (record,) = hub.get_findings()["Findings"]
        assert opened.case.case_id in record["Note"]["Text"] and len(record["Note"]["Text"]) <= 512
        assert record["Note"]["UpdatedBy"] == "ec2-forensics"
        seen.append(record["Workflow"]["Status"])
    assert seen == ["NOTIFIED", "RESOLVED"]


def test_a_case_with_gaps_leaves_its_finding_in_progress(lab: SmallLab) -> None:
    item = document(lab)
    hub = lab.client("securityhub", "security")
    hub.batch_import_findings(Findings=[item])
    Opened(lab, asff(item), item).annotate(CaseStatus.CLOSED_WITH_GAPS)
    (record,) = hub.get_findings()["Findings"]
    assert record["Workflow"]["Status"] == "NOTIFIED" and "with gaps" in record["Note"]["Text"]


def test_the_new_security_hub_shows_case_and_state(lab: SmallLab) -> None:
    item = document(lab)
    event = ocsf(item)
    put(lab, event, "security")
    opened = Opened(lab, event, item)
    hub, seen = lab.client("securityhub", "security"), []
    for status in (CaseStatus.OPEN, CaseStatus.CLOSED):
        opened.annotate(status)
        (record,) = hub.get_findings_v2()["Findings"]
        seen.append(record["status_id"])
        assert opened.timeline() == []
    assert seen == [2, 4]


@pytest.mark.parametrize("archive", [False, True])
def test_guardduty_gets_a_comment_and_is_archived_only_when_asked(
    lab: SmallLab, monkeypatch: pytest.MonkeyPatch, archive: bool
) -> None:
    monkeypatch.setenv("AIRFLOW__FORENSICS__ARCHIVE_GUARDDUTY", str(archive))
    get_settings.cache_clear()
    item = document(lab)
    event = guardduty(item)
    put(lab, event, "member")
    opened = Opened(lab, event, item)
    opened.annotate(CaseStatus.CLOSED)
    assert opened.timeline() == []
    calls = [c["action"] for c in lab.control("calls")["calls"] if c["service"] == "guardduty"]
    assert calls.count("UpdateFindingsFeedback") == 1
    assert calls.count("ArchiveFindings") == int(archive)


def test_a_finding_that_the_service_does_not_know_is_an_entry_in_the_timeline_once(lab: SmallLab) -> None:
    item = document(lab)
    opened = Opened(lab, asff(item), item)
    for _ in range(3):
        opened.annotate()
    (entry,) = opened.timeline()
    assert "was not annotated" in entry and "is not known to security-hub" in entry


def test_a_denied_write_stops_nothing_and_is_told(lab: SmallLab) -> None:
    item = document(lab)
    lab.client("securityhub", "security").batch_import_findings(Findings=[item])
    opened = Opened(lab, asff(item), item)
    lab.control(
        "faults", [{"service": "securityhub", "action": "BatchUpdateFindings", "code": "AccessDeniedException"}]
    )
    opened.annotate()
    assert "AccessDeniedException" in opened.timeline()[0]


def test_what_the_write_back_itself_sends_opens_and_joins_nothing(lab: SmallLab) -> None:
    """BatchUpdateFindings makes Security Hub send the finding once more: no loop may come of that."""
    item = document(lab)
    hub, sqs = lab.client("securityhub", "security"), lab.client("sqs")
    hub.batch_import_findings(Findings=[item])
    first = sqs.receive_message(QueueUrl=lab.facts["queue_url"], WaitTimeSeconds=2)["Messages"][0]
    opened = Opened(lab, json.loads(first["Body"]), item)
    sqs.delete_message(QueueUrl=lab.facts["queue_url"], ReceiptHandle=first["ReceiptHandle"])
    opened.annotate()
    again = sqs.receive_message(QueueUrl=lab.facts["queue_url"], WaitTimeSeconds=2)["Messages"][0]
    intake = read_event(again["Body"], received_at=datetime.now(UTC), administrators=("111122223333",))
    found: Finding = intake.findings[0]
    assert opened.hook.door().admit(found, received_at=datetime.now(UTC)).how == "exists"
