"""Which credentials must be rotated, and what else was touched: said as findings, each with the calls behind it. Pure.

Only said when the credentials that the case follows were misused by what the rules have found: an ordinary instance touches things all
day. Who the credentials belong to and how they end is in the title, because that is what a responder does next.
"""

from __future__ import annotations

from collections import defaultdict

from pydantic import JsonValue

from forensics.cloud_evidence.trail_call_rules import EACH_BY_ITSELF
from forensics.cloud_evidence.trail_record import TrailRecord, text_at, texts
from forensics.cloud_evidence.trail_scene import HIGH, LOW, MEDIUM, Maker, Scene, cut
from forensics.models.results import ResultSeverity

_RANK = {severity: number for number, severity in enumerate(ResultSeverity)}
_BY_FOLLOWED = "followed credentials"
_PATTERNS = (
    "used-elsewhere",
    "other-region",
    "role-assumed",
    "discovery",
    "denied",
    "mass-reads",
    "mass-deletes",
    "secrets-read",
    "secrets-tried",
    "attack-tool",
)
_KINDS = {
    "instanceId": "instance", "bucketName": "bucket", "functionName": "function", "secretId": "secret", "roleArn": "role",
    "dBInstanceIdentifier": "database", "tableName": "table", "keyId": "key",
}  # fmt: skip
# As in the rows on single calls: of more alike, one finding names them.
_MOST_NAMED = 50


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
    secrets: dict[str, list[TrailRecord]] = defaultdict(list)
    for call in since:
        if who := _holder(scene, call):
            groups[who].append(call)
        if call.ok and call.name == "CreateAccessKey":
            key = text_at(call.answer, "accessKey", "accessKeyId")
            groups[_key(key, text_at(call.answer, "accessKey", "userName"))].append(call)
        if call.ok and call.name in {"CreateLoginProfile", "UpdateLoginProfile"}:
            groups[f"console password of user {text_at(call.parameters, 'userName')} (delete it)"].append(call)
        if call.ok and call.name.endswith("SecretValue"):
            for name in texts({n: call.parameters.get(n) for n in ("secretId", "secretIdList")}):
                secrets[name].append(call)
    many = len(secrets) > EACH_BY_ITSELF
    for name, calls in secrets.items():
        groups[_many(list(secrets)) if many else f"secret {name} (change it)"] += calls
    for what, calls in groups.items():
        calls.sort(key=lambda c: (c.time, c.event_id))
        named: list[JsonValue] = [cut(n, 300) for n in list(secrets)[:_MOST_NAMED]]
        data: dict[str, JsonValue] = {"secrets": named} if many and what == _many(list(secrets)) else {}
        make.add(
            "rotate", f"Credential to rotate: {cut(what, 300)}", calls, severity=HIGH, technique="T1078.004", data=data
        )


def _holder(scene: Scene, call: TrailRecord) -> str:
    """Whose credentials a call was made with, and how they end; empty where there is nothing to end."""
    who = call.identity
    if who.session_name == scene.order.instance_id:
        return f"sessions of role {who.role_name} (revoke them; IAM: AWSRevokeOlderSessions)"
    if who.type == "FederatedUser":
        name = who.arn.rpartition("/")[2]
        owner = who.session.issuer.user_name or "the user who made it"
        return f"federated session {name}, made by {owner} (it outlives the key: deny {owner} everything until it ends)"
    if who.type == "IAMUser":
        # a sign-in to the console has no key
        return (
            _key(who.access_key_id, who.user_name)
            if who.access_key_id
            else f"console password of user {who.user_name} (change it)"
        )
    if who.type == "Root":
        return "the account's root user (change its password, delete its access keys)"
    return f"sessions of role {who.role_name}, assumed from the instance (revoke them)" if who.role_name else ""


def _key(key: str, user: str) -> str:
    return (
        f"access key {key} of user {user} (deactivate it)"
        if not key.startswith("ASIA")
        else f"sessions of user {user} (deny what was issued before now)"
    )


def _many(names: list[str]) -> str:
    return f"{len(names)} secrets: {', '.join(cut(n.rpartition(':')[2], 60) for n in names[:4])}, … (change them all)"


def _touched(scene: Scene, make: Maker, since: list[TrailRecord]) -> None:
    found: dict[tuple[str, str], list[TrailRecord]] = defaultdict(list)
    for call in since:
        for kind, name in sorted(_things(call)):
            if name != scene.order.instance_id:
                found[kind, name].append(call)
    alike: dict[tuple[str, bool, bool], dict[str, list[TrailRecord]]] = defaultdict(dict)
    for (kind, name), calls in found.items():
        changed, granted = any(c.ok and c.read_only is False for c in calls), any(c.ok for c in calls)
        alike[kind, changed, granted][name] = calls
    for (kind, changed, granted), things in alike.items():
        severity = MEDIUM if changed else LOW
        end = "" if granted else "; every call was refused"
        if len(things) > EACH_BY_ITSELF:
            names = list(things)
            calls = sorted((c for some in things.values() for c in some), key=lambda c: (c.time, c.event_id))
            title = f"Touched with the instance's credentials: {len(names)} {kind}s: {cut(', '.join(names[:3]), 160)}, …{end}"
            named: list[JsonValue] = [cut(n, 300) for n in names[:_MOST_NAMED]]
            data: dict[str, JsonValue] = {"kind": kind, "names": named}
            make.add("touched", title, calls, severity=severity, technique="T1078.004", data=data)
            continue
        for name, calls in things.items():
            step = " (a case of its own: DAG forensic_case with this id)" if kind == "instance" and granted else ""
            make.add(
                "touched", f"Touched with the instance's credentials: {kind} {cut(name, 200)}{step}{end}", calls,
                severity=severity, technique="T1078.004", data={"kind": kind, "name": cut(name, 300)},
            )  # fmt: skip


def _things(call: TrailRecord) -> set[tuple[str, str]]:
    found = {(kind, text_at(call.parameters, name).rpartition(":function:")[2]) for name, kind in _KINDS.items()}
    found |= {("instance", t) for t in texts(call.parameters) if t.startswith("i-")}
    if call.name == "RunInstances":
        found |= {("instance", t) for t in texts(call.answer) if t.startswith("i-")}
    return {(kind, name) for kind, name in found if name}
