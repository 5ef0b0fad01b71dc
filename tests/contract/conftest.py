"""One lab server for the contract tests."""

from __future__ import annotations

from tests.lab.conftest import lab, network

__all__ = ["lab", "network"]
