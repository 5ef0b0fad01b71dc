"""OCSF findings of the new Security Hub: ``Findings Imported V2`` (R26)."""

from __future__ import annotations

from typing import Any

from forensics.intake.readers.envelope import Envelope
from forensics.intake.readers.fields import (
    Arriving,
    Fields,
    Many,
    clean,
    moment,
    number,
    quarantine,
    read_as,
    severity_of_label,
    title_of,
    types_of,
    vpc_of,
)
from forensics.intake.readers.guardduty import meaningful_role, robbed_instance
from forensics.intake.readers.identifiers import InstanceRef, is_instance, parse_instance
from forensics.intake.readers.parsed_finding import Binding, Claim, Rules, is_sample
from forensics.models.finding import CustomAction, FindingSource, Severity

_COMPLIANCE, _VULNERABILITY, _DATA_SECURITY = 2003, 2002, 2006
_CLASSES = frozenset({2004, _COMPLIANCE, _VULNERABILITY, _DATA_SECURITY})
_POSTURE_CLASSES = frozenset({_COMPLIANCE, _VULNERABILITY})
_CLOSE_ACTIVITY = 3
_CLOSED_STATUS = {3: "suppressed", 4: "resolved", 5: "archived"}
_COMPLIANCE_PASS = 1
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


class _Info(Arriving):
    uid: str
    title: str | None = None
    desc: str | None = None
    types: Many = []
    created_time: Any = None
    created_time_dt: Any = None
    modified_time: Any = None
    modified_time_dt: Any = None


class _Account(Arriving):
    uid: str | None = None


class _Cloud(Arriving):
    account: _Account | None = None
    region: str | None = None
    cloud_partition: str | None = None


class _Owner(Arriving):
    account: _Account | None = None


class _Resource(Arriving):
    type: str | None = None
    uid: str | None = None
    region: str | None = None
    cloud_partition: str | None = None
    owner: _Owner | None = None
    data: Any = None

    @property
    def account(self) -> str | None:
        """The owner's account."""
        return self.owner.account.uid if self.owner and self.owner.account else None


class _Ocsf(Arriving):
    class_uid: Any = None
    finding_info: _Info
    cloud: _Cloud = _Cloud()
    resources: Many = []
    severity: Any = None
    severity_id: Any = None
    status: Any = None
    status_id: Any = None
    activity_id: Any = None
    compliance: Fields = {}
    vendor_attributes: Fields = {}
    metadata: Fields = {}
    evidences: Many = []
    unmapped: Fields = {}


def read(
    item: dict[str, Any],
    *,
    field: str,
    envelope: Envelope,
    rules: Rules,
    source: FindingSource,
    action: CustomAction | None = None,
) -> Claim:
    """Read one OCSF finding of any 1.x version; raises :class:`QuarantineError`."""
    ocsf = read_as(_Ocsf, value=item, field=field)
    resources = [read_as(_Resource, value=v, field=f"{field}.resources.{i}") for i, v in enumerate(ocsf.resources)]
    types = types_of(ocsf.finding_info.types)
    instances = _instances(resources, field=field) or _robbed(resources, types=types, field=field)
    info = ocsf.finding_info
    return Claim(
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
        posture=number(ocsf.class_uid) in _POSTURE_CLASSES or any(t.lower().startswith("exposure") for t in types),
        resource_role=_role(ocsf, types=types),
        created_at=moment(info.created_time_dt, info.created_time, received_at=rules.received_at),
        updated_at=moment(info.modified_time_dt, info.modified_time, received_at=rules.received_at),
        product=_product(ocsf),
        action=action,
        ocsf=True,
    )


def _account(ocsf: _Ocsf, *, resources: list[_Resource], field: str) -> str:
    stated = ocsf.cloud.account.uid if ocsf.cloud.account else None
    account = stated or next((resource.account for resource in resources if resource.account), None)
    if account is None:
        raise quarantine(
            f"{field}.cloud.account.uid", value=None, problem="neither cloud nor resources name an account"
        )
    return account


def _instances(resources: list[_Resource], *, field: str) -> tuple[InstanceRef, ...]:
    found = []
    for index, resource in enumerate(resources):
        if resource.type not in _INSTANCE_TYPES and not is_instance(resource.uid):
            continue
        where = f"{field}.resources.{index}.uid"
        instance = parse_instance(
            resource.uid,
            field=where,
            account=resource.account,
            region=resource.region,
            partition=resource.cloud_partition,
            vpc_id=vpc_of(resource.data, interfaces="network_interfaces", name="vpc_id"),
        )
        described = resource.data.get("instance_id") if isinstance(resource.data, dict) else None
        if described and described != instance.instance_id:
            raise quarantine(
                where,
                value=resource.uid,
                problem=f"contradicts the resource's data.instance_id {described!r}",
            )
        found.append(instance)
    return tuple(found)


def _robbed(resources: list[_Resource], *, types: tuple[str, ...], field: str) -> tuple[InstanceRef, ...]:
    found: list[InstanceRef] = []
    for index, resource in enumerate(resources):
        principal = resource.data.get("principal_id") if isinstance(resource.data, dict) else None
        found += robbed_instance(principal, types=types, field=f"{field}.resources.{index}.data.principal_id")
    return tuple(found)


def _severity(ocsf: _Ocsf) -> Severity:
    for identifier, label in (
        (ocsf.severity_id, ocsf.severity),
        (ocsf.vendor_attributes.get("severity_id"), ocsf.vendor_attributes.get("severity")),
    ):
        level = number(identifier)
        found = (_SEVERITIES.get(int(level)) if level is not None else None) or severity_of_label(label)
        if found is not None:
            return found
    return Severity.INFORMATIONAL


def _closed(ocsf: _Ocsf) -> str | None:
    kind = number(ocsf.class_uid)
    if kind is not None and kind not in _CLASSES:
        return f"OCSF class {kind:g} is not a class of findings that is read"
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
    if kind == _COMPLIANCE and number(ocsf.compliance.get("status_id")) == _COMPLIANCE_PASS:
        return "the control passed"
    return None


def _sample(ocsf: _Ocsf, *, instances: tuple[InstanceRef, ...]) -> bool:
    flags = [
        ocsf.unmapped.get("Sample"),
        ocsf.unmapped.get("ProductFields.aws/guardduty/service/additionalInfo/sample"),
        *(data.get("sample") for data in _evidence_data(ocsf)),
    ]
    return is_sample(*flags, title=ocsf.finding_info.title, instances=instances)


def _role(ocsf: _Ocsf, *, types: tuple[str, ...]) -> str | None:
    stated = [data.get("resource_role") for data in _evidence_data(ocsf)]
    stated.append(ocsf.unmapped.get("ProductFields.aws/guardduty/service/resourceRole"))
    return next((role for role in (meaningful_role(value, types=types) for value in stated) if role), None)


def _evidence_data(ocsf: _Ocsf) -> list[dict[str, Any]]:
    found = []
    for evidence in ocsf.evidences:
        data = evidence.get("data") if isinstance(evidence, dict) else None
        if isinstance(data, dict):
            found.append(data)
    return found


def _product(ocsf: _Ocsf) -> str:
    product = ocsf.metadata.get("product")
    name = product.get("name") if isinstance(product, dict) else None
    return clean(name, limit=256) if isinstance(name, str) else ""
