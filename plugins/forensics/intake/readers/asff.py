"""AWS Security Finding Format: Security Hub's ``Findings - Imported`` and ``- Custom Action``."""

from __future__ import annotations

import re
from datetime import datetime

from forensics.finding_types import identifies_data, names_intrusion
from forensics.intake.readers.envelope import Envelope
from forensics.intake.readers.fields import (
    Fields,
    Many,
    PascalCaseModel,
    QuarantineError,
    clean,
    elements,
    members,
    moment,
    read_as,
    severity_of_guardduty,
    severity_of_label,
    severity_of_normalized,
    title_of,
    truth,
    types_of,
)
from forensics.intake.readers.guardduty import instance_of_stolen_credentials, meaningful_role
from forensics.intake.readers.identifiers import InstanceRef, is_instance, parse_instance
from forensics.intake.readers.parsed_finding import Binding, IntakeRules, ParsedFinding, is_sample, product_arn
from forensics.intake.readers.subjects import attached_of, subject_of
from forensics.models.finding import NOTE_AUTHOR, CustomAction, FindingSource, PostureFamily, Severity

_GUARDDUTY_FIELD = "aws/guardduty/service/"
_CHECKS = re.compile(r"software (?:and|&) configuration checks(?:/|$)", re.IGNORECASE)
_VULNERABILITY = re.compile(r"/vulnerabilities(?:/|$)", re.IGNORECASE)
_PATCH = re.compile(r"/patch management(?:/|$)", re.IGNORECASE)
_CLOSED_WORKFLOW = frozenset({"SUPPRESSED", "RESOLVED"})


class _AsffResource(PascalCaseModel):
    type: str | None = None
    id: str | None = None
    region: str | None = None
    partition: str | None = None
    details: Fields = {}


class _AsffFinding(PascalCaseModel):
    id: str
    aws_account_id: str
    region: str | None = None
    title: str | None = None
    description: str | None = None
    types: Many = []
    severity: Fields = {}
    finding_provider_fields: Fields = {}
    product_arn: str | None = None
    product_name: str | None = None
    product_fields: Fields = {}
    record_state: str | None = None
    workflow: Fields = {}
    note: Fields = {}
    workflow_state: str | None = None
    compliance: Fields = {}
    resources: Many = []
    sample: object = None
    created_at: object = None
    updated_at: object = None


def read(
    item: object,
    *,
    field: str,
    envelope: Envelope,
    rules: IntakeRules,
    source: FindingSource,
    action: CustomAction | None = None,
) -> ParsedFinding:
    """Read one ASFF finding; raises :class:`QuarantineError`."""
    asff = read_as(_AsffFinding, value=item, field=field)
    instances, unreadable = _instances(asff, field=field)
    types = types_of([*asff.types, *elements(asff.finding_provider_fields.get("Types"))])
    named = [(members(value).get("Type"), members(value).get("Id")) for value in asff.resources]
    return ParsedFinding(
        source=source,
        finding_id=asff.id,
        account=asff.aws_account_id,
        region=asff.region,
        instances=instances,
        unreadable=unreadable,
        attached=attached_of(named, field=f"{field}.Resources"),
        subject=subject_of(named, field=f"{field}.Resources"),
        title=title_of(asff.title, asff.description, *types),
        # In the delegated administrator's account and in the aggregation Region the envelope is the reader's.
        account_binding=Binding.CONFIRMED,
        region_binding=Binding.CONFIRMED,
        types=types,
        severity=_severity(asff),
        closed=_closed(asff, received_at=rules.received_at),
        sample=_sample(asff, instances=instances),
        posture=_posture(asff, types=types),
        resource_role=meaningful_role(asff.product_fields.get(f"{_GUARDDUTY_FIELD}resourceRole"), types=types),
        created_at=moment(asff.created_at, received_at=rules.received_at),
        updated_at=moment(asff.updated_at, received_at=rules.received_at),
        product=_product(asff),
        product_arn=product_arn(asff.product_arn),
        action=action,
    )


def _instances(asff: _AsffFinding, *, field: str) -> tuple[tuple[InstanceRef, ...], tuple[str, ...]]:
    """The instances among the resources, and why resources that are called instances cannot be read as such."""
    found, unreadable = [], []
    for index, value in enumerate(asff.resources):
        where = f"{field}.Resources.{index}"
        resource = read_as(_AsffResource, value=value, field=where)
        # Other products file instances under the type "Other", and hosts of their own under "AwsEc2Instance".
        if resource.type != "AwsEc2Instance" and not is_instance(resource.id):
            continue
        try:
            found.append(
                parse_instance(
                    resource.id,
                    field=f"{where}.Id",
                    region=resource.region,
                    partition=resource.partition,
                    vpc_id=members(resource.details.get("AwsEc2Instance")).get("VpcId"),
                )
            )
        except QuarantineError as error:
            unreadable.append(error.message)
    return tuple(found) or _of_stolen_credentials(asff, field=field), tuple(unreadable)


