"""The full part: what containment and acquisition would do, tried on groups of its own and on an instance that a person names."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

from forensics.aws.denials import Cause, cause_of
from forensics.aws.ebs import EbsGateway, Snapshot, raise_if_failed
from forensics.aws.ebs_direct import EbsDirectGateway
from forensics.aws.ec2 import Ec2Gateway
from forensics.aws.kms import KeyGateway
from forensics.aws.session import AwsSession, Scope
from forensics.containment.call_runner import ContainmentGateway
from forensics.containment.calls import DEFAULT_EGRESS, create_group, delete_group, revoke
from forensics.containment.plan import make_plan
from forensics.containment.plan_preflight import preflight
from forensics.containment.policy import ContainmentPolicy
from forensics.deployment import DEPLOYMENT
from forensics.disk.kms_rules import route_for
from forensics.disk.snapshot_copies import SHARE_PAUSE, may_be_share
from forensics.errors import AwsError, ForensicsError, SnapshotError
from forensics.models.containment import PreflightAnswer
from forensics.models.disk import Route
from forensics.naming import PREFLIGHT, tags
from forensics.preflight.check import BrokenError, Check, NotTriedError
from forensics.preflight.explain import action_for, next_action_for
from forensics.preflight.scope import PreflightScope, Target

T = TypeVar("T")

# The form of a case id that no finding can open: the identity of the plan that is only asked about.
DRY_RUN = "fc-00000000-0000000000"
GROUP = "${preflight}"
# Larger disks would take longer to copy than anybody waits for a preflight, and cost more.
LARGEST_GIB = 32
LOCK_DAYS = 1
PURPOSE = "preflight"


class Stopwatch:
    """The seconds that each step took, in words."""

    def __init__(self) -> None:
        self._steps: list[str] = []

    def time(self, name: str, step: Callable[[], T]) -> T:
        """Do a step."""
        began = time.monotonic()
        result = step()
        self._steps.append(f"{name} {time.monotonic() - began:.1f} s")
        return result

    def __str__(self) -> str:
        return ", ".join(self._steps)


def member_session(scope: PreflightScope, phase: str, *, account_id: str, region: str) -> AwsSession:
    """A session in a member account; raises :class:`NotTriedError` when there is none."""
    try:
        return scope.phase(phase, account_id=account_id, region=region)
    except ForensicsError as error:
        msg = f"role {phase} of {account_id} could not be assumed"
        raise NotTriedError(msg, next_action="repair what the lines of `roles` say, then run it again") from error


class GroupCheck(Check):
    """A quarantine group is made, emptied, read back and removed, as containment does it."""

    name = "group path"
    full = True
    limit = 120.0

    def __init__(self, scope: PreflightScope, *, account_id: str, region: str) -> None:
        super().__init__(f"{account_id} {region}")
        self._scope = scope
        self._account = account_id
        self._region = region

    def attempt(self) -> str:
        """Make one in some VPC of the account, on nothing."""
        session = member_session(self._scope, "contain", account_id=self._account, region=self._region)
        gateway, watch = ContainmentGateway.of(session), Stopwatch()
        vpc = gateway.facts.facts.first_vpc()
        if vpc is None:
            raise NotTriedError("the account has no VPC there", next_action="nothing: no instance can run there")
        name = f"{DEPLOYMENT}-preflight-{secrets.token_hex(6)}"
        made = watch.time(
            "create", lambda: gateway.perform(create_group(PREFLIGHT, name=name, vpc_id=vpc, purpose=PURPOSE), ids={})
        )
        ids = {GROUP: str(made)}
        try:
            rules = revoke(GROUP, egress=True, permissions=DEFAULT_EGRESS)
            watch.time("revoke", lambda: gateway.perform(rules, ids=ids))
            left = watch.time("read back", lambda: gateway.facts.facts.rule_count(ids[GROUP]))
        finally:
            watch.time("delete", lambda: gateway.perform(delete_group(GROUP), ids=ids))
        if left:
            raise BrokenError(
                f"the emptied group still has {left} rules",
                next_action="run it again; tell the maintainers when it stays",
            )
        return str(watch)

    def repair(self, error: ForensicsError) -> str:
        """Without it nothing is isolated."""
        return f"{next_action_for(error)}. The role is of stack forensics-member-containment; without this no target is isolated"


class ContainmentCheck(Check):
    """Every call of the containment of a named instance is asked for with DryRun, or put to IAM's simulator."""

    name = "containment"
    full = True
    limit = 120.0

    def __init__(self, scope: PreflightScope, target: Target) -> None:
        super().__init__(f"{target.instance_id} of {target.account_id}, {target.region}")
        self._scope = scope
        self._target = target

    def attempt(self) -> str:
        """Plan it as a case does, and ask."""
        t = self._target
        where = Scope(t.account_id, t.region, phase="contain", case_id=DRY_RUN, instance_id=t.instance_id)
        gateway = ContainmentGateway.of(self._scope.hook.session(where).impatient(self._scope.patience))
        s, token = self._scope.settings, secrets.token_hex(6)
        policy = ContainmentPolicy(
            break_flows=s.break_tracked_flows, idle_seconds=s.idle_flow_seconds, deny_profile=s.containment_profile
        )
        facts = gateway.facts.read(t.instance_id, case_id=DRY_RUN, token=token, deny_profile=policy.deny_profile)
        plan = make_plan(facts, original=facts, case_id=DRY_RUN, token=token, policy=policy, now=datetime.now(UTC))
        found = preflight(gateway, plan)
        if refused := found.of(PreflightAnswer.REFUSED):
            said = "; ".join(f"{step.name}: {step.detail}" for step in refused)
            action = "repair the role contain (stack forensics-member-containment) or the organization's policy: the line names the calls"
            raise BrokenError(said, next_action=action)
        if facts.unknown:
            said = "; ".join(map(str, facts.unknown))
            raise BrokenError(
                f"could not be read: {said}", next_action=f"{action_for(Cause.UNREACHABLE)}; or the role's policy"
            )
        allowed, asked = len(found.of(PreflightAnswer.ALLOWED)), len(found.steps)
        return f"{allowed} of {asked} calls would be carried out; {asked - allowed} cannot be asked for in advance"


