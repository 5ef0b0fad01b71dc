"""A stack: its template, its parameters, and what was made of them, in the order of their references."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from infra.deployment import templates
from infra.deployment.intrinsics import Resolver, TemplateError, references
from lab.emulator.cloudformation import makers, makers_data, makers_names
from lab.emulator.cloudformation.makers import Made, Place

MAKERS = makers.MAKERS | makers_data.MAKERS | makers_names.MAKERS
# Types of the templates that the lab does not have, and why; they are part of a stack with this as their status.
UNSUPPORTED = {
    "AWS::ApiGateway::Deployment": "moto's APIs call no service; tests evaluate the mapping template",
    "AWS::ApiGateway::Method": "moto's APIs call no service; tests evaluate the mapping template",
    "AWS::ApiGateway::Resource": "moto's APIs call no service; tests evaluate the mapping template",
    "AWS::ApiGateway::RestApi": "moto's APIs call no service; tests evaluate the mapping template",
    "AWS::ApiGateway::Stage": "moto's APIs call no service; tests evaluate the mapping template",
    "AWS::Athena::NamedQuery": "there is no Athena: DuckDB reads the same files",
    "AWS::Athena::WorkGroup": "there is no Athena: DuckDB reads the same files",
    "AWS::Budgets::Budget": "the lab costs nothing",
    "AWS::CloudFormation::StackSet": "member stacks are deployed one by one",
    "AWS::CloudWatch::Alarm": "moto evaluates no alarms",
    "AWS::CloudWatch::Dashboard": "there is no console to look at it",
    "AWS::Config::ConfigRule": "moto evaluates no rules; events of Config are sent by the tests",
    "AWS::EC2::FlowLog": "there are no packets",
    "AWS::EC2::LaunchTemplate": "for people; the pipeline launches without it",
    "AWS::EC2::SnapshotBlockPublicAccess": "moto has no such call",
    "AWS::Glue::Database": "there is no Athena: DuckDB reads the same files",
    "AWS::Glue::Table": "there is no Athena: DuckDB reads the same files",
    "AWS::KinesisFirehose::DeliveryStream": "moto has EventBridge Pipes' names only, so nothing would be delivered",
    "AWS::Logs::LogStream": "belongs to a delivery that the lab does not have",
    "AWS::Pipes::Pipe": "moto has EventBridge Pipes' names only",
    "AWS::Lambda::Function": "moto runs functions in containers only; tests run this one's text",
    "AWS::Rbin::Rule": "moto has no Recycle Bin",
    "AWS::Scheduler::Schedule": "nothing runs by the clock in the lab; tests send the event",
}


class StackFailed(Exception):
    """A resource could not be made: the stack ends CREATE_FAILED with this reason."""


@dataclass
class Resource:
    """One resource of a stack as DescribeStackResources shows it."""

    logical_id: str
    type: str
    made: Made
    status: str = "CREATE_COMPLETE"
    reason: str = ""


@dataclass
class Stack:
    """One stack of one account and Region."""

    name: str
    account: str
    region: str
    text: str
    parameters: dict[str, str]
    status: str = "REVIEW_IN_PROGRESS"
    reason: str = ""
    resources: dict[str, Resource] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    id: str = ""
    body: dict[str, Any] = field(default_factory=dict)
    names: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.id = f"arn:aws:cloudformation:{self.region}:{self.account}:stack/{self.name}/{uuid.uuid4()}"
        try:
            self.body = templates.parse(self.text, name=self.name)
        except templates.TemplateError as error:
            raise TemplateError(str(error)) from error
        self.names = _names(self)

    def resolver(self) -> Resolver:
        """Resolves values against what has been made so far."""
        return Resolver(
            names=self.names,
            conditions=self.body.get("Conditions", {}),
            ref=lambda name: self._resource(name).made.physical_id,
            attribute=self._attribute,
        )

    def wanted(self) -> list[str]:
        """Logical ids to make, each after what it refers to. Raises :class:`TemplateError` on a circle."""
        resolver, resources = self.resolver(), self.body["Resources"]
        chosen = {n for n, r in resources.items() if "Condition" not in r or resolver.condition(r["Condition"])}
        order: list[str] = []

        def visit(name: str, path: tuple[str, ...]) -> None:
            if name in path:
                msg = f"Circular dependency between resources: {', '.join(path)}"
                raise TemplateError(msg)
            if name in order or name not in chosen:
                return
            needs = references(resources[name].get("Properties", {})) | set(_listed(resources[name].get("DependsOn")))
            for other in sorted(needs & chosen):
                visit(other, (*path, name))
            order.append(name)

        for name in resources:
            visit(name, ())
        return order

    def create(self, client: Callable[[str], Any]) -> None:
        """Make every resource. Raises :class:`StackFailed`."""
        place, resolver = Place(client, self.account, self.region, self.name), self.resolver()
        for name in self.wanted():
            self.resources[name] = self._make(place, name, resolver)
        for name, output in self.body.get("Outputs", {}).items():
            if "Condition" not in output or resolver.condition(output["Condition"]):
                self.outputs[name] = str(resolver.value(output["Value"]))
        self.status = "CREATE_COMPLETE"

    def _make(self, place: Place, name: str, resolver: Resolver) -> Resource:
        kind = self.body["Resources"][name]["Type"]
        if kind in UNSUPPORTED:
            made = Made(f"not-in-the-lab-{name}", {})
            return Resource(name, kind, made, status="CREATE_COMPLETE", reason=f"not in the lab: {UNSUPPORTED[kind]}")
        if kind not in MAKERS:
            msg = f"{name}: the lab cannot make {kind} and nobody has said why (lab/emulator/cloudformation)"
            raise StackFailed(msg)
        try:
            given = resolver.value(self.body["Resources"][name].get("Properties", {}))
            return Resource(name, kind, MAKERS[kind](place, name, given))
        except TemplateError:
            raise
        except Exception as error:
            # whatever a service answers is the reason of the failed stack, as on AWS
            msg = f"{name} ({kind}): {type(error).__name__}: {error}"
            raise StackFailed(msg) from error

    def _resource(self, name: str) -> Resource:
        if name not in self.resources:
            msg = f"Unresolved resource dependencies [{name}] in the template"
            raise TemplateError(msg)
        return self.resources[name]

    def _attribute(self, name: str, attribute: str) -> Any:
        resource = self._resource(name)
        if attribute not in resource.made.attributes and not resource.reason:
            msg = f"{resource.type} has no attribute {attribute} in the lab"
            raise TemplateError(msg)
        return resource.made.attributes.get(attribute, f"not-in-the-lab-{name}.{attribute}")


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _names(stack: Stack) -> dict[str, Any]:
    """Parameters, checked as CloudFormation checks them, and pseudo parameters."""
    found: dict[str, Any] = {}
    declared = stack.body.get("Parameters", {})
    if unknown := sorted(set(stack.parameters) - set(declared)):
        msg = f"Parameters: [{', '.join(unknown)}] do not exist in the template"
        raise TemplateError(msg)
    for name, parameter in declared.items():
        if name not in stack.parameters and "Default" not in parameter:
            msg = f"Parameters: [{name}] must have values"
            raise TemplateError(msg)
        value = str(stack.parameters.get(name, parameter.get("Default")))
        if "AllowedPattern" in parameter and not re.fullmatch(parameter["AllowedPattern"], value):
            msg = f"Parameter '{name}' must match pattern {parameter['AllowedPattern']}"
            raise TemplateError(msg)
        if "AllowedValues" in parameter and value not in map(str, parameter["AllowedValues"]):
            msg = f"Parameter '{name}' must be one of AllowedValues"
            raise TemplateError(msg)
        is_list = parameter["Type"].startswith(("CommaDelimitedList", "List<"))
        found[name] = value.split(",") if is_list else value
    return found | {
        "AWS::AccountId": stack.account,
        "AWS::Region": stack.region,
        "AWS::Partition": "aws",
        "AWS::URLSuffix": "amazonaws.com",
        "AWS::StackName": stack.name,
        "AWS::StackId": stack.id,
    }
