"""Detections in the layout of a custom source of Security Lake: read back by Apache Arrow."""

from __future__ import annotations

import io
import json
import re

import pyarrow as pa
import pyarrow.parquet as pq

from forensics.models.custody import CustodyAction
from forensics.report.exports import ocsf
from forensics.timeline.security_lake import COLUMNS, SOURCE
from forensics.timeline.writer import store_timeline
from tests.unit.report import sample
from tests.unit.report.test_gap_counts import Stored

# Security Lake user guide, "Collecting data from custom sources", Partitioning
PLACE = re.compile(r"/ext/([a-z0-9-]+)/region=([a-z0-9-]+)/accountId=(\d{12})/eventDay=(\d{8})/[^/]+\.parquet$")


def test_every_detection_is_in_the_partition_of_its_day() -> None:
    recorder = Stored(sample.complete_view())
    store_timeline(recorder)
    files = {k: v for k, v in recorder.evidence_store.objects.items() if "/security-lake/" in k}
    assert files
    rows = []
    for key, body in files.items():
        found = PLACE.search(key)
        assert found and found.groups()[:3] == (SOURCE, "eu-central-1", "333344445555") and len(SOURCE) <= 20
        table = pq.read_table(io.BytesIO(body))
        assert tuple(table.column_names) == tuple(COLUMNS) and pa.types.is_struct(
            table.schema.field("finding_info").type
        )
        assert set(table["class_uid"].to_pylist()) == {2004}
        times = table["time"].to_pylist()
        assert times == sorted(times)
        days = {f"{pa.scalar(t, pa.timestamp('ms')).as_py():%Y%m%d}" for t in times}
        assert days == {found[4]}
        rows += table.to_pylist()
    wanted = [e for e in map(json.loads, ocsf.render(recorder.view()).splitlines()) if e["class_uid"] == 2004]
    assert {r["finding_info"]["uid"] for r in rows} == {e["finding_info"]["uid"] for e in wanted} and len(rows) == len(
        wanted
    )
    stated = [
        str(e.detail["uri"])
        for e in recorder.ledger.events(recorder.case_id)
        if e.action is CustodyAction.ARTIFACT_STORED
    ]
    assert {f"s3://evidence/{key}" for key in files} <= set(stated)
