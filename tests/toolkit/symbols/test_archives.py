"""The kernel out of a package."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from forensic_toolkit.errors import SymbolError
from forensic_toolkit.symbols import archives
from tests.toolkit import kernel_blob


@pytest.mark.parametrize("pack", [kernel_blob.deb, kernel_blob.rpm, lambda kernel: kernel], ids=["deb", "rpm", "elf"])
def test_the_kernel_is_extracted_from_every_format(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    kernel = kernel_blob.vmlinux()
    package = tmp_path / "package"
    package.write_bytes(pack(kernel))
    assert archives.kernel(package, into=tmp_path / "vmlinux").read_bytes() == kernel


@pytest.mark.parametrize(
    ("package", "reason"),
    [
        (b"PK\x03\x04 a zip file", "not a .deb, .rpm or ELF file"),
        (b"", "not a .deb, .rpm or ELF file"),
        (kernel_blob.deb(kernel_blob.vmlinux())[:-40], "cannot be unpacked"),
        (kernel_blob.rpm(kernel_blob.vmlinux())[:600], "cannot be unpacked"),
        (kernel_blob.deb(b"text"), "holds no vmlinux"),
        (kernel_blob.deb(kernel_blob.vmlinux(), name="./etc/passwd"), "holds no vmlinux"),
        (kernel_blob.rpm(b"text"), "holds no vmlinux"),
    ],
)
def test_the_reason_why_a_package_cannot_be_used(package: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "package"
    path.write_bytes(package)
    with pytest.raises(SymbolError, match=reason):
        archives.kernel(path, into=tmp_path / "vmlinux")
