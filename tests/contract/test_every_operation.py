"""The lab answers every call of the product as botocore's models have it: members, types, enums, times, statuses, error codes.

The lab looks at its own answers in every test (lab/emulator/contract) and the session fails for a wrong one (tests/conftest.py); here each
call that the product's source makes is played at least once, so that none goes unseen.
"""

from __future__ import annotations

import botocore.session
import pytest
from botocore import xform_name

from tests.contract import plays, plays_ec2, plays_records
from tests.lab.conftest import Lab, Network
from tests.templates import gateway_calls


def _operations() -> dict[tuple[str, str], str]:
    """(client, operation as botocore's model calls it) → where the product calls it."""
    loaded = botocore.session.get_session()
    found = {}
    for (service, method), place in gateway_calls.operations().items():
        names = {xform_name(name): name for name in loaded.get_service_model(service).operation_names}
        found[service, names[method]] = place
    return found


@pytest.fixture(scope="module")
def notes(lab: Lab) -> list[tuple[str, str, str]]:
    """What the lab noted of its answers while every call was played."""
    plays.play(lab, Network(lab))
    plays_ec2.play(lab, Network(lab))
    plays_records.play(lab, Network(lab))
    return [(service, operation, problem) for service, operation, problem in lab.get("answers")["notes"]]


def test_every_call_of_the_product_was_answered_with_success(notes: list[tuple[str, str, str]]) -> None:
    answered = {(service, operation) for service, operation, problem in notes if not problem}
    unseen = {
        f"{s}.{o} ({place}): add it to tests/contract/plays*.py"
        for (s, o), place in _operations().items()
        if (s, o) not in answered
    }
    assert not unseen
    assert len(answered) >= 110


def test_no_answer_differs_from_its_model(notes: list[tuple[str, str, str]]) -> None:
    assert not [f"{s}.{o}: {problem}" for s, o, problem in notes if problem]
