"""The steps of forensic_drill: launch the canary, open its case, wait, remove, judge; and the reaper's look at earlier drills."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from forensics.aws.case_store import CaseStore
from forensics.aws.ec2 import Ec2Gateway
from forensics.aws.hook import ForensicsHook
from forensics.aws.polling import Timing
from forensics.case.recorder import CaseGateways
from forensics.drill.canary import NotConfigured, drill_place, planted_of
from forensics.drill.judgement import judge, report
from forensics.drill.record import keep, known, publish, unfinished
from forensics.drill.removal import DrillRemoval
from forensics.drill.triggers import CanaryReadyTrigger, DrillCaseEndedTrigger
from forensics.errors import DrillError, ForensicsError
from forensics.intake.admission import CaseAdmission
from forensics.intake.dag_run import trigger_run
from forensics.intake.run_orders import TriggeredDags, case_orders
from forensics.investigation.triggers import InstancesGoneTrigger
from forensics.models.case import CaseView
from forensics.models.custody import CustodyAction
from forensics.models.drill import DrillCheck, DrillRun
from forensics.models.finding import Finding, FindingSource, Severity

REASON = "drill: a canary with planted artefacts"
# Time after its longest case at which a drill that nobody works on is removed by the reaper.
GRACE = timedelta(hours=1)


def drill_name(context: Context) -> str:
    """The drill's name, from its run: a try that is repeated finds what the one before it made."""
    return hashlib.sha256(context["dag_run"].run_id.encode()).hexdigest()[:16]


class _DrillOperator(BaseOperator):
    """A step of a drill."""

    def _open(self, context: Context) -> tuple[ForensicsHook, CaseStore, DrillRun | None]:
        hook = ForensicsHook()
        store = CaseStore.of(hook.own(), hook.settings)
        return hook, store, known(store, drill_name(context))

    def _running(self, context: Context) -> tuple[ForensicsHook, CaseStore, DrillRun]:
        hook, store, run = self._open(context)
        if run is None or not run.instance_id:
            raise DrillError("no canary was launched", next_action="the log of launch_canary says why")
        return hook, store, run

    def _deadline(self, seconds: float) -> float:
        return datetime.now(UTC).timestamp() + seconds

    def _wait(self, trigger: Any, seconds: float, method: str) -> None:
        self.defer(trigger=trigger, method_name=method, timeout=timedelta(seconds=seconds + 120))

    def _ok(self, event: dict[str, object]) -> None:
        if not event.get("ok"):
            cause, action = str(event.get("cause", "the wait failed")), str(event.get("next_action", ""))
            raise DrillError(cause, next_action=action or None)


class LaunchCanaryOperator(_DrillOperator):
    """Launch the canary from its launch template and wait until it is ready; skipped where no drill account is configured."""

    def execute(self, context: Context) -> None:
        """Launch (once) and wait."""
        hook, store, run = self._open(context)
        try:
            place = drill_place(hook.settings)
        except NotConfigured as error:
            raise AirflowSkipException(str(error)) from error
        run = run or DrillRun(
            name=drill_name(context), at=datetime.now(UTC), account_id=place.account_id, region=place.region
        )
        keep(store, run)
        removal = DrillRemoval(hook, run)
        if not run.instance_id:
            ec2 = Ec2Gateway.of(hook.session(removal.scope("drill")))
            made = ec2.launch_canary(hook.settings.drill_launch_template, token=f"drill-{run.name}")
            run = run.model_copy(update={"instance_id": made["InstanceId"], "planted": planted_of(made)})
            keep(store, run)
            self.log.info("canary %s launched in %s, %s", run.instance_id, run.account_id, run.region)
        seconds = hook.settings.instance_timeout_seconds
        timing = Timing(poll=hook.settings.poll_seconds, deadline=self._deadline(seconds))
        scope = removal.scope("triage").as_dict()
        self._wait(CanaryReadyTrigger(scope=scope, instance_id=run.instance_id, **timing), seconds, "ready")

    def ready(self, context: Context, event: dict[str, object]) -> str:
        """Record when it was ready; returns its id."""
        self._ok(event)
        _, store, run = self._running(context)
        keep(store, run.model_copy(update={"ready_at": datetime.now(UTC)}))
        return run.instance_id


class OpenDrillCaseOperator(_DrillOperator):
    """Open the drill's case through the intake's own admission and start its run, as for any request."""

    def execute(self, context: Context) -> str:
        """Return the case's id."""
        hook, store, run = self._running(context)
        finding = Finding(
            key=hashlib.sha256(f"drill|{run.name}|{run.instance_id}".encode()).hexdigest()[:32],
            source=FindingSource.MANUAL,
            finding_id=f"drill:{run.name}",
            title="Drill: a canary with planted artefacts",
            severity=Severity.HIGH,
            account_id=run.account_id,
            region=run.region,
            instance_id=run.instance_id,
            created_at=run.ready_at or run.at,
            requester="forensic_drill",
            reason=REASON,
            requested={"memory": True, "disk": True, "isolate": True},
            drill=True,
        )
        admitted = CaseAdmission.of(hook.own(), hook.settings).admit(finding, received_at=run.ready_at or run.at)
        run = run.model_copy(update={"case_id": admitted.case.case_id})
        keep(store, run)
        for order in case_orders(TriggeredDags(), admitted.case, finding, wants_more=False):
            trigger_run(order.dag_id, run_id=order.run_id, conf=order.conf, note=f"forensic_drill: {order.note}")
        return run.case_id


