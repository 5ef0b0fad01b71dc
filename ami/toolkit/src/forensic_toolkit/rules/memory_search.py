"""What a memory image shows without a symbol table: kernel banner, command lines, YARA-X matches.

Bytes cannot be assigned to processes here: they may lie in page cache, heap or freed pages. Confidence is therefore low, and
every finding names its offset in the image for a closer look.
"""

from __future__ import annotations

import mmap
import re
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from forensic_toolkit import __version__
from forensic_toolkit.results import Finding, Results, ToolRun
from forensic_toolkit.rules import yara_rules
from forensic_toolkit.rules.command_rules import first_match

SECONDS = 300.0
WINDOW = 32 << 20
# Strings and matches across the end of a window are found in the next one.
OVERLAP = 64 << 10
MAX_COMMANDS = 200
MAX_TEXT = 400
_BANNER = re.compile(rb"Linux version [0-9]\.?[0-9][^\0\n]{20,500}\n")
# Words common to suspicious commands, fast to find; only text around them is matched with the rules.
_WORDS = re.compile(
    rb"/dev/(?:tcp|shm)|/tmp/|/var/tmp/|HISTFILE|/etc/(?:shadow|gshadow|ld\.so\.preload)|authorized_keys|\.aws/|"
    rb"security-credentials|insmod|modprobe|base64|stratum\+|xmrig|kinsing|useradd|adduser|iptables|setenforce|"
    rb"nmap|masscan|chmod|wget |curl "
)
_AROUND = re.compile(rb"[\x20-\x7e]+")


def banners(image: Path) -> list[str]:
    """The kernel banners in the image, most frequent first."""
    found: dict[bytes, int] = {}
    with image.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for match in _BANNER.finditer(content):
            found[match[0]] = found.get(match[0], 0) + 1
    ranked = sorted(found, key=lambda banner: -found[banner])
    return [banner.decode("ascii", "backslashreplace").rstrip("\n") for banner in ranked]


def analyse(image: Path, *, results: Results) -> None:
    """Search the image; if time runs out, a gap names the offset reached."""
    results.apply("command lines without symbols", rule=lambda: _commands(image, results=results))
    results.apply("YARA on memory", rule=lambda: _yara(image, results=results))


def _windows(image: Path, *, what: str, results: Results) -> Iterator[tuple[int, bytes]]:
    """(offset, bytes) of overlapping windows, as long as there is time."""
    deadline = time.monotonic() + min(SECONDS, results.seconds_left() / 2)
    size = image.stat().st_size
    with image.open("rb") as file:
        for start in range(0, size, WINDOW):
            if time.monotonic() > deadline:
                results.gap(what, f"{start} of {size} bytes of the image were searched; there was no time for the rest")
                return
            file.seek(start)
            data = file.read(WINDOW + OVERLAP)
            if data.count(0) != len(data):
                yield start, data


def _commands(image: Path, *, results: Results) -> Iterator[Finding]:
    started, seen = time.monotonic(), set[str]()
    for start, data in _windows(image, what="command lines", results=results):
        for place, text in _lines(data):
            rule = first_match(text)
            if rule is None or rule.severity == "info" or text in seen:
                continue
            seen.add(text)
            if len(seen) > MAX_COMMANDS:
                results.gap("command lines", f"more than {MAX_COMMANDS} suspicious texts; the rest was not listed")
                _ran("commands", started=started, rows=MAX_COMMANDS, results=results)
                return
            yield Finding(
                title=f"{rule.name} (text in memory)",
                detail=text,
                severity="medium" if rule.severity in ("critical", "high") else "low",
                confidence="low",
                source=f"memory image, offset {start + place}",
                technique=rule.technique,
                data={"offset": start + place, "rule": rule.name},
            )
    _ran("commands", started=started, rows=len(seen), results=results)


def _lines(data: bytes) -> Iterator[tuple[int, str]]:
    """Printable text around each word, at most ``MAX_TEXT`` characters, without repetition."""
    done = 0
    for match in _WORDS.finditer(data):
        if match.start() < done:
            continue
        start = match.start()
        lowest = max(0, start - MAX_TEXT // 2)
        while start > lowest and 0x20 <= data[start - 1] <= 0x7E:
            start -= 1
        around = _AROUND.match(data, start, start + MAX_TEXT)
        if around:
            done = around.end()
            yield start, around[0].decode("ascii")


def _yara(image: Path, *, results: Results) -> Iterator[Finding]:
    scanner = yara_rules.scanner(results)
    if scanner is None:
        return
    started, hits = time.monotonic(), dict[str, int]()
    for start, data in _windows(image, what="YARA on memory", results=results):
        for rule in yara_rules.matches(scanner, data, place=f"memory at {start}", results=results):
            if rule.identifier in hits:
                hits[rule.identifier] += 1
                continue
            hits[rule.identifier] = 1
            offsets = [start + match.offset for pattern in rule.patterns for match in pattern.matches]
            yield yara_rules.described(
                rule,
                place=f"memory image, offset {min(offsets, default=start)}",
                about="first match in the image; in pages of any process or of the page cache",
                data={"offset": min(offsets, default=start)},
                confidence="low",
            )
    results.runs.append(
        ToolRun("yara-x", metadata.version("yara-x"), ["memory image"], 0, time.monotonic() - started, len(hits))
    )


def _ran(what: str, *, started: float, rows: int, results: Results) -> None:
    results.runs.append(ToolRun("rules", __version__, [f"memory_search.{what}"], 0, time.monotonic() - started, rows))
