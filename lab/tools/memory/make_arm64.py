"""Make the shipped image of an arm64 host: `python -m lab.tools.memory.make_arm64 [--out DIR]`. Debian, any architecture.

Boots Debian's 6.12 cloud kernel for arm64 with the lab's small system under QEMU's software emulation, plays the intruder's
session over SSH, stops the machine and saves its RAM as LiME. Takes about two minutes and as long again to compress. The image
differs with every run (address space randomisation, timing); the facts come from the guest itself.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from lab.paths import ROOT
from lab.tools.memory import make_memory
from lab.tools.memory.debian import Archive, NoKernelError
from lab.tools.memory.guest_files import build_initramfs
from lab.tools.memory.kernel_image import kernel_file
from lab.tools.memory.lime import system_ram, write_lime
from lab.tools.memory.machines import ARM64
from lab.tools.memory.observed import observe
from lab.tools.memory.pack import compress, digest
from lab.tools.memory.vm import FileServer, Guest, GuestError, Listener

DEFAULT_OUT = ROOT / "lab" / "evidence" / "shipped" / "memory_arm64"
SERIES = "6.12"
# QEMU's `virt` machine has its RAM from here on (hw/arm/virt.c, VIRT_MEM).
RAM = 0x4000_0000
MEMORY_MIB = 96
_SOURCES = {
    "btf": "cat /sys/kernel/btf/vmlinux",
    "kallsyms": "cat /proc/kallsyms",
    "version": "cat /proc/version",
    "iomem": "cat /proc/iomem",
    "modules": "cat /proc/modules",
}
_PACKED = ("memory.lime", "btf", "kallsyms")


def capture(guest: Guest, *, work: Path) -> dict[str, bytes]:
    """Stop the machine, save its RAM as ``memory.lime``, let it run on; what the kernel says about itself, by name."""
    flat = work / "physical.raw"
    guest.qmp("stop")
    guest.qmp("pmemsave", val=RAM, size=guest.memory_mib << 20, filename=str(flat))
    guest.qmp("cont")
    sources = {name: guest.run(command) for name, command in _SOURCES.items()}
    with flat.open("rb") as physical, (work / "memory.lime").open("wb") as out:
        write_lime(physical, ranges=system_ram(sources["iomem"].decode()), out=out, base=RAM)
    flat.unlink()
    return sources


def boot(kernel: str, *, root: Path, work: Path) -> tuple[dict[str, bytes], dict[str, Any]]:
    """One guest from start to end: its sources (the image is ``work/memory.lime``), and what it said of itself."""
    guest = Guest(
        work=work, kernel=kernel_file(root, kernel), initrd=build_initramfs(kernel, root=root, work=work, machine=ARM64),
        key=work / "key", memory_mib=MEMORY_MIB, clock=make_memory.BOOT, machine=ARM64,
        cmdline=make_memory.CMDLINE.format(console=ARM64.console),
    )  # fmt: skip
    listener = Listener()
    listener.start()
    files = FileServer(work / "implant")
    guest.start()
    try:
        guest.wait_for_ssh()
        client = make_memory.play(guest)
        sources = capture(guest, work=work)
        seen = observe(guest, session=(make_memory.HERE / "session.txt").read_text("utf-8").splitlines())
        client.terminate()
    finally:
        guest.stop()
        listener.close()
        files.close()
    return sources, seen


def make(*, out: Path, kernel: str, archive: Archive, work: Path) -> None:
    """Everything, into ``out``."""
    root = make_memory.unpack_packages(kernel, work=work, archive=archive, machine=ARM64)
    make_memory.make_key(work / "key")
    shutil.copyfile(make_memory.HERE / "implant.sh", work / "implant")
    sources, seen = boot(kernel, root=root, work=work)
    write(out, sources, seen, kernel=kernel, work=work)


def write(out: Path, sources: dict[str, bytes], seen: dict[str, Any], *, kernel: str, work: Path) -> None:
    """The folder: image, BTF and symbols packed, the rest as it is, ``facts.json`` with sizes and digests."""
    out.mkdir(parents=True, exist_ok=True)
    files = {}
    for name in ("memory.lime", *_SOURCES):
        source = work / name
        if name in sources:
            source.write_bytes(sources[name])
        stored = out / (f"{name}.zst" if name in _PACKED else name)
        if name in _PACKED:
            compress(source, target=stored)
        else:
            shutil.copyfile(source, stored)
        files[name] = {
            "packed": stored.name if name in _PACKED else None, "packed_sha256": digest(stored),
            "sha256": digest(source), "bytes": source.stat().st_size,
        }  # fmt: skip
    facts = {
        "schema": "forensics.lab-facts/1", "evidence": "memory", "architecture": ARM64.uname, "host": "ip-10-0-1-23",
        "made_by": {
            "program": "python -m lab.tools.memory.make_arm64", "kernel": kernel, "memory_mib": MEMORY_MIB, "boot": make_memory.BOOT + "Z",
            "board": list(ARM64.board), "cmdline": make_memory.CMDLINE.format(console=ARM64.console),
        },
        "kernel_version": sources["version"].decode().strip(), "files": files, "observed": seen,
    }  # fmt: skip
    (out / "facts.json").write_text(json.dumps(facts, indent=1) + "\n", "utf-8")


def main() -> int:
    """Command line; exit status 2 when this machine lacks something, 1 when it did not work."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help="where to put the files (%(default)s)")
    parser.add_argument("--kernel", default=SERIES, help="series or release of Debian's cloud kernels (%(default)s)")
    given = parser.parse_args()
    if lacks := make_memory.missing_tools(ARM64):
        print("This machine lacks:\n  " + "\n  ".join(lacks), file=sys.stderr)
        return 2
    archive = Archive(ROOT / ".lab" / "cache" / "debian-arm64", ARM64.debian)
    try:
        with tempfile.TemporaryDirectory() as folder:
            make(out=given.out, kernel=archive.kernel(given.kernel), archive=archive, work=Path(folder))
    except (GuestError, NoKernelError, OSError) as error:
        print(f"memory image not made: {error}", file=sys.stderr)
        return 1
    print(json.dumps({"out": str(given.out)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
