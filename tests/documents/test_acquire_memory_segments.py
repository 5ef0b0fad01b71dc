"""The capture script: part list, resuming, stopping in time, compression, fall-back, the kcore reader."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from lab.userland.bucket import QUERY, Bucket
from tests.documents import documents
from tests.documents.capture_host import (
    IMAGE,
    KCORE_IMAGE,
    PART,
    boot_id,
    offer,
    part_list,
    quick_path,
    run,
    tool,
    with_kcore,
)

pytestmark = pytest.mark.skipif(
    not Path("/dev/shm").is_dir() or shutil.which("curl") is None, reason="needs /dev/shm and curl"
)


def test_the_list_names_every_part_with_its_digest(store: Bucket, tmp_path: Path) -> None:
    offer(store, tool(tmp_path))
    outcome = run(store, tmp_path)
    sent = store.uploads["/list"].decode().splitlines()
    assert sent[0] == f"forensics-parts 1 avml none {boot_id()}"
    for number, line in enumerate(sent[1:], start=1):
        body = store.uploads[f"/part{number}"]
        end = min(number * PART, len(IMAGE))
        assert line == f"{number} {end} {len(body)} {hashlib.sha256(body).hexdigest()}"
    assert len(sent) == 4
    assert outcome.status["list_sha256"] == hashlib.sha256(store.uploads["/list"]).hexdigest()


def resume_lines(store: Bucket, known: bytes, *, boot: str) -> tuple[str, ...]:
    """What a manifest says to a run that resumes after two parts."""
    store.objects["/list-so-far"] = known
    digest = hashlib.sha256(known).hexdigest()
    return (
        "method avml", "encoding none", f"resume 3 {2 * PART}", f"expect boot {boot}",
        f"get list {digest} {store.url}/list-so-far{QUERY}",
    )  # fmt: skip


def test_resumes_at_the_part_that_is_missing(store: Bucket, tmp_path: Path) -> None:
    lines = resume_lines(store, part_list(IMAGE, 2), boot=boot_id())
    offer(store, tool(tmp_path), first=3, more=lines)
    outcome = run(store, tmp_path)
    assert outcome.code == 0, outcome.errors
    assert set(store.uploads) == {"/part3", "/list"}, "only the missing part is sent"
    assert store.uploads["/part3"] == IMAGE[2 * PART :]
    assert outcome.status["bytes"] == len(IMAGE)
    assert outcome.status["parts"] == 3
    assert outcome.status["resumed_at"] == 3
    assert outcome.status["sha256"] == "", "nobody has seen the whole stream"
    assert len(store.uploads["/list"].splitlines()) == 4


def test_a_machine_that_was_started_anew_is_not_resumed(store: Bucket, tmp_path: Path) -> None:
    lines = resume_lines(store, part_list(IMAGE, 2), boot="00000000-0000-4000-8000-000000000000")
    offer(store, tool(tmp_path), first=3, more=lines)
    outcome = run(store, tmp_path)
    assert outcome.code == 1
    assert "started anew since part 2" in str(outcome.status["reason"])
    assert store.uploads == {}


def test_a_changed_list_is_not_taken_up(store: Bucket, tmp_path: Path) -> None:
    lines = resume_lines(store, part_list(IMAGE, 2), boot=boot_id())
    store.objects["/list-so-far"] += b"x"
    offer(store, tool(tmp_path), first=3, more=lines)
    outcome = run(store, tmp_path)
    assert outcome.code == 1
    assert "has changed" in str(outcome.status["reason"])


def test_stops_before_the_urls_expire_and_says_that_there_is_more(store: Bucket, tmp_path: Path) -> None:
    offer(store, tool(tmp_path), facts=("version",), more=("stop_at 1000000000",))
    outcome = run(store, tmp_path)
    assert outcome.code == 0
    assert outcome.status["status"] == "more"
    assert outcome.status["parts"] == 1
    assert set(store.uploads) == {"/part1", "/list"}


@pytest.mark.skipif(shutil.which("zstd") is None, reason="zstd is not installed")
def test_compresses_with_zstd_where_it_is_offered_and_there(store: Bucket, tmp_path: Path) -> None:
    offer(store, tool(tmp_path), more=("encoding zstd",))
    outcome = run(store, tmp_path)
    assert outcome.code == 0, outcome.errors
    assert outcome.status["encoding"] == "zstd"
    plain = subprocess.run(["zstd", "-dc"], input=store.uploads["/part1"], capture_output=True, check=True).stdout
    assert plain == IMAGE, "parts are whole frames, at least 8 MiB each but the last"
    assert outcome.status["sha256"] == hashlib.sha256(IMAGE).hexdigest()
    assert outcome.status["bytes"] == len(IMAGE)


def test_without_zstd_on_the_instance_parts_are_raw(store: Bucket, tmp_path: Path) -> None:
    offer(store, tool(tmp_path), more=("encoding zstd",))
    outcome = run(store, tmp_path, path=quick_path(tmp_path))
    assert outcome.code == 0, outcome.errors
    assert outcome.status["encoding"] == "none"
    assert store.uploads["/part1"] == IMAGE[:PART]


def test_a_method_that_sends_nothing_is_followed_by_the_next(store: Bucket, tmp_path: Path) -> None:
    offer(store, "#!/bin/sh\necho no source >&2\nexit 1\n", more=("method avml", "method kcore"))
    outcome = run(store, tmp_path, kcore=True)
    assert outcome.code == 0, outcome.errors
    assert outcome.status["method"] == "kcore"
    assert "avml ended with 1: no source" in str(outcome.status["reason"])
    sent = b"".join(store.uploads[f"/part{n}"] for n in range(1, 4) if f"/part{n}" in store.uploads)
    assert sent == KCORE_IMAGE


def test_two_methods_are_never_mixed(store: Bucket, tmp_path: Path) -> None:
    offer(store, tool(tmp_path, ending="exit 1"), more=("method avml", "method kcore"))
    outcome = run(store, tmp_path, kcore=True)
    assert outcome.code == 1
    assert outcome.status["method"] == "avml"


@pytest.mark.parametrize("skip", [0, 1, 31, 32, 4096 + 32, 6 * 4096 + 50])
def test_the_kcore_reader_gives_the_same_bytes_from_any_place_on(tmp_path: Path, skip: int) -> None:
    program = re.search(r"kcore_py='\n(.*?)\n'\n", documents.script("acquire_memory_linux"), re.DOTALL)
    assert program is not None
    done = subprocess.run(
        ["python3", "-I", "-c", with_kcore(program[1], tmp_path), str(skip)], capture_output=True, check=True
    )
    assert done.stdout == KCORE_IMAGE[skip:]
