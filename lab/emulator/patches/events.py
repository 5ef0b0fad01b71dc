"""EventBridge: patterns enter arrays of objects; delivery keeps the envelope and never fails PutEvents."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from moto.events.models import UNDEFINED, EventPattern, Rule, events_backends
from moto.events.responses import EventsHandler
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends
from moto.utilities.arns import parse_arn

from lab.emulator.iam import keys
from lab.emulator.iam.policy import Request, decide
from lab.emulator.iam.sessions import ORGANIZATION
from lab.emulator.patches.patching import replace

SERVICE = "events.amazonaws.com"
log = logging.getLogger("lab")
_items = EventPattern(None, {})
_PLACEHOLDER = re.compile(r"<([^<>\s]+)>")
_STEP = re.compile(r"[^.\[\]]+|\[\d+\]")


class DeliveryError(RuntimeError):
    """A target could not be reached; the event goes to its dead-letter queue."""


def matches(event: Any, pattern: dict[str, Any]) -> bool:
    """EventBridge's matching: a pattern object matches an array when any of its objects does."""
    if isinstance(event, list):
        return any(matches(item, pattern) for item in event if isinstance(item, dict))
    fields = event if isinstance(event, dict) else {}
    for name, wanted in pattern.items():
        if name == "$or":
            if not any(matches(fields, branch) for branch in wanted):
                return False
        elif isinstance(wanted, dict):
            if not matches(fields.get(name, {}), wanted):
                return False
        elif not _items._does_item_match_filters(fields.get(name, UNDEFINED), wanted):
            return False
    return True


def _matches_event(_original: Callable[..., bool]) -> Callable[..., bool]:
    def matches_event(self: Any, event: Any) -> bool:
        return not self._pattern or matches(json.loads(json.dumps(event)), self._pattern)

    return matches_event


