"""Kernels that are packed in a program of EFI; the form is that of Linux, drivers/firmware/efi/libstub/zboot-header.S."""

from __future__ import annotations

import gzip
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from lab.tools.memory.kernel_image import PackedKernelError, kernel_file, plain

KERNEL = b"ARM\x64 a kernel" * 1000


def packed(folder: Path, how: bytes, data: bytes) -> Path:
    header = struct.pack("<2s2x4sII8x32s", b"MZ", b"zimg", 64, len(data), how)
    file = folder / "vmlinuz"
    file.write_bytes(header.ljust(64, b"\0") + data + b"what follows")
    return file


@pytest.mark.parametrize("how", ["gzip", "zstd"])
def test_what_is_packed_comes_out(how: str, tmp_path: Path) -> None:
    if how == "zstd" and shutil.which("zstd") is None:
        pytest.skip("zstd is not on this machine")
    data = (
        gzip.compress(KERNEL)
        if how == "gzip"
        else subprocess.run(["zstd", "-q", "-c"], input=KERNEL, capture_output=True, check=True).stdout
    )
    found = plain(packed(tmp_path, how.encode(), data), into=tmp_path)
    assert found.read_bytes() == KERNEL and found.name == "vmlinuz.plain"


def test_a_kernel_that_is_not_packed_stays(tmp_path: Path) -> None:
    file = tmp_path / "vmlinuz"
    file.write_bytes(b"MZ" + b"\0" * 200)
    assert plain(file, into=tmp_path) == file


def test_a_packing_that_is_unknown_is_named(tmp_path: Path) -> None:
    with pytest.raises(PackedKernelError, match=r"vmlinuz is packed with 'lzma'; gzip and zstd"):
        plain(packed(tmp_path, b"lzma", b"x"), into=tmp_path)
    with pytest.raises(PackedKernelError, match="nothing came out"):
        plain(packed(tmp_path, b"zstd", b"not zstd"), into=tmp_path)


@pytest.mark.parametrize("place", ["boot/vmlinuz-7.3.4", "usr/lib/modules/7.3.4/vmlinuz", "lib/modules/7.3.4/vmlinuz"])
def test_a_kernel_is_found_where_its_release_puts_it(place: str, tmp_path: Path) -> None:
    """Debian's linux-binary-7.3.4+deb13-cloud-amd64 has it beside the modules."""
    with pytest.raises(PackedKernelError, match=r"neither /boot/vmlinuz-7\.3\.4 nor"):
        kernel_file(tmp_path, "7.3.4")
    file = tmp_path / place
    file.parent.mkdir(parents=True)
    file.write_bytes(b"x")
    assert kernel_file(tmp_path, "7.3.4") == file
