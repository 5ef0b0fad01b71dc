"""DynamoDB as the case store uses it: conditions, transactions, pages, indexes."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from forensics.aws.case_store import CaseStore
from forensics.models.case import CaseStatus
from tests.contract.judges.emulators import Running
from tests.unit.builders import CASE_ID, case, finding


@pytest.fixture
def store(aws: Running, name: str) -> CaseStore:
    """The product's table."""
    from tests.unit.moto_store import _index

    db = aws.client("dynamodb")
    names = ("PK", "SK", "GSI1PK", "GSI1SK", "GSI2PK", "GSI2SK")
    db.create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in names],
        KeySchema=[{"AttributeName": "PK", "KeyType": "HASH"}, {"AttributeName": "SK", "KeyType": "RANGE"}],
        GlobalSecondaryIndexes=[_index("GSI1"), _index("GSI2")],
        BillingMode="PAY_PER_REQUEST",
    )
    db.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    return CaseStore(db, table=name)


def _refused(call: Any) -> dict[str, Any]:
    with pytest.raises(ClientError) as caught:
        call()
    return dict(caught.value.response)


def _key(sk: str = "X") -> dict[str, Any]:
    return {"PK": {"S": f"CASE#{CASE_ID}"}, "SK": {"S": sk}}


@pytest.mark.services("dynamodb", "transactions")
def test_one_case_is_opened_for_one_instance(store: CaseStore) -> None:
    other = case(case_id="fc-20261124-00000000aa")
    assert store.open_case(case(), finding=finding()) == ("opened", CASE_ID)
    assert store.open_case(case(), finding=finding()) == ("exists", CASE_ID)
    assert store.open_case(other, finding=finding(key="another" * 3)) == ("joined", CASE_ID)


@pytest.mark.services("dynamodb", "transactions")
def test_a_case_that_is_closed_lets_the_next_one_open(store: CaseStore) -> None:
    store.open_case(case(), finding=finding())
    store.end_case(CASE_ID, status=CaseStatus.CLOSED)
    other = case(case_id="fc-20261124-00000000aa")
    assert store.open_case(other, finding=finding(key="another" * 3))[0] == "opened"
    store.end_case(CASE_ID, status=CaseStatus.CLOSED)  # the lock of another holder is left alone
    assert store.open_case(case(case_id="fc-20261124-00000000ab"), finding=finding(key="third" * 3)) == (
        "joined",
        other.case_id,
    )


@pytest.mark.services("dynamodb")
def test_an_item_is_written_once(store: CaseStore) -> None:
    assert store.put_once(CASE_ID, "X", {"a": 1})
    assert not store.put_once(CASE_ID, "X", {"a": 2})
    assert store.data(CASE_ID, "X") == {"a": 1}


@pytest.mark.services("dynamodb")
def test_values_come_back_as_they_were(store: CaseStore) -> None:
    value = {
        "text": "€ \U0001f600",
        "empty": "",
        "none": None,
        "yes": True,
        "list": [1, 2.5, {"deep": []}],
        "big": 2**53,
    }
    store.put_once(CASE_ID, "X", value)
    assert store.data(CASE_ID, "X") == value


@pytest.mark.services("dynamodb")
def test_a_lease_has_one_holder_until_it_ends(store: CaseStore) -> None:
    assert store.lease(CASE_ID, "report", holder="a", seconds=60)
    assert not store.lease(CASE_ID, "report", holder="b", seconds=60)
    assert store.lease(CASE_ID, "report", holder="a", seconds=-60)
    assert store.lease(CASE_ID, "report", holder="b", seconds=60)


@pytest.mark.services("dynamodb")
def test_only_a_more_severe_finding_replaces_one(store: CaseStore) -> None:
    from forensics.models.finding import Severity

    low, high = finding(severity=Severity.LOW), finding(severity=Severity.HIGH)
    assert store.add_finding(CASE_ID, low)
    assert not store.add_finding(CASE_ID, low)
    assert store.add_finding(CASE_ID, high)
    assert not store.add_finding(CASE_ID, low)


@pytest.mark.services("dynamodb", "transactions")
def test_a_change_of_a_case_that_does_not_exist_makes_none(store: CaseStore) -> None:
    store.open_case(case(), finding=finding())
    answer = _refused(
        lambda: store._db.update_item(
            TableName=store.table, Key=_key("NEVER"), UpdateExpression="SET #d.#f = :v",
            ConditionExpression="attribute_exists(PK)", ExpressionAttributeNames={"#d": "data", "#f": "status"},
            ExpressionAttributeValues={":v": {"S": "x"}},
        )
    )  # fmt: skip
    assert answer["Error"]["Code"] == "ConditionalCheckFailedException"
    assert not store.has(CASE_ID, "NEVER")


