"""The lab's IAM decides as AWS's documentation says."""

from __future__ import annotations

from typing import Any

import pytest

from lab.emulator.iam.policy import PolicyError, Request, decide


def may(statement: dict[str, Any], action: str = "ec2:RunInstances", resource: str = "arn:r/1", **context: Any) -> bool:
    full = {"Sid": "S", "Effect": "Allow", "Action": "*", "Resource": "*", **statement}
    keys = {k.replace("__", ":"): v for k, v in context.items()}
    return decide({"p": {"Statement": full}}, Request(action, resource, keys)).allowed


@pytest.mark.parametrize(
    ("pattern", "action", "expected"),
    [
        ("ec2:RunInstances", "ec2:RunInstances", True),
        ("ec2:runinstances", "ec2:RunInstances", True),
        ("ec2:Run*", "ec2:RunInstances", True),
        ("ec2:RunInstance?", "ec2:RunInstances", True),
        ("ec2:Run", "ec2:RunInstances", False),
        ("s3:*", "ec2:RunInstances", False),
    ],
)
def test_actions(pattern: str, action: str, expected: bool) -> None:
    assert may({"Action": pattern}, action) is expected
    negated = {"NotAction": pattern}
    document = {"p": {"Statement": {"Effect": "Allow", "Resource": "*", **negated}}}
    assert decide(document, Request(action, "x")).allowed is not expected


@pytest.mark.parametrize(
    ("pattern", "resource", "expected"),
    [
        ("arn:aws:s3:::b/cases/*", "arn:aws:s3:::b/cases/1/x", True),
        ("arn:aws:s3:::b/cases/*", "arn:aws:s3:::b/other", False),
        ("arn:aws:s3:::b/CASES/*", "arn:aws:s3:::b/cases/1", False),
        ("*", "anything", True),
    ],
)
def test_resources(pattern: str, resource: str, expected: bool) -> None:
    assert may({"Resource": [pattern, "arn:never"]}, resource=resource) is expected


def test_variables_are_the_session_s_and_missing_ones_match_nothing() -> None:
    own = {"Resource": "arn:aws:s3:::b/cases/${aws:SourceIdentity}/*"}
    assert may(own, resource="arn:aws:s3:::b/cases/fc-1/x", aws__SourceIdentity="fc-1")
    assert not may(own, resource="arn:aws:s3:::b/cases/fc-2/x", aws__SourceIdentity="fc-1")
    assert not may(own, resource="arn:aws:s3:::b/cases//x")


@pytest.mark.parametrize(
    ("operator", "wanted", "context", "expected"),
    [
        ("StringEquals", ["a", "b"], {"k": "b"}, True),
        ("StringEquals", "a", {"k": "A"}, False),
        ("StringEquals", "a", {}, False),
        ("StringEqualsIfExists", "a", {}, True),
        ("StringNotEquals", ["a", "b"], {"k": "c"}, True),
        ("StringNotEquals", ["a", "b"], {"k": "b"}, False),
        ("StringNotEquals", "a", {}, True),
        ("StringLike", "fc-*", {"k": "fc-1"}, True),
        ("StringNotLike", "fc-*", {"k": "fc-1"}, False),
        ("ArnLike", "arn:aws:iam::*:role/x", {"k": "arn:aws:iam::1:role/x"}, True),
        ("ArnNotLike", "arn:aws:iam::*:role/x", {"k": "arn:aws:iam::1:role/y"}, True),
        ("Bool", False, {"k": "false"}, True),
        ("Bool", "true", {"k": "false"}, False),
        ("Null", "true", {}, True),
        ("Null", "false", {}, False),
        ("Null", False, {"k": "x"}, True),
        ("NumericLessThan", 1.2, {"k": "1.1"}, True),
        ("NumericLessThan", "1.2", {"k": "1.3"}, False),
        ("ForAnyValue:StringLike", "forensics:*", {"k": ["Name", "forensics:case"]}, True),
        ("ForAnyValue:StringLike", "forensics:*", {"k": ["Name"]}, False),
        ("ForAllValues:StringEquals", ["a", "b"], {"k": ["a", "b"]}, True),
        ("ForAllValues:StringEquals", ["a"], {"k": ["a", "c"]}, False),
        ("ForAllValues:StringEquals", ["a"], {}, True),
    ],
)
def test_conditions(operator: str, wanted: Any, context: dict[str, Any], expected: bool) -> None:
    assert may({"Condition": {operator: {"K": wanted}}}, **context) is expected


def test_all_conditions_have_to_hold() -> None:
    both = {"Condition": {"StringEquals": {"a": "1", "b": "2"}, "Null": {"c": "true"}}}
    assert may(both, a="1", b="2")
    assert not may(both, a="1", b="3")
    assert not may(both, a="1", b="2", c="there")


def test_deny_wins_wherever_it_is_and_is_named() -> None:
    allow = {"Sid": "A", "Effect": "Allow", "Action": "*", "Resource": "*"}
    deny = {"Sid": "D", "Effect": "Deny", "Action": "s3:*", "Resource": "*"}
    decision = decide({"one": {"Statement": [allow]}, "two": {"Statement": [deny]}}, Request("s3:GetObject", "x"))
    assert not decision.allowed and decision.by == "explicit deny by two.D"
    assert decide({"one": {"Statement": [allow, deny]}}, Request("ec2:X", "x")).by == "one.A"
    assert decide({}, Request("ec2:X", "x")).allowed is False


def test_principals_of_a_resource_policy() -> None:
    policy = {
        "p": {"Statement": {"Effect": "Allow", "Principal": {"AWS": ["arn:root"]}, "Action": "*", "Resource": "*"}}
    }
    assert decide(policy, Request("a:b", "x"), principals=["arn:role", "arn:root"]).allowed
    assert not decide(policy, Request("a:b", "x"), principals=["arn:other"]).allowed


def test_an_unknown_operator_is_said_and_opens_nothing() -> None:
    with pytest.raises(PolicyError, match="IpAddress"):
        may({"Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}, aws__SourceIp="10.0.0.1")
