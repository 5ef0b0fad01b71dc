"""What people are sent about a case: a subject for the lock screen, whatever names and titles from outside hold."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forensics.case.messages import cut, message, plain_name, plain_text, subject
from forensics.models.notices import CaseLabel
from tests.unit.builders import ACCOUNT, CASE_ID, INSTANCE, REGION, case

LABEL = CaseLabel(account_alias="acme-prod", instance_name="web-1")


def test_a_message_names_case_and_target_and_where_to_follow_it() -> None:
    made = message(
        case(run_id="manual__a+b"), "report", "Report written", lines=["Report: s3://x"], facts={"gap_count": 2},
        ui_url="https://airflow.example", label=LABEL,
    )  # fmt: skip
    assert made.subject == f"HIGH acme-prod web-1: Report written [{CASE_ID}]"
    assert made.lines == (
        "Report written",
        f"Case {CASE_ID}: instance {INSTANCE} (web-1) in account {ACCOUNT} (acme-prod), {REGION}",
        "Report: s3://x",
        "Follow it: https://airflow.example/dags/forensic_case/runs/manual__a%2Bb",
    )
    assert made.facts == {
        "event": "report", "case_id": CASE_ID, "instance_id": INSTANCE, "account_id": ACCOUNT, "region": REGION, "severity": "HIGH",
        "account_alias": "acme-prod", "instance_name": "web-1", "gap_count": 2,
    }  # fmt: skip


def test_without_a_run_or_an_address_there_is_no_link() -> None:
    assert len(message(case(run_id=None), "e", "h", ui_url="https://x").lines) == 2
    assert len(message(case(run_id="r"), "e", "h").lines) == 2


@pytest.mark.parametrize(
    ("label", "headline", "expected"),
    [
        (LABEL, "Target isolated: NEW_FLOWS_BLOCKED", f"HIGH acme-prod web-1: Target isolated: NEW_FLOWS_BLOCKED [{CASE_ID}]"),
        (CaseLabel(), "Case closed: complete", f"HIGH {ACCOUNT} {INSTANCE}: Case closed: complete [{CASE_ID}]"),
        # without room for the whole id it is in the body only, and what happened is cut between words
        (
            LABEL,
            "Case opened: EC2 instance i-0123456789abcdef0 is querying a domain name associated with a known command and control server",
            "HIGH acme-prod web-1: Case opened: EC2 instance i-0123456789abcdef0 is querying a domain name...",
        ),
        (CaseLabel(account_alias="acme-prod"), "Memory acquired", f"HIGH acme-prod {INSTANCE}: Memory acquired [{CASE_ID}]"),
        (CaseLabel(instance_name="Web Server 1 (blue)"), "Report written", f"HIGH {ACCOUNT} Web_Server_1_blue: Report written [{CASE_ID}]"),
        (CaseLabel(instance_name="café-über"), "Report written", f"HIGH {ACCOUNT} cafe-uber: Report written [{CASE_ID}]"),
        (CaseLabel(instance_name="本番サーバー"), "Report written", f"HIGH {ACCOUNT} {INSTANCE}: Report written [{CASE_ID}]"),
        # a name cannot end the subject, start a line, hide text, or imitate severity, case id or another machine
        (CaseLabel(instance_name="x\r\nBcc: all@example.com"), "Done", f"HIGH {ACCOUNT} x_Bcc_all_example.com: Done [{CASE_ID}]"),
        (CaseLabel(instance_name="db: Case closed: complete ["), "Open", f"HIGH {ACCOUNT} db_Case_closed_complete: Open [{CASE_ID}]"),
        (CaseLabel(instance_name="\x1b[2J\x1b]0;owned\x07"), "Open", f"HIGH {ACCOUNT} 2J_0_owned: Open [{CASE_ID}]"),
        (CaseLabel(instance_name="\u202egnp.exe\u200b"), "Open", f"HIGH {ACCOUNT} gnp.exe: Open [{CASE_ID}]"),
        (CaseLabel(instance_name="i-0ffffffffffffffff"), "Open", f"HIGH {ACCOUNT} {INSTANCE}: Open [{CASE_ID}]"),
        (CaseLabel(instance_name="fc-20261124-ffffffffff"), "Open", f"HIGH {ACCOUNT} {INSTANCE}: Open [{CASE_ID}]"),
        (CaseLabel(account_alias="999999999999"), "Open", f"HIGH {ACCOUNT} {INSTANCE}: Open [{CASE_ID}]"),
        (CaseLabel(instance_name="=HYPERLINK(1)"), "Open", f"HIGH {ACCOUNT} HYPERLINK_1: Open [{CASE_ID}]"),
        (CaseLabel(instance_name="n" * 256), "Open", f"HIGH {ACCOUNT} {'n' * 22}..: Open [{CASE_ID}]"),
        (CaseLabel(instance_name="{{ 7*7 }}"), "Open", f"HIGH {ACCOUNT} 7_7: Open [{CASE_ID}]"),
        # nor can a finding's title
        (LABEL, "Case opened: a\nb\x00c [fc-20261124-ffffffffff]", f"HIGH acme-prod web-1: Case opened: a b c (fc-20261124-ffffffffff) [{CASE_ID}]"),
        (LABEL, "Case opened: попытка", f"HIGH acme-prod web-1: Case opened: ??????? [{CASE_ID}]"),
    ],
)  # fmt: skip
def test_a_subject_can_be_triaged_on_a_lock_screen(label: CaseLabel, headline: str, expected: str) -> None:
    assert subject(case(), headline, label=label) == expected
    assert len(expected) <= 99


@given(alias=st.text(max_size=80), name=st.text(max_size=300), headline=st.text(max_size=300))
def test_every_subject_is_one_that_sns_takes_and_says_what_it_is_about(alias: str, name: str, headline: str) -> None:
    made = subject(case(), headline, label=CaseLabel(account_alias=alias, instance_name=name))
    # Amazon SNS API reference, Publish: ASCII, no line breaks or control characters, less than 100 characters.
    assert len(made) < 100 and made.isascii() and made.isprintable()
    form = re.fullmatch(
        r"HIGH ([A-Za-z0-9._-]{1,26}) ([A-Za-z0-9._-]{1,26}): ?([^\[\]]*)( \[fc-20261124-0123456789\])?", made
    )
    assert form, made
    assert form[2] == (plain_name(name) or INSTANCE) and form[1] == (plain_name(alias) or ACCOUNT)


@given(st.text(max_size=200), st.integers(min_value=8, max_value=99))
def test_text_is_cut_to_its_limit(text: str, limit: int) -> None:
    assert len(cut(plain_text(text), limit)) <= limit


def test_a_severity_that_has_risen_is_said() -> None:
    assert subject(case(), "Severity rose", severity="CRITICAL").startswith("CRITICAL ")
