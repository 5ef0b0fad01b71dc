"""Which credentials must be rotated, and what else was touched: said as findings, each with the calls behind it. Pure.

Only said when the credentials that the case follows were misused by what the rules have found: an ordinary instance touches things all
day. Who the credentials belong to and how they end is in the title, because that is what a responder does next.
"""

from __future__ import annotations

from collections import defaultdict

from forensics.cloud_evidence.trail_record import TrailRecord, text_at, texts
from forensics.cloud_evidence.trail_scene import HIGH, LOW, MEDIUM, Maker, Scene, cut
from forensics.models.results import ResultSeverity

_RANK = {severity: number for number, severity in enumerate(ResultSeverity)}
_BY_FOLLOWED = "followed credentials"
_PATTERNS = ("used-elsewhere", "other-region", "role-assumed", "discovery", "denied", "mass-reads", "secrets-read")
_KINDS = {
    "instanceId": "instance", "bucketName": "bucket", "functionName": "function", "secretId": "secret", "roleArn": "role",
    "dBInstanceIdentifier": "database", "tableName": "table", "keyId": "key",
}  # fmt: skip
MOST_TOUCHED = 40


def run(scene: Scene, make: Maker) -> None:
    """What to rotate and what was touched, where something shows a misuse."""
    begin = _misused_since(make)
    if begin is None:
        return
    since = [c for c in scene.theirs if c.time.timestamp() >= begin]
    _rotate(scene, make, since)
    _touched(scene, make, since)


def _misused_since(make: Maker) -> float | None:
    """The time of the first finding of note that the followed credentials made; None without one."""
    times = [
        f.time.timestamp()
        for f in make.findings
        if f.time
        and _RANK[f.severity] >= _RANK[MEDIUM]
        and (f.data.get("by") == _BY_FOLLOWED or f.id.removeprefix("cloudtrail-").startswith(_PATTERNS))
    ]
    return min(times) if times else None


def _rotate(scene: Scene, make: Maker, since: list[TrailRecord]) -> None:
    groups: dict[str, list[TrailRecord]] = defaultdict(list)
    for call in since:
        who = call.identity
        if who.session_name == scene.order.instance_id:
            groups[f"sessions of role {who.role_name} (revoke them; IAM: AWSRevokeOlderSessions)"].append(call)
        elif who.type == "IAMUser":
            groups[f"access key {who.access_key_id} of user {who.user_name} (deactivate it)"].append(call)
        elif who.role_name:
            groups[f"sessions of role {who.role_name}, assumed from the instance (revoke them)"].append(call)
        if call.ok and call.name == "CreateAccessKey":
            key = text_at(call.answer, "accessKey", "accessKeyId")
            groups[f"access key {key} of user {text_at(call.answer, 'accessKey', 'userName')} (deactivate it)"].append(
                call
            )
        if call.ok and call.name in {"CreateLoginProfile", "UpdateLoginProfile"}:
            groups[f"console password of user {text_at(call.parameters, 'userName')} (delete it)"].append(call)
        if call.ok and call.name.endswith("SecretValue"):
            groups[f"secret {text_at(call.parameters, 'secretId')} (change it)"].append(call)
    for what, calls in groups.items():
        make.add("rotate", f"Credential to rotate: {cut(what, 300)}", calls, severity=HIGH, technique="T1078.004")


def _touched(scene: Scene, make: Maker, since: list[TrailRecord]) -> None:
    found: dict[tuple[str, str], list[TrailRecord]] = defaultdict(list)
    for call in since:
        for kind, name in _things(call):
            if name != scene.order.instance_id:
                found[kind, name].append(call)
    for (kind, name), calls in list(found.items())[:MOST_TOUCHED]:
        changed = any(c.ok and c.read_only is False for c in calls)
        next_step = " (a case of its own: DAG forensic_case with this id)" if kind == "instance" else ""
        make.add(
            "touched", f"Touched with the instance's credentials: {kind} {cut(name, 200)}{next_step}", calls,
            severity=MEDIUM if changed else LOW, technique="T1078.004", data={"kind": kind, "name": cut(name, 300)},
        )  # fmt: skip


def _things(call: TrailRecord) -> set[tuple[str, str]]:
    found = {(kind, text_at(call.parameters, name)) for name, kind in _KINDS.items()}
    found |= {("instance", t) for t in texts(call.parameters) if t.startswith("i-")}
    if call.name == "RunInstances":
        found |= {("instance", t) for t in texts(call.answer) if t.startswith("i-")}
    return {(kind, name) for kind, name in found if name}
