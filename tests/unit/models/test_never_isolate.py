"""Entries of the never-isolate list that are refused."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from forensics.models.never_isolate import NeverIsolateEntry, NeverIsolateKind, NeverIsolateList

ENTRY: dict[str, Any] = {"id": "dc", "kind": "instance", "value": "i-1", "reason": "domain controller"}


def test_an_entry_says_what_it_names_and_why() -> None:
    entry = NeverIsolateEntry.model_validate(ENTRY)
    assert entry.kind is NeverIsolateKind.INSTANCE and entry.until is None and entry.account_id is None


def test_a_tag_that_anybody_may_set_protects_nothing() -> None:
    tag = {**ENTRY, "kind": "tag", "value": "forensics:never-isolate=yes"}
    assert NeverIsolateEntry.model_validate(tag).value == "forensics:never-isolate=yes"
    with pytest.raises(ValidationError, match="must be in the namespace forensics:"):
        NeverIsolateEntry.model_validate({**tag, "value": "Environment=prod"})


def test_ids_are_unique() -> None:
    document = {"schema": "forensics.never-isolate/1", "version": "1", "entries": [ENTRY, ENTRY]}
    with pytest.raises(ValidationError, match="entry dc occurs twice"):
        NeverIsolateList.model_validate(document)
