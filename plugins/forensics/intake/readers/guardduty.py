"""``GuardDuty Finding`` events."""

from __future__ import annotations

import json
import re

from forensics import partitions
from forensics.intake.readers.envelope import Envelope
from forensics.intake.readers.fields import (
    CamelCaseModel,
    Fields,
    JsonObject,
    elements,
    members,
    moment,
    quarantine,
    read_as,
    severity_of_guardduty,
    severity_of_label,
    title_of,
    truth,
    types_of,
    vpc_of,
)
from forensics.intake.readers.identifiers import (
    InstanceRef,
    instance_of_session,
    is_instance,
    parse_arn,
    parse_instance,
    underlying_id,
)
from forensics.intake.readers.parsed_finding import Binding, IntakeRules, ParsedFinding, is_sample
from forensics.intake.readers.subjects import (
    attached_of,
    named_by_guardduty,
    named_by_sequence,
    node_of,
    nodes_of_sequence,
    subject_of,
)
from forensics.models.finding import FindingSource

# Resources that list their *compromised* instances; EKS and ECS clusters list all their nodes instead.
_GROUPS = (
    "autoscalingAutoScalingGroup",
    "ec2LaunchTemplate",
    "ec2Vpc",
    "ec2Image",
    "iamInstanceProfile",
    "cloudformationStack",
)
STOLEN = "InstanceCredentialExfiltration"
_STOLEN = re.compile(r"(?:Instance|Resource)CredentialExfiltration")
# Maps whose keys are written by whoever names a resource: two spellings of one key mean nothing there.
_FREE_MAPS = frozenset({"labels", "annotations", "tags"})
# For these types GuardDuty documents no role and still fills in TARGET.
_ROLELESS_TYPE = re.compile(r"AttackSequence[:/]|:Runtime[/.-]|[:/]?MaliciousFile", re.IGNORECASE)


class _GuardDutyService(CamelCaseModel):
    archived: object = None
    resource_role: str | None = None
    additional_info: object = None
    detection: Fields = {}


class _GuardDutyFinding(CamelCaseModel):
    account_id: str
    region: str
    id: str | None = None
    arn: str | None = None
    partition: str | None = None
    type: str
    title: str | None = None
    description: str | None = None
    severity: object = None
    resource: Fields = {}
    service: _GuardDutyService = _GuardDutyService()
    created_at: object = None
    updated_at: object = None


class _SequenceResource(CamelCaseModel):
    uid: str | None = None
    name: str | None = None
    account_id: str | None = None
    region: str | None = None
    cloud_partition: str | None = None
    resource_type: str | None = None
    data: Fields = {}


def read(item: JsonObject, *, field: str, envelope: Envelope, rules: IntakeRules) -> ParsedFinding:
    """Read one finding, in the spelling of events or of the API; raises :class:`QuarantineError`."""
    spelled = members(_camel_case(item, field=field))
    finding = read_as(_GuardDutyFinding, value=spelled, field=field)
    node, node_by_name = node_of(finding.resource, field=f"{field}.resource")
    instances = _instances(finding, field=field) or tuple(node)
    types = types_of([finding.type])
    sequence = members(finding.service.detection.get("sequence"))
    named = [*named_by_guardduty(finding.resource), *named_by_sequence(sequence)]
    return ParsedFinding(
        source=FindingSource.GUARDDUTY,
        finding_id=_finding_id(finding, field=field),
        account=finding.account_id,
        region=finding.region,
        partition=finding.partition,
        instances=instances,
        title=title_of(finding.title, finding.description, finding.type),
        # GuardDuty sends a member's finding also in its administrator's account: there the envelope's account
        # is the administrator's, and detail.accountId decides. A foreign envelope is believed when it is of
        # an administrator the deployment names, or when the resource confirms detail.accountId: by the ARN
        # of the instance profile, or by the owner given in an attack sequence. An event that states two
        # accounts without confirming either is quarantined. GuardDuty is regional: the Region must agree.
        account_binding=Binding.CONFIRMED,
        region_binding=Binding.SAME,
        types=types,
        severity=severity_of_guardduty(finding.severity) or severity_of_label(finding.severity),
        closed="the finding is archived" if truth(finding.service.archived) else None,
        sample=_sample(finding, instances=instances),
        resource_role=meaningful_role(finding.service.resource_role, types=types),
        created_at=moment(finding.created_at, received_at=rules.received_at),
        updated_at=moment(finding.updated_at, received_at=rules.received_at),
        product="GuardDuty",
        attached=attached_of(named, field=f"{field}.resource") or node_by_name,
        subject=subject_of(named, field=f"{field}.resource", nodes=nodes_of_sequence(sequence)),
        # only GuardDuty itself sends events of source aws.guardduty: EventBridge keeps that name for AWS
        product_arn=_own_arn(finding.region),
    )


