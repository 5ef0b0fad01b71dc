"""Evaluates IAM policies: Action, Resource, Principal, Condition, variables; explicit deny wins, nothing allows by default.

AWS IAM user guide, "Policy evaluation logic" and "IAM JSON policy elements". A condition operator that is not known here raises: it must
neither allow nor deny by accident.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

Context = Mapping[str, str | list[str] | None]
_VARIABLE = re.compile(r"\$\{([^}]+)\}")


class PolicyError(ValueError):
    """A policy that this evaluator cannot evaluate; the message names the element."""


@dataclass(frozen=True)
class Request:
    """One authorization question: may the caller take this action on this resource, in this context?"""

    action: str
    resource: str
    context: Context = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.action} on {self.resource}"


@dataclass(frozen=True)
class Decision:
    """``allowed`` only by an Allow and no Deny; ``by`` names the statement that decided."""

    allowed: bool
    by: str


def listed(value: Any) -> list[Any]:
    """A policy element is one value or a list of them."""
    return value if isinstance(value, list) else [value]


@lru_cache(maxsize=4096)
def _pattern(text: str, ignore_case: bool) -> re.Pattern[str]:
    parts = (".*" if c == "*" else "." if c == "?" else re.escape(c) for c in text)
    return re.compile("".join(parts), re.DOTALL | (re.IGNORECASE if ignore_case else 0))


def like(value: str, pattern: str, *, ignore_case: bool = False) -> bool:
    """Whether a value matches a pattern with ``*`` and ``?``."""
    return _pattern(pattern, ignore_case).fullmatch(value) is not None


def _known(context: Context, name: str) -> str | list[str] | None:
    # names of condition keys are not case-sensitive, values are
    lowered = name.lower()
    return next((value for key, value in context.items() if key.lower() == lowered), None)


def _filled(text: str, context: Context) -> str | None:
    """The text with its policy variables; None when one has no value (the element then matches nothing)."""
    missing = False

    def value(match: re.Match[str]) -> str:
        nonlocal missing
        if match[1] in ("*", "?", "$"):
            return match[1]
        found = _known(context, match[1])
        if not isinstance(found, str):
            missing = True
            return ""
        return found

    filled = _VARIABLE.sub(value, text)
    return None if missing else filled


_NEGATED = {
    "StringNotEquals",
    "StringNotLike",
    "StringNotEqualsIgnoreCase",
    "ArnNotEquals",
    "ArnNotLike",
    "NumericNotEquals",
}


def _one(operator: str, actual: str, wanted: str) -> bool:
    """Whether one value meets a positive operator."""
    match operator:
        case "StringEquals":
            return actual == wanted
        case "StringEqualsIgnoreCase":
            return actual.lower() == wanted.lower()
        case "StringLike" | "ArnLike" | "ArnEquals":
            return like(actual, wanted)
        case "Bool":
            return actual.lower() == wanted.lower()
        case "NumericEquals":
            return float(actual) == float(wanted)
        case "NumericLessThan":
            return float(actual) < float(wanted)
        case "NumericLessThanEquals":
            return float(actual) <= float(wanted)
        case "NumericGreaterThan":
            return float(actual) > float(wanted)
        case "NumericGreaterThanEquals":
            return float(actual) >= float(wanted)
    msg = f"condition operator {operator} is not known to the lab's IAM"
    raise PolicyError(msg)


def _test(operator: str, name: str, wanted: Any, context: Context) -> bool:
    quantifier, _, base = operator.rpartition(":")
    if_exists = base.endswith("IfExists")
    base = base.removesuffix("IfExists")
    actual = _known(context, name)
    if base == "Null":
        return (actual is None) == (str(listed(wanted)[0]).lower() == "true")
    negated = base in _NEGATED
    positive = base.replace("Not", "", 1) if negated else base
    values = [v for v in (_filled(_text(item), context) for item in listed(wanted)) if v is not None]
    if actual is None:
        # a negated operator is met by a key that is not there, a positive one is not
        return if_exists or negated or quantifier == "ForAllValues"
    found = [any(_one(positive, _text(a), w) for w in values) != negated for a in listed(actual)]
    return any(found) if quantifier == "ForAnyValue" else all(found)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _conditions_hold(statement: Mapping[str, Any], context: Context) -> bool:
    conditions = statement.get("Condition") or {}
    return all(_test(op, name, wanted, context) for op, tests in conditions.items() for name, wanted in tests.items())


def _action_matches(statement: Mapping[str, Any], action: str) -> bool:
    if "NotAction" in statement:
        return not any(like(action, p, ignore_case=True) for p in listed(statement["NotAction"]))
    return any(like(action, p, ignore_case=True) for p in listed(statement.get("Action", [])))


def _resource_matches(statement: Mapping[str, Any], request: Request) -> bool:
    name = "NotResource" if "NotResource" in statement else "Resource"
    if name not in statement:
        return True  # a trust policy has none: its resource is the role itself
    patterns = [p for p in (_filled(str(item), request.context) for item in listed(statement[name])) if p is not None]
    return any(like(request.resource, p) for p in patterns) != (name == "NotResource")


def _principal_matches(statement: Mapping[str, Any], names: Iterable[str] | None) -> bool:
    if names is None or "Principal" not in statement:
        return True
    principal = statement["Principal"]
    if principal == "*":
        return True
    wanted = [str(p) for value in principal.values() for p in listed(value)]
    return any(p == "*" or p in names for p in wanted)


def about(statement: Mapping[str, Any], request: Request) -> bool:
    """Whether a statement names this action and resource, whatever its conditions."""
    return _action_matches(statement, request.action) and _resource_matches(statement, request)


def applies(statement: Mapping[str, Any], request: Request, *, principals: Iterable[str] | None = None) -> bool:
    """Whether a statement is about this request (of one of these principals, for policies of resources)."""
    return (
        about(statement, request)
        and _principal_matches(statement, principals)
        and _conditions_hold(statement, request.context)
    )


def decide(
    policies: Mapping[str, Mapping[str, Any]], request: Request, *, principals: Iterable[str] | None = None
) -> Decision:
    """Decide over policies by name; the answer names ``policy.Sid``."""
    allowed = ""
    for name, document in policies.items():
        for number, statement in enumerate(listed(document.get("Statement", []))):
            if not applies(statement, request, principals=principals):
                continue
            where = f"{name}.{statement.get('Sid', number)}"
            if statement.get("Effect") == "Deny":
                return Decision(False, f"explicit deny by {where}")
            allowed = allowed or where
    return Decision(bool(allowed), allowed or "no statement allows it")
