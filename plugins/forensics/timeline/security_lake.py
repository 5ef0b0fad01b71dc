"""The detections of a case in the layout of a custom source of Amazon Security Lake, as Parquet below the case's prefix.

Security Lake user guide, *Collecting data from custom sources*: Parquet, one OCSF class a file, records by time, partitioned as
``ext/<source>/region=<Region>/accountId=<account>/eventDay=<YYYYMMDD>/``. Nothing is sent: who wants it in a data lake copies the folder there.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from forensics.case.recorder import CaseRecorder
from forensics.models.case import CaseView
from forensics.models.custody import CustodyAction
from forensics.naming import case_prefix
from forensics.report.exports import ocsf
from forensics.timeline.columnar import write_typed

# Of a custom source at most 20 characters (CreateCustomLogSource).
SOURCE = "ec2-forensics"
MIB = 1024 * 1024
COLUMNS = {
    "activity_id": "INTEGER", "category_uid": "INTEGER", "class_uid": "INTEGER", "type_uid": "BIGINT", "time": "BIGINT", "severity_id": "INTEGER",
    "severity": "VARCHAR", "status_id": "INTEGER", "status": "VARCHAR", "status_detail": "VARCHAR", "comment": "VARCHAR", "confidence_id": "INTEGER",
    "confidence": "VARCHAR",
    "metadata": "STRUCT(version VARCHAR, profiles VARCHAR[], correlation_uid VARCHAR, product STRUCT(name VARCHAR, vendor_name VARCHAR))",
    "cloud": "STRUCT(provider VARCHAR, region VARCHAR, account STRUCT(uid VARCHAR, type_id INTEGER))",
    "finding_info": (
        'STRUCT(uid VARCHAR, title VARCHAR, "desc" VARCHAR, data_sources VARCHAR[], created_time BIGINT, first_seen_time BIGINT, '
        "analytic STRUCT(name VARCHAR, type_id INTEGER, version VARCHAR), attacks STRUCT(technique STRUCT(uid VARCHAR, name VARCHAR))[])"
    ),
    "resources": "STRUCT(uid VARCHAR, type VARCHAR, region VARCHAR)[]",
    "evidences": "STRUCT(data STRUCT(evidence_id VARCHAR, artifact VARCHAR))[]",
}  # fmt: skip


def partition(view: CaseView, day: str) -> str:
    """The folder of a day's detections, as a custom source has it."""
    return f"ext/{SOURCE}/region={view.case.region}/accountId={view.case.account_id}/eventDay={day}/"


def by_day(view: CaseView) -> dict[str, list[dict[str, object]]]:
    """The case's detections by the day of their time."""
    found: defaultdict[str, list[dict[str, object]]] = defaultdict(list)
    for line in ocsf.render(view).splitlines():
        event = json.loads(line)
        if event["class_uid"] == ocsf.DETECTION:
            found[f"{datetime.fromtimestamp(event['time'] / 1000, UTC):%Y%m%d}"].append(event)
    return dict(found)


def store_detections(recorder: CaseRecorder, view: CaseView, *, version: str, folder: Path) -> list[str]:
    """Store a version; returns the URIs. Safe to repeat: what an earlier try has stored stays."""
    uris, gateway = [], recorder.gateways.evidence
    for day, events in sorted(by_day(view).items()):
        lines, file = folder / "events.jsonl", folder / "events.parquet"
        lines.write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")
        write_typed(lines, file, COLUMNS, order="time")
        key = f"{case_prefix(recorder.case_id)}security-lake/{version}/{partition(view, day)}{recorder.case_id}.parquet"
        stored = gateway.put_stream(key, _chunks(file), adopt=True)
        lines.unlink()
        file.unlink()
        detail = {"name": "security-lake", "uri": stored.uri, "sha256": stored.sha256, "bytes": stored.size_bytes}
        recorder.custody(CustodyAction.ARTIFACT_STORED, detail={**detail, "rows": len(events)}, once=f"artifact-{key}")
        uris.append(stored.uri)
    return uris


def _chunks(file: Path) -> Iterator[bytes]:
    with file.open("rb") as opened:
        while piece := opened.read(8 * MIB):
            yield piece
