"""A real XFS volume read by dissect in its own program."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from lab.tools.disks import build as lab_disk
from lab.tools.disks.build import Layout
from lab.tools.disks.population import populate
from lab.tools.disks.scenario import load
from tests.toolkit.examined import NO_TOOLS, TOOLS, run

pytestmark = pytest.mark.skipif(not TOOLS.exists(), reason=NO_TOOLS)
_READ = """
import hashlib, json, sys
from pathlib import Path
from forensic_toolkit.errors import EvidenceError
from forensic_toolkit.filesystems.dissect_filesystem import DissectFileSystem
from forensic_toolkit.filesystems.entries import Partition

device = Path(sys.argv[1])
xfs = DissectFileSystem(Partition(1, 0, device.stat().st_size, "whole", str(device)))
entries = {entry.path: entry for entry in xfs.walk()}
passwd = entries["/etc/passwd"]
found = {
    "kind": xfs.kind,
    "paths": sorted(path for path, entry in entries.items() if not entry.deleted),
    "passwd": hashlib.sha256(passwd.read()).hexdigest(),
    "piece": passwd.read(limit=4, offset=1).decode(),
    "problems": list(xfs.problems),
    "nothing": xfs.read(999_999_999, limit=10).decode(),
    "then": len(xfs.problems),
}
xfs.close()
(device.parent / "zeros").write_bytes(bytes(1 << 20))
try:
    DissectFileSystem(Partition(1, 0, 1 << 20, "zeros", str(device.parent / "zeros")))
except EvidenceError as error:
    found["refused"] = str(error)
print(json.dumps(found))
"""


def test_names_and_contents_of_an_xfs_volume(tmp_path: Path) -> None:
    manifest = lab_disk.build(lab_disk.WEB_SERVER, tmp_path / "disk.raw", layout=Layout.PLAIN_XFS)
    planted = populate(load(lab_disk.WEB_SERVER)).node("/etc/passwd").data
    found = json.loads(run(_READ, str(manifest.image)))
    assert found["kind"] == "XFS" and found["problems"] == []
    assert {"/etc/passwd", "/var/log/auth.log", "/usr/local/lib/.sysd/sysd"} <= set(found["paths"])
    assert found["passwd"] == hashlib.sha256(planted).hexdigest()
    assert found["piece"] == planted[1:5].decode()
    # An inode that does not exist gives nothing and is noted.
    assert (found["nothing"], found["then"]) == ("", 1)
    assert found["refused"]
