"""Single calls that mean something by themselves: a table of which, on what, and how grave by whom. Pure.

``theirs``: made with credentials that the case follows (the instance's session, and keys, users and roles that came of it).
``others``: made by anybody else on the target or something of it. None: no finding. A refused call is at most of low severity,
of medium when it was theirs.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import timedelta

from pydantic import JsonValue

from forensics.cloud_evidence.followed import BLINDING
from forensics.cloud_evidence.trail_call import CallRule, Test, by_somebody, public_network, shared_with
from forensics.cloud_evidence.trail_record import TrailRecord, text_at, texts
from forensics.cloud_evidence.trail_scene import CRITICAL, HIGH, LOW, MEDIUM, Maker, Scene, TrailOrder, cut
from forensics.cloud_evidence.trail_service_rules import ROWS
from forensics.models.results import ResultSeverity

_ORDER = list(ResultSeverity)
# Of so many things that one caller did the same to, each is said by itself; of more, one finding names them.
EACH_BY_ITSELF = 3
_MOST_NAMED, _USUAL_DAYS = 50, 2
_SHARES = frozenset({"snapshot-shared", "image-shared", "database-shared"})


def _of_target_group(scene: Scene, call: TrailRecord) -> bool:
    return public_network(scene, call) and (
        scene.acts(call) or text_at(call.parameters, "groupId") in scene.order.groups
    )


def _attribute(name: str) -> Test:
    return lambda _scene, call: text_at(call.parameters, "attribute") == name or name in call.parameters


def _foreign_share(scene: Scene, call: TrailRecord) -> bool:
    return bool(shared_with(scene, call))


def _on_own_role(scene: Scene, call: TrailRecord) -> bool:
    named = {text_at(call.parameters, name) for name in ("roleName", "instanceProfileName")}
    return scene.acts(call) or bool(named & {*scene.order.followed.roles, scene.order.role_name} - {""})


def _weakens_metadata(_scene: Scene, call: TrailRecord) -> bool:
    wanted = call.parameters.get("ModifyInstanceMetadataOptionsRequest", call.parameters)
    found = {text.lower() for text in texts({"w": wanted})}
    return "optional" in found


_SUBJECTS = ("instanceId", "snapshotId", "imageId", "volumeId", "groupId", "roleName", "userName", "name", "trailName")
_MORE_KEYS = frozenset(
    {
        "CreateAccessKey",
        "CreateLoginProfile",
        "UpdateLoginProfile",
        "CreateServiceSpecificCredential",
        "UploadSSHPublicKey",
    }
)
_MORE_RIGHTS = frozenset(
    {
        "AttachUserPolicy", "AttachRolePolicy", "AttachGroupPolicy", "PutUserPolicy", "PutRolePolicy", "PutGroupPolicy", "CreatePolicyVersion",
        "SetDefaultPolicyVersion", "AddUserToGroup", "AddRoleToInstanceProfile", "DeleteRolePermissionsBoundary", "DeleteUserPermissionsBoundary",
    }
)  # fmt: skip
_DESTROYS = frozenset(
    {
        "TerminateInstances", "DeleteSnapshot", "DeleteVolume", "DeregisterImage", "DeleteBucket", "DeleteDBInstance", "DeleteDBCluster", "DeleteGlobalCluster",
        "DeleteTable", "DeleteBackupVault", "DeleteDBSnapshot", "DeleteDBClusterSnapshot", "DeleteDBInstanceAutomatedBackup",
        "DeleteDBClusterAutomatedBackup", "DeleteFunction20150331", "DeleteRepository", "DeleteHostedZone", "DeleteSnapshotSchedule", "DeleteRecoveryPoint", "ScheduleKeyDeletion", "DisableKey", "DeleteFileSystem", "DeleteStack",
    }
)  # fmt: skip
_GROUP = ("AuthorizeSecurityGroupIngress", "ModifySecurityGroupRules")

RULES: tuple[CallRule, ...] = (
    *ROWS,
    CallRule("password-data", "Windows password data of {subject} was read", frozenset({"GetPasswordData"}), "T1552", HIGH, MEDIUM),
    CallRule("user-data-changed", "User data of {subject} was changed: it runs as root at a start", frozenset({"ModifyInstanceAttribute"}), "T1037", HIGH, MEDIUM, fits=_attribute("userData")),
    CallRule("user-data-read", "User data of {subject} was read", frozenset({"DescribeInstanceAttribute"}), "T1552.001", MEDIUM, LOW, fits=_attribute("userData")),
    CallRule("ssm-command", "Command sent by SSM to {subject}", frozenset({"SendCommand", "StartAutomationExecution", "CreateAssociation"}), "T1651", HIGH, LOW, fits=by_somebody),
    CallRule("ssm-session", "Session by SSM on {subject}", frozenset({"StartSession", "ResumeSession"}), "T1021.008", HIGH, LOW, subject=("target", "sessionId")),
    CallRule("snapshot-shared", "Snapshot {subject} was shared with another account", frozenset({"ModifySnapshotAttribute"}), "T1537", CRITICAL, HIGH, fits=_foreign_share),
    CallRule("image-shared", "Image {subject} was shared with another account", frozenset({"ModifyImageAttribute"}), "T1537", CRITICAL, HIGH, fits=_foreign_share),
    CallRule("snapshot-made", "Snapshot or image of {subject} was made", frozenset({"CreateSnapshot", "CreateSnapshots", "CreateImage", "CopySnapshot"}), "T1578.001", HIGH, LOW, subject=("volumeId", "instanceId", "sourceSnapshotId"), fits=by_somebody),
    CallRule("volume-moved", "Volume {subject} was attached elsewhere", frozenset({"AttachVolume"}), "T1578.005", HIGH, MEDIUM, subject=("volumeId",), fits=lambda s, c: by_somebody(s, c) and text_at(c.parameters, "instanceId") != s.order.instance_id),
    CallRule("group-opened", "Security group {subject} was opened to every address", frozenset(_GROUP), "T1686.001", HIGH, MEDIUM, subject=("groupId",), fits=_of_target_group),
    CallRule("serial-console", "Key for the serial console of {subject}", frozenset({"SendSerialConsoleSSHPublicKey"}), "T1021.008", HIGH, MEDIUM),
    CallRule("serial-console-on", "Serial console access was switched on for the account", frozenset({"EnableSerialConsoleAccess"}), "T1578.005", HIGH, MEDIUM, anywhere=True),
    CallRule("instance-connect", "SSH key pushed to {subject} by Instance Connect", frozenset({"SendSSHPublicKey", "OpenTunnel"}), "T1021.008", HIGH, LOW),
    CallRule("user-made", "User {subject} was made", frozenset({"CreateUser"}), "T1136.003", HIGH, None, subject=("userName",)),
    CallRule("key-made", "Access key or password of {subject} was made", _MORE_KEYS, "T1098.001", HIGH, None, subject=("userName",)),
    CallRule("role-made", "Role {subject} was made", frozenset({"CreateRole"}), "T1136.003", HIGH, None, subject=("roleName",)),
    CallRule("rights-given", "Rights of {subject} were extended", _MORE_RIGHTS, "T1098.003", HIGH, MEDIUM, subject=("roleName", "userName", "groupName", "policyArn", "instanceProfileName"), fits=_on_own_role, anywhere=True),
    CallRule("trust-changed", "Who may assume role {subject} was changed", frozenset({"UpdateAssumeRolePolicy"}), "T1098.003", HIGH, MEDIUM, subject=("roleName",), fits=_on_own_role, anywhere=True),
    CallRule("profile-changed", "The instance profile of {subject} was changed", frozenset({"AssociateIamInstanceProfile", "ReplaceIamInstanceProfileAssociation"}), "T1098.003", HIGH, MEDIUM, subject=("instanceId", "associationId")),
    CallRule("metadata-weakened", "Metadata of {subject} may be read without a token", frozenset({"ModifyInstanceMetadataOptions"}), "T1578.005", HIGH, MEDIUM, fits=_weakens_metadata),
    CallRule("logs-cut", "Records of the account were cut: {call} on {subject}", BLINDING - {"UpdateTrail", "PutEventSelectors", "UpdateDetector", "CreateFilter", "BatchDisableStandards"}, "T1685.002", CRITICAL, HIGH, subject=("name", "trailName", "detectorId", "FlowLogId", "resolverQueryLogConfigId"), fits=by_somebody, anywhere=True),
    CallRule("logs-changed", "What the account records was changed: {call} on {subject}", frozenset({"UpdateTrail", "PutEventSelectors", "UpdateDetector", "CreateFilter", "BatchDisableStandards"}), "T1685.002", CRITICAL, MEDIUM, subject=("name", "trailName", "detectorId", "FlowLogId", "resolverQueryLogConfigId"), fits=by_somebody, anywhere=True),
    CallRule("instances-made", "Instances were launched with the instance's credentials", frozenset({"RunInstances", "CreateFleet", "RequestSpotInstances"}), "T1578.002", HIGH, None, subject=("instanceType",)),
    CallRule("function-made", "Function {subject} was made or changed", frozenset({"CreateFunction20150331", "UpdateFunctionCode20150331v2", "UpdateFunctionConfiguration20150331v2", "CreateEventSourceMapping20150331"}), "T1546", HIGH, None, subject=("functionName",)),
    CallRule("destroyed", "{call} on {subject}", _DESTROYS, "T1485", HIGH, MEDIUM, subject=("instanceId", "instancesSet", "snapshotId", "volumeId", "imageId", "bucketName", "keyId", "name", "functionName", "dBInstanceIdentifier", "dBClusterIdentifier", "dBSnapshotIdentifier", "dBClusterSnapshotIdentifier", "tableName", "repositoryName", "stackName", "fileSystemId", "dbiResourceId", "dbClusterResourceId"), fits=by_somebody),
    CallRule("mirrored", "Traffic of {subject} was mirrored", frozenset({"CreateTrafficMirrorSession"}), "T1040", HIGH, HIGH, subject=("networkInterfaceId",)),
    CallRule("signed-in", "Sign-in to the console with the instance's credentials", frozenset({"GetSigninToken", "ConsoleLogin"}), "T1078.004", HIGH, None),
    CallRule("key-pair", "Key pair {subject} was made with the instance's credentials", frozenset({"CreateKeyPair", "ImportKeyPair"}), "T1098.001", MEDIUM, None, subject=("keyName",)),
)  # fmt: skip


def run(scene: Scene, make: Maker) -> None:
    """Every row over every call; one finding for each principal and subject, refused calls apart.

    What one principal did the same to more than :data:`EACH_BY_ITSELF` things is one finding.
    """
    by_name: dict[str, list[CallRule]] = {}
    for rule in RULES:
        for name in rule.names:
            by_name.setdefault(name, []).append(rule)
    found: dict[tuple[str, str, str, bool], dict[str, list[TrailRecord]]] = defaultdict(lambda: defaultdict(list))
    rows: dict[str, CallRule] = {rule.rule: rule for rule in RULES}
    for call in scene.calls:
        for rule in (*by_name.get(call.name, ()), *by_name.get(call.call, ())):
            if _severity(scene, rule, call) is None or not rule.fits(scene, call):
                continue
            found[rule.rule, call.name, call.identity.name, call.ok][subject_of(rule, call)].append(call)
    for (name, _, _, _), subjects in found.items():
        rule = rows[name]
        if len(subjects) <= EACH_BY_ITSELF or name in _SHARES:
            for subject, calls in subjects.items():
                _add(scene, make, rule, calls, subjects=[subject])
        else:
            together = sorted((c for calls in subjects.values() for c in calls), key=lambda c: (c.time, c.event_id))
            _add(scene, make, rule, together, subjects=list(subjects))


def _severity(scene: Scene, rule: CallRule, call: TrailRecord) -> ResultSeverity | None:
    if scene.acts(call):
        return rule.theirs
    about = rule.anywhere or scene.touches(call)
    return rule.others if about else None


def _add(scene: Scene, make: Maker, rule: CallRule, calls: list[TrailRecord], *, subjects: list[str]) -> None:
    theirs, ok = scene.acts(calls[0]), calls[0].ok
    severity = (rule.theirs if theirs else rule.others) or LOW
    title = _title(rule.title, subjects, call=calls[0].call)
    if not ok:
        severity = min(severity, MEDIUM if theirs else LOW, key=_ORDER.index)
        title = f"{title}: tried, and refused"
    elif rule.rule in _SHARES:
        who = shared_with(scene, calls[0])
        title = title.replace("another account", "everybody" if "all" in who else f"account {cut(', '.join(who), 60)}")
        severity = CRITICAL if "all" in who else severity
    if rule.usual and days_before(calls, scene.order) >= _USUAL_DAYS:
        severity, title = LOW, f"{title} (as on days before)"
    data: dict[str, JsonValue] = {
        "subject": cut(_together(subjects), 300), "by": "followed credentials" if theirs else "others",
        "subjects": [cut(subject, 300) for subject in subjects[:_MOST_NAMED]],
    }  # fmt: skip
    make.add(rule.rule, title, calls, severity=severity, technique=rule.technique, data=data)


def _title(template: str, subjects: list[str], *, call: str) -> str:
    """A row's title; a refused call's record often names nothing that it was about."""
    if subjects == [""]:
        template = re.sub(r"( (on|of))? \{subject\}$|: \{subject\}$", "", template)
        subjects = ["that the record does not name"]
    if len(subjects) > 1:
        template = template.replace("{subject} was ", "{subject} were ")
    return template.format(subject=_together(subjects), call=call)


def days_before(calls: Iterable[TrailRecord], order: TrailOrder) -> int:
    """On how many days the same was done before the day of the alarm: what was always done is no news."""
    alarm = order.alarm - timedelta(days=1)
    return len({c.time.date() for c in calls if c.time < alarm})


def _together(subjects: list[str]) -> str:
    """``i-1``; ``i-1, i-2 and 28 more``."""
    if len(subjects) <= EACH_BY_ITSELF:
        return cut(", ".join(subjects), 120)
    return f"{cut(', '.join(subjects[:2]), 160)} and {len(subjects) - 2} more"


def subject_of(rule: CallRule, call: TrailRecord) -> str:
    """What a call was about."""
    for name in rule.subject or _SUBJECTS:
        if found := _name_at(call.parameters, name):
            return found
    listed = [*_ids(call.parameters), *_ids(call.details)]
    return listed[0] if listed else "" if rule.subject else "the account"


def _name_at(parameters: dict[str, JsonValue], name: str) -> str:
    """The text, or the first of a list, under a name; also in the one element that some calls of EC2 wrap theirs in."""
    wrapped = next((v for k, v in parameters.items() if k.endswith("Request") and isinstance(v, dict)), None)
    for place in (parameters, wrapped or {}):
        found = place.get(name) or place.get(name[:1].upper() + name[1:])
        if text := next(iter(texts(found)), ""):
            return text.rpartition(":function:")[2]  # Lambda takes a name or an ARN
    return ""


def _ids(parameters: JsonValue) -> Iterator[str]:
    """The first id in the lists that EC2 and SSM write: ``instancesSet.items[].instanceId``, ``instanceIds[]``."""
    for text in texts(parameters):
        if text.partition("-")[0] in {"i", "vol", "snap", "ami", "sg", "eni"}:
            yield text
