"""The steps of forensic_sweep: plan, one step for each target, conclude."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowFailException

from forensics.aws.case_store import CaseStore
from forensics.aws.ebs_direct import EbsDirectGateway
from forensics.aws.hook import ForensicsHook
from forensics.aws.session import Scope
from forensics.aws.ssm import ExpectedCommand, SsmGateway
from forensics.aws.triggers import SsmCommandsCompletedTrigger
from forensics.case.persons import step_run
from forensics.case.recorder import CaseGateways, open_recorder
from forensics.document_registry import choose
from forensics.errors import AwsError, ForensicsError, SweepError
from forensics.incident.indicators import indicators_of
from forensics.incident.sweep_answer import judged, not_examined
from forensics.incident.sweep_blocks import search_blocks
from forensics.incident.sweep_order import (
    MOST_TARGETS,
    HostQuestion,
    chosen,
    not_raw,
    out_of_scope,
    read_indicators,
    read_targets,
    sweep_id,
)
from forensics.incident.sweep_record import keep, keep_order, known, known_order, record_in_case, short, tell
from forensics.models.base import CASE_ID_FORM
from forensics.models.disk import GIB
from forensics.models.indicators import Indicator
from forensics.models.sweeps import SweepLimits, SweepOrder, SweepReport, SweepState, SweepTarget, SweptTarget
from forensics.naming import SWEEP
from forensics.printable import count
from forensics.settings import names

DELIVERY_SECONDS = 120
GRACE_SECONDS = 120  # that the document has for its last file


def _id(context: Context) -> str:
    run = context["dag_run"]
    return sweep_id(run.run_id, at=run.run_after)


class PlanSweepOperator(BaseOperator):
    """Read the form, choose the indicators and write the order down."""

    def execute(self, context: Context) -> list[str]:
        """Return ``sweep|target`` of each target; raises :class:`SweepError` when there is nothing to look for or nowhere."""
        given = {name: str(value or "").strip() for name, value in dict(context["params"]).items()}
        hook = ForensicsHook()
        try:
            order = self._order(given, hook, context)
        except SweepError as error:
            raise AirflowFailException(f"{error}. What to do next: {error.next_action}") from error
        order = keep_order(CaseStore.of(hook.own(), hook.settings), order)
        for left in order.unsearched:
            self.log.warning("not looked for: %s", left)
        self.log.info(
            "sweep %s: %d indicators on %d targets", order.sweep_id, len(order.indicators), len(order.targets)
        )
        return [f"{order.sweep_id}|{target.name}" for target in order.targets]

    def _order(self, given: Mapping[str, str], hook: ForensicsHook, context: Context) -> SweepOrder:
        place = {"account_id": given.get("account_id", ""), "region": given.get("region") or hook.settings.region}
        targets = [
            *read_targets(given.get("instances", ""), prefix="i", **place),
            *read_targets(given.get("snapshots", ""), prefix="snap", **place),
        ]
        if not targets or len(targets) > MOST_TARGETS:
            said = "no instance and no snapshot is named" if not targets else f"{len(targets)} targets are named"
            raise SweepError(said, next_action=f"name 1 to {MOST_TARGETS} in one run of forensic_sweep")
        case_id = given.get("case_id", "")
        of_case = self._indicators(hook, case_id) if case_id else []
        indicators, left = chosen([*read_indicators(given.get("indicators", "")), *of_case])
        if not indicators:
            said = f"case {case_id} has no indicator that can be looked for" if case_id else "no indicator is named"
            raise SweepError(said, next_action="name indicators, or a case whose findings name some")
        run = step_run(context)
        people = ", ".join(str(person) for person in run.askers.known) or "somebody whom Airflow does not name"
        return SweepOrder(
            sweep_id=_id(context), at=datetime.now(UTC), asked_by=people[:500], reason=given.get("reason", "")[:500],
            case_id=case_id or None, indicators=tuple(indicators), unsearched=tuple(left[:50]), targets=tuple(targets),
            limits=SweepLimits(**{n: int(given[n]) for n in SweepLimits.model_fields if given.get(n)}),
        )  # fmt: skip

    def _indicators(self, hook: ForensicsHook, case_id: str) -> list[Indicator]:
        if not CASE_ID_FORM.fullmatch(case_id):
            raise SweepError(f"{case_id[:40]!r} is no case", next_action="give the id as the case's page has it")
        view = CaseGateways.of(hook.own(), hook.forensic(case_id, "custodian"), hook.settings).view(case_id)
        if view is None:
            raise SweepError(f"there is no case {case_id}", next_action="give the id as the case's page has it")
        return indicators_of(view)


class SweepTargetOperator(BaseOperator):
    """Look for the sweep's indicators on one target. What keeps it from that is the target's result, not a failure.

    :param target: ``sweep|account/Region/id``, as the plan gives it
    """

    template_fields = ("target",)

    def __init__(self, *, target: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.target = target

    def execute(self, context: Context) -> str | None:
        """Return the target's state; an instance's comes when it has answered."""
        hook, store, order, target = self._open()
        swept = SweptTarget(target=target, state=SweepState.NOT_EXAMINED)
        try:
            if why := _closed(hook, store, target):
                return self._ended(store, order, not_examined(swept, why))
            if target.subject.startswith("snap-"):
                return self._ended(store, order, _look_at_snapshot(hook, order, swept))
            before = known(store, order.sweep_id, target)
            sent = _send(hook, order, swept, lost=before.lost if before else "")
        except ForensicsError as error:
            return self._refused(store, order, swept, error, context)
        keep(store, order.sweep_id, sent)
        self._wait(hook, order, sent)
        return None

    def _wait(self, hook: ForensicsHook, order: SweepOrder, sent: SweptTarget) -> None:
        target = sent.target
        seconds = order.limits.seconds + GRACE_SECONDS + DELIVERY_SECONDS
        self.defer(
            trigger=SsmCommandsCompletedTrigger(
                scope=_scope(target, "acquire").as_dict(),
                commands=[[sent.command_id, target.subject]],
                lost_after=2 * DELIVERY_SECONDS,
                poll=hook.settings.poll_seconds,
                deadline=datetime.now(UTC).timestamp() + seconds,
            ),
            method_name="answered",
            timeout=timedelta(seconds=seconds + 300),
        )

    def answered(self, context: Context, event: dict[str, object]) -> str:
        """Judge the host's answer; returns the target's state."""
        hook, store, order, target = self._open()
        swept = known(store, order.sweep_id, target)
        if swept is None or not swept.command_id:
            raise SweepError(f"no command of {order.sweep_id} was sent to {target.name}")
        if not event.get("ok"):
            cause = str(event.get("cause") or "the wait for its answer failed")
            return self._ended(store, order, not_examined(swept, cause))
        try:
            ssm = SsmGateway.of(hook.session(_scope(target, "acquire")))
            found = ssm.invocation(command_id=swept.command_id, instance_id=target.subject)
            if found is not None and (found.undelivered or event.get("lost")):
                keep(store, order.sweep_id, swept.model_copy(update={"lost": swept.command_id}))
                raise AwsError(found.cause(), next_action=found.next_action("clear this task to send it again"))
        except ForensicsError as error:
            return self._refused(store, order, swept, error, context)
        return self._ended(store, order, judged(swept, found, order=order, question=HostQuestion.of(order.indicators)))

    def _open(self) -> tuple[ForensicsHook, CaseStore, SweepOrder, SweepTarget]:
        hook = ForensicsHook()
        store = CaseStore.of(hook.own(), hook.settings)
        name, _, place = self.target.partition("|")
        order = known_order(store, name)
        target = next((t for t in order.targets if t.name == place), None)
        if target is None:
            raise SweepError(f"{place[:100]} is no target of sweep {name}")
        return hook, store, order, target

    def _ended(self, store: CaseStore, order: SweepOrder, swept: SweptTarget) -> str:
        done = swept.model_copy(update={"ended_at": datetime.now(UTC)})
        keep(store, order.sweep_id, done)
        self.log.info("%s: %s. %s %s", done.target.name, done.state.value, done.looked, done.reason)
        for hit in done.hits:
            self.log.warning("%s: %s %s at %s", done.target.name, hit.kind.value, hit.value, hit.at)
        return done.state.value

    def _refused(
        self, store: CaseStore, order: SweepOrder, swept: SweptTarget, error: ForensicsError, context: Context
    ) -> str:
        """AWS did not let it: tried again while that may help, then the target's result."""
        ti = context["ti"]
        if error.retryable and ti.try_number <= ti.max_tries:
            raise error
        return self._ended(store, order, not_examined(swept, f"{error}. What to do next: {error.next_action}"))


