"""Security Hub: requests and answers held against botocore's model; what it leaves unprocessed is an error."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from botocore.stub import Stubber

from forensics.aws.securityhub import SecurityHubGateway
from forensics.errors import AccessDeniedError, AwsError
from tests.unit.builders import ACCOUNT, REGION
from tests.unit.moto_store import make_client

ID = "arn:aws:securityhub:eu-central-1:333344445555:finding/1"
PRODUCT = f"arn:aws:securityhub:{REGION}::product/aws/guardduty"
NOW = "2026-11-24T08:00:00Z"
RECORD = {
    "SchemaVersion": "2018-10-08", "Id": ID, "ProductArn": PRODUCT, "GeneratorId": "g", "AwsAccountId": ACCOUNT,
    "CreatedAt": NOW, "UpdatedAt": NOW, "Title": "C2", "Description": "C2", "Resources": [{"Type": "Other", "Id": "x"}],
}  # fmt: skip
ASKED = {
    "Filters": {
        "Id": [{"Value": ID, "Comparison": "EQUALS"}],
        "AwsAccountId": [{"Value": ACCOUNT, "Comparison": "EQUALS"}],
    },
    "MaxResults": 2,
}
ASKED_OCSF = {
    "Filters": {
        "CompositeFilters": [
            {
                "StringFilters": [{"FieldName": "finding_info.uid", "Filter": {"Value": ID, "Comparison": "EQUALS"}}],
                "Operator": "AND",
            }
        ]
    },
    "MaxResults": 2,
}


@pytest.fixture
def stub() -> Iterator[Stubber]:
    """Security Hub that answers what a test has put down."""
    with Stubber(make_client("securityhub")) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


@pytest.fixture
def hub(stub: Stubber) -> SecurityHubGateway:
    return SecurityHubGateway(stub.client, account_id="111122223333", region=REGION)


@pytest.mark.parametrize(("found", "record"), [([RECORD], RECORD), ([], None)])
def test_a_record_is_found_by_id_and_account(
    stub: Stubber, hub: SecurityHubGateway, found: list[dict[str, object]], record: dict[str, object] | None
) -> None:
    stub.add_response("get_findings", {"Findings": found}, ASKED)
    assert hub.finding(ID, account_id=ACCOUNT) == record


@pytest.mark.parametrize(("found", "record"), [([{"class_uid": 2004}], {"class_uid": 2004}), ([], None)])
def test_an_ocsf_record_is_found_by_its_uid(
    stub: Stubber, hub: SecurityHubGateway, found: list[dict[str, object]], record: dict[str, object] | None
) -> None:
    stub.add_response("get_findings_v2", {"Findings": found}, ASKED_OCSF)
    assert hub.ocsf_finding(ID) == record


def test_a_refusal_says_what_was_asked_and_where(stub: Stubber, hub: SecurityHubGateway) -> None:
    stub.add_client_error("get_findings", "AccessDeniedException", "no")
    with pytest.raises(AccessDeniedError, match=r"finding/1 in Security Hub of account 111122223333, eu-central-1"):
        hub.finding(ID, account_id=ACCOUNT)


UPDATED = {
    "FindingIdentifiers": [{"Id": ID, "ProductArn": PRODUCT}],
    "Note": {"Text": "case fc-1", "UpdatedBy": "ec2-forensics"},
    "Workflow": {"Status": "NOTIFIED"},
}


def update(hub: SecurityHubGateway) -> None:
    hub.update_finding(ID, product_arn=PRODUCT, note="case fc-1", author="ec2-forensics", workflow="NOTIFIED")


def test_note_and_workflow_are_replaced(stub: Stubber, hub: SecurityHubGateway) -> None:
    identifier = {"Id": ID, "ProductArn": PRODUCT}
    stub.add_response("batch_update_findings", {"ProcessedFindings": [identifier], "UnprocessedFindings": []}, UPDATED)
    update(hub)


def test_an_unprocessed_finding_is_an_error_with_the_services_reason(stub: Stubber, hub: SecurityHubGateway) -> None:
    refused = {
        "FindingIdentifier": UPDATED["FindingIdentifiers"][0],
        "ErrorCode": "FindingNotFound",
        "ErrorMessage": "?",
    }
    answer = {"ProcessedFindings": [], "UnprocessedFindings": [refused]}
    stub.add_response("batch_update_findings", answer, UPDATED)
    with pytest.raises(AwsError, match=r"did not annotate finding .*: FindingNotFound: \?") as caught:
        update(hub)
    assert caught.value.next_action == "annotate the finding manually"


@pytest.mark.parametrize("refused", [[], [{"ErrorCode": "ConflictException", "ErrorMessage": "changed"}]])
def test_an_ocsf_finding_is_updated_by_its_metadata_uid(
    stub: Stubber, hub: SecurityHubGateway, refused: list[dict[str, str]]
) -> None:
    stub.add_response(
        "batch_update_findings_v2",
        {"ProcessedFindings": [], "UnprocessedFindings": refused},
        {"MetadataUids": ["m-1"], "Comment": "case fc-1", "StatusId": 4},
    )
    if not refused:
        hub.update_ocsf_finding(ID, metadata_uid="m-1", comment="case fc-1", status_id=4)
        return
    with pytest.raises(AwsError, match="ConflictException: changed"):
        hub.update_ocsf_finding(ID, metadata_uid="m-1", comment="case fc-1", status_id=4)
