"""The ``disk`` command: timeline, logs and persistence of every partition; the digest before and after."""

from __future__ import annotations

import gzip
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from importlib import metadata
from pathlib import Path
from time import monotonic

from forensic_toolkit import (
    __version__,
    account_rules,
    block_device,
    deleted_names,
    dissect_program,
    file_rules,
    file_timeline,
    login_logs,
    persistence_rules,
    shell_histories,
    web_rules,
)
from forensic_toolkit.errors import EvidenceError
from forensic_toolkit.filesystem import Entry, FileSystem, Times
from forensic_toolkit.mounts import Walked, arrange
from forensic_toolkit.results import Event, Finding, Results, ToolRun
from forensic_toolkit.times import now
from forensic_toolkit.tree import Tree
from forensic_toolkit.volumes import Disk

TREE_RULES: tuple[Callable[[Tree], Iterable[Finding]], ...] = (
    account_rules.superusers,
    account_rules.passwords,
    account_rules.login_keys,
    account_rules.sudo_rights,
    account_rules.login_programs,
    file_rules.privileged,
    file_rules.hidden_programs,
    file_rules.new_programs,
    file_rules.changed_programs,
    file_rules.forged_times,
    file_rules.deleted_files,
    file_rules.library_preload,
    file_rules.kernel_modules,
    persistence_rules.cron,
    persistence_rules.units,
    persistence_rules.start_files,
)
AUTH_LOGS = r"/var/log/(auth\.log|secure)([.-][^/]*)?"
SESSIONS = r"/var/log/(wtmp|btmp)([.-][^/]*)?"
MAX_LOG = 256 << 20


def run(results: Results, *, volume: str, work: Path, raw: Path) -> None:
    """Fill ``results``. Raises ToolkitError when the volume is absent, unreadable or changed meanwhile."""
    del work  # nothing but the tools' output is kept
    device = block_device.locate(volume)
    if block_device.is_read_only(device) is False:
        results.gap("write protection", f"the kernel would allow writes to {device}; it was opened for reading only")
    before = block_device.measure(device)
    results.input_sha256, results.input_bytes = before.sha256, before.bytes
    second_opinion = dissect_program.start(device, raw=raw, results=results)
    expected = frozenset(dissect_program.FUNCTIONS)
    try:
        expected = examine(device, results=results, raw=raw)
    finally:
        if second_opinion is not None:
            dissect_program.finish(second_opinion, results=results, expected=expected)
    after = block_device.measure(device)
    if after != before:
        raise EvidenceError(
            f"{device} changed during the analysis: SHA-256 {before.sha256} before, {after.sha256} after; "
            "the findings must not be used; attach a fresh volume read-only and investigate again"
        )


def examine(device: Path, *, results: Results, raw: Path) -> frozenset[str]:
    """Read all file systems and apply all rules; returns which of dissect's functions must find something."""
    started = monotonic()
    walked = list(_walk(Disk(device), results=results))
    entries = arrange(walked)
    results.runs.append(ToolRun("pytsk3", _version("pytsk3"), ["walk"], 0, monotonic() - started, len(entries)))
    if not entries:
        raise EvidenceError("no file system on this volume could be read: " + "; ".join(why for _, why in results.gaps))
    tree = Tree(entries)
    system = tree.get("/etc/passwd") is not None
    results.counts["system_volume"] = int(system)
    if system and not tree.installed_until_ns:
        results.gap("time of installation", "too few system programs: files added later cannot be told from the rest")
    for rule in TREE_RULES:
        started = monotonic()
        name = f"{rule.__module__.rsplit('.', 1)[-1]}.{rule.__name__}"
        count = results.apply(name, rule=partial(rule, tree))
        results.runs.append(ToolRun("rules", __version__, [name], 0, monotonic() - started, count))
    results.apply("log-ins", rule=partial(_logs, tree, results=results))
    results.apply("shell histories", rule=partial(_histories, tree, results=results))
    results.apply("web", rule=partial(_web, tree, results=results))
    notable = {finding.source for finding in results.findings}
    results.events.extend(file_timeline.events(entries, notable=notable))
    results.counts |= {"files": len(entries), "deleted_names": sum(entry.deleted for entry in entries)}
    _keep(entries, raw=raw)
    for filesystem in {id(entry.filesystem): entry.filesystem for entry in entries}.values():
        for problem, times in Counter(filesystem.problems if filesystem else []).items():
            results.gap("file that cannot be read", problem + (f" ({times} times)" if times > 1 else ""))
    return _expected(tree) if system else frozenset()


def _expected(tree: Tree) -> frozenset[str]:
    """The functions of dissect whose sources exist and are not empty."""
    sources = {
        "authlog": r"/var/log/(auth\.log|secure)",
        "wtmp": r"/var/log/wtmp",
        "btmp": r"/var/log/btmp",
        "commandhistory": r"/(root|home/[^/]+)/\.bash_history",
        "cronjobs": r"/etc/cron\.d/[^.].*",
    }
    return frozenset(name for name, path in sources.items() if any(entry.size for entry in tree.files(path)))


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"