@pytest.mark.services("dynamodb", "transactions")
def test_a_changed_case_is_answered_whole_and_found_by_its_status(store: CaseStore) -> None:
    store.open_case(case(), finding=finding())
    changed = store.update_case(CASE_ID, status=CaseStatus.CLOSED)
    assert changed.status is CaseStatus.CLOSED
    assert changed == store.case(CASE_ID)
    assert [found.status for found in store.list_cases()[0]] == [CaseStatus.CLOSED]


@pytest.mark.services("dynamodb")
def test_a_large_case_is_read_to_its_last_page(store: CaseStore) -> None:
    """DynamoDB developer guide, Paginating table query results: a page ends at 1 MB."""
    for number in range(12):
        store.put_once(CASE_ID, f"BIG#{number:02}", {"text": "x" * 200_000})
    first = store._db.query(
        TableName=store.table,
        KeyConditionExpression="PK = :p",
        ExpressionAttributeValues={":p": {"S": f"CASE#{CASE_ID}"}},
    )
    assert "LastEvaluatedKey" in first
    assert [sk for sk, _ in store.items(CASE_ID, "BIG#")] == [f"BIG#{number:02}" for number in range(12)]


@pytest.mark.services("dynamodb", "transactions")
def test_newest_cases_come_first_and_the_cursor_goes_on(store: CaseStore) -> None:
    from datetime import timedelta

    for number in range(5):
        made = case(
            case_id=f"fc-20261124-{number:010x}",
            instance_id=f"i-{number:017x}",
            opened_at=case().opened_at + timedelta(hours=number),
        )
        store.open_case(made, finding=finding(key=f"{number}" * 16, instance_id=f"i-{number:017x}"))
    first, cursor = store.list_cases(limit=3)
    rest, _ = store.list_cases(limit=3, cursor=cursor)
    assert [found.case_id[-1] for found in [*first, *rest]] == ["4", "3", "2", "1", "0"]


@pytest.mark.services("dynamodb", "transactions")
def test_a_cancelled_transaction_says_which_write_and_changes_nothing(store: CaseStore) -> None:
    """DynamoDB API reference, TransactWriteItems: CancellationReasons in the order of the writes."""
    new = "attribute_not_exists(PK)"
    writes = [
        {"Put": {"TableName": store.table, "Item": _key("A"), "ConditionExpression": new}},
        {"Put": {"TableName": store.table, "Item": _key("B"), "ConditionExpression": new}},
    ]
    store._db.put_item(TableName=store.table, Item=_key("B"))
    answer = _refused(lambda: store._db.transact_write_items(TransactItems=writes))
    assert answer["Error"]["Code"] == "TransactionCanceledException"
    assert [reason["Code"] for reason in answer["CancellationReasons"]] == ["None", "ConditionalCheckFailed"]
    assert not store.has(CASE_ID, "A")


@pytest.mark.services("dynamodb", "transactions")
def test_a_transaction_writes_an_item_once(store: CaseStore) -> None:
    """DynamoDB API reference, TransactWriteItems: not two operations on one item."""
    write = {"Put": {"TableName": store.table, "Item": _key("A")}}
    answer = _refused(lambda: store._db.transact_write_items(TransactItems=[write, write]))
    assert answer["Error"]["Code"] == "ValidationException"


@pytest.mark.services("dynamodb", "transactions")
def test_a_transaction_has_at_most_a_hundred_writes(store: CaseStore) -> None:
    writes = [{"Put": {"TableName": store.table, "Item": _key(str(number))}} for number in range(101)]
    answer = _refused(lambda: store._db.transact_write_items(TransactItems=writes))
    assert answer["Error"]["Code"] == "ValidationException"


@pytest.mark.services("dynamodb")
def test_an_item_of_more_than_400_kb_is_refused(store: CaseStore) -> None:
    item = _key() | {"data": {"S": "x" * (400 * 1024)}}
    assert (
        _refused(lambda: store._db.put_item(TableName=store.table, Item=item))["Error"]["Code"] == "ValidationException"
    )


@pytest.mark.services("dynamodb")
def test_an_unknown_table_has_its_own_error(store: CaseStore) -> None:
    answer = _refused(lambda: store._db.get_item(TableName="never-made", Key=_key()))
    assert answer["Error"]["Code"] == "ResourceNotFoundException"


@pytest.mark.services("dynamodb")
def test_a_reserved_word_needs_a_name(store: CaseStore) -> None:
    """DynamoDB developer guide, Reserved words in DynamoDB: status is one."""
    answer = _refused(
        lambda: store._db.update_item(
            TableName=store.table,
            Key=_key(),
            UpdateExpression="SET status = :v",
            ExpressionAttributeValues={":v": {"S": "x"}},
        )
    )
    assert answer["Error"]["Code"] == "ValidationException"
