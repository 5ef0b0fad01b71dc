"""The record of the largest sweep that can be ordered fits into an item of the table; the message stays short."""

from __future__ import annotations

import json

from forensics.incident.sweep_order import MOST_INDICATORS, MOST_TARGETS
from forensics.incident.sweep_record import lines_of, short
from forensics.models.indicators import Indicator, IndicatorKind
from forensics.models.sweeps import MOST_HITS, SweepHit, SweepOrder, SweepReport, SweepState, SweepTarget, SweptTarget
from tests.unit.builders import NOW

ITEM_BYTES = 400 * 1024  # Amazon DynamoDB developer guide, *Quotas*: item size
HIT = SweepHit(kind=IndicatorKind.DOMAIN, value="d" * 300, at="\u00e9" * 300)


def largest(targets: int = MOST_TARGETS) -> SweepReport:
    places = [
        SweepTarget(account_id="333344445555", region="ap-southeast-2", subject=f"i-{n:017x}") for n in range(targets)
    ]
    indicators = [
        Indicator(kind=IndicatorKind.DOMAIN, value=f"{n:03}" + "d" * 250, where="w" * 200)
        for n in range(MOST_INDICATORS)
    ]
    order = SweepOrder(
        sweep_id="sw-20261121-0123456789", at=NOW, asked_by="a" * 500, reason="r" * 500, unsearched=("u" * 200,) * 50,
        indicators=tuple(indicators), targets=tuple(places),
    )  # fmt: skip
    swept = [
        SweptTarget(
            target=place, state=SweepState.FOUND, reason="\u00e9" * 2000, looked="l" * 500, hits=(HIT,) * MOST_HITS,
            command_id="c" * 36, document="forensics-sweep_windows", document_sha256="a" * 64, ended_at=NOW,
        )
        for place in places
    ]  # fmt: skip
    return SweepReport(order=order, ended_at=NOW, targets=tuple(swept))


def test_the_largest_sweep_fits_into_one_item() -> None:
    kept = short(largest())
    assert len(json.dumps(kept.to_store(), ensure_ascii=False).encode()) < ITEM_BYTES
    assert kept.targets[0].more == MOST_HITS - len(kept.targets[0].hits), "what is left out is counted"


def test_of_few_targets_three_hits_each_are_kept() -> None:
    assert {len(t.hits) for t in short(largest(10)).targets} == {3}


def test_the_message_names_ten_targets_with_the_command_and_counts_the_rest() -> None:
    lines = lines_of(largest())
    assert len(lines) == 21 and lines[1].startswith("Open a case there: forensics start i-")
    assert lines[-1] == "and 190 targets more; the task conclude_sweep has all"
    assert all(len(line) < 1000 for line in lines)
