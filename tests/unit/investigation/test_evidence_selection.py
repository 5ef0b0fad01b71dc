"""What can be examined, and whether more is on its way."""

from __future__ import annotations

import pytest

from forensics.investigation.evidence_selection import examinable, still_acquiring
from forensics.models.evidence import AnyEvidence, EvidenceKind, Outcome
from forensics.models.plan import Action, ResponsePlan
from tests.unit.builders import decision, evidence, plan

MEMORY, DISK = EvidenceKind.MEMORY, EvidenceKind.DISK
URI = "s3://evidence/k"


@pytest.mark.parametrize(
    ("item", "kind", "there"),
    [
        (evidence(MEMORY, Outcome.ACQUIRED, uri=URI), MEMORY, True),
        (evidence(MEMORY, Outcome.PARTIAL, uri=URI), MEMORY, True),
        # Single processes only: there is no image.
        (evidence(MEMORY, Outcome.PARTIAL), MEMORY, False),
        (evidence(MEMORY, Outcome.FAILED, uri=URI), MEMORY, False),
        (evidence(DISK, Outcome.ACQUIRED), DISK, True),
        (evidence(DISK, Outcome.PARTIAL, uri=URI), DISK, False),
        (evidence(DISK, Outcome.PENDING), DISK, False),
        (evidence(DISK, Outcome.ACQUIRED), MEMORY, False),
    ],
)
def test_what_the_tools_can_examine(item: AnyEvidence, kind: EvidenceKind, there: bool) -> None:
    assert examinable([item], kind) == ([item.evidence_id] if there else [])


IMPOSSIBLE = plan().model_copy(update={"memory": decision(Action.MEMORY, possible=False)})


@pytest.mark.parametrize(
    ("known", "items", "kind", "expected"),
    [
        (None, [], MEMORY, False),
        (plan(), [], MEMORY, True),
        (plan(memory=False), [], MEMORY, False),
        (IMPOSSIBLE, [], MEMORY, False),
        (plan(disk=False), [], DISK, False),
        (plan(), [evidence(DISK, Outcome.PENDING)], DISK, True),
        (plan(), [evidence(DISK, Outcome.ACQUIRED), evidence(DISK, Outcome.PENDING)], DISK, True),
        (plan(), [evidence(DISK, Outcome.FAILED)], DISK, False),
        # An item of the other kind says nothing.
        (plan(), [evidence(DISK, Outcome.FAILED)], MEMORY, True),
    ],
)
def test_more_is_expected_until_every_item_has_its_outcome(
    known: ResponsePlan | None, items: list[AnyEvidence], kind: EvidenceKind, expected: bool
) -> None:
    assert still_acquiring(known, items, kind) is expected


def test_what_an_earlier_try_recorded_says_nothing_while_its_task_works_again() -> None:
    failed = [evidence(DISK, Outcome.FAILED)]
    assert still_acquiring(plan(), failed, DISK, working=True)
    assert not still_acquiring(plan(disk=False), failed, DISK, working=True)
