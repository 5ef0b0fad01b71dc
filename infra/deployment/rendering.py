"""What a configuration would deploy, resource by resource: conditions decided, parameters and outputs filled in. It asks AWS nothing.

A reference to a resource becomes its logical id, an attribute ``LogicalId.Attribute``; what only the deployment knows is ``made-<name>``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import botocore.loaders

from infra.deployment import plan, templates
from infra.deployment.configuration import Configuration
from infra.deployment.intrinsics import Resolver
from infra.deployment.plan import Step


@dataclass(frozen=True)
class Resource:
    """A resource of a stack with its properties."""

    type: str
    properties: Mapping[str, Any]


@dataclass(frozen=True)
class Rendered:
    """One stack: the step that makes it, its resources by logical id, its outputs."""

    step: Step
    resources: Mapping[str, Resource]
    outputs: Mapping[str, Any]


@cache
def partition_of(region: str) -> tuple[str, str]:
    """Partition and DNS suffix of a Region (botocore's partition data). Raises ``LookupError`` for an unknown one."""
    for partition in botocore.loaders.Loader().load_data("partitions")["partitions"]:
        if region in partition["regions"]:
            return str(partition["id"]), str(partition["outputs"]["dnsSuffix"])
    msg = f"botocore knows no Region {region}"
    raise LookupError(msg)


def render(config: Configuration, known: Mapping[str, Mapping[str, Any]] | None = None) -> list[Rendered]:
    """Every stack of a configuration in order; ``known`` are other templates than the committed ones."""
    bodies = known or templates.reading(config.deployment_id)
    outputs: dict[str, Any] = {}
    made = []
    for step in plan.steps(config):
        if step.is_upload:
            continue
        stack = _stack(step, bodies[step.template], outputs)
        outputs |= stack.outputs
        made.append(stack)
    return made


def _stack(step: Step, body: Mapping[str, Any], outputs: Mapping[str, Any]) -> Rendered:
    declared = body.get("Parameters", {})
    names = _pseudo(step)
    for name, source in step.parameters.items():
        if source.kind == "output":
            names[name] = outputs[name]
        else:
            names[name] = f"made-{name}" if source.kind == "made" else source.value
        if declared[name]["Type"] in ("CommaDelimitedList", "List<String>") and isinstance(names[name], str):
            names[name] = [item.strip() for item in names[name].split(",")]
    resolver = Resolver(
        names=names,
        conditions=body.get("Conditions", {}),
        ref=lambda name: name,
        attribute=lambda name, attribute: f"{name}.{attribute}",
    )
    wanted = {n: r for n, r in body["Resources"].items() if "Condition" not in r or resolver.condition(r["Condition"])}
    return Rendered(
        step=step,
        resources={n: Resource(r["Type"], resolver.value(r.get("Properties", {}))) for n, r in wanted.items()},
        outputs={
            name: resolver.value(output["Value"])
            for name, output in body.get("Outputs", {}).items()
            if "Condition" not in output or resolver.condition(output["Condition"])
        },
    )


def _pseudo(step: Step) -> dict[str, Any]:
    partition, suffix = partition_of(step.region)
    return {
        "AWS::AccountId": step.account_id,
        "AWS::Region": step.region,
        "AWS::Partition": partition,
        "AWS::URLSuffix": suffix,
        "AWS::StackName": step.stack,
        "AWS::StackId": f"made-id-of-{step.stack}",
    }
