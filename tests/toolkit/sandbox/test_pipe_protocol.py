"""Requests and answers over pipes."""

from __future__ import annotations

import pytest

from forensic_toolkit.sandbox.pipe_protocol import PipeProtocol


def test_the_program_needs_pipes(tmp_path_factory: pytest.TempPathFactory) -> None:
    import subprocess

    with subprocess.Popen(["/bin/true"]) as process, pytest.raises(ValueError, match="pipes"):
        PipeProtocol(process, errors=tmp_path_factory.mktemp("x") / "e")
