"""Rules on Windows artifacts."""

from __future__ import annotations

from typing import Any

import pytest

from forensic_toolkit.rules import windows_rules


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
def test_what_starts_from_an_unusual_place(command: str, odd: bool) -> None:
    records = {"services": [{"name": "x", "imagepath": command, "ts": "2026-11-21T02:00:00Z"}]}
    assert bool(list(windows_rules.services(records))) is odd


def test_consistent_times_of_the_mft_give_no_finding() -> None:
    def entry(said: str, named: str, segment: int) -> list[dict[str, Any]]:
        record = {"ts_type": "B", "segment": segment, "path": f"c:\\{segment}"}
        return [{**record, "ts": said}, {**record, "ts": named, "filename_index": 0}]

    records = entry("2026-01-01T00:00:00+00:00", "2026-01-01T00:00:00.5+00:00", 1)
    records += entry("2020-01-01T00:00:00.123456+00:00", "2026-01-01T00:00:00+00:00", 2)
    records += entry("2020-01-01T00:00:00+00:00", "2026-01-01T00:00:00+00:00", 3)
    records += [{"ts_type": "B", "segment": None, "ts": "x"}]
    assert [item.source for item in windows_rules.forged_times(records)] == ["c:\\3"]
