"""Records of the custody ledger."""

from __future__ import annotations

import hashlib

import pytest
from pydantic import ValidationError

from forensics.models.custody import CustodyAction, CustodyEvent, SigningKey
from tests.unit.builders import CASE_ID, NOW


def test_a_fingerprint_is_the_digest_of_the_public_key() -> None:
    assert SigningKey(arn="a", der=b"der").fingerprint == hashlib.sha256(b"der").hexdigest()


@pytest.mark.parametrize("change", [{"seq": 0}, {"previous": "0" * 63}, {"digest": "G" * 64}, {"action": "erased\n"}])
def test_an_event_of_another_form_is_refused(change: dict[str, object]) -> None:
    values: dict[str, object] = {
        "case_id": CASE_ID, "seq": 1, "previous": "0" * 64, "action": CustodyAction.CASE_OPENED, "actor": "a", "at": NOW,
        "digest": "f" * 64,
    }  # fmt: skip
    assert CustodyEvent.model_validate(values).detail == {}
    with pytest.raises(ValidationError):
        CustodyEvent.model_validate({**values, **change})
