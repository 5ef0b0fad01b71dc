"""The readiness list: every running instance of the member accounts, and which could not be captured today."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from forensics.aws.case_store import CaseStore
from forensics.aws.cloudwatch import Metrics
from forensics.aws.fleet import FleetGateway
from forensics.aws.hook import ForensicsHook
from forensics.aws.kms import KeyGateway
from forensics.aws.session import AwsSession
from forensics.case_keys import READINESS
from forensics.errors import ForensicsError
from forensics.models.disk import KeyFacts
from forensics.models.preflight import ReadinessReport, UnreadyInstance
from forensics.models.readiness import RunningInstance
from forensics.models.target import SsmStatus
from forensics.naming import PREFLIGHT
from forensics.preflight.readiness_rules import reasons
from forensics.preflight.scope import PreflightScope

THREADS = 8
# An item of the case store holds 400 KB; the count is of all.
KEPT = 400

Session = Callable[[str], AwsSession]


def readiness(scope: PreflightScope) -> ReadinessReport:
    """Look at every member account and Region; what cannot be looked at is named and does not hide the others."""
    places = [(account, region) for account in scope.members for region in scope.regions]
    with ThreadPoolExecutor(max_workers=THREADS) as pool:
        found = list(pool.map(lambda place: _place(scope, *place), places))
    instances = [instance for listed, _ in found for instance in listed]
    unready = [u for i in instances if (u := reasons(i, scope.settings)) is not None]
    unready.sort(key=lambda u: (u.account_id, u.region, u.instance_id))
    return ReadinessReport(
        at=datetime.now(UTC),
        instances=len(instances),
        unready=tuple(_cut(u) for u in unready[:KEPT]),
        unready_count=len(unready),
        problems=tuple(problem[:500] for _, problem in found if problem)[:50],
    )


def record_readiness(hook: ForensicsHook, report: ReadinessReport) -> None:
    """Store the list and put its numbers to CloudWatch."""
    own = hook.own()
    CaseStore.of(own, hook.settings).put(PREFLIGHT, READINESS, report)
    Metrics.of(own).put({"NotCapturable": report.unready_count, "RunningInstances": report.instances})


def last_readiness(store: CaseStore) -> ReadinessReport | None:
    """The last list."""
    return store.get(PREFLIGHT, READINESS, ReadinessReport)


def _place(scope: PreflightScope, account: str, region: str) -> tuple[list[RunningInstance], str]:
    try:
        triage = scope.phase("triage", account_id=account, region=region)
        acquire = scope.phase("acquire", account_id=account, region=region)
        return list(running_instances(FleetGateway.of(triage), FleetGateway.of(acquire), KeyGateway.of(acquire))), ""
    except ForensicsError as error:
        return [], f"{account}, {region}: {error.message}. What to do next: {error.next_action}"


def running_instances(fleet: FleetGateway, types: FleetGateway, keys: KeyGateway) -> Iterable[RunningInstance]:
    """The running instances of one account and Region; ``types`` may describe instance types, ``keys`` describe keys."""
    running = fleet.running()
    if not running:
        return
    status, encrypted = fleet.ssm_status(), fleet.keys_of_volumes()
    memory = types.memory_mib(str(i.get("InstanceType", "")) for i in running)
    ways = fleet.ways_to_s3()
    known: dict[str, KeyFacts] = {}
    for item in running:
        instance_id = item["InstanceId"]
        for arn in encrypted.get(instance_id, ()):
            known.setdefault(arn, keys.describe(arn))
        instance_type = str(item.get("InstanceType", ""))
        only6 = bool(item.get("Ipv6Address")) and not item.get("PrivateIpAddress")
        yield RunningInstance(
            account_id=fleet.account_id,
            region=fleet.region,
            instance_id=instance_id,
            name=next((t.get("Value", "") for t in item.get("Tags", []) if t.get("Key") == "Name"), "")[:80],
            instance_type=instance_type,
            architecture=str(item.get("Architecture", "x86_64")),
            windows=str(item.get("Platform", "")).lower() == "windows",
            vpc_id=item.get("VpcId", ""),
            subnet_id=item.get("SubnetId", ""),
            ssm=status.get(instance_id, SsmStatus()),
            memory_mib=memory.get(instance_type),
            ipv6_only=only6,
            way_to_s3=ways.open(vpc_id=item.get("VpcId", ""), subnet_id=item.get("SubnetId", ""), ipv6=only6),
            keys=tuple(known[arn] for arn in sorted(encrypted.get(instance_id, ()))),
        )


def _cut(item: UnreadyInstance) -> UnreadyInstance:
    return item.model_copy(
        update={"memory": tuple(r[:220] for r in item.memory), "disk": tuple(r[:220] for r in item.disk[:3])}
    )
