"""A status line is checked for form, whatever activity it is of; what is not of the form is named."""

from __future__ import annotations

import json
from typing import Any

import pytest

from forensics.aws.ssm import Invocation
from forensics.case.status_line import read_claims
from forensics.errors import AcquisitionError, MemoryCaptureError
from forensics.memory.live_response_operators import STATUS_LINE
from forensics.memory.status_line import capture_claims

CAPTURED: dict[str, Any] = {
    "status": "ok", "reason": "", "bytes": 4096, "sha256": "a" * 64, "list_sha256": "b" * 64, "encoding": "zstd", "parts": 1,
    "symbols": {"btf": None}, "surprise": "not kept",
}  # fmt: skip
LIVE: dict[str, Any] = {
    "status": "partial",
    "reason": "r" * 2000,
    "bytes": 10,
    "sha256": "c" * 64,
    "items": 3,
    "process_images": 0,
}


def ended(line: dict[str, Any]) -> Invocation:
    """A command that ended well with this last line."""
    return Invocation(
        command_id="c-1",
        instance_id="i-1",
        status="Success",
        exit_code=0,
        stdout=f"noise\n{json.dumps(line)}\n",
        stderr="",
    )


def test_what_is_agreed_is_kept_and_nothing_else() -> None:
    assert capture_claims(ended(CAPTURED)) == {
        **{k: v for k, v in CAPTURED.items() if k != "surprise"},
        **dict.fromkeys(("method", "tool_sha256", "kernel", "boot", "resumed_at", "started", "ended")),
    }
    assert capture_claims(ended({**CAPTURED, "status": "more", "sha256": ""}))["sha256"] == ""


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("status", "failed"), ("status", None), ("bytes", 0), ("bytes", -1), ("bytes", "4096"), ("bytes", True),
        ("list_sha256", ""), ("list_sha256", "B" * 64), ("list_sha256", ["b" * 64]), ("sha256", "a" * 63),
        ("encoding", "gzip"), ("symbols", ["btf"]),
    ],
)  # fmt: skip
def test_a_capture_that_says_something_else_is_refused_and_the_field_is_named(field: str, value: Any) -> None:
    with pytest.raises(MemoryCaptureError, match=rf"without a valid status line \({field}\)"):
        capture_claims(ended({**CAPTURED, field: value}))


def test_a_line_that_floods_the_case_is_refused() -> None:
    with pytest.raises(MemoryCaptureError, match="more than 8000 characters"):
        capture_claims(ended({**CAPTURED, "symbols": {"btf": "x" * 9000}}))


@pytest.mark.parametrize(("field", "value"), [("items", None), ("process_images", 2**60), ("sha256", "")])
def test_a_live_response_is_held_to_its_form_too(field: str, value: Any) -> None:
    good = read_claims(ended(LIVE), form=STATUS_LINE, error=AcquisitionError, next_action="look")
    assert len(good["reason"]) == 1000 and good["items"] == 3
    with pytest.raises(AcquisitionError, match=rf"\({field}\)"):
        read_claims(ended({**LIVE, field: value}), form=STATUS_LINE, error=AcquisitionError, next_action="look")
