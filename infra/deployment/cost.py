"""``make cost``: what a deployment costs a month when nothing happens, per profile, and what a case costs.

Resources are counted in the rendered templates; prices are those of ``infra/prices.yaml``, with the pages and the day they were read.
"""

from __future__ import annotations

import ast
import operator
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from infra.deployment import configuration, rendering, templates
from infra.deployment.rendering import Rendered, Resource

PRICES = templates.ROOT / "infra" / "prices.yaml"
EXAMPLE = templates.ROOT / "infra" / "deployment.example.yaml"
PROFILES = ("economy", "standard", "closed")
ENVIRONMENT = "AWS::MWAA::Environment"


class CostError(ValueError):
    """A resource or formula that has no price; the message names it and what to add."""


@dataclass(frozen=True)
class Line:
    """One line of a bill: so many units at this price, by which page."""

    item: str
    quantity: float
    price: float
    page: str

    @property
    def usd(self) -> float:
        """Dollars of the line."""
        return self.quantity * self.price


def read(file: Path = PRICES) -> dict[str, Any]:
    """The price table."""
    return dict(yaml.safe_load(file.read_text("utf-8")))


def idle(config: configuration.Configuration, table: Mapping[str, Any]) -> list[Line]:
    """The idle month of a configuration. Raises :class:`CostError` for a type without a row."""
    counted: dict[tuple[str, float], tuple[float, str]] = {}
    for stack in rendering.render(config):
        for item, quantity, price, page in _stack(stack, table):
            before, _ = counted.get((item, price), (0.0, page))
            counted[item, price] = (before + quantity, page)
    lines = [Line(item, quantity, price, page) for (item, price), (quantity, page) in counted.items()]
    lines += [Line(a["item"], float(a["quantity"]), float(a["price"]), a["page"]) for a in table["assumed"]]
    return sorted((line for line in lines if line.quantity), key=lambda line: -line.usd)


def _stack(stack: Rendered, table: Mapping[str, Any]) -> list[tuple[str, float, float, str]]:
    found = []
    for name, resource in stack.resources.items():
        if resource.type in table["free"]:
            continue
        if resource.type not in table["prices"]:
            msg = f"{stack.step.template}.{name}: {resource.type} has no price: add it to prices or free in infra/prices.yaml"
            raise CostError(msg)
        row = table["prices"][resource.type]
        item, quantity, price = _counted(resource, row, hours=float(table["hours"]))
        found.append((item, quantity, price, str(row["page"])))
    return found


def _counted(resource: Resource, row: Mapping[str, Any], *, hours: float) -> tuple[str, float, float]:
    """(what, how many units a month, price of a unit)."""
    short, given = resource.type.removeprefix("AWS::"), resource.properties
    match resource.type:
        case "AWS::MWAA::Environment":
            size = str(given["EnvironmentClass"])
            return f"{short} {size}, hours", hours, float(row["hourly"][size])
        case "AWS::EC2::VPCEndpoint":
            zones = len(given["SubnetIds"]) if given["VpcEndpointType"] == "Interface" else 0
            return f"{short}, hours of an interface endpoint in a zone", zones * hours, float(row["hourly"])
        case "AWS::WAFv2::WebACL":
            rules = len(given["Rules"])
            return f"{short} with {rules} rules", 1, float(row["monthly"]) + rules * float(row["rule"])
        case "AWS::Route53Resolver::FirewallDomainList":
            return f"{short}, domain names", len(given["Domains"]), float(row["monthly"])
    if "hourly" in row:
        return f"{short}, hours", hours, float(row["hourly"])
    return short, 1, float(row["monthly"])


def case(table: Mapping[str, Any], **changed: float) -> list[Line]:
    """What one case costs, with the table's inputs or others."""
    inputs = {**table["case"]["inputs"], **changed}
    return [
        Line(given["item"], evaluate(str(given["quantity"]), inputs), float(given["price"]), given["page"])
        for given in table["case"]["lines"]
    ]


_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def evaluate(formula: str, inputs: Mapping[str, float]) -> float:
    """Value of a formula of numbers, names of inputs and + - * /. Raises :class:`CostError`."""

    def value(node: ast.expr) -> float:
        if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
            return _OPERATORS[type(node.op)](value(node.left), value(node.right))
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
            return float(node.value)
        if isinstance(node, ast.Name) and node.id in inputs:
            return float(inputs[node.id])
        msg = f"infra/prices.yaml, case: {formula!r} is not a formula of {', '.join(sorted(inputs))}"
        raise CostError(msg)

    return value(ast.parse(formula, mode="eval").body)


def total(lines: Sequence[Line]) -> float:
    """Dollars of all lines."""
    return sum(line.usd for line in lines)


def profiled(config: configuration.Configuration, profile: str) -> configuration.Configuration:
    """A configuration as it would be with a profile; economy has no query API. The profile closed is for the home Region."""
    given: dict[str, Any] = {**config.parameters, "Profile": profile}
    if profile == "economy":
        given["NoQueryApi"] = "yes"
    regions = (config.region,) if profile == "closed" else config.member_regions
    return replace(config, parameters=given, member_regions=regions)


def highest_price(lines: Sequence[Line], goal: float) -> float:
    """Up to which price of an hour the environment may rise until the goal is missed."""
    environment = next(line for line in lines if line.item.startswith(ENVIRONMENT.removeprefix("AWS::")))
    return (goal - (total(lines) - environment.usd)) / environment.quantity


def by_mwaa(table: Mapping[str, Any]) -> float:
    """Dollars a month of the endpoints that MWAA makes for itself, if AWS bills them to the account."""
    made = table["made_by_mwaa"]
    price = float(table["prices"]["AWS::EC2::VPCEndpoint"]["hourly"])
    return int(made["endpoints"]) * int(made["zones"]) * float(table["hours"]) * price


def text(lines: Sequence[Line]) -> str:
    """A table for a person."""
    rows = [f"  {line.usd:9.2f}  {line.quantity:10.1f} x {line.price:<8g} {line.item}  [{line.page}]" for line in lines]
    return "\n".join([*rows, f"  {total(lines):9.2f}  USD"])


def main(arguments: Sequence[str]) -> int:
    """Print the tables for a configuration file (the example when none is named)."""
    table = read()
    config = configuration.read(Path(arguments[0]) if arguments else EXAMPLE)
    print(
        f"List prices of {table['region']}, read {table['read']} (infra/prices.yaml); one month is {table['hours']} hours."
    )
    for profile in PROFILES:
        lines = idle(profiled(config, profile), table)
        goal = table["goals"].get(profile)
        print(f"\nidle month, profile {profile}" + (f" (goal: at most {goal} USD)" if goal else ""))
        print(text(lines))
        size = next((line.item for line in lines if line.item.startswith("MWAA")), "")
        if goal and any(name in size for name in table["prices"][ENVIRONMENT]["unconfirmed"]):
            print(
                f"  the price of this environment is unconfirmed; the goal holds up to {highest_price(lines, goal):.2f} USD an hour"
            )
    print(
        f"\nnot in these sums: the endpoints that MWAA makes for itself, {by_mwaa(table):.2f} USD a month if AWS bills them (docs/cost.md)"
    )
    given = ", ".join(f"{name}={value}" for name, value in table["case"]["inputs"].items())
    print(f"\none case ({given})")
    print(text(case(table)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
