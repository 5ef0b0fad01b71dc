"""A preflight's report: bounded, the broken lines first, and its counts are of all lines."""

from __future__ import annotations

from forensics.models.preflight import OK_LINES_KEPT, CheckResult, CheckStatus, PreflightReport
from tests.unit.builders import NOW


def lines(status: CheckStatus, number: int) -> list[CheckResult]:
    return [CheckResult(check="reach", subject=f"{n:04}", status=status, detail="x" * 5000) for n in range(number)]


def test_the_broken_lines_come_first_and_the_counts_are_of_all() -> None:
    made = [*lines(CheckStatus.OK, OK_LINES_KEPT + 50), *lines(CheckStatus.NOT_TRIED, 2), *lines(CheckStatus.BROKEN, 3)]
    report = PreflightReport.of(made, run="r", part="quick", at=NOW, seconds=1.23)
    assert [r.status for r in report.results[:5]] == [CheckStatus.BROKEN] * 3 + [CheckStatus.NOT_TRIED] * 2
    assert report.counts == {CheckStatus.BROKEN: 3, CheckStatus.NOT_TRIED: 2, CheckStatus.OK: OK_LINES_KEPT + 50}
    assert len(report.broken) == 3
    assert report.headline == f"3 broken, {OK_LINES_KEPT + 50} in order, 2 not tried"


def test_a_report_of_many_accounts_fits_into_one_item() -> None:
    """Amazon DynamoDB developer guide, "Service, account, and table quotas": an item has at most 400 KB."""
    report = PreflightReport.of(lines(CheckStatus.OK, 3000), run="r", part="quick", at=NOW, seconds=80)
    assert len(report.model_dump_json()) < 400_000


def test_a_report_is_read_as_it_was_written() -> None:
    report = PreflightReport.of(lines(CheckStatus.BROKEN, 1), run="r", part="full", at=NOW, seconds=2)
    assert PreflightReport.model_validate(report.model_dump(mode="json")) == report
