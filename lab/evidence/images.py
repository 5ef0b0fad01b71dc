"""Where the lab's instances get their disks and memory from: the shipped images, unpacked once into a cache."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path

from lab.evidence import disk, memory
from lab.evidence.disk import DiskFiles
from lab.paths import ROOT


@dataclass(frozen=True)
class Images:
    """The images of disks and memory; tests bring smaller ones by overriding both methods."""

    cache: Path

    def disk(self, name: str) -> DiskFiles:
        """Return a raw disk image by name ("web-server", "tiny") and its facts. Raises ShippedFileError."""
        return disk.unpack(name, self.cache)

    def memory(self) -> dict[str, str]:
        """Return the paths of memory image, BTF, kallsyms, version, iomem and facts. Raises ShippedFileError."""
        return {name: str(path) for name, path in asdict(memory.unpack(self.cache / "memory-web-server")).items()}


def image_cache(state: Path) -> Path:
    """Where images are kept: LAB_CACHE, else ``cache`` beside the state directory, else in the project's ``.lab``."""
    if given := os.environ.get("LAB_CACHE"):
        return Path(given)
    return ROOT / ".lab" / "cache" if state.resolve().is_relative_to(ROOT) else state.resolve().parent / "cache"
