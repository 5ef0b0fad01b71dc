"""Compile a module for a guest's kernel: with this machine's headers of it, else with Debian's packages, unpacked and not installed.

The packages are made for Debian's own machines: paths begin at /usr/src, and their programs may need a newer C library than this
machine has. Both are put right in the unpacked copy. Sources: Debian's linux-headers packages (``.kernelvariables``), Linux,
Documentation/kbuild/modules.rst.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from lab.tools.memory.debian import Archive
from lab.tools.memory.machines import AMD64, Machine

NEWEST = "sid"
# Of the newest release, for programs of the packages: the C library, and what objtool and modpost are linked with.
RUNTIME = ("libc6", "libelf1t64", "zlib1g", "libzstd1")
LIBRARIES = Path("usr/lib/x86_64-linux-gnu")
# Options of a newer compiler than this machine's, and what needs the kernel's own debug information: neither changes the module.
LEFT_OUT = ("CONFIG_CC_HAS_MIN_FUNCTION_ALIGNMENT=", "CONFIG_DEBUG_INFO_BTF_MODULES=")
_ENDED = 4000


class ModuleError(RuntimeError):
    """The module could not be made; the message says why."""


@dataclass(frozen=True)
class Builder:
    """What modules of one kernel are made with: its headers (a folder for ``make -C``), and the machine it is for."""

    headers: Path
    machine: Machine

    def build(self, source: Path, *, into: Path) -> Path:
        """Compile the module whose sources and Kbuild lie in ``source``; returns the ``.ko``. Raises ModuleError with make's last words."""
        folder = into / source.name
        shutil.copytree(source, folder)
        prefix = compiler_prefix(self.machine)
        cross = [f"ARCH={self.machine.debian}", f"CROSS_COMPILE={prefix}"] if self.machine.foreign else []
        command = [
            "make",
            "-s",
            "-C",
            str(self.headers),
            f"M={folder}",
            f"CC={prefix}gcc",
            *cross,
            *LEFT_OUT,
            "modules",
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        made = sorted(folder.glob("*.ko"))
        if done.returncode or not made:
            raise ModuleError(f"no module for {self.headers.name}: {(done.stderr or done.stdout)[-_ENDED:]}")
        subprocess.run([f"{prefix}strip", "--strip-debug", str(made[0])], check=True)
        return made[0]


def compiler_prefix(machine: Machine) -> str:
    """``aarch64-linux-gnu-`` for a foreign machine, nothing for this one's."""
    return f"{machine.triplet}-" if machine.foreign else ""


def lacking_compiler(machine: Machine) -> list[str]:
    """What this machine lacks to compile for ``machine``, with the package that brings it."""
    programs = {
        f"{compiler_prefix(machine)}gcc": f"gcc-{machine.triplet}" if machine.foreign else "gcc",
        "make": "make",
    }
    return [f"{name}: apt-get install {package}" for name, package in programs.items() if shutil.which(name) is None]


def builder(kernel: str, *, machine: Machine, archive: Archive | None, host: Archive | None, work: Path) -> Builder:
    """A builder for ``kernel``; ``archive`` has its headers, ``host`` the programs that make modules. Raises ModuleError, NoKernelError."""
    installed = Path(f"/lib/modules/{kernel}/build")
    if not machine.foreign and installed.exists():
        return Builder(installed, machine)
    archive = archive or (None if machine.foreign else host)
    if archive is None or host is None:
        raise ModuleError(f"the headers of kernel {kernel} are missing: apt-get install linux-headers-{kernel}")
    packages, root = work / "headers-packages", work / "headers"
    packages.mkdir()
    own, common, programs = header_packages(archive.depends(f"linux-headers-{kernel}"), kernel)
    archive.download([own, common], into=packages)
    host.download([programs], into=packages)
    _unpack(packages, root=root)
    headers = root / f"usr/src/{own}"
    makefile = headers / "Makefile"
    makefile.write_text(makefile.read_text("utf-8").replace("/usr/src/", f"{root}/usr/src/"), "utf-8")
    _make_runnable(root / f"usr/lib/{programs}", host=host, work=work)
    return Builder(headers, machine)


def header_packages(depends: str, kernel: str) -> tuple[str, str, str]:
    """The package of a kernel's headers, and those of its common headers and programs that it names. Raises ModuleError."""
    common, programs = re.search(r"linux-headers-\S+-common\b", depends), re.search(r"linux-kbuild-[^\s,(]+", depends)
    if common is None or programs is None:
        raise ModuleError(f"linux-headers-{kernel} names no common headers and no kbuild package: {depends!r}")
    return f"linux-headers-{kernel}", common[0], programs[0]


def _unpack(packages: Path, *, root: Path) -> None:
    for package in sorted(packages.glob("*.deb")):
        subprocess.run(["dpkg-deb", "-x", str(package), str(root)], check=True)


def _make_runnable(kbuild: Path, *, host: Archive, work: Path) -> None:
    """Programs that this machine's C library is too old for are started with that of the newest release."""
    old = [program for program in _programs(kbuild) if not _runs(_real(program))]
    if not old:
        return
    packages, root = work / "runtime-packages", work / "runtime"
    packages.mkdir()
    host.download([f"{name}/{NEWEST}" for name in RUNTIME], into=packages)
    _unpack(packages, root=root)
    folder = root / LIBRARIES
    for program in old:
        kept = program.with_name(f"{program.name}.elf")
        real = _real(program)
        program.rename(kept)
        start = (
            f"{folder / AMD64.loader.rpartition('/')[2]} --library-path {folder} {kept if real == program else real}"
        )
        program.write_text(f'#!/bin/sh\nexec {start} "$@"\n', "utf-8")
        program.chmod(0o755)


def _real(program: Path) -> Path:
    """The program that Debian's own starter of this name chooses: for modpost by the object's class, for objtool by its machine."""
    kinds = (program.with_name(f"{program.name}.real-{kind}") for kind in ("lsb-64", "x86"))
    return next((kind for kind in kinds if kind.exists()), program)


def _programs(kbuild: Path) -> list[Path]:
    found = []
    for path in sorted(kbuild.rglob("*")):
        if path.is_file() and not path.is_symlink() and ".real-" not in path.name:
            with path.open("rb") as file:
                if file.read(4) == b"\x7fELF":
                    found.append(path)
    return found


def _runs(program: Path) -> bool:
    """Whether the loader finds every version of every library (``ldd``; it says ``not found`` where it does not)."""
    listed = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=False)
    return "not found" not in listed.stdout + listed.stderr
