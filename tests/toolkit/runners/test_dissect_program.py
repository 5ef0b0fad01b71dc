"""dissect's target-query as a second opinion."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from forensic_toolkit.runners import dissect_program
from tests.toolkit.examined import NO_TOOLS, SOURCES, TOOLS
from tests.toolkit.filesystems.test_real_images import unpacked


def test_records_of_dissect_are_counted_by_function(tmp_path: Path) -> None:
    output = tmp_path / "records.jsonl"
    records = [{"_type": "recorddescriptor", "_data": ["linux/log/auth", []]}]
    records += [{"_recorddescriptor": [name, 1]} for name in ("linux/log/auth", "linux/log/btmp", "unix/history")]
    output.write_text("\n".join(json.dumps(record) for record in records) + '\n{"cut')
    counts = dissect_program.count_records(output)
    assert [counts[name] for name in dissect_program.FUNCTIONS] == [1, 0, 1, 1, 0]


@pytest.mark.skipif(not TOOLS.exists(), reason=NO_TOOLS)
@pytest.mark.parametrize("name", ["btrfs-dirty", "ext4-dirty"])
def test_the_second_opinion_reads_what_lies_deep(name: str, tmp_path: Path) -> None:
    """The pinned dissect.target finds nothing below the root folder of btrfs by itself."""
    words = [str(TOOLS), "-m", "forensic_toolkit.runners.dissect_query", "--no-cache", "-j", "-f", "authlog"]
    output = tmp_path / "records.jsonl"
    with output.open("wb") as file:
        subprocess.run(
            [*words, str(unpacked(name, tmp_path))],
            stdout=file,
            stderr=subprocess.DEVNULL,
            env={"PYTHONPATH": str(SOURCES), "PATH": os.environ["PATH"]},
            check=True,
            timeout=120,
        )
    assert dissect_program.count_records(output)["authlog"] == 1


def test_a_program_from_elsewhere_is_run_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    own = Path(sys.executable).with_name("target-query")
    for found, words in (
        ("/usr/local/bin/target-query", ["/usr/local/bin/target-query"]),
        (str(own), [sys.executable, "-m", "forensic_toolkit.runners.dissect_query"]),
        (None, None),
    ):
        monkeypatch.setattr(dissect_program, "program", lambda found=found: found)
        assert dissect_program.command() == words
