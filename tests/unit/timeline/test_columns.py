"""The columns of a stored timeline: pinned, since queries of other people depend on them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import yaml

from forensics.report.chronology import Moment
from forensics.timeline.columns import COLUMNS, NAMES, addresses_in, cursor_of, entry_key, row

ROOT = Path(__file__).parents[3]
AT = datetime(2026, 11, 24, 3, 12, 0, 123456, UTC)


def test_the_schema_is_pinned() -> None:
    assert [(c.name, c.duckdb) for c in COLUMNS] == [
        ("time", "TIMESTAMP"), ("key", "VARCHAR"), ("kind", "VARCHAR"), ("message", "VARCHAR"), ("origin", "VARCHAR"),
        ("timestamp_desc", "VARCHAR"), ("data_type", "VARCHAR"), ("class_uid", "INTEGER"), ("evidence_id", "VARCHAR"),
        ("finding_id", "VARCHAR"), ("severity", "VARCHAR"), ("technique", "VARCHAR"), ("host", "VARCHAR"), ("user_name", "VARCHAR"),
        ("addresses", "VARCHAR[]"), ("account_id", "VARCHAR"), ("region", "VARCHAR"),
    ]  # fmt: skip


def test_the_page_on_timelines_lists_every_column_with_its_names_elsewhere() -> None:
    text = (ROOT / "docs/timeline.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (\S+) \| (.*?) \| (.*?) \|", text, re.MULTILINE)
    shown = [(name, kind, ocsf.strip("`\u2013"), ecs.strip("`\u2013")) for name, kind, ocsf, ecs in rows]
    assert shown == [(c.name, c.athena, c.ocsf, c.ecs) for c in COLUMNS]


def test_athena_s_table_has_the_same_columns() -> None:
    template = yaml.load((ROOT / "infra/cloudformation/timeline-queries.yaml").read_text(), yaml.BaseLoader)
    table = template["Resources"]["Timeline"]["Properties"]["TableInput"]
    listed = [(c["Name"], c["Type"]) for c in table["StorageDescriptor"]["Columns"]]
    assert listed == [(c.name, c.athena) for c in COLUMNS]


def test_an_entry_has_every_column_and_its_texts_are_visible_lines() -> None:
    made = row(time=AT, message="a\nb\u202e" + "x" * 9000, origin="/var/\x1b[31m", user_name="root\u200b")
    assert tuple(made) == NAMES
    assert str(made["message"]).startswith("a⏎b[U+202E]x") and str(made["message"]).endswith("[…cut]")
    assert len(str(made["message"])) <= 8_000
    assert (made["origin"], made["user_name"]) == ("/var/␛[31m", "root[U+200B]")


def test_times_are_utc() -> None:
    away = AT.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert row(time=away, message="x", origin="y")["time"] == "2026-11-24 03:12:00.123456"


def test_the_key_is_that_of_the_report_s_axis() -> None:
    moment = Moment(AT, "tool", "what", "where", "disk-vol-1")
    assert moment.key == cursor_of(AT, entry_key("tool", "what", "where", "disk-vol-1"))


def test_addresses_are_taken_from_fields_and_text() -> None:
    text = "from 203.0.113.9 port 22, version 1.2.3.4.5, 256.1.1.1 and 10.0.0.7:443"
    assert addresses_in(text, ["2001:db8::1", ""]) == ["2001:db8::1", "203.0.113.9", "10.0.0.7"]
