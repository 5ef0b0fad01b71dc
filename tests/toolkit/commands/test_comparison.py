"""The comparison with dissect is a command of its own: it says what it compared, and each way in which it could not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from forensic_toolkit import cli
from forensic_toolkit.commands import comparison
from forensic_toolkit.errors import EvidenceError
from forensic_toolkit.results import Results
from forensic_toolkit.runners import dissect_program
from forensic_toolkit.times import now
from lab.tools.disks import build as lab_disk
from lab.tools.disks.build import WEB_SERVER, Layout
from tests.toolkit.examined import NO_TOOLS, TOOLS, examine, run
from tests.toolkit.object_store import CASE, VOLUME, Store, status_of

RECORD = json.dumps({"_type": "record", "_recorddescriptor": ["linux/log/auth", 1]})


def compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, quick: Any) -> Results:
    """The results of a comparison where ``target-query`` is a shell script."""
    program = tmp_path / "target-query"
    program.write_text(f"#!/bin/sh\n{script}\n", encoding="ascii")
    program.chmod(0o755)
    monkeypatch.setattr(dissect_program, "program", lambda: str(program))
    earlier, raw = tmp_path / "quick", tmp_path / "raw"
    earlier.write_text(json.dumps(quick), encoding="utf-8")
    raw.mkdir()
    results = Results("fc-20260101-0123456789", "disk-1", "disk", started=now())
    comparison.run(tmp_path, earlier, results=results, raw=raw)
    return results


def test_counts_of_both_are_in_the_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = compared(
        tmp_path, monkeypatch, f"echo '{RECORD}'; echo '{RECORD}'", {"comparable": {"authlog": 3, "btmp": 0}}
    )
    assert results.gaps == []
    assert results.counts == {
        "compared": 1, "toolkit_authlog": 3, "dissect_authlog": 2, "toolkit_btmp": 0, "dissect_btmp": 0,
    }  # fmt: skip
    assert [event.what for event in results.events] == ["Compared with dissect, the second reader of this volume"]


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("exit 0", "target-query succeeded but gave 0 records; there are 3 in the file system"),
        ("kill -9 $$", "killed by signal 9"),
        ("echo broken >&2; exit 3", "exit 3: broken"),
    ],
)
def test_a_reader_that_says_nothing_or_dies_is_a_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, why: str
) -> None:
    results = compared(tmp_path, monkeypatch, script, {"comparable": {"authlog": 3}})
    assert any(what == "dissect authlog" and why in text for what, text in results.gaps), results.gaps


def test_where_both_read_nothing_the_program_is_not_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = compared(tmp_path, monkeypatch, f"touch {tmp_path}/started", {"comparable": {"authlog": 0}})
    assert not (tmp_path / "started").exists()
    assert results.counts == {"compared": 0} and results.gaps == []
    assert "nothing to compare" in results.notes[0][1]


@pytest.mark.parametrize(
    ("quick", "why"),
    [([], "another release"), ({}, "another release"), ({"comparable": 1}, "another release")],
)
def test_results_that_cannot_be_compared_with_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: Any, why: str
) -> None:
    with pytest.raises(EvidenceError, match=why):
        compared(tmp_path, monkeypatch, "exit 0", quick)
    with pytest.raises(EvidenceError, match="offers no results of the quick profile"):
        comparison.comparable(None)
    (tmp_path / "quick").write_text("{")
    with pytest.raises(EvidenceError, match="not JSON"):
        comparison.comparable(tmp_path / "quick")


def test_the_command_refuses_results_that_are_not_pinned(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    url = store.offer(gets={"quick": (b"{}", "-")})
    assert cli.main(["compare", *CASE, "--volume", VOLUME, "--manifest", url]) == 1
    assert "without a digest" in str(status_of(capsys)["reason"])


_BY_COMMAND = """
import sys
from pathlib import Path
from forensic_toolkit import cli
from forensic_toolkit.filesystems import block_device

block_device.locate = lambda _volume: Path(sys.argv[1])
block_device.others = lambda _device: []
sys.exit(cli.main(sys.argv[2:]))
"""


@pytest.mark.investigate
@pytest.mark.skipif(not TOOLS.exists(), reason=NO_TOOLS)
def test_a_real_volume_is_compared_by_the_command_in_its_confined_program(store: Store, tmp_path: Path) -> None:
    """dissect itself on the lab's web server, as the forensic instance runs it."""
    image = lab_disk.build(WEB_SERVER, tmp_path / "disk.raw", layout=Layout.GPT_EXT4).image
    quick = examine(image, whole=True)
    assert not any(tool["tool"] == "dissect.target" for tool in quick["provenance"]), (
        "no second reader in the first answers"
    )
    assert quick["comparable"]["authlog"] > 0
    url = store.offer(gets={"quick": (json.dumps(quick).encode(), None)})
    status = json.loads(
        run(_BY_COMMAND, str(image), "compare", *CASE, "--volume", VOLUME, "--manifest", url).splitlines()[-1]
    )
    assert status["status"] in {"ok", "partial"}, status
    counts: Any = store.results()["counts"]
    assert counts["compared"] == 1 and counts["dissect_authlog"] >= counts["toolkit_authlog"] / 2
    assert not [gap for gap in store.results()["gaps"] if str(gap["what"]).startswith("dissect")]  # type: ignore[attr-defined]
