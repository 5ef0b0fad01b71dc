"""GuardDuty: requests and answers held against botocore's model."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from botocore.stub import Stubber

from forensics.aws.guardduty import GuardDutyGateway
from forensics.errors import AccessDeniedError
from tests.unit.builders import ACCOUNT, REGION
from tests.unit.moto_store import make_client

RECORD = {
    "AccountId": ACCOUNT, "Arn": "arn", "CreatedAt": "x", "Id": "f-1", "Region": REGION, "Resource": {},
    "SchemaVersion": "2.0", "Severity": 8.0, "Type": "Backdoor:EC2/C&CActivity.B", "UpdatedAt": "x",
}  # fmt: skip


@pytest.fixture
def stub() -> Iterator[Stubber]:
    """GuardDuty that answers what a test has put down."""
    with Stubber(make_client("guardduty")) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


@pytest.fixture
def gateway(stub: Stubber) -> GuardDutyGateway:
    return GuardDutyGateway(stub.client, account_id=ACCOUNT, region=REGION)


def detectors(stub: Stubber, *identifiers: str) -> None:
    stub.add_response("list_detectors", {"DetectorIds": list(identifiers)}, {})


def test_a_record_is_found_under_whichever_detector_knows_it(stub: Stubber, gateway: GuardDutyGateway) -> None:
    detectors(stub, "d-1", "d-2", "d-3")
    for detector, found in (("d-1", []), ("d-2", [RECORD])):
        asked = {"DetectorId": detector, "FindingIds": ["f-1"]}
        stub.add_response("get_findings", {"Findings": found}, asked)
    assert gateway.finding("f-1") == RECORD


def test_without_detector_or_record_there_is_none(stub: Stubber, gateway: GuardDutyGateway) -> None:
    detectors(stub)
    assert gateway.finding("f-1") is None
    detectors(stub, "d-1")
    stub.add_response("get_findings", {"Findings": []}, {"DetectorId": "d-1", "FindingIds": ["f-1"]})
    assert gateway.finding("f-1") is None


def test_detectors_are_listed_and_a_refusal_says_where(stub: Stubber, gateway: GuardDutyGateway) -> None:
    detectors(stub, "d-1", "d-2")
    assert gateway.detectors() == ["d-1", "d-2"]
    stub.add_client_error("list_detectors", "AccessDeniedException", "no")
    with pytest.raises(AccessDeniedError, match=f"detectors of account {ACCOUNT}, {REGION}"):
        gateway.detectors()


def test_a_comment_marks_the_finding_as_useful_and_another_call_archives_it(
    stub: Stubber, gateway: GuardDutyGateway
) -> None:
    where = {"DetectorId": "d-1", "FindingIds": ["f-1"]}
    stub.add_response("update_findings_feedback", {}, {**where, "Feedback": "USEFUL", "Comments": "case fc-1"})
    stub.add_response("archive_findings", {}, where)
    gateway.comment("f-1", detector="d-1", text="case fc-1")
    gateway.archive("f-1", detector="d-1")
