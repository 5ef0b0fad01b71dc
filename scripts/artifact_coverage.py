"""Write ``docs/artifacts.md``: each Linux and Windows definition of ForensicArtifacts, and what the toolkit does with it.

The definitions are a check-list that others keep: release 20260421 of the package ``artifacts``, to which plaso is locked. Their names,
systems, kinds and places are in ``tests/data/forensic_artifacts-20260421.json.xz`` (Apache-2.0, The ForensicArtifacts.com authors). What is
read or collected is what the toolkit itself declares: ``rules.artifacts.KINDS``, ``windows_disk.KINDS`` and ``REGISTRY``,
``collect_sets.json``. Run ``make artifact-table`` after a change of these; a test fails when the table is out of step.
"""

from __future__ import annotations

import json
import lzma
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "docs" / "artifacts.md"
DEFINITIONS = ROOT / "tests" / "data" / "forensic_artifacts-20260421.json.xz"
sys.path.insert(0, str(ROOT / "ami" / "toolkit" / "src"))

from forensic_toolkit.commands import collect, windows_disk  # noqa: E402
from forensic_toolkit.rules import artifacts  # noqa: E402

READ, PART, COLLECTED, LIVE, MISSING = "read", "read in part", "collected", "not on a disk", "not covered"
SYSTEMS = ("Linux", "Windows")
_HOMES = {"Linux": ("/root", "/home/user"), "Windows": ("/Users/user",)}
_VARIABLES: dict[str, str | dict[str, tuple[str, ...]]] = {
    "users.homedir": _HOMES, "users.userprofile": _HOMES,
    "users.localappdata": "/Users/user/AppData/Local", "users.appdata": "/Users/user/AppData/Roaming", "users.temp": "/Users/user/AppData/Local/Temp",
    "environ_systemroot": "/Windows", "environ_windir": "/Windows", "environ_systemdrive": "", "environ_programfiles": "/Program Files",
    "environ_programfilesx86": "/Program Files (x86)", "environ_programdata": "/ProgramData", "environ_allusersappdata": "/ProgramData",
    "environ_allusersprofile": "/ProgramData", "users.username": "user", "users.sid": "S-1-5-21-1",
}  # fmt: skip
# What a star may stand for: nothing, a name, a container; at the end of a path on Linux also a rotation, or a name of the folder's kind.
_STARS = ("", "a", "0a" * 32)
_LAST = (".log", ".1", "-20261120", "a.log", "audit.log", "a.service", "a.conf", "a.rules", "a0000101c0b1a2")
_HIVES = {
    r"HKEY_LOCAL_MACHINE\\SYSTEM(\\|$)": "/Windows/System32/config/SYSTEM",
    r"HKEY_LOCAL_MACHINE\\SOFTWARE(\\|$)": "/Windows/System32/config/SOFTWARE",
    r"HKEY_LOCAL_MACHINE\\SAM(\\|$)": "/Windows/System32/config/SAM",
    r"HKEY_LOCAL_MACHINE\\SECURITY(\\|$)": "/Windows/System32/config/SECURITY",
    r"HKEY_USERS\\[^\\]+\\SOFTWARE\\Classes(\\|$)": "/Users/user/AppData/Local/Microsoft/Windows/UsrClass.dat",
    r"HKEY_(USERS\\[^\\]+|CURRENT_USER)(\\|$)": "/Users/user/NTUSER.DAT",
}
_NOT_STORED = re.compile(r"/(proc|sys|dev|run|var/run)/|/(proc|sys|dev)$")


@dataclass(frozen=True)
class Covered:
    """What becomes of one place: the state, and the reader's or the set's name."""

    state: str
    by: str = ""


@cache
def definitions() -> dict[str, list[tuple[str, list[str], list[str]]]]:
    """Sources (kind, systems, places) by the definition's name."""
    loaded = json.loads(lzma.decompress(DEFINITIONS.read_bytes()))
    return {name: [(kind, systems, places) for kind, systems, places in sources] for name, sources in loaded}


@cache
def _readers(system: str) -> tuple[tuple[str, re.Pattern[str]], ...]:
    kinds = [k for k in (*artifacts.KINDS, *windows_disk.KINDS) if k.windows == (system == "Windows") and not k.layers]
    return tuple((k.name, re.compile(k.pattern, re.IGNORECASE if k.windows else 0)) for k in kinds)


@cache
def _sets() -> dict[str, re.Pattern[str]]:
    return collect.sets()


@cache
def _of_file(place: str, system: str) -> Covered:
    if system == "Linux" and _NOT_STORED.match(place):
        return Covered(LIVE, "memory, live response")
    examples = list(_examples(place, system))
    for name, pattern in _readers(system):
        if any(pattern.fullmatch(example) for example in examples):
            return Covered(READ, name)
    for name, pattern in _sets().items():
        if (name == "windows") == (system == "Windows") and any(pattern.fullmatch(example) for example in examples):
            return Covered(COLLECTED, f"set {name}")
    return Covered(MISSING)


