"""OpenRelik gets artifacts, report, timeline and pointers; what is there already is not sent again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from forensics.errors import PushError
from forensics.models.push import PushAccess
from forensics.push import openrelik as module
from forensics.push.openrelik import OpenRelikPlug
from forensics.push.plug import Deadline
from forensics.push.stored_case import StoredCase
from tests.unit.push.openrelik_server import KEY, OpenRelik
from tests.unit.report.test_gap_counts import Stored


def plug(server: OpenRelik, **given: Any) -> OpenRelikPlug:
    access = {"kind": "openrelik", "server": server.url, "api_key": KEY, **given}
    return OpenRelikPlug(PushAccess.model_validate(access), Deadline(60))


def test_everything_lies_in_a_folder_of_the_case(
    relik: OpenRelik, stored: StoredCase, recorder: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHUNK", 700)
    said = plug(relik).push(stored)
    assert [f["display_name"] for f in relik.folders] == [stored.title] and said.where == f"{relik.url}/folder/1"
    file, lines = stored.timeline()
    assert relik.bodies[f"timeline-{stored.version}.jsonl"] == file.read_bytes() and said.entries == lines
    for item in stored.objects:
        assert relik.bodies[item.name] == recorder.evidence_store.objects[item.uri.removeprefix("s3://evidence/")]
    assert stored.objects and said.objects == len(relik.bodies) == len(stored.objects) + 2
    pointers = json.loads(relik.bodies[f"evidence-{stored.version}.json"])
    assert {e["evidence_id"] for e in pointers["evidence"]} == {e.evidence_id for e in recorder.evidence()}
    assert pointers["case_id"] == stored.case.case_id
    assert max(map(len, relik.parts.values())) > 1, "in chunks"


def test_a_second_push_sends_nothing(relik: OpenRelik, stored: StoredCase) -> None:
    plug(relik).push(stored)
    before = len(relik.parts)
    again = plug(relik).push(stored)
    assert (again.objects, again.note) == (0, "everything was there already")
    assert len(relik.parts) == before and len(relik.folders) == 1


def test_a_folder_of_the_secret_holds_the_cases(relik: OpenRelik, stored: StoredCase) -> None:
    relik.folder("cases", None)
    for _ in range(2):
        plug(relik, folder_id=1).push(stored)
    assert [(f["display_name"], f["parent"]) for f in relik.folders] == [("cases", None), (stored.title, 1)]


def test_a_token_that_runs_out_is_renewed_and_a_full_disk_tried_again(relik: OpenRelik, stored: StoredCase) -> None:
    relik.spent, relik.full = 3, 2
    assert plug(relik).push(stored).objects == len(stored.objects) + 2
    assert len(relik.tokens) > 1


def test_what_does_not_end_is_said_without_the_key(relik: OpenRelik, stored: StoredCase) -> None:
    relik.full = 100
    with pytest.raises(PushError, match="answered 503") as error:
        plug(relik).push(stored)
    assert error.value.next_action
    for given, said in (({"api_key": "other-EXAMPLE"}, "answered 401"), ({"api_key": ""}, "no api_key")):
        with pytest.raises(PushError, match=said) as error:
            plug(relik, **given).push(stored)
        assert "EXAMPLE" not in f"{error.value}{error.value.next_action}"
