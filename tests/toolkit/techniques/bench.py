"""Plant techniques, run the quick profile, compare findings with plants; ``report`` writes docs/techniques.md from it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from forensic_toolkit.technique_ids import technique_id
from lab.tools.windows import server as windows_volume
from tests.toolkit.examined import examine, moment
from tests.toolkit.techniques import images, servers, windows_server
from tests.toolkit.techniques.linux import TECHNIQUES as LINUX
from tests.toolkit.techniques.plants import Plant, Technique, planted
from tests.toolkit.techniques.windows import TECHNIQUES as WINDOWS

EXACT = timedelta(seconds=1)
# (kind of image, model of the clean server that it holds)
DISKS = (("ext4", "web"), ("xfs", "ci"), ("btrfs", "ci"), ("lvm", "web"))
NAMED, FAMILY, FOUND, MISSED = "named", "parent or child named", "found, not named", "missed"


@dataclass(frozen=True)
class Verdict:
    """What became of one plant."""

    plant: Plant
    disk: str
    state: str
    exact: bool  # a finding that counts has the plant's time, ± 1 s
    said: str  # the finding that counts
    severity: str


@dataclass(frozen=True)
class Judged:
    """The verdicts on one disk, and the findings that belong to no plant: severity and title."""

    verdicts: list[Verdict]
    false: list[tuple[str, str]]
    seconds: float
    gaps: list[dict[str, str]]


def dealt(techniques: Sequence[Technique], *, among: int) -> list[list[Technique]]:
    """The techniques spread over so many disks."""
    return [list(techniques[number::among]) for number in range(among)]


def linux(techniques: Sequence[Technique], folder: Path, *, kind: str, model: str, seed: int, whole: bool) -> Judged:
    """One disk: built, examined, judged."""
    plants = list(planted(techniques, seed=seed))
    image = folder / f"{kind}.raw"
    images.write(servers.server(model, plants), image, kind=kind)
    return judged(plants, examine(image, whole=whole), disk=kind)


def judged(plants: Sequence[Plant], results: dict[str, Any], *, disk: str) -> Judged:
    """Compare findings with plants."""
    findings: list[dict[str, Any]] = results["findings"]
    verdicts, used = [], set()
    for plant in plants:
        own = [finding for finding in findings if belongs(finding, plant)]
        used |= {finding["id"] for finding in own}
        verdicts.append(_verdict(plant, own, disk=disk))
    false = [(finding["severity"], finding["title"]) for finding in findings if finding["id"] not in used]
    seconds = (moment(results["ended"]) - moment(results["started"])).total_seconds()
    return Judged(verdicts, false, seconds, results["gaps"])


def belongs(finding: dict[str, Any], plant: Plant) -> bool:
    """Whether a finding is about a plant: it has its time, or its word."""
    return plant.word in str(finding) or _exact(finding, plant)


def times_of(finding: dict[str, Any]) -> Iterable[datetime]:
    """All times that a finding tells."""
    told = [
        finding["time"],
        finding["first"],
        finding["last"],
        *(item["time"] for item in finding["data"].get("examples", [])),
    ]
    return [moment(text) for text in told if text]


def _exact(finding: dict[str, Any], plant: Plant) -> bool:
    last = max((getattr(trace, "after", 0) for trace in plant.technique.traces), default=0)
    until = plant.moment + timedelta(seconds=last)
    return any(plant.moment - EXACT <= time <= until + EXACT for time in times_of(finding))


def _names(finding: dict[str, Any]) -> set[str]:
    return {finding["technique"] or "", *finding["data"].get("techniques", [])} - {""}


def _verdict(plant: Plant, own: list[dict[str, Any]], *, disk: str) -> Verdict:
    wanted = technique_id(plant.technique.id) or ""
    family = wanted.split(".")[0]
    named = [finding for finding in own if wanted in _names(finding)]
    related = [
        f
        for f in own
        if any(name == family or (wanted == family and name.startswith(f"{family}.")) for name in _names(f))
    ]
    state, counted = next(
        (state, group) for state, group in ((NAMED, named), (FAMILY, related), (FOUND, own), (MISSED, [None])) if group
    )
    if state == MISSED:
        return Verdict(plant, disk, state, exact=False, said="", severity="")
    exact = [finding for finding in counted if _exact(finding, plant)]
    best = (exact or counted)[0]
    return Verdict(
        plant, disk, state, exact=bool(exact), said=f"{best['title']} ({best['technique']})", severity=best["severity"]
    )


def windows(techniques: Sequence[Technique], folder: Path, *, number: int, seed: int, whole: bool) -> Judged:
    """One NTFS volume with a Windows server: built, examined, judged."""
    plants = list(planted(techniques, seed=seed))
    image = folder / f"ntfs-{number}.raw"
    files, created = windows_server.contents(plants)
    windows_volume.volume(image, files, created=created, mib=32)
    return judged(plants, examine(image, whole=whole), disk=f"NTFS {number}")


def run(folder: Path, *, seed: int) -> list[tuple[str, Judged]]:
    """The whole benchmark: (system, verdicts of a disk). Says on stdout which disk is worked on."""
    done = []
    for number, (techniques, (kind, model)) in enumerate(zip(dealt(LINUX, among=len(DISKS)), DISKS, strict=True)):
        print(f"[techniques] Linux on {kind}: {len(techniques)} techniques", flush=True)
        done.append(("Linux", linux(techniques, folder, kind=kind, model=model, seed=seed + number, whole=True)))
    for number, techniques in enumerate(dealt(WINDOWS, among=2), start=1):
        print(f"[techniques] Windows on NTFS, disk {number}: {len(techniques)} techniques", flush=True)
        done.append(("Windows", windows(techniques, folder, number=number, seed=seed + 10 + number, whole=True)))
    return done
