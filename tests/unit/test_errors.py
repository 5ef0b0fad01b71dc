"""Errors: they survive pickling, say what to do next, and retry only what a repetition can mend."""

from __future__ import annotations

import pickle
from collections.abc import Iterator

import pytest

from forensics import errors
from forensics.errors import ForensicsError


def _kinds(root: type[ForensicsError] = ForensicsError) -> Iterator[type[ForensicsError]]:
    yield root
    for kind in root.__subclasses__():
        if kind.__module__ == errors.__name__:
            yield from _kinds(kind)


KINDS = sorted(set(_kinds()), key=lambda k: k.__name__)
FINAL = {
    "ApprovalError",
    "HeldElsewhereError",
    "ConfigurationError",
    "EvidenceSizeError",
    "ConfinedError",
    "FindingError",
    "InvalidCaseError",
    "CaseConflictError",
    "StoredItemError",
    "SweepError",
    "UnsupportedTargetError",
    "CustodyError",
    "DigestMismatchError",
    "CustodyChainError",
    "AuditError",
    "ResourceGoneError",
    "ConflictError",
}


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
def test_pickling_keeps_kind_message_and_next_action(kind: type[ForensicsError]) -> None:
    error = kind("volume vol-1 is gone", next_action="look at the volume")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert (str(copy), copy.message, copy.next_action) == (
        "volume vol-1 is gone",
        "volume vol-1 is gone",
        "look at the volume",
    )


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
def test_every_error_says_what_to_do_next(kind: type[ForensicsError]) -> None:
    assert len(kind("x").next_action) > 20


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
def test_retried_is_what_a_repetition_can_mend(kind: type[ForensicsError]) -> None:
    assert kind("x").retryable is (kind.__name__ not in FINAL)


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
def test_the_module_documents_every_error(kind: type[ForensicsError]) -> None:
    assert kind.__name__ in (errors.__doc__ or "")
    assert kind.__doc__


def test_what_a_host_said_cannot_forge_a_line_of_the_message() -> None:
    error = ForensicsError("command ended: \ud800\n\x1b[31mCase closed", next_action="look\nthere")
    assert (str(error), error.next_action) == ("command ended: [U+D800]⏎␛[31mCase closed", "look⏎there")
