"""The table is lost and restored to an earlier time: the DAG ledger_restore puts right what the evidence store proves, in the lab."""

from __future__ import annotations

from typing import Any

import pytest

from forensics.aws.case_store import CaseStore
from forensics.case.ledger_restore_operators import RestoreLedgersOperator
from forensics.custody.ledger import CustodyLedger
from forensics.errors import CustodyChainError
from forensics.intake.operators import OpenCaseOperator
from forensics.models.custody import CustodyAction
from forensics.triage.operators import DescribeTargetOperator, PlanResponseOperator
from tests.gateways import case_store, recorder_of
from tests.integration.conftest import SmallLab
from tests.integration.steps import perform


def items(lab: SmallLab) -> list[dict[str, Any]]:
    pages = lab.client("dynamodb").get_paginator("scan").paginate(TableName=lab.facts["case_table"])
    return [item for page in pages for item in page["Items"]]


def restored_to(lab: SmallLab, then: list[dict[str, Any]]) -> None:
    """As a point-in-time restore leaves the table."""
    db, table = lab.client("dynamodb"), lab.facts["case_table"]
    for item in items(lab):
        db.delete_item(TableName=table, Key={k: item[k] for k in ("PK", "SK")})
    for item in then:
        db.put_item(TableName=table, Item=item)


def opened(lab: SmallLab, instance: str) -> str:
    web = lab.facts["instances"][instance]
    given = {
        "account_id": web["account"], "region": "eu-central-1", "instance_id": web["instance_id"], "actions": "disk", "reason": "test",
        "requester": "alice",
    }  # fmt: skip
    return str(perform(OpenCaseOperator(task_id="open_case"), params=given, run_id=f"manual__{instance}", user="alice"))


def triaged(case_id: str) -> None:
    perform(DescribeTargetOperator(task_id="triage.describe_target"), case_id=case_id)
    perform(PlanResponseOperator(task_id="triage.plan_response"), case_id=case_id)
    recorder_of(case_id, step="test").sign_ledger("triage")


def restore(case_id: str = "") -> Any:
    return perform(RestoreLedgersOperator(task_id="restore_ledgers", case_id=case_id))


def test_what_the_restored_table_lacks_comes_back_from_the_evidence_store(lab: SmallLab) -> None:
    early = opened(lab, "web-server")
    then = items(lab)
    triaged(early)
    late = opened(lab, "db-server")
    triaged(late)
    store: CaseStore = case_store()
    ledger = recorder_of(early, step="test").gateways.ledger
    assert isinstance(ledger, CustodyLedger)
    signed = {case: ledger.verified(case) for case in (early, late)}
    restored_to(lab, then)
    had = len(ledger.events(early))
    assert not store.has(late, "META")
    with pytest.raises(CustodyChainError, match="is behind what is signed"):
        recorder_of(early, step="test").sign_ledger("close")

    result = restore()
    whole = {case: len(events) for case, (events, _) in signed.items()}
    assert result["restored"] == {early: [had + 1, whole[early]], late: [1, whole[late]]}
    assert result["only_in_evidence"] == [late]
    for case, (events, _) in signed.items():
        now, _ = ledger.verified(case)
        assert now[: len(events)] == events and now[-1].action is CustodyAction.LEDGER_RESTORED
    view = recorder_of(early, step="test").gateways.view(early)
    assert view is not None and "ledger.restore" in {f.step for f in view.failures}
    recorder_of(early, step="test").sign_ledger("close")
    assert restore()["restored"] == {}, "it is safe to repeat"
    # the case that the table forgot is opened again under its id, and its ledger goes on
    assert opened(lab, "db-server") == late
    assert len(ledger.verified(late)[0]) > whole[late] + 1
