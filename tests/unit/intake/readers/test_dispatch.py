"""One message to one result: custom actions, several findings, other events."""

from __future__ import annotations

import json

import pytest

from forensics.models.finding import CustomAction
from forensics.models.intake import IntakeVerdict
from tests.unit.intake.readers.events import INSTANCE, only


@pytest.mark.parametrize(
    ("name", "action"),
    [
        ("asff_action_isolate_two_findings", CustomAction.ISOLATE),
        ("asff_action_triage", CustomAction.TRIAGE),
        ("asff_action_legacy", CustomAction.FULL),
    ],
)
def test_custom_action(event, read, name, action):
    assert {finding.action for finding in read(event(name)).findings} == {action}


def test_custom_action_that_says_two_things(event, read):
    body = event("asff_action_triage")
    body["detail"]["actionName"] = "ForensicFull"
    intake = read(body)
    assert intake.verdict is IntakeVerdict.QUARANTINE
    assert "disagree: ForensicFull, ForensicTriage" in intake.reason


def test_every_order_is_heard_on_a_resolved_finding(event, read):
    for action in CustomAction:
        body = event("asff_action_triage")
        body["detail"]["actionName"] = action.value
        body["resources"] = [arn.replace("ForensicTriage", action.value) for arn in body["resources"]]
        body["detail"]["findings"][0]["Workflow"] = {"Status": "RESOLVED"}
        intake = read(body)
        assert intake.verdict is IntakeVerdict.ACCEPT, intake.reason
        assert {finding.action for finding in intake.findings} == {action}


@pytest.mark.parametrize(
    "foreign", ["arn:aws:ec2:eu-central-1:111122223333:instance/i-0ccccccccccccccc3", "web-1.example.com"]
)
def test_one_foreign_resource_spoils_neither_its_finding_nor_its_siblings(event, read, foreign):
    body = event("asff_action_isolate_two_findings")
    resource = body["detail"]["findings"][0]["Resources"][2]
    before = {f.instance_id for f in read(body).findings}
    resource["Id"] = foreign
    intake = read(body)
    left = {f.instance_id for f in intake.findings}
    assert len(left) == 2 and left < before
    assert len(intake.quarantined) == 1 and "Resources.2.Id" in intake.quarantined[0]
    assert intake.reason == "2 accepted, 1 quarantined, 1 ignored"


def test_the_same_finding_twice_keeps_the_newest(event, read):
    body = event("asff_imported_guardduty_c2")
    older = json.loads(json.dumps(body["detail"]["findings"][0]))
    older["UpdatedAt"] = "2026-10-04T00:00:00.000Z"
    body["detail"]["findings"].append(older)
    assert only(read(body)).updated_at.day == 5


def test_state_change_reports_the_state(event, read):
    state = read(event("ec2_state_change")).instance_state
    assert (state.instance_id, state.state) == (INSTANCE, "stopped")


def test_intake_survives_json(event, read):
    intake = read(event("asff_action_isolate_two_findings"))
    assert type(intake).model_validate_json(intake.model_dump_json()) == intake


def test_the_test_event_of_the_preflight_opens_nothing_and_says_when_it_was_sent(read):
    body = {
        "version": "0", "id": "1", "detail-type": "Forensics Preflight", "source": "forensics.preflight", "account": "111122223333",
        "time": "2026-10-05T09:00:00Z", "region": "eu-central-1", "resources": [], "detail": {"purpose": "preflight"},
    }  # fmt: skip
    intake = read(body)
    assert (intake.verdict, intake.findings) == (IntakeVerdict.IGNORE, ())
    assert intake.heartbeat is not None
    assert intake.heartbeat.account_id == "111122223333"
    assert intake.heartbeat.sent_at.isoformat() == "2026-10-05T09:00:00+00:00"


def test_a_finding_cannot_hide_in_a_test_event(event, read):
    body = event("asff_action_triage") | {"source": "forensics.preflight"}
    assert read(body).findings == ()
