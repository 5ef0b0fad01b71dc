"""A command's status line is read as its activity's model, or the command has failed and the fields are named."""

from __future__ import annotations

import json
from typing import Any

import pytest

from forensics.aws.ssm import Invocation
from forensics.case.status_line import read_status
from forensics.errors import AcquisitionError, MemoryCaptureError
from forensics.models.status_lines import CaptureStatus, LiveResponseStatus

CAPTURED: dict[str, Any] = {
    "status": "ok", "bytes": 4096, "sha256": "a" * 64, "list_sha256": "b" * 64, "encoding": "zstd", "parts": 1,
}  # fmt: skip


def ended(line: object) -> Invocation:
    """A command that ended well with this last line."""
    stdout = f"noise\n{json.dumps(line)}\n"
    return Invocation(command_id="c-1", instance_id="i-1", status="Success", exit_code=0, stdout=stdout, stderr="")


def test_a_line_of_the_form_becomes_the_model() -> None:
    status = read_status(ended(CAPTURED), CaptureStatus, error=MemoryCaptureError, next_action="look")
    assert (status.bytes, status.parts, status.list_sha256) == (4096, 1, "b" * 64)


def test_every_wrong_field_is_named_once_with_the_next_action() -> None:
    line = {**CAPTURED, "bytes": 0, "encoding": "gzip"}
    with pytest.raises(MemoryCaptureError) as found:
        read_status(ended(line), CaptureStatus, error=MemoryCaptureError, next_action="look at the output")
    assert "command c-1 succeeded without a valid status line (bytes, encoding): " in found.value.message
    assert found.value.next_action == "look at the output"


def test_a_line_that_floods_the_case_is_refused() -> None:
    flood = {**CAPTURED, "symbols": {"btf": "x" * 9000}}
    with pytest.raises(MemoryCaptureError, match=r"status line \(more than 8000 characters\)"):
        read_status(ended(flood), CaptureStatus, error=MemoryCaptureError)


def test_a_command_without_a_status_line_is_refused() -> None:
    with pytest.raises(AcquisitionError, match=r"\(status, bytes, items, process_images\)"):
        read_status(ended("words"), LiveResponseStatus, error=AcquisitionError)
