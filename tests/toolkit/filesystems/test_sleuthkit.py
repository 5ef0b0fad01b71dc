"""A real file system read by The Sleuth Kit."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.tools.disks import build as lab_disk
from tests.toolkit.examined import NO_TOOLS, TOOLS, run

_WALK = """
import sys
from pathlib import Path
from forensic_toolkit.filesystems.sleuthkit import SleuthKit

disk = SleuthKit(Path(sys.argv[1]))
for part in disk.partitions():
    for entry in disk.filesystem(part).walk():
        print(entry.path, entry.kind, entry.deleted, len(entry.read()))
"""


@pytest.mark.skipif(not TOOLS.exists(), reason=NO_TOOLS)
def test_a_real_file_system_is_read_by_the_sleuth_kit(tmp_path: Path) -> None:
    manifest = lab_disk.build(lab_disk.TINY, tmp_path / "tiny.raw")
    rows = [line.rsplit(" ", 3) for line in run(_WALK, str(manifest.image)).splitlines()]
    assert any(kind == "REG" and deleted == "False" and int(size) > 0 for _path, kind, deleted, size in rows)
    assert any(deleted == "True" for _path, _kind, deleted, _size in rows)
