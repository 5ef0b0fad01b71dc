"""Kernel modules of an unpacked package, with what they depend on, in the order in which they are loaded.

A package has no modules.dep (depmod makes it at the installation), so each module's own ``depends=`` is read (Linux,
Documentation/kbuild/modules.rst; modinfo(8)). What is no module is part of the kernel. Debian packs modules since release 13.
"""

from __future__ import annotations

import lzma
import re
from pathlib import Path

_DEPENDS = re.compile(rb"\0depends=([^\0]*)\0")


def modules_folder(root: Path, kernel: str) -> Path:
    """Where an unpacked package has its modules: below /lib, or below /usr/lib where that is one folder."""
    places = [root / prefix / "modules" / kernel for prefix in ("lib", "usr/lib")]
    return next((place for place in places if place.is_dir()), places[0])


def with_dependencies(wanted: tuple[str, ...], *, folder: Path) -> dict[str, bytes]:
    """Names and unpacked contents of ``wanted`` and everything they need, each after what it needs."""
    files = {file.name.split(".")[0].replace("-", "_"): file for file in folder.rglob("*.ko*")}
    ordered: dict[str, bytes] = {}

    def add(name: str, above: tuple[str, ...]) -> None:
        if name in ordered or name in above or name not in files:
            return
        content = files[name].read_bytes()
        if files[name].suffix == ".xz":
            content = lzma.decompress(content)
        found = _DEPENDS.search(content)
        for needed in found.group(1).decode("ascii").split(",") if found else ():
            add(needed.replace("-", "_"), (*above, name))
        ordered[name] = content

    for name in wanted:
        add(name, ())
    return ordered
