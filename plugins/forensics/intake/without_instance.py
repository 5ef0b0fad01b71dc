"""What people are told about a finding that names no EC2 instance: when, why there is no case, and what they can do. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from forensics.finding_types import canonical_type
from forensics.models.finding import Severity
from forensics.models.intake import FindingWithoutInstance, SubjectKind

# From here on people are told; below, the Intake page lists it.
TOLD_FROM = Severity.HIGH
_ARTIFACTS = frozenset({SubjectKind.SNAPSHOT, SubjectKind.IMAGE, SubjectKind.RECOVERY_POINT})
_START = "start the DAG forensic_case for it"
_DO: Mapping[SubjectKind, str] = {
    SubjectKind.SNAPSHOT: "Start the DAG forensic_case with the snapshot's id in place of an instance's: it is copied, locked and examined. Keep it (EC2 "
    f"LockSnapshot) and restore nothing from it. DescribeSnapshots names its volume, DescribeVolumes the instance that has the volume: {_START} too.",
    SubjectKind.IMAGE: "Start the DAG forensic_case with the image's id in place of an instance's: its disks are copied, locked and examined. Keep it, and let "
    f"nobody launch it (EC2 DisableImage). DescribeInstances with the filter image-id lists what was launched from it: {_START}, one by one.",
    SubjectKind.RECOVERY_POINT: "Restore nothing from it, and hold it (AWS Backup CreateLegalHold). When its ARN ends with a snapshot's or an image's id, start "
    "the DAG forensic_case with that id. DescribeRecoveryPoint names the resource that it was "
    f"made of; if that is an instance or its volume, {_START}.",
    SubjectKind.FARGATE_TASK: "A Fargate task runs on a machine of AWS: its memory and disk cannot be acquired. Keep its logs and what ECS DescribeTasks says "
    "before it stops, give its service a security group that closes it off, and revoke the sessions of its task role. StopTask ends all evidence.",
    SubjectKind.TASK: "ECS DescribeTasks gives the task's containerInstanceArn (for an hour after it stopped), DescribeContainerInstances its "
    f"ec2InstanceId: {_START}. Without a containerInstanceArn it ran on Fargate: keep its logs and revoke the sessions of its task role.",
    SubjectKind.CONTAINER: f"Find the instance that runs the container (the cluster's tasks or pods name their node) and {_START}.",
    SubjectKind.POD: "`kubectl get pods --all-namespaces --output wide` names the pod's node; the node's spec.providerID ends with its instance id: "
    f"{_START}. A node called fargate-… is a machine of AWS: keep the pod's logs and delete nothing yet.",
    SubjectKind.ECS_CLUSTER: f"The finding's signals name tasks: ECS DescribeTasks and DescribeContainerInstances lead to the instance; {_START}.",
    SubjectKind.EKS_CLUSTER: "The finding's signals name workloads and users: `kubectl get pods --all-namespaces --output wide` names their nodes, a node's "
    f"spec.providerID ends with its instance id; {_START}.",
    SubjectKind.FUNCTION: "A function has no disk or memory to acquire. Keep its code (Lambda GetFunction) and logs, set its reserved concurrency to 0, "
    "and revoke the sessions of its role.",
    SubjectKind.DATABASE: "Keep the database's logs and a snapshot, change the user's password, and close its security group.",
    SubjectKind.STORAGE: "Keep the object's version and the bucket's access logs and CloudTrail data events; deny the caller by the bucket's policy.",
    SubjectKind.IDENTITY: "See in CloudTrail what the credentials did, deactivate the key or revoke the role's sessions. If they are an instance's, "
    f"{_START}.",
    SubjectKind.OTHER: f"Work on it in the service that reported it. If an instance is involved, {_START}.",
}


def is_told(item: FindingWithoutInstance) -> bool:
    """Whether people are told at once: a severe finding, one whose severity cannot be read, and every order of a person."""
    return item.action is not None or item.severity_unread or item.severity.rank >= TOLD_FROM.rank


def wave_key(item: FindingWithoutInstance) -> str:
    """What is told once: this activity on this resource at this severity. Malware scans make a new finding each time."""
    about = item.resource or item.finding_id
    order = f"{item.action}#{item.press}" if item.action else ""
    parts = (
        item.account_id,
        item.region,
        canonical_type(item.types[0]) if item.types else "",
        about,
        item.severity.value,
        order,
    )
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def reason(item: FindingWithoutInstance) -> str:
    """Why there is no case."""
    order = f"{item.action.value} cannot be carried out: " if item.action else ""
    about = f"{order}it names no EC2 instance: it is about {item.kind.phrase} {item.resource}".rstrip()
    named = "instances to look at" if item.kind in _ARTIFACTS else "nodes of the cluster, all of them"
    nodes = f"; {named}: {', '.join(item.nodes)}" if item.nodes else ""
    return about + (f"; {item.why}" if item.why else "") + nodes


def next_action(item: FindingWithoutInstance) -> str:
    """What a person can do."""
    return _DO[item.kind]


def subject(item: FindingWithoutInstance) -> str:
    """The line that people triage by."""
    severity = "UNKNOWN SEVERITY" if item.severity_unread else item.severity.value
    return f"{severity} in {item.account_id}, no case: {item.kind}: {item.title}"


def lines(item: FindingWithoutInstance) -> list[str]:
    """The message's text."""
    source = f", from {item.product}" if item.product else ""
    found = [
        f"{item.title}",
        f"{item.severity.value}{' (taken as: it cannot be read)' if item.severity_unread else ''}, "
        f"{', '.join(item.types[:3]) or 'no type'}, account {item.account_id}, {item.region}{source}",
        f"Why no case was opened: {reason(item)}",
        f"What you can do: {next_action(item)}",
        f"Finding: {item.finding_id}",
    ]
    if item.sent_by:
        found.append(
            f"Nothing confirms the account: the event came from account {item.sent_by}, which is no administrator."
        )
    return found


def facts(item: FindingWithoutInstance) -> dict[str, object]:
    """What programs read."""
    return {
        "event": EVENT,
        "account_id": item.account_id,
        "region": item.region,
        "severity": item.severity.value,
        "types": list(item.types),
        "kind": item.kind.value,
        "resource": item.resource,
        "finding": item.finding_id,
        "instances": list(item.nodes),
    }


EVENT = "finding_without_instance"
