"""What people are sent about a case."""

from __future__ import annotations

from forensics.case.messages import message
from tests.unit.builders import ACCOUNT, CASE_ID, INSTANCE, REGION, case


def test_a_message_names_case_and_target_and_where_to_follow_it() -> None:
    made = message(
        case(run_id="manual__a+b"), "report", "Report written", lines=["Report: s3://x"], facts={"gap_count": 2},
        ui_url="https://airflow.example",
    )  # fmt: skip
    assert made.subject == f"[{CASE_ID}] Report written"
    assert made.lines == (
        "Report written",
        f"Case {CASE_ID}: instance {INSTANCE} in account {ACCOUNT}, {REGION}",
        "Report: s3://x",
        "Follow it: https://airflow.example/dags/forensic_case/runs/manual__a%2Bb",
    )
    assert made.facts == {
        "event": "report", "case_id": CASE_ID, "instance_id": INSTANCE, "account_id": ACCOUNT, "region": REGION, "gap_count": 2,
    }  # fmt: skip


def test_without_a_run_or_an_address_there_is_no_link() -> None:
    assert len(message(case(run_id=None), "e", "h", ui_url="https://x").lines) == 2
    assert len(message(case(run_id="r"), "e", "h").lines) == 2
