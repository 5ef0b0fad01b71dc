"""When a finding is annotated, with which note, and that a refusal stops nothing."""

from __future__ import annotations

import pytest

from forensics import case_keys
from forensics.errors import AccessDeniedError
from forensics.intake.annotation import annotate, note_text
from forensics.intake.write_back import FindingWriteBack, WriteBackStage
from forensics.models.case import CaseStatus
from forensics.models.containment import ContainmentResult, ContainmentState, ReleaseResult
from forensics.models.evidence import Outcome
from forensics.models.finding import Finding, FindingSource
from forensics.settings import Settings, get_settings
from tests.unit.builders import CASE_ID, INSTANCE, case, finding
from tests.unit.recorders import StoreInMemory


class WriteBack(FindingWriteBack):
    """Keeps what is written."""

    def __init__(self, *, broken: bool = False) -> None:
        self.broken = broken
        self.written: list[tuple[str, WriteBackStage]] = []

    def annotate(self, finding: Finding, *, text: str, stage: WriteBackStage) -> None:
        self.written.append((text, stage))
        if self.broken:
            raise AccessDeniedError("not allowed")


@pytest.fixture
def settings(settings_environment: dict[str, str]) -> Settings:
    return get_settings()


def notes(store: StoreInMemory) -> list[str]:
    return [str(data["what"]) for _, data in store.items(CASE_ID, "TIMELINE#")]


def write(
    target: WriteBack, store: StoreInMemory, settings: Settings, *, item: Finding, status: CaseStatus = CaseStatus.OPEN
) -> None:
    opened = case(status=status, run_id="run-1")
    annotate([item], case=opened, store=store, write_back=lambda: target, settings=settings, step="close_case")


def contained(state: ContainmentState = ContainmentState.NEW_FLOWS_BLOCKED) -> StoreInMemory:
    store = StoreInMemory()
    store.put(CASE_ID, case_keys.CONTAINMENT, ContainmentResult(outcome=Outcome.DONE, state=state))
    return store


@pytest.mark.parametrize("how", ["never", "failed", "released"])
def test_a_target_that_is_not_contained_keeps_its_findings_open(settings: Settings, how: str) -> None:
    """Security Hub never opens a resolved finding again when its product updates it (BatchImportFindings cannot change
    Workflow; AWS Security Hub user guide, *Setting the workflow status of findings*)."""
    store = (
        StoreInMemory()
        if how == "never"
        else contained(ContainmentState.FAILED if how == "failed" else ContainmentState.NEW_FLOWS_BLOCKED)
    )
    if how == "released":
        store.put(CASE_ID, case_keys.RELEASE, ReleaseResult(outcome=Outcome.DONE))
    target = WriteBack()
    write(target, store, settings, item=finding(), status=CaseStatus.CLOSED)
    assert [stage for _, stage in target.written] == [WriteBackStage.IN_PROGRESS]


@pytest.mark.parametrize("status", [CaseStatus.OPEN, CaseStatus.CLOSED])
def test_posture_is_never_written_to(settings: Settings, status: CaseStatus) -> None:
    target = WriteBack()
    write(target, contained(), settings, item=finding(posture=True, source=FindingSource.SECURITY_HUB), status=status)
    assert target.written == []


@pytest.mark.parametrize(
    ("status", "resolve", "stage"),
    [
        (CaseStatus.OPEN, True, WriteBackStage.IN_PROGRESS),
        (CaseStatus.CLOSED, True, WriteBackStage.RESOLVED),
        (CaseStatus.CLOSED, False, WriteBackStage.IN_PROGRESS),
        (CaseStatus.CLOSED_WITH_GAPS, True, WriteBackStage.IN_PROGRESS),
    ],
)
def test_only_a_complete_case_resolves_its_findings(
    settings: Settings, status: CaseStatus, resolve: bool, stage: WriteBackStage
) -> None:
    target = WriteBack()
    changed = settings.model_copy(update={"resolve_findings": resolve})
    write(target, contained(), changed, item=finding(), status=status)
    assert [written for _, written in target.written] == [stage]


def test_each_state_of_the_case_is_written_once(settings: Settings) -> None:
    target, store = WriteBack(), StoreInMemory()
    for status in (CaseStatus.OPEN, CaseStatus.OPEN, CaseStatus.CLOSED, CaseStatus.CLOSED):
        write(target, store, settings, item=finding(), status=status)
    assert len(target.written) == 2


def test_a_case_that_was_given_up_leaves_its_findings_open_and_says_so(settings: Settings) -> None:
    target, store = WriteBack(), contained()
    for status in (CaseStatus.OPEN, CaseStatus.FAILED, CaseStatus.FAILED):
        write(target, store, settings, item=finding(), status=status)
    (_, (text, stage)) = target.written
    assert stage is WriteBackStage.IN_PROGRESS, "never resolved, contained or not"
    assert "NOT investigated any more (runs were lost, given up)" in text and CASE_ID in text
    write(target, store, settings, item=finding(), status=CaseStatus.OPEN)
    assert "is being investigated" in target.written[-1][0], "a person has continued the case"


@pytest.mark.parametrize("source", [FindingSource.MANUAL, FindingSource.CONFIG])
def test_what_has_no_finding_elsewhere_is_left_alone(settings: Settings, source: FindingSource) -> None:
    target = WriteBack()
    write(target, StoreInMemory(), settings, item=finding(source=source))
    assert target.written == []


def test_the_setting_switches_it_off(settings: Settings) -> None:
    target = WriteBack()
    write(target, StoreInMemory(), settings.model_copy(update={"write_back": False}), item=finding())
    assert target.written == []


def test_a_refusal_is_one_entry_of_the_timeline(settings: Settings) -> None:
    target, store = WriteBack(broken=True), StoreInMemory()
    for _ in range(2):
        write(target, store, settings, item=finding())
    assert notes(store) == ["the finding C2 traffic (guardduty) was not annotated: not allowed"]
    assert len(target.written) == 1


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (CaseStatus.OPEN, "is being investigated in"),
        (CaseStatus.CLOSED, "was investigated in"),
        (CaseStatus.CLOSED_WITH_GAPS, "was investigated, with gaps, in"),
        (CaseStatus.FAILED, "is NOT investigated any more (runs were lost, given up) in"),
    ],
)
def test_the_note_names_case_instance_and_state(status: CaseStatus, state: str) -> None:
    said = f"This finding {state} forensic case {CASE_ID} (instance {INSTANCE})."
    assert note_text(case(status=status), ui_url="") == said
    linked = note_text(case(status=status, run_id="run-1"), ui_url="https://airflow.example")
    assert linked == f"{said} https://airflow.example/dags/forensic_case/runs/run-1"