def _examples(place: str, system: str) -> Iterator[str]:
    """Paths that a pattern of the definitions stands for."""
    text = place.replace("\\", "/") if system == "Windows" else place
    heads = [text]
    for name, value in _VARIABLES.items():
        values = value[system] if isinstance(value, dict) else (value,)
        heads = [head.replace(f"%%{name}%%", one) for head in heads for one in values]
    for head in dict.fromkeys(heads):
        parts = re.split(r"(\*\*\d*|\*|\?)", head)
        stars = [number for number, part in enumerate(parts) if part.startswith("*")]
        options: list[tuple[str, ...]] = [("a",) if part == "?" else (part,) for part in parts]
        for number in stars[-3:]:
            last = number == stars[-1] and system == "Linux" and "**" not in head
            options[number] = (*_STARS, *_LAST) if last else _STARS
        for number in stars[:-3]:
            options[number] = ("", "a")
        yield from ("".join(chosen) for chosen in product(*options))


def _of_registry(place: str) -> Covered:
    key = place.replace("%%users.sid%%", "S-1-5-21-1").replace(
        "HKEY_LOCAL_MACHINE\\System", "HKEY_LOCAL_MACHINE\\SYSTEM"
    )
    for name, pattern in windows_disk.REGISTRY.items():
        if re.match(pattern, key.replace("*", "a"), re.IGNORECASE):
            return Covered(READ, name)
    for pattern, hive in _HIVES.items():
        if re.match(pattern, key, re.IGNORECASE):
            held = _sets()["windows"].fullmatch(hive)
            return Covered(COLLECTED, f"hive {hive.rsplit('/', 1)[1]}") if held else Covered(MISSING)
    return Covered(MISSING)


def covered(name: str, system: str, *, above: tuple[str, ...] = ()) -> list[Covered]:
    """What becomes of every place of a definition on a system; of a group, of every place of its members."""
    found: list[Covered] = []
    for kind, systems, places in definitions().get(name, []):
        if system not in systems:
            continue
        if kind == "ARTIFACT_GROUP":
            found += [c for m in places if m not in above for c in covered(m, system, above=(*above, name))]
        elif kind in ("FILE", "PATH", "DIRECTORY"):
            found += [_of_file(place, system) for place in places]
        elif kind.startswith("REGISTRY"):
            found += [_of_registry(place) for place in places]
        else:
            found += [Covered(LIVE, "a command or query on the running system")] * len(places)
    return found


def row(name: str, places: list[Covered]) -> tuple[str, str]:
    """(state, line of the table) of a definition; ``read`` only when every one of its places is."""
    count = Counter(place.state for place in places)
    state = next((s for s in (READ, COLLECTED, LIVE) if count[s]), MISSING)
    if state == READ and count[READ] < len(places):
        state = PART
    said = [f"{count[s]} {s}" for s in (READ, COLLECTED, LIVE) if count[s]]
    numbers = "" if max(count.values()) == len(places) else f" ({', '.join(said)}, of {len(places)} places)"
    by = ", ".join(dict.fromkeys(place.by for place in places if place.by))
    return state, f"| {name} | {state}{numbers} | {by} |"


def page() -> str:
    """The whole page."""
    parts, totals = [], []
    for system in SYSTEMS:
        rows = {name: row(name, found) for name in definitions() if (found := covered(name, system))}
        count = Counter(state for state, _ in rows.values())
        totals.append(
            f"| {system} | {len(rows)} | {count[READ]} | {count[PART]} | {count[COLLECTED]} | {count[LIVE]} | {count[MISSING]} |"
        )
        lines = "\n".join(line for _, line in rows.values())
        parts.append(f"## {system}\n\n| Definition | State | By |\n|---|---|---|\n{lines}\n")
    return _HEAD.replace("TOTALS", "\n".join(totals)) + "\n" + "\n".join(parts)


_HEAD = """# What is read of a disk, and what is not

[ForensicArtifacts](https://github.com/ForensicArtifacts/artifacts) is a list of places that examiners look at, kept by others: here its release
20260421 as a check-list. Made by `make artifact-table` from the places that the toolkit's own code declares; a test fails when it is out of step.

* **read**: a reader or rule of the quick profile examines it (the kind's name, as under `artifacts` in `results.json`);
* **read in part**: so are some of its places; how many, and how many more are collected, stands beside it;
* **collected**: nothing here reads it, the profile `collect` copies it, for the registry the whole hive;
* **not on a disk**: of the running system (`/proc`, `/sys`, commands, WMI): [memory and the live response](memory.md) have a part of it;
* **not covered**: neither. plaso (full profile) reads some of these: browsers, for instance.

Places are the definition's paths, keys and values; a folder counts as read when files of the reader's kind in it are.

| System | Definitions | Read | Read in part | Collected | Not on a disk | Not covered |
|---|---|---|---|---|---|---|
TOTALS
"""


def main() -> int:
    """Write the page."""
    OUT.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{OUT.relative_to(ROOT)} written\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
