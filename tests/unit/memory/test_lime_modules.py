"""A module is used for exactly the kernel it was built for, and for no other."""

from __future__ import annotations

import pytest

from forensics.errors import ConfigurationError
from forensics.memory.lime_modules import module_for, parse_module_list
from forensics.models.status_lines import Probe

KERNEL = "6.1.0-56-cloud-amd64"
LISTED = f"""
version: 1
modules:
  - {{kernel: {KERNEL}, architecture: x86_64, key: tools/lime/a.ko, sha256: "{"a" * 64}"}}
  - {{kernel: {KERNEL}, architecture: aarch64, key: tools/lime/b.ko, sha256: "{"b" * 64}"}}
""".encode()


@pytest.mark.parametrize(
    ("kernel", "architecture", "key"),
    [
        (KERNEL, "x86_64", "tools/lime/a.ko"), (KERNEL, "aarch64", "tools/lime/b.ko"), (KERNEL + "1", "x86_64", None),
        (KERNEL[:-1], "x86_64", None), (KERNEL, "riscv64", None), ("", "x86_64", None),
    ],
)  # fmt: skip
def test_a_module_is_for_one_kernel_and_architecture(kernel: str, architecture: str, key: str | None) -> None:
    found = module_for(parse_module_list(LISTED, origin="list"), probe=Probe(kernel=kernel, architecture=architecture))
    assert (found.key if found else None) == key


def test_without_a_probe_no_module_is_guessed() -> None:
    assert module_for(parse_module_list(LISTED, origin="list"), probe=None) is None


@pytest.mark.parametrize(
    "wrong",
    [b"version: 2\n", LISTED.replace(b"a" * 64, b"a" * 63), LISTED.replace(b"x86_64", b"sparc"), b"[1", LISTED.replace(b"tools/lime/a.ko", b"'a b'")],
)  # fmt: skip
def test_a_list_of_another_form_is_refused_and_named(wrong: bytes) -> None:
    with pytest.raises(ConfigurationError, match="the list"):
        parse_module_list(wrong, origin="the list")
