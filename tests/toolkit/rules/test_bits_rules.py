"""Jobs of BITS: a command and transfers from strangers are findings, the updates of Windows and browsers are not."""

from __future__ import annotations

from uuid import UUID

import pytest

from forensic_toolkit.readers.coverage import Coverage
from forensic_toolkit.results import Finding, Results
from forensic_toolkit.rules import bits_rules
from forensic_toolkit.times import now
from tests.toolkit import bits_blobs as blobs
from tests.toolkit.fake_tree import LATER, Builder

QUEUE = "/ProgramData/Microsoft/Network/Downloader/qmgr.db"
JOB, FILE = UUID(int=0xA), UUID(int=0xF)


def _examined(content: bytes, *, path: str = QUEUE) -> tuple[list[Finding], Results, Coverage]:
    results, coverage = Results("fc-20260101-0123456789", "disk-1", "disk", started=now()), Coverage()
    tree = Builder().add(path, content).tree()
    found = list(bits_rules.findings(tree, coverage=coverage, results=results))
    coverage.report(results)
    return found, results, coverage


def _queue(url: str, path: str, **facts: object) -> bytes:
    record = blobs.job("job", number=JOB, files=[FILE], created=LATER, **facts)  # type: ignore[arg-type]
    return blobs.queue_10([record], [(FILE, blobs.file(url, path))])


def test_a_job_that_starts_a_command() -> None:
    content = _queue(
        "https://download.windowsupdate.com/a.cab", r"C:\a.cab", program=r"C:\Windows\System32\cmd.exe",
        arguments=r"cmd.exe /c C:\Users\Public\s.exe",
    )  # fmt: skip
    (finding,), results, coverage = _examined(content)
    assert (finding.technique, finding.severity, finding.confidence, finding.time) == ("T1197", "high", "high", LATER)
    assert r"C:\Users\Public\s.exe" in finding.detail and blobs.USER in finding.detail
    assert any(event.notable and event.time == LATER for event in results.events)
    assert results.gaps == [] and coverage.artifacts[0].parsed == 1


@pytest.mark.parametrize(
    ("url", "path", "kind", "severity", "technique"),
    [
        ("http://203.0.113.9/u.exe", r"C:\ProgramData\u.exe", 0, "high", "T1105"),
        ("http://203.0.113.9/list.txt", r"C:\list.txt", 0, "medium", "T1105"),
        ("https://cdn.example.net/u.exe", r"C:\ProgramData\u.exe", 0, "medium", "T1105"),
        ("https://cdn.example.net/u.dat", r"C:\Program Files\App\u.dat", 0, "low", "T1197"),
        ("https://drop.example.net/in", r"C:\secrets.zip", 1, "high", "T1048"),
        ("https://notmicrosoft.com.example/u.exe", r"C:\ProgramData\u.exe", 0, "medium", "T1105"),
    ],
)
def test_transfers_from_and_to_strangers(url: str, path: str, kind: int, severity: str, technique: str) -> None:
    (finding,), _, _ = _examined(_queue(url, path, kind=kind))
    assert (finding.severity, finding.technique) == (severity, technique)
    assert url in finding.detail and path in finding.detail


@pytest.mark.parametrize(
    "url",
    [
        "http://edgedl.me.gvt1.com/edgedl/release2/chrome_component/a.crx3",
        "http://msedge.b.tlu.dl.delivery.mp.microsoft.com/filestreamingservice/files/1",
        "https://download-installer.cdn.mozilla.net/pub/firefox/a.mar",
    ],
)
def test_what_windows_and_browsers_fetch_is_only_in_the_timeline(url: str) -> None:
    found, results, _ = _examined(_queue(url, r"C:\Users\kim\AppData\Local\Temp\x.exe"))
    assert found == []
    assert [event.notable for event in results.events] == [False]


def test_the_queues_of_older_systems_and_files_without_their_job() -> None:
    record = blobs.job(
        "old", number=JOB, files=[blobs.file("http://203.0.113.9/u.exe", r"C:\u.exe")], created=LATER, mark=blobs.JOB_7
    )
    older = "/ProgramData/Microsoft/Network/Downloader/qmgr0.dat"
    (finding,), _, _ = _examined(blobs.queue_7([record]), path=older)
    assert finding.severity == "high"
    (finding,), _, _ = _examined(blobs.queue_10([], [(FILE, blobs.file("http://203.0.113.9/u.exe", r"C:\u.exe"))]))
    assert "the job itself was not found" in finding.detail and finding.time is None


def test_an_unused_queue_is_no_gap_and_an_unknown_form_is_one() -> None:
    assert _examined(bytes(4096))[1].gaps == []
    record = blobs.job("j", number=JOB, files=[], created=LATER).replace(blobs.JOB_10, b"\x11" * 16)
    assert "no job of a known form" in _examined(record)[1].gaps[0][1]
