"""What a case is about is one thing: an instance, or an artifact whose id is the case's."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from forensics.models.artifact import Artifact, ArtifactKind, artifact_of
from forensics.models.case import Case
from forensics.models.containment import RestorePoint
from forensics.models.finding import Finding
from tests.unit.builders import IMAGE, INSTANCE, NOW, SNAPSHOT, case, finding, of_snapshot


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (SNAPSHOT, Artifact(kind=ArtifactKind.SNAPSHOT, id=SNAPSHOT)),
        (IMAGE, Artifact(kind=ArtifactKind.IMAGE, id=IMAGE)),
        (INSTANCE, None),
        ("", None),
    ],
)
def test_an_id_says_what_it_is(typed: str, expected: Artifact | None) -> None:
    assert artifact_of(typed) == expected


@pytest.mark.parametrize(
    ("kind", "name"),
    [("snapshot", IMAGE), ("machine image", SNAPSHOT), ("snapshot", "snap-1"), ("recovery point", INSTANCE)],
)
def test_an_artifact_has_an_id_of_its_kind(kind: str, name: str) -> None:
    with pytest.raises(ValidationError):
        Artifact(kind=ArtifactKind(kind), id=name)


@pytest.mark.parametrize("make", [case, finding])
@pytest.mark.parametrize(
    "changes",
    [
        {"instance_id": SNAPSHOT},
        {"instance_id": INSTANCE, "artifact": artifact_of(SNAPSHOT)},
        {"instance_id": IMAGE, "artifact": artifact_of(SNAPSHOT)},
    ],
)
def test_an_artifacts_id_never_stands_where_an_instances_does(make: Any, changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=r"is no instance|is not snap-"):
        make(**changes)


def test_what_changes_a_machine_takes_no_artifact() -> None:
    with pytest.raises(ValidationError, match="instance_id"):
        RestorePoint(restore_id="r", instance_id=SNAPSHOT, interfaces=(), taken_at=NOW)


def test_a_case_says_what_it_is_about_and_reads_what_earlier_releases_stored() -> None:
    assert case().subject == f"instance {INSTANCE}" and of_snapshot().subject == f"snapshot {SNAPSHOT}"
    point = Artifact(kind=ArtifactKind.RECOVERY_POINT, id=IMAGE)
    assert case(instance_id=IMAGE, artifact=point).subject == f"recovery point {IMAGE}"
    for model, made in ((Case, case()), (Finding, finding())):
        stored = {k: v for k, v in made.model_dump(mode="json").items() if k != "artifact"}
        assert model.model_validate(stored) == made
