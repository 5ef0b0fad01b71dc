"""The command line's arguments."""

from __future__ import annotations

import pytest

from forensic_toolkit import cli

CASE = ["--case", "fc-20260101-0123456789", "--evidence", "mem-i-0123456789abcdef0"]


def test_arguments_are_checked_before_anything_else(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["disk", *CASE, "--volume", "/dev/sda", "--manifest", "http://127.0.0.1/"])
    assert ended.value.code == 2
    assert "does not match" in capsys.readouterr().err
