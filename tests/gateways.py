"""The product's gateways, built as its steps build them, for tests that look at what a step left behind."""

from __future__ import annotations

from datetime import datetime

from forensics.aws.case_store import CaseStore
from forensics.aws.hook import ForensicsHook
from forensics.aws.s3_archive import EvidenceArchive
from forensics.aws.sqs import FindingQueue
from forensics.case.recorder import CaseGateways, CaseRecorder, open_recorder
from forensics.case.rehash import rehash
from forensics.intake.admission import Admission, CaseAdmission
from forensics.intake.finding_handler import IntakeGateways
from forensics.intake.instance_resolver import InstanceResolver
from forensics.intake.write_back import FindingWriteBack
from forensics.investigation.symbol_store import SymbolStore
from forensics.models.case import Case
from forensics.models.evidence import Evidence
from forensics.models.finding import Finding
from forensics.naming import SYMBOL_LIBRARY
from forensics.triage.isolation_guard import IsolationGuard


def recorder_of(case_id: str, *, step: str = "test") -> CaseRecorder:
    """The recorder of a case."""
    return open_recorder(ForensicsHook(), case_id, step=step)


def case_store() -> CaseStore:
    """The table of cases."""
    hook = ForensicsHook()
    return CaseStore.of(hook.own(), hook.settings)


def finding_queue() -> FindingQueue:
    """The queue of findings."""
    hook = ForensicsHook()
    return FindingQueue.of(hook.own(), hook.settings)


def intake_gateways() -> IntakeGateways:
    """What the intake works with."""
    hook = ForensicsHook()
    return IntakeGateways.of(hook.own(), hook.settings, session=hook.session, for_case=hook.for_case)


def admit(finding: Finding, *, received_at: datetime) -> Admission:
    """Give a finding its case."""
    hook = ForensicsHook()
    return CaseAdmission.of(hook.own(), hook.settings).admit(finding, received_at=received_at)


def write_back(case: Case) -> FindingWriteBack:
    """Where a case's findings are annotated."""
    return FindingWriteBack.of(ForensicsHook().for_case(case))


def isolation_guard(case: Case) -> IsolationGuard:
    """What a case's isolation is held against."""
    return IsolationGuard.of(ForensicsHook().for_case(case))


def instance_resolver() -> InstanceResolver:
    """From a resource to its instance."""
    hook = ForensicsHook()
    return InstanceResolver.of(hook.session, home=hook.settings.region)


def case_gateways(case_id: str) -> CaseGateways:
    """Stores, ledger and topic, evidence under the custodian's role."""
    hook = ForensicsHook()
    return CaseGateways.of(hook.own(), hook.forensic(case_id, "custodian"), hook.settings)


def symbol_store(case_id: str = SYMBOL_LIBRARY) -> SymbolStore:
    """The symbol library as a case sees it, or under its own identity."""
    hook = ForensicsHook()
    return SymbolStore.of(hook.forensic(case_id, "custodian"), case_gateways(case_id), hook.settings)


def rehash_stored(recorder: CaseRecorder, evidence: Evidence) -> str:
    """Hash a stored item again, as the step before an analysis does."""
    hook = ForensicsHook()
    archive = EvidenceArchive.of(hook.forensic(recorder.case_id, "custodian"), hook.settings)
    return rehash(archive, recorder, evidence)
