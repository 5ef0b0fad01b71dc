"""What of a case's objects is offered: reports, exports and what tools made; never evidence, ledger or bundles."""

from __future__ import annotations

import pytest

from forensics.report.downloads import OfferKind, offer_kind, offers
from tests.unit.report import sample

PREFIX = f"s3://evidence/cases/{sample.CASE_ID}/"
OBJECTS = (
    "report/20261124T031500.000000Z/report.html",
    "report/20261124T041500.000000Z/report.html",
    "report/20261124T041500.000000Z/case.stix.json",
    "artifacts/memory/memory-image/raw.tar.gz",
    "evidence/memory/memory-image/memory.lime",
    "custody/head-00000001-x.json",
    "bundle/20261124T041500.000000Z/case.tar",
)


def test_the_newest_report_comes_first_and_nothing_else_than_reports_and_artifacts() -> None:
    view = sample.rich_view(objects=tuple(PREFIX + path for path in OBJECTS))
    found = offers(view)
    assert [offer.path for offer in found] == [OBJECTS[2], OBJECTS[1], OBJECTS[3], OBJECTS[0]]
    assert [offer.newest for offer in found] == [True, True, False, False]
    assert "STIX" in found[0].about and found[2].kind is OfferKind.ARTIFACT


def test_objects_of_other_cases_are_not_offered() -> None:
    other = PREFIX.replace(sample.CASE_ID, "fc-20261124-00000000ff")
    assert offers(sample.rich_view(objects=(other + OBJECTS[0],))) == []


@pytest.mark.parametrize(
    "path",
    [
        "",
        "report/",
        "report/../evidence/memory/x",
        "report/a/../../evidence/x",
        "report//x",
        "report/.hidden",
        "artifacts/a b",
        "artifacts/a\nb",
        "artifacts/%2e%2e/x",
        "evidence/memory/x",
        "custody/head.json",
        "bundle/x.tar",
        "reports/x",
        "/report/x",
        "report/" + "x" * 600,
        *sample.HOSTILE,
    ],
)
def test_no_other_path_is_one(path: str) -> None:
    assert offer_kind(path) is None
