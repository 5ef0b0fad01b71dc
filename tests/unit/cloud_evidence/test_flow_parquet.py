"""Flow logs in Parquet: AWS's column types, no interface, null values, broken and foreign files, without pyarrow."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import pytest

from forensics.cloud_evidence.flow_filter import FUNCTION, FlowSelectOrder
from forensics.cloud_evidence.flow_parquet import ParquetError, rows
from forensics.cloud_evidence.line_filter import LinesSelected
from forensics.cloud_evidence.trail_filter import ObjectHeader, ObjectReport
from forensics.confined import MIB, Confined, Limits
from lab.evidence.flow_records import DEFAULT, Talk, log_file, parquet_of

ACCOUNT, INTERFACE, ME, PEER = "333344445555", "eni-0aaaabbbbccccddd3", "10.20.0.5", "198.51.100.7"
AT = datetime(2026, 11, 28, 14, 0, tzinfo=UTC)
TALK = Talk(AT, PEER, 443).rows(account=ACCOUNT, interface=INTERFACE, address=ME)
OTHER = Talk(AT, PEER, 80).rows(account=ACCOUNT, interface="eni-0fedcba9876543210", address="10.20.0.9")


def test_rows_of_the_interface_are_lines_of_the_text_format() -> None:
    text = log_file([*TALK, *OTHER])
    found = list(rows(parquet_of(text), (INTERFACE,), (ME,)))
    assert {fields for fields, _ in found} == {tuple(DEFAULT.split())}
    assert [line for _, line in found] == [line for line in text.decode().splitlines() if INTERFACE in line]


def test_without_interfaces_addresses_count_and_null_is_a_dash() -> None:
    fields = "srcaddr dstaddr start end tcp-flags pkt-src-aws-service"
    body = parquet_of(log_file([*TALK, *OTHER], fields=fields))
    found = [line for _, line in rows(body, (INTERFACE,), (ME,))]
    assert len(found) == 2 and all(ME in line and line.endswith((" 3 -", " 19 -")) for line in found)


def test_a_file_that_is_no_flow_log_or_is_broken_says_so() -> None:
    good = parquet_of(log_file(TALK))
    for body, word in (
        (good[:-20] + b"PAR1", "broken"),
        (good[: len(good) // 2], "broken"),
        (parquet_of(b"srcaddr bytes\n10.0.0.1 5\n"), "not a flow log's"),
    ):
        with pytest.raises(ParquetError, match=word):
            list(rows(body, (INTERFACE,), (ME,)))


def test_without_pyarrow_it_is_said_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ParquetError, match=r"pyarrow is not installed \(requirements.txt\)"):
        list(rows(b"PAR1", (INTERFACE,), (ME,)))


def test_it_fits_the_process_that_reads_it() -> None:
    """Half a million rows under the limits of a collection, among text."""
    text = log_file(TALK * 50_000 + OTHER * 200_000)
    files = {"a.parquet": parquet_of(text), "b.log": log_file(TALK)}
    order = FlowSelectOrder(interfaces=(INTERFACE,), addresses=(ME,), begin=AT, end=AT)
    pieces = [p for n, b in files.items() for p in (ObjectHeader(name=n, gzip=False).model_dump_json().encode(), b)]
    with Confined(FUNCTION, order, limits=Limits(memory=1536 * MIB, cpu_seconds=120, output=256 * MIB)) as child:
        said = list(child.passing(iter(pieces)))
        assert child.result(LinesSelected) == LinesSelected(objects=2, records=100_002)
        assert child.peak_bytes < 512 * MIB
    reports = [ObjectReport.model_validate_json(s[1:]) for s in said if s[:1] == b"O"]
    assert [r.problem for r in reports] == ["", ""]
