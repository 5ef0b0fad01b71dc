"""The second person's line of text: signed, about one plan, of somebody else, for some time."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from forensics.break_glass.signed_approval import ApprovalStatement, person_of, read, sign, why_not_good
from forensics.errors import ApprovalError
from forensics.models.approval import ApprovalSubject, Person
from tests.unit.signing import signing_key

KEY, OTHER = signing_key(), signing_key()
NOW = datetime(2026, 11, 24, 3, tzinfo=UTC)
ALICE = person_of("arn:aws:sts::222233334444:assumed-role/forensics-break-glass/alice")
BOB = "arn:aws:sts::222233334444:assumed-role/forensics-break-glass-approve/bob"
ASKED: dict[str, Any] = {
    "case_id": "fc-20261124-0a1b2c3d4e",
    "subject": ApprovalSubject.RELEASE,
    "digest": "a" * 64,
    "run_id": "break-glass__20261124T025500.000000Z",
}


def statement(**changes: Any) -> ApprovalStatement:
    return ApprovalStatement(**{**ASKED, "by": BOB, "expires_at": NOW + timedelta(hours=1), **changes})


def test_a_line_is_read_as_it_was_signed() -> None:
    assert read(sign(statement(), KEY), KEY) == statement()
    assert read(f"  {sign(statement(), KEY)}\n", KEY) == statement(), "pasted with its line's end"
    assert why_not_good(statement(), **ASKED, asker=ALICE, now=NOW) is None


def test_any_change_of_the_statement_or_another_key_is_refused() -> None:
    line = sign(statement(), KEY)
    envelope = json.loads(base64.urlsafe_b64decode(line))
    forged = {**envelope, "statement": envelope["statement"].replace("a" * 64, "b" * 64)}
    for wrong in (
        base64.urlsafe_b64encode(json.dumps(forged).encode()).decode(),
        sign(statement(), OTHER),
        line[:-4], "", "ü", "%%%", base64.urlsafe_b64encode(b"{}").decode(), "A" * 20_000,
    ):  # fmt: skip
        with pytest.raises(ApprovalError) as said:
            read(wrong, KEY)
        assert said.value.next_action


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"case_id": "fc-20261124-ffffffffff"}, "case fc-20261124-ffffffffff"),
        ({"subject": ApprovalSubject.CONTAINMENT}, "approves the containment"),
        ({"digest": "b" * 64}, "the plan now is aaaaaaaaaaaa"),
        ({"run_id": "break-glass__earlier"}, "answers the question"),
        ({"by": "arn:aws:sts::222233334444:assumed-role/forensics-break-glass-approve/ALICE"}, "may not approve it"),
        ({"expires_at": NOW}, "it ended at 2026-11-24 03:00:00Z"),
    ],
)
def test_a_signed_line_about_something_else_approves_nothing(changes: dict[str, Any], why: str) -> None:
    found = why_not_good(statement(**changes), **ASKED, asker=ALICE, now=NOW)
    assert found is not None and why in found


def test_a_person_is_known_by_the_name_of_the_session_or_user() -> None:
    assert Person(id="arn:aws:sts::222233334444:assumed-role/forensics-break-glass/alice", login="alice") == ALICE
    assert person_of("arn:aws:iam::222233334444:user/team/alice").is_same_as(ALICE)
