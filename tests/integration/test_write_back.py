"""Findings get a note of their case, each in the API of the service that sent it; what a service refuses stops nothing."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from forensics import case_keys
from forensics.intake.annotation import annotate
from forensics.intake.readers import read_event
from forensics.models.case import Case, CaseStatus
from forensics.models.containment import ContainmentResult, ContainmentState
from forensics.models.evidence import Outcome
from forensics.settings import get_settings
from lab.accounts import MEMBER_ACCOUNT, REGION, SECURITY_ACCOUNT
from lab.scenarios.driver import finding
from lab.scenarios.finding_events import asff, guardduty, ocsf
from tests.gateways import admit, case_store, write_back
from tests.integration.conftest import SmallLab

_numbers = itertools.count(0x0D00000000000000)


class Opened:
    """A case that was opened by the finding as it came."""

    def __init__(self, event: dict[str, Any]) -> None:
        intake = read_event(json.dumps(event), received_at=datetime.now(UTC), administrators=(SECURITY_ACCOUNT,))
        (self.finding,) = intake.findings
        admitted = admit(self.finding, received_at=datetime.now(UTC))
        self.case: Case = admitted.case
        # only what was contained is resolved
        contained = ContainmentResult(outcome=Outcome.DONE, state=ContainmentState.NEW_FLOWS_BLOCKED)
        case_store().put(self.case.case_id, case_keys.CONTAINMENT, contained)

    def annotate(self, status: CaseStatus = CaseStatus.OPEN) -> None:
        """As the first or the last step of the case does."""
        store = case_store()
        case = store.update_case(self.case.case_id, status=status)
        settings, target = get_settings(), lambda: write_back(case)
        annotate([self.finding], case=case, store=store, write_back=target, settings=settings, step="test")

    def timeline(self) -> list[str]:
        """What the case's timeline says."""
        return [data["what"] for _, data in case_store().items(self.case.case_id, "TIMELINE#")]


def put(lab: SmallLab, event: dict[str, Any], account: str) -> None:
    """Play the service that sends the event."""
    entry = {"Source": event["source"], "DetailType": event["detail-type"], "Detail": json.dumps(event["detail"])}
    assert not lab.client("events", account).put_events(Entries=[entry])["FailedEntryCount"]


def document(lab: SmallLab) -> dict[str, Any]:
    """A finding about an instance of its own."""
    number = next(_numbers)
    instance = dict(
        lab.facts["instances"]["web-server"], arn=f"arn:aws:ec2:{REGION}:{MEMBER_ACCOUNT}:instance/i-{number:017x}"
    )
    return finding(instance, title="Command and control")


def imported(lab: SmallLab) -> tuple[Opened, Callable[[], dict[str, Any]]]:
    """A case opened by a finding that Security Hub knows, and how to read Security Hub's record."""
    item, hub = document(lab), lab.client("securityhub", "security")
    hub.batch_import_findings(Findings=[item])
    wanted = {"Id": [{"Value": item["Id"], "Comparison": "EQUALS"}]}
    return Opened(asff(item)), lambda: hub.get_findings(Filters=wanted)["Findings"][0]


def test_each_service_shows_the_case_and_its_state(lab: SmallLab, monkeypatch: pytest.MonkeyPatch) -> None:
    # Security Hub
    opened, record = imported(lab)
    seen = []
    for status in (CaseStatus.OPEN, CaseStatus.CLOSED):
        opened.annotate(status)
        note = record()["Note"]
        assert opened.case.case_id in note["Text"] and len(note["Text"]) <= 512 and note["UpdatedBy"] == "ec2-forensics"
        seen.append(record()["Workflow"]["Status"])
    assert seen == ["NOTIFIED", "RESOLVED"]
    # with gaps the finding is not resolved
    opened, record = imported(lab)
    opened.annotate(CaseStatus.CLOSED_WITH_GAPS)
    assert record()["Workflow"]["Status"] == "NOTIFIED" and "with gaps" in record()["Note"]["Text"]
    # the new Security Hub
    event = ocsf(document(lab))
    put(lab, event, "security")
    opened, seen = Opened(event), []
    for status in (CaseStatus.OPEN, CaseStatus.CLOSED):
        opened.annotate(status)
        (found,) = lab.client("securityhub", "security").get_findings_v2()["Findings"]
        seen.append(found["status_id"])
    assert seen == [2, 4] and opened.timeline() == []
    # GuardDuty: feedback and archiving only when asked
    monkeypatch.setenv("AIRFLOW__FORENSICS__GUARDDUTY_FEEDBACK", "True")
    for archive in (False, True):
        monkeypatch.setenv("AIRFLOW__FORENSICS__ARCHIVE_GUARDDUTY", str(archive))
        get_settings.cache_clear()
        event = guardduty(document(lab))
        put(lab, event, "member")
        opened = Opened(event)
        opened.annotate(CaseStatus.CLOSED)
        assert opened.timeline() == []
        calls = [c["action"] for c in lab.control("calls")["calls"] if c["service"] == "guardduty"]
        assert calls.count("UpdateFindingsFeedback") == 1 + archive
        assert calls.count("ArchiveFindings") == int(archive)


def test_what_a_service_refuses_stops_nothing_and_what_it_sends_makes_no_loop(lab: SmallLab) -> None:
    # unknown there: one entry in the timeline, however often the step is repeated
    opened = Opened(asff(document(lab)))
    for _ in range(3):
        opened.annotate()
    (entry,) = opened.timeline()
    assert "was not annotated" in entry and "is not known to security-hub" in entry
    # denied
    opened, _ = imported(lab)
    lab.control(
        "faults", [{"service": "securityhub", "action": "BatchUpdateFindings", "code": "AccessDeniedException"}]
    )
    opened.annotate()
    lab.control("faults", [])
    assert "AccessDeniedException" in opened.timeline()[0]
    # BatchUpdateFindings makes Security Hub send the finding once more
    opened, record = imported(lab)
    opened.annotate()
    assert record()["Workflow"]["Status"] == "NOTIFIED"
    sqs, again = lab.client("sqs"), []
    while messages := sqs.receive_message(QueueUrl=lab.facts["queue_url"], MaxNumberOfMessages=10).get("Messages"):
        again += [m["Body"] for m in messages if opened.finding.finding_id in m["Body"]]
    assert len(again) == 2
    for body in again:
        (found,) = read_event(body, received_at=datetime.now(UTC), administrators=(SECURITY_ACCOUNT,)).findings
        assert admit(found, received_at=datetime.now(UTC)).outcome == "exists"