class AwaitDrillCaseOperator(_DrillOperator):
    """Wait until the drill's case has ended; how well is judged later."""

    def execute(self, context: Context) -> None:
        """Wait in the triggerer."""
        hook, _, run = self._running(context)
        seconds = hook.settings.drill_timeout_minutes * 60
        timing = Timing(poll=max(5.0, hook.settings.poll_seconds), deadline=self._deadline(seconds))
        self._wait(DrillCaseEndedTrigger(case_id=run.case_id, **timing), seconds, "ended")

    def ended(self, context: Context, event: dict[str, object]) -> str:
        """Return the case's status."""
        self._ok(event)
        return str(event["status"])


class RemoveCanaryOperator(_DrillOperator):
    """Terminate the canary, wait until it is gone, delete its volumes and quarantine groups, whatever happened before."""

    def execute(self, context: Context) -> list[str]:
        """Terminate and wait."""
        hook, _, run = self._open(context)
        if run is None:
            raise AirflowSkipException("no drill was begun: there is nothing to remove")
        removal = DrillRemoval(hook, run)
        if removal.end_canary():
            seconds = hook.settings.instance_timeout_seconds
            timing = Timing(poll=hook.settings.poll_seconds, deadline=self._deadline(seconds))
            gone = InstancesGoneTrigger(
                scope=removal.scope("triage").as_dict(), instance_ids=[run.instance_id], **timing
            )
            self._wait(gone, seconds, "gone")
        return removal.clear()

    def gone(self, context: Context, event: dict[str, object]) -> list[str]:
        """Delete what it leaves."""
        self._ok(event)
        hook, _, run = self._running(context)
        return DrillRemoval(hook, run).clear()


class JudgeDrillOperator(_DrillOperator):
    """Judge the drill, whatever happened before: pass/fail list, times, message, metrics. Red when a line did not pass."""

    def execute(self, context: Context) -> dict[str, object]:
        """Return the result."""
        hook, _, run = self._open(context)
        if run is None:
            raise AirflowSkipException("no drill was begun")
        view, checks = self._case(hook, run)
        removed = run.removed_at is not None
        said = (
            "canary, volumes and groups; snapshots go when their lock of a day has ended"
            if removed
            else "not all is gone"
        )
        action = "the log of remove_canary says why; the reaper tries again every half hour"
        checks.append(DrillCheck(name="removed", passed=removed, detail=said, next_action="" if removed else action))
        found = report(run, view, checks, at=datetime.now(UTC))
        publish(hook, found)
        for line in found.checks:
            self.log.info("%s: %s: %s", "ok" if line.passed else "FAILED", line.name, line.detail)
        if found.failed:
            named = "; ".join(f"{c.name}: {c.detail}" for c in found.failed)
            raise AirflowFailException(f"{found.headline}: {named}. What to do next: {found.failed[0].next_action}")
        return found.model_dump(mode="json")

    def _case(self, hook: ForensicsHook, run: DrillRun) -> tuple[CaseView | None, list[DrillCheck]]:
        gateways = (
            CaseGateways.of(hook.own(), hook.forensic(run.case_id, "custodian"), hook.settings) if run.case_id else None
        )
        view = gateways.view(run.case_id) if gateways else None
        if gateways is None or view is None:
            why = "no case was opened"
            action = "the logs of launch_canary and open_drill_case say why"
            return None, [DrillCheck(name="case opened", passed=False, detail=why, next_action=action)]
        return view, judge(view, run, ledger=_ledger(gateways, run.case_id))


def _ledger(gateways: CaseGateways, case_id: str) -> str:
    """Why the case's ledger was not verified; empty where its chain and its newest signed head were."""
    try:
        events, _ = gateways.ledger.verified(case_id)
        closed = [event.seq for event in events if event.action is CustodyAction.CASE_CLOSED]
        if not closed:
            return "the case was not closed, so that its ledger has no last signature"
        gateways.ledger.check_signature(case_id, covers=closed[-1])
    except ForensicsError as error:
        return str(error)
    return ""


class RemoveOldDrillsOperator(BaseOperator):
    """Remove what drills left: canaries of drills that died, and snapshots whose lock has ended."""

    def execute(self, context: Context) -> list[str]:
        """Return what was removed; fails naming what could not be."""
        hook = ForensicsHook()
        store, now = CaseStore.of(hook.own(), hook.settings), datetime.now(UTC)
        limit = timedelta(minutes=hook.settings.drill_timeout_minutes) + GRACE
        removed: list[str] = []
        failed: list[str] = []
        for run in unfinished(store):
            try:
                removed += _remove(DrillRemoval(hook, run), now, over=now - run.at > limit)
            except ForensicsError as error:
                failed.append(f"drill {run.name} (canary {run.instance_id or 'none'}): {error}")
        if failed:
            msg = f"{len(failed)} drills left something: {'; '.join(failed)[:1500]}"
            raise AirflowFailException(f"{msg}. What to do next: repair what the preflight says about the role drill")
        return removed


def _remove(removal: DrillRemoval, now: datetime, *, over: bool) -> list[str]:
    if removal.run.removed_at is None:
        if not over:
            return []
        if removal.end_canary():  # its groups and volumes are free once it is gone, which the next run sees
            return [removal.run.instance_id]
        return removal.clear()
    return removal.snapshots(now)
