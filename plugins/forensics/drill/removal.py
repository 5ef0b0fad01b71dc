"""Removes what a drill has made: canary, its volumes and quarantine groups at once, snapshots when their lock has ended.

Only what the drill's own record names is touched, whatever a tag says. Evidence objects, the report and the ledger stay as those of
every case do: nobody may delete them.
"""

from __future__ import annotations

from datetime import UTC, datetime

from forensics.aws.case_store import CaseStore
from forensics.aws.ebs import EbsGateway
from forensics.aws.ec2 import Ec2Gateway
from forensics.aws.hook import ForensicsHook
from forensics.aws.session import AwsSession, Scope
from forensics.containment.call_runner import ContainmentGateway
from forensics.containment.calls import delete_group
from forensics.drill.record import keep
from forensics.errors import CaseError, ResourceGoneError
from forensics.models.drill import DrillRun
from forensics.naming import DRILL, TAG_CASE, TAG_DRILL

GONE = {"terminated", "gone"}


class DrillRemoval:
    """The removal of one drill. Every method may be called again; what is gone is left alone."""

    def __init__(self, hook: ForensicsHook, run: DrillRun) -> None:
        self._hook = hook
        self.run = run
        self._store = CaseStore.of(hook.own(), hook.settings)

    def scope(self, phase: str, *, case_id: str = DRILL) -> Scope:
        """A phase in the canary's account, under the drill's identity or its case's."""
        return Scope(account_id=self.run.account_id, region=self.run.region, phase=phase, case_id=case_id)

    def _session(self, phase: str, *, case_id: str = DRILL) -> AwsSession:
        return self._hook.session(self.scope(phase, case_id=case_id))

    def end_canary(self) -> bool:
        """Ask EC2 to terminate the canary; whether it is still there. Termination protection, which its case put on, is taken off."""
        run = self.run
        if not run.instance_id:
            return False
        ec2 = Ec2Gateway.of(self._session("drill"))
        if ec2.state(run.instance_id) in GONE:
            return False
        # its case lets both outlive it: they are known before it goes
        volumes = tuple(str(v["VolumeId"]) for v in ec2.volumes(run.instance_id))
        interfaces = tuple(interface.id for interface in ec2.interfaces(run.instance_id))
        if volumes or interfaces:
            self._keep(volume_ids=volumes or run.volume_ids, interface_ids=interfaces or run.interface_ids)
        ec2.end_canary(run.instance_id)
        return True

    def clear(self) -> list[str]:
        """Delete volumes, interfaces and quarantine groups once the canary is gone; returns them."""
        run = self.run
        ebs, ec2 = EbsGateway.of(self._session("drill")), Ec2Gateway.of(self._session("drill"))
        gone = [*run.interface_ids]
        for interface_id in run.interface_ids:
            ec2.delete_interface(interface_id)
        for volume_id in run.volume_ids:
            try:
                if any(v["State"] == "available" for v in ebs.volumes([volume_id])):
                    ebs.delete_volume(volume_id)
                    gone.append(volume_id)
            except ResourceGoneError:
                continue
        if run.case_id:
            contain = ContainmentGateway.of(self._session("contain", case_id=run.case_id))
            for group_id in contain.facts.facts.group_ids(case_id=run.case_id):
                contain.perform(delete_group(group_id), ids={})
                gone.append(group_id)
        self._keep(removed_at=datetime.now(UTC), **({} if run.case_id else {"snapshots_gone_at": datetime.now(UTC)}))
        return gone

    def snapshots(self, now: datetime) -> list[str]:
        """Delete the case's snapshots whose lock has ended, in both accounts; returns them. The last one ends the drill's record.

        Only of a case that the store has as a drill's: a finding that joined made it a real one, whose evidence stays.
        """
        try:
            drill = self._store.case(self.run.case_id).drill
        except CaseError:
            drill = False
        if not drill:
            self._keep(snapshots_gone_at=now)
            return []
        gone, left = [], 0
        forensic = self._hook.forensic_scope(DRILL, "analyse")
        for scope in (self.scope("acquire"), forensic):
            ebs = EbsGateway.of(self._hook.session(scope))
            for snapshot in ebs.find_snapshots(tags={TAG_CASE: self.run.case_id, TAG_DRILL: DRILL}):
                lock = ebs.audited(snapshot.id)
                locked = lock.lock_state not in {None, "expired"} and (lock.until is None or lock.until > now)
                if locked or lock.state is None:
                    left += 1
                    continue
                ebs.delete_snapshot(snapshot.id)
                gone.append(snapshot.id)
        if not left:
            self._keep(snapshots_gone_at=now)
        return gone

    def _keep(self, **changes: object) -> None:
        self.run = self.run.model_copy(update=changes)
        keep(self._store, self.run)
