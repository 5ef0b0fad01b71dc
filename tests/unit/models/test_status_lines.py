"""The form of each activity's status line, and that records of earlier releases still load as these models."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from forensics.models.status_lines import (
    CaptureStatus,
    DocumentStatus,
    InvestigationStatus,
    LiveResponseStatus,
    ObjectClaim,
    Probe,
    SymbolsStatus,
)

CAPTURE: dict[str, Any] = {
    "status": "ok", "reason": "", "case_id": "fc-20261124-0a1b2c3d4e", "bytes": 4096, "sha256": "a" * 64,
    "list_sha256": "b" * 64, "parts": 1, "method": "avml", "encoding": "zstd", "tool_sha256": "c" * 64, "resumed_at": 1,
    "kernel": "6.1.0-13-amd64", "boot": "0b8f", "started": "2026-11-24T03:00:00Z", "ended": "2026-11-24T03:05:00Z",
    "symbols": {"btf": {"sha256": "d" * 64, "bytes": 12}, "kallsyms": None},
}  # fmt: skip
LIVE: dict[str, Any] = {
    "status": "partial", "reason": "2 items were cut", "bytes": 10_240, "sha256": "e" * 64, "parts": 1, "items": 30, "cut": 2,
    "left_out": 0, "process_images": 3, "depth": "processes", "started": "2026-11-24T03:06:00Z", "ended": "2026-11-24T03:06:20Z",
}  # fmt: skip
SYMBOLS: dict[str, Any] = {
    "status": "ok", "reason": "", "banner": "Linux version 6.1.0-13-amd64", "method": "btf", "symbols": 120_000, "bytes": 5,
    "sha256": "1" * 64, "package_sha256": "2" * 64, "kernel_sha256": "3" * 64, "notes": ["no DWARF"], "seconds": 4.2,
}  # fmt: skip


def fields_that_are_wrong(model: type[DocumentStatus], line: dict[str, Any]) -> list[Any]:
    with pytest.raises(ValidationError) as found:
        model.model_validate(line)
    return [problem["loc"][0] if problem["loc"] else "line" for problem in found.value.errors()]


def test_a_capture_is_read_and_nothing_else_is_kept() -> None:
    status = CaptureStatus.model_validate(CAPTURE)
    assert (status.status, status.bytes, status.encoding, status.resumed_at) == ("ok", 4096, "zstd", 1)
    assert status.symbols == {"btf": ObjectClaim(sha256="d" * 64, bytes=12), "kallsyms": None}
    assert "case_id" not in status.model_dump()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("status", "failed"), ("status", None), ("bytes", 0), ("bytes", -1), ("bytes", "4096"), ("bytes", True),
        ("bytes", 2**50 + 1), ("bytes", None), ("list_sha256", ""), ("list_sha256", "B" * 64), ("list_sha256", ["b" * 64]),
        ("sha256", "a" * 63), ("sha256", "a" * 64 + "\n"), ("encoding", "gzip"), ("symbols", ["btf"]),
    ],
)  # fmt: skip
def test_a_field_of_a_capture_that_is_not_of_the_form(field: str, value: Any) -> None:
    assert fields_that_are_wrong(CaptureStatus, {**CAPTURE, field: value}) == [field]


@pytest.mark.parametrize(
    ("field", "value"),
    [("items", None), ("items", -1), ("process_images", 2**60), ("bytes", 512 * 1024**2 + 1), ("sha256", "e"), ("status", "more")],
)  # fmt: skip
def test_a_field_of_a_live_response_that_is_not_of_the_form(field: str, value: Any) -> None:
    assert fields_that_are_wrong(LiveResponseStatus, {**LIVE, field: value}) == [field]


def test_a_capture_in_several_commands_has_no_digest_of_the_stream() -> None:
    assert CaptureStatus.model_validate({**CAPTURE, "status": "more", "sha256": ""}).sha256 == ""
    assert CaptureStatus.model_validate({k: v for k, v in CAPTURE.items() if k != "sha256"}).sha256 == ""


def test_texts_are_cut_and_the_whole_is_bounded() -> None:
    status = CaptureStatus.model_validate({**CAPTURE, "reason": "r" * 2000, "kernel": "k" * 9000})
    assert (len(status.reason), len(status.kernel)) == (1000, 1000)
    assert fields_that_are_wrong(CaptureStatus, {**CAPTURE, "symbols": {"btf": "x" * 9000}}) == ["line"]
    assert CaptureStatus.model_validate({**CAPTURE, "surprise": "x" * 9000}) == CaptureStatus.model_validate(CAPTURE)


@pytest.mark.parametrize("value", ["12", 1.5, True, [1], {"a": 1}])
def test_a_number_that_is_only_shown_does_not_refuse_a_line(value: Any) -> None:
    assert CaptureStatus.model_validate({**CAPTURE, "parts": value}).parts is None


def test_a_text_of_another_type_becomes_text() -> None:
    status = LiveResponseStatus.model_validate({**LIVE, "depth": ["x"], "reason": None})
    assert (status.depth, status.reason) == ("['x']", "")


NOW = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)
BEFORE = NOW - timedelta(hours=2)


@pytest.mark.parametrize(
    ("started", "expected"),
    [
        ("2026-11-24T03:00:00Z", datetime(2026, 11, 24, 3, 0, tzinfo=UTC)),
        ("2026-11-24T01:59:59Z", BEFORE),
        ("2026-11-24T04:00:01Z", BEFORE),
        ("2026-11-24T03:00:00", BEFORE),
        ("soon", BEFORE),
        (None, BEFORE),
    ],
)
def test_the_targets_clock_is_believed_within_what_was_seen(started: Any, expected: datetime) -> None:
    status = CaptureStatus.model_validate({**CAPTURE, "started": started})
    assert status.began(not_before=BEFORE, not_after=NOW) == expected


def test_without_a_lower_bound_a_time_that_is_refused_becomes_the_upper_one() -> None:
    assert CaptureStatus.model_validate({**CAPTURE, "started": ""}).began(not_before=None, not_after=NOW) == NOW


def test_an_investigation_says_what_it_uploaded() -> None:
    line = {
        "status": "partial",
        "reason": "x" * 2000,
        "artifacts": {"raw": {"sha256": "f" * 64, "bytes": 7, "more": 1}, "odd": "?"},
    }
    status = InvestigationStatus.model_validate({**line, "findings": 3})
    assert status.artifacts == {"raw": ObjectClaim(sha256="f" * 64, bytes=7), "odd": None}
    assert len(status.reason) == 1000
    assert InvestigationStatus.model_validate({"status": "ok", "artifacts": None}).artifacts == {}
    assert fields_that_are_wrong(InvestigationStatus, {"status": "more"}) == ["status"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("status", "partial"), ("banner", "Linux"), ("method", "guess"), ("symbols", 0), ("sha256", "1"), ("package_sha256", None),
        ("kernel_sha256", ""), ("notes", "none"),
    ],
)  # fmt: skip
def test_a_symbol_tables_line_is_held_to_its_form(field: str, value: Any) -> None:
    assert SymbolsStatus.model_validate(SYMBOLS).notes == ("no DWARF",)
    assert fields_that_are_wrong(SymbolsStatus, {**SYMBOLS, field: value}) == [field]


@pytest.mark.parametrize(
    "line",
    [
        {},
        {"status": "failed"},
        {"status": "ok", "memory_kib": -1},
        {"status": "ok", "kernel": "x" * 500},
        {"status": "ok", "cpus": "many"},
    ],
)
def test_a_probes_line_of_another_form_is_no_answer(line: dict[str, Any]) -> None:
    assert Probe.read(line) is None


def test_a_probe_ignores_what_a_newer_document_adds() -> None:
    found = Probe.read({"status": "ok", "kernel": "6.1.0", "kcore": True, "something": "new"})
    assert found == Probe(kernel="6.1.0", kcore=True)