def _scope(target: SweepTarget, phase: str) -> Scope:
    return Scope(target.account_id, target.region, phase=phase, case_id=SWEEP, instance_id=target.subject)


def _closed(hook: ForensicsHook, store: CaseStore, target: SweepTarget) -> str:
    """Why the target is not to be touched; empty when it may be."""
    settings = hook.settings
    regions = names(settings.member_regions) or (settings.region,)
    if why := out_of_scope(target, accounts=names(settings.member_accounts), regions=regions):
        return why
    holder = store.open_case_of(target.account_id, target.region, target.subject)
    if holder and target.subject.startswith("i-"):
        return f"case {holder} is open on it: reading its files now would change evidence; the case's own findings answer this"
    return ""


def _send(hook: ForensicsHook, order: SweepOrder, swept: SweptTarget, *, lost: str) -> SweptTarget:
    """Send the document, or find the command that an earlier try sent; ``lost`` is one that no agent took."""
    target = swept.target
    state = SsmGateway.of(hook.session(_scope(target, "triage"))).status(target.subject)
    if not state.online:
        said = f"its SSM agent is {state.ping}" if state.managed else "SSM does not manage it"
        raise SweepError(
            f"{target.subject} cannot be asked: {said}", next_action="open a case on it: disks need no agent"
        )
    platform = "windows" if (state.platform_type or "").lower() == "windows" else "linux"
    document = choose("sweep", platform=platform)
    ssm = SsmGateway.of(hook.session(_scope(target, "acquire")))
    version = ssm.document_version(document.name, document.sha256)
    comment = f"{order.sweep_id} sweep"
    earlier = ssm.find_command(
        instance_id=target.subject,
        expected=ExpectedCommand(
            comment=comment,
            document=document.name,
            sha256=document.sha256,
            manifest="",
            unrecorded_since=order.at,
            recorded=lost or None,
        ),
    )
    limits = order.limits
    command = earlier.command_id or ssm.send(
        document=document.name,
        version=version,
        sha256=document.sha256,
        instance_id=target.subject,
        parameters={
            "CaseId": order.sweep_id,
            **HostQuestion.of(order.indicators).parameters(),
            "Files": str(limits.files),
            "Mib": str(limits.mib),
            "Seconds": str(limits.seconds),
            "ExecutionTimeout": str(limits.seconds + GRACE_SECONDS),
        },
        comment=comment,
        timeout_seconds=limits.seconds + GRACE_SECONDS,
        delivery_seconds=DELIVERY_SECONDS,
    )
    return not_examined(swept, f"command {command} has not ended").model_copy(
        update={
            "command_id": command,
            "document": document.name,
            "document_sha256": document.sha256,
        }
    )