def _look_up(path: str, event: dict[str, Any]) -> Any:
    value: Any = event
    for step in _STEP.findall(path.removeprefix("$").removeprefix(".")):
        try:
            value = value[int(step[1:-1])] if step.startswith("[") else value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def _fill(template: str, values: dict[str, Any]) -> str:
    def put(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in values:
            return match.group(0)
        value = values[name]
        before = template[: match.start()].replace('\\"', "")
        if before.count('"') % 2 == 0:
            return json.dumps(value)
        # inside quotes a string goes in bare; anything else as JSON whose quotes are escaped
        text = value if isinstance(value, str) else json.dumps(value)
        return json.dumps(text)[1:-1]

    return _PLACEHOLDER.sub(put, template)


def transform(rule: Any, target: dict[str, Any], event: dict[str, Any]) -> str:
    """The body a target receives."""
    if target.get("Input") is not None:
        return str(target["Input"])
    if target.get("InputPath"):
        return json.dumps(_look_up(target["InputPath"], event))
    transformer = target.get("InputTransformer")
    if not transformer:
        return json.dumps(event)
    values = {name: _look_up(path, event) for name, path in transformer.get("InputPathsMap", {}).items()}
    values |= {
        "aws.events.event": event,
        "aws.events.event.json": event,
        "aws.events.event.ingestion-time": event["time"],
        "aws.events.rule-name": rule.name,
        "aws.events.rule-arn": rule.arn,
    }
    return _fill(transformer["InputTemplate"], values)


def _seen_by_targets(event: dict[str, Any]) -> dict[str, Any]:
    seen = {name: value for name, value in event.items() if name not in ("ingestion-time", "replay-name")}
    moment = seen.get("time")
    if isinstance(moment, int | float):
        seen["time"] = datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return seen


def _to_queue(arn: Any, body: str, *, group: str | None, attributes: dict[str, Any] | None = None) -> None:
    backend = sqs_backends[arn.account][arn.region]
    backend.send_message(queue_name=arn.resource_id, message_body=body, group_id=group, message_attributes=attributes)


def _may_send(queue: Any, rule_arn: str) -> None:
    """EventBridge sends as the service: the queue's policy must let it, and the key's where the queue has one.

    Amazon EventBridge user guide, "Using resource-based policies for Amazon EventBridge" (Amazon SQS permissions), and "Amazon SQS
    targets encrypted with a customer managed key".
    """
    document = json.loads(queue.policy) if queue.policy else {"Statement": []}
    asked = Request("sqs:SendMessage", queue.queue_arn, {"aws:SourceArn": rule_arn, "aws:SecureTransport": "true"})
    if not decide({"queue": document}, asked, principals=[SERVICE]).allowed:
        raise DeliveryError(f"the policy of queue {queue.queue_arn} does not let {SERVICE} send for rule {rule_arn}")
    key = keys.key_of(getattr(queue, "kms_master_key_id", None), queue.account_id, queue.region)
    if key is None:
        return
    if key.key_state != "Enabled":
        raise DeliveryError(f"{key.arn} is {key.key_state}")
    for action in ("kms:GenerateDataKey", "kms:Decrypt"):
        if not decide({"key": json.loads(key.policy)}, Request(action, key.arn, {}), principals=[SERVICE]).allowed:
            raise DeliveryError(f"the policy of key {key.arn} does not let {SERVICE} use {action}")


def _to_bus(rule: Any, arn: Any, event: dict[str, Any], *, role: str) -> None:
    bus = events_backends[arn.account][arn.region].describe_event_bus(arn.resource_id)
    if arn.account != rule.account_id and not _may_put(bus, rule.account_id, role):
        raise DeliveryError(f"the policy of event bus {bus.arn} does not let account {rule.account_id} put events")
    rules: list[Any] = list(bus.rules.values())
    for other in rules:
        other.send_to_targets(dict(event))


def _may_put(bus: Any, account: str, role: str) -> bool:
    """Whether the bus's policy lets this account's rule, or the role it delivers with, put events."""
    context = {"aws:PrincipalOrgID": ORGANIZATION, "aws:PrincipalArn": role or None, "aws:PrincipalAccount": account}
    statements = [statement.describe() for statement in bus._statements.values()]
    names = [account, f"arn:aws:iam::{account}:root", role]
    return decide(
        {"bus": {"Statement": statements}}, Request("events:PutEvents", bus.arn, context), principals=names
    ).allowed


def _deliver(rule: Any, target: dict[str, Any], event: dict[str, Any]) -> None:
    arn = parse_arn(target["Arn"])
    seen = _seen_by_targets(event)
    body = transform(rule, target, seen)
    if arn.service == "sqs":
        _may_send(sqs_backends[arn.account][arn.region].get_queue(arn.resource_id), rule.arn)
        _to_queue(arn, body, group=target.get("SqsParameters", {}).get("MessageGroupId"))
    elif arn.service == "events" and arn.resource_type == "event-bus":
        _to_bus(rule, arn, event, role=target.get("RoleArn", ""))
    elif arn.service == "sns":
        sns_backends[arn.account][arn.region].publish(message=body, arn=target["Arn"])
    elif arn.service == "logs":
        rule._send_to_cw_log_group(arn.resource_id, json.loads(body))
    elif arn.service == "events" and not arn.resource_type:
        rule._send_to_events_archive(arn.resource_id, event)
    else:
        raise DeliveryError(f"the lab has no targets of the kind {target['Arn']}")


def _send_to_targets(_original: Callable[..., None]) -> Callable[..., None]:
    def send_to_targets(self: Any, original_event: Any, transform_input: bool = True) -> None:
        if self.state == "DISABLED" or not self.event_pattern.matches_event(original_event):
            return
        event = dict(original_event)
        for target in list(self.targets):
            try:
                _deliver(self, target, event)
            except Exception as error:
                # AWS: whatever happens to one target, PutEvents succeeds and the other targets receive the event
                _to_dead_letters(self, target, event, error)

    return send_to_targets


def _to_dead_letters(rule: Any, target: dict[str, Any], event: dict[str, Any], error: Exception) -> None:
    queue = target.get("DeadLetterConfig", {}).get("Arn")
    log.warning("rule %s could not deliver to %s: %s", rule.name, target["Arn"], error)
    if not queue:
        return
    texts = {
        "RULE_ARN": rule.arn,
        "TARGET_ARN": target["Arn"],
        "ERROR_MESSAGE": str(error)[:250] or repr(error),
    }
    attributes = {k: {"DataType": "String", "StringValue": v} for k, v in texts.items()}
    try:
        arn = parse_arn(queue)
        _may_send(sqs_backends[arn.account][arn.region].get_queue(arn.resource_id), rule.arn)
        _to_queue(arn, json.dumps(_seen_by_targets(event)), group=None, attributes=attributes)
    except Exception as second:
        log.error("dead-letter queue %s of rule %s cannot be reached either: %s", queue, rule.name, second)


def _test_pattern(_original: Any) -> Any:
    def test_event_pattern(self: Any) -> str:
        pattern = EventPattern.load(self._get_param("EventPattern"))
        return json.dumps({"Result": pattern.matches_event(json.loads(self._get_param("Event")))})

    return test_event_pattern


def _list_rules(original: Callable[..., Any]) -> Any:
    """Who made a rule is in DescribeRule's answer, not in ListRules' (botocore's model, structure Rule)."""

    def list_rules(self: Any) -> tuple[str, dict[str, Any]]:
        body, headers = original(self)
        answer = json.loads(body)
        listed = [{k: v for k, v in rule.items() if k != "CreatedBy"} for rule in answer["Rules"]]
        return json.dumps(answer | {"Rules": listed}), headers

    return list_rules


def emit(
    account: str, region: str, *, source: str, detail_type: str, detail: dict[str, Any], resources: list[str]
) -> None:
    """Let a service put an event on the default bus of an account."""
    entry = {
        "Source": source,
        "DetailType": detail_type,
        "Detail": json.dumps(detail),
        "Resources": resources,
    }
    events_backends[account][region].put_events([entry])


def apply() -> None:
    """Install the patch."""
    replace(EventPattern, "matches_event", _matches_event)
    replace(Rule, "send_to_targets", _send_to_targets)
    replace(EventsHandler, "test_event_pattern", _test_pattern)
    replace(EventsHandler, "list_rules", _list_rules)
