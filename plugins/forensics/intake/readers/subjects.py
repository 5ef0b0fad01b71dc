"""What a finding is about when it names no EC2 instance, and which of it is attached to one. Pure.

Kinds are told by ARN first: services and formats disagree about the names of types. Shapes: GuardDuty API reference,
*Resource*, *EbsSnapshotDetails*, *Ec2ImageDetails*, *RecoveryPointDetails*, *EcsClusterDetails*, *KubernetesDetails*,
*EbsVolumeDetails*, *ResourceV2*; Security Hub user guide, *Resources*; CloudFormation's type names in OCSF.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from forensics.intake.readers.fields import JsonObject, QuarantineError, clean, elements, members
from forensics.intake.readers.identifiers import InstanceRef, artifact_id, is_instance, parse_arn
from forensics.intake.readers.parsed_finding import AttachedResource, Subject
from forensics.models.artifact import ArtifactKind, artifact_of
from forensics.models.intake import SubjectKind

MOST_NODES = 20
_BY_ARN = (
    (re.compile(r"arn:[^:]+:backup:[^:]*:[^:]*:recovery-point:.+"), SubjectKind.RECOVERY_POINT),
    (re.compile(r"arn:[^:]+:ec2:[^:]*:[^:]*:image/.+"), SubjectKind.IMAGE),
    (re.compile(r"arn:[^:]+:ec2:[^:]*:[^:]*:snapshot/.+"), SubjectKind.SNAPSHOT),
    (re.compile(r"arn:[^:]+:ecs:[^:]*:[^:]*:task/.+"), SubjectKind.TASK),
    (re.compile(r"arn:[^:]+:ecs:[^:]*:[^:]*:container/.+"), SubjectKind.CONTAINER),
    (re.compile(r"arn:[^:]+:ecs:[^:]*:[^:]*:(?:cluster|service)/.+"), SubjectKind.ECS_CLUSTER),
    (re.compile(r"arn:[^:]+:eks:.+"), SubjectKind.EKS_CLUSTER),
    (re.compile(r"arn:[^:]+:lambda:.+"), SubjectKind.FUNCTION),
    (re.compile(r"arn:[^:]+:rds:.+"), SubjectKind.DATABASE),
    (re.compile(r"arn:[^:]+:s3:.+"), SubjectKind.STORAGE),
    (re.compile(r"arn:[^:]+:(?:iam|sts):.+"), SubjectKind.IDENTITY),
)
# By a type's name without punctuation and without "aws": AwsEcsTask, AWS::ECS::Task and ECS_TASK are one.
_BY_TYPE = {
    "backuprecoverypoint": SubjectKind.RECOVERY_POINT,
    "ec2image": SubjectKind.IMAGE,
    "ec2ami": SubjectKind.IMAGE,
    "ec2snapshot": SubjectKind.SNAPSHOT,
    "ebssnapshot": SubjectKind.SNAPSHOT,
    "ecstask": SubjectKind.TASK,
    "kubernetesworkload": SubjectKind.POD,
    "container": SubjectKind.CONTAINER,
    "ecscontainer": SubjectKind.CONTAINER,
    "ecscluster": SubjectKind.ECS_CLUSTER,
    "ecsservice": SubjectKind.ECS_CLUSTER,
    "ekscluster": SubjectKind.EKS_CLUSTER,
    "lambdafunction": SubjectKind.FUNCTION,
    "rdsdbinstance": SubjectKind.DATABASE,
    "rdsdbcluster": SubjectKind.DATABASE,
    "s3bucket": SubjectKind.STORAGE,
    "s3object": SubjectKind.STORAGE,
    "iamaccesskey": SubjectKind.IDENTITY,
    "accesskey": SubjectKind.IDENTITY,
    "iamuser": SubjectKind.IDENTITY,
    "iamrole": SubjectKind.IDENTITY,
}
_CASE_KINDS = {
    SubjectKind.SNAPSHOT: ArtifactKind.SNAPSHOT,
    SubjectKind.IMAGE: ArtifactKind.IMAGE,
    SubjectKind.RECOVERY_POINT: ArtifactKind.RECOVERY_POINT,
}
_ATTACHED = (
    (re.compile(r"(?:volume/)?(vol-(?:[0-9a-f]{8}|[0-9a-f]{17}))"), "AWS::EC2::Volume"),
    (re.compile(r"(?:network-interface/)?(eni-(?:[0-9a-f]{8}|[0-9a-f]{17}))"), "AWS::EC2::NetworkInterface"),
)
NODE = "EKS node"
TASK = "AWS::ECS::Task"
# With the name of its cluster, as ARNs have it since 2018 (Amazon ECS developer guide, "Amazon Resource Names").
_TASK = re.compile(r"task/([A-Za-z0-9_-]{1,200}/[0-9a-f-]{32,36})")
# The user that a node's kubelet is (Kubernetes documentation, "Using Node Authorization"); EKS maps a node's role to it.
_NODE_USER = re.compile(r"system:node:([a-z0-9](?:[a-z0-9.-]{0,250}[a-z0-9])?)")
_NODE_VPC = re.compile(r"vpc-[0-9a-f]{8,17}")
_ORDER = list(SubjectKind)

Named = tuple[object, object]


def subject_of(resources: Iterable[Named], *, field: str, nodes: Iterable[object] = ()) -> Subject:
    """The resource, given as type and id, that says most about where to look; ``nodes``: instances of a cluster, as ARN or id."""
    best, resources = Subject(), list(resources)
    for kind, name in resources:
        found = Subject(_kind(kind, name), clean(name, limit=512) if isinstance(name, str) else "")
        if (found.resource or found.kind is not SubjectKind.OTHER) and (
            not best.resource or _ORDER.index(found.kind) < _ORDER.index(best.kind)
        ):
            best = found
    ids = dict.fromkeys(node.rpartition("/")[2] for node in nodes if isinstance(node, str) and is_instance(node))
    return Subject(best.kind, best.resource, tuple(ids)[:MOST_NODES], tuple(_artifacts(resources, field=field)))


def _artifacts(resources: Iterable[Named], *, field: str) -> Iterator[InstanceRef]:
    """The snapshots and machine images among the resources: AWS Backup names its recovery points of EC2 by their ARN too."""
    found: dict[str, InstanceRef] = {}
    for resource, name in resources:
        kind = _CASE_KINDS.get(_kind(resource, name))
        try:
            arn = parse_arn(name, field=field)
        except QuarantineError:
            continue  # what cannot be looked up: people are told of the finding instead
        if kind is None or not isinstance(name, str) or (arn is not None and arn.service != "ec2"):
            continue
        known = artifact_id(arn.resource if arn else name)
        artifact = artifact_of(known or "")
        if artifact is None or kind not in {artifact.kind, ArtifactKind.RECOVERY_POINT}:
            continue
        if artifact.id not in found or kind is ArtifactKind.RECOVERY_POINT:
            found[artifact.id] = InstanceRef(
                artifact.id,
                field,
                account=(arn.account or None) if arn else None,
                region=(arn.region or None) if arn else None,
                partition=arn.partition if arn else None,
                artifact=artifact.model_copy(update={"kind": kind}),
            )
    yield from found.values()


def attached_of(resources: Iterable[Named], *, field: str) -> tuple[AttachedResource, ...]:
    """The volumes and interfaces among the resources, else the ECS tasks: describe calls tell which instance has them."""
    found: dict[str, AttachedResource] = {}
    tasks: dict[str, AttachedResource] = {}
    for resource, name in resources:
        try:
            arn = parse_arn(name, field=field)
        except QuarantineError:
            continue  # a resource that nobody can look up; the finding is judged without it
        if arn is not None and arn.service == "ecs" and resource is not SubjectKind.FARGATE_TASK:
            if match := _TASK.fullmatch(arn.resource):
                tasks[match[1]] = AttachedResource(TASK, match[1], field, arn.account or None, arn.region or None)
            continue
        if not isinstance(name, str) or (arn is not None and arn.service != "ec2"):
            continue
        for pattern, kind in _ATTACHED:
            if match := pattern.fullmatch(arn.resource if arn else name):
                place = (arn.account or None, arn.region or None) if arn else (None, None)
                found[match[1]] = AttachedResource(kind, match[1], field, *place)
    return tuple((found or tasks).values())


def named_by_guardduty(resource: JsonObject) -> list[Named]:
    """The resources of a GuardDuty finding that are no instances, as type and id."""
    task = members(members(resource.get("ecsClusterDetails")).get("taskDetails"))
    workload = members(members(resource.get("kubernetesDetails")).get("kubernetesWorkloadDetails"))
    pod = "/".join(str(workload[part]) for part in ("namespace", "name") if workload.get(part))
    found: list[Named] = [
        ("BackupRecoveryPoint", members(resource.get("recoveryPointDetails")).get("recoveryPointArn")),
        ("Ec2Image", members(resource.get("ec2ImageDetails")).get("imageArn")),
        ("EbsSnapshot", members(resource.get("ebsSnapshotDetails")).get("snapshotArn")),
        (SubjectKind.FARGATE_TASK if task.get("launchType") == "FARGATE" else "EcsTask", task.get("arn")),
        ("KubernetesWorkload", pod),
        ("Container", members(resource.get("containerDetails")).get("id")),
        ("EcsCluster", members(resource.get("ecsClusterDetails")).get("arn")),
        ("EksCluster", members(resource.get("eksClusterDetails")).get("arn")),
        ("LambdaFunction", members(resource.get("lambdaDetails")).get("functionArn")),
        ("RdsDbInstance", members(resource.get("rdsDbInstanceDetails")).get("dbInstanceArn")),
        *(("S3Bucket", members(bucket).get("arn")) for bucket in elements(resource.get("s3BucketDetails"))),
        # The user's name, never the key.
        ("IamUser", members(resource.get("accessKeyDetails")).get("userName")),
    ]
    volumes = elements(members(resource.get("ebsVolumeDetails")).get("scannedVolumeDetails"))
    return [
        *((kind, name) for kind, name in found if name),
        *(("EbsVolume", members(v).get("volumeArn")) for v in volumes),
    ]


def named_by_sequence(sequence: JsonObject) -> list[Named]:
    """The resources of an attack sequence, as type and id."""
    return [_of_sequence(members(resource)) for resource in elements(sequence.get("resources"))]


def nodes_of_sequence(sequence: JsonObject) -> Iterator[object]:
    """The instances of the sequence's clusters: all of them, compromised or not."""
    for resource in elements(sequence.get("resources")):
        data = members(members(resource).get("data"))
        for cluster in ("eksCluster", "ecsCluster"):
            yield from elements(members(data.get(cluster)).get("ec2InstanceUids"))


