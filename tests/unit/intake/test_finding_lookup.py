"""Where a finding is looked up, and under which id."""

from __future__ import annotations

from forensics.intake.finding_lookup import FindingLookup
from tests.unit.builders import ACCOUNT
from tests.unit.intake.services import GuardDutyInMemory, HubInMemory

ARN = f"arn:aws:guardduty:eu-central-1:{ACCOUNT}:detector/d/finding/f1"


def lookup() -> FindingLookup:
    hub = HubInMemory(records={ARN: {"Id": ARN, "AwsAccountId": ACCOUNT}}, ocsf_records={ARN: {"class_uid": 2004}})
    return FindingLookup(security_hub=hub, guardduty=GuardDutyInMemory(records={"f1": {"Id": "f1"}}))


def test_security_hub_knows_findings_by_their_full_id_and_account() -> None:
    assert lookup().security_hub(ARN, account_id=ACCOUNT) == {"Id": ARN, "AwsAccountId": ACCOUNT}
    assert lookup().security_hub(ARN, account_id="111122223333") is None
    assert lookup().security_hub_v2(ARN) == {"class_uid": 2004}


def test_guardduty_knows_them_by_the_last_part_of_their_arn() -> None:
    assert lookup().guardduty(ARN) == {"Id": "f1"}
    assert lookup().guardduty(f"{ARN}2") is None


def test_what_is_not_a_guardduty_finding_is_not_asked_for_there() -> None:
    assert lookup().guardduty("f1") is None
    assert lookup().guardduty("manual/f1") is None


def test_it_names_its_account_and_region() -> None:
    assert (lookup().account_id, lookup().region) == ("111122223333", "eu-central-1")
