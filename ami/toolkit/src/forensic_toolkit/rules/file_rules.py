"""Rules on the place, mode, times and origin of files."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from forensic_toolkit.filesystems.entries import Entry
from forensic_toolkit.filesystems.tree import HOUR_NS, TEMPORARY, Tree, is_hidden, merged, sha256_of
from forensic_toolkit.results import Finding
from forensic_toolkit.times import from_ns, zulu

_MINUTE_NS = 60_000_000_000
# More files than this in one minute come from an archive.
_ARCHIVE = 8
_SET_ID = 0o6000
_SET_UID = 0o4000
_PROGRAM_HEADS = (b"\x7fELF", b"#!")
_PROGRAM_FOLDERS = re.compile(r"^/usr/(s?bin|lib(exec|32|64)?|local/s?bin)/|^/(s?bin|lib(64)?|opt|snap|etc)/")
_TIME_FORGERY = re.compile(r"^/(usr|etc|bin|sbin|lib|opt|var/www|srv|tmp|root|home|var/tmp|var/lib)/")
# Services with PrivateTmp create and remove such folders at every start.
_PRIVATE_TMP = re.compile(r"^/(var/)?tmp/(systemd-private-|snap-private-tmp)")
# Archives prepared for exfiltration; those of logs and package caches are routine.
_ARCHIVE_NAME = re.compile(r"\.(tar|tgz|zip|7z|rar|(tar\.)?(gz|bz2|xz|zst))$", re.IGNORECASE)
_ROTATED = re.compile(r"^/(var/(log|cache|lib)|usr/share)/")
_WATCHED_FOR_DELETIONS = re.compile(r"^/(tmp|var/tmp|dev/shm|root|home/[^/]+|usr/local|var/www)/")
# Written by programs that preserve the times of copied files.
_KEEPS_TIMES = re.compile(
    r"^/var/lib/(dpkg|apt|rpm|dnf|docker|containerd|snapd|cloud)/|/\.git/|/node_modules/|/site-packages/"
)


def privileged(tree: Tree) -> Iterator[Finding]:
    """Set-user-id programs that belong to no package."""
    for entry in tree.entries:
        if not (entry.is_executable and entry.mode & _SET_ID):
            continue
        usual = tree.is_packaged(entry) or (not tree.packaged and not tree.is_late(entry))
        expected = usual and _PROGRAM_FOLDERS.match(entry.path) and not is_hidden(entry.path)
        if expected or (not entry.mode & _SET_UID and not tree.is_foreign(entry)):
            continue
        twin = tree.same_as_shell(entry)
        strong = bool(twin) or is_hidden(entry.path) or tree.is_late(entry) or bool(TEMPORARY.match(entry.path))
        yield Finding(
            title=f"Program with set-user-id bit: {entry.path}",
            detail=f"mode {entry.mode & 0o7777:04o}, owner {entry.uid}; {tree.origin(entry)}"
            + (f"; its content is identical to {twin}" if twin else ""),
            severity="critical" if twin else "high" if strong else "medium",
            confidence="high" if strong else "medium",
            source=entry.path,
            time=entry.changed(),
            technique="T1548.001",
            data={**entry.facts(), "sha256": sha256_of(entry), "same_as": twin},
        )


def hidden_programs(tree: Tree) -> Iterator[Finding]:
    """Programs with hidden names, and programs in temporary folders."""
    for entry in tree.entries:
        hidden, temporary = is_hidden(entry.path), bool(TEMPORARY.match(entry.path))
        if not entry.is_executable or not (hidden or temporary) or tree.is_packaged(entry):
            continue
        if not entry.read(limit=4).startswith(_PROGRAM_HEADS):
            continue
        where = "a hidden place" if hidden else "a temporary folder"
        yield Finding(
            title=f"Program in {where}: {entry.path}",
            detail=f"{entry.size} bytes, owner {entry.uid}; {tree.origin(entry)}",
            severity="high" if hidden and tree.is_foreign(entry) else "medium",
            confidence="high" if tree.is_foreign(entry) else "medium",
            source=entry.path,
            time=entry.born(),
            technique="T1564.001" if hidden else "T1036.005",
            data={**entry.facts(), "sha256": sha256_of(entry)},
        )


def new_programs(tree: Tree) -> Iterator[Finding]:
    """Programs in system folders that no package owns and that were added after the installation."""
    for entry in tree.entries:
        if not (entry.is_executable and _PROGRAM_FOLDERS.match(entry.path) and tree.is_foreign(entry)):
            continue
        if is_hidden(entry.path) or entry.mode & _SET_ID or not entry.read(limit=4).startswith(_PROGRAM_HEADS):
            continue
        yield Finding(
            title=f"Program added to a system folder: {entry.path}",
            detail=f"{entry.size} bytes, owner {entry.uid}; {tree.origin(entry)}",
            severity="medium" if tree.packaged else "low",
            confidence="low",
            source=entry.path,
            time=entry.born(),
            technique="T1036.005",
            data={**entry.facts(), "sha256": sha256_of(entry)},
        )


def changed_programs(tree: Tree) -> Iterator[Finding]:
    """Packaged programs whose content was written after the installation and after their creation."""
    for entry in tree.entries:
        if entry.is_executable and tree.is_packaged(entry) and _PROGRAM_FOLDERS.match(entry.path):
            written = entry.times.modified
            # Packages keep the build time: a modification after the file's creation is a rewrite in place.
            if entry.times.born and written > entry.times.born + HOUR_NS and tree.installed_until_ns:
                yield Finding(
                    title=f"Packaged program rewritten in place: {entry.path}",
                    detail=f"created {zulu_of(entry.times.born)}, content written {zulu_of(written)}",
                    severity="high",
                    confidence="medium",
                    source=entry.path,
                    time=entry.modified(),
                    technique="T1554",
                    data={**entry.facts(), "sha256": sha256_of(entry)},
                )


def differing_programs(tree: Tree) -> Iterator[Finding]:
    """Programs and libraries changed after the installation whose digest differs from their package's."""
    for entry in tree.entries:
        if not (entry.is_file and entry.times.changed > tree.installed_until_ns and _PROGRAM_FOLDERS.match(entry.path)):
            continue
        # A file from a later update is also late; its digest is that of the new package.
        if tree.is_packaged(entry) and tree.differs_from_package(entry):
            algorithm, digest = tree.packages.digests[merged(entry.path)]
            yield Finding(
                title=f"File differs from its package: {entry.path}",
                detail=f"the package's {algorithm} is {digest}; changed {zulu_of(entry.times.changed)}",
                severity="high",
                confidence="high",
                source=entry.path,
                time=entry.changed(),
                technique="T1554",
                data={**entry.facts(), "sha256": sha256_of(entry)},
            )


