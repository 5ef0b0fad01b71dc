"""Modules for a guest's kernel: which packages, which programs are helped to run, what is said where one cannot be made."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from lab.tools.memory import module_build
from lab.tools.memory.machines import AMD64, ARM64
from lab.tools.memory.module_build import Builder, ModuleError, builder, header_packages, lacking_compiler

# As apt-cache shows them: Debian 13's linux-headers-6.12.118+deb13-cloud-arm64 and Debian 12's linux-headers-6.1.0-57-cloud-arm64.
TRIXIE = (
    "linux-base (>= 4.12~), linux-headers-6.12.118+deb13-common (= 6.12.118-1), linux-image-6.12.118+deb13-cloud-arm64 (= 6.12.118-1)"
    " | linux-image-6.12.118+deb13-cloud-arm64-unsigned (= 6.12.118-1), linux-kbuild-6.12.118+deb13, gcc-14"
)
BOOKWORM = "linux-headers-6.1.0-57-common (= 6.1.192-3), linux-kbuild-6.1 (>= 6.1.192-3), gcc-12"


@pytest.mark.parametrize(
    ("depends", "kernel", "common", "kbuild"),
    [
        (TRIXIE, "6.12.118+deb13-cloud-arm64", "linux-headers-6.12.118+deb13-common", "linux-kbuild-6.12.118+deb13"),
        (BOOKWORM, "6.1.0-57-cloud-arm64", "linux-headers-6.1.0-57-common", "linux-kbuild-6.1"),
    ],
)
def test_the_packages_of_a_kernels_headers_are_those_that_it_names(
    depends: str, kernel: str, common: str, kbuild: str
) -> None:
    assert header_packages(depends, kernel) == (f"linux-headers-{kernel}", common, kbuild)
    with pytest.raises(ModuleError, match=r"names no common headers and no kbuild package: 'gcc-14'"):
        header_packages("gcc-14", kernel)


def test_a_kernel_without_headers_and_without_an_archive_names_the_package(tmp_path: Path) -> None:
    with pytest.raises(ModuleError, match=r"apt-get install linux-headers-5\.0\.0-none"):
        builder("5.0.0-none", machine=AMD64, archive=None, host=None, work=tmp_path)


def test_the_compiler_that_is_missing_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert lacking_compiler(ARM64) == [
        "aarch64-linux-gnu-gcc: apt-get install gcc-aarch64-linux-gnu", "make: apt-get install make",
    ]  # fmt: skip
    assert lacking_compiler(AMD64)[0] == "gcc: apt-get install gcc"


def test_make_that_fails_ends_with_its_last_words(tmp_path: Path) -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not on this machine")
    source, into = tmp_path / "source", tmp_path / "into"
    for folder in (source, into, tmp_path / "headers"):
        folder.mkdir()
    (tmp_path / "headers/Makefile").write_text("modules:\n\t@echo no such header >&2; exit 1\n")
    with pytest.raises(ModuleError, match="no module for headers: no such header"):
        Builder(tmp_path / "headers", AMD64).build(source, into=into)


def test_a_program_that_cannot_run_here_is_started_with_the_newest_c_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """/bin/true stands for Debian's modpost, which starts ``modpost.real-lsb-64``; the machine's own library for the newest one."""
    kbuild = tmp_path / "kbuild"
    kbuild.mkdir()
    for name in ("modpost", "modpost.real-lsb-64", "fixdep"):
        shutil.copy("/bin/true", kbuild / name)
    (kbuild / "script.sh").write_text("#!/bin/sh\n")
    monkeypatch.setattr(module_build, "_runs", lambda program: program.name != "modpost.real-lsb-64")

    class Host:
        def download(self, packages: list[str], *, into: Path) -> None:
            assert packages[0] == "libc6/sid"

    libraries = tmp_path / "runtime" / module_build.LIBRARIES
    libraries.mkdir(parents=True)
    loader = Path("/") / AMD64.loader
    if not loader.exists():
        pytest.skip(f"{loader} is not on this machine")
    (libraries / loader.name).symlink_to(loader)
    module_build._make_runnable(kbuild, host=Host(), work=tmp_path)  # type: ignore[arg-type]
    assert "--library-path" in (kbuild / "modpost").read_text()
    assert (kbuild / "modpost.elf").read_bytes()[:4] == (kbuild / "fixdep").read_bytes()[:4] == b"\x7fELF"
    # the loader finds this machine's C library by its own cache
    subprocess.run([str(kbuild / "modpost")], check=True)
