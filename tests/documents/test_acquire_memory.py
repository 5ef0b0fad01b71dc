"""The capture script, run for real: what it sends, what it says, what it refuses."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from lab.userland.bucket import Bucket
from tests.documents.capture_host import IMAGE, PART, VMCOREINFO, offer, quick_path, run, tool

pytestmark = pytest.mark.skipif(
    not Path("/dev/shm").is_dir() or shutil.which("curl") is None, reason="needs /dev/shm and curl"
)


@pytest.mark.parametrize("variables", [True, False], ids=["variables", "values-in-the-text"])
def test_streams_the_image_in_parts(store: Bucket, tmp_path: Path, variables: bool) -> None:
    offer(store, tool(tmp_path), facts=("version",))
    outcome = run(store, tmp_path, variables=variables)
    assert outcome.code == 0, outcome.errors
    assert b"".join(store.uploads[f"/part{number}"] for number in (1, 2, 3)) == IMAGE
    assert "/part4" not in store.uploads
    assert outcome.status["bytes"] == len(IMAGE)
    assert outcome.status["parts"] == 3
    assert outcome.status["sha256"] == hashlib.sha256(IMAGE).hexdigest()
    assert outcome.status["case_id"] == "fc-20261121-0123456789"
    assert store.types == {"application/octet-stream"}


def test_kernel_facts_are_listed_and_missing_ones_make_it_partial(store: Bucket, tmp_path: Path) -> None:
    offer(store, tool(tmp_path), facts=("version", "iomem"))
    outcome = run(store, tmp_path)
    version = Path("/proc/version").read_bytes()
    assert outcome.status["status"] == "partial"
    assert "btf kallsyms" in str(outcome.status["reason"])
    symbols = outcome.status["symbols"]
    assert isinstance(symbols, dict)
    assert symbols["version"] == {"sha256": hashlib.sha256(version).hexdigest(), "bytes": len(version)}
    assert symbols["btf"] is None
    assert store.uploads["/version"] == version


@pytest.mark.parametrize("kcore", [True, False])
def test_what_the_kernel_keeps_for_crash_dumps_comes_along_and_nobody_misses_it(
    store: Bucket, tmp_path: Path, kcore: bool
) -> None:
    offer(store, tool(tmp_path), facts=("btf", "kallsyms", "version", "iomem", "vmcoreinfo"))
    outcome = run(store, tmp_path, kcore=kcore)
    symbols = outcome.status["symbols"]
    assert isinstance(symbols, dict) and "vmcoreinfo" in symbols
    assert "vmcoreinfo" not in str(outcome.status["reason"])
    if kcore:
        assert store.uploads["/vmcoreinfo"] == VMCOREINFO
        assert symbols["vmcoreinfo"] == {"sha256": hashlib.sha256(VMCOREINFO).hexdigest(), "bytes": len(VMCOREINFO)}
    else:  # the machine's own: root may read it, or nobody
        assert (symbols["vmcoreinfo"] is None) is ("/vmcoreinfo" not in store.uploads)


def test_python_stands_in_for_curl(store: Bucket, tmp_path: Path) -> None:
    offer(store, tool(tmp_path))
    outcome = run(store, tmp_path, path=quick_path(tmp_path, without="curl"))
    assert outcome.code == 0, outcome.errors
    assert outcome.status["sha256"] == hashlib.sha256(IMAGE).hexdigest()
    assert store.uploads["/part3"] == IMAGE[2 * PART :]


def test_an_upload_refused_twice_is_repeated(store: Bucket, tmp_path: Path) -> None:
    offer(store, tool(tmp_path))
    store.refused["/part2"] = 2
    outcome = run(store, tmp_path, path=quick_path(tmp_path))
    assert outcome.code == 0, outcome.errors
    assert store.tries["/part2"] == 3
    assert store.uploads["/part2"] == IMAGE[PART : 2 * PART]


def test_an_upload_refused_for_good_ends_the_capture(store: Bucket, tmp_path: Path) -> None:
    offer(store, tool(tmp_path))
    store.refused["/part2"] = 99
    outcome = run(store, tmp_path, path=quick_path(tmp_path))
    assert outcome.code == 1
    assert outcome.status["status"] == "failed"
    assert outcome.status["reason"] == "part 2 was not accepted"
    assert store.tries["/part2"] == 4


def test_another_tool_than_named_is_not_run(store: Bucket, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    offer(store, f"#!/bin/sh\ntouch {mark}\n", digest="0" * 64)
    outcome = run(store, tmp_path)
    assert outcome.code == 1
    assert "SHA-256 differs" in str(outcome.status["reason"])
    assert not mark.exists()


def test_a_tool_that_fails_is_quoted_without_control_characters(store: Bucket, tmp_path: Path) -> None:
    ending = "printf 'lock\"down \\033[31mactive\\n' >&2; exit 1"
    offer(store, tool(tmp_path, ending=ending))
    outcome = run(store, tmp_path)
    assert outcome.code == 1
    assert outcome.status["reason"] == "avml ended with 1: lockdown [31mactive"


def test_an_image_larger_than_the_parts_offered_fails(store: Bucket, tmp_path: Path) -> None:
    offer(store, tool(tmp_path), parts=2)
    outcome = run(store, tmp_path)
    assert outcome.code == 1
    assert outcome.status["reason"] == "image larger than the 2 parts offered"


def test_an_empty_image_fails(store: Bucket, tmp_path: Path) -> None:
    offer(store, "#!/bin/sh\n")
    outcome = run(store, tmp_path)
    assert outcome.code == 1
    assert outcome.status["reason"] == "avml wrote nothing"


@pytest.mark.parametrize(
    ("manifest", "reason"),
    [
        ("<Error>AccessDenied</Error>", "not of the form"),
        (f"forensics-manifest 1\npart_size {PART}\npart 1 http://x/$(id)\n", "bad part 1"),
        (f"forensics-manifest 1\npart_size {PART}\npart 2 http://x/\n", "bad part 2"),
        ("forensics-manifest 1\npart_size 1;id\n", "malformed"),
        ("forensics-manifest 1\nrun id\n", "unknown kind"),
        (
            f"forensics-manifest 1\npart_size {PART}\npart 1 http://127.0.0.1/x\nget avml - http://127.0.0.1/x\n",
            "SHA-256",
        ),
    ],
)
def test_a_bad_manifest_is_refused(store: Bucket, tmp_path: Path, manifest: str, reason: str) -> None:
    store.objects["/manifest"] = manifest.encode()
    outcome = run(store, tmp_path)
    assert outcome.code == 1
    assert reason in str(outcome.status["reason"])


def test_an_unreachable_manifest_is_named(store: Bucket, tmp_path: Path) -> None:
    outcome = run(store, tmp_path, path=quick_path(tmp_path))
    assert outcome.code == 1
    assert "manifest could not be fetched" in str(outcome.status["reason"])
