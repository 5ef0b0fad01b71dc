"""A separate program: dissect's ``target-query`` with one repair, and the same arguments.

A target whose name ends in ``.storage.json`` is the description of a storage (``Storage.described``): a volume that another program decrypts.

In dissect.target 3.25.1 (and its development version of 2026) an entry of btrfs looks a name up below itself by the whole path, so that nothing
deeper than the root folder is found. dissect is AGPL: this module is run, never imported.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

DESCRIBED = ".storage.json"


def main() -> int:
    """Repair the look-up and run ``target-query``."""
    from dissect.target.filesystems import btrfs
    from dissect.target.helpers import fsutil
    from dissect.target.tools.query import main as query

    entry = btrfs.BtrfsFilesystemEntry

    def get(self: Any, path: str) -> Any:
        joined = fsutil.join(self.path, path, alt_separator=self.fs.alt_separator)
        return entry(self.fs, joined, self.fs._get_node(path, self.entry))

    entry.get = get
    _read_descriptions()
    return int(query() or 0)


def _read_descriptions() -> None:
    from dissect.target import container
    from dissect.target.containers.raw import RawContainer

    from forensic_toolkit.filesystems.dissect_runner import Volume
    from forensic_toolkit.filesystems.storage import opened

    class Described(RawContainer):
        __type__ = "described"

        def __init__(self, path: Path, *args: Any, **more: Any) -> None:
            super().__init__(Volume(opened(json.loads(path.read_text("ascii")))), *args, **more)

        @staticmethod
        def detect_path(path: Path, _: Any) -> bool:
            return path.name.endswith(DESCRIBED)

        @staticmethod
        def detect_fh(_file: Any, _: Any) -> bool:
            return False

    container.CONTAINERS.insert(0, Described)


if __name__ == "__main__":
    sys.exit(main())