def _walk(disk: Disk, *, results: Results) -> Iterator[Walked]:
    for filesystem, identity in disk.file_systems(results):
        results.counts["file_systems"] = results.counts.get("file_systems", 0) + 1
        found = list(filesystem.walk())
        if len(found) < 2:
            results.gap(filesystem.partition.label, f"{filesystem.kind}: opened, but empty")
        if filesystem.kind.startswith("EXT"):
            found.extend(_journal_names(filesystem, found))
        yield Walked(filesystem, identity, found)


def _journal_names(filesystem: FileSystem, entries: list[Entry]) -> Iterator[Entry]:
    """Deleted names that only the journal has, as entries without times."""
    content = filesystem.read(deleted_names.JOURNAL_INODE, limit=deleted_names.MAX_JOURNAL)
    folders = {entry.inode: entry.path for entry in entries if entry.kind == "DIR" and not entry.deleted}
    folders[filesystem.root_inode] = ""
    known = {entry.path for entry in entries}
    present = {entry.inode: entry for entry in entries if not entry.deleted}
    for name in deleted_names.in_blocks(content, block=filesystem.block_size):
        folder = folders.get(name.folder_inode)
        path = f"{folder}/{name.name}"
        if folder is None or path in known:
            continue
        known.add(path)
        kind = {1: "REG", 2: "DIR", 7: "LNK"}[name.kind]
        yield Entry(
            path,
            name.inode,
            kind,
            0,
            0,
            0,
            0,
            Times(),
            deleted=True,
            reused=name.inode in present,
            filesystem=filesystem,
        )


def _logs(tree: Tree, *, results: Results) -> Iterator[Finding]:
    logins: list[login_logs.Login] = []
    logs = list(tree.files(AUTH_LOGS))
    for entry in logs:
        text = _text_of(entry)
        modified = entry.modified() or now()
        logins.extend(login_logs.attempts(text, source=entry.path, modified=modified))
        results.events.extend(login_logs.other_events(text, source=entry.path, modified=modified))
    if results.counts["system_volume"] and not any(entry.size for entry in logs):
        journal = next(tree.files(r"/var/log/journal/.+\.journal"), None)
        hint = "; there is a binary journal, which this toolkit does not read" if journal else ""
        results.gap("log-ins", f"neither auth.log nor secure holds anything{hint}")
    guessed = list(login_logs.guessing(logins))
    yield from guessed
    yield from login_logs.accepted(logins, guessers={str(item.data["address"]) for item in guessed})
    results.events.extend(login_logs.login_events(logins))
    for entry in tree.files(SESSIONS):
        failed = "/btmp" in entry.path
        content = _content_of(entry)
        results.events.extend(login_logs.session_events(content, source=entry.path, failed=failed))
    succeeded = sum(login.accepted for login in logins)
    results.counts |= {"logins": succeeded, "failed_logins": len(logins) - succeeded}


def _histories(tree: Tree, *, results: Results) -> list[Finding]:
    findings, events = shell_histories.examine(tree)
    results.events.extend(events)
    return findings


def _web(tree: Tree, *, results: Results) -> Iterator[Finding]:
    shells = web_rules.web_shells(tree)
    yield from shells.values()
    urls = web_rules.urls_of(list(shells), served=web_rules.roots(tree))
    per_title: dict[str, list[Finding]] = defaultdict(list)
    for entry in tree.files(web_rules.LOGS):
        for item in web_rules.requests(_text_of(entry), source=entry.path, shells=urls):
            if isinstance(item, Event):
                results.events.append(item)
            else:
                per_title[item.title].append(item)
    for items in per_title.values():
        # A scanner leaves thousands of lines of one kind; the first ones say it all.
        yield from items[:20]


def _content_of(entry: Entry) -> bytes:
    """Content of a log, unpacked when it was rotated into a .gz; what is broken ends where it breaks."""
    content = entry.read(limit=MAX_LOG)
    if not entry.path.endswith(".gz"):
        return content
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        return unpacker.decompress(content, MAX_LOG)
    except zlib.error as error:
        if entry.filesystem is not None:
            entry.filesystem.problems.append(f"{entry.path} cannot be unpacked: {error}")
        return b""


def _text_of(entry: Entry) -> str:
    return _content_of(entry).decode("utf-8", "replace")


def _keep(entries: list[Entry], *, raw: Path) -> None:
    """The body file, as mactime reads it: MD5|name|inode|mode|UID|GID|size|atime|mtime|ctime|crtime."""
    with gzip.open(raw / "bodyfile.txt.gz", "wt", encoding="utf-8", errors="backslashreplace", compresslevel=3) as file:
        for entry in entries:
            times = entry.times
            seconds = "|".join(
                str(value // 1_000_000_000) for value in (times.accessed, times.modified, times.changed, times.born)
            )
            name = f"{entry.path}{' (deleted)' if entry.deleted else ''}".replace("|", "\\x7c").replace("\n", "\\n")
            row = f"0|{name}|{entry.inode}|{entry.mode:o}|{entry.uid}|{entry.gid}|{entry.size}|{seconds}"
            file.write(row + "\n")
