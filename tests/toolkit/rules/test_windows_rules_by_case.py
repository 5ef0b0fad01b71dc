"""Each rule of the newer files fires on an event of its kind and is silent on the event's harmless twin (``windows_cases/``)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from forensic_toolkit.rules import windows_sources
from tests.toolkit.examined import NO_TOOLS, SOURCES, TOOLS, run

CASES = Path(__file__).parent / "windows_cases"
RULES = SOURCES / "forensic_toolkit" / "rules" / "sigma_windows"
THEMES = ("accounts", "directory", "kerberos_2", "powershell", "remote", "servers", "sql_server", "tampering")
Event = dict[str, Any]
_RUN = """
import json, sys
from forensic_toolkit.results import Results
from forensic_toolkit.rules import sigma_engine, windows_events
from forensic_toolkit.times import now
results = Results("fc-20260101-0123456789", "disk-1", "disk", started=now())
rules = windows_events.shipped(results)
table = windows_events.table_for(rules)
events = json.load(open(sys.argv[1]))
table.fill(windows_events.prepared({"ts": "2026-11-21T02:00:00+00:00", **event}) for event in events)
table.index("Channel", "EventID")
said = [[] for _ in events]
for rule in rules.rules:
    place = windows_events.within(rule)
    for row in table.database.execute(f"SELECT rowid FROM logs WHERE ({place}) AND ({rule.condition})"):
        said[row[0] - 1].append(rule.title)
print(json.dumps({"said": said, "refused": rules.refused}))
"""


def cases() -> dict[str, list[Event]]:
    """Titles of rules with an event and what its harmless twin has instead."""
    return {
        title: pair
        for path in sorted(CASES.glob("*.yml"))
        for title, pair in yaml.safe_load(path.read_text("utf-8")).items()
    }


def events_of(case: Event) -> list[Event]:
    """The events that a case stands for; a command of PowerShell stands for each form in which it is logged."""
    if "ps" in case:
        text = case["ps"]
        return [
            {"Channel": windows_sources.SERVICES["powershell"][0], "EventID": 4104, "ScriptBlockText": text},
            {"Channel": "Windows PowerShell", "EventID": 800, "CommandLine": text, "Data": text},
            {"Channel": "Windows PowerShell", "EventID": 400, "HostApplication": f"powershell.exe -Command {text}"},
            {"Channel": windows_sources.SECURITY, "EventID": 4688, "CommandLine": f"powershell.exe -Command {text}"},
        ]
    if "run" in case:
        image, command, *parent = case["run"]
        started = {"Image": image, "CommandLine": command, "ParentImage": (parent or ["C:\\Windows\\explorer.exe"])[0]}
        audited = {"NewProcessName": image, "CommandLine": command, "ParentProcessName": started["ParentImage"]}
        return [
            {"Channel": windows_sources.SYSMON, "EventID": 1, **started},
            {"Channel": windows_sources.SECURITY, "EventID": 4688, **audited},
        ]
    if "sql" in case:
        lines = "\n".join(f"{name}:{value}" for name, value in {"succeeded": "true", **case["sql"]}.items())
        return [{"Channel": "Application", "EventID": 33205, "Provider_Name": "MSSQLSERVER", "Data": lines + "\n"}]
    if "sysmon" in case:
        rest = {name: value for name, value in case.items() if name != "sysmon"}
        return [{"Channel": windows_sources.SYSMON, "EventID": case["sysmon"], **rest}]
    return [case]


def twin_of(case: Event, other: Event) -> Event:
    """The harmless event: the other one with some fields changed."""
    return {**case, **other, **({"sql": {**case["sql"], **other["sql"]}} if "sql" in case else {})}


@pytest.mark.skipif(not TOOLS.exists(), reason=NO_TOOLS)
def test_each_rule_fires_on_its_event_and_not_on_the_harmless_twin(tmp_path: Path) -> None:
    asked: list[tuple[str, bool, Event]] = []
    for title, (case, other) in cases().items():
        asked += [(title, True, event) for event in events_of(case)]
        asked += [(title, False, event) for event in events_of(twin_of(case, other))]
    path = tmp_path / "events.json"
    path.write_text(json.dumps([event for *_, event in asked]))
    answer = json.loads(run(_RUN, str(path)))
    assert answer["refused"] == []
    wrong = [
        (title, "must fire" if fires else "must not fire", event)
        for (title, fires, event), said in zip(asked, answer["said"], strict=True)
        if (title in said) is not fires
    ]
    assert wrong == []


def test_every_rule_of_the_newer_files_has_a_case() -> None:
    titles = {
        rule["title"]
        for theme in THEMES
        for path in RULES.glob(f"{theme}*.yml")
        for rule in yaml.safe_load_all(path.read_text("utf-8"))
    }
    assert titles - set(cases()) == set()
    assert len(titles) >= 200
