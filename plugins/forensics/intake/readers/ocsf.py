"""OCSF findings of the new Security Hub: ``Findings Imported V2``."""

from __future__ import annotations

import re

from forensics.finding_types import identifies_data, names_intrusion
from forensics.intake.readers.envelope import Envelope
from forensics.intake.readers.fields import (
    Fields,
    JsonObject,
    Many,
    QuarantineError,
    ReceivedModel,
    clean,
    members,
    moment,
    number,
    quarantine,
    read_as,
    severity_of_label,
    title_of,
    types_of,
    vpc_of,
)
from forensics.intake.readers.guardduty import instance_of_stolen_credentials, meaningful_role
from forensics.intake.readers.identifiers import InstanceRef, is_instance, parse_instance
from forensics.intake.readers.parsed_finding import Binding, IntakeRules, ParsedFinding, is_sample, product_arn
from forensics.intake.readers.subjects import attached_of, subject_of
from forensics.models.finding import CustomAction, FindingSource, PostureFamily, Severity

_COMPLIANCE, _VULNERABILITY, _DATA_SECURITY = 2003, 2002, 2006
_CLASSES = frozenset({2004, _COMPLIANCE, _VULNERABILITY, _DATA_SECURITY})
_POSTURE_CLASSES = {_COMPLIANCE: PostureFamily.CONTROL, _VULNERABILITY: PostureFamily.VULNERABILITY}
# Types of findings about configuration: of Security Hub's own exposures, and of ASFF's namespace of checks.
_CHECKS = re.compile(r"(?:software (?:and|&) configuration checks|exposure)(?:/|$)", re.IGNORECASE)
# A scanner's verdict beside a detection class (OCSF, status_code: the source's own code).
_CHECK_RESULTS = frozenset({"PASS", "PASSED", "FAIL", "FAILED", "MANUAL", "WARNING", "NOT_AVAILABLE"})
_CLOSE_ACTIVITY = 3
_CLOSED_STATUS = {3: "suppressed", 4: "resolved", 5: "archived", 6: "deleted"}
_COMPLIANCE_PASS = 1
_PASSED = frozenset({"PASS", "PASSED"})
_SEVERITIES = {
    1: Severity.INFORMATIONAL,
    2: Severity.LOW,
    3: Severity.MEDIUM,
    4: Severity.HIGH,
    5: Severity.CRITICAL,
    6: Severity.CRITICAL,
}
# V2 names CloudFormation types; the Security Lake mapping of OCSF 1.1 kept those of ASFF.
_INSTANCE_TYPES = frozenset({"AWS::EC2::Instance", "AwsEc2Instance"})


class _OcsfFindingInfo(ReceivedModel):
    uid: str
    title: str | None = None
    desc: str | None = None
    types: Many = []
    created_time: object = None
    created_time_dt: object = None
    modified_time: object = None
    modified_time_dt: object = None


class _OcsfAccount(ReceivedModel):
    uid: str | None = None


class _OcsfCloud(ReceivedModel):
    account: _OcsfAccount | None = None
    region: str | None = None
    cloud_partition: str | None = None


class _OcsfOwner(ReceivedModel):
    account: _OcsfAccount | None = None


class _OcsfResource(ReceivedModel):
    type: str | None = None
    uid: str | None = None
    region: str | None = None
    cloud_partition: str | None = None
    owner: _OcsfOwner | None = None
    data: object = None

    @property
    def account(self) -> str | None:
        """The owner's account."""
        return self.owner.account.uid if self.owner and self.owner.account else None


class _OcsfFinding(ReceivedModel):
    class_uid: object = None
    finding_info: _OcsfFindingInfo
    cloud: _OcsfCloud = _OcsfCloud()
    resources: Many = []
    severity: object = None
    severity_id: object = None
    status: object = None
    status_id: object = None
    status_code: object = None
    activity_id: object = None
    compliance: Fields = {}
    vendor_attributes: Fields = {}
    metadata: Fields = {}
    evidences: Many = []
    unmapped: Fields = {}


def read(
    item: object,
    *,
    field: str,
    envelope: Envelope,
    rules: IntakeRules,
    source: FindingSource,
    action: CustomAction | None = None,
) -> ParsedFinding:
    """Read one OCSF finding of any 1.x version; raises :class:`QuarantineError`."""
    ocsf = read_as(_OcsfFinding, value=item, field=field)
    resources = [read_as(_OcsfResource, value=v, field=f"{field}.resources.{i}") for i, v in enumerate(ocsf.resources)]
    types = types_of(ocsf.finding_info.types)
    named, unreadable = _instances(resources, field=field)
    instances = named or _of_stolen_credentials(resources, types=types, field=field)
    info = ocsf.finding_info
    others = [(resource.type, resource.uid) for resource in resources]
    return ParsedFinding(
        source=source,
        finding_id=info.uid,
        account=_account(ocsf, resources=resources, field=field),
        region=ocsf.cloud.region,
        partition=ocsf.cloud.cloud_partition,
        instances=instances,
        title=title_of(info.title, info.desc, *types),
        account_binding=Binding.CONFIRMED,
        region_binding=Binding.CONFIRMED,
        types=types,
        severity=_severity(ocsf),
        closed=_closed(ocsf),
        sample=_sample(ocsf, instances=instances),
        posture=_posture(ocsf, types=types),
        unreadable=unreadable,
        attached=attached_of(others, field=f"{field}.resources"),
        subject=subject_of(others, field=f"{field}.resources"),
        resource_role=_role(ocsf, types=types),
        created_at=moment(info.created_time_dt, info.created_time, received_at=rules.received_at),
        updated_at=moment(info.modified_time_dt, info.modified_time, received_at=rules.received_at),
        product=_product(ocsf),
        product_arn=product_arn(members(ocsf.metadata.get("product")).get("uid")),
        action=action,
        ocsf=True,
    )


