"""A person's order is never lost: every custom action, on a finding in every state, on a case in every state.

Each press opens or joins a case, or the person gets the reason; and each press counts by itself.
"""

from __future__ import annotations

import itertools
import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from forensics.aws.case_store import CaseStore
from forensics.intake.readers.dispatch import read_event
from forensics.models.case import CaseStatus
from forensics.models.finding import Finding
from forensics.models.intake import IntakeVerdict
from lab.scenarios.finding_events import asff
from tests.authority.court import changed
from tests.unit.conftest import _moto, dynamodb, store
from tests.unit.intake.test_admission import Mailbox, admit, mailbox

__all__ = ["_moto", "dynamodb", "mailbox", "store"]
ADMINISTRATOR, INSTANCE = "111122223333", "i-0aaaaaaaaaaaaaaa1"
ACTIONS = ("ForensicTriage", "ForensicFull", "ForensicIsolate")
FINDINGS: dict[str, dict[str, Any]] = {
    "new": {},
    "notified": {"Workflow": {"Status": "NOTIFIED"}},
    "resolved": {"Workflow": {"Status": "RESOLVED"}},
    "suppressed": {"Workflow": {"Status": "SUPPRESSED"}},
    "archived": {"RecordState": "ARCHIVED"},
    "archived and resolved": {"RecordState": "ARCHIVED", "Workflow": {"Status": "RESOLVED"}},
    "informational": {"Severity": {"Label": "INFORMATIONAL"}},
}
CASES = ("none", "open", "merged", CaseStatus.CLOSED, CaseStatus.CLOSED_WITH_GAPS, CaseStatus.FAILED)


def _imported() -> dict[str, Any]:
    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    detector = "arn:aws:guardduty:eu-central-1:333344445555:detector/12abc34d567e8fa901bc2d34e56789f0"
    return asff(
        {
            "SchemaVersion": "2018-10-08",
            "Id": f"{detector}/finding/{uuid.uuid4().hex}",
            "ProductArn": "arn:aws:securityhub:eu-central-1::product/aws/guardduty",
            "AwsAccountId": "333344445555",
            "Types": ["TTPs/Command and Control/Backdoor:EC2-C&CActivity.B"],
            "CreatedAt": at,
            "UpdatedAt": at,
            "Severity": {"Label": "HIGH"},
            "Title": "Command and control",
            "Description": "x",
            "Resources": [
                {
                    "Type": "AwsEc2Instance",
                    "Id": f"arn:aws:ec2:eu-central-1:333344445555:instance/{INSTANCE}",
                    "Region": "eu-central-1",
                }
            ],
            "RecordState": "ACTIVE",
            "Workflow": {"Status": "NEW"},
        }
    )


def _pressed(event: dict[str, Any], action: str) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(json.dumps(event))
    made |= {"id": str(uuid.uuid4()), "detail-type": "Security Hub Findings - Custom Action", "account": ADMINISTRATOR}
    made["resources"] = [f"arn:aws:securityhub:eu-central-1:{ADMINISTRATOR}:action/custom/{action}"]
    made["detail"] |= {"actionName": action, "actionDescription": "x"}
    return made


def _read(event: dict[str, Any]) -> Finding:
    result = read_event(
        json.dumps(event), received_at=datetime.now(UTC), own_account="222233334444", administrators=[ADMINISTRATOR]
    )
    assert len(result.findings) == 1, result.reason
    return result.findings[0]


def _prepared(state: str, event: dict[str, Any], *, client: Any, cases: CaseStore, post: Mailbox) -> str:
    """The finding's case in a state; its id, or "" when there is none."""
    if state == "none":
        return ""
    if state == "merged":  # the finding joined the case of another one
        other = changed(event, Id=f"{event['detail']['findings'][0]['Id']}0")
        _, case_id = admit(client, post, _read(other))
        assert admit(client, post, _read(event)) == ("joined", case_id)
        return case_id
    _, case_id = admit(client, post, _read(event))
    if state != "open":
        cases.end_case(case_id, status=CaseStatus(state), closed_at=datetime.now(UTC) + timedelta(seconds=1))
    return case_id


@pytest.mark.parametrize(("action", "finding_state", "case_state"), list(itertools.product(ACTIONS, FINDINGS, CASES)))
def test_each_press_opens_or_joins_a_case(
    store: CaseStore, dynamodb: Any, mailbox: Mailbox, action: str, finding_state: str, case_state: str
) -> None:
    event = _imported()
    before = _prepared(case_state, event, client=dynamodb, cases=store, post=mailbox)
    now = changed(event, **FINDINGS[finding_state])
    first = _read(_pressed(now, action))
    how, case_id = admit(dynamodb, mailbox, first)
    if case_state in {"open", "merged"}:
        assert (how, case_id) == ("joined", before)
    else:
        assert how in {"opened", "escalated"} and case_id != before
    mailbox.sent.clear()
    again = admit(dynamodb, mailbox, _read(_pressed(now, action)))
    assert again == ("joined", case_id), "a second press is an order of its own"
    assert mailbox.sent, "and people hear of it"


@pytest.mark.parametrize("action", ACTIONS)
def test_a_press_that_opens_no_case_is_answered(action: str) -> None:
    """A sample finding opens none: who pressed hears why, by the quarantine's message."""
    event = _pressed(changed(_imported(), Title="[SAMPLE] Command and control", Sample=True), action)
    result = read_event(
        json.dumps(event), received_at=datetime.now(UTC), own_account="222233334444", administrators=[ADMINISTRATOR]
    )
    assert result.verdict is IntakeVerdict.QUARANTINE
    assert action in result.reason and "accept_samples" in result.reason
