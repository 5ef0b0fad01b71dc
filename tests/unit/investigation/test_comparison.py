"""A second tool reads what was examined: after the answers, with its own limit, and whatever becomes of it is said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from forensics.aws.triggers import SsmCommandsCompletedTrigger
from forensics.case.gaps import gaps
from forensics.document_registry import released, select
from forensics.errors import InvestigationError
from forensics.investigation.analysis import COMPARISON_SECONDS
from forensics.investigation.analysis_operators import AnalyseDiskOperator, CompareDiskOperator
from forensics.investigation.artifacts import result_key
from forensics.models.case import CaseStatus, Phase, StepFailure
from forensics.models.evidence import EvidenceKind, Outcome
from forensics.models.results import Investigation, StoredArtifact, ToolResults
from forensics.report.completeness import completeness
from forensics.report.second_opinion import second_opinions
from tests.unit.accounts import act, deferred, prepare
from tests.unit.investigation.test_analysis_operators import ITEM, World
from tests.unit.recorders import context
from tests.unit.report import sample

pytestmark = pytest.mark.usefixtures("settings_environment")
QUICK, SECOND = "investigate_disk", "investigate_comparison"
NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)
ARTIFACT = StoredArtifact(uri="s3://evidence/cases/x/results.json", sha256="a" * 64, bytes=2)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(monkeypatch)
    made.step = CompareDiskOperator(task_id="investigation.compare_disk")
    prepare(made.step, made.recorder)
    return made


def examined(world: World, outcome: Outcome = Outcome.DONE, *, at: datetime = NOW) -> None:
    """The quick profile has ended."""
    world.recorder.put(
        result_key(QUICK, ITEM),
        Investigation(
            activity=QUICK, tool="disk", evidence_id=ITEM, outcome=outcome, artifacts={"results": ARTIFACT}, ended_at=at,
            command_id="quick",
        ),
    )  # fmt: skip


def known(world: World) -> Investigation:
    found = world.recorder.get(result_key(SECOND, ITEM), Investigation)
    assert found is not None
    return found


def test_the_answers_are_given_without_it_and_a_person_can_order_it() -> None:
    kind = EvidenceKind.DISK
    assert SECOND not in {d.activity for d in select(kind, platform="linux").chosen}
    assert [d.activity for d in select(kind, platform="linux", following=True).chosen] == [SECOND]
    assert [d.activity for d in select(kind, platform="linux", only=SECOND).chosen] == [SECOND]
    assert select(kind, platform="windows", following=True).chosen == ()
    activities = {d.activity for d in released().values()}
    assert {d.follows for d in released().values() if d.follows} <= activities


def test_it_gets_the_first_results_by_digest_and_has_a_limit_of_its_own(world: World) -> None:
    examined(world)
    trigger = deferred(world.step, world.recorder)
    assert isinstance(trigger, SsmCommandsCompletedTrigger)
    (sent,) = world.ssm.sent
    assert sent["document"] == "forensics-investigate_comparison_linux"
    assert sent["parameters"]["ExecutionTimeout"] == str(COMPARISON_SECONDS)
    manifest = world.recorder.landing.objects[f"{known(world).document.landing_prefix}/manifest.txt"].decode()
    assert f"get quick {'a' * 64} https://" in manifest
    assert known(world).follows == QUICK


@pytest.mark.parametrize("outcome", [None, Outcome.FAILED, Outcome.PENDING])
def test_without_first_results_there_is_nothing_to_compare(world: World, outcome: Outcome | None) -> None:
    if outcome:
        examined(world, outcome)
    with pytest.raises(AirflowSkipException, match="no disk has results"):
        act(world.step, world.recorder)
    ordered = AnalyseDiskOperator(task_id="profile.analyse_disk", activity=SECOND)
    prepare(ordered, world.recorder)
    with pytest.raises(InvestigationError, match="has no results"):
        act(ordered, world.recorder)
    assert world.ssm.sent == []


def test_a_second_try_adopts_the_command_of_the_first(world: World) -> None:
    examined(world)
    first = deferred(world.step, world.recorder)
    again = deferred(world.step, world.recorder)
    assert isinstance(first, SsmCommandsCompletedTrigger) and isinstance(again, SsmCommandsCompletedTrigger)
    assert first.commands == again.commands and len(world.ssm.sent) == 1


def test_the_first_answers_step_leaves_its_command_alone(world: World) -> None:
    examined(world)
    deferred(world.step, world.recorder)
    first = AnalyseDiskOperator(task_id="analyse_disk")
    prepare(first, world.recorder)
    assert act(first, world.recorder) == {"already": True}
    assert first._analysis(world.recorder).import_results() == {}
    assert known(world).outcome is Outcome.PENDING


def test_one_that_is_killed_or_late_is_given_up_with_its_reason(world: World) -> None:
    examined(world)
    trigger: Any = deferred(world.step, world.recorder)
    world.ssm.end("command-1", "", status="TimedOut")
    with pytest.raises(InvestigationError, match="ended TimedOut"):
        world.step.resume(world.recorder, {"commands": trigger.commands}, context())
    assert known(world).outcome is Outcome.FAILED
    deferred(world.step, world.recorder)
    world.step.on_final_failure(world.recorder, "timed out waiting for SSM commands")
    assert known(world).outcome is Outcome.FAILED
    assert known(world).reason == "the comparison was not made: timed out waiting for SSM commands"


def test_what_was_examined_again_is_compared_again(world: World) -> None:
    examined(world)
    done = Investigation(
        activity=SECOND, follows=QUICK, evidence_id=ITEM, outcome=Outcome.DONE, command_id="c", started_at=NOW
    )
    world.recorder.put(result_key(SECOND, ITEM), done)
    assert act(world.step, world.recorder) == {"already": True}
    examined(world, at=NOW + timedelta(hours=1))
    deferred(world.step, world.recorder)
    assert len(world.ssm.sent) == 1


# ---------------------------------------------------------------------- what the report says
def reported(
    outcome: Outcome | None, *, counts: dict[str, int] | None = None, status: CaseStatus = CaseStatus.OPEN
) -> Any:
    """A case in its report, of which the disk was examined, and compared with this outcome."""
    view = sample.rich_view()
    disk = next(e for e in view.evidence if e.kind is EvidenceKind.DISK).evidence_id
    first = Investigation(activity=QUICK, tool="disk", evidence_id=disk, outcome=Outcome.DONE)
    second = Investigation(
        activity=SECOND,
        tool="dissect",
        follows=QUICK,
        evidence_id=disk,
        outcome=outcome or Outcome.DONE,
        reason="it died",
    )
    results = ToolResults.model_validate(
        {"schema": "forensics.results/1", "case_id": "x", "evidence_id": disk, "tool": "disk", "started": NOW, "ended": NOW,
         "counts": counts or {}, "provenance": [{"tool": "dissect.target", "version": "3.25.1", "exit": 0}]}
    )  # fmt: skip
    case = view.case.model_copy(update={"status": status, "phase": Phase.REPORT})
    return view.model_copy(
        update={
            "case": case,
            "failures": (),
            "investigations": (first, second) if outcome else (first,),
            "results": (results,) if counts else (),
        }
    )


@pytest.mark.parametrize(
    ("view", "says"),
    [
        (reported(None), "is not there yet"),
        (reported(Outcome.PENDING), "is not there yet"),
        (reported(None, status=CaseStatus.CLOSED), "no second tool has read it"),
        (reported(Outcome.FAILED), "NOT compared with a second tool: it died"),
        (reported(Outcome.DONE), "could not be read"),
        (reported(Outcome.DONE, counts={"compared": 0}), "not compared with a second tool"),
        (
            reported(Outcome.DONE, counts={"compared": 1, "toolkit_authlog": 12, "dissect_authlog": 11, "toolkit_btmp": 0}),
            "read by dissect.target 3.25.1 as well, its records of those that the toolkit counted: authlog 11 of 12;",
        ),
    ],
)  # fmt: skip
def test_the_report_says_whether_the_comparison_was_made(view: Any, says: str) -> None:
    (said,) = second_opinions(view)
    assert says in said


def test_a_step_that_failed_is_the_reason() -> None:
    failure = StepFailure(step="investigation.compare_disk", cause="no agent", next_action="x", at=NOW, try_number=3)
    (said,) = second_opinions(reported(None).model_copy(update={"failures": (failure,)}))
    assert said.endswith("NOT compared with a second tool: no agent")


def test_one_that_is_under_way_is_no_gap_of_the_first_report_and_a_failed_one_is() -> None:
    def about(view: Any) -> list[str]:
        return [str(gap) for gap in gaps(view) if SECOND in gap.subject]

    assert about(reported(Outcome.PENDING)) == []
    assert len(about(reported(Outcome.FAILED))) == 1
    assert len(about(reported(Outcome.PENDING, status=CaseStatus.CLOSED))) == 1


def test_a_comparison_makes_no_examination_whole() -> None:
    view = reported(Outcome.DONE)
    first, second = view.investigations
    failed = view.model_copy(update={"investigations": (first.model_copy(update={"outcome": Outcome.FAILED}), second)})
    part = next(p for p in completeness(failed).parts if p.what == f"{first.evidence_id}, examined")
    assert part.worth == 0
