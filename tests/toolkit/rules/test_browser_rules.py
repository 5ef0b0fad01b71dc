"""Downloads of browsers: what is a finding, whether it ran, and that an administrator's installers are at most low."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from forensic_toolkit.readers.coverage import Coverage
from forensic_toolkit.results import Finding, Results
from forensic_toolkit.rules import artifacts, browser_rules
from forensic_toolkit.times import now
from tests.toolkit import browser_databases as made
from tests.toolkit.fake_tree import LATER, Builder

CHROME = "/Users/kim/AppData/Local/Google/Chrome/User Data/Default/History"
LINUX = "/home/kim/.config/chromium/Default/History"
DOWNLOADS = "C:\\Users\\kim\\Downloads\\"


def _examined(builder: Builder) -> tuple[list[Finding], Results]:
    results, coverage = Results("fc-20260101-0123456789", "disk-1", "disk", started=now()), Coverage()
    tree = builder.tree()
    results.apply("browsers", rule=lambda: browser_rules.findings(tree, coverage=coverage, results=results))
    coverage.report(results)
    results.artifacts = artifacts.states(tree, results=results)
    return results.findings, results


@pytest.mark.parametrize(
    ("url", "name", "danger", "alone", "ran"),
    [
        ("http://203.0.113.9/setup.exe", "setup.exe", 0, "medium", "high"),
        ("https://transfer.sh/x/setup.exe", "setup.exe", 0, "medium", "high"),
        ("https://dl.vendor.example/setup.exe", "setup.exe", 0, None, "low"),
        ("https://dl.vendor.example/setup.exe", "setup.exe", 2, "medium", "high"),
        ("https://dl.vendor.example/mimikatz.zip", "mimikatz.zip", 0, "high", "high"),
        ("http://203.0.113.9/report.pdf", "report.pdf", 0, None, None),
        ("http://10.0.0.4/setup.exe", "setup.exe", 0, None, "low"),
    ],
)
def test_downloads_of_programs(
    tmp_path: Path, url: str, name: str, danger: int, alone: str | None, ran: str | None
) -> None:
    content = made.chromium(tmp_path, visits=[], downloads=[(url, DOWNLOADS + name, LATER, danger)])[""]
    before, after = LATER - timedelta(days=1), LATER + timedelta(minutes=4)
    for moment, expected in ((None, alone), (before, alone), (after, ran)):
        builder = Builder().add(CHROME, content)
        if moment is not None:
            builder.add(f"/Windows/Prefetch/{name.upper()}-0A1B2C3D.pf", b"MAM", modified=moment)
        found, results = _examined(builder)
        assert [finding.severity for finding in found] == ([expected] if expected else []), moment
        for finding in found:
            assert (finding.time, finding.source) == (LATER, CHROME) and url in finding.detail
            assert finding.technique == ("T1204.002" if moment == after else "T1105")
        assert any(event.notable and url in event.what for event in results.events)


def test_a_download_on_linux_that_was_made_executable(tmp_path: Path) -> None:
    target = "/home/kim/Downloads/agent.run"
    content = made.chromium(tmp_path, visits=[], downloads=[("http://203.0.113.9/agent.run", target, LATER, 0)])[""]
    (finding,), _ = _examined(Builder().add(LINUX, content).add(target, b"\x7fELF", mode=0o755))
    assert (finding.severity, finding.technique) == ("high", "T1204.002") and "made executable" in finding.detail


def test_what_was_examined_is_said_for_each_system(tmp_path: Path) -> None:
    content = made.chromium(tmp_path, visits=[("https://a.example/", "A", LATER)], downloads=[])[""]
    found, results = _examined(
        Builder().add(CHROME, content).add(LINUX, content).add("/root/.config/chromium/x/History", b"?")
    )
    states = {item["name"]: item["state"] for item in results.artifacts}
    assert (states["browser history"], states["browser history (Windows)"]) == ("in part", "examined")
    assert found == []
    assert "kim (Chromium) visited https://a.example/ (A)" in {event.what for event in results.events}
