"""File systems read by dissect in a separate program, asked over a pipe (:mod:`.dissect_runner`)."""

from __future__ import annotations

import contextlib
import json
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from forensic_toolkit.errors import EvidenceError
from forensic_toolkit.filesystems.entries import Entry, Partition, Subvolume, Times
from forensic_toolkit.sandbox import subprograms

MEMORY = 4 << 30
# Pure Python: about ten thousand inodes per second.
SECONDS = 900.0
_KINDS = {
    stat.S_IFREG: "REG",
    stat.S_IFDIR: "DIR",
    stat.S_IFLNK: "LNK",
    stat.S_IFCHR: "CHR",
    stat.S_IFBLK: "BLK",
    stat.S_IFIFO: "FIFO",
    stat.S_IFSOCK: "SOCK",
}


class DissectFileSystem:
    """As :class:`forensic_toolkit.filesystems.entries.FileSystem`. Raises EvidenceError when dissect cannot read it."""

    root_inode = 0

    def __init__(self, partition: Partition, *, seconds: float = SECONDS) -> None:
        self.partition = partition
        self.current = True
        self.block_size = 4096
        self.problems: list[str] = []
        self._deadline = time.monotonic() + seconds
        self._folder = tempfile.TemporaryDirectory(prefix="dissect-")
        volumes = Path(self._folder.name) / "volumes.json"
        contents = [one.described() for one in (partition.contents(), *partition.more)]
        volumes.write_text(json.dumps(contents), encoding="ascii")
        argv = [sys.executable, "-m", "forensic_toolkit.filesystems.dissect_runner", str(volumes)]
        self._program = subprograms.start_pipe_protocol(argv, folder=Path(self._folder.name), memory_bytes=MEMORY)
        greeting = self._line()
        if "error" in greeting:
            self.close()
            raise EvidenceError(str(greeting["error"]))
        self.kind = str(greeting["kind"]).upper()
        self.subvolumes = [Subvolume(**one) for one in greeting.get("subvolumes", ())]

    def close(self) -> None:
        """Stop the program."""
        self._program.end()
        self._folder.cleanup()

    def walk(self) -> Iterator[Entry]:
        """All names. If the program dies or takes too long, the names up to then are kept and a problem is noted."""
        try:
            self._program.send(b'{"walk": true}\n')
            while isinstance(row := self._line(), list):
                yield self._entry(row)
            self.problems.extend(map(str, row["problems"]))
        except EvidenceError as error:
            self.problems.append(f"the walk ended early: {error}")

    def _entry(self, row: list[Any]) -> Entry:
        path, inode, mode, uid, gid, size, modified, accessed, changed, born, deleted = row
        return Entry(
            path=path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"),
            inode=inode,
            kind=_KINDS.get(stat.S_IFMT(mode), "?"),
            mode=mode,
            uid=uid,
            gid=gid,
            size=size,
            times=Times(modified, accessed, changed, born),
            deleted=bool(deleted),
            reused=bool(deleted),
            filesystem=self,
        )

    def read(self, inode: int, *, limit: int, offset: int = 0) -> bytes:
        """Content by inode. A file that cannot be read gives no bytes and is noted as a problem."""
        request = {"read": inode, "offset": offset, "limit": limit}
        try:
            self._program.send(json.dumps(request).encode("ascii") + b"\n")
            answer = self._line()
            data = self._program.receive(int(answer["bytes"]), deadline=self._deadline)
        except EvidenceError as error:
            self.problems.append(f"inode {inode}: {error}")
            return b""
        if answer["error"]:
            self.problems.append(f"inode {inode}: {answer['error']}")
        return data

    def _line(self) -> Any:
        line = self._program.line(deadline=self._deadline)
        with contextlib.suppress(ValueError):
            return json.loads(line)
        raise EvidenceError(f"unexpected answer from the reader of this file system: {line[:80]!r}")
