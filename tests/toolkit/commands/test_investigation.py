"""What is measured before and after the examination."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from forensic_toolkit import cli
from forensic_toolkit.filesystems import block_device
from forensic_toolkit.sandbox import subprograms
from tests.toolkit.object_store import CASE, VOLUME, Store, status_of


def test_evidence_that_changes_meanwhile_makes_the_run_fail(
    store: Store, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = tmp_path / "image"
    image.write_bytes(b"evidence")

    def finish(process: subprocess.Popen[bytes], **rest: Any) -> subprograms.Ended:
        ended = subprograms_finish(process, **rest)
        image.write_bytes(b"changed!")
        return ended

    subprograms_finish = subprograms.finish
    monkeypatch.setattr(block_device, "locate", lambda _volume: image)
    monkeypatch.setattr(subprograms, "finish", finish)
    assert cli.main(["disk", *CASE, "--volume", VOLUME, "--manifest", store.offer(gets={})]) == 1
    assert "changed during the analysis" in str(status_of(capsys)["reason"])
    assert "changed during the analysis" in str(store.results()["gaps"])
