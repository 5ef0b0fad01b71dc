"""The shipped memory images: real Linux memory with a hidden implant, and what a symbol table is made of.

How they were made: lab/tools/memory/make_memory.py, make_arm64.py. What is in them: lab/evidence/shipped/memory*/facts.json.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.evidence import unpacking
from lab.evidence.unpacking import ShippedFileError

SHIPPED = unpacking.SHIPPED / "memory"
SHIPPED_ARM64 = unpacking.SHIPPED / "memory_arm64"
FACTS = SHIPPED / "facts.json"


@dataclass(frozen=True)
class MemoryFiles:
    """Unpacked files: LiME image, the kernel's BTF, kallsyms, /proc/version, /proc/iomem, and the facts."""

    memory: Path
    btf: Path
    kallsyms: Path
    version: Path
    iomem: Path
    facts: Path


def facts(shipped: Path | None = None) -> dict[str, Any]:
    """facts.json: files with digests, and the planted facts. ShippedFileError if it is unreadable."""
    path = FACTS if shipped is None else shipped / FACTS.name
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise ShippedFileError(f"cannot read {path}: {error}; restore it from the repository") from error


def unpack(dest: Path, *, shipped: Path | None = None) -> MemoryFiles:
    """Put everything into the folder `dest` and return the paths; 105 MiB (`SHIPPED_ARM64` as much), sparse. Takes about a second.

    Every file is checked against facts.json; one that is there already and right is left alone.
    ShippedFileError when a shipped file is damaged, OSError when `dest` cannot be written.
    """
    listed, source_folder = facts(shipped)["files"], shipped or SHIPPED
    dest.mkdir(parents=True, exist_ok=True)

    def unpacked(name: str) -> Path:
        entry = listed[name]
        source = source_folder / (entry["packed"] or name)
        return unpacking.unpack_file(source, target=dest / name, size=entry["bytes"], sha256=entry["sha256"])

    copy = dest / "facts.json"
    copy.write_bytes((FACTS if shipped is None else shipped / FACTS.name).read_bytes())
    return MemoryFiles(
        memory=unpacked("memory.lime"),
        btf=unpacked("btf"),
        kallsyms=unpacked("kallsyms"),
        version=unpacked("version"),
        iomem=unpacked("iomem"),
        facts=copy,
    )
