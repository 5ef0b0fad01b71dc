"""What a run changes on the target, seen from its system calls and held against the page for the court (docs/footprint.md)."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.paths import ROOT
from lab.userland.bucket import Bucket, bucket
from lab.userland.host import How, offered_tool, run

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
PAGE = (ROOT / "docs/footprint.md").read_text("utf-8")
WORK = re.compile(r"/(run|dev/shm|tmp)/fc\.\d{8}(/|$)")
# Where a program may open something for writing without changing a file.
HARMLESS = {"/dev/null", "/dev/tty", "/dev/stdout", "/proc/self/fd/1"}
CHANGES = "open,openat,creat,mkdir,mkdirat,rename,renameat,renameat2,unlink,unlinkat,rmdir,link,linkat,symlink,symlinkat,truncate,mknod,mknodat,mount,init_module,finit_module,delete_module"
CALL = re.compile(r'^\d+\s+(\w+)\((?:(?:AT_FDCWD|\d+)<([^>]*)>, )?"([^"]*)"(.*)= (\d+)')


@dataclass(frozen=True)
class Seen:
    """Programs started (their names, and how often), files changed, files read, of one run."""

    started: int
    programs: frozenset[str]
    changed: frozenset[str]
    read: frozenset[str]


@pytest.fixture(scope="module")
def store() -> Iterator[Bucket]:
    """One server for these tests."""
    with bucket() as state:
        yield state


def seen(document: str, store: Bucket, folder: Path, *, manifest: tuple[str, ...] = ()) -> Seen:
    """Run a document under strace."""
    log = folder / "calls"
    shell = ("strace", "-f", "-y", "-qq", "-o", str(log), "-e", f"trace=execve,{CHANGES}", "sh")
    done = run(document, How(shell=shell, manifest=manifest, seconds=300, timeout=400), store)
    assert done.status.get("status") in {"ok", "partial"}, done.stderr
    programs: list[str] = []
    changed, read = set(), set()
    for line in log.read_text(errors="replace").splitlines():
        found = CALL.match(line)
        if not found:
            continue
        call, at, path, rest, _ = found.groups()
        path = path if path.startswith("/") or not at else f"{at}/{path}"
        if call == "execve":
            programs.append(Path(path).name)
        elif call in {"open", "openat"} and not re.search(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC", rest):
            read.add(path)
        else:
            changed.add(path)
    return Seen(len(programs), frozenset(programs), frozenset(changed), frozenset(read))


def outside(paths: frozenset[str]) -> list[str]:
    """Changed files that are neither in the work folder nor no files at all."""
    return sorted(p for p in paths if not WORK.match(p) and p not in HARMLESS and not p.startswith("/proc/"))


def stated(document: str) -> tuple[int, int]:
    """The page's limits for a document: programs started, files of the disk read."""
    found = re.search(rf"(?m)^\| `{document}` \| (\d+) \| (\d+) \|", PAGE)
    assert found, f"docs/footprint.md has no row for {document}"
    return int(found[1]), int(found[2])


def of_the_disk(paths: frozenset[str]) -> set[str]:
    """Files that are neither the kernel's nor in the work folder."""
    return {p for p in paths if p.startswith("/") and not re.match(r"/(proc|sys|dev|run)/", p) and not WORK.match(p)}


def named() -> set[str]:
    """The programs that the page names."""
    section = PAGE.split("## Programs that are started")[1].split("\n## ")[0]
    return {word for text in re.findall(r"`([^`]+)`", section) for word in text.split()}


@pytest.mark.parametrize("document", ["probe_linux", "live_response_linux", "acquire_memory_linux"])
def test_a_run_changes_what_the_page_says_and_nothing_else(document: str, store: Bucket, tmp_path: Path) -> None:
    tool = offered_tool(store, "#!/bin/sh\nhead -c 3000000 /dev/zero\n") if document.startswith("acquire") else ()
    found = seen(document, store, tmp_path, manifest=tool)
    assert outside(found.changed) == [], "a file outside of the work folder in memory was changed"
    most_programs, most_files = stated(document)
    assert found.started <= most_programs, f"{found.started} programs were started"
    assert len(of_the_disk(found.read)) <= most_files, f"{len(of_the_disk(found.read))} files were read"
    unknown = {name for name in found.programs if not re.fullmatch(r"fc\..*|_script.*", name)} - named()
    assert not unknown, "the page does not name these programs"
