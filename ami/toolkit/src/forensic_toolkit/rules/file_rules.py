"""Rules on the place, mode, times and origin of files."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from forensic_toolkit.filesystems.entries import Entry
from forensic_toolkit.filesystems.tree import HOUR_NS, TEMPORARY, Tree, is_hidden, merged, sha256_of
from forensic_toolkit.readers import containers
from forensic_toolkit.results import Finding, Severity
from forensic_toolkit.rules.places import GIT_SAMPLE, in_developers_tree, in_image, is_odd, layer_of
from forensic_toolkit.times import from_ns, zulu

_MINUTE_NS = 60_000_000_000
# More files than this in one minute come from an archive.
_ARCHIVE = 8
_CODE_NAME = re.compile(r"\.(so(\.[\d.]+)?|ko(\.\w+)?|py|pl|pm|rb|php|js|mjs|sh|jar|service|timer|socket|rules)$")
_SET_ID = 0o6000
_SET_UID = 0o4000
_PROGRAM_HEADS = (b"\x7fELF", b"#!")
_PROGRAM_FOLDERS = re.compile(r"^/usr/(s?bin|lib(exec|32|64)?|local/s?bin)/|^/(s?bin|lib(64)?|opt|snap|etc)/")
# Services that every host has, and threads of the kernel: a second program of that name is there to be overlooked in a list.
_SYSTEM_NAME = re.compile(
    r"(sshd|crond|cron|atd|systemd|systemd-(logind|journald|udevd|resolved|networkd|timesyncd|machined|oomd)|dbus-daemon|rsyslogd|syslogd"
    r"|auditd|agetty|getty|init|udevd|polkitd|irqbalance|chronyd|ntpd|dhclient|acpid|amazon-ssm-agent|ssm-agent-worker"
    r"|\[?(kworker|kthreadd|ksoftirqd|kswapd|khugepaged|migration|rcu_\w+|watchdogd|kdevtmpfs|kauditd|kcompactd|ext4-\w+)[^/]*)"
)
_OTHER_ROOT = re.compile(
    r"^/(snap|nix|gnu|var/lib/(machines|lxc|lxd|schroot|flatpak|snapd|docker|containerd)|usr/src|home/[^/]+/\.cache|etc/(rc\.d/)?(init|rc[0-6S])\.d)/|.*/(rootfs|chroot|sysroot)/"
)
_TIME_FORGERY = re.compile(r"^/(usr|etc|bin|sbin|lib|opt|var/www|srv|tmp|root|home|var/tmp|var/lib)/")
# Services with PrivateTmp create and remove such folders at every start.
_PRIVATE_TMP = re.compile(r"^/(var/)?tmp/(systemd-private-|snap-private-tmp)")
# Archives prepared for exfiltration; those of logs and package caches are routine.
_ARCHIVE_NAME = re.compile(r"\.(tar|tgz|zip|7z|rar|(tar\.)?(gz|bz2|xz|zst))$", re.IGNORECASE)
_ROTATED = re.compile(r"^/(var/(log|cache|lib)|usr/share)/")
_WATCHED_FOR_DELETIONS = re.compile(r"^/(tmp|var/tmp|dev/shm|root|home/[^/]+|usr/local|var/www)/")
_ADMINISTRATORS = re.compile(r"^/(usr/local|opt|srv|home|root|snap|var/www|etc|mnt|data)/")
_PACKAGES_ONLY = re.compile(r"^/(usr/(?!local/)|s?bin/|lib(32|64|x32)?/|boot/|etc/)")
# What editors, shells and package managers make and remove by the minute.
_ROUTINE_NAME = re.compile(
    r"(\.sw[a-z]|~|\.dpkg-(new|tmp|old|dist)|\.tmp|\.lock|\.lesshst[^/]*|\.viminf[^/]*|\.bash_history-\d+|\.[^/]+\.[A-Za-z0-9]{6}"
    r"|/\.(X\d+-lock|X11-unix|ICE-unix|font-unix|XIM-unix|Test-unix)(/.*)?|\.ansible_\w+)$"
)
_PEOPLES = re.compile(r"^/(root|home/[^/]+|opt|srv)/[^.]")
_BUILT_MODULE = re.compile(r"^/(var/lib/dkms|usr/src)/.+\.ko(\.(gz|xz|zst))?$")
# Written by programs that preserve the times of copied files.
_KEEPS_TIMES = re.compile(
    r"^/var/lib/(dpkg|apt|rpm|dnf|docker|containerd|snapd|cloud)/|/\.git/|/node_modules/|/site-packages/"
)


def privileged(tree: Tree) -> Iterator[Finding]:
    """Set-user-id programs that belong to no package."""
    for entry in tree.entries:
        if not (entry.is_executable and entry.mode & _SET_ID):
            continue
        layer = layer_of(entry.path)
        if layer and (in_image(entry, tree=tree) or layer[0] in containers.by_layer(tree)):
            continue  # its image has it; what a known container added is named with it (container_rules)
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
        if GIT_SAMPLE.search(entry.path) or in_image(entry, tree=tree):
            continue
        if not entry.read(limit=4).startswith(_PROGRAM_HEADS):
            continue
        yield _hidden(entry, hidden=hidden, tree=tree)


def _hidden_severity(entry: Entry, *, hidden: bool, tree: Tree) -> Severity:
    if TEMPORARY.match(entry.path):
        # A script below a folder of its own in /tmp is what builds and installers leave.
        built = entry.path.count("/") > 2 and entry.read(limit=2) == b"#!"
        memory_only = entry.path.startswith("/dev/shm/")  # noqa: S108 - a path in the evidence
        return "high" if hidden or memory_only else "low" if built else "medium"
    if in_developers_tree(entry.path, tree=tree):
        return "low"
    return "high" if tree.is_foreign(entry) else "medium"


def _hidden(entry: Entry, *, hidden: bool, tree: Tree) -> Finding:
    where = "a hidden place" if hidden else "a temporary folder"
    severity, foreign = _hidden_severity(entry, hidden=hidden, tree=tree), tree.is_foreign(entry)
    if severity == "low":
        where = "a tool's own hidden folder" if hidden else where
    return Finding(
        title=f"Program in {where}: {entry.path}",
        detail=f"{entry.size} bytes, owner {entry.uid}; {tree.origin(entry)}",
        severity=severity,
        confidence="high" if foreign and severity == "high" else "medium" if foreign else "low",
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
            # Administrators put their own programs below /usr/local, /opt and /etc; the rest belongs to packages.
            severity="medium" if tree.packaged and not _ADMINISTRATORS.match(entry.path) else "low",
            confidence="low",
            source=entry.path,
            time=entry.born(),
            technique="T1036.005",
            data={**entry.facts(), "sha256": sha256_of(entry)},
        )


def borrowed_names(tree: Tree) -> Iterator[Finding]:
    """Programs of no package with the name of a system's service or of a kernel thread, outside of where those are."""
    for entry in tree.entries:
        if not (entry.is_executable and _SYSTEM_NAME.fullmatch(entry.name)) or is_odd(entry.path, tree=tree):
            continue
        elsewhere = _PROGRAM_FOLDERS.match(entry.path) and not _ADMINISTRATORS.match(entry.path)
        if elsewhere or _OTHER_ROOT.match(entry.path) or tree.is_packaged(entry) or layer_of(entry.path):
            continue
        if entry.read(limit=4).startswith(_PROGRAM_HEADS):
            yield Finding(
                title=f"Program with the name of a part of the system: {entry.path}",
                detail=f"{entry.size} bytes, owner {entry.uid}; {tree.origin(entry)}",
                severity="high" if tree.is_foreign(entry) else "medium",
                confidence="medium",
                source=entry.path,
                time=entry.born(),
                technique="T1036.005",
                data={**entry.facts(), "sha256": sha256_of(entry)},
            )


