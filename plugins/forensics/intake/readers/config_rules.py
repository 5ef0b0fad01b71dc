"""AWS Config ``Config Rules Compliance Change`` events."""

from __future__ import annotations

import re

from pydantic import Field

from forensics.intake.readers.envelope import Envelope
from forensics.intake.readers.fields import (
    CamelCaseModel,
    Fields,
    JsonObject,
    clean,
    members,
    moment,
    quarantine,
    read_as,
    title_of,
    types_of,
)
from forensics.intake.readers.identifiers import parse_arn, parse_instance
from forensics.intake.readers.parsed_finding import AttachedResource, Binding, IntakeRules, ParsedFinding
from forensics.models.finding import FindingSource, PostureFamily, Severity

_INSTANCE = "AWS::EC2::Instance"
# These are attached to an instance; which one, only a describe call in the account can tell.
_ATTACHED = {"AWS::EC2::Volume": "vol", "AWS::EC2::NetworkInterface": "eni", "AWS::EC2::SecurityGroup": "sg"}
_COMPLIANCE = frozenset({"COMPLIANT", "NON_COMPLIANT", "NOT_APPLICABLE", "INSUFFICIENT_DATA"})


class _EvaluationResult(CamelCaseModel):
    compliance_type: str
    result_recorded_time: object = None
    annotation: str | None = None
    evaluation_result_identifier: Fields = {}


class _ComplianceChange(CamelCaseModel):
    aws_account_id: str
    aws_region: str
    config_rule_name: str
    config_rule_arn: str | None = Field(default=None, alias="configRuleARN")
    resource_type: str
    resource_id: str
    new_evaluation_result: _EvaluationResult | None = None


def read(item: JsonObject, *, field: str, envelope: Envelope, rules: IntakeRules) -> ParsedFinding:
    """Read one compliance change; raises :class:`QuarantineError`."""
    change = read_as(_ComplianceChange, value=item, field=field)
    result = change.new_evaluation_result
    _check(change, field=field)
    is_instance = change.resource_type == _INSTANCE
    rule_name = clean(change.config_rule_name, limit=128)
    shown = clean(f"{change.resource_type} {change.resource_id}", limit=120)
    no_instance = f"Config rule {rule_name} is about {shown}, not an EC2 instance"
    attached = None
    if change.resource_type in _ATTACHED:
        no_instance += "; the instance it belongs to has to be looked up"
        attached = AttachedResource(
            type=change.resource_type,
            id=_attached_id(change, field=f"{field}.resourceId"),
            field=f"{field}.resourceId",
        )
    return ParsedFinding(
        source=FindingSource.CONFIG,
        finding_id="/".join((change.config_rule_arn or rule_name, change.resource_type, change.resource_id)),
        account=change.aws_account_id,
        region=change.aws_region,
        instances=(parse_instance(change.resource_id, field=f"{field}.resourceId"),) if is_instance else (),
        no_instance=no_instance,
        title=title_of(f"Config rule {rule_name}: {shown} is not compliant"),
        account_binding=Binding.SAME,
        region_binding=Binding.SAME,
        types=types_of([f"Config rule/{rule_name}"]),
        closed=_closed(change, rules=rules),
        posture=PostureFamily.CONFIG,
        severity=Severity.INFORMATIONAL,  # Config knows none
        updated_at=moment(result.result_recorded_time if result else None, received_at=rules.received_at),
        product="Config",
        reason=clean(result.annotation, limit=1000) if result and result.annotation else None,
        attached=(attached,) if attached else (),
    )


def _attached_id(change: _ComplianceChange, *, field: str) -> str:
    prefix = _ATTACHED[change.resource_type]
    if not re.fullmatch(rf"{prefix}-(?:[0-9a-f]{{8}}|[0-9a-f]{{17}})", change.resource_id):
        raise quarantine(field, value=change.resource_id, problem=f"not a valid {change.resource_type} id")
    return change.resource_id


def _check(change: _ComplianceChange, *, field: str) -> None:
    result = change.new_evaluation_result
    if result is not None:
        where = f"{field}.newEvaluationResult"
        if result.compliance_type not in _COMPLIANCE:
            raise quarantine(f"{where}.complianceType", value=result.compliance_type, problem="not a compliance type")
        qualifier = result.evaluation_result_identifier.get("evaluationResultQualifier")
        stated = members(qualifier).get("resourceId")
        if stated is not None and stated != change.resource_id:
            raise quarantine(
                f"{where} (resourceId)", value=stated, problem=f"contradicts resourceId {change.resource_id}"
            )
    arn = parse_arn(change.config_rule_arn, field=f"{field}.configRuleARN")
    if arn is not None and (arn.account, arn.region) != (change.aws_account_id, change.aws_region):
        raise quarantine(
            f"{field}.configRuleARN",
            value=change.config_rule_arn,
            problem=f"contradicts account {change.aws_account_id} or Region {change.aws_region}",
        )


def _closed(change: _ComplianceChange, *, rules: IntakeRules) -> str | None:
    result = change.new_evaluation_result
    if result is None:
        return "the evaluation result was deleted"
    if result.compliance_type != "NON_COMPLIANT":
        return f"the resource is {result.compliance_type}"
    if rules.rule_names is not None and change.config_rule_name not in rules.rule_names:
        return f"Config rule {clean(change.config_rule_name, limit=128)} is not among the rules that open cases"
    return None
