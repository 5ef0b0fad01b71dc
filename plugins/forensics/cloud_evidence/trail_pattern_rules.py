"""What many calls mean together: credentials used elsewhere, roles on roles, other Regions, mass reads, a look around. Pure."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import timedelta
from itertools import islice

from pydantic import JsonValue

from forensics.cloud_evidence.trail_call_rules import days_before
from forensics.cloud_evidence.trail_record import TrailRecord, at, text_at, texts
from forensics.cloud_evidence.trail_scene import HIGH, LOW, MEDIUM, Maker, Scene, cut
from forensics.models.addresses import public
from forensics.models.results import Confidence

# Services whose calls are recorded in one Region, wherever they were made from (CloudTrail user guide, *Global service events*).
_GLOBAL = frozenset(
    {"iam", "sts", "cloudfront", "route53", "organizations", "support", "signin", "health", "waf", "shield", "account"}
)
_LOOKS = (
    "List", "Describe", "GetAccount", "GetCallerIdentity", "GetUser", "GetRole", "GetPolicy", "GetBucket", "GetLoginProfile",
    "GetGroup", "GetAccessKeyLastUsed", "GetCredentialReport", "GetInstanceProfile", "GetContextKeys", "GetAlternateContact",
    "GetContactInformation", "GetServiceQuota", "GetCost", "GetSendQuota", "GetIdentity", "GetFunction", "GetPublicAccessBlock",
    "GetFoundationModel", "GetDetector", "GetTrail", "GetEventSelectors", "GetKey", "GetRepository", "GetStack", "GetTemplate",
    "Generate", "Simulate", "LookupEvents", "Search",
)  # fmt: skip
# What the agents of an ordinary instance ask all day.
_ORDINARY = frozenset(
    {
        "DescribeInstances",
        "DescribeTags",
        "DescribeVolumes",
        "ListAssociations",
        "ListInstanceAssociations",
        "DescribeParameters",
        "GetCallerIdentity",
        "DescribeAssociation",
        "DescribeDocument",
    }
)
LOOK_CALLS, LOOK_WINDOW = 6, timedelta(minutes=15)
DENIED_CALLS = 8
READS, READS_ELSEWHERE, READ_DAYS_FACTOR = 500, 1, 8
SECRETS = 5
DELETES = 50
_SECRET_NAMES = ("secretId", "name", "names", "path", "secretIdList", "filters")
_SECRET_CALLS = frozenset(
    {"GetSecretValue", "BatchGetSecretValue", "GetParameter", "GetParameters", "GetParametersByPath"}
)
# Names of tools, and of systems made for attacks, in user agents (GuardDuty's finding types PenTest:IAMUser/KaliLinux, ParrotLinux,
# PentooLinux; the tools' own sources).
_TOOLS = re.compile(
    r"kali\d*[-_]|\bkali\b|\bparrot\b|pentoo|trufflehog|\bpacu\b|scoutsuite|cloudfox|enumerate-iam|stratus-red-team|cloudsploit|"
    r"weirdaal|\bs3scanner|gitleaks|nuclei|cloudgoat",
    re.IGNORECASE,
)


def run(scene: Scene, make: Maker) -> None:
    """Every pattern."""
    _elsewhere(scene, make)
    _regions(scene, make)
    _roles(scene, make)
    _look_around(scene, make)
    _denied(scene, make)
    _reads(scene, make)
    _deletes(scene, make)
    _secrets(scene, make)
    _secrets_refused(scene, make)
    _agents(scene, make)
    _peers(scene, make)


def _elsewhere(scene: Scene, make: Maker) -> None:
    by_address: dict[str, list[TrailRecord]] = defaultdict(list)
    for call in scene.abroad:
        by_address[scene.elsewhere(call)].append(call)
    for address, calls in by_address.items():
        where = "from elsewhere" if public(address) else "from another machine of the network"
        doubtful = all(scene.doubtful(c) for c in calls)
        said = f"The target's addresses are {', '.join(sorted(scene.home)[:8]) or 'unknown'}. Calls: {_names(calls)}. First with {cut(calls[0].agent, 80)}"
        make.add(
            "used-elsewhere", f"The instance's credentials were used {where}: {address}, {len(calls)} calls", calls,
            severity=MEDIUM if doubtful else HIGH, confidence=Confidence.MEDIUM if doubtful else Confidence.HIGH,
            technique="T1078.004", detail=said, data={"address": address},
        )  # fmt: skip


def _regions(scene: Scene, make: Maker) -> None:
    home = {scene.order.region, ""}
    away: dict[str, list[TrailRecord]] = defaultdict(list)
    for call in scene.theirs:
        if call.region not in home and call.short_service not in _GLOBAL:
            away[call.region].append(call)
    for region, calls in away.items():
        before = days_before(calls, scene.order)
        grave = any(c.ok and c.read_only is False for c in calls) and before < 2
        severity = HIGH if grave else LOW if before >= 2 else MEDIUM
        make.add(
            "other-region", f"The instance's credentials were used in another Region: {region}, {len(calls)} calls", calls,
            severity=severity, technique="T1535", data={"regions": [region]},
        )  # fmt: skip


def _roles(scene: Scene, make: Maker) -> None:
    chains: dict[str, list[TrailRecord]] = defaultdict(list)
    for call in scene.theirs:
        if call.service == "sts.amazonaws.com" and call.name.startswith("AssumeRole"):
            chains[text_at(call.parameters, "roleArn")].append(call)
    for arn, calls in chains.items():
        done = [c for c in calls if c.ok]
        usual = days_before(done, scene.order) >= 2
        foreign = f":{scene.order.account_id}:" not in arn
        abroad = any(c.event_id in scene.away for c in calls)
        severity = LOW if (usual or not done) and not abroad else HIGH if foreign or abroad else MEDIUM
        keys = {text_at(c.answer, "credentials", "accessKeyId") for c in done} - {""}
        after = [c for c in scene.calls if c.identity.access_key_id in keys]
        # a refused call's record names no role
        tried = (
            "" if done else ": tried, and refused" if arn else "one that its record does not name: tried, and refused"
        )
        make.add(
            "role-assumed", f"Role assumed with the instance's credentials: {cut(arn, 200)}{tried}", done or calls,
            severity=severity, technique="T1548.005",
            detail=f"{len(done)} of {len(calls)} calls were granted; with the keys that they gave: {_names(after) or 'no calls on record'}",
            data={"role": cut(arn, 300), "keys": _json(keys, 20)},
        )  # fmt: skip


def _look_around(scene: Scene, make: Maker) -> None:
    best = _densest([c for c in scene.theirs if c.name.startswith(_LOOKS) and c.name not in _ORDINARY])
    kinds = {c.call for c in best}
    if len(kinds) >= LOOK_CALLS:
        make.add(
            "discovery", f"The account was explored with the instance's credentials: {len(kinds)} kinds of calls in a quarter of an hour", best,
            severity=MEDIUM, technique="T1580",
        )  # fmt: skip


def _denied(scene: Scene, make: Maker) -> None:
    best = _densest([c for c in scene.theirs if "AccessDenied" in c.error or "Unauthorized" in c.error])
    kinds = {c.call for c in best}
    if len(kinds) >= DENIED_CALLS:
        make.add(
            "denied", f"What the instance's credentials may do was tried out: {len(kinds)} kinds of calls were refused", best,
            severity=MEDIUM, technique="T1580",
        )  # fmt: skip


def _densest(calls: Sequence[TrailRecord]) -> Sequence[TrailRecord]:
    """The calls of the window with the most kinds of them; the first such window."""
    best: tuple[int, int, int] = (0, 0, 0)
    begin = 0
    kinds: Counter[str] = Counter()
    for end, call in enumerate(calls):
        kinds[call.call] += 1
        while call.time - calls[begin].time > LOOK_WINDOW:
            kinds -= Counter({calls[begin].call: 1})
            begin += 1
        best = max(best, (len(kinds), -begin, end + 1))
    return calls[-best[1] : best[2]]


def _reads(scene: Scene, make: Maker) -> None:
    """Days with many more reads of a bucket than on its days before; reads from elsewhere count from a few on."""
    reads: dict[tuple[object, str], list[TrailRecord]] = defaultdict(list)
    for call in scene.theirs:
        if call.name in {"GetObject", "CopyObject"} and call.short_service == "s3" and call.ok:
            reads[call.time.date(), text_at(call.parameters, "bucketName")].append(call)
    by_day: dict[object, list[TrailRecord]] = defaultdict(list)
    usual: dict[str, list[int]] = defaultdict(list)
    for (day, bucket), calls in sorted(reads.items(), key=lambda item: str(item[0])):
        before = sorted(usual[bucket])
        middle = before[len(before) // 2] if len(before) > 1 else 0
        abroad = any(c.event_id in scene.away for c in calls)
        by_day[day] += calls if abroad or len(calls) > READ_DAYS_FACTOR * middle else []
        usual[bucket].append(len(calls))
    for calls in by_day.values():
        away = sum(1 for c in calls if c.event_id in scene.away)
        if away >= READS_ELSEWHERE or len(calls) >= READS:
            _add_reads(make, sorted(calls, key=lambda c: (c.time, c.event_id)), away=away)


def _add_reads(make: Maker, calls: list[TrailRecord], *, away: int) -> None:
    buckets = {text_at(c.parameters, "bucketName") for c in calls}
    total = sum(size for c in calls if isinstance(size := at(c.more, "bytesTransferredOut"), int | float))
    make.add(
        "mass-reads", f"{len(calls)} objects of {len(buckets)} buckets were read with the instance's credentials in a day", calls,
        severity=HIGH, technique="T1530", confidence=Confidence.HIGH if away else Confidence.MEDIUM,
        detail=f"buckets: {cut(', '.join(sorted(buckets)), 600)}; {int(total):,} bytes went out, {away} reads from elsewhere",
        data={"buckets": _json(buckets, 50), "bytes": int(total)},
    )  # fmt: skip


def _deletes(scene: Scene, make: Maker) -> None:
    """Many objects deleted in a day, and more than on the days before; from elsewhere each one counts."""
    by_day: dict[object, list[TrailRecord]] = defaultdict(list)
    for call in scene.theirs:
        if (
            call.name in {"DeleteObject", "DeleteObjects", "DeleteObjectVersion"}
            and call.short_service == "s3"
            and call.ok
        ):
            by_day[call.time.date()].append(call)
    before: list[int] = []
    for _, calls in sorted(by_day.items(), key=lambda item: str(item[0])):
        away = any(c.event_id in scene.away for c in calls)
        if away or len(calls) >= max(DELETES, READ_DAYS_FACTOR * max(before, default=0)):
            buckets = {text_at(c.parameters, "bucketName") for c in calls}
            make.add(
                "mass-deletes", f"{len(calls)} times objects of {cut(', '.join(sorted(buckets)), 200)} were deleted with the instance's credentials in a day",
                calls, severity=HIGH, technique="T1485", data={"buckets": _json(buckets, 50)},
            )  # fmt: skip
        before.append(len(calls))


def _agents(scene: Scene, make: Maker) -> None:
    """Programs for attacks say their name in the user agent, unless somebody takes it out."""
    tools: dict[str, list[TrailRecord]] = defaultdict(list)
    for call in scene.theirs:
        if found := _TOOLS.search(call.agent):
            tools[found[0].lower()].append(call)
    for tool, calls in tools.items():
        make.add(
            "attack-tool", f"A tool of attackers and testers was used with the instance's credentials: {cut(tool, 60)}, {len(calls)} calls", calls,
            severity=HIGH, technique="T1580", detail=f"Calls: {_names(calls)}. User agent: {cut(calls[0].agent, 200)}", data={"tool": cut(tool, 60)},
        )  # fmt: skip


def _secrets_refused(scene: Scene, make: Maker) -> None:
    calls = [c for c in scene.theirs if c.name in _SECRET_CALLS and not c.ok]
    kinds = {s for c in calls for s in _secret(c)}
    if len(kinds) >= SECRETS or any(c.name.startswith("Batch") for c in calls):
        make.add(
            "secrets-tried", f"Reading of {max(len(kinds), 1)} secrets was tried with the instance's credentials, and refused", calls,
            severity=MEDIUM, technique="T1555.006", detail=f"secrets: {cut(', '.join(sorted(kinds)), 900) or 'by a filter'}",
            data={"secrets": _json(kinds, 50)},
        )  # fmt: skip


def _secrets(scene: Scene, make: Maker) -> None:
    calls = [
        c
        for c in scene.theirs
        if c.name in _SECRET_CALLS and c.ok and (c.name.endswith("SecretValue") or at(c.parameters, "withDecryption"))
    ]
    before: Counter[str] = Counter(
        s for c in calls if c.time < scene.order.alarm - timedelta(days=1) for s in _secret(c)
    )
    fresh = [c for c in calls if c.event_id in scene.away or any(s not in before for s in _secret(c))]
    kinds = {s for c in fresh for s in _secret(c)}
    away = any(c.event_id in scene.away for c in fresh)
    # a batch reads up to twenty, and its record names the filter alone (Secrets Manager, BatchGetSecretValue)
    batch = any(c.name == "BatchGetSecretValue" and not c.parameters.get("secretIdList") for c in fresh)
    if fresh and (away or batch or len(kinds) >= SECRETS):
        many = f"{len(kinds)} secrets were" if not batch else "All secrets that a filter fits were"
        make.add(
            "secrets-read", f"{many} read with the instance's credentials", fresh, severity=HIGH,
            technique="T1555.006", detail=f"secrets: {cut(', '.join(sorted(kinds)), 900)}", data={"secrets": _json(kinds, 50)},
        )  # fmt: skip


def _secret(call: TrailRecord) -> Sequence[str]:
    return list(texts({name: call.parameters.get(name) for name in _SECRET_NAMES}))


def _peers(scene: Scene, make: Maker) -> None:
    """Calls by anybody from an address that a finding of the case names."""
    named = {a for text in scene.order.peers if (a := public(text))}
    for address in sorted(named):
        calls = [c for c in scene.calls if public(c.address) == address and c.event_id not in scene.away]
        if calls:
            make.add(
                "peer-calls", f"Calls came from the finding's address {address}", calls, severity=HIGH,
                technique="T1078.004", data={"address": address},
            )  # fmt: skip


def _names(calls: Sequence[TrailRecord]) -> str:
    counted = Counter(c.call for c in calls)
    return cut(", ".join(f"{name} ({number})" for name, number in counted.most_common(12)), 600)


def _json(found: Iterable[str], most: int) -> list[JsonValue]:
    return list(islice(sorted(found), most))
