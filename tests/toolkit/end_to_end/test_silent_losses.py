"""The coverage gate: every kind of silent loss in evidence or tools is a named gap, and a clean disk has none."""

from __future__ import annotations

import base64
import gzip
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.tools.disks import build as lab_disk
from lab.tools.disks.build import WEB_SERVER, Layout
from lab.tools.disks.population import populate
from lab.tools.disks.scenario import load
from tests.toolkit.examined import NO_TOOLS, TOOLS, examine

pytestmark = pytest.mark.skipif(not TOOLS.exists(), reason=NO_TOOLS)
Raw = dict[str, Any]
AUTH_LOG = "/var/log/auth.log"
JOURNAL = "/var/log/journal/5f1d0c9be0a24c5e9d1f6a7b8c9d0e1f/system.journal"


def content(path: str) -> bytes:
    """What the scenario's own file holds."""
    return populate(load(WEB_SERVER)).node(path).data


def entry(raw: Raw, path: str) -> dict[str, Any]:
    """The scenario's entry for a path."""
    found: dict[str, Any] = next(item for item in raw["entries"] if item["path"] == path)
    return found


def put(raw: Raw, path: str, data: bytes) -> None:
    """Give an entry other content."""
    item = entry(raw, path)
    for name in ("text", "generate", "symlink", "directory"):
        item.pop(name, None)
    item["generate"] = encoded(data)


def encoded(data: bytes) -> dict[str, str]:
    """Bytes in a scenario, which is text."""
    return {"kind": "base64", "data": base64.b64encode(data).decode("ascii")}


def traditional(text: str, *, hours: float = 0) -> str:
    """rsyslog's old format: no year, no offset; its clock may be in another zone."""

    def head(match: re.Match[str]) -> str:
        moment = datetime.fromisoformat(match[1]).astimezone(UTC) + timedelta(hours=hours)
        return f"{moment:%b %d %H:%M:%S} "

    return re.sub(r"^(\S+T\S+) ", head, text, flags=re.MULTILINE)


def zero_padded_dates(raw: Raw) -> None:
    lines = traditional(content(AUTH_LOG).decode()).replace("Nov 20", "Nov 01").replace("Nov 21", "Nov 02")
    put(raw, AUTH_LOG, lines.encode())


def other_zone(raw: Raw) -> None:
    put(raw, AUTH_LOG, traditional(content(AUTH_LOG).decode(), hours=-5).encode())


def journal_cut_off(raw: Raw) -> None:
    put(raw, JOURNAL, content(JOURNAL)[:9000])


def journal_damaged(raw: Raw) -> None:
    data = content(JOURNAL)
    put(raw, JOURNAL, data[:12000] + b"\xff" * 600 + data[12600:])


def log_of_nothing(raw: Raw) -> None:
    put(raw, AUTH_LOG, bytes(8192))


