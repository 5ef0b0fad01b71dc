"""All entries of a disk by path, and what is known about the origin of a file."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property

from forensic_toolkit.filesystems import package_lists
from forensic_toolkit.filesystems.entries import Entry
from forensic_toolkit.filesystems.entry_table import EntryTable
from forensic_toolkit.filesystems.package_lists import PackageLists
from forensic_toolkit.times import zulu

HOUR_NS = 3_600_000_000_000
MAX_HASHED = 64 << 20
TEMPORARY = re.compile(r"^/(tmp|var/tmp|dev/shm|run/user/\d+)/")
_HIDDEN_PART = re.compile(r"/\.[^/.][^/]*")
_HOME = re.compile(r"^/(root|home/[^/]+|var/lib/[^/]+|export/home/[^/]+)/")
_MERGED = re.compile(r"^/(bin|sbin|lib|lib32|lib64|libx32)/")
_SYSTEM_PROGRAMS = re.compile(r"^/usr/(s?bin|lib(exec)?)/")
# With fewer system programs than this the time of installation cannot be estimated.
_ENOUGH = 20


class Tree:
    """The entries of one or more file systems."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.entries = entries if isinstance(entries, EntryTable) else EntryTable(entries)

    def _at(self, path: str) -> Entry | None:
        number = self.entries.find(path)
        return None if number is None else self.entries[number]

    def get(self, path: str, *, hops: int = 8) -> Entry | None:
        """The entry at a path; symbolic links in any part of the path are followed."""
        entry = self._at(path)
        if hops == 0:
            return None
        if entry is not None:
            return self.get(_joined(entry, path), hops=hops - 1) if entry.kind == "LNK" else entry
        parts = path.split("/")
        for count in range(2, len(parts)):
            head = self._at("/".join(parts[:count]))
            if head is not None and head.kind == "LNK":
                return self.get(_joined(head, "/".join(parts[:count])) + "/" + "/".join(parts[count:]), hops=hops - 1)
        return None

    def children(self, folder: str) -> list[Entry]:
        """The entries directly in a folder."""
        return self.entries.children(folder.rstrip("/"))

    def files(self, pattern: str) -> Iterator[Entry]:
        """Existing regular files whose whole path matches."""
        return self.entries.matching(re.compile(pattern).fullmatch, "REG")

    def links(self, pattern: str) -> Iterator[Entry]:
        """Symbolic links whose whole path matches."""
        return self.entries.matching(re.compile(pattern).fullmatch, "LNK")

    def text(self, path: str, *, limit: int = 1 << 20) -> str:
        """The text of a file; empty when it does not exist."""
        entry = self.get(path)
        return entry.read(limit=limit).decode("utf-8", "replace") if entry and entry.is_file else ""

    @cached_property
    def packages(self) -> PackageLists:
        """What the package managers' databases say about files."""
        return package_lists.read(self.entries, get=self.get, merged=merged)

    @property
    def packaged(self) -> set[str]:
        """Paths owned by packages; empty without package lists."""
        return self.packages.owned

    def is_packaged(self, entry: Entry) -> bool:
        """Whether a package owns the path."""
        return merged(entry.path) in self.packaged

    @cached_property
    def installed_until_ns(self) -> int:
        """When 95 % of the system's programs had been installed, in nanoseconds since 1970; 0 when unknown."""
        born = sorted(
            entry.times.born or entry.times.changed for entry in self.entries.matching(_SYSTEM_PROGRAMS.match, "REG")
        )
        return born[len(born) * 19 // 20] if len(born) >= _ENOUGH else 0

    def differs_from_package(self, entry: Entry) -> bool:
        """Whether the content differs from that in the file's package."""
        return self._is(entry, self.packages.digests) is False

    def is_as_packaged(self, entry: Entry) -> bool:
        """Whether the content is that of the file's package, by the package manager's digest."""
        return self._is(entry, self.packages.digests) is True or self.as_shipped(entry)

    def as_shipped(self, entry: Entry) -> bool:
        """Whether a configuration file is what its package brought, by the package manager's digest; False where none is known."""
        return self._is(entry, self.packages.configurations) is True

    @staticmethod
    def _is(entry: Entry, digests: Mapping[str, tuple[str, str]]) -> bool | None:
        """Whether a file's content has the digest that is known for it; None where none is known or not all of it can be read."""
        known = digests.get(merged(entry.path))
        if known is None or entry.size > MAX_HASHED:
            return None
        algorithm, digest = known
        content = entry.read(limit=entry.size)
        if len(content) != entry.size:  # a gap, not a change
            return None
        return hashlib.new(algorithm, content, usedforsecurity=False).hexdigest() == digest

    def is_late(self, entry: Entry) -> bool:
        """Created more than an hour after the system was installed."""
        born = entry.times.born or entry.times.changed
        return bool(self.installed_until_ns) and born > self.installed_until_ns + HOUR_NS

    def is_foreign(self, entry: Entry) -> bool:
        """Created after the installation and owned by no package: put there by an administrator or an intruder."""
        return self.is_late(entry) and not self.is_packaged(entry)

    def origin(self, entry: Entry) -> str:
        """A description of the file's origin."""
        words = []
        if self.packaged and not self.is_packaged(entry):
            words.append("no package owns it")
        born = entry.born()
        if self.is_late(entry) and born is not None:
            words.append(f"it was created {zulu(born)}, after the system was installed")
        return "; ".join(words) or "its origin is unremarkable"

    def same_as_shell(self, entry: Entry) -> str | None:
        """The path of a system shell with the same content, or None."""
        for name in ("bash", "dash", "sh", "zsh", "ksh", "busybox"):
            shell = self.get(f"/usr/bin/{name}") or self.get(f"/bin/{name}")
            if shell and shell.size == entry.size and shell.inode != entry.inode and _digest(shell) == _digest(entry):
                return shell.path
        return None


def sha256_of(entry: Entry) -> str:
    """SHA-256 of a file of at most 64 MiB, for hunting; empty for larger ones."""
    return _digest(entry) if entry.size <= MAX_HASHED else ""


def _digest(entry: Entry) -> str:
    return hashlib.sha256(entry.read(limit=entry.size)).hexdigest()


def _joined(link: Entry, path: str) -> str:
    target = link.link_target()
    parts = [] if target.startswith("/") else path.split("/")[:-1]
    for part in target.split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(filter(None, parts))


def merged(path: str) -> str:
    """The path after the merge of /bin and so on into /usr."""
    return f"/usr{path}" if _MERGED.match(path) else path


def is_hidden(path: str) -> bool:
    """Whether a part of the path begins with a dot, apart from home directories, where that is common."""
    home = _HOME.match(path)
    # In a home directory only the file's own name counts: directories such as .local are full of programs.
    return bool(_HIDDEN_PART.search("/" + path.rsplit("/", 1)[-1] if home else path))


def is_unusual_place(path: str) -> bool:
    """Whether the path is temporary or hidden, where no program that a system starts belongs."""
    return bool(TEMPORARY.match(path)) or is_hidden(path)
