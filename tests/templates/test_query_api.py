"""The query API's resolvers run against a DynamoDB emulator: pages, limits, missing cases, other accounts' cases."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from forensics.aws.attributes import from_item
from forensics.aws.case_items import indexes, item_key
from forensics.aws.case_store import CaseStore
from forensics.models.case import Case, CaseStatus, TimelineKind
from forensics.models.custody import CustodyAction
from infra.deployment import templates

ROOT = Path(__file__).resolve().parents[2]
RESOLVERS = ROOT / "infra" / "appsync"
RUNTIME = Path(__file__).with_name("appsync_runtime.mjs")
FORENSIC, MEMBER, OTHER = "222233334444", "333344445555", "444455556666"
EVERYBODY = {"claims": {"cognito:groups": ["forensics-all-accounts"]}}
OF_MEMBER = {"claims": {"cognito:groups": [f"forensics-account-{MEMBER}", "forensics-account-999988887777", "staff"]}}
ENVIRONMENT = {"FORENSIC_ACCOUNT_ID": FORENSIC, "PARTITION": "aws", "PROGRESS_ROLE": "forensics-progress"}
# What people may write about themselves: an app client allows it unless its WriteAttributes say otherwise (Cognito developer guide).
SELF_MADE = {"claims": {f"custom:{name}": f"{MEMBER} {OTHER}" for name in ("accounts", "groups", "cognito:groups")}}
THE_RULE = {"accountId": FORENSIC, "userArn": f"arn:aws:sts::{FORENSIC}:assumed-role/forensics-progress/rule"}
NODE = shutil.which("node") or shutil.which("nodejs")


class Refused(Exception):
    """What the resolver answers instead of a result."""

    def __init__(self, error: dict[str, str]) -> None:
        super().__init__(error["message"])
        self.type = error["type"]


class Runtime:
    """The JavaScript runtime: one process, a line for each handler that runs."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [str(NODE), str(RUNTIME)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, file: str, handler: str, ctx: dict[str, Any]) -> Any:
        """One handler of a resolver."""
        assert self._process.stdin and self._process.stdout
        asked = json.dumps({"file": str(RESOLVERS / file), "handler": handler, "ctx": ctx})
        self._process.stdin.write(asked + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert "broken" not in answer, answer["broken"]
        if "error" in answer:
            raise Refused(answer["error"])
        return answer["result"]

    def close(self) -> None:
        """End the process."""
        self._process.communicate(timeout=10)


class Api:
    """AppSync in small: pipelines as the template wires them, data source as AppSync's DynamoDB one."""

    def __init__(self, table: str, runtime: Runtime) -> None:
        self._run = runtime.run
        self._db = boto3.client("dynamodb", region_name="eu-central-1")
        self._table = table
        made = templates.committed()
        self._template = made["query-api"]["Resources"] | made["query-progress"]["Resources"]

    def query(self, field: str, *, identity: dict[str, Any] | None = None, **arguments: Any) -> Any:
        """The field's answer, as the caller gets it."""
        ctx: dict[str, Any] = {
            "args": arguments, "identity": EVERYBODY if identity is None else identity or None, "prev": {"result": None},
            "info": {"fieldName": field}, "env": ENVIRONMENT, "stash": {},
        }  # fmt: skip
        resolver = next(r["Properties"] for r in self._template.values() if r["Properties"].get("FieldName") == field)
        if resolver.get("Kind") != "PIPELINE":
            return self._step(self._file(resolver), ctx)
        self._run(self._file(resolver), "request", ctx)
        for function in resolver["PipelineConfig"]["Functions"]:
            # a function of the other stack comes as a parameter that has the function's name
            name = function["Fn::GetAtt"][0] if "Fn::GetAtt" in function else function["Ref"].removesuffix("FunctionId")
            ctx["prev"] = {"result": self._step(self._file(self._template[name]["Properties"]), ctx)}
        return self._run(self._file(resolver), "response", ctx)

    def _file(self, properties: dict[str, Any]) -> str:
        return Path(properties["CodeS3Location"]["Fn::Sub"]).name

    def _step(self, file: str, ctx: dict[str, Any]) -> Any:
        request = self._run(file, "request", ctx)
        return self._run(file, "response", {**ctx, "result": self._ask(request)})

    def _ask(self, request: dict[str, Any]) -> Any:
        if "payload" in request:  # the data source that has no data
            return request["payload"]
        if request["operation"] == "GetItem":
            found = self._db.get_item(TableName=self._table, Key=request["key"], ConsistentRead=True).get("Item")
            return {k: from_item(v) for k, v in found.items()} if found else None
        asked = {
            "TableName": self._table,
            "KeyConditionExpression": request["query"]["expression"],
            "ExpressionAttributeValues": {
                **request["query"]["expressionValues"], **request.get("filter", {}).get("expressionValues", {}),
            },
            "Limit": request["limit"],
            "ScanIndexForward": request.get("scanIndexForward", True),
        }  # fmt: skip
        if "index" in request:
            asked["IndexName"] = request["index"]
        if "filter" in request:
            asked["FilterExpression"] = request["filter"]["expression"]
            asked["ExpressionAttributeNames"] = request["filter"]["expressionNames"]
        if request.get("nextToken"):
            asked["ExclusiveStartKey"] = json.loads(base64.b64decode(request["nextToken"]))
        page = self._db.query(**asked)
        last = page.get("LastEvaluatedKey")
        return {
            "items": [{k: from_item(v) for k, v in item.items()} for item in page["Items"]],
            "nextToken": base64.b64encode(json.dumps(last).encode()).decode() if last else None,
        }


def case(number: int, *, account: str) -> Case:
    return Case(
        case_id=f"fc-20260101-{number:010x}", account_id=account, region="eu-central-1", instance_id=f"i-{number:017x}",
        opened_at=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=number), title="C2 traffic", severity="HIGH",
        source="guardduty", finding_key=f"key-{number}",
    )  # fmt: skip


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    """Seven cases of two accounts; the first has five timeline entries and three custody events."""
    if NODE is None:
        pytest.skip("needs node (18 or newer) to run the resolvers: install nodejs")
    with mock_aws():
        db: Any = boto3.client("dynamodb", region_name="eu-central-1")
        table = templates.committed()["case-store"]["Resources"]["Cases"]["Properties"]
        db.create_table(
            TableName="cases",
            **{k: table[k] for k in ("BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")},
        )
        store = CaseStore(db, table="cases")
        for number in range(1, 8):
            made = case(number, account=OTHER if number % 3 == 0 else MEMBER)
            meta = {**item_key(made.case_id, "META"), **indexes(made)}
            store.put(made.case_id, "META", made)
            db.update_item(
                TableName="cases", Key=item_key(made.case_id, "META"),
                UpdateExpression="SET GSI2PK = :p, GSI2SK = :s",
                ExpressionAttributeValues={":p": meta["GSI2PK"], ":s": meta["GSI2SK"]},
            )  # fmt: skip
        first = case(1, account=MEMBER)
        for minute in range(5):
            at = first.opened_at + timedelta(minutes=minute)
            store.note(first.case_id, f"entry {minute}", kind=TimelineKind.CASE, source="test", at=at)
        for seq in range(1, 4):
            detail = {"seq": seq, "action": CustodyAction.CASE_OPENED.value, "detail": {"n": seq}}
            store.put_once(first.case_id, f"CUSTODY#{seq:08d}", detail)
        runtime = Runtime()
        yield Api("cases", runtime)
        runtime.close()


