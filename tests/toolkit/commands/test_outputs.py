"""The three outputs: one timeline in order, a reproducible archive, and no link that is followed."""

from __future__ import annotations

import json
import os
import tarfile
from datetime import timedelta
from pathlib import Path

from forensic_toolkit import manifest
from forensic_toolkit.commands import outputs
from forensic_toolkit.results import Event, Results
from forensic_toolkit.times import now, timesketch
from tests.toolkit.object_store import Store


def written(folder: Path, results: Results) -> dict[str, Path]:
    """The outputs of ``results`` with two files of tools."""
    raw = folder / "raw"
    (raw / "tool").mkdir(parents=True)
    (raw / "tool" / "b.json").write_text("{}")
    (raw / "a.txt").write_text("text")
    os.utime(raw / "a.txt", (1, 1 + len(folder.name)))
    return outputs.write(results, folder=folder, raw=raw)


def some_results() -> Results:
    return Results("fc-20260101-0123456789", "disk-1", "disk", started=now())


def test_the_timelines_of_toolkit_and_tools_are_merged_by_time(tmp_path: Path) -> None:
    start, results = now(), some_results()
    results.events = [Event(start + timedelta(seconds=at), str(at), "s", "Log Time") for at in (4, 0, 2)]
    more = [{"datetime": timesketch(start + timedelta(seconds=at)), "message": str(at)} for at in (1, 3)]
    results.more_timeline = tmp_path / "plaso.jsonl"
    results.more_timeline.write_text("".join(json.dumps(line) + "\n" for line in more), encoding="utf-8")
    lines = written(tmp_path, results)["timeline"].read_text("utf-8").splitlines()
    assert [json.loads(line)["message"] for line in lines] == ["0", "1", "2", "3", "4"]


def test_the_archive_depends_on_the_contents_alone(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    one, other = (written(tmp_path / name, some_results())["raw"] for name in ("one", "other"))
    assert one.read_bytes() == other.read_bytes()
    with tarfile.open(one) as archive:
        assert [(item.name, item.mtime, item.uid) for item in archive] == [("a.txt", 0, 0), ("tool/b.json", 0, 0)]


def test_a_link_in_the_place_of_an_output_is_neither_uploaded_nor_followed(tmp_path: Path, store: Store) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    places = written(tmp_path, some_results())
    places["timeline"].unlink()
    places["timeline"].symlink_to(secret)
    store.offer(gets={})
    text = store.objects["/manifest"].decode().replace("put raw", "put other")
    sent, problems = outputs.send(places, manifest=manifest.parse(text))
    assert set(sent) == {"results"} and sent["results"].bytes == places["results"].stat().st_size
    assert problems == ["timeline.jsonl was not written", "the manifest has no upload URL for 'raw'"]
    assert store.uploads == {"/results": places["results"].read_bytes()}
    outputs.clear(tmp_path)
    assert not any(path.is_symlink() or path.exists() for path in places.values())
    assert secret.read_text() == "secret"
