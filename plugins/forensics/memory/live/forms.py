"""The forms in which the live response's script writes what it takes. Pure; every byte is the target's.

``head -c N FILE…`` gives ``==> FILE <==`` before each file, ``ls -ln`` the target of a link after ``->``, the script's own
``show`` gives ``== FILE``. Whoever starts a process chooses bytes of some of these texts, so a process that is named twice in
one list is told (:attr:`Sections.twice`), and the first one counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

MOST_LINES = 400_000
_HEAD = re.compile(rb"\n?==> /proc/(\d{1,9})/[a-z/]{1,20} <==\n")
_LINK = re.compile(rb" /proc/(\d{1,9})/exe -> (.*)\Z")
_FOLDER = re.compile(rb"/proc/(\d{1,9})/fd:\Z")
_FILE = re.compile(rb" (\d{1,9}) -> (.*)\Z")
_SHOWN = re.compile(rb"(?:\A|\n)== ([^\n]{1,300})\n")


@dataclass
class Sections:
    """The bytes of each process's file, and the processes that a list names more than once."""

    of: dict[int, bytes] = field(default_factory=dict)
    twice: set[int] = field(default_factory=set)


def heads(data: bytes) -> Sections:
    """The files of ``head -c N /proc/1/NAME /proc/2/NAME …`` by process."""
    found = Sections()
    for mark, body in _parts(_HEAD, data):
        pid = int(mark[1])
        if pid in found.of:
            found.twice.add(pid)
        else:
            found.of[pid] = body
    return found


def shown(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each part that begins with ``== NAME``."""
    for mark, body in _parts(_SHOWN, data):
        yield text(mark[1]), body


def _parts(pattern: re.Pattern[bytes], data: bytes) -> Iterator[tuple[re.Match[bytes], bytes]]:
    marks = list(pattern.finditer(data))
    ends = [mark.start() for mark in marks[1:]] + [len(data)]
    return ((mark, data[mark.end() : end]) for mark, end in zip(marks, ends, strict=False))


def lines(data: bytes) -> Iterator[bytes]:
    """The lines, so many at most."""
    for number, line in enumerate(data.split(b"\n")):
        if number >= MOST_LINES:
            return
        yield line


def programs(data: bytes) -> dict[int, str]:
    """The program of each process, as ``ls -ln /proc/*/exe`` shows it."""
    found: dict[int, str] = {}
    for line in lines(data):
        if match := _LINK.search(line):
            found.setdefault(int(match[1]), text(match[2]))
    return found


def open_files(data: bytes) -> dict[int, dict[int, str]]:
    """What each descriptor of each process is open on, as ``ls -ln /proc/*/fd`` shows it."""
    found: dict[int, dict[int, str]] = {}
    pid = None
    for line in lines(data):
        if folder := _FOLDER.search(line):
            pid = int(folder[1])
        elif pid is not None and (file := _FILE.search(line)):
            found.setdefault(pid, {}).setdefault(int(file[1]), text(file[2]))
    return found


def words(data: bytes) -> list[str]:
    """NUL-separated texts, as in ``cmdline`` and ``environ``."""
    return [text(word) for word in data.strip(b"\n").split(b"\0") if word]


def text(data: bytes) -> str:
    """Bytes of the target as text; a byte that is no UTF-8 is replaced."""
    return bytes(data).decode("utf-8", "replace")
