"""Files out of a volume: which, how, and what is left out."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from forensic_toolkit.commands import collect
from forensic_toolkit.results import Results
from forensic_toolkit.times import now
from lab.tools.disks import build as lab_disk
from lab.tools.disks.build import WEB_SERVER
from tests.toolkit.examined import NO_TOOLS, TOOLS, run
from tests.toolkit.fake_tree import Builder


def collected(
    builder: Builder, folder: Path, *, named: set[str] | None = None
) -> tuple[Results, dict[str, dict[str, str]]]:
    results = Results("fc-20260101-0123456789", "disk-1", "disk", started=now())
    collect.run(builder.tree(), named=named or set(), results=results, raw=folder)
    index = [json.loads(line) for line in (folder / "files.jsonl").read_text("utf-8").splitlines()]
    return results, {item["path"]: item for item in index}


def test_known_files_and_those_of_findings_are_kept_under_numbers(tmp_path: Path) -> None:
    hostile = "/tmp/\x1b[2J\u202e../../etc/x"
    builder = Builder().add("/var/log/auth.log.1", b"line\n").add(hostile, b"evil").add("/srv/data", b"not asked for")
    builder.add("/root/.ssh/authorized_keys", b"key").add("/etc/localtime", link="/etc/passwd")
    results, index = collected(builder, tmp_path, named={hostile})
    assert {item["set"] for item in index.values()} == {collect.FOUND, "accounts", "logs"}
    (shown,) = [path for path in index if path.startswith("/tmp/")]
    assert "\x1b" not in shown and "\u202e" not in shown
    kept = tmp_path / index[shown]["file"]
    assert kept.name == "000001" and kept.read_bytes() == b"evil"
    assert index[shown]["sha256"] == hashlib.sha256(b"evil").hexdigest()
    assert "/srv/data" not in index and "/etc/localtime" not in index
    assert results.gaps == [] and results.counts["collected_files"] == len(index) == 4


def test_what_is_too_large_or_too_much_is_a_gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collect, "MAX_FILE", 1000)
    monkeypatch.setattr(collect, "MAX_ALL", 1500)
    builder = (
        Builder()
        .add("/var/log/syslog", bytes(1001))
        .add("/var/log/messages", bytes(900))
        .add("/var/log/secure", bytes(900))
    )
    results, index = collected(builder, tmp_path)
    assert "/var/log/syslog" not in index and "/var/log/messages" in index and "/var/log/secure" not in index
    assert [what for what, _why in results.gaps] == ["collect /var/log/syslog", "collect"]


def test_a_volume_without_anything_to_take_says_so(tmp_path: Path) -> None:
    builder = Builder()
    builder.add("/etc/passwd", deleted=True)
    results, index = collected(builder, tmp_path)
    assert index == {} and "holds none of the files" in results.gaps[0][1]


_COMMAND = """
import hashlib, json, sys, tarfile, tempfile
from pathlib import Path
from forensic_toolkit import manifest
from forensic_toolkit.commands import investigation, outputs
from forensic_toolkit.filesystems import block_device

block_device.locate = lambda _volume: Path(sys.argv[1])
request = investigation.Request("disk", "fc-20260101-0123456789", "disk-1", "vol-0123456789abcdef0", "collect", 300.0)
with tempfile.TemporaryDirectory() as folder:
    found = investigation.investigate(request, manifest=manifest.parse("forensics-manifest 1"), work=Path(folder))
    with tarfile.open(outputs.paths(Path(folder))["raw"]) as archive:
        names = archive.getnames()
        index = [json.loads(line) for line in archive.extractfile("files.jsonl")]
        for item in index:
            item["right"] = hashlib.sha256(archive.extractfile(item["file"]).read()).hexdigest() == item["sha256"]
print(json.dumps({"document": found, "names": names, "index": index}))
"""


@pytest.mark.investigate
@pytest.mark.skipif(not TOOLS.exists(), reason=NO_TOOLS)
def test_the_implant_of_a_real_volume_is_in_the_archive(tmp_path: Path) -> None:
    manifest = lab_disk.build(WEB_SERVER, tmp_path / "disk.raw")
    found = json.loads(run(_COMMAND, str(manifest.image)))
    assert found["document"]["failure"] is None and found["document"]["gaps"] == []
    paths = {item["path"]: item for item in found["index"]}
    print(f"\n[investigate] collect: {len(paths)} files, {found['document']['counts']['collected_bytes']} bytes")
    assert paths["/usr/local/lib/.sysd/sysd"]["set"] == collect.FOUND
    assert {"/var/log/auth.log", "/etc/cron.d/sysstat-collect", "/root/.ssh/authorized_keys"} <= set(paths)
    assert all(item["right"] for item in found["index"])
    assert all(name in ("files.jsonl", "bodyfile.txt.gz") or name.startswith("files/0") for name in found["names"]), (
        found["names"]
    )
