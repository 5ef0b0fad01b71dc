"""The benchmark of techniques: a part of it on one disk, the lists, and the way in which it judges. ``make techniques-check`` runs all of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from forensic_toolkit.technique_ids import REPLACED
from forensics.attack_techniques import TECHNIQUES
from tests.toolkit.examined import NO_TOOLS, TOOLS
from tests.toolkit.techniques import bench, images, report
from tests.toolkit.techniques.linux import TECHNIQUES as LINUX
from tests.toolkit.techniques.plants import Plant, planted
from tests.toolkit.techniques.windows import TECHNIQUES as WINDOWS

KIND, MODEL = "ext4", "web"


def test_each_list_has_enough_techniques_of_the_pinned_version_once_each() -> None:
    for techniques in (LINUX, WINDOWS):
        ids = [technique.id for technique in techniques]
        assert len(ids) == len(set(ids)) >= 100
        assert set(ids) <= set(TECHNIQUES)
        assert not set(ids) & set(REPLACED)


def test_another_seed_invents_other_details_at_other_times() -> None:
    one, again, other = (list(planted(LINUX, seed=seed)) for seed in (1, 1, 2))
    assert one == again
    assert not {plant.word for plant in one} & {plant.word for plant in other}
    assert all(a.moment != b.moment for a, b in zip(one, other, strict=True))
    assert len({plant.word for plant in one}) == len(one)


@pytest.mark.skipif(not TOOLS.exists(), reason=NO_TOOLS)
@pytest.mark.skipif(images.missing(KIND) is not None, reason=images.missing(KIND) or "")
def test_a_quarter_of_the_linux_techniques_is_named_with_their_times_on_a_real_ext4(tmp_path: Path) -> None:
    techniques = bench.dealt(LINUX, among=len(bench.DISKS))[0]
    judged = bench.linux(techniques, tmp_path, kind=KIND, model=MODEL, seed=7, whole=False)
    short = [
        (verdict.plant.technique.id, verdict.state, verdict.said)
        for verdict in judged.verdicts
        if verdict.state != bench.NAMED
    ]
    print(f"\n[techniques] {KIND}: {len(techniques) - len(short)} of {len(techniques)} named; {short}")
    assert len(short) <= 0.15 * len(techniques)
    assert [
        verdict.plant.technique.id for verdict in judged.verdicts if verdict.state != bench.MISSED and not verdict.exact
    ] == []
    assert [title for severity, title in judged.false if severity in ("critical", "high")] == []
    assert judged.gaps == []


def finding(plant: Plant, technique: str, **other: Any) -> dict[str, Any]:
    """A finding as results.json has it."""
    time = plant.moment.isoformat()
    told = {
        "id": technique,
        "title": "x",
        "severity": "high",
        "technique": technique,
        "time": time,
        "first": time,
        "last": time,
        "data": {},
    }
    return {**told, **other}


def test_only_the_planted_technique_itself_counts_as_named() -> None:
    plants = list(
        planted(
            [next(item for item in LINUX if item.id == wanted) for wanted in ("T1053.003", "T1082", "T1040", "T1027")],
            seed=1,
        )
    )
    cron, system, sniffing, encoded = plants
    late = "2027-01-01T00:00:00+00:00"
    results = {
        "findings": [
            finding(cron, "T1053"),
            finding(system, "T1083", data={"techniques": ["T1082"]}),
            finding(encoded, "T1059.004", time=late, first=late, last=late, detail=f"{encoded.word} | sh"),
            finding(sniffing, "T1105", time=late, first=late, last=late, title="somebody else's"),
        ],
        "gaps": [], "started": late, "ended": late,
    }  # fmt: skip
    judged = bench.judged(plants, results, disk="x")
    assert [(verdict.state, verdict.exact) for verdict in judged.verdicts] == [
        (bench.FAMILY, True),
        (bench.NAMED, True),
        (bench.MISSED, False),
        (bench.FOUND, False),
    ]
    assert judged.false == [("high", "somebody else's")]
    assert report.share([("Linux", judged)], "Linux") == 0.25


def test_the_published_page_reaches_the_targets_and_lists_every_technique() -> None:
    text = report.OUT.read_text("utf-8")
    for system, techniques in (("Linux", LINUX), ("Windows", WINDOWS)):
        rows = text.split(f"\n## {system}\n")[1].split("\n## ")[0].splitlines()
        states = {row.split()[1]: row.split(" | ")[2] for row in rows if row.startswith("| T1")}
        assert set(states) == {technique.id for technique in techniques}, "run `make techniques-check`"
        named = sum(state == bench.NAMED for state in states.values())
        assert named >= report.TARGETS[system] * len(techniques)
        assert f"| {system} | {len(techniques)} | {named} (" in text