def _account(ocsf: _OcsfFinding, *, resources: list[_OcsfResource], field: str) -> str:
    stated = ocsf.cloud.account.uid if ocsf.cloud.account else None
    account = stated or next((resource.account for resource in resources if resource.account), None)
    if account is None:
        raise quarantine(
            f"{field}.cloud.account.uid", value=None, problem="neither cloud nor resources name an account"
        )
    return account


def _instances(resources: list[_OcsfResource], *, field: str) -> tuple[tuple[InstanceRef, ...], tuple[str, ...]]:
    """The instances among the resources, and why resources that are called instances cannot be read as such."""
    found, unreadable = [], []
    for index, resource in enumerate(resources):
        if resource.type in _INSTANCE_TYPES or is_instance(resource.uid):
            try:
                found.append(_instance(resource, field=f"{field}.resources.{index}.uid"))
            except QuarantineError as error:
                unreadable.append(error.message)
    return tuple(found), tuple(unreadable)


def _instance(resource: _OcsfResource, *, field: str) -> InstanceRef:
    instance = parse_instance(
        resource.uid,
        field=field,
        account=resource.account,
        region=resource.region,
        partition=resource.cloud_partition,
        vpc_id=vpc_of(resource.data, interfaces="network_interfaces", name="vpc_id"),
    )
    described = members(resource.data).get("instance_id")
    if described and described != instance.instance_id:
        problem = f"contradicts the resource's data.instance_id {described!r}"
        raise quarantine(field, value=resource.uid, problem=problem)
    return instance


def _of_stolen_credentials(
    resources: list[_OcsfResource], *, types: tuple[str, ...], field: str
) -> tuple[InstanceRef, ...]:
    found: list[InstanceRef] = []
    for index, resource in enumerate(resources):
        principal = members(resource.data).get("principal_id")
        where = f"{field}.resources.{index}.data.principal_id"
        found += instance_of_stolen_credentials(principal, types=types, field=where)
    return tuple(found)


def _severity(ocsf: _OcsfFinding) -> Severity | None:
    for identifier, label in (
        (ocsf.severity_id, ocsf.severity),
        (ocsf.vendor_attributes.get("severity_id"), ocsf.vendor_attributes.get("severity")),
    ):
        level = number(identifier)
        found = (_SEVERITIES.get(int(level)) if level is not None else None) or severity_of_label(label)
        if found is not None:
            return found
    return None


def _closed(ocsf: _OcsfFinding) -> str | None:
    kind = number(ocsf.class_uid)
    if kind is not None and kind not in _CLASSES:
        return f"OCSF class {kind:g} is not one of the finding classes that are read"
    status = number(ocsf.status_id)
    closed = _CLOSED_STATUS.get(int(status)) if status is not None else None
    label = ocsf.status.lower() if isinstance(ocsf.status, str) else ""
    if closed is None and label in _CLOSED_STATUS.values():
        closed = label
    if closed is not None:
        return f"the finding is {closed}"
    if number(ocsf.activity_id) == _CLOSE_ACTIVITY:
        return "the finding was closed"
    if ocsf.unmapped.get("RecordState") == "ARCHIVED":
        return "the finding is archived"
    compliance = number(ocsf.compliance.get("status_id")) == _COMPLIANCE_PASS
    if (
        compliance
        or _check_result(ocsf.compliance.get("status")) in _PASSED
        or _check_result(ocsf.status_code) in _PASSED
    ):
        return "the control passed"
    return None


def _check_result(value: object) -> str:
    return value.strip().upper() if isinstance(value, str) else ""


def _posture(ocsf: _OcsfFinding, *, types: tuple[str, ...]) -> PostureFamily | None:
    """The family of a finding about configuration, by its class, and by what scanners write beside a detection class."""
    if any(kind.lower().startswith("exposure") for kind in types):
        return PostureFamily.EXPOSURE
    by_class = _POSTURE_CLASSES.get(int(number(ocsf.class_uid) or 0))
    if by_class is not None:
        return by_class
    if names_intrusion(types):
        return None
    if identifies_data(types):
        return PostureFamily.DATA
    checked = _check_result(ocsf.status_code) in _CHECK_RESULTS or any(_CHECKS.match(kind) for kind in types)
    return PostureFamily.CONTROL if checked or ocsf.compliance else None


def _sample(ocsf: _OcsfFinding, *, instances: tuple[InstanceRef, ...]) -> bool:
    flags = [
        ocsf.unmapped.get("Sample"),
        ocsf.unmapped.get("ProductFields.aws/guardduty/service/additionalInfo/sample"),
        *(data.get("sample") for data in _evidence_data(ocsf)),
    ]
    return is_sample(*flags, title=ocsf.finding_info.title, instances=instances)


def _role(ocsf: _OcsfFinding, *, types: tuple[str, ...]) -> str | None:
    stated = [data.get("resource_role") for data in _evidence_data(ocsf)]
    stated.append(ocsf.unmapped.get("ProductFields.aws/guardduty/service/resourceRole"))
    return next((role for role in (meaningful_role(value, types=types) for value in stated) if role), None)


def _evidence_data(ocsf: _OcsfFinding) -> list[JsonObject]:
    return [members(members(evidence).get("data")) for evidence in ocsf.evidences]


def _product(ocsf: _OcsfFinding) -> str:
    name = members(ocsf.metadata.get("product")).get("name")
    return clean(name, limit=256) if isinstance(name, str) else ""