def changed_programs(tree: Tree) -> Iterator[Finding]:
    """Packaged programs whose content was written after the installation and after their creation."""
    for entry in tree.entries:
        if entry.path.startswith("/etc/") and not tree.packages.digests.get(merged(entry.path)):
            continue  # configuration is there to be edited
        if entry.is_executable and tree.is_packaged(entry) and _PROGRAM_FOLDERS.match(entry.path):
            written = entry.times.modified
            # Packages keep the build time: a modification after the file's creation is a rewrite in place.
            rewritten = entry.times.born and written > entry.times.born + HOUR_NS and tree.installed_until_ns
            # Where the package's digest is known, it decides.
            if rewritten and (merged(entry.path) not in tree.packages.digests or tree.differs_from_package(entry)):
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
    found = [entry for entry in tree.entries if _differs(entry, tree=tree)]
    # A tool that updates itself outside of its package (npm, pip) writes many files of a folder at once.
    together = Counter(_batch(entry) for entry in found)
    for entry in found:
        if together[_batch(entry)] > _ARCHIVE:
            folder, _ = _batch(entry)
            yield Finding(
                title=f"Files of a package replaced together: {folder}",
                detail=f"{together[_batch(entry)]} files within minutes, among them {entry.path}",
                severity="medium",
                confidence="low",
                source=entry.path,
                time=entry.changed(),
                technique="T1554",
                fold=f"replaced together {_batch(entry)}",
            )
        else:
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


