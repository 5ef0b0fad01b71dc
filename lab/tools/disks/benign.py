"""The harmless bulk of an image: what installed Debian packages leave on a disk, and dpkg's records of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from lab.tools.disks.content import elf, gzip_stored, noise


@dataclass(frozen=True)
class BenignFile:
    """One file with its mode bits."""

    path: str
    data: bytes
    mode: int = 0o644


def package_files(packages: list[str], *, built: datetime) -> Iterator[BenignFile]:
    """Files of each `name version [program …]`, then dpkg's own records. ValueError without a version."""
    status, log = [], []
    for index, line in enumerate(packages):
        name, version, *programs = line.split()
        files = list(_files(name, version=version, programs=programs, built=built))
        yield from files
        sums = "".join(
            f"{hashlib.md5(file.data, usedforsecurity=False).hexdigest()}  {file.path.lstrip('/')}\n" for file in files
        )
        listing = "/.\n" + "".join(file.path + "\n" for file in files)
        yield BenignFile(f"/var/lib/dpkg/info/{name}.md5sums", sums.encode())
        yield BenignFile(f"/var/lib/dpkg/info/{name}.list", listing.encode())
        size = sum(len(file.data) for file in files) // 1024
        status.append(
            f"Package: {name}\nStatus: install ok installed\nPriority: optional\nInstalled-Size: {size}\n"
            f"Maintainer: Debian\nArchitecture: amd64\nVersion: {version}\nDescription: {name}\n\n"
        )
        moment = built - timedelta(minutes=10) + timedelta(seconds=2 * index)
        for word in ("unpacked", "half-configured", "installed"):
            log.append(f"{moment:%Y-%m-%d %H:%M:%S} status {word} {name}:amd64 {version}\n")
    if packages:
        yield BenignFile("/var/lib/dpkg/status", "".join(status).encode())
        yield BenignFile("/var/log/dpkg.log", "".join(log).encode())


def _files(name: str, *, version: str, programs: list[str], built: datetime) -> Iterator[BenignFile]:
    seconds = int(built.timestamp())
    notice = f"This package is part of the lab's image: {name} {version}.\nIts programs are placeholders.\n"
    yield BenignFile(f"/usr/share/doc/{name}/copyright", notice.encode())
    changes = f"{name} ({version}) bookworm; urgency=medium\n\n  * Lab build.\n"
    yield BenignFile(f"/usr/share/doc/{name}/changelog.Debian.gz", gzip_stored(changes.encode(), mtime=seconds))
    for program in programs:
        folder = "/usr/sbin" if program.startswith("/") else "/usr/bin"
        program = program.lstrip("/")
        size = 6000 + int.from_bytes(noise(program, size=2), "big") % 40000
        yield BenignFile(
            f"{folder}/{program}", elf(f"{program} {version}", size=size, strings=(program, version)), 0o755
        )
    if name.startswith("lib"):
        data = elf(f"{name} {version}", size=20000, strings=(name,))
        yield BenignFile(f"/usr/lib/x86_64-linux-gnu/{name}.so.0", data)
