"""Exports of the hostile made-up case: valid for the systems that read them, complete, and harmless."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime
from typing import Any

import pytest
import stix2

from forensics.report.chronology import merged
from forensics.report.exports import Export, exports
from forensics.report.sections import EXPORTS
from tests.unit.report import sample

HIDDEN = ("\\u202e", "\\u001b", "\\u2066", "\\u200b", "\\u0000")


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    return {e.name: e.text for e in exports(sample.rich_view())}


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_the_report_knows_every_export(made: dict[str, str]) -> None:
    assert set(made) == set(EXPORTS)


def test_nothing_hidden_is_left(made: dict[str, str]) -> None:
    for name, text in made.items():
        assert text.isascii(), name
        assert not [mark for mark in HIDDEN if mark in text], name


def test_timesketch_has_every_moment_in_order_with_its_mandatory_fields(made: dict[str, str]) -> None:
    rows = lines(made["timeline.timesketch.jsonl"])
    moments = merged(sample.rich_view())
    assert len(rows) == len(moments)
    for row, moment in zip(rows, moments, strict=True):
        assert row["message"]
        assert row["timestamp_desc"]
        assert datetime.fromisoformat(row["datetime"]) == moment.time
        assert row["timestamp"] == round(moment.time.timestamp() * 1_000_000)
        assert len(row["message"].encode()) <= 32_766
    kinds = Counter(row["data_type"] for row in rows)
    assert {"forensics:tool", "forensics:custody", "forensics:finding", "forensics:containment"} <= set(kinds)


def test_stix_is_read_strictly_and_every_reference_is_there(made: dict[str, str]) -> None:
    bundle = stix2.parse(made["case.stix.json"], allow_custom=False)
    ids = {o["id"] for o in bundle.objects}
    assert len(ids) == len(bundle.objects)
    for item in bundle.objects:
        refs = [*item.get("object_refs", []), *([item["created_by_ref"]] if "created_by_ref" in item else [])]
        assert set(refs) <= ids, item["id"]
    kinds = Counter(o["type"] for o in bundle.objects)
    wanted = [f for r in sample.rich_view().results for f in r.findings if f.severity != "info"]
    assert kinds["note"] == len(wanted)
    assert kinds["report"] == 1
    techniques = {o["name"] for o in bundle.objects if o["type"] == "attack-pattern"}
    assert techniques == {f.technique for f in wanted if f.technique}


def test_stix_ids_of_observables_are_those_of_the_standard(made: dict[str, str]) -> None:
    """The library makes them itself from the contributing properties."""
    for item in json.loads(made["case.stix.json"])["objects"]:
        if item["type"] == "ipv4-addr":
            assert stix2.v21.IPv4Address(value=item["value"]).id == item["id"]
        if item["type"] == "file":
            values = {k: item[k] for k in ("name", "hashes") if k in item}
            assert stix2.v21.File(**values).id == item["id"]


def test_stix_is_the_same_when_exported_twice(made: dict[str, str]) -> None:
    again: list[Export] = exports(sample.rich_view())
    assert {e.name: e.text for e in again} == made


def test_ocsf_events_have_what_their_classes_require(made: dict[str, str]) -> None:
    incident, *detections = lines(made["findings.ocsf.jsonl"])
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
    grave = next(
        e for e in detections if e["finding_info"].get("attacks", [{}])[0].get("technique") == {"uid": "T1014"}
    )
    assert (grave["severity"], grave["confidence"]) == ("Critical", "High")


def test_a_case_with_nothing_in_it_exports_too() -> None:
    empty = {e.name: e.text for e in exports(sample.empty_view())}
    stix2.parse(empty["case.stix.json"], allow_custom=False)
    (incident,) = lines(empty["findings.ocsf.jsonl"])
    assert incident["finding_info_list"]
    assert incident["status"] == "In Progress"