def _own_arn(region: str) -> str | None:
    """GuardDuty's ARN as a product of Security Hub; None for what is no Region, which is quarantined anyway."""
    if partitions.find(region) is None:
        return None
    return partitions.arn("securityhub", "product/aws/guardduty", region=region)


def meaningful_role(role: object, *, types: tuple[str, ...]) -> str | None:
    """Return ``ACTOR`` or ``TARGET`` where GuardDuty means it, None for types that always carry one."""
    if not isinstance(role, str) or role.upper() not in {"ACTOR", "TARGET"}:
        return None
    return None if any(_ROLELESS_TYPE.search(name) for name in types) else role.upper()


def reports_stolen_credentials(text: object) -> bool:
    """Whether a type says that an instance's credentials are used somewhere else."""
    return isinstance(text, str) and bool(_STOLEN.search(text))


def instance_of_stolen_credentials(principal: object, *, types: tuple[str, ...], field: str) -> list[InstanceRef]:
    """The instance whose credentials were stolen, by the name of the role's session.

    Only where GuardDuty says so: anybody who may assume a role may name the session after an instance. The finding is
    in the Region where the credentials were used, the instance may be in another.
    """
    instance_id = instance_of_session(principal) if any(reports_stolen_credentials(kind) for kind in types) else None
    return [InstanceRef(instance_id=instance_id, field=field, placed=False)] if instance_id else []


def _camel_case(value: object, *, field: str, free: bool = False) -> object:
    """Lower the first letter of every field name: the API says AccountId where events say accountId.

    Two spellings of one field, at any depth, are a contradiction: two readers could read two instances from them.
    """
    if isinstance(value, list):
        return [_camel_case(child, field=f"{field}.{index}", free=free) for index, child in enumerate(value)]
    if not isinstance(value, dict):
        return value
    spelled: JsonObject = {}
    for name, child in value.items():
        lowered = name[:1].lower() + name[1:]
        if lowered in spelled and not free:
            raise quarantine(f"{field}.{lowered}", value=name, problem="a field occurs in two spellings")
        spelled[lowered] = _camel_case(child, field=f"{field}.{lowered}", free=lowered in _FREE_MAPS)
    return spelled


def _finding_id(finding: _GuardDutyFinding, *, field: str) -> str:
    arn = parse_arn(finding.arn, field=f"{field}.arn")
    if arn is None or finding.arn is None:
        if not finding.id:
            raise quarantine(f"{field}.arn", value=finding.arn, problem="the finding has neither arn nor id")
        # The key must not depend on whether the ARN came along.
        owner = f"{finding.partition or 'aws'}:guardduty:{finding.region}:{finding.account_id}"
        return f"arn:{owner}:detector/-/finding/{finding.id}"
    if arn.region != finding.region:
        raise quarantine(
            f"{field}.region",
            value=finding.region,
            problem=f"contradicts the Region of the finding's ARN {arn.region}",
        )
    if finding.id and underlying_id(finding.arn) != f"guardduty/{finding.id}":
        raise quarantine(f"{field}.id", value=finding.id, problem="contradicts the finding's ARN")
    return finding.arn


