"""Resolves a template's functions (for the lab, the cost table and tests): Ref, GetAtt, Sub, Join, Select, Split, If and its conditions, GetAZs, Cidr."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

NO_VALUE = object()
_VARIABLE = re.compile(r"\$\{(!?)([^}]+)\}")


class TemplateError(ValueError):
    """A template that cannot be resolved: AWS's ValidationError."""


@dataclass
class Resolver:
    """Resolves values of one stack.

    :param names: parameters and pseudo parameters
    :param conditions: the template's conditions
    :param ref: physical id of a resource
    :param attribute: attribute of a resource
    """

    names: Mapping[str, Any]
    conditions: Mapping[str, Any]
    ref: Callable[[str], Any]
    attribute: Callable[[str, str], Any]

    def value(self, given: Any) -> Any:
        """The value with every function replaced by its result."""
        if isinstance(given, list):
            return [v for v in (self.value(item) for item in given) if v is not NO_VALUE]
        if not isinstance(given, dict):
            return given
        if len(given) == 1:
            (name, argument), *_ = given.items()
            if name == "Ref":
                return self._ref(argument)
            if name.startswith("Fn::") or (name == "Condition" and isinstance(argument, str)):
                return self._function(name.removeprefix("Fn::"), argument)
        return {k: v for k, v in ((k, self.value(v)) for k, v in given.items()) if v is not NO_VALUE}

    def condition(self, name: str) -> bool:
        """Whether a condition of the template holds."""
        if name not in self.conditions:
            msg = f"there is no condition {name}"
            raise TemplateError(msg)
        return bool(self.value(self.conditions[name]))

    def _ref(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return NO_VALUE
        return self.names[name] if name in self.names else self.ref(name)

    def _function(self, name: str, argument: Any) -> Any:
        known: dict[str, Callable[[Any], Any]] = {
            "GetAtt": lambda a: self.attribute(*(a.split(".", 1) if isinstance(a, str) else a)),
            "Sub": self._sub,
            "Join": lambda a: a[0].join(str(v) for v in self.value(a[1])),
            "Select": lambda a: self.value(a[1])[int(a[0])],
            "Split": lambda a: self.value(a[1]).split(a[0]),
            "If": lambda a: self.value(a[1] if self.condition(a[0]) else a[2]),
            "Condition": self.condition,
            "Equals": lambda a: str(self.value(a[0])) == str(self.value(a[1])),
            "Not": lambda a: not self.value(a[0]),
            "And": lambda a: all(self.value(v) for v in a),
            "Or": lambda a: any(self.value(v) for v in a),
            "GetAZs": lambda a: [f"{self.value(a) or self.names['AWS::Region']}{zone}" for zone in "abc"],
            "Cidr": self._cidr,
        }
        if name not in known:
            msg = f"the lab's CloudFormation does not know Fn::{name}"
            raise TemplateError(msg)
        return known[name](argument)

    def _sub(self, given: Any) -> str:
        text, more = (given, {}) if isinstance(given, str) else (given[0], self.value(given[1]))

        def found(match: re.Match[str]) -> str:
            literal, name = match.groups()
            if literal:
                return "${" + name + "}"
            if name in more:
                return str(more[name])
            return str(self._ref(name) if "." not in name else self.attribute(*name.split(".", 1)))

        return _VARIABLE.sub(found, text)

    def _cidr(self, given: Any) -> list[str]:
        block, count, bits = (self.value(v) for v in given)
        networks = ipaddress.ip_network(block).subnets(new_prefix=32 - int(bits))
        return [str(network) for network, _ in zip(networks, range(int(count)), strict=False)]


def references(given: Any) -> set[str]:
    """Names that a value refers to by Ref, GetAtt or Sub."""
    if isinstance(given, list):
        return {name for item in given for name in references(item)}
    if not isinstance(given, dict):
        return set()
    found: set[str] = set()
    for name, argument in given.items():
        if name == "Ref":
            found.add(argument)
        elif name == "Fn::GetAtt":
            found.add(argument.split(".")[0] if isinstance(argument, str) else argument[0])
        elif name == "Fn::Sub":
            text, more = (argument, {}) if isinstance(argument, str) else argument
            found |= {n.split(".")[0] for literal, n in _VARIABLE.findall(text) if not literal and n not in more}
            found |= references(more)
        else:
            found |= references(argument)
    return found
