"""dissect's target-query as a second opinion."""

from __future__ import annotations

import json
from pathlib import Path

from forensic_toolkit.runners import dissect_program


def test_records_of_dissect_are_counted_by_function(tmp_path: Path) -> None:
    output = tmp_path / "records.jsonl"
    records = [{"_type": "recorddescriptor", "_data": ["linux/log/auth", []]}]
    records += [{"_recorddescriptor": [name, 1]} for name in ("linux/log/auth", "linux/log/btmp", "unix/history")]
    output.write_text("\n".join(json.dumps(record) for record in records) + '\n{"cut')
    counts = dissect_program.count_records(output)
    assert [counts[name] for name in dissect_program.FUNCTIONS] == [1, 0, 1, 1, 0]
