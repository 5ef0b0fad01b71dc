"""The coverage of Windows artifacts."""

from __future__ import annotations

from forensic_toolkit.commands import windows_disk
from forensic_toolkit.readers.coverage import Coverage
from forensic_toolkit.results import Results
from forensic_toolkit.times import now
from lab.tools.windows import evtx, server
from tests.toolkit.fake_tree import Builder

LOGS = "/Windows/System32/winevt/Logs"


def test_a_damaged_log_counts_the_records_that_its_chunks_announce() -> None:
    builder = Builder().add(f"{LOGS}/Security.evtx", evtx.log(server.security()))
    builder.add(f"{LOGS}/Broken.evtx", evtx.log(server.security(), broken=True)).add(f"{LOGS}/Empty.evtx", bytes(4096))
    coverage = Coverage()
    read = [
        {"source": rf"C:\Windows\System32\winevt\Logs\{name}.evtx", "ts": "2026-11-21T02:00:00Z"}
        for name in ["Security"] * 12 + ["Broken"] * 3
    ]
    list(windows_disk._cover(builder.tree(), {"evtx": read, "prefetch": []}, coverage=coverage))
    short = {item.path.rsplit("/", 1)[-1]: item.shortfalls() for item in coverage.artifacts}
    assert short == {"Security.evtx": [], "Broken.evtx": ["3 of 12 lines were parsed"], "Empty.evtx": []}


def test_a_volume_without_windows_gives_no_windows_gaps() -> None:
    assert not windows_disk.is_windows(Builder().tree())
    results = Results("fc-20260101-0123456789", "disk-1", "disk", started=now())
    windows_disk._check_registry(Builder().tree(), {"services": [], "amcache.application_files": []}, results=results)
    assert results.gaps == []
