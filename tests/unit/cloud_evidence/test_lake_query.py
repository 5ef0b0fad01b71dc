"""What CloudTrail Lake is asked: the pattern with which files are searched, in statements that it takes."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from forensics.cloud_evidence.followed import Followed
from forensics.cloud_evidence.lake_query import MOST_CHARACTERS, statements

STORE = "arn:aws:cloudtrail:eu-central-1:333344445555:eventdatastore/01234567-89ab-cdef-0123-456789abcdef"
END = datetime(2026, 11, 28, 15, 0, 0, 500, tzinfo=UTC)
INSTANCE = "i-0123456789abcdef0"


def ask(followed: Followed, *, blinding: bool = True, store: str = STORE) -> list[str]:
    begin = END - timedelta(days=1)
    return statements(store, followed, account_id="333344445555", begin=begin, end=END, blinding=blinding)


def patterns(made: list[str]) -> list[str]:
    return [m[1].replace("''", "'") for s in made if (m := re.search(r"regexp_like\(eventJson, '(.*)'\)$", s))]


def test_one_statement_bounds_time_and_account_and_has_the_pattern_of_the_files() -> None:
    followed = Followed(instance_id=INSTANCE, ids=(INSTANCE,), names=("helpdesk",), roles=("web-server",))
    (made,) = ask(followed)
    assert made.startswith(
        "SELECT eventJson FROM 01234567-89ab-cdef-0123-456789abcdef WHERE eventTime >= '2026-11-27 15:00:00'"
        " AND eventTime <= '2026-11-28 15:00:01' AND recipientAccountId = '333344445555' AND regexp_like("
    )
    assert patterns([made]) == [followed.pattern().pattern.decode()]
    assert "StopLogging" not in ask(followed, blinding=False)[0]


def test_a_quote_in_a_name_of_a_role_ends_no_text() -> None:
    followed = Followed(instance_id=INSTANCE, ids=(INSTANCE,), roles=("x' OR '1'='1",))
    (made,) = ask(followed)
    assert made.count("'") % 2 == 0 and "x''" in made
    assert patterns([made]) == [followed.pattern().pattern.decode()]


def test_what_no_statement_has_room_for_is_asked_in_parts_that_lose_nothing() -> None:
    ids = tuple(f"AKIA{n:016d}" for n in range(400))
    names = tuple(f"user-{n:03d}" + "." * 60 for n in range(100))
    followed = Followed(instance_id=INSTANCE, ids=ids, names=names, roles=("web-server",))
    made = ask(followed)
    assert len(made) > 1 and max(map(len, made)) <= MOST_CHARACTERS
    text = "\n".join(patterns(made))
    assert all(re.escape(word) in text for word in (*ids, *names))
    assert text.count("web\\-server") == 1 and text.count("StopLogging") == 1


def test_what_is_no_store_is_no_table() -> None:
    with pytest.raises(ValueError, match="no ARN of an event data store"):
        ask(Followed(instance_id=INSTANCE, ids=(INSTANCE,)), store=STORE[:-36] + "x; DROP")