def test_cases_come_newest_first_page_by_page(api: Api) -> None:
    seen, token = [], None
    for _ in range(4):
        page = api.query("cases", status="OPEN", limit=3, nextToken=token)
        assert len(page["items"]) <= 3
        seen += [c["case_id"] for c in page["items"]]
        token = page["nextToken"]
        if token is None:
            break
    assert seen == [case(n, account=MEMBER).case_id for n in range(7, 0, -1)]


def test_cases_of_other_accounts_are_not_listed(api: Api) -> None:
    seen, token = [], None
    while True:
        page = api.query("cases", identity=OF_MEMBER, status="OPEN", limit=2, nextToken=token)
        seen += page["items"]
        token = page["nextToken"]
        if token is None:
            break
    assert {c["account_id"] for c in seen} == {MEMBER} and len(seen) == 5
    assert len(api.query("cases", identity={"accountId": FORENSIC}, status="OPEN")["items"]) == 7
    assert len(api.query("cases", identity={"accountId": OTHER}, status="OPEN")["items"]) == 2


@pytest.mark.parametrize("identity", [{"claims": {}}, {"claims": {"cognito:groups": ["staff"]}}, SELF_MADE])
def test_who_has_no_account_lists_nothing(api: Api, identity: dict[str, Any]) -> None:
    with pytest.raises(Refused) as refused:
        api.query("cases", identity=identity, status="OPEN")
    assert refused.value.type == "Unauthorized"


@pytest.mark.parametrize("limit", [-1, 101, 10_000])
def test_limit_of_cases(api: Api, limit: int) -> None:
    with pytest.raises(Refused, match="between 1 and 100"):
        api.query("cases", status="OPEN", limit=limit)


