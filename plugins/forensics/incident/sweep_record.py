"""What is kept of sweeps, and whom they are told to."""

from __future__ import annotations

from forensics import case_keys
from forensics.aws.case_store import CaseStore
from forensics.aws.hook import ForensicsHook
from forensics.aws.sns import Notifier
from forensics.case.recorder import CaseRecorder
from forensics.errors import SweepError
from forensics.incident.sweep_order import open_command
from forensics.models.custody import CustodyAction
from forensics.models.sweeps import SweepOrder, SweepReport, SweepState, SweepTarget, SweptTarget
from forensics.naming import FOOTPRINT, SWEEP
from forensics.printable import count

_TOLD = 10
_OF_EACH = 3
_MANY = 50  # targets, of which one hit each is shown


def keep_order(store: CaseStore, order: SweepOrder) -> SweepOrder:
    """Write the order down once; a later try goes on with what the first one wrote."""
    key = f"{case_keys.SWEEP_ORDER}{order.sweep_id}"
    store.put_once(SWEEP, key, order)
    return known_order(store, order.sweep_id)


def known_order(store: CaseStore, sweep_id: str) -> SweepOrder:
    """The order of a sweep. Raises :class:`SweepError` when there is none."""
    found = store.get(SWEEP, f"{case_keys.SWEEP_ORDER}{sweep_id}", SweepOrder)
    if found is None:
        raise SweepError(f"sweep {sweep_id} was not ordered", next_action="start the DAG forensic_sweep again")
    return found


def keep(store: CaseStore, sweep_id: str, swept: SweptTarget) -> None:
    """Write down what became of a target so far."""
    store.put(SWEEP, _key(sweep_id, swept.target), swept)


def known(store: CaseStore, sweep_id: str, target: SweepTarget) -> SweptTarget | None:
    """What became of a target so far."""
    return store.get(SWEEP, _key(sweep_id, target), SweptTarget)


def _key(sweep_id: str, target: SweepTarget) -> str:
    return f"{case_keys.SWEPT}{sweep_id}#{target.name}"


def sweeps_of(store: CaseStore, case_id: str) -> list[SweepReport]:
    """The sweeps for a case's indicators, newest first."""
    found = [SweepReport.stored(data) for _, data in store.items(case_id, case_keys.SWEEP)]
    return sorted(found, key=lambda report: report.ended_at, reverse=True)


def short(report: SweepReport) -> SweepReport:
    """The report with the first hits of each target and short texts, so that it fits into one item of the table (400 KB, DynamoDB quotas)."""
    most = _OF_EACH if len(report.targets) <= _MANY else 1
    targets = [
        t.model_copy(
            update={
                "hits": tuple(h.model_copy(update={"value": h.value[:120], "at": h.at[:160]}) for h in t.hits[:most]),
                "more": t.more + max(0, len(t.hits) - most),
                "reason": t.reason[:300],
                "looked": t.looked[:150],
            }
        )
        for t in report.targets
    ]
    return report.model_copy(update={"targets": tuple(targets)})


def record_in_case(recorder: CaseRecorder, report: SweepReport) -> None:
    """The sweep in the case for whose indicators it was: item, ledger, timeline, and a message when something was found."""
    order = report.order
    recorder.put(f"{case_keys.SWEEP}{order.sweep_id}", short(report))
    recorder.custody(
        CustodyAction.INDICATORS_SWEPT,
        detail={
            "sweep": order.sweep_id,
            "ordered_by": order.asked_by,
            "reason": order.reason,
            "result": report.headline,
            "indicators": len(order.indicators),
            "footprint": FOOTPRINT,
            "targets": [_stated(swept) for swept in report.targets],
        },
        once=order.sweep_id,
    )
    recorder.note(
        f"sweep {order.sweep_id} for {count(len(order.indicators), 'indicator')} of this case: {report.headline}"
    )
    if report.of(SweepState.FOUND):
        recorder.announce(
            order.sweep_id,
            f"Indicators of this case were found on {count(len(report.of(SweepState.FOUND)), 'other target')}",
            lines=lines_of(report),
            facts={"sweep": order.sweep_id, "found": [t.target.name for t in report.of(SweepState.FOUND)[:50]]},
        )


def _stated(swept: SweptTarget) -> dict[str, object]:
    command = {"command": swept.command_id, "document": swept.document, "document_sha256": swept.document_sha256}
    stated: dict[str, object] = {"target": swept.target.name, "state": swept.state.value, "hits": len(swept.hits)}
    return stated | (command if swept.command_id else {})


def tell(hook: ForensicsHook, report: SweepReport) -> None:
    """A message about a sweep that belongs to no case; sent when something was found."""
    if report.of(SweepState.FOUND):
        Notifier.of(hook.own(), hook.settings).publish(
            case_id="none",
            event="sweep",
            subject=f"Forensic sweep: indicators found on {count(len(report.of(SweepState.FOUND)), 'target')}",
            lines=[f"Sweep {report.order.sweep_id}: {report.headline}", *lines_of(report)],
            facts={"sweep": report.order.sweep_id, "found": [t.target.name for t in report.of(SweepState.FOUND)[:50]]},
        )


def lines_of(report: SweepReport) -> list[str]:
    """What was found where, for people, each with the command that opens a case there."""
    found = report.of(SweepState.FOUND)
    lines = []
    for swept in found[:_TOLD]:
        hits = "; ".join(f"{h.kind.value} {h.value[:80]} at {h.at[:120]}" for h in swept.hits[:_OF_EACH])
        more = len(swept.hits) + swept.more - min(len(swept.hits), _OF_EACH)
        lines += [
            f"{swept.target.name}: {hits}" + (f"; and {more:,} more" if more else ""),
            f"Open a case there: {open_command(swept.target, report.order.sweep_id)}",
        ]
    if len(found) > _TOLD:
        lines.append(f"and {count(len(found) - _TOLD, 'target')} more; the task conclude_sweep has all")
    if unseen := report.of(SweepState.NOT_EXAMINED):
        lines.append(
            f"{count(len(unseen), 'target')} not examined, among them {unseen[0].target.name}: {unseen[0].reason[:200]}"
        )
    return lines
