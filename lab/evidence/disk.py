"""The shipped disk images: file systems with the traces of an intrusion, and the facts planted in them.

How they were made: `python -m lab.tools.disks.ship`. What is in them: lab/evidence/shipped/disks/*.facts.json.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.evidence import unpacking
from lab.evidence.unpacking import ShippedFileError

SHIPPED = unpacking.SHIPPED / "disks"


@dataclass(frozen=True)
class DiskFiles:
    """An unpacked raw image, and the file that says what was planted in it."""

    image: Path
    facts: Path


def facts(name: str) -> dict[str, Any]:
    """What is known of a shipped image: size, digest, layout, planted facts. ShippedFileError if it is unreadable."""
    file = _facts_file(name)
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise ShippedFileError(f"cannot read {file}: {error}; restore it from the repository") from error


def unpack(name: str, dest: Path) -> DiskFiles:
    """Put a shipped image and its facts into the folder `dest`; an image that is there already and right is left alone.

    ShippedFileError when a shipped file is damaged or missing, OSError when `dest` cannot be written.
    """
    about = facts(name)["image"]
    dest.mkdir(parents=True, exist_ok=True)
    stem = f"{name}-{about['sha256'][:16]}"  # another build is another file: a lab may still use the old one
    image = unpacking.unpack_file(
        SHIPPED / f"{name}.raw.zst", target=dest / f"{stem}.raw", size=about["bytes"], sha256=about["sha256"]
    )
    copy = dest / f"{stem}.facts.json"
    copy.write_bytes(_facts_file(name).read_bytes())
    return DiskFiles(image, copy)


def _facts_file(name: str) -> Path:
    return SHIPPED / f"{name}.facts.json"
