"""The ``disk`` command: files, logs, rules and timeline of every file system of a volume; plaso's timeline in the full profile."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from time import monotonic

from forensic_toolkit import __version__
from forensic_toolkit.commands import collect, windows_disk
from forensic_toolkit.errors import EvidenceError
from forensic_toolkit.filesystems import deleted_names, file_timeline
from forensic_toolkit.filesystems.entries import Entry, FileSystem, Partition, Times
from forensic_toolkit.filesystems.entry_table import EntryTable
from forensic_toolkit.filesystems.luks import Key
from forensic_toolkit.filesystems.mounts import Walked, arrange
from forensic_toolkit.filesystems.tree import Tree
from forensic_toolkit.filesystems.volumes import Disk
from forensic_toolkit.readers import system_logs
from forensic_toolkit.readers.coverage import Coverage, unreached
from forensic_toolkit.results import Finding, Results, ToolRun
from forensic_toolkit.rules import (
    account_rules,
    artifacts,
    browser_rules,
    container_rules,
    file_rules,
    linux_records,
    log_rules,
    package_rules,
    persistence_rules,
    shell_histories,
    yara_rules,
)
from forensic_toolkit.rules.rule_packs import Packs
from forensic_toolkit.runners import plaso_program

TREE_RULES: tuple[Callable[[Tree], Iterable[Finding]], ...] = (
    account_rules.superusers,
    account_rules.passwords,
    account_rules.login_keys,
    account_rules.sudo_rights,
    account_rules.login_programs,
    file_rules.privileged,
    file_rules.hidden_programs,
    file_rules.new_programs,
    file_rules.borrowed_names,
    file_rules.changed_programs,
    file_rules.differing_programs,
    file_rules.forged_times,
    file_rules.deleted_files,
    file_rules.library_preload,
    file_rules.kernel_modules,
    container_rules.host_access,
    container_rules.commands,
    container_rules.changes,
    persistence_rules.cron,
    persistence_rules.started,
    persistence_rules.added_modules,
    persistence_rules.certificate_authorities,
)


QUICK, FULL, COLLECT, COMPARE = "quick", "full", "collect", "compare"


def analyse(
    device: Path,
    *,
    results: Results,
    raw: Path,
    profile: str,
    others: tuple[Path, ...] = (),
    packs: Packs | None = None,
    keys: Sequence[Key] = (),
) -> None:
    """Fill ``results``: rules (quick), plaso's timeline (full), or copies of files (collect).

    What the quick profile counted is ``comparable`` in the results: a command of its own compares it with dissect, afterwards.
    Raises ToolkitError when nothing can be read.
    """
    if profile in (FULL, COLLECT):
        found = examine(device, results=results, raw=raw, others=others, keys=keys)
        named = {finding.source for finding in results.findings}
        quick = list(results.findings), list(results.events), results.file_times
        # Findings belong to the quick profile; here they only say how much plaso must see, or which files to copy.
        results.findings.clear()
        results.events.clear()
        results.file_times = None
    if profile == COLLECT:
        collect.run(found.tree, named=named, results=results, raw=raw)
        return
    if profile == FULL:
        complete = plaso_program.run(
            device,
            found.volumes,
            results=results,
            raw=raw,
            coverage=found.coverage,
            files=found.files,
            windows=found.windows,
        )
        if not complete:
            # Better than a part of a timeline alone: what the quick profile found on the way.
            results.findings.extend(quick[0])
            results.events.extend(quick[1])
            results.file_times = quick[2]
        if found.windows:
            volume = windows_disk.source(device, found.tree, folder=raw.parent)
            windows_disk.master_file_table(volume, results=results, raw=raw)
        return
    found = examine(device, results=results, raw=raw, windows_too=True, others=others, packs=packs, keys=keys)
    results.comparable = found.expected


@dataclass(frozen=True, slots=True)
class Examined:
    """What other tools are compared with: expected records by dissect function, and the coverage of all logs."""

    expected: dict[str, int]
    coverage: Coverage
    files: int
    windows: bool
    volumes: list[Partition]
    tree: Tree
    disk: Disk  # its overlays exist as long as it does


def examine(
    device: Path,
    *,
    results: Results,
    raw: Path,
    windows_too: bool = False,
    others: Iterable[Path] = (),
    packs: Packs | None = None,
    keys: Sequence[Key] = (),
) -> Examined:
    """Read all file systems and apply all rules; artifacts of a Windows system only with ``windows_too``.

    ``others`` are the instance's other volumes: members of the same arrays and volume groups are taken from them; ``packs`` are rules
    of the user's own; ``keys`` open LUKS volumes.
    """
    started = monotonic()
    disk = Disk(device, others=others, keys=keys)
    walked = list(_walk(disk, results=results))
    entries = arrange(walked, results=results)
    results.runs.append(ToolRun("pytsk3", _version("pytsk3"), ["walk"], 0, monotonic() - started, len(entries)))
    if not entries:
        reasons = "; ".join(f"{what}: {why}" for what, why in results.gaps)
        raise EvidenceError(f"no file system on this volume could be read: {reasons or 'it holds none'}")
    tree = Tree(entries)
    system = tree.get("/etc/passwd") is not None
    results.apply("package lists", rule=partial(_packages, tree, results=results))
    results.counts["system_volume"] = int(system)
    if system and not tree.installed_until_ns:
        results.gap(
            "time of installation",
            "too few system programs: files added after the installation cannot be distinguished from the rest",
        )
    for rule in TREE_RULES:
        started = monotonic()
        name = f"{rule.__module__.rsplit('.', 1)[-1]}.{rule.__name__}"
        count = results.apply(name, rule=partial(rule, tree))
        results.runs.append(ToolRun("rules", __version__, [name], 0, monotonic() - started, count))
    results.apply("YARA", rule=partial(yara_rules.findings, tree, results=results, more=packs.yara if packs else ()))
    coverage = Coverage()
    _read_logs(tree, coverage=coverage, results=results)
    if system and packs is not None and packs.sigma:
        results.findings.extend(linux_records.findings(tree, packs, results=results))
    windows = windows_disk.is_windows(tree)
    if windows and windows_too:
        windows_disk.examine(device, tree, coverage=coverage, results=results, raw=raw, packs=packs)
    notable = {finding.source for finding in results.findings}
    results.events.extend(file_timeline.events((e for e in entries if e.path in notable), notable=notable))
    results.file_times = file_timeline.FileTimes(entries, without=notable)
    results.counts |= {"files": len(entries), "deleted_names": sum(entry.deleted for entry in entries)}
    _keep(entries, raw=raw)
    for filesystem in entries.filesystems():
        for problem, times in Counter(filesystem.problems).items():
            results.gap("file that cannot be read", problem + (f" ({times} times)" if times > 1 else ""))
    coverage.report(results)
    results.artifacts = artifacts.states(tree, results=results, kinds=(*artifacts.KINDS, *windows_disk.KINDS))
    present = sum(not entry.deleted for entry in entries)
    expected = _expected(tree, coverage=coverage) if system else {}
    if expected and disk.replayed:
        results.note(
            "dissect",
            "it reads the device itself, without what journals hold and what is encrypted; its counts were not compared",
        )
        expected = {}
    return Examined(expected, coverage, present, windows, disk.volumes, tree, disk)


def _packages(tree: Tree, *, results: Results) -> Iterator[Finding]:
    """Read the package lists once, before the rules that need them; yields no findings."""
    found = tree.packages
    results.counts["packages"] = found.packages
    for problem in found.problems:
        results.gap("package lists", problem)
    yield from ()


def _read_logs(tree: Tree, *, coverage: Coverage, results: Results) -> None:
    logs = system_logs.SystemLogs()
    for reading in system_logs.readings(tree, logs=logs, coverage=coverage, results=results):
        # Each log has its own limit: one that is slow, huge or crafted costs no other one's lines.
        results.apply(f"log {reading.path}", rule=partial(_nothing_but, reading.run))
    log_ins = partial(log_rules.log_ins, tree, logs=logs, coverage=coverage, results=results)
    results.apply("log-ins", rule=log_ins)
    results.apply("system messages", rule=partial(log_rules.system_messages, logs, results=results))
    results.apply("shell histories", rule=partial(log_rules.histories, tree, coverage=coverage, results=results))
    packages = partial(package_rules.package_changes, tree, zone=logs.zone, coverage=coverage, results=results)
    results.apply("packages", rule=packages)
    results.apply("container records", rule=partial(container_rules.records, tree, results=results))
    results.apply("container logs", rule=partial(container_rules.logs, tree, results=results))
    results.apply("browsers", rule=partial(browser_rules.findings, tree, coverage=coverage, results=results))
    for name, rule in log_rules.web(tree, coverage=coverage, results=results):
        results.apply(name, rule=rule)


def _nothing_but(action: Callable[[], None]) -> Iterator[Finding]:
    """Run something that gives no findings as a rule: with a limit on its time, its failure a gap."""
    action()
    yield from ()


def _expected(tree: Tree, *, coverage: Coverage) -> dict[str, int]:
    """How many records each dissect function should give: the number that this toolkit itself parsed."""
    jobs = sum(1 for entry in tree.files(r"/etc/cron\.d/[^.].*") if entry.size)
    return {
        "authlog": coverage.parsed(system_logs.AUTH),
        "wtmp": coverage.parsed(log_rules.RECORDS),
        "btmp": coverage.parsed(log_rules.FAILED_RECORDS),
        "commandhistory": coverage.parsed(shell_histories.KIND) // 2,  # each command has a line with its time stamp
        "cronjobs": min(jobs, 1),
    }


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"


def _walk(disk: Disk, *, results: Results) -> Iterator[Walked]:
    for filesystem, identity in disk.file_systems(results):
        results.counts["file_systems"] = results.counts.get("file_systems", 0) + 1
        found = EntryTable(filesystem.walk())
        if len(found) < 2:
            results.gap(filesystem.partition.label, f"{filesystem.kind}: opened, but empty")
        inodes = {entry.inode for entry in found if not entry.deleted}
        if short := unreached(identity, walked=len(inodes)):
            results.gap(filesystem.partition.label, short)
        if filesystem.kind.startswith("EXT"):
            found.extend(_journal_names(filesystem, found, present=inodes))
        yield Walked(filesystem, identity, found)


def _journal_names(filesystem: FileSystem, entries: EntryTable, *, present: set[int]) -> list[Entry]:
    """Deleted names that only the ext4 journal still holds, as entries without times."""
    content = filesystem.read(deleted_names.JOURNAL_INODE, limit=deleted_names.MAX_JOURNAL)
    folders = {entry.inode: entry.path for entry in entries if entry.kind == "DIR" and not entry.deleted}
    folders[filesystem.root_inode] = ""
    names: dict[str, deleted_names.Name] = {}
    for name in deleted_names.in_blocks(content, block=filesystem.block_size):
        folder = folders.get(name.folder_inode)
        if folder is not None:
            names.setdefault(f"{folder}/{name.name}", name)
    found = []
    for path in names.keys() - {path for path in entries.paths if path in names}:
        name = names[path]
        kind = {1: "REG", 2: "DIR", 7: "LNK"}[name.kind]
        deleted = Entry(
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
        found.append(deleted)
    return sorted(found, key=lambda entry: entry.path)


def _keep(entries: Iterable[Entry], *, raw: Path) -> None:
    """The body file, as mactime reads it: MD5|name|inode|mode|UID|GID|size|atime|mtime|ctime|crtime."""
    with gzip.open(raw / "bodyfile.txt.gz", "wt", encoding="utf-8", errors="backslashreplace", compresslevel=3) as file:
        for entry in entries:
            times = entry.times
            seconds = "|".join(
                str(value // 1_000_000_000) for value in (times.accessed, times.modified, times.changed, times.born)
            )
            name = f"{entry.path}{entry.fate}".replace("|", "\\x7c").replace("\n", "\\n")
            row = f"0|{name}|{entry.inode}|{entry.mode:o}|{entry.uid}|{entry.gid}|{entry.size}|{seconds}"
            file.write(row + "\n")