def _sample(finding: _GuardDutyFinding, *, instances: tuple[InstanceRef, ...]) -> bool:
    info = members(finding.service.additional_info)
    # The same flag once more, as JSON in a text.
    inner = _json_object(info.get("value"))
    return is_sample(info.get("sample"), inner.get("sample"), title=finding.title, instances=instances)


def _json_object(text: object) -> JsonObject:
    """The object that a text holds as JSON; an empty one when it holds none."""
    try:
        return members(json.loads(text)) if isinstance(text, str) else {}
    except (ValueError, RecursionError):
        return {}


def _instances(finding: _GuardDutyFinding, *, field: str) -> tuple[InstanceRef, ...]:
    found = []
    # There for resourceType Instance, for a Container on an instance and for credentials stolen from one.
    details = finding.resource.get("instanceDetails")
    if isinstance(details, dict) and details.get("instanceId") not in (None, ""):
        where = f"{field}.resource.instanceDetails"
        found.append(
            parse_instance(
                details["instanceId"],
                field=f"{where}.instanceId",
                account=_profile_account(details, field=where),
                vpc_id=vpc_of(details, interfaces="networkInterfaces", name="vpcId"),
            )
        )
    sequence = finding.service.detection.get("sequence")
    if isinstance(sequence, dict):
        found.extend(_sequence_instances(sequence, field=f"{field}.service.detection.sequence"))
    keys = finding.resource.get("accessKeyDetails")
    if not found and isinstance(keys, dict):
        found.extend(
            instance_of_stolen_credentials(
                keys.get("principalId"), types=(finding.type,), field=f"{field}.resource.accessKeyDetails"
            )
        )
    return tuple(found)


def _profile_account(details: JsonObject, *, field: str) -> str | None:
    profile = members(details.get("iamInstanceProfile"))
    arn = parse_arn(profile.get("arn"), field=f"{field}.iamInstanceProfile.arn")
    return arn.account or None if arn else None


def _sequence_instances(sequence: JsonObject, *, field: str) -> list[InstanceRef]:
    values = sequence.get("resources") or []
    if not isinstance(values, list):
        raise quarantine(f"{field}.resources", value=values, problem="not a list")
    resources = [read_as(_SequenceResource, value=v, field=f"{field}.resources.{i}") for i, v in enumerate(values)]
    found: dict[str, InstanceRef] = {}
    known: dict[str | None, InstanceRef] = {}
    for index, resource in enumerate(resources):
        if resource.resource_type == "EC2_INSTANCE":
            where = f"{field}.resources.{index}"
            uid = resource.uid if is_instance(resource.uid) or not is_instance(resource.name) else resource.name
            instance = parse_instance(
                uid,
                field=f"{where}.uid",
                account=resource.account_id,
                region=resource.region,
                partition=resource.cloud_partition,
            )
            found[instance.instance_id] = known[resource.uid] = instance
    for index, resource in enumerate(resources):
        for group in _GROUPS:
            where = f"{field}.resources.{index}.data.{group}.ec2InstanceUids"
            for uid in _group_members(resource.data.get(group), field=where):
                # A group's Region says nothing about its members: instance profiles have none.
                instance = known.get(uid) or parse_instance(uid, field=where, account=resource.account_id)
                found.setdefault(instance.instance_id, instance)
    if not found and any(
        reports_stolen_credentials(members(signal).get("name")) for signal in elements(sequence.get("signals"))
    ):
        for index, resource in enumerate(resources):
            principal = members(resource.data.get("accessKey")).get("principalId")
            theft = instance_of_stolen_credentials(
                principal, types=(STOLEN,), field=f"{field}.resources.{index}.data.accessKey"
            )
            found |= {instance.instance_id: instance for instance in theft}
    return list(found.values())


def _group_members(group: object, *, field: str) -> list[str]:
    uids = members(group).get("ec2InstanceUids")
    if uids is None:
        return []
    texts = [uid for uid in elements(uids) if isinstance(uid, str)]
    if not isinstance(uids, list) or len(texts) != len(uids):
        raise quarantine(field, value=uids, problem="not a list of text")
    return texts
