"""Items outlive the release that wrote them: what another release stored is read, or refused with the reason; nothing else is."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from pydantic import Field, ValidationError

from forensics.aws.case_items import case_update
from forensics.custody.chain import event_digest, next_event, stored_form, verify_chain
from forensics.errors import CustodyChainError, StoredItemError
from forensics.models.base import ITEM_SCHEMA, Model
from forensics.models.case import Case
from forensics.models.custody import CustodyAction, CustodyEvent, CustodyFacts
from forensics.models.evidence import Digest
from forensics.models.outside import Outside
from tests.unit.builders import CASE_ID, NOW, case


class Part(Model):
    """Stands inside."""

    a: int = 0


class Whole(Outside):
    """Holds parts in every kind of place."""

    text: str = ""
    one: Part = Part()
    many: tuple[Part, ...] = ()
    named: dict[str, Part] = Field(default_factory=dict)


class Changed(Model):
    """A model whose meaning has changed once."""

    SCHEMA: ClassVar[int] = 2

    a: int


NEWER: dict[str, Any] = {
    "text": "t\n", "later": 1, "one": {"a": 1, "later": {"x": 1}}, "many": [{"a": 2, "later": []}], "named": {"k": {"a": 3, "later": None}},
}  # fmt: skip


def test_fields_of_a_newer_release_are_left_out_at_any_depth() -> None:
    assert Whole.stored(NEWER) == Whole(text="t\n", one=Part(a=1), many=(Part(a=2),), named={"k": Part(a=3)})
    assert Whole.stored(NEWER).text == "t⏎"


def test_what_does_not_come_from_the_store_is_still_refused() -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        Whole.model_validate(NEWER)


def test_an_item_whose_schema_is_newer_is_refused_and_older_ones_are_read() -> None:
    written = Changed(a=1).to_store()
    assert written == {"a": 1, ITEM_SCHEMA: 2}
    assert Changed.stored(written) == Changed(a=1) == Changed.stored({"a": 1})
    assert ITEM_SCHEMA not in Part().to_store()
    with pytest.raises(StoredItemError, match=r"a stored Part .*schema 2, this release knows schema 1") as refused:
        Part.stored({"a": 1, ITEM_SCHEMA: 2})
    assert "deploy that release again" in refused.value.next_action
    with pytest.raises(StoredItemError, match="schema"):
        Part.stored({"a": 1, ITEM_SCHEMA: "two"})


def test_an_item_that_cannot_be_read_is_named_with_its_case_and_its_fields() -> None:
    with pytest.raises(StoredItemError, match=rf"a stored Case of case {CASE_ID} .*phase: Input should be") as refused:
        Case.stored({**case().model_dump(mode="json"), "phase": "NEW_PHASE"})
    assert "NEW_PHASE" not in str(refused.value), "a value may be long, and anybody's"


def test_a_change_of_a_head_record_says_its_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ITEM_SCHEMA not in str(case_update("t", case(), {"run_id": "r"}))
    monkeypatch.setattr(Case, "SCHEMA", 2)
    update = case_update("t", case(), {"run_id": "r"})
    assert ITEM_SCHEMA in update["ExpressionAttributeNames"].values()
    assert update["ExpressionAttributeValues"][":schema"] == {"N": "2"}


def _events(**more: Any) -> list[dict[str, Any]]:
    """A chain of two events as they are stored, the first with ``more``, which a newer release has written."""
    facts = CustodyFacts(digests=(Digest(value="f" * 64, subject="it", source="s3"),))
    links: list[dict[str, Any]] = []
    for seq, action in enumerate((CustodyAction.CASE_OPENED, CustodyAction.CASE_CLOSED), start=1):
        previous = links[-1]["digest"] if links else "0" * 64
        event = next_event(case_id=CASE_ID, seq=seq, previous=previous, action=action, actor="a", at=NOW, facts=facts)
        link = stored_form(event)
        if seq == 1:
            link |= more
            link["facts"]["digests"][0].update(more)  # type: ignore[index,call-overload,union-attr]
            link["digest"] = event_digest(link)
        links.append(link)
    return links


def test_custody_events_keep_what_a_newer_release_wrote_because_the_chain_covers_it() -> None:
    stored = _events(witness={"name": "b"}, action="WITNESS_HEARD")
    events = [CustodyEvent.stored(link) for link in stored]
    assert [stored_form(e) for e in events] == stored
    assert events[0].action.value == "WITNESS_HEARD" and events[0].action not in set(CustodyAction)
    assert verify_chain(events) == stored[-1]["digest"]
    stored[0]["witness"]["name"] = "c"
    with pytest.raises(CustodyChainError, match="event 1 was changed"):
        verify_chain([CustodyEvent.stored(link) for link in stored])
