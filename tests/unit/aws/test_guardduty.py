"""GuardDuty: requests and answers held against botocore's model."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

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


def test_findings_of_a_time_come_page_by_page_in_the_form_of_events(stub: Stubber, gateway: GuardDutyGateway) -> None:
    """Names of members are those of the service's model on the wire; both are botocore's, so a renamed member fails here."""
    start, end = datetime(2026, 11, 29, tzinfo=UTC), datetime(2026, 11, 30, tzinfo=UTC)
    sort = {"AttributeName": "updatedAt", "OrderBy": "ASC"}
    criteria = {
        "updatedAt": {"GreaterThanOrEqual": 1795910400000, "LessThanOrEqual": 1795996800000},
        "service.archived": {"Equals": ["false"]},
    }
    asked = {"DetectorId": "d-1", "FindingCriteria": {"Criterion": criteria}, "SortCriteria": sort}
    detectors(stub, "d-1")
    details = {
        "InstanceDetails": {"InstanceId": "i-1", "NetworkInterfaces": [{"Ipv6Addresses": ["::1"], "VpcId": "vpc-1"}]},
        "ResourceType": "Instance",
    }
    for number, token in ((1, {}), (2, {"NextToken": "t"})):
        more = {"NextToken": "t"} if number == 1 else {}
        stub.add_response("list_findings", {"FindingIds": [f"f-{number}"], **more}, {**asked, **token})
        record = {**RECORD, "Id": f"f-{number}", "Resource": details}
        stub.add_response(
            "get_findings",
            {"Findings": [record]},
            {"DetectorId": "d-1", "FindingIds": [f"f-{number}"], "SortCriteria": sort},
        )
    first, second = gateway.updated_between(start, end)
    assert (first["id"], second["id"]) == ("f-1", "f-2")
    assert first["accountId"] == ACCOUNT and first["type"] == RECORD["Type"] and "AccountId" not in first
    assert first["resource"] == {
        "instanceDetails": {"instanceId": "i-1", "networkInterfaces": [{"ipv6Addresses": ["::1"], "vpcId": "vpc-1"}]},
        "resourceType": "Instance",
    }