def node_of(resource: JsonObject, *, field: str) -> tuple[list[InstanceRef], tuple[AttachedResource, ...]]:
    """The EKS node whose own credentials made the calls: by its id, or by the private DNS name that a describe call resolves."""
    user = members(members(resource.get("kubernetesDetails")).get("kubernetesUserDetails")).get("username")
    match = _NODE_USER.fullmatch(user) if isinstance(user, str) else None
    if match is None:
        return [], ()
    host = match[1].partition(".")[0]
    vpc = members(resource.get("eksClusterDetails")).get("vpcId")
    vpc_id = vpc if isinstance(vpc, str) and _NODE_VPC.fullmatch(vpc) else None
    where = f"{field}.kubernetesDetails.kubernetesUserDetails.username"
    if is_instance(host):
        return [InstanceRef(host, where, vpc_id=vpc_id)], ()
    # A node of Fargate is a machine of AWS.
    return [], () if host.startswith("fargate-") else (AttachedResource(NODE, match[1], where, vpc_id=vpc_id),)


def _of_sequence(resource: JsonObject) -> Named:
    kind, name = resource.get("resourceType"), resource.get("uid") or resource.get("name")
    task = members(members(resource.get("data")).get("ecsTask"))
    return (SubjectKind.FARGATE_TASK if task.get("launchType") == "FARGATE" else kind, name)


def _kind(kind: object, name: object) -> SubjectKind:
    if isinstance(kind, SubjectKind):
        return kind
    by_type = (
        _BY_TYPE.get(re.sub(r"[^a-z0-9]", "", kind.lower()).removeprefix("aws")) if isinstance(kind, str) else None
    )
    # AWS Backup's recovery points of EC2 are snapshots and images by their ARN: what the service calls them says more.
    if by_type is SubjectKind.RECOVERY_POINT:
        return by_type
    by_arn = next((k for pattern, k in _BY_ARN if isinstance(name, str) and pattern.fullmatch(name)), None)
    return by_arn or by_type or SubjectKind.OTHER
