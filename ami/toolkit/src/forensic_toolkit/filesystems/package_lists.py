"""What packages own, and the digests they give: dpkg's lists and status, and RPM's databases (SQLite, Berkeley DB, ndb).

Sources: deb-md5sums(5); dpkg's status file (field Conffiles: path, MD5 of what the package brought, "obsolete"); rpm's header format (lead-less index of tag, type, offset, count, then the store).
"""

from __future__ import annotations

import re
import sqlite3
import struct
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from forensic_toolkit.filesystems import rpm_stores
from forensic_toolkit.filesystems.entries import Entry

RPM_SQLITE = ("/var/lib/rpm/rpmdb.sqlite", "/usr/lib/sysimage/rpm/rpmdb.sqlite")
RPM_OLDER = ("/var/lib/rpm/Packages", "/var/lib/rpm/Packages.db", "/usr/lib/sysimage/rpm/Packages.db")
MAX_DATABASE = 512 << 20
MAX_STATUS = 64 << 20
# The indexes that rpm keeps beside Packages in a Berkeley DB.
RPM_INDEXES = ("/var/lib/rpm/Basenames", "/var/lib/rpm/Dirnames")
SECONDS = 60.0
_DPKG_LISTS = re.compile(r"/var/lib/dpkg/info/[^/]+\.(list|conffiles)")
_DPKG_DIGESTS = re.compile(r"/var/lib/dpkg/info/[^/]+\.md5sums")
_DPKG_STATUS = re.compile(r"/var/lib/dpkg/status(\.d/[^/]+)?")
_CONFIGURATION = re.compile(r"^ (/\S.*?) ([0-9a-f]{32})(?: obsolete| remove-on-upgrade)*$", re.MULTILINE)
_MD5_LINE = re.compile(r"([0-9a-f]{32})  (\S.*)")
_DIGESTS, _MODES, _FLAGS, _FOLDER_NUMBERS, _NAMES, _FOLDERS, _ALGORITHM = 1035, 1030, 1037, 1116, 1117, 1118, 5011
_INT16, _INT32, _STRING, _STRINGS = 3, 4, 6, 8
# RPMFILE_CONFIG: people change it; RPMFILE_GHOST: its content does not come from the package.
_CONFIG, _GHOST = 1, 64
_ALGORITHMS = {1: "md5", 2: "sha1", 8: "sha256", 9: "sha384", 10: "sha512"}


@dataclass(slots=True)
class PackageLists:
    """Paths owned by packages; (algorithm, digest) of files whose content comes from a package, and of configuration files as they came
    (people change them); problems while reading."""

    owned: set[str] = field(default_factory=set)
    digests: dict[str, tuple[str, str]] = field(default_factory=dict)
    configurations: dict[str, tuple[str, str]] = field(default_factory=dict)
    packages: int = 0
    problems: list[str] = field(default_factory=list)


def read(entries: Iterable[Entry], *, get: Callable[[str], Entry | None], merged: Callable[[str], str]) -> PackageLists:
    """Read every list; ``get`` finds an entry, ``merged`` maps a path to its place after the merge of /bin into /usr."""
    found = PackageLists()
    for entry in entries:
        if not entry.is_file:
            continue
        if _DPKG_LISTS.fullmatch(entry.path):
            found.owned.update(map(merged, entry.read().decode("utf-8", "replace").splitlines()))
            found.packages += entry.path.endswith(".list")
        elif _DPKG_STATUS.fullmatch(entry.path):
            for path, digest in _CONFIGURATION.findall(entry.read(limit=MAX_STATUS).decode("utf-8", "replace")):
                found.configurations[merged(path)] = ("md5", digest)
                found.owned.add(merged(path))
        elif _DPKG_DIGESTS.fullmatch(entry.path):
            for match in map(_MD5_LINE.fullmatch, entry.read().decode("utf-8", "replace").splitlines()):
                if match:
                    found.digests[merged(f"/{match[2]}")] = ("md5", match[1])
    databases = list(filter(None, map(get, RPM_SQLITE)))
    older = list(filter(None, map(get, RPM_OLDER)))
    names, folders = map(get, RPM_INDEXES)
    for database in databases[:1]:
        _rpm(database, _blobs(database, get(f"{database.path}-wal")), found=found, merged=merged)
    for database in older[: not databases]:
        _rpm(database, _older(database), found=found, merged=merged)
    if not databases and not older and names and folders:
        _lost(names, folders, entries, found=found, merged=merged)
    return found


