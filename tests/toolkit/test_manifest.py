"""The manifest."""

from __future__ import annotations

import pytest

from forensic_toolkit import manifest
from forensic_toolkit.errors import ManifestError


@pytest.mark.parametrize(
    "line",
    ["get a b", "get a xyz http://h/", "put A http://h/", "put a http://h/ x", "run x", "put a file:///x"],
)
def test_malformed_manifest_lines(line: str) -> None:
    with pytest.raises(ManifestError, match="line 2"):
        manifest.parse(f"forensics-manifest 1\n{line}\n")
