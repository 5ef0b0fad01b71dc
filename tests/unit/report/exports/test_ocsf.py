"""The case as OCSF events."""

from __future__ import annotations

import json
from typing import Any

import pytest

from forensics.models.artifact import artifact_of
from forensics.report.exports import ocsf
from tests.unit.builders import IMAGE, SNAPSHOT
from tests.unit.report import sample


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    """The export's lines."""
    return [json.loads(line) for line in ocsf.render(sample.rich_view()).splitlines()]


def test_ocsf_events_have_what_their_classes_require(rows: list[dict[str, Any]]) -> None:
    incident, *detections = rows
    assert (incident["class_uid"], incident["type_uid"]) == (2005, 200503)
    assert len(incident["finding_info_list"]) == 1 + len(detections)
    findings = [f for r in sample.rich_view().results for f in r.findings]
    assert len(detections) == len(findings)
    for event in (incident, *detections):
        assert event["type_uid"] == event["class_uid"] * 100 + event["activity_id"]
        assert event["category_uid"] == 2
        assert event["severity_id"] in range(6)
        assert event["metadata"]["version"] == "1.3.0"
        assert event["metadata"]["product"]["vendor_name"]
        assert event["cloud"] == {
            "provider": "AWS",
            "region": "eu-central-1",
            "account": {"uid": "333344445555", "type_id": 10},
        }
        assert event["time"] > 1_700_000_000_000
    for event in detections:
        assert event["finding_info"]["uid"]
        assert event["finding_info"]["title"]
    severe = next(
        e
        for e in detections
        if e["finding_info"].get("attacks", [{}])[0].get("technique") == {"uid": "T1014", "name": "Rootkit"}
    )
    assert (severe["severity"], severe["confidence"]) == ("Critical", "High")


def test_a_case_with_nothing_in_it_is_one_open_incident() -> None:
    (incident,) = [json.loads(line) for line in ocsf.render(sample.empty_view()).splitlines()]
    assert incident["finding_info_list"] and incident["status"] == "In Progress"


@pytest.mark.parametrize(("subject", "kind"), [(SNAPSHOT, "AWS::EC2::Snapshot"), (IMAGE, "AWS::EC2::Image")])
def test_a_finding_of_an_artifacts_case_is_about_the_artifact(subject: str, kind: str) -> None:
    about = sample.case(instance_id=subject, artifact=artifact_of(subject))
    incident, *detections = (json.loads(line) for line in ocsf.render(sample.rich_view(case=about)).splitlines())
    assert f"{about.subject}" in incident["desc"]
    assert detections and all(
        d["resources"][0] | {"region": ""} == {"uid": subject, "type": kind, "region": ""} for d in detections
    )
