"""The case as a STIX bundle."""

from __future__ import annotations

import json
from collections import Counter

import pytest
import stix2

from forensics.attack_techniques import TECHNIQUES
from forensics.report.exports import stix
from tests.unit.report import sample


@pytest.fixture(scope="module")
def text() -> str:
    """The bundle."""
    return stix.render(sample.rich_view())


def test_stix_is_read_strictly_and_every_reference_is_there(text: str) -> None:
    bundle = stix2.parse(text, allow_custom=False)
    ids = {o["id"] for o in bundle.objects}
    assert len(ids) == len(bundle.objects)
    for item in bundle.objects:
        refs = [*item.get("object_refs", []), *([item["created_by_ref"]] if "created_by_ref" in item else [])]
        assert set(refs) <= ids, item["id"]
    kinds = Counter(o["type"] for o in bundle.objects)
    wanted = [f for r in sample.rich_view().results for f in r.findings if f.severity != "info"]
    assert kinds["note"] == len(wanted)
    assert kinds["report"] == 1
    patterns = [o for o in bundle.objects if o["type"] == "attack-pattern"]
    assert {o["external_references"][0]["external_id"] for o in patterns} == {
        f.technique for f in wanted if f.technique
    }
    assert {o["name"] for o in patterns} == {TECHNIQUES[f.technique].name for f in wanted if f.technique}


def test_stix_ids_of_observables_are_those_of_the_standard(text: str) -> None:
    """The library makes them itself from the contributing properties."""
    for item in json.loads(text)["objects"]:
        if item["type"] == "ipv4-addr":
            assert stix2.v21.IPv4Address(value=item["value"]).id == item["id"]
        if item["type"] == "file":
            values = {k: item[k] for k in ("name", "hashes") if k in item}
            assert stix2.v21.File(**values).id == item["id"]


def test_the_same_case_gives_the_same_bundle(text: str) -> None:
    assert stix.render(sample.rich_view()) == text


def test_a_case_with_nothing_in_it_is_a_valid_bundle() -> None:
    bundle = stix2.parse(stix.render(sample.empty_view()), allow_custom=False)
    assert [o["type"] for o in bundle.objects] == ["identity", "report"]
