"""A large pack over many events: which records a rule looks at changes nothing in what it finds, and it is done in time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from forensic_toolkit.rules import windows_sources
from forensic_toolkit.rules.sigma_literals import regex_clauses
from tests.toolkit.examined import NO_TOOLS, ROOT, TOOLS, run

RULES, EVENTS, SECONDS, MEMORY = 2100, 1_000_000, 600, 512 << 20
_RUN = """
import json, sys, tempfile, time
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from forensic_toolkit.results import Results
from forensic_toolkit.rules import sigma_engine, windows_events
from forensic_toolkit.times import now
from tests.toolkit.rules import rule_load
count, records, search = int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "searched"
results = Results("fc-20260101-0123456789", "disk-1", "disk", started=now())
began = time.monotonic()
rules = sigma_engine.translated([*rule_load.rules(count), *rule_load.fitting()], results=results)
with tempfile.TemporaryDirectory() as folder:
    table = windows_events.table_for(rules, path=Path(folder) / "events.sqlite")
    table._selection.works &= search
    table.fill(windows_events.prepared(event) for event in rule_load.events(records))
    found = [[item.title, item.count, item.detail] for item in windows_events.examined(rules, table, results=results)]
print(json.dumps({
    "seconds": time.monotonic() - began, "memory": int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) * 1024, "rules": len(rules.rules),
    "rows": {item.argv[0]: item.rows for item in results.runs if item.rows}, "found": found, "refused": rules.refused, "works": table._selection.works,
}))
"""
needs_tools = pytest.mark.skipif(not TOOLS.exists(), reason=NO_TOOLS)


def examined(rules: int, events: int, how: str = "searched") -> dict[str, Any]:
    """What invented rules, and some that fit, find in invented events."""
    answer: dict[str, Any] = json.loads(run(_RUN, str(ROOT), str(rules), str(events), how, seconds=1800))
    return answer


@needs_tools
def test_rules_find_the_same_whether_words_are_searched_first_or_not() -> None:
    searched, plain = examined(60, 6000), examined(60, 6000, "plain")
    assert searched["works"] and not plain["works"]
    assert searched["refused"] == [] == plain["refused"]
    assert searched["rows"] == plain["rows"] and len(searched["rows"]) >= 8
    assert sorted(searched["found"]) == sorted(plain["found"]) != []


@needs_tools
@pytest.mark.investigate
def test_two_thousand_rules_over_a_million_events() -> None:
    answer = examined(RULES, EVENTS)
    print(
        f"\n[investigate] {answer['rules']} Sigma rules over {EVENTS} events: {answer['seconds']:.0f} s, "
        f"{answer['memory'] >> 20} MiB resident, {len(answer['rows'])} rules with hits"
    )
    assert answer["rules"] >= 2000 and answer["refused"] == []
    assert answer["seconds"] <= SECONDS
    assert answer["memory"] <= MEMORY
    assert len(answer["rows"]) >= 8


@pytest.mark.parametrize(
    ("pattern", "clauses"),
    [
        (r"(?i)Invoke-\w+\s+Mimikatz", [{"invoke-"}, {"mimikatz"}]),
        (r"abc(def|ghi)xyz", [{"def", "ghi"}, {"abc"}, {"xyz"}]),
        (r"ab?cde{2,}f", []),
        (r"abb?cdee{2,}fgh", [{"cde"}, {"fgh"}]),
        (r"(secret)?word", [{"word"}]),
        (r"(secret)+", [{"secret"}]),
        (r"\bone\b|two", [{"one", "two"}]),
        (r"one|[a-z]+", []),
        (r"(New-Service|sc\s+create)\s", [{"new-service", "create"}]),
        (r"[", []),
    ],
)
def test_what_a_regular_expression_cannot_do_without(pattern: str, clauses: list[set[str]]) -> None:
    assert sorted(map(sorted, regex_clauses(pattern))) == sorted(map(sorted, clauses))


def test_the_place_of_an_event_is_judged_as_sql_judges_it() -> None:
    import sqlite3

    database = sqlite3.connect(":memory:")
    database.execute("CREATE TABLE logs (Channel COLLATE NOCASE, EventID INTEGER COLLATE NOCASE)")
    events = [
        (windows_sources.SYSMON, 1),
        (windows_sources.SYSMON, 13),
        ("security", 4688),
        ("Security", 4624),
        ("System", 7045),
        ("Application", 1),
    ]
    database.executemany("INSERT INTO logs VALUES (?, ?)", events)
    sources = [(name, "") for name in windows_sources.CATEGORIES] + [("", name) for name in windows_sources.SERVICES]
    for category, service in [*sources, ("", ""), ("process_creation", "security"), ("process_creation", "sysmon")]:
        rows = database.execute(f"SELECT * FROM logs WHERE {windows_sources.condition(category, service)}").fetchall()  # noqa: S608 - the toolkit's own
        held = [
            event for event in events if windows_sources.holds(category, service, channel=event[0], event_id=event[1])
        ]
        assert rows == held, (category, service)


def test_the_load_is_the_same_each_time() -> None:
    from tests.toolkit.rules import rule_load

    assert list(rule_load.rules(5)) == list(rule_load.rules(5))
    assert list(rule_load.events(40)) == list(rule_load.events(40))
    assert Path(rule_load.__file__).name == "rule_load.py"
