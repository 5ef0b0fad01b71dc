"""What AWS was asked to make is found again by a later try, also where a list by tag does not show it yet."""

from __future__ import annotations

import pytest

from forensics.case import requests
from forensics.case.requests import MadeBefore
from forensics.errors import AwsError, ResourceGoneError, ThrottledError
from tests.unit.recorders import FakeRecorder


def find(before: MadeBefore, *lists: list[str]) -> list[str]:
    """What is found when AWS lists these, one after the other, and knows every id."""
    left = list(lists)
    return before.find(
        lambda: left.pop(0) if len(left) > 1 else left[0], described=lambda made: [made], name=lambda made: made
    )


@pytest.fixture
def recorder() -> FakeRecorder:
    return FakeRecorder()


def test_what_is_on_record_is_found_although_no_list_shows_it(recorder: FakeRecorder) -> None:
    MadeBefore(recorder, "snapshots").make(lambda: ["snap-1", "snap-2"])
    assert find(MadeBefore(recorder, "snapshots"), ["snap-1"]) == ["snap-1", "snap-2"]
    assert find(MadeBefore(recorder, "others"), []) == []


def test_a_request_without_an_answer_is_waited_for(recorder: FakeRecorder) -> None:
    def lost() -> list[str]:
        raise AwsError("the connection was lost")

    before = MadeBefore(recorder, "snapshots")
    with pytest.raises(AwsError):
        before.make(lost)
    assert find(before, [], [], ["snap-1"]) == ["snap-1"]


def test_a_request_that_never_shows_may_be_repeated(recorder: FakeRecorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "LISTED_WITHIN", 0.0)
    before = MadeBefore(recorder, "snapshots")
    with pytest.raises(AwsError):
        before.make(lambda: (_ for _ in ()).throw(AwsError("lost")))  # type: ignore[arg-type]
    assert find(before, []) == []


def test_a_refused_request_has_made_nothing(recorder: FakeRecorder) -> None:
    def refused() -> list[str]:
        raise ThrottledError("ResourceLimitExceeded")

    before = MadeBefore(recorder, "snapshots")
    before.make(lambda: ["snap-1"])
    with pytest.raises(ThrottledError):
        before.make(refused)
    looked: list[int] = []
    before.find(lambda: looked.append(1) or [], described=lambda made: [made], name=str)  # type: ignore[func-returns-value]
    assert looked == [1] and before.ids() == ("snap-1",)


def test_what_no_longer_exists_is_noted(recorder: FakeRecorder) -> None:
    def gone(made: str) -> list[str]:
        raise ResourceGoneError(made)

    before = MadeBefore(recorder, "snapshots")
    before.make(lambda: ["snap-1"])
    assert before.find(list, described=gone, name=str) == []
    assert recorder.notes == ["snap-1 was made for this case and no longer exists"]
