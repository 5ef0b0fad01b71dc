"""The AppSync schema, served locally: every field is asked for and answered, and the types have the fields of the OpenAPI document."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import graphql
import pytest

from forensics import case_keys
from forensics.aws.case_store import CaseStore
from forensics.models.case import TimelineKind
from forensics.models.custody import CustodyAction
from forensics.models.evidence import MemoryEvidence, Outcome
from forensics.models.remarks import Remark, RemarkKind, Verdict
from forensics.models.results import Investigation, ProcessMark, ResultSeverity, ToolProcess
from forensics.web.app import create_app
from tests.templates.test_query_api import RESOLVERS, Api, Refused, api, case
from tests.unit.web.test_app import Shelf

__all__ = ["api"]  # the fixture: resolvers in node, data in a DynamoDB emulator
MEMBER = "333344445555"
FIRST = case(1, account=MEMBER)
# What AppSync brings itself (AWS AppSync developer guide, "Scalar types in GraphQL", "Authorization directives", "Subscriptions").
APPSYNC = """
scalar AWSDateTime scalar AWSJSON
directive @aws_iam on OBJECT | FIELD_DEFINITION
directive @aws_cognito_user_pools on OBJECT | FIELD_DEFINITION
directive @aws_subscribe(mutations: [String!]!) on FIELD_DEFINITION
"""
# GraphQL type → schema of the OpenAPI document, and the fields that only the latter has, each with its reason.
SAME = {
    "Case": ("Case", {"artifact": "an object, and the resolver of the list hands items on as they are"}),
    "TimelineEntry": ("TimelineEntry", {}),
    "CustodyEvent": ("CustodyEvent", {"case_id": "the query names it"}),
    "Evidence": ("MemoryEvidence", {}),
    "Remark": ("Remark", {}),
    "Investigation": ("Investigation", {}),
    "Process": ("ToolProcess", {}),
    "ProcessMark": ("ProcessMark", {}),
    "Digest": ("Digest", {}),
}


@pytest.fixture(scope="module")
def schema() -> graphql.GraphQLSchema:
    """The schema, with what AppSync knows by itself."""
    return graphql.build_schema(APPSYNC + (RESOLVERS / "schema.graphql").read_text("utf-8"))


@pytest.fixture(scope="module")
def asked(api: Api) -> Iterator[Api]:
    """A case with one item of every kind."""
    store = CaseStore(api._db, table="cases")
    store.note(FIRST.case_id, "one", kind=TimelineKind.CASE, source="test", at=FIRST.opened_at)
    said = Remark(
        kind=RemarkKind.VERDICT,
        finding="memory/x/1",
        verdict=Verdict.BENIGN,
        note="ours",
        by="mara",
        at=FIRST.opened_at,
        seq=9,
    )
    store.put(FIRST.case_id, case_keys.remark(9), said)
    mark = ProcessMark(severity=ResultSeverity.HIGH, title="runs from a deleted file")
    odd = ToolProcess(pid=7, ppid=1, name="kworker", listed=False, connections=("tcp 203.0.113.9:443",), marks=(mark,))
    ran = Investigation(
        activity="memory",
        evidence_id="memory-i-1",
        outcome=Outcome.DONE,
        findings=3,
        process_count=80,
        processes=(odd,),
    )
    store.put(FIRST.case_id, case_keys.result("memory", "memory-i-1"), ran)
    memory = MemoryEvidence(evidence_id="memory-i-1", outcome=Outcome.ACQUIRED, account_id=MEMBER)
    store.put(FIRST.case_id, f"{case_keys.EVIDENCE}memory-i-1", memory)
    yield api


def whole(schema: graphql.GraphQLSchema, kind: graphql.GraphQLNamedType) -> str:
    """A selection of every field of a type, at any depth."""
    assert isinstance(kind, graphql.GraphQLObjectType)
    parts = []
    for name, field in kind.fields.items():
        inner = graphql.get_named_type(field.type)
        parts.append(f"{name} {whole(schema, inner)}" if isinstance(inner, graphql.GraphQLObjectType) else name)
    return "{ " + " ".join(parts) + " }"


def ask(schema: graphql.GraphQLSchema, api: Api, query: str) -> dict[str, Any]:
    """The answer of a query, as AppSync's gateway puts it together from the resolvers' answers."""

    def resolve(_: Any, info: graphql.GraphQLResolveInfo, **arguments: Any) -> Any:
        return api.query(info.field_name, **arguments)

    assert schema.query_type is not None
    for field in schema.query_type.fields.values():
        field.resolve = resolve
    answer = graphql.graphql_sync(schema, query)
    assert answer.errors is None, answer.errors
    return dict(answer.data or {})


@pytest.mark.parametrize("field", ["case", "timeline", "evidence", "custody", "remarks", "investigations"])
def test_every_field_is_served(schema: graphql.GraphQLSchema, asked: Api, field: str) -> None:
    assert schema.query_type is not None
    kind = graphql.get_named_type(schema.query_type.fields[field].type)
    if field == "custody":  # the other module's events are bare: one whole event
        action = CustodyAction.CASE_OPENED.value
        event = {
            "seq": 1,
            "previous": "0" * 64,
            "action": action,
            "actor": "a",
            "at": "2026-01-01T00:00:00Z",
            "detail": {"n": 1},
            "digest": "1" * 64,
        }
        store = CaseStore(asked._db, table="cases")
        for key, _ in list(store.items(FIRST.case_id, case_keys.CUSTODY_EVENT)):
            store.remove(FIRST.case_id, key)
        store.put_once(FIRST.case_id, "CUSTODY#00000001", event)
    found = ask(schema, asked, f'{{ {field}(id: "{FIRST.case_id}") {whole(schema, kind)} }}')[field]
    assert found["case_id"] == FIRST.case_id if field == "case" else found["items"]
    if field == "investigations":
        (process,) = found["items"][0]["processes"]
        assert (process["pid"], process["listed"], process["marks"][0]["severity"]) == (7, False, "high")
    if field == "remarks":
        assert found["items"][0]["verdict"] == "benign" and found["items"][0]["by"] == "mara"


def test_cases_are_served(schema: graphql.GraphQLSchema, asked: Api) -> None:
    found = ask(schema, asked, f"{{ cases(status: OPEN, limit: 3) {whole(schema, schema.type_map['CasePage'])} }}")
    assert len(found["cases"]["items"]) == 3 and found["cases"]["nextToken"]


@pytest.mark.parametrize("field", ["remarks", "investigations"])
def test_a_stranger_sees_nothing_of_a_case(asked: Api, field: str) -> None:
    with pytest.raises(Refused) as refused:
        asked.query(field, id=FIRST.case_id, identity={"accountId": "999900001111"})
    assert refused.value.type == "NotFound"


@pytest.mark.parametrize("name", sorted(SAME))
def test_the_types_have_the_fields_of_the_openapi_document(schema: graphql.GraphQLSchema, name: str) -> None:
    kind, (other, left_out) = schema.type_map[name], SAME[name]
    assert isinstance(kind, graphql.GraphQLObjectType)
    document = create_app(Shelf({}), authorize=lambda: None).openapi()["components"]["schemas"]
    found = next(document[k] for k in (other, f"{other}-Output") if k in document)
    assert set(kind.fields) == set(found["properties"]) - set(left_out)
    assert set(left_out) <= set(found["properties"]), "a reason for a field that is not there"