def _look_at_snapshot(hook: ForensicsHook, order: SweepOrder, swept: SweptTarget) -> SweptTarget:
    """Search the written blocks of a snapshot, read-only, as far as the budget goes."""
    target, left = swept.target, not_raw(order.indicators)
    question = HostQuestion.of(order.indicators)
    if not question.texts and not question.names:
        return not_examined(swept, "; ".join(left))
    ebs = EbsDirectGateway.of(hook.session(_scope(target, "acquire")))
    until = time.monotonic() + order.limits.seconds
    size = ebs.volume_bytes(target.subject)
    look = search_blocks(
        ebs.blocks(target.subject), order.indicators, most=order.limits.blocks, in_time=lambda: time.monotonic() < until
    )
    if look.why:
        left.insert(0, f"blocks behind {(look.last + 1) / 2048:.1f} GiB of {size / GIB:.0f} GiB: {look.why}")
    state = SweepState.FOUND if look.hits else SweepState.INCOMPLETE if left else SweepState.NOT_FOUND
    looked = (
        f"{count(look.blocks, 'written block')} ({look.blocks / 2:,.0f} MiB) searched for texts, as UTF-8 and UTF-16"
    )
    return swept.model_copy(
        update={
            "state": state,
            "reason": "; ".join(left),
            "looked": looked,
            "hits": tuple(look.hits),
            "more": look.more,
        }
    )


class ConcludeSweepOperator(BaseOperator):
    """Put the targets' results together, record them, tell people. Red when no target could be examined at all."""

    def execute(self, context: Context) -> dict[str, object]:
        """Return the report."""
        hook = ForensicsHook()
        store = CaseStore.of(hook.own(), hook.settings)
        order = known_order(store, _id(context))
        report = SweepReport(
            order=order, ended_at=datetime.now(UTC), targets=tuple(_result(store, order, t) for t in order.targets)
        )
        if order.case_id:
            recorder = open_recorder(hook, order.case_id, step=self.task_id)
            record_in_case(recorder, report)
            recorder.sign_ledger("sweep")
        else:
            tell(hook, report)
        for swept in report.of(SweepState.NOT_EXAMINED):
            self.log.warning("%s: not examined: %s", swept.target.name, swept.reason)
        if len(report.of(SweepState.NOT_EXAMINED)) == len(report.targets):
            raise AirflowFailException(
                f"sweep {order.sweep_id}: no target could be examined: {report.targets[0].target.name}: {report.targets[0].reason}."
                " What to do next: remove the reason and start the DAG again"
            )
        return short(report).model_dump(mode="json")


def _result(store: CaseStore, order: SweepOrder, target: SweepTarget) -> SweptTarget:
    """A target's result; of one whose task ended without any, that it was not examined."""
    found = known(store, order.sweep_id, target)
    if found is not None and found.ended_at is not None:
        return found
    asked = found or SweptTarget(target=target, state=SweepState.NOT_EXAMINED)
    return not_examined(asked, "its task ended without a result: its log in Airflow says why")
