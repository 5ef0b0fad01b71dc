"""The commands end to end against a server in place of S3; the tools themselves are not needed."""

from __future__ import annotations

import hashlib
import json
import lzma
from pathlib import Path

import pytest

from forensic_toolkit import cli
from tests.toolkit import btf_blob
from tests.toolkit.object_store import CASE, VOLUME, Store, status_of


def test_wrong_digest_means_nothing_is_analysed(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    url = store.offer(gets={"memory": (b"EMiL" + bytes(100), "0" * 64)})
    assert cli.main(["memory", *CASE, "--manifest", url]) == 1
    status = status_of(capsys)
    assert status["status"] == "failed"
    assert "expected 000" in str(status["reason"])
    assert store.results()["findings"] == []
    assert store.results()["provenance"] == []


@pytest.mark.parametrize(
    ("memory", "reason"),
    [(b"", "not a LiME image"), (b"\x7fELF", "not a LiME image"), (b"EMiL" + bytes(99), "no symbol table")],
)
def test_what_cannot_be_analysed_is_named_and_results_arrive(
    store: Store, capsys: pytest.CaptureFixture[str], memory: bytes, reason: str
) -> None:
    assert cli.main(["memory", *CASE, "--manifest", store.offer(gets={"memory": (memory, None)})]) == 1
    assert reason in str(status_of(capsys)["reason"])
    results = store.results()
    assert results["schema"] == "forensics.results/1"
    assert results["input"] == {"sha256": hashlib.sha256(memory).hexdigest(), "bytes": len(memory)}
    assert reason in str(results["gaps"])
    assert set(store.uploads) == {"/results", "/timeline", "/raw"}
    (only,) = [json.loads(line) for line in store.uploads["/timeline"].splitlines()]
    assert "Nothing in this evidence carries a time" in only["message"]


def test_image_of_another_kernel_is_refused(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    facts = {"btf": (b"x", None), "kallsyms": (b"x", None), "version": (b"Linux version 9\n", None)}
    url = store.offer(gets={"memory": (b"EMiL Linux version 8", None), **facts})
    assert cli.main(["memory", *CASE, "--manifest", url]) == 1
    reason = str(status_of(capsys)["reason"])
    assert "image and kernel files come from different machines" in reason and "no kernel banner" in reason


def test_volume_that_is_not_attached(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["disk", *CASE, "--volume", VOLUME, "--manifest", store.offer(gets={})]) == 1
    assert f"volume {VOLUME} is not attached" in str(status_of(capsys)["reason"])


def test_manifest_that_is_gone(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["memory", *CASE, "--manifest", f"{store.url}/none?Signature=s3cret"]) == 1
    reason = str(status_of(capsys)["reason"])
    assert "HTTP 403" in reason and "expired" in reason and "s3cret" not in reason


def test_redirects_are_not_followed(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    store.offer(gets={})
    assert cli.main(["memory", *CASE, "--manifest", f"{store.url}/moved"]) == 1
    assert "HTTP 302" in str(status_of(capsys)["reason"])


def test_symbols_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, content in (
        ("btf", btf_blob.small()),
        ("kallsyms", btf_blob.kallsyms()),
        ("version", btf_blob.VERSION),
    ):
        (tmp_path / name).write_bytes(content)
    output = tmp_path / "kernel.json.xz"
    arguments = ["--btf", "btf", "--kallsyms", "kallsyms", "--kernel-version", "version"]
    argv = [str(tmp_path / word) if index % 2 else word for index, word in enumerate(arguments)]
    assert cli.main(["symbols", *argv, "--output", str(output)]) == 0
    assert json.loads(capsys.readouterr().out)["status"] == "ok"
    assert "init_task" in json.loads(lzma.decompress(output.read_bytes()))["symbols"]