def test_unknown_status_is_refused_and_every_known_one_answers(api: Api) -> None:
    with pytest.raises(Refused, match="status"):
        api.query("cases", status="OPEN#")
    assert [len(api.query("cases", status=s.value)["items"]) for s in CaseStatus] == [7, 0, 0, 0]


def test_one_case(api: Api) -> None:
    found = api.query("case", id=case(1, account=MEMBER).case_id, identity=OF_MEMBER)
    assert (found["account_id"], found["status"]) == (MEMBER, "OPEN")


@pytest.mark.parametrize("field", ["case", "timeline", "evidence", "custody"])
def test_missing_case_and_foreign_case_give_the_same_answer(api: Api, field: str) -> None:
    answers = []
    for number, identity in ((99, OF_MEMBER), (3, OF_MEMBER), (3, {"accountId": MEMBER}), (3, SELF_MADE), (3, {})):
        asked = case(number, account=OTHER).case_id
        with pytest.raises(Refused) as refused:
            api.query(field, id=asked, identity=identity)
        answers.append((refused.value.type, str(refused.value).replace(asked, "X")))
    assert len(set(answers)) == 1 and answers[0][0] == "NotFound"


@pytest.mark.parametrize("asked", ["", "OPEN#1", "fc-20260101-000000000G", "fc-20260101-0000000001#X"])
def test_only_a_case_id_is_asked_for(api: Api, asked: str) -> None:
    with pytest.raises(Refused, match="not a case id"):
        api.query("case", id=asked)


def test_timeline_in_order_page_by_page(api: Api) -> None:
    seen, token = [], None
    while True:
        page = api.query("timeline", id=case(1, account=MEMBER).case_id, limit=2, nextToken=token)
        assert len(page["items"]) <= 2
        seen += [entry["what"] for entry in page["items"]]
        token = page["nextToken"]
        if token is None:
            break
    assert seen == [f"entry {n}" for n in range(5)]


def test_custody_has_its_detail_as_json_and_nothing_else_of_the_case(api: Api) -> None:
    page = api.query("custody", id=case(1, account=MEMBER).case_id)
    assert [(e["seq"], json.loads(e["detail"])) for e in page["items"]] == [(n, {"n": n}) for n in (1, 2, 3)]
    assert api.query("evidence", id=case(1, account=MEMBER).case_id) == {"items": [], "nextToken": None}


@pytest.mark.parametrize("limit", [-5, 201])
def test_limit_of_lists(api: Api, limit: int) -> None:
    with pytest.raises(Refused, match="between 1 and 200"):
        api.query("timeline", id=case(1, account=MEMBER).case_id, limit=limit)


def test_no_resolver_believes_an_attribute() -> None:
    claims = {
        c for file in RESOLVERS.glob("*.js") for c in re.findall(r"claims\[?'?\.?([\w:]+)", file.read_text("utf-8"))
    }
    assert claims == {"cognito:groups"}


@pytest.mark.parametrize("file", sorted(f.name for f in RESOLVERS.glob("*.js")))
def test_resolvers_use_only_what_appsync_js_has(file: str) -> None:
    """AWS AppSync developer guide, "JavaScript runtime features": none of these exist there."""
    text = re.sub(r"//.*|'[^'\n]*'|`[^`]*`", "", (RESOLVERS / file).read_text("utf-8"))
    absent = r"\b(try|catch|throw|while|async|await|class|new|this|Promise|require|setTimeout|fetch|eval)\b|\+\+|--|for \(let|/[^/\n]+/[gimsuy]"
    assert not re.findall(absent, text)


@pytest.mark.parametrize("number", [1, 2])
def test_progress_is_subscribed_to_by_those_who_may_see_the_case(api: Api, number: int) -> None:
    asked = case(number, account=MEMBER).case_id
    assert api.query("onProgress", id=asked, identity=OF_MEMBER) is None, "a subscription begins with nothing"
    for identity in (
        {"accountId": OTHER},
        {"claims": {"cognito:groups": [f"forensics-account-{OTHER}"]}},
        SELF_MADE,
        {},
    ):
        with pytest.raises(Refused) as refused:
            api.query("onProgress", id=asked, identity=identity)
        assert refused.value.type == "NotFound"


def test_progress_is_told_by_the_rule_only(api: Api) -> None:
    said = {"pk": "CASE#fc-20260101-0000000001", "time": "2026-01-01T00:00:00Z", "kind": "case", "what": "case opened"}
    pushed = api.query("progress", identity=THE_RULE, **said)
    assert pushed == {"id": "fc-20260101-0000000001", "time": said["time"], "kind": "case", "what": "case opened"}
    others = [
        {"accountId": FORENSIC, "userArn": f"arn:aws:sts::{FORENSIC}:assumed-role/admin/forensics-progress"},
        {"accountId": OTHER, "userArn": f"arn:aws:sts::{OTHER}:assumed-role/forensics-progress/rule"},
        EVERYBODY,
        {},
    ]
    for identity in others:
        with pytest.raises(Refused) as refused:
            api.query("progress", identity=identity, **said)
        assert refused.value.type == "Unauthorized"
    with pytest.raises(Refused, match="not that of a case"):
        api.query("progress", identity=THE_RULE, **{**said, "pk": "INTAKE#2026"})


