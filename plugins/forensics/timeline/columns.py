"""The columns of a stored timeline, with their names in OCSF and ECS. Pure.

Sources: Open Cybersecurity Schema Framework 1.3 (attributes of classes 2004, 4001 and 6003), Elastic Common Schema 8, and the field names of
Timesketch's import guide. ``docs/timeline.md`` shows this table, the Athena table of the templates declares it, and tests hold the three together.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from forensics.models.base import format_utc
from forensics.printable import single_line


@dataclass(frozen=True)
class Column:
    """A column: its type for DuckDB and for Athena, its name in OCSF and in ECS (empty: none fits), what it holds."""

    name: str
    duckdb: str
    athena: str
    ocsf: str
    ecs: str
    holds: str


_TEXT = ("VARCHAR", "string")
COLUMNS = (
    Column("time", "TIMESTAMP", "timestamp", "time", "@timestamp", "when it happened, UTC, microseconds"),
    Column("key", *_TEXT, "metadata.uid", "event.id", "16 hexadecimal digits of the entry's content; with `time` its place in the order"),
    Column("kind", *_TEXT, "type_name", "event.category", "`tool`, or what the case's own entry is about"),
    Column("message", *_TEXT, "message", "message", "what happened, one line"),
    Column("origin", *_TEXT, "metadata.log_name", "log.file.path", "file, artifact, service or step that it comes from"),
    Column("timestamp_desc", *_TEXT, "status_detail", "event.action", "which time of the thing it is"),
    Column("data_type", *_TEXT, "metadata.log_provider", "event.dataset", "kind of record, as plaso names it"),
    Column("class_uid", "INTEGER", "int", "class_uid", "", "class of OCSF, where one fits: 2004, 4001, 4003, 6003"),
    Column("evidence_id", *_TEXT, "evidences.data", "", "the case's evidence that holds it"),
    Column("finding_id", *_TEXT, "finding_info.uid", "rule.id", "the tool's finding, for entries that are one"),
    Column("severity", *_TEXT, "severity", "event.severity", "of a finding: info, low, medium, high, critical"),
    Column("technique", *_TEXT, "finding_info.attacks.technique.uid", "threat.technique.id", "of MITRE ATT&CK"),
    Column("host", *_TEXT, "device.uid", "host.id", "the machine: the instance's id where the record names none"),
    Column("user_name", *_TEXT, "actor.user.name", "user.name", "account, role session or principal"),
    Column("addresses", "VARCHAR[]", "array<string>", "src_endpoint.ip", "related.ip", "network addresses that it names, the first eight"),
    Column("account_id", *_TEXT, "cloud.account.uid", "cloud.account.id", "AWS account of the case"),
    Column("region", *_TEXT, "cloud.region", "cloud.region", "Region of the case"),
)  # fmt: skip
NAMES = tuple(column.name for column in COLUMNS)
TOOL = "tool"
LONGEST_MESSAGE, LONGEST_TEXT = 8_000, 500
_MOST_ADDRESSES = 8
_IPV4 = re.compile(r"(?<![\d.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\d.]*\d)")


def entry_key(kind: str, what: str, origin: str, evidence_id: str) -> str:
    """The 16 hexadecimal digits that tell entries of one moment apart: the same for the same content."""
    text = "\x1f".join((kind, what, origin, evidence_id))
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:16]


def addresses_in(text: str, given: Iterable[str] = ()) -> list[str]:
    """The addresses that an entry names: those of its fields first, then IPv4 ones in its text."""
    found = dict.fromkeys([*(g for g in given if g), *(_IPV4.findall(text) if text.count(".") > 2 else ())])
    return list(found)[:_MOST_ADDRESSES]


def row(
    *, time: datetime, message: str, origin: str, kind: str = TOOL, evidence_id: str = "", addresses: Iterable[str] = (),
    timestamp_desc: str = "", data_type: str = "", class_uid: int | None = None, finding_id: str = "", severity: str = "",
    technique: str = "", host: str = "", user_name: str = "", account_id: str = "", region: str = "",
) -> dict[str, object]:  # fmt: skip
    """One entry by the columns; its texts are one visible line each, and cut where they are longer than a column holds."""
    what, where = _text(message, LONGEST_MESSAGE), _text(origin, LONGEST_TEXT)
    return {
        "time": time.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds"), "key": entry_key(kind, what, where, evidence_id), "kind": kind,
        "message": what, "origin": where, "timestamp_desc": _text(timestamp_desc), "data_type": _text(data_type),
        "class_uid": class_uid, "evidence_id": evidence_id, "finding_id": _text(finding_id), "severity": severity, "technique": technique,
        "host": _text(host), "user_name": _text(user_name), "addresses": addresses_in(what, map(_text, addresses)),
        "account_id": account_id, "region": region,
    }  # fmt: skip


def cursor_of(time: datetime, key: str) -> str:
    """Where an entry stands in the order, as the cursor of pages names it."""
    return f"{format_utc(time)}~{key}"


def _text(text: str, limit: int = LONGEST_TEXT) -> str:
    if not text:
        return ""
    shown = single_line(text)
    return shown if len(shown) <= limit else f"{shown[: limit - 7]} […cut]"
