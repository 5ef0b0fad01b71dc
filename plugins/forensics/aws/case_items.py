"""Keys and indexes of the case store's items (docs/architecture.md, "Stores")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias, TypedDict

from forensics import case_keys
from forensics.aws.attributes import to_item
from forensics.models.base import ITEM_SCHEMA, format_utc
from forensics.models.case import Case
from forensics.models.finding import Finding, Severity

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef, UpdateTypeDef

    Attributes: TypeAlias = dict[str, AttributeValueTypeDef]

    class WriteCondition(TypedDict, total=False):
        """Arguments of PutItem that say when an item may be written."""

        ConditionExpression: str
        ExpressionAttributeNames: dict[str, str]
        ExpressionAttributeValues: Attributes


NEW_ITEM = "attribute_not_exists(PK)"


def case_pk(case_id: str) -> str:
    """Partition key of a case."""
    return f"CASE#{case_id}"


def item_key(case_id: str, sk: str) -> Attributes:
    """Key of one item of a case."""
    return {"PK": {"S": case_pk(case_id)}, "SK": {"S": sk}}


def lock_key(case: Case) -> Attributes:
    """Key of the lock that the instance's open case holds."""
    return instance_lock_key(case.account_id, case.region, case.instance_id)


def instance_lock_key(account_id: str, region: str, subject: str) -> Attributes:
    """The same, of what a case would be about."""
    return {"PK": {"S": f"OPEN#{account_id}#{region}#{subject}"}, "SK": {"S": "LOCK"}}


def finding_key(finding: Finding) -> Attributes:
    """Key of the item that says which case a finding belongs to."""
    # A person's custom action on a finding is an order of its own, each time it is pressed.
    order = f"#{finding.order}" if finding.order else ""
    return {"PK": {"S": f"FINDING#{finding.key}{order}"}, "SK": {"S": "CASE"}}


def finding_item(case_id: str, finding: Finding) -> Attributes:
    """A finding as an item of its case; the rank lets a write be conditional on the severity."""
    return {
        **item_key(case_id, case_keys.finding(finding)),
        "severity_rank": {"N": str(finding.severity.rank)},
        "data": to_item(finding.to_store(by_alias=False)),
    }


def indexes(case: Case) -> Attributes:
    """Attributes of the head record by which cases are found: GSI1 by instance, GSI2 by status, both by time."""
    opened = format_utc(case.opened_at)
    return {
        "GSI1PK": {"S": f"{case.account_id}#{case.region}#{case.instance_id}"},
        "GSI1SK": {"S": f"{opened}#{case.case_id}"},
        "GSI2PK": {"S": f"STATUS#{case.status.value}"},
        "GSI2SK": {"S": f"{opened}#{case.case_id}"},
    }


def case_update(table: str, case: Case, changes: Mapping[str, object]) -> UpdateTypeDef:
    """An update of some fields of the head record, each on its own; the index of the status follows."""
    plain = Case.model_validate({**case.model_dump(), **changes}).model_dump(mode="json")
    names, sets = {"#d": "data"}, []
    values: Attributes = {}
    for number, field in enumerate(changes):
        names[f"#f{number}"], values[f":v{number}"] = field, to_item(plain[field])
        sets.append(f"#d.#f{number} = :v{number}")
    if "status" in changes:
        values[":s"] = {"S": f"STATUS#{plain['status']}"}
        sets.append("GSI2PK = :s")
    if Case.SCHEMA > 1:
        names["#schema"], values[":schema"] = ITEM_SCHEMA, to_item(Case.SCHEMA)
        sets.append("#d.#schema = :schema")
    return {
        "TableName": table,
        "Key": item_key(case.case_id, case_keys.CASE),
        "UpdateExpression": "SET " + ", ".join(sets),
        "ConditionExpression": "attribute_exists(PK)",
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": values,
    }


def severity_update(table: str, case_id: str, severity: Severity) -> UpdateTypeDef:
    """An update of the head record's severity, on condition that it is lower."""
    below: Attributes = {f":b{n}": {"S": other.value} for n, other in enumerate(Severity) if other.rank < severity.rank}
    lower = f"#d.#s IN ({', '.join(below)})" if below else "attribute_not_exists(PK)"
    return {
        "TableName": table,
        "Key": item_key(case_id, case_keys.CASE),
        "UpdateExpression": "SET #d.#s = :s",
        "ConditionExpression": f"attribute_exists(PK) AND {lower}",
        "ExpressionAttributeNames": {"#d": "data", "#s": "severity"},
        "ExpressionAttributeValues": {":s": {"S": severity.value}, **below},
    }


def follows(version: int) -> WriteCondition:
    """The condition that an item's stored version is the one before this; 1 is the first, of an item with or without data."""
    names = {"#v": "version"}
    if version <= 1:
        return {"ConditionExpression": "attribute_not_exists(#v)", "ExpressionAttributeNames": names}
    return {
        "ConditionExpression": "#v = :before",
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": {":before": {"N": str(version - 1)}},
    }