def test_the_rule_hands_on_what_the_mutation_takes() -> None:
    """Stream record → pipe's filter → rule's paths → mutation's arguments, on an item as the store writes it."""
    made = templates.committed()["query-progress"]["Resources"]
    (target,) = made["Rule"]["Properties"]["Targets"]
    with mock_aws():
        db: Any = boto3.client("dynamodb", region_name="eu-central-1")
        table = templates.committed()["case-store"]["Resources"]["Cases"]["Properties"]
        names = ("BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")
        stream = {"StreamEnabled": True, **table["StreamSpecification"]}
        db.create_table(TableName="streamed", **{k: table[k] for k in names}, StreamSpecification=stream)
        first = case(1, account=MEMBER)
        CaseStore(db, table="streamed").note(
            first.case_id, 'said "hello"', kind=TimelineKind.CASE, source="test", at=first.opened_at
        )
        streams: Any = boto3.client("dynamodbstreams", region_name="eu-central-1")
        arn = db.describe_table(TableName="streamed")["Table"]["LatestStreamArn"]
        (shard,) = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
        where = streams.get_shard_iterator(StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")[
            "ShardIterator"
        ]
        record = next(r for r in streams.get_records(ShardIterator=where)["Records"] if "TIMELINE#" in str(r))
    (pattern,) = made["Pipe"]["Properties"]["SourceParameters"]["FilterCriteria"]["Filters"]
    wanted = json.loads(pattern["Pattern"])
    assert record["eventName"] in wanted["eventName"]
    for key, tests in wanted["dynamodb"]["Keys"].items():
        assert record["dynamodb"]["Keys"][key]["S"].startswith(tests["S"][0]["prefix"])
    paths = target["InputTransformer"]["InputPathsMap"]
    text = target["InputTransformer"]["InputTemplate"]
    for name, path in paths.items():
        value: Any = {"detail": record}
        for part in path.removeprefix("$.").split("."):
            value = value[part]
        text = text.replace(f"<{name}>", json.dumps(value))
    assert json.loads(text)["what"] == 'said "hello"' and json.loads(text)["pk"] == f"CASE#{first.case_id}"
    operation = target["AppSyncParameters"]["GraphQLOperation"]
    schema = (RESOLVERS / "schema.graphql").read_text("utf-8")
    declared = dict(re.findall(r"(\w+): (\w+!)", re.search(r"progress\((.*?)\)", schema)[1]))  # type: ignore[index]
    assert dict(re.findall(r"\$(\w+): (\w+!)", operation)) == declared and set(declared) == set(paths)


@pytest.mark.parametrize(
    ("kind", "stack"), [("Query", "query-api"), ("Mutation", "query-progress"), ("Subscription", "query-progress")]
)
def test_every_field_of_the_schema_has_a_resolver(kind: str, stack: str) -> None:
    schema = (RESOLVERS / "schema.graphql").read_text("utf-8")
    body = re.search(rf"type {kind}[^{{]*\{{(.*?)\n\}}", schema, re.S)
    assert body
    wanted = set(re.findall(r"^  (\w+)\(", body[1], re.M))
    made = [r["Properties"] for r in templates.committed()[stack]["Resources"].values() if "Resolver" in r["Type"]]
    assert wanted == {r["FieldName"] for r in made if r["TypeName"] == kind}


@pytest.mark.parametrize("name", ["Case", "TimelineEntry", "Evidence", "CustodyEvent"])
def test_types_of_the_schema_are_the_models(name: str) -> None:
    from forensics.models.case import TimelineEntry
    from forensics.models.custody import CustodyEvent
    from forensics.models.evidence import Evidence

    model = {"Case": Case, "TimelineEntry": TimelineEntry, "Evidence": Evidence, "CustodyEvent": CustodyEvent}[name]
    schema = (RESOLVERS / "schema.graphql").read_text("utf-8")
    body = re.search(rf"type {name} [^{{]*\{{(.*?)\n\}}", schema, re.S)
    assert body
    fields = set(re.findall(r"^  (\w+):", body[1], re.M))
    assert fields <= set(model.model_fields), f"the store has no {fields - set(model.model_fields)}"
