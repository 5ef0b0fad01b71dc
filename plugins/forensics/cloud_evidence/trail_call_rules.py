"""Single calls that mean something by themselves: a table of which, on what, and how grave by whom. Pure.

``theirs``: made with credentials that the case follows (the instance's session, and keys, users and roles that came of it).
``others``: made by anybody else on the target or something of it. None: no finding. A refused call is at most of low severity,
of medium when it was theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pydantic import JsonValue

from forensics.cloud_evidence.followed import BLINDING
from forensics.cloud_evidence.trail_record import TrailRecord, items_at, text_at, texts
from forensics.cloud_evidence.trail_scene import CRITICAL, HIGH, LOW, MEDIUM, Maker, Scene, cut
from forensics.models.results import ResultSeverity

Test = Callable[[Scene, TrailRecord], bool]
_ORDER = list(ResultSeverity)


@dataclass(frozen=True)
class CallRule:
    """One row. ``subject`` are parameters that say what the call was about, the first that is there counts."""

    rule: str
    title: str
    names: frozenset[str]
    technique: str
    theirs: ResultSeverity | None
    others: ResultSeverity | None
    subject: tuple[str, ...] = ()
    fits: Test = lambda _scene, _call: True
    anywhere: bool = False  # others' calls count also where they are not about the target


def _public_ingress(_scene: Scene, call: TrailRecord) -> bool:
    return any(text in {"0.0.0.0/0", "::/0"} for text in texts(call.parameters))


def _of_target_group(scene: Scene, call: TrailRecord) -> bool:
    return _public_ingress(scene, call) and (
        scene.acts(call) or text_at(call.parameters, "groupId") in scene.order.groups
    )


def _attribute(name: str) -> Test:
    return lambda _scene, call: text_at(call.parameters, "attribute") == name or name in call.parameters


def _foreign_share(scene: Scene, call: TrailRecord) -> bool:
    return bool(shared_with(scene, call))


def shared_with(scene: Scene, call: TrailRecord) -> list[str]:
    """Accounts (or ``all``) that ModifySnapshotAttribute or ModifyImageAttribute lets in, the deployment's own left out."""
    known = {scene.order.account_id, *scene.order.friends}
    found: list[str] = []
    for kind in ("createVolumePermission", "launchPermission"):
        for item in items_at(call.parameters, kind, "add"):
            found += [text_at(item, "userId"), text_at(item, "group")]
    return [who for who in dict.fromkeys(found) if who and who not in known]


def _on_own_role(scene: Scene, call: TrailRecord) -> bool:
    named = {text_at(call.parameters, name) for name in ("roleName", "instanceProfileName")}
    return scene.acts(call) or bool(named & {*scene.order.followed.roles, scene.order.role_name} - {""})


def _not_own(scene: Scene, call: TrailRecord) -> bool:
    """A person or program, not a service of AWS by itself (backups, Auto Scaling)."""
    return not call.identity.is_service


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
        "TerminateInstances", "DeleteSnapshot", "DeleteVolume", "DeregisterImage", "DeleteBucket", "DeleteDBInstance", "DeleteDBCluster",
        "DeleteTable", "DeleteBackupVault", "DeleteRecoveryPoint", "ScheduleKeyDeletion", "DisableKey", "DeleteFileSystem", "DeleteStack",
    }
)  # fmt: skip
_GROUP = ("AuthorizeSecurityGroupIngress", "ModifySecurityGroupRules")

