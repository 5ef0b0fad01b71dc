"""A small part of ``make fuzz``, and that its oracle bites."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from forensics.models.intake import IntakeResult, IntakeVerdict
from tests.fuzz.__main__ import read
from tests.fuzz.mutate import Mutator, valid_events
from tests.fuzz.oracle import Violation, check

EVENTS = {name: json.dumps(event) for name, event in valid_events().items()}
ACCEPTED = {name: text for name, text in EVENTS.items() if read(text).findings}


@pytest.mark.thorough
def test_a_thousand_mutations_get_a_verdict_and_never_a_wrong_account() -> None:
    mutator = Mutator(seed=4711)
    for number in range(1000):
        what, text = mutator.body(number)
        try:
            check(text, read(text))
        except Violation as violation:
            raise AssertionError(f"python -m tests.fuzz --seed {mutator.seed} --only {number}: {what}") from violation


def test_a_seed_gives_the_same_inputs_again() -> None:
    assert [Mutator(7).body(n) for n in range(50)] == [Mutator(7).body(n) for n in range(50)]
    assert Mutator(7).body(1) != Mutator(8).body(1)


@pytest.mark.thorough
def test_the_mutations_are_not_all_rejected() -> None:
    mutator = Mutator(seed=1)
    verdicts = [read(mutator.body(n)[1]).verdict for n in range(400)]
    for verdict in IntakeVerdict:
        assert verdicts.count(verdict) > 20


def _first(intake: IntakeResult, **changes: Any) -> IntakeResult:
    first, *others = intake.findings
    return intake.model_copy(update={"findings": (first.model_copy(update=changes), *others)})


def _unclean(intake: IntakeResult) -> IntakeResult:
    """What no reader can make any more: the models clean each text, so the model's own memory is written to."""
    copied = intake.model_copy(deep=True)
    copied.findings[0].__dict__["title"] = "\x1b[2Jgone"
    return copied


WRONG: dict[str, Callable[[IntakeResult], IntakeResult]] = {
    "account": lambda i: _first(i, account_id="999988887777"),
    "own account": lambda i: _first(i, account_id="222233334444"),
    "instance": lambda i: _first(i, instance_id="i-0fffffffffffffff9"),
    "region": lambda i: _first(i, region="ap-south-1"),
    "title": _unclean,
    "verdict": lambda i: i.model_copy(update={"verdict": IntakeVerdict.IGNORE}),
    "reason": lambda i: i.model_copy(update={"reason": "internal error in the event intake: KeyError()"}),
    "twice": lambda i: i.model_copy(update={"findings": (*i.findings, i.findings[0])}),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("event", sorted(ACCEPTED))
def test_a_wrong_answer_is_noticed(event: str, name: str) -> None:
    text = ACCEPTED[event]
    check(text, read(text))
    # an artifact's finding with another id than its artifact's is refused by the model already
    with pytest.raises((Violation, ValidationError)):
        check(text, WRONG[name](read(text)))


def test_an_asff_instance_put_into_the_envelopes_account_is_noticed() -> None:
    """The mistake of a parser that believes the envelope: the account is in the event, and still not the target's."""
    document = json.loads(EVENTS["asff_imported_guardduty_c2"])
    assert document["account"] != document["detail"]["findings"][0]["AwsAccountId"]
    text = json.dumps(document)
    with pytest.raises(Violation, match="not where it was put"):
        check(text, _first(read(text), account_id=document["account"]))