def _differs(entry: Entry, *, tree: Tree) -> bool:
    """Whether a program or library is not what its package brought; a file from a later update has the new package's digest."""
    late = entry.is_file and entry.times.changed > tree.installed_until_ns and _PROGRAM_FOLDERS.match(entry.path)
    runs = late and (entry.is_executable or _CODE_NAME.search(entry.path))
    return bool(runs) and tree.is_packaged(entry) and tree.differs_from_package(entry)


def _batch(entry: Entry) -> tuple[str, int]:
    """The folder of a program's own tree (four parts of its path) and the ten minutes in which it was written."""
    return "/".join(entry.path.split("/")[:5]), entry.times.changed // (10 * _MINUTE_NS)


def zulu_of(nanoseconds: int) -> str:
    """A time in nanoseconds since 1970 as text."""
    moment = from_ns(nanoseconds)
    return zulu(moment) if moment else "unknown"


def forged_times(tree: Tree) -> Iterator[Finding]:
    """Files that claim to be older than they are.

    Unpacking an archive has the same effect, for many files in a minute, and so has a copy that keeps times. A whole second
    beside an exact change time points to ``touch``; grave is an access time of the same second where packages alone put files,
    or the exact times of a packaged file (``touch -r``).
    """
    suspects = [entry for entry in tree.entries if _claims_too_much(entry, tree=tree)]
    together = Counter(entry.times.born // _MINUTE_NS for entry in suspects)
    for entry in suspects:
        times = entry.times
        touched = times.modified == times.accessed
        grave = touched and _forgers_place(entry, tree=tree)
        unpacked = together[times.born // _MINUTE_NS] > _ARCHIVE
        yield Finding(
            title=f"File time set back: {entry.path}",
            detail=f"modified {zulu_of(times.modified)} as it claims, but created {zulu_of(times.born)}; "
            + ("as many files of that minute: an archive was unpacked" if unpacked else tree.origin(entry)),
            severity="low" if unpacked else "high" if grave else "medium" if touched else "low",
            confidence="low" if unpacked else "high" if grave else "medium",
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


def _forgers_place(entry: Entry, *, tree: Tree) -> bool:
    return bool(_PACKAGES_ONLY.match(entry.path)) or is_odd(entry.path, tree=tree)


def deleted_files(tree: Tree) -> Iterator[Finding]:
    """Deleted names in folders that intruders use, and deleted archives anywhere."""
    for entry in tree.entries:
        archive = _ARCHIVE_NAME.search(entry.path) and not _ROTATED.match(entry.path)
        watched = _WATCHED_FOR_DELETIONS.match(entry.path) and not _PRIVATE_TMP.match(entry.path)
        if entry.is_gone and (watched or archive):
            yield Finding(
                title=f"Deleted {'archive' if archive else 'file'}: {entry.path}",
                detail=f"inode {entry.inode}" + (", reused since" if entry.reused else f", {entry.size} bytes"),
                severity="medium" if archive or _odd_when_deleted(entry.path, tree=tree) else "low",
                confidence="medium",
                source=entry.path,
                time=None if entry.reused else entry.changed(),
                technique="T1070.004",
                data=entry.facts(),
            )


def _odd_when_deleted(path: str, *, tree: Tree) -> bool:
    """Whether a deleted name is more than the usual coming and going in /tmp and of editors' files."""
    if _ROUTINE_NAME.search(path):
        return False
    return path.startswith("/dev/shm/") or (is_hidden(path) and not in_developers_tree(path, tree=tree))  # noqa: S108


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
        if entry.path.endswith(".ko") and entry.read(limit=4) != b"\x7fELF":
            continue
        proper = re.match(r"^(/usr)?/lib/modules/", entry.path)
        if in_image(entry, tree=tree) or (not proper and _BUILT_MODULE.match(entry.path)):
            continue
        if not proper or tree.is_foreign(entry):
            dkms = proper and tree.get(f"/var/lib/dkms/{entry.name.split('.ko', 1)[0]}") is not None
            yield Finding(
                title=f"Kernel module {'added' if proper else 'in an unusual place'}: {entry.path}",
                detail=tree.origin(entry),
                severity="low" if dkms else "medium" if proper or _PEOPLES.match(entry.path) else "high",
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
