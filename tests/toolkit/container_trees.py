"""Trees with the records of real runtimes: containerd 1.6.20 and dockerd 20.10.24 of Debian 12 (data/containers/make.sh)."""

from __future__ import annotations

import io
import lzma
import tarfile
from pathlib import Path
from typing import Any

from forensic_toolkit.filesystems.entries import Entry, Times
from forensic_toolkit.filesystems.tree import Tree
from tests.toolkit.fake_tree import LATER, Builder, Contents, ns

DATA = Path(__file__).parent / "data" / "containers"
CONTAINERD = "/var/lib/containerd"
SNAPSHOTS = f"{CONTAINERD}/io.containerd.snapshotter.v1.overlayfs"


def containerd(builder: Builder | None = None) -> Builder:
    """containerd's two databases; the snapshots of web, helper and miner are 3, 4 and 5, those of the image 2 and 1."""
    builder = builder or Builder()
    builder.add(f"{CONTAINERD}/io.containerd.metadata.v1.bolt/meta.db", database("meta.db"))
    return builder.add(f"{SNAPSHOTS}/metadata.db", database("metadata.db"))


def database(name: str) -> bytes:
    """A database of containerd's."""
    return lzma.decompress((DATA / f"{name}.xz").read_bytes())


def docker(**changed: bytes) -> Tree:
    """Docker's folder, with folders and links; ``changed`` gives files of that name another content."""
    contents, entries = Contents(), []
    with tarfile.open(fileobj=io.BytesIO(lzma.decompress((DATA / "docker.tar.xz").read_bytes()))) as archive:
        for number, item in enumerate(archive, start=10):
            kind = "DIR" if item.isdir() else "LNK" if item.issym() else "REG"
            body = item.linkname.encode() if item.issym() else b""
            if item.isfile():
                body = (archive.extractfile(item) or io.BytesIO()).read()
            body = changed.get(item.name.rsplit("/", 1)[-1].replace(".", "_"), body)
            contents.by_inode[number] = body
            moments = Times(ns(LATER), ns(LATER), ns(LATER), ns(LATER))
            where: Any = contents
            path = "/" + item.name
            entries.append(Entry(path, number, kind, item.mode, 0, 0, len(body), moments, False, filesystem=where))
    return Tree(entries)
