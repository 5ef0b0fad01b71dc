"""Each way in which a check ends is a line with its next action."""

from __future__ import annotations

from forensics.errors import AccessDeniedError
from forensics.models.preflight import CheckStatus
from forensics.preflight.check import BrokenError, NotTriedError
from tests.unit.preflight.checks import Made, raises


def test_a_success_has_no_next_action() -> None:
    line = Made(lambda: "fine", "here").run()
    assert (line.check, line.subject, line.status, line.detail, line.next_action) == (
        "made",
        "here",
        CheckStatus.OK,
        "fine",
        "",
    )


def test_what_a_check_found_itself_is_told_in_its_own_words() -> None:
    for kind, status in ((BrokenError, CheckStatus.BROKEN), (NotTriedError, CheckStatus.NOT_TRIED)):
        line = Made(raises(kind("it differs", next_action="deploy it"))).run()
        assert (line.status, line.detail, line.next_action) == (status, "it differs", "deploy it")


def test_an_error_of_aws_is_broken() -> None:
    line = Made(raises(AccessDeniedError("no"))).run()
    assert line.status is CheckStatus.BROKEN
    assert line.next_action


def test_a_defect_of_the_check_blames_nothing_else() -> None:
    line = Made(raises(KeyError("x"))).run()
    assert line.status is CheckStatus.NOT_TRIED
    assert "KeyError" in line.detail
