"""Packs a capture for the repository: compressed files and facts.json with their digests."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import zstandard

from lab.tools.memory.memory_facts import planted

# 2**27 bytes: above the image's size, so the window covers all of it; the reader must allow as much.
WINDOW_LOG = 27
_LEVEL = 19


def digest(path: Path) -> str:
    """SHA-256 of a file as hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def compress(source: Path, *, target: Path) -> None:
    """zstd at level 19 with a window that covers the whole image."""
    parameters = zstandard.ZstdCompressionParameters.from_level(
        _LEVEL, window_log=WINDOW_LOG, enable_ldm=True, write_checksum=True
    )
    with source.open("rb") as plain, target.open("wb") as packed:
        zstandard.ZstdCompressor(compression_params=parameters).copy_stream(plain, packed, size=source.stat().st_size)


def pack(
    *,
    out: Path,
    image: Path,
    implant: Path,
    sources: dict[str, bytes],
    seen: dict[str, Any],
    made_by: dict[str, Any],
) -> None:
    """Write what lab/evidence/shipped/memory holds into the folder `out`; facts.json lists it."""
    out.mkdir(parents=True, exist_ok=True)
    files: dict[str, dict[str, Any]] = {}
    plain = {"memory.lime": image}
    for name in ("btf", "kallsyms"):
        plain[name] = image.with_name(name)
        plain[name].write_bytes(sources[name])
    for name, source in plain.items():
        packed = out / f"{name}.zst"
        compress(source, target=packed)
        files[name] = {
            "packed": packed.name,
            "packed_sha256": digest(packed),
            "packed_bytes": packed.stat().st_size,
            "sha256": digest(source),
            "bytes": source.stat().st_size,
        }
    for name in ("version", "iomem"):
        (out / name).write_bytes(sources[name])
    shutil.copyfile(implant, out / "implant.elf")
    for name in ("version", "iomem", "implant.elf"):
        stored = out / name
        files[name] = {"packed": None, "sha256": digest(stored), "bytes": stored.stat().st_size}
    facts = {
        "schema": "forensics.lab-facts/1",
        "evidence": "memory",
        "host": "ip-10-0-1-23",
        "attacker": "203.0.113.66",
        "made_by": {
            **made_by,
            "program": "python -m lab.tools.memory.make_memory",
            "not_as_in_production": [
                "init_on_free=1: free pages are zero, which keeps the image small",
                "busybox init and services instead of systemd and nginx",
                "dropbear under the name sshd",
            ],
        },
        "kernel_version": sources["version"].decode().strip(),
        "files": files,
        "observed": seen,
        "facts": planted(seen, implant_sha256=files["implant.elf"]["sha256"]),
    }
    (out / "facts.json").write_text(json.dumps(facts, indent=1) + "\n")