def rotated_log_broken(raw: Raw) -> None:
    packed = gzip.compress(content(AUTH_LOG) * 5, mtime=0)
    raw["entries"].append(
        {"path": f"{AUTH_LOG}.2.gz", "generate": encoded(packed[: len(packed) // 2]), "at": raw["clock"]["ami"]}
    )


def records_cut_off(raw: Raw) -> None:
    put(raw, "/var/log/wtmp", content("/var/log/wtmp")[:-100])


def web_log_of_another_form(raw: Raw) -> None:
    put(raw, "/var/log/nginx/access.log", b'{"remote":"203.0.113.66","request":"GET /"}\n' * 50)


def file_system_elsewhere(raw: Raw) -> None:
    entry(raw, "/etc/fstab")["text"] += "UUID=11111111-2222-3333-4444-555555555555 /var/lib/mysql xfs defaults 0 2\n"


def no_log_at_all(raw: Raw) -> None:
    for path in (AUTH_LOG, JOURNAL):
        put(raw, path, b"")


@dataclass(frozen=True)
class Seed:
    """One silent loss: in the evidence (``evidence``), in the image, or in a tool (``before``), and what the gate says."""

    name: str
    says: str
    evidence: Callable[[Raw], None] | None = None
    image: Callable[[Path, lab_disk.Manifest], None] | None = None
    before: str = ""
    whole: bool = False


def folder_destroyed(image: Path, manifest: lab_disk.Manifest) -> None:
    """Overwrite the directory block of /usr/share: everything below is out of reach."""
    del manifest
    data = bytearray(image.read_bytes())
    at = data.find(b"\x07\x01doc")
    found = at if at > 0 else data.find(b"doc\0")
    start = found // 4096 * 4096
    data[start : start + 4096] = bytes(4096)
    image.write_bytes(data)


def nothing_in_the_file_system(image: Path, manifest: lab_disk.Manifest) -> None:
    """A volume whose root folder is empty: mounted, and nothing there."""
    data = bytearray(image.read_bytes())
    base = manifest.partition_offset
    # The root's block begins with its own number; its first real entry is taken over by "..".
    at = data.find(b"\x02\0\0\0\x0c\0\x01\x02.\0\0\0\x02\0\0\0", base)
    data[at + 16 : at + 18] = (4096 - 12).to_bytes(2, "little")
    data[at + 24 : at + 4096] = bytes(4096 - 24)
    image.write_bytes(data)


NO_DATES = """
from forensic_toolkit.readers import log_times
log_times.stamp = lambda line: None
"""
NO_ZEROS = """
from forensic_toolkit.readers import log_times
known = log_times.stamp
log_times.stamp = lambda line: None if line[4:5] == "0" else known(line)
"""
NO_PROGRAM = """
from forensic_toolkit import errors
from forensic_toolkit.filesystems import dissect_runner, volumes
def absent(*_args, **_more):
    raise errors.EvidenceError("ModuleNotFoundError: No module named 'dissect'")
volumes.DissectFileSystem = absent
"""
SEEDS = (
    Seed("a parser that knows no dates", "of 40 lines were parsed", before=NO_DATES),
    Seed("zero-padded dates", "0 of 40 lines were parsed", zero_padded_dates, before=NO_ZEROS),
    Seed("journal cut off", "bytes are missing", journal_cut_off),
    Seed("journal damaged", "entries could be read", journal_damaged),
    Seed("file system not on this volume", "mount point /var/lib/mysql", file_system_elsewhere),
    Seed("empty mount", "inodes in use were reached", image=nothing_in_the_file_system),
    Seed("missing parser", "No module named 'dissect'", before=NO_PROGRAM),
    Seed("wrong time zone", "a different time zone", other_zone),
    Seed("log of zeros", "without a single line", log_of_nothing),
    Seed("rotated log broken", "cannot be decompressed", rotated_log_broken),
    Seed("log-in records cut off", "an incomplete record", records_cut_off),
    Seed("web log of another form", "0 of 50 lines", web_log_of_another_form),
    Seed("folder destroyed", "inodes in use were reached", image=folder_destroyed),
    Seed("no log at all", "the journal and the audit log are all missing or empty", no_log_at_all),
)
QUICK = ("journal cut off", "wrong time zone")


def gaps_of(seed: Seed, folder: Path) -> tuple[list[str], dict[str, Any]]:
    """What the gate says about a disk with the loss."""
    raw = yaml.safe_load(WEB_SERVER.read_text("utf-8"))
    if seed.evidence is not None:
        # The scenario makes the journal from the log that is about to be damaged.
        put(raw, JOURNAL, content(JOURNAL))
        seed.evidence(raw)
    scenario = folder / "scenario.yaml"
    scenario.write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")
    layout = Layout.GPT_XFS if seed.before == NO_PROGRAM else Layout.GPT_EXT4
    manifest = lab_disk.build(scenario, folder / "disk.raw", layout=layout)
    if seed.image is not None:
        seed.image(manifest.image, manifest)
    results = examine(manifest.image, before=seed.before, whole=seed.whole)
    return [f"{gap['what']}: {gap['why']}" for gap in results["gaps"]], results


@pytest.mark.parametrize("name", QUICK)
def test_a_silent_loss_is_flagged(name: str, tmp_path: Path) -> None:
    seed = next(seed for seed in SEEDS if seed.name == name)
    gaps, _results = gaps_of(seed, tmp_path)
    assert any(seed.says in gap for gap in gaps), gaps


@pytest.mark.investigate
def test_the_gate_flags_every_seeded_loss(tmp_path: Path) -> None:
    flagged = []
    for number, seed in enumerate(SEEDS):
        folder = tmp_path / str(number)
        folder.mkdir()
        try:
            gaps, _results = gaps_of(seed, folder)
        except AssertionError as error:
            gaps = [str(error)]
        said = [gap for gap in gaps if seed.says in gap]
        print(f"\n[investigate] {'flagged' if said else 'MISSED '} {seed.name}: {(said or gaps)[:1]}")
        flagged.append(bool(said))
    print(f"[investigate] coverage gate: {sum(flagged)} of {len(SEEDS)} seeded losses flagged")
    assert all(flagged)


@pytest.mark.investigate
@pytest.mark.parametrize("layout", list(Layout))
def test_the_gate_flags_nothing_on_clean_disks(layout: Layout, tmp_path: Path) -> None:
    manifest = lab_disk.build(WEB_SERVER, tmp_path / "disk.raw", layout=layout)
    results = examine(manifest.image, whole=True)
    assert results["gaps"] == []
    assert {item["kind"] for item in results["coverage"]} >= {"log-in log", "journal", "log-in records", "web log"}
    assert all(item["parsed"] for item in results["coverage"] if item["bytes"])