def zulu_of(nanoseconds: int) -> str:
    """A time in nanoseconds since 1970 as text."""
    moment = from_ns(nanoseconds)
    return zulu(moment) if moment else "unknown"


def forged_times(tree: Tree) -> Iterator[Finding]:
    """Files that claim to be older than they are.

    Unpacking an archive has the same effect, for many files in a minute. A whole second beside an exact change
    time points to ``touch``, and an access time of the same second even more so.
    """
    suspects = [entry for entry in tree.entries if _claims_too_much(entry, tree=tree)]
    together = Counter(entry.times.born // _MINUTE_NS for entry in suspects)
    for entry in suspects:
        times = entry.times
        touched = times.modified == times.accessed
        unpacked = together[times.born // _MINUTE_NS] > _ARCHIVE
        yield Finding(
            title=f"File time set back: {entry.path}",
            detail=f"modified {zulu_of(times.modified)} as it claims, but created {zulu_of(times.born)}; "
            + ("as many files of that minute: an archive was unpacked" if unpacked else tree.origin(entry)),
            severity="low" if unpacked else "high" if touched else "medium",
            confidence="low" if unpacked else "high" if touched else "medium",
            source=entry.path,
            time=entry.changed(),
            technique="T1070.006",
            data=entry.facts(),
        )


def _claims_too_much(entry: Entry, *, tree: Tree) -> bool:
    times = entry.times
    if not entry.is_file or not times.born or not tree.is_foreign(entry):
        return False
    if not _TIME_FORGERY.match(entry.path) or _KEEPS_TIMES.search(entry.path):
        return False
    whole_second = times.modified % 1_000_000_000 == 0 and times.changed % 1_000_000_000 != 0
    return whole_second and times.modified + HOUR_NS < times.born


def deleted_files(tree: Tree) -> Iterator[Finding]:
    """Deleted names in folders that intruders use, and deleted archives anywhere."""
    for entry in tree.entries:
        archive = _ARCHIVE_NAME.search(entry.path) and not _ROTATED.match(entry.path)
        watched = _WATCHED_FOR_DELETIONS.match(entry.path) and not _PRIVATE_TMP.match(entry.path)
        if entry.deleted and (watched or archive):
            yield Finding(
                title=f"Deleted {'archive' if archive else 'file'}: {entry.path}",
                detail=f"inode {entry.inode}" + (", reused since" if entry.reused else f", {entry.size} bytes"),
                severity="medium" if archive or TEMPORARY.match(entry.path) or is_hidden(entry.path) else "low",
                confidence="medium",
                source=entry.path,
                time=None if entry.reused else entry.changed(),
                technique="T1070.004",
                data=entry.facts(),
            )


def library_preload(tree: Tree) -> Iterator[Finding]:
    """A library that every program is made to load."""
    entry = tree.get("/etc/ld.so.preload")
    if entry is not None and entry.is_file:
        yield Finding(
            title="Every program is made to load a library (/etc/ld.so.preload)",
            detail=entry.read(limit=4096).decode("utf-8", "replace").strip() or "the file is empty",
            severity="critical" if entry.size else "low",
            confidence="high",
            source=entry.path,
            time=entry.modified(),
            technique="T1574.006",
            data=entry.facts(),
        )


def kernel_modules(tree: Tree) -> Iterator[Finding]:
    """Kernel modules outside the modules folder, or added to it after the installation."""
    for entry in tree.files(r".*\.ko(\.(gz|xz|zst))?"):
        proper = re.match(r"^(/usr)?/lib/modules/", entry.path)
        if not proper or tree.is_foreign(entry):
            yield Finding(
                title=f"Kernel module {'added' if proper else 'in an unusual place'}: {entry.path}",
                detail=tree.origin(entry),
                severity="medium" if proper else "high",
                confidence="medium",
                source=entry.path,
                time=entry.born(),
                technique="T1547.006",
                data={**entry.facts(), "sha256": sha256_of(entry)},
            )


def program_of(command: str, *, tree: Tree) -> Entry | None:
    """The file that a command line starts by its full path, or None."""
    for word in re.findall(r"(?:^|[\s;&|='\"])(/[^\s;&|'\"<>]+)", command):
        entry = tree.get(word)
        if entry is not None and entry.is_file:
            return entry
    return None