RULES = (
    CallRule("password-data", "Windows password data of {subject} was read", frozenset({"GetPasswordData"}), "T1552", HIGH, MEDIUM),
    CallRule("user-data-changed", "User data of {subject} was changed: it runs as root at a start", frozenset({"ModifyInstanceAttribute"}), "T1037", HIGH, MEDIUM, fits=_attribute("userData")),
    CallRule("user-data-read", "User data of {subject} was read", frozenset({"DescribeInstanceAttribute"}), "T1552.001", MEDIUM, LOW, fits=_attribute("userData")),
    CallRule("ssm-command", "Command sent by SSM to {subject}", frozenset({"SendCommand", "StartAutomationExecution", "CreateAssociation"}), "T1651", HIGH, LOW, fits=_not_own),
    CallRule("ssm-session", "Session by SSM on {subject}", frozenset({"StartSession", "ResumeSession"}), "T1021.008", HIGH, LOW, subject=("target", "sessionId")),
    CallRule("snapshot-shared", "Snapshot {subject} was shared with another account", frozenset({"ModifySnapshotAttribute"}), "T1537", CRITICAL, HIGH, fits=_foreign_share),
    CallRule("image-shared", "Image {subject} was shared with another account", frozenset({"ModifyImageAttribute"}), "T1537", CRITICAL, HIGH, fits=_foreign_share),
    CallRule("snapshot-made", "Snapshot or image of {subject} was made", frozenset({"CreateSnapshot", "CreateSnapshots", "CreateImage", "CopySnapshot"}), "T1578.001", HIGH, LOW, subject=("volumeId", "instanceId", "sourceSnapshotId"), fits=_not_own),
    CallRule("volume-moved", "Volume {subject} was attached elsewhere", frozenset({"AttachVolume"}), "T1578.005", HIGH, MEDIUM, subject=("volumeId",), fits=lambda s, c: _not_own(s, c) and text_at(c.parameters, "instanceId") != s.order.instance_id),
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
    CallRule("logs-cut", "Records of the account were cut: {call} on {subject}", BLINDING - {"UpdateTrail", "PutEventSelectors", "UpdateDetector", "CreateFilter", "BatchDisableStandards"}, "T1685.002", CRITICAL, HIGH, subject=("name", "trailName", "detectorId"), fits=_not_own, anywhere=True),
    CallRule("logs-changed", "What the account records was changed: {call} on {subject}", frozenset({"UpdateTrail", "PutEventSelectors", "UpdateDetector", "CreateFilter", "BatchDisableStandards"}), "T1685.002", CRITICAL, MEDIUM, subject=("name", "trailName", "detectorId"), fits=_not_own, anywhere=True),
    CallRule("instances-made", "Instances were launched with the instance's credentials", frozenset({"RunInstances", "CreateFleet", "RequestSpotInstances"}), "T1578.002", HIGH, None, subject=("instanceType",)),
    CallRule("function-made", "Function {subject} was made or changed", frozenset({"CreateFunction20150331", "UpdateFunctionCode20150331v2", "UpdateFunctionConfiguration20150331v2", "CreateEventSourceMapping20150331"}), "T1546", HIGH, None, subject=("functionName",)),
    CallRule("destroyed", "{call} on {subject}", _DESTROYS, "T1485", HIGH, MEDIUM, subject=("instanceId", "snapshotId", "volumeId", "imageId", "bucketName", "keyId", "name"), fits=_not_own),
    CallRule("mirrored", "Traffic of {subject} was mirrored", frozenset({"CreateTrafficMirrorSession"}), "T1040", HIGH, HIGH, subject=("networkInterfaceId",)),
    CallRule("signed-in", "Sign-in to the console with the instance's credentials", frozenset({"GetSigninToken", "ConsoleLogin"}), "T1078.004", HIGH, None),
    CallRule("key-pair", "Key pair {subject} was made with the instance's credentials", frozenset({"CreateKeyPair", "ImportKeyPair"}), "T1098.001", MEDIUM, None, subject=("keyName",)),
)  # fmt: skip


def run(scene: Scene, make: Maker) -> None:
    """Every row over every call; one finding for each principal and subject, refused calls apart."""
    by_name: dict[str, list[CallRule]] = {}
    for rule in RULES:
        for name in rule.names:
            by_name.setdefault(name, []).append(rule)
    found: dict[tuple[str, str, str, str, bool], list[TrailRecord]] = {}
    rows: dict[str, CallRule] = {rule.rule: rule for rule in RULES}
    for call in scene.calls:
        for rule in by_name.get(call.name, ()):
            if _severity(scene, rule, call) is None or not rule.fits(scene, call):
                continue
            key = (rule.rule, call.name, call.identity.name, subject_of(rule, call), call.ok)
            found.setdefault(key, []).append(call)
    for (name, _, _, subject, ok), calls in found.items():
        _add(scene, make, rows[name], calls, subject=subject, ok=ok)


def _severity(scene: Scene, rule: CallRule, call: TrailRecord) -> ResultSeverity | None:
    if scene.acts(call):
        return rule.theirs
    about = rule.anywhere or scene.touches(call)
    return rule.others if about else None


def _add(scene: Scene, make: Maker, rule: CallRule, calls: list[TrailRecord], *, subject: str, ok: bool) -> None:
    theirs = scene.acts(calls[0])
    severity = (rule.theirs if theirs else rule.others) or LOW
    title = rule.title.format(subject=cut(subject, 120), call=calls[0].call)
    if not ok:
        severity = min(severity, MEDIUM if theirs else LOW, key=_ORDER.index)
        title = f"{title}: tried, and refused"
    elif rule.rule in {"snapshot-shared", "image-shared"}:
        who = shared_with(scene, calls[0])
        title = title.replace("another account", "everybody" if "all" in who else f"account {cut(', '.join(who), 60)}")
        severity = CRITICAL if "all" in who else severity
    data: dict[str, JsonValue] = {"subject": cut(subject, 300), "by": "followed credentials" if theirs else "others"}
    make.add(rule.rule, title, calls, severity=severity, technique=rule.technique, data=data)


def subject_of(rule: CallRule, call: TrailRecord) -> str:
    """What a call was about."""
    for name in rule.subject or _SUBJECTS:
        if found := text_at(call.parameters, name):
            return found
    listed = [*_ids(call.parameters)]
    return listed[0] if listed else "the account"


def _ids(parameters: dict[str, JsonValue]) -> Iterable[str]:
    """The first id in the lists that EC2 and SSM write: ``instancesSet.items[].instanceId``, ``instanceIds[]``."""
    for text in texts(parameters):
        if text.partition("-")[0] in {"i", "vol", "snap", "ami", "sg", "eni"}:
            yield text
