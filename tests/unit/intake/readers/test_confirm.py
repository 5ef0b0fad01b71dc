"""The service's record against the finding that arrived as an event."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from forensics.intake.readers.confirm import confirm
from forensics.intake.readers.validation import resolved
from forensics.models.verification import Standing
from tests.unit.intake.conftest import RECEIVED_AT
from tests.unit.intake.readers.events import OTHER, only

Event = Callable[[str], dict[str, Any]]


@pytest.fixture
def compared(event: Event, read: Callable[..., Any]) -> Callable[..., tuple[Standing, str]]:
    """Compare a GuardDuty finding with its record, changed."""

    def compare(**changes: Any) -> tuple[Standing, str]:
        body = event("guardduty_ec2_c2")
        record = {**body["detail"], **changes}
        answer = confirm(only(read(body)), record, asked="GuardDuty", now=RECEIVED_AT)
        assert (answer.asked, answer.at, answer.finding_key) == ("GuardDuty", RECEIVED_AT, only(read(body)).key)
        return answer.standing, answer.reason

    return compare


def test_an_open_record_about_the_instance_confirms(compared: Callable[..., tuple[Standing, str]]) -> None:
    assert compared() == (Standing.CONFIRMED, "the service has it, open, about this instance")


def test_a_record_that_was_archived_is_closed(compared: Callable[..., tuple[Standing, str]]) -> None:
    assert compared(service={"archived": True}) == (Standing.CLOSED, "the finding is archived")


def test_a_record_about_another_instance_contradicts(compared: Callable[..., tuple[Standing, str]]) -> None:
    other = {"resourceType": "Instance", "instanceDetails": {"instanceId": OTHER}}
    standing, reason = compared(resource=other)
    assert standing is Standing.CONTRADICTED
    assert reason == f"the service's record is about {OTHER} in 333344445555, eu-central-1"


def test_a_record_that_contradicts_itself_confirms_nothing(compared: Callable[..., tuple[Standing, str]]) -> None:
    standing, reason = compared(id="f" * 32)
    assert standing is Standing.CONTRADICTED
    assert reason.startswith("the service's own record is not consistent: ")


def test_a_record_that_names_another_network_contradicts(event: Event, read: Callable[..., Any]) -> None:
    body = event("guardduty_ec2_c2")
    details = body["detail"]["resource"]["instanceDetails"]
    details["networkInterfaces"] = [{"vpcId": "vpc-11111111"}]
    finding = only(read(body))
    details["networkInterfaces"] = [{"vpcId": "vpc-22222222"}]
    answer = confirm(finding, body["detail"], asked="GuardDuty", now=RECEIVED_AT)
    assert answer.standing is Standing.CONTRADICTED
    assert answer.reason == "the service's record names vpc-22222222, the event vpc-11111111"


def test_without_a_record_it_is_not_found(event: Event, read: Callable[..., Any]) -> None:
    answer = confirm(only(read(event("guardduty_ec2_c2"))), None, asked="GuardDuty", now=RECEIVED_AT)
    assert (answer.standing, answer.confirmed) == (Standing.NOT_FOUND, False)


@pytest.mark.parametrize("name", ["guardduty_malware_ecs", "guardduty_eks_node"])
def test_a_finding_whose_resource_led_to_the_instance_is_confirmed_by_the_same_resource(
    event: Event, read: Callable[..., Any], name: str
) -> None:
    body = event(name)
    (reference,) = read(body).unresolved
    finding = resolved(reference, instance_id=OTHER)
    assert finding.found_by == f"{reference.resource_type} {reference.resource_id}"
    record = body["detail"]
    assert confirm(finding, record, asked="GuardDuty", now=RECEIVED_AT).standing is Standing.CONFIRMED
    archived = {**record, "service": {**record["service"], "archived": True}}
    assert confirm(finding, archived, asked="GuardDuty", now=RECEIVED_AT).standing is Standing.CLOSED


def test_a_record_about_another_resource_contradicts(event: Event, read: Callable[..., Any]) -> None:
    body = event("guardduty_malware_ecs")
    (reference,) = read(body).unresolved
    finding = resolved(reference, instance_id=OTHER)
    volumes = body["detail"]["resource"]["ebsVolumeDetails"]["scannedVolumeDetails"]
    volumes[0]["volumeArn"] = volumes[0]["volumeArn"].replace("0123456789abcdef0", "0fedcba9876543210")
    answer = confirm(finding, body["detail"], asked="GuardDuty", now=RECEIVED_AT)
    assert (answer.standing, finding.found_by in answer.reason) == (Standing.CONTRADICTED, True)
    body["detail"]["resource"] = {"resourceType": "ECSCluster"}
    answer = confirm(finding, body["detail"], asked="GuardDuty", now=RECEIVED_AT)
    assert answer.standing is Standing.CONTRADICTED


def test_a_record_about_the_same_snapshot_confirms_and_a_milder_one_does_not(
    event: Event, read: Callable[..., Any]
) -> None:
    body = event("guardduty_malware_snapshot")
    found = only(read(body))
    same = confirm(found, body["detail"], asked="GuardDuty", now=RECEIVED_AT)
    assert same.standing is Standing.CONFIRMED
    milder = confirm(found, {**body["detail"], "severity": 5.0}, asked="GuardDuty", now=RECEIVED_AT)
    assert milder.standing is Standing.CONTRADICTED and "says MEDIUM, the event HIGH" in milder.reason