class DiskCheck(Check):
    """The path of a disk: create, lock, share, copy under the evidence key, lock the copy, read its blocks; each timed.

    The snapshots are locked in governance mode for one day, the least that EC2 takes, and no role of the product may
    unlock one: the preflight of a later day deletes them.
    """

    name = "disk path"
    full = True
    limit = 900.0

    def __init__(self, scope: PreflightScope, target: Target) -> None:
        super().__init__(f"{target.instance_id} of {target.account_id}, {target.region}")
        self._scope = scope
        self._target = target

    def attempt(self) -> str:
        """Take the instance's volumes along the whole way."""
        t, watch = self._target, Stopwatch()
        self._small_enough()
        acquire = member_session(self._scope, "acquire", account_id=t.account_id, region=t.region)
        source = EbsGateway.of(acquire)
        marks = tags(PREFLIGHT, PURPOSE, instance=t.instance_id)
        made = watch.time(
            "create", lambda: source.create_snapshots(t.instance_id, description="Forensics preflight", tags=marks)
        )
        first = made[0]
        watch.time("lock", lambda: [source.lock(s.id, days=LOCK_DAYS) for s in made])
        first = watch.time("complete", lambda: self._completed(source, first.id))
        self._grant(acquire, first)
        watch.time("share", lambda: source.share(first.id, account_id=self._scope.settings.forensic_account_id))
        self._copy(first, watch)
        return str(watch)

    def _small_enough(self) -> None:
        t = self._target
        triage = member_session(self._scope, "triage", account_id=t.account_id, region=t.region)
        size = sum(int(v["Size"]) for v in Ec2Gateway.of(triage).volumes(t.instance_id))
        if size > LARGEST_GIB:
            msg = f"the instance has {size} GiB of disks; the preflight copies at most {LARGEST_GIB}"
            raise NotTriedError(msg, next_action="name an instance with a small disk, made for this")

    def _grant(self, acquire: AwsSession, snapshot: Snapshot) -> None:
        keys, s = KeyGateway.of(acquire), self._scope.settings
        key = keys.describe(snapshot.kms_key_id) if snapshot.encrypted and snapshot.kms_key_id else None
        route = route_for(
            encrypted=snapshot.encrypted,
            key=key,
            account_id=self._target.account_id,
            forensic_account_id=s.forensic_account_id,
        )
        if route.route is Route.BLOCKED:
            raise BrokenError(route.reason, next_action=route.next_action or "")
        if route.route is Route.REENCRYPT:
            msg = f"{route.reason}: it would be copied under the member's key first, which this check does not try"
            raise NotTriedError(msg, next_action="name an instance whose disk is not under the default key")
        if route.route is Route.GRANT and key:
            scope = self._scope.hook.forensic_scope(PREFLIGHT)
            keys.grant(key.arn, principal=self._scope.hook.role_arn(scope), name=PREFLIGHT)
            KeyGateway.of(self._scope.phase("analyse", region=self._target.region)).wait_until_granted(key.arn)

    def _copy(self, shared: Snapshot, watch: Stopwatch) -> None:
        s, region = self._scope.settings, self._target.region
        analyse = self._scope.phase("analyse", region=region)
        forensic = EbsGateway.of(analyse)
        key = s.evidence_key_arn if region == s.region else KeyGateway.of(analyse).resolve(s.evidence_key_alias)

        def copy() -> str:
            return forensic.copy(
                shared.id,
                source_region=region,
                kms_key_id=key,
                description="Forensics preflight",
                tags=tags(PREFLIGHT, PURPOSE, source=shared.id),
            )

        failed: list[Snapshot] = []
        while True:
            copy_id = watch.time("copy request", copy)
            watch.time("lock copy", partial(forensic.lock, copy_id, days=LOCK_DAYS))
            ended = watch.time("copy", partial(self._ended, forensic, copy_id))
            if ended.state == "completed":
                break
            failed.append(ended)
            # as a case does: a copy that began before its share had spread is made again
            if not may_be_share(failed):
                raise_if_failed([ended], what=f"snapshot {copy_id}")
            time.sleep(SHARE_PAUSE * 2 ** (len(failed) - 1))
        watch.time("read blocks", lambda: next(EbsDirectGateway.of(analyse).tokens(copy_id), None))

    def _completed(self, ebs: EbsGateway, snapshot_id: str) -> Snapshot:
        found = self._ended(ebs, snapshot_id)
        raise_if_failed([found], what=f"snapshot {snapshot_id}")
        return found

    def _ended(self, ebs: EbsGateway, snapshot_id: str) -> Snapshot:
        """Wait until a snapshot is complete or in error; the check's own limit ends a wait that leads nowhere."""
        until = time.monotonic() + self.limit
        while time.monotonic() < until:
            (found,) = ebs.snapshots([snapshot_id])
            if found.state in {"completed", "error"}:
                return found
            time.sleep(self._scope.settings.poll_seconds)
        raise SnapshotError(f"snapshot {snapshot_id} is not complete after {self.limit:.0f} s")

    def repair(self, error: ForensicsError) -> str:
        """What the copy stands on."""
        if isinstance(error, AwsError) and cause_of(error) is not Cause.OTHER:
            return next_action_for(error)
        return (
            "look at the key of the disk and at the evidence key: the copy is made under the grant to role analyse "
            "(stacks forensics-keys, forensics-roles, forensics-member-roles); EC2's own reason is in the line"
        )
