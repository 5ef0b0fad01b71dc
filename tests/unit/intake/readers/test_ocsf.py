"""OCSF findings: severity, types, and resources that agree with themselves."""

from __future__ import annotations

import pytest

from forensics.models.intake import IntakeVerdict
from tests.unit.intake.readers.events import OTHER, only


@pytest.mark.parametrize(
    ("identifier", "label", "expected"),
    [
        (1, None, "INFORMATIONAL"),
        (2, None, "LOW"),
        (5, "Low", "CRITICAL"),
        (6, "Fatal", "CRITICAL"),
        (99, "Medium", "MEDIUM"),
    ],
)
def test_ocsf_severity(event, read, identifier, label, expected):
    body = event("ocsf_imported_guardduty_c2")
    body["detail"]["findings"][0].update(severity_id=identifier, severity=label)
    assert only(read(body)).severity == expected


def test_generic_type_comes_last(event, read):
    assert only(read(event("ocsf_imported_guardduty_c2"))).types[0] == "Backdoor:EC2/C&CActivity.B!DNS"


def test_ocsf_resource_and_its_data_must_agree(event, read):
    body = event("ocsf_imported_guardduty_c2")
    body["detail"]["findings"][0]["resources"][0]["data"]["instance_id"] = OTHER
    assert read(body).verdict is IntakeVerdict.QUARANTINE
