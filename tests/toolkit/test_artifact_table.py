"""docs/artifacts.md is what the script makes of the toolkit's own declarations, and says the truth where it can be tried."""

from __future__ import annotations

import re

import pytest

from scripts import artifact_coverage as table


def test_the_page_is_up_to_date() -> None:
    assert table.OUT.read_text("utf-8") == table.page(), "run `make artifact-table`"


def test_every_definition_of_both_systems_is_in_it() -> None:
    page = table.page()
    for system, part in zip(table.SYSTEMS, page.split("\n## ")[1:], strict=True):
        rows = re.findall(r"^\| (\w+) \| (read in part|read|collected|not on a disk|not covered)", part, re.MULTILINE)
        wanted = {
            name
            for name, sources in table.definitions().items()
            if any(
                system in systems and (kind != "ARTIFACT_GROUP" or table.covered(name, system))
                for kind, systems, _ in sources
            )
        }
        assert {name for name, _ in rows} == wanted
        assert len(rows) > 200


@pytest.mark.parametrize(
    ("name", "system", "state"),
    [
        ("LinuxAuthLogs", "Linux", table.READ),
        ("LinuxAuditLogs", "Linux", table.READ),
        ("FishShellHistoryFile", "Linux", table.READ),
        ("DebianPackagesStatus", "Linux", table.COLLECTED),
        ("LinuxProcMounts", "Linux", table.LIVE),
        ("PostgreSQLDataDirectory", "Linux", table.MISSING),
        ("WindowsRunKeys", "Windows", table.READ),
        ("TriageSystemLogs", "Linux", table.PART),
        ("WindowsEventLogs", "Windows", table.PART),
        ("WindowsXMLEventLogSecurity", "Windows", table.READ),
        ("WindowsPowerShellHistory", "Windows", table.READ),
        ("WindowsSearchDatabaseFile", "Windows", table.MISSING),
    ],
)
def test_what_is_known_of_some(name: str, system: str, state: str) -> None:
    assert table.row(name, table.covered(name, system))[0] == state


def test_a_place_that_is_no_longer_declared_is_no_longer_covered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "_sets", dict)
    assert table._of_file.__wrapped__("/var/lib/dpkg/status", "Linux").state == table.MISSING
