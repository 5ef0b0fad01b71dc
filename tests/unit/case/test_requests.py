"""What AWS was asked to make is found again by a later try, also where a list by tag does not show it yet."""

from __future__ import annotations

from datetime import datetime

import pytest

from forensics.case import requests
from forensics.case.adoption import MOST_RECORDED
from forensics.case.requests import MadeBefore
from forensics.errors import AwsError, ResourceGoneError, ThrottledError
from forensics.models.custody import CustodyAction
from tests.unit.builders import CASE_ID
from tests.unit.recorders import FakeRecorder


def find(before: MadeBefore, *lists: list[str]) -> list[str]:
    """What is found when AWS lists these, one after the other, and knows every id."""
    left = list(lists)
    return before.find(
        lambda: left.pop(0) if len(left) > 1 else left[0],
        described=lambda made: [made],
        name=lambda made: made,
        foreign=lambda made, _at: "it is another's" if "planted" in made else None,
    )


def ours(_made: str, _at: datetime | None) -> str | None:
    """Everything is the case's own."""
    return None


def lost() -> list[str]:
    """A request whose answer is lost."""
    raise AwsError("the connection was lost")


@pytest.fixture
def recorder() -> FakeRecorder:
    return FakeRecorder()


def test_what_is_on_record_is_found_although_no_list_shows_it(recorder: FakeRecorder) -> None:
    MadeBefore(recorder, "snapshots").make(lambda: ["snap-1", "snap-2"])
    assert find(MadeBefore(recorder, "snapshots"), ["snap-1"]) == ["snap-1", "snap-2"]
    assert find(MadeBefore(recorder, "others"), []) == []


def test_a_request_without_an_answer_is_waited_for(recorder: FakeRecorder) -> None:
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
    before.find(lambda: looked.append(1) or [], described=lambda made: [made], name=str, foreign=ours)  # type: ignore[func-returns-value]
    assert looked == [1] and before.ids() == ("snap-1",)


def test_what_no_longer_exists_is_noted(recorder: FakeRecorder) -> None:
    def gone(made: str) -> list[str]:
        raise ResourceGoneError(made)

    before = MadeBefore(recorder, "snapshots")
    before.make(lambda: ["snap-1"])
    assert before.find(list, described=gone, name=str, foreign=ours) == []
    assert recorder.notes == ["snap-1 was made for this case and no longer exists"]


def test_what_no_request_made_is_refused_and_recorded_once(recorder: FakeRecorder) -> None:
    """Whoever may tag can give a thing the case's tags."""
    before = MadeBefore(recorder, "snapshots")
    before.make(lambda: ["snap-1"])
    for _ in range(2):
        assert find(before, ["snap-1", "snap-9"]) == ["snap-1"]
    (event,) = [e for e in recorder.ledger.events(CASE_ID) if e.action is CustodyAction.ADOPTION_REFUSED]
    assert event.detail["name"] == "snap-9" and event.detail["why"] == "no request of this case made it"
    assert [n for n in recorder.notes if "snap-9 carries this case's marks and is not adopted" in n] == recorder.notes


def test_while_a_request_has_no_answer_only_what_fits_it_is_taken(recorder: FakeRecorder) -> None:
    before = MadeBefore(recorder, "snapshots")
    with pytest.raises(AwsError):
        before.make(lost)
    assert find(before, ["planted-1", "snap-1"]) == ["snap-1"]
    assert before.ids() == ("snap-1",), "its answer is known now"
    assert find(before, ["snap-1", "snap-2"]) == ["snap-1"], "and nothing that comes later is of it"


def test_a_flood_of_planted_things_does_not_fill_the_ledger(recorder: FakeRecorder) -> None:
    before = MadeBefore(recorder, "snapshots")
    assert find(before, [f"snap-{n}" for n in range(100)]) == []
    assert recorder.ledger.actions() == [CustodyAction.ADOPTION_REFUSED] * MOST_RECORDED
