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


def test_keys_of_disks() -> None:
    read = manifest.parse("forensics-manifest 1\nkey /forensics/disk-keys/web AAH/\nkey forensics/disk-keys/b+c eA==\n")
    assert read.keys == {"/forensics/disk-keys/web": b"\x00\x01\xff", "forensics/disk-keys/b+c": b"x"}
    assert "AAH" not in repr(read) and "xff" not in repr(read)


@pytest.mark.parametrize("line", ["key /web", "key /web A", "key /we*b AAH/", "key /web AAH/ more"])
def test_what_is_no_key_is_malformed(line: str) -> None:
    with pytest.raises(ManifestError, match="line 2"):
        manifest.parse(f"forensics-manifest 1\n{line}\n")