def _of_stolen_credentials(asff: _AsffFinding, *, field: str) -> tuple[InstanceRef, ...]:
    types = tuple(kind for kind in asff.types if isinstance(kind, str))
    found: list[InstanceRef] = []
    for index, value in enumerate(asff.resources):
        key = members(members(members(value).get("Details")).get("AwsIamAccessKey"))
        where = f"{field}.Resources.{index}.Details"
        found += instance_of_stolen_credentials(key.get("PrincipalId"), types=types, field=where)
    return tuple(found)


def _is_guardduty(asff: _AsffFinding) -> bool:
    return (asff.product_arn or "").endswith(":product/aws/guardduty")


def _product(asff: _AsffFinding) -> str:
    name = asff.product_name or asff.product_fields.get("aws/securityhub/ProductName")
    if not isinstance(name, str) or not name:
        name = (asff.product_arn or "").rpartition("/")[2]
    return clean(name, limit=256)


def _severity(asff: _AsffFinding) -> Severity | None:
    provider = asff.finding_provider_fields.get("Severity")
    by_product = severity_of_guardduty if _is_guardduty(asff) else severity_of_normalized
    for severity in (asff.severity, members(provider)):
        found = (
            severity_of_label(severity.get("Label"))
            or severity_of_normalized(severity.get("Normalized"))
            or by_product(severity.get("Product"))
            # The product's own word, in the product's own scale: read where it is one of the labels, or GuardDuty's number.
            or severity_of_label(severity.get("Original"))
            or (severity_of_guardduty(severity.get("Original")) if _is_guardduty(asff) else None)
        )
        if found is not None:
            return found
    return severity_of_label(asff.product_fields.get("aws/securityhub/SeverityLabel"))


def _closed(asff: _AsffFinding, *, received_at: datetime) -> str | None:
    if (asff.record_state or "").upper() == "ARCHIVED" or truth(asff.product_fields.get(f"{_GUARDDUTY_FIELD}archived")):
        return "the finding is archived"
    # WorkflowState is the retired predecessor of Workflow.Status, still sent beside it.
    status = asff.workflow.get("Status") or asff.workflow_state
    if isinstance(status, str) and status.upper() in _CLOSED_WORKFLOW and not _resolved_by_us(asff, received_at):
        return f"the finding's workflow status is {status.upper()}"
    if str(asff.compliance.get("Status")).upper() == "PASSED":
        return "the control passed"
    return None


def _resolved_by_us(asff: _AsffFinding, received_at: datetime) -> bool:
    """Whether this product resolved the finding and its provider has updated it since: then it is active again.

    A provider's update (BatchImportFindings) changes neither Workflow nor Note, and an update by BatchUpdateFindings leaves
    UpdatedAt alone (AWS Security Hub user guide, *BatchImportFindings* and *BatchUpdateFindings*).
    """
    noted = moment(asff.note.get("UpdatedAt"), received_at=received_at)
    updated = moment(asff.updated_at, received_at=received_at)
    mine = asff.note.get("UpdatedBy") == NOTE_AUTHOR and asff.workflow.get("Status") == "RESOLVED"
    return mine and noted is not None and updated is not None and updated > noted


def _sample(asff: _AsffFinding, *, instances: tuple[InstanceRef, ...]) -> bool:
    flag = asff.product_fields.get(f"{_GUARDDUTY_FIELD}additionalInfo/sample")
    return is_sample(asff.sample, flag, title=asff.title, instances=instances)


def _posture(asff: _AsffFinding, *, types: tuple[str, ...]) -> PostureFamily | None:
    # GuardDuty has filed intrusions under the namespace of checks; other products file a detection together with the
    # vulnerability or the control behind it.
    if _is_guardduty(asff) or names_intrusion(types):
        return None
    if identifies_data(types):
        return PostureFamily.DATA
    checks = [kind for kind in types if _CHECKS.match(kind)]
    if not checks and not asff.compliance:
        return None
    if any(_VULNERABILITY.search(kind) for kind in checks):
        return PostureFamily.VULNERABILITY
    return PostureFamily.PATCH if any(_PATCH.search(kind) for kind in checks) else PostureFamily.CONTROL
