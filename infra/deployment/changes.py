"""A change set for a person: what is added, changed, replaced or removed, property by property, and what is lost by it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

LONGEST = 120
# What holds evidence, or is an hour away when it is replaced; a person is asked before one of these is removed or replaced.
PRECIOUS = frozenset(
    {
        "AWS::S3::Bucket", "AWS::KMS::Key", "AWS::KMS::ReplicaKey", "AWS::DynamoDB::Table", "AWS::SQS::Queue", "AWS::MWAA::Environment",
        "AWS::KinesisFirehose::DeliveryStream", "AWS::CloudFormation::StackSet",
    }
)  # fmt: skip
_POLICIES = {
    "Retain": "the old one stays, outside of the stack",
    "Delete": "the old one is deleted with what it holds",
    "Snapshot": "a snapshot of the old one stays",
    "ReplaceAndRetain": "the old one stays, outside of the stack",
    "ReplaceAndDelete": "the old one is deleted with what it holds",
    "ReplaceAndSnapshot": "a snapshot of the old one stays",
}


def of_change_set(client: Any, *, stack: str, name: str) -> list[dict[str, Any]]:
    """All changes of a change set, with the values before and after where CloudFormation knows them."""
    found: list[dict[str, Any]] = []
    request: dict[str, Any] = {"StackName": stack, "ChangeSetName": name, "IncludePropertyValues": True}
    while True:
        page = client.describe_change_set(**request)
        found += [item["ResourceChange"] for item in page.get("Changes", []) if "ResourceChange" in item]
        if not page.get("NextToken"):
            return found
        request["NextToken"] = page["NextToken"]


def lines(changes: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The changes, a resource and each of its properties on a line."""
    for change in changes:
        yield f"    {change['Action']:7} {change['ResourceType']} {change['LogicalResourceId']}{_how(change)}"
        for path, before, after in _properties(change):
            yield f"        {path}: {before} → {after}"


def losses(changes: Sequence[dict[str, Any]]) -> list[str]:
    """Changes that remove or replace what holds evidence or takes an hour to come back."""
    return [
        f"{c['Action'].lower()} {c['ResourceType']} {c['LogicalResourceId']}{_how(c)}"
        for c in changes
        if c["ResourceType"] in PRECIOUS and (c["Action"] == "Remove" or c.get("Replacement") == "True")
    ]


def _how(change: dict[str, Any]) -> str:
    replaced = {"True": "REPLACED", "Conditional": "perhaps replaced"}.get(change.get("Replacement", ""), "")
    removed = "REMOVED" if change["Action"] == "Remove" else ""
    what = replaced or removed
    kept = _POLICIES.get(change.get("PolicyAction", ""), "") if what else ""
    return f" ({'; '.join(filter(None, (what, kept)))})" if what else ""


def _properties(change: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    seen = set()
    for detail in change.get("Details", []):
        target = detail.get("Target", {})
        path = str(target.get("Path") or "/".join(filter(None, (target.get("Attribute"), target.get("Name"))))).strip(
            "/"
        )
        before, after = _short(target.get("BeforeValue")), _short(target.get("AfterValue"))
        because = detail.get("CausingEntity")
        if "AfterValue" not in target and because:
            after = f"what {because} gives"  # known only when it is there
        if (path, before, after) not in seen and path:
            seen.add((path, before, after))
            yield path, before, after


def _short(value: object) -> str:
    text = "(not said)" if value is None else str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text)} characters)"
