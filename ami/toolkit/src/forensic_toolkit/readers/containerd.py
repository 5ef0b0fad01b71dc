"""containerd's records: ``meta.db`` with containers, images and snapshots, and the snapshotter's ``metadata.db`` beside it.

Source: containerd, ``metadata/buckets.go`` and ``snapshots/storage/bolt.go``: values are text, Go's binary times, protobuf's
``Any`` around the OCI specification as JSON, and unsigned varints.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from forensic_toolkit.filesystems.entries import Entry
from forensic_toolkit.filesystems.tree import Tree
from forensic_toolkit.readers import bolt
from forensic_toolkit.readers.bolt import Bucket

MAX_DATABASE = 256 << 20
_YEAR_ONE = 62_135_596_800  # seconds from the year 1, Go's epoch, to 1970
_MAX_LAYERS = 256


@dataclass(frozen=True, slots=True)
class Record:
    """One container; ``layer`` is the folder of its own snapshot, ``image_layers`` are those below it."""

    namespace: str
    id: str
    image: str
    digest: str
    created: datetime | None
    labels: dict[str, str]
    spec: dict[str, Any]
    layer: str
    image_layers: tuple[str, ...]


def records(entry: Entry, *, tree: Tree) -> Iterator[Record]:
    """The containers of every namespace. Raises ``ValueError`` for a database that cannot be read."""
    known = bolt.below(bolt.read(entry.read(limit=MAX_DATABASE)), "v1")
    root = entry.folder.rsplit("/", 1)[0]
    for raw in known:
        namespace = raw.decode("utf-8", "replace")
        for name, content in bolt.below(known, namespace, "containers").items():
            if isinstance(content, dict):
                yield _record(
                    name.decode("utf-8", "replace"), content, known=known, namespace=namespace, root=root, tree=tree
                )


def _record(name: str, content: Bucket, *, known: Bucket, namespace: str, root: str, tree: Tree) -> Record:
    image = bolt.text(content, "image")
    snapshotter = bolt.text(content, "snapshotter") or "overlayfs"
    key = bolt.text(known, namespace, "snapshots", snapshotter, bolt.text(content, "snapshotKey"), "name")
    layers = tuple(_layers(f"{root}/io.containerd.snapshotter.v1.{snapshotter}", key, tree=tree))
    return Record(
        namespace,
        name,
        image,
        bolt.text(known, namespace, "images", image, "target", "digest"),
        go_time(bolt.value(content, "createdat")),
        {
            key.decode("utf-8", "replace"): value.decode("utf-8", "replace")
            for key, value in bolt.below(content, "labels").items()
            if isinstance(value, bytes)
        },
        specification(bolt.value(content, "spec")),
        layers[0] if layers else "",
        layers[1:],
    )


def _layers(folder: str, key: str, *, tree: Tree) -> Iterator[str]:
    """The folders of a snapshot and of those below it."""
    snapshots = _snapshots(f"{folder}/metadata.db", tree)
    for _ in range(_MAX_LAYERS):
        found = snapshots.get(key)
        if found is None:
            return
        yield f"{folder}/snapshots/{found[0]}"
        key = found[1]


@lru_cache(maxsize=8)
def _snapshots(path: str, tree: Tree) -> dict[str, tuple[int, str]]:
    """Number and parent of every snapshot by its key; none when the database is not there."""
    entry = tree.get(path)
    if entry is None:
        return {}
    found = bolt.below(bolt.read(entry.read(limit=MAX_DATABASE)), "v1", "snapshots")
    return {
        key.decode("utf-8", "replace"): (_varint(bolt.value(content, "id")), bolt.text(content, "parent"))
        for key, content in found.items()
        if isinstance(content, dict)
    }


def _varint(data: object) -> int:
    number = 0
    for place, byte in enumerate(data if isinstance(data, bytes) else b""):
        number |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            break
    return number


def go_time(data: object) -> datetime | None:
    """A time as Go writes it in binary: version, seconds since the year 1, nanoseconds, offset in minutes."""
    if not isinstance(data, bytes) or len(data) < 13 or data[0] not in (1, 2):
        return None
    seconds = int.from_bytes(data[1:9], "big") - _YEAR_ONE
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return moment + timedelta(microseconds=int.from_bytes(data[9:13], "big") // 1000)


def specification(data: object) -> dict[str, Any]:
    """The OCI specification in protobuf's ``Any``: field 2 holds it as JSON; empty when there is none."""
    rest = data if isinstance(data, bytes) else b""
    start = rest.find(b"{")
    if start < 0:
        return {}
    loaded, _ = json.JSONDecoder().raw_decode(rest[start:].decode("utf-8", "replace"))
    return loaded if isinstance(loaded, dict) else {}
