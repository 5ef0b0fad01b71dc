"""An older release is refused, before anything is changed, while an open case holds what it cannot read; otherwise it goes on.

What a later release wrote is what an earlier one left behind (tests/data/releases), changed as docs/upgrade.md says that releases change it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from forensics import case_keys
from forensics.aws.attributes import to_item
from forensics.aws.case_store import CaseStore
from forensics.models.base import ITEM_SCHEMA, Model
from forensics.models.case import CaseStatus
from infra.deployment import configuration, deploy, going_back, plan, templates
from infra.deployment.operations import DeployError, nobody
from infra.deployment.stored_kinds import NOT_MODELS, READERS, kind_of, read
from tests.templates.test_plan import EXAMPLE
from tests.unit.builders import CASE_ID, case, finding
from tests.unit.builders import plan as response_plan
from tests.upgrade.recorded import recording

CONFIG = configuration.read(EXAMPLE)
STEPS = plan.steps(CONFIG)


def clients(store: CaseStore, *, table: str | None = None) -> Any:
    """CloudFormation with the stack of the case store, and moto's DynamoDB."""

    class Described:
        def describe_stacks(self, *, StackName: str) -> Any:
            assert StackName == "forensics-case-store"
            outputs = [{"OutputKey": "CaseTable", "OutputValue": table or store.table}]
            return {"Stacks": [{"StackStatus": "UPDATE_COMPLETE", "Outputs": outputs}]}

    return lambda _account, _region, service: Described() if service == "cloudformation" else store._db


def refused(store: CaseStore, *, ask: Any = nobody) -> str:
    """What is said, or nothing."""
    said: list[str] = []
    try:
        going_back.refuse(STEPS, clients(store), CONFIG, ask=ask, report=said.append)
    except DeployError as error:
        return str(error)
    assert said == ["what open cases hold is read by this release"]
    return ""


@pytest.fixture
def open_case(store: CaseStore) -> CaseStore:
    """A case in the middle, with what triage has stored."""
    store.open_case(case(), finding=finding())
    store.put(CASE_ID, case_keys.PLAN, response_plan())
    return store


def put(store: CaseStore, key: str, data: dict[str, Any]) -> None:
    store._db.put_item(
        TableName=store.table, Item={"PK": {"S": f"CASE#{CASE_ID}"}, "SK": {"S": key}, "data": to_item(data)}
    )


def test_what_this_release_and_a_later_one_with_fields_more_have_stored_goes_on(open_case: CaseStore) -> None:
    assert refused(open_case) == ""
    put(open_case, case_keys.PLAN, {**response_plan().to_store(), "of_a_later_release": {"x": 1}})
    assert refused(open_case) == ""


def test_a_newer_schema_in_an_open_case_refuses_and_names_case_item_and_way_out(open_case: CaseStore) -> None:
    put(open_case, case_keys.PLAN, {**response_plan().to_store(), ITEM_SCHEMA: 2})
    said = refused(open_case, ask=lambda _: True)
    assert "nothing was changed" in said and f"case {CASE_ID}, item PLAN" in said and "it has schema 2" in said
    assert "Stay on the release that is deployed" in said, "no yes goes past it"


def test_a_value_that_this_release_does_not_know_refuses(open_case: CaseStore) -> None:
    put(open_case, case_keys.PLAN, {**response_plan().to_store(), "order": "DRONES_FIRST"})
    assert "item PLAN" in refused(open_case)


def test_the_record_of_a_case_itself(store: CaseStore) -> None:
    store.open_case(case(), finding=finding())
    key = {"PK": {"S": f"CASE#{CASE_ID}"}, "SK": {"S": "META"}}
    store._db.update_item(
        TableName=store.table, Key=key, UpdateExpression="SET #d.#s = :two", ExpressionAttributeNames={"#d": "data", "#s": ITEM_SCHEMA},
        ExpressionAttributeValues={":two": {"N": "2"}},
    )  # fmt: skip
    assert "the record of an open case" in refused(store, ask=lambda _: True)


def test_closed_cases_are_not_concerned(open_case: CaseStore) -> None:
    put(open_case, case_keys.PLAN, {**response_plan().to_store(), ITEM_SCHEMA: 2})
    open_case.update_case(CASE_ID, status=CaseStatus.CLOSED)
    assert refused(open_case) == ""


def test_without_a_table_nothing_is_asked_and_one_that_cannot_be_read_is_no_consent(store: CaseStore) -> None:
    going_back.refuse([s for s in STEPS if s.template != "case-store"], clients(store), CONFIG, ask=nobody)
    with pytest.raises(DeployError, match="dynamodb:Query"):
        going_back.refuse(STEPS, clients(store, table="elsewhere"), CONFIG, ask=nobody)
    going_back.refuse(STEPS, clients(store, table="elsewhere"), CONFIG, ask=lambda _: True)


def test_every_kind_that_a_release_left_behind_is_read_or_refused_by_schema() -> None:
    """Each kind of item, raised to a schema that nobody knows."""
    tried = set()
    for item in recording("495670d")["items"]:
        kind = kind_of(item["SK"])
        if kind in READERS and item["data"] is not None and kind not in tried:
            tried.add(kind)
            read(item["SK"], item["data"])
            with pytest.raises(Exception, match="cannot be read by this release"):
                read(item["SK"], {**item["data"], ITEM_SCHEMA: 99})
    assert len(tried) > 25


def test_no_kind_of_item_is_left_out_of_the_check() -> None:
    """Every key of the case store: a kind that nobody listed would be passed over, and the release called fit to go back to."""
    keys = {kind_of(key) for name, key in vars(case_keys).items() if name.isupper() and isinstance(key, str)}
    assert len(keys) > 70 and keys <= set(READERS) | set(NOT_MODELS), keys - set(READERS) - set(NOT_MODELS)
    assert not set(READERS) & set(NOT_MODELS)


def test_a_model_whose_schema_is_raised_is_one_that_the_check_reads() -> None:
    """Models above the first schema, wherever they are, have their kind in the list."""
    known = {reader for reader in READERS.values() if isinstance(reader, type)}
    evidence = {m for m in Model.__subclasses__() if m.__name__.endswith("Evidence")}
    left, raised = [Model], set[type[Model]]()
    while left:
        kind = left.pop()
        left += kind.__subclasses__()
        raised |= {kind} if kind.__dict__.get("SCHEMA", 1) > 1 and kind.__module__.startswith("forensics.") else set()
    assert raised <= known | evidence


def test_it_is_asked_before_anything_is_changed() -> None:
    text = Path(deploy.__file__).read_text("utf-8")
    assert text.index("going_back.refuse(") < text.index("    run(\n")
    assert "rotate" not in text[text.index("look_first.refuse(") : text.index("going_back.refuse(")]


def test_the_page_says_what_is_refused() -> None:
    page = (templates.ROOT / "docs" / "upgrade.md").read_text("utf-8")
    assert "cannot read what open cases hold" in page and json.dumps(ITEM_SCHEMA).strip('"') in page
