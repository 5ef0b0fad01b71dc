"""Templated arguments, as Airflow's own rendering hands them over."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.sdk import DAG

from forensics.case.audit_operators import ListCasesOperator
from forensics.case.parameters import optional_case_id, optional_number, optional_text
from forensics.errors import InvalidCaseError
from forensics.report.bundle_operators import ExportCaseOperator
from tests.unit.builders import CASE_ID


def rendered(native: bool, **params: Any) -> tuple[ListCasesOperator, ExportCaseOperator]:
    """The operators of the DAGs' form, their arguments rendered by Airflow from these parameters."""
    with DAG(
        "parameters", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC), render_template_as_native_obj=native
    ):
        cases = ListCasesOperator(task_id="list_cases", case_id="{{ params.case_id }}")
        export = ExportCaseOperator(
            task_id="export_case",
            case_id="{{ params.case_id }}",
            requester="{{ params.requester }}",
            largest_mib="{{ params.largest_mib }}",
        )
    for task in (cases, export):
        task.render_template_fields({"params": params})  # type: ignore[typeddict-item]
    return cases, export


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize(
    ("given", "number"), [(None, None), ("", None), (0, 0), (5, 5), ("5", 5), (1024, 1024)], ids=repr
)
def test_numbers_through_airflows_templates(native: bool, given: Any, number: int | None) -> None:
    _, export = rendered(native, case_id=CASE_ID, requester="Ada", largest_mib=given)
    assert optional_number("largest_mib", export.largest_mib) == number
    assert optional_text(export.requester) == "Ada"


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("given", ["x", -1, "1.5", "٣"])
def test_what_is_no_whole_number_is_refused_by_name(native: bool, given: Any) -> None:
    _, export = rendered(native, case_id=CASE_ID, requester="", largest_mib=given)
    with pytest.raises(InvalidCaseError, match="largest_mib is ") as caught:
        optional_number("largest_mib", export.largest_mib)
    assert "largest_mib" in caught.value.next_action


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize(("given", "case_id"), [(None, None), ("", None), (CASE_ID, CASE_ID)])
def test_case_ids_through_airflows_templates(native: bool, given: Any, case_id: str | None) -> None:
    cases, _ = rendered(native, case_id=given, requester=None, largest_mib=None)
    assert optional_case_id("case_id", cases.case_id) == case_id


@pytest.mark.parametrize("given", ["fc-1", f"{CASE_ID}/../x", "all"])
def test_another_text_is_not_a_case_id(given: str) -> None:
    with pytest.raises(InvalidCaseError, match="a case id such as"):
        optional_case_id("case_id", given)