def _lost(
    names: Entry, folders: Entry, entries: Iterable[Entry], *, found: PackageLists, merged: Callable[[str], str]
) -> None:
    """Ownership by the indexes that a lost database has left."""
    what = f"{RPM_OLDER[0]} is missing beside its indexes"
    if max(names.size, folders.size) > MAX_DATABASE:
        found.problems.append(f"{what}, which exceed the limit of {MAX_DATABASE} bytes")
        return
    try:
        lost = rpm_stores.LostPackages(names.read(limit=MAX_DATABASE), folders.read(limit=MAX_DATABASE))
    except (struct.error, ValueError) as error:
        found.problems.append(f"{what}, which cannot be read: {error}")
        return
    for entry in entries:
        path = entry.path
        if lost.owns(path) or (path.startswith("/usr/") and lost.owns(path[4:]) and merged(path[4:]) == path):
            found.owned.add(merged(path))
    found.packages = lost.packages
    found.problems.append(
        f"{what}: which files packages own is told by the indexes; whether a packaged program was changed is not known"
    )


def _rpm(entry: Entry, blobs: Iterator[bytes], *, found: PackageLists, merged: Callable[[str], str]) -> None:
    if entry.size > MAX_DATABASE:
        found.problems.append(f"{entry.path}: {entry.size} bytes exceed the limit of {MAX_DATABASE}")
        return
    damaged = 0
    try:
        for blob in blobs:
            found.packages += 1
            try:
                for path, digest, changeable in files_of(blob):
                    found.owned.add(merged(path))
                    if digest:
                        (found.configurations if changeable else found.digests)[merged(path)] = digest
            except (struct.error, IndexError, ValueError):
                damaged += 1
    except (sqlite3.Error, OSError, struct.error, ValueError) as error:
        found.problems.append(f"{entry.path}: {error}; {found.packages} packages were read before that")
    if damaged:
        found.problems.append(f"{entry.path}: {damaged} of {found.packages} packages are damaged")


def _older(entry: Entry) -> Iterator[bytes]:
    """The package headers in a Berkeley DB (Amazon Linux 2, RHEL to 8) or ndb (SUSE)."""
    yield from rpm_stores.headers(entry.read(limit=MAX_DATABASE))


def _blobs(entry: Entry, log: Entry | None) -> Iterator[bytes]:
    """The package headers, including those in a write-ahead log that the running system left."""
    deadline = time.monotonic() + SECONDS
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rpmdb.sqlite"
        path.write_bytes(entry.read(limit=MAX_DATABASE))
        if log is not None and log.size <= MAX_DATABASE:
            Path(f"{path}-wal").write_bytes(log.read(limit=MAX_DATABASE))
        database = sqlite3.connect(path)
        try:
            database.execute("PRAGMA trusted_schema = OFF")
            # Stops a query that a crafted database keeps busy.
            database.set_progress_handler(lambda: time.monotonic() > deadline, 10_000)
            kind = database.execute("SELECT type FROM sqlite_master WHERE name = 'Packages'").fetchone()
            if kind != ("table",):
                raise sqlite3.DatabaseError("it has no Packages table")
            for (blob,) in database.execute("SELECT blob FROM Packages"):
                yield blob if isinstance(blob, bytes) else b""
        finally:
            database.close()


def files_of(blob: bytes) -> Iterator[tuple[str, tuple[str, str] | None, bool]]:
    """(path, digest or None, whether people may change it) of each file of one package. Raises struct.error, IndexError or ValueError
    on damage."""
    header = _Header(blob)
    names, folders = header.texts(_NAMES), header.texts(_FOLDERS)
    numbers, flags = header.numbers(_FOLDER_NUMBERS), header.numbers(_FLAGS)
    digests, modes = header.texts(_DIGESTS), header.numbers(_MODES)
    algorithm = _ALGORITHMS.get(next(iter(header.numbers(_ALGORITHM)), 1))
    for number, (name, folder) in enumerate(zip(names, numbers, strict=True)):
        regular = modes[number] & 0o170000 == 0o100000
        known = algorithm and regular and digests[number] and not flags[number] & _GHOST
        digest = (algorithm, digests[number]) if algorithm and known else None
        yield folders[folder] + name, digest, bool(flags[number] & _CONFIG)


class _Header:
    """One header: index entries by tag over a store of values, big-endian."""

    def __init__(self, blob: bytes) -> None:
        count, size = struct.unpack_from(">II", blob)
        start = 8 + 16 * count
        if len(blob) < start + size:
            raise ValueError("header is truncated")
        self._index = {tag: rest for tag, *rest in struct.iter_unpack(">IIII", blob[8:start])}
        self._store = blob[start : start + size]

    def texts(self, tag: int) -> list[str]:
        """The strings of a tag; empty when it is missing."""
        kind, offset, count = self._index.get(tag, (0, 0, 0))
        if kind not in (_STRING, _STRINGS):
            return []
        parts = self._store[offset:].split(b"\0", count)[:count]
        return [part.decode("utf-8", "backslashreplace") for part in parts]

    def numbers(self, tag: int) -> list[int]:
        """The integers of a tag; empty when it is missing."""
        kind, offset, count = self._index.get(tag, (0, 0, 0))
        if kind not in (_INT16, _INT32):
            return []
        letter = "H" if kind == _INT16 else "I"
        return list(struct.unpack_from(f">{count}{letter}", self._store, offset))
