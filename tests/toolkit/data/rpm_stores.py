"""Makes ``rpm-stores.tar.xz``: the one package of ``rpmdb.sqlite.xz`` in the stores of older RPMs, written by Berkeley DB's own tool.

Needs ``db5.3_load`` (Debian: db5.3-util). Run from the repository's root: ``python -m tests.toolkit.data.rpm_stores``.
"""

from __future__ import annotations

import io
import lzma
import sqlite3
import subprocess
import tarfile
import tempfile
from pathlib import Path

HERE = Path(__file__).parent


def header() -> bytes:
    """The package's header as rpm 4.18 wrote it."""
    with tempfile.NamedTemporaryFile(suffix=".sqlite") as file:
        file.write(lzma.decompress((HERE / "rpmdb.sqlite.xz").read_bytes()))
        file.flush()
        return bytes(sqlite3.connect(file.name).execute("SELECT blob FROM Packages").fetchone()[0])


def number(value: int) -> bytes:
    """A number as rpm writes it on x86-64."""
    return value.to_bytes(4, "little")


def loaded(kind: str, pairs: list[tuple[bytes, bytes]], folder: Path) -> bytes:
    """A database of some pairs."""
    lines = ["VERSION=3", "format=bytevalue", f"type={kind}", "db_pagesize=4096", "HEADER=END"]
    lines += [f" {part.hex()}" for pair in pairs for part in pair]
    (folder / "dump").write_text("\n".join([*lines, "DATA=END", ""]))
    subprocess.run(["db5.3_load", "-f", str(folder / "dump"), str(folder / "made")], check=True)
    data = (folder / "made").read_bytes()
    (folder / "made").unlink()
    return data


def main() -> None:
    """Write the archive."""
    one = header()
    second = one.replace(b"sample", b"second")
    # longer than a page: it goes over several overflow pages
    padded = second + bytes(9_000)
    stores = {
        "Packages": ("hash", [(number(0), number(2)), (number(1), one), (number(2), padded)]),
        "Basenames": ("btree", [(b"sample", number(1) + number(0)), (b"sample.conf", number(1) + number(1)), (b"tool", number(2) + number(0))]),
        "Dirnames": ("btree", [(b"/etc/", number(1) + number(1)), (b"/opt/", number(2) + number(0)), (b"/usr/bin/", number(1) + number(0))]),
    }  # fmt: skip
    buffer = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder, tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, (kind, pairs) in stores.items():
            data = loaded(kind, pairs, Path(folder))
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    (HERE / "rpm-stores.tar.xz").write_bytes(lzma.compress(buffer.getvalue(), preset=9))


if __name__ == "__main__":
    main()
