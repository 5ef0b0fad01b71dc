"""A separate program: dissect's ``target-query`` with one repair, and the same arguments.

In dissect.target 3.25.1 (and its development version of 2026) an entry of btrfs looks a name up below itself by the whole path, so that nothing
deeper than the root folder is found. dissect is AGPL: this module is run, never imported.
"""

from __future__ import annotations

import sys
from typing import Any


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
    return int(query() or 0)


if __name__ == "__main__":
    sys.exit(main())
