"""A resource of our own that AWS does not know yet is waited for; any other error is not."""

from __future__ import annotations

import pytest

from forensics.aws import visibility
from forensics.aws.visibility import NotVisibleYet, looking_once, until_found, when_visible
from forensics.errors import AccessDeniedError, AwsError, ResourceGoneError


class Answers:
    """Raises these errors, one at each call, then answers."""

    def __init__(self, *errors: AwsError) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "there"


def test_not_found_means_not_yet() -> None:
    """Not monotonic either: awslabs/coldsnap#43 saw a snapshot disappear again after its first success."""
    call = Answers(ResourceGoneError("snap-1"), ResourceGoneError("snap-1"))
    assert when_visible(call) == "there"
    assert call.calls == 3


def test_another_error_is_raised_at_once() -> None:
    call = Answers(AccessDeniedError("no"))
    with pytest.raises(AccessDeniedError):
        when_visible(call)
    assert call.calls == 1


def test_what_stays_unknown_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visibility, "VISIBLE_WITHIN", 0.0)
    with pytest.raises(ResourceGoneError, match="snap-1"):
        when_visible(Answers(*[ResourceGoneError("snap-1")] * 9))


def test_an_empty_list_means_not_yet() -> None:
    answers: list[list[str]] = [[], [], ["snap-1"]]
    assert until_found(lambda: answers.pop(0)) == ["snap-1"]
    assert answers == []


def test_a_list_that_stays_empty_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visibility, "LISTED_WITHIN", 0.0)
    assert until_found(list) == []
    assert until_found(lambda: None) is None


def test_a_wait_that_looks_again_itself_is_not_held_up() -> None:
    call = Answers(ResourceGoneError("snap-1"), ResourceGoneError("snap-1"))
    for _ in range(2):
        with looking_once(), pytest.raises(NotVisibleYet, match="snap-1") as yet:
            when_visible(call, seconds=7)
        assert yet.value.seconds == 7 and isinstance(yet.value.error, ResourceGoneError)
    with looking_once():
        assert when_visible(call) == "there" and call.calls == 3
        with pytest.raises(AccessDeniedError):
            when_visible(Answers(AccessDeniedError("no")))
    assert when_visible(Answers(ResourceGoneError("snap-1"))) == "there", "outside it waits as before"
