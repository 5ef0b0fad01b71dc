"""Timesketch gets what its own client sends it, once for each version."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from timesketch_api_client.client import TimesketchApi
from timesketch_import_client.importer import ImportStreamer

from forensics.errors import PushError
from forensics.models.push import PushAccess
from forensics.push import timesketch as module
from forensics.push.plug import Deadline
from forensics.push.stored_case import StoredCase
from forensics.push.timesketch import TimesketchPlug, csrf_token
from tests.unit.push.timesketch_server import PASSWORD, USER, Timesketch


def plug(server: Timesketch, seconds: float = 60, **given: Any) -> TimesketchPlug:
    access = {"kind": "timesketch", "server": server.url, "username": USER, "password": PASSWORD, **given}
    return TimesketchPlug(PushAccess.model_validate(access), Deadline(seconds))


def test_the_published_client_gets_on_with_the_server_of_these_tests(
    sketches: Timesketch, stored: StoredCase, tmp_path: Path
) -> None:
    api = TimesketchApi(sketches.url, username=USER, password=PASSWORD)
    sketch = api.create_sketch("by the client", "x")
    file, lines = stored.timeline()
    kept = tmp_path / "kept.jsonl"
    kept.write_bytes(file.read_bytes())
    with ImportStreamer() as streamer:
        streamer.set_sketch(sketch)
        streamer.set_timeline_name("by the client")
        streamer.set_filesize_threshold(2000)  # so that it cuts the file, too
        streamer._upload_binary_file(str(kept))  # how it sends a file as it is; its add_file reads lines itself
    assert len(sketches.events["by the client"]) == lines and len(sketches.chunks) > 1


def test_the_whole_timeline_arrives_in_a_sketch_of_the_case(
    sketches: Timesketch, stored: StoredCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHUNK", 1000)
    said = plug(sketches).push(stored)
    (sketch,) = sketches.sketches
    assert sketch["name"] == stored.title and said.where == f"{sketches.url}/sketch/1/"
    (timeline,) = sketch["timelines"]
    events = sketches.events[timeline["name"]]
    assert timeline["name"] == f"{stored.case.case_id} {stored.version}"
    assert len(events) == said.entries > 30 and "processing" in said.note
    assert [e["message"] for e in events if e["message"].startswith("file ")] == [f"file {n}" for n in range(30)]
    assert {e["forensics_source"] for e in events} >= {"case", "custody", "finding", "memory"}
    one = next(e for e in events if e["message"] == "file 7")
    assert (one["datetime"], one["timestamp"]) == ("2026-11-20T00:00:07.000000+00:00", 1_795_132_807_000_000)
    assert one["case_id"] == stored.case.case_id and one["tag"] == ["forensics-memory"] and one["timestamp_desc"]
    first, last = sketches.chunks[0], sketches.chunks[-1]
    assert len(sketches.chunks) == int(first["chunk_total_chunks"]) > 1
    assert {c["chunk_index_name"] for c in sketches.chunks} == {first["chunk_index_name"]}
    assert int(last["chunk_byte_offset"]) == 1000 * int(last["chunk_index"]) and first["filename"].endswith(".jsonl")


def test_a_version_that_is_there_is_not_sent_again_and_one_that_failed_is(
    sketches: Timesketch, stored: StoredCase
) -> None:
    plug(sketches).push(stored)
    again = plug(sketches).push(stored)
    assert again.entries == 0 and "there already" in again.note
    assert len(sketches.sketches) == 1 and len(sketches.sketches[0]["timelines"]) == 1
    sketches.sketches[0]["timelines"][0]["status"] = [{"status": "fail"}]
    assert plug(sketches).push(stored).entries > 0
    assert [t["name"].rpartition(" try ")[2] for t in sketches.sketches[0]["timelines"]][1] == "2"


def test_a_sketch_of_the_secret_is_used(sketches: Timesketch, stored: StoredCase) -> None:
    sketches.sketches.append({"id": 1, "name": "all cases", "description": "", "timelines": []})
    assert plug(sketches, sketch_id=1).push(stored).where.endswith("/sketch/1/")
    assert len(sketches.sketches) == 1 and "GET /api/v1/sketches/" not in sketches.asked


@pytest.mark.parametrize(
    ("given", "said"),
    [({"password": "wrong-EXAMPLE"}, "does not let analyst in"), ({"password": ""}, "no username and password")],
)
def test_who_is_not_let_in_is_told_without_the_password(
    sketches: Timesketch, stored: StoredCase, given: dict[str, str], said: str
) -> None:
    with pytest.raises(PushError, match=said) as error:
        plug(sketches, **given).push(stored)
    assert "EXAMPLE" not in f"{error.value}{error.value.next_action}" and error.value.next_action
    assert sketches.sketches == []


@pytest.mark.parametrize(("status", "words"), [(403, "that may write there"), (500, "own log"), (418, "API's address")])
def test_an_answer_that_is_none_is_said_with_what_to_do(
    sketches: Timesketch, stored: StoredCase, status: int, words: str
) -> None:
    sketches.fails["POST /api/v1/upload/"] = status
    with pytest.raises(PushError, match=f"POST /api/v1/upload/ at 127.0.0.1: answered {status}") as error:
        plug(sketches).push(stored)
    assert words in error.value.next_action
    assert plug(sketches).push(stored).entries > 0, "what is tried again uses the sketch that was made"
    assert len(sketches.sketches) == 1


def test_a_server_that_is_not_there_and_time_that_is_over_are_said(stored: StoredCase, sketches: Timesketch) -> None:
    gone = TimesketchPlug(
        PushAccess(kind="timesketch", server="http://127.0.0.1:1", username="u", password="p"), Deadline(60)
    )
    with pytest.raises(PushError, match="ConnectionError"):
        gone.push(stored)
    with pytest.raises(PushError, match="longer than"):
        plug(sketches, seconds=-1).push(stored)


@pytest.mark.parametrize(
    ("page", "token"),
    [
        ('<meta name="csrf-token" content="a"/>', "a"),
        ('<input type="hidden" id="csrf_token" name="csrf_token" value="b">', "b"),
        ("<p>none</p>", ""),
    ],
)
def test_the_token_is_found_where_each_release_has_it(page: str, token: str) -> None:
    assert csrf_token(page) == token


def test_every_line_is_json_of_one_object(stored: StoredCase) -> None:
    file, lines = stored.timeline()
    rows = [json.loads(line) for line in file.read_bytes().splitlines()]
    assert len(rows) == lines and all(isinstance(row, dict) for row in rows)
    assert stored.timeline() == (file, lines), "made once"
