"""What a host's answer to a sweep is worth. Pure: the answer is the word of a machine that may be the intruder's."""

from __future__ import annotations

from pydantic import ValidationError

from forensics.aws.ssm import Invocation
from forensics.incident.sweep_order import HostQuestion
from forensics.models.sweeps import SweepHit, SweepOrder, SweepState, SweepStatus, SweptTarget
from forensics.printable import count


def not_examined(target: SweptTarget, why: str) -> SweptTarget:
    """The target was not looked at, and why."""
    return target.model_copy(update={"state": SweepState.NOT_EXAMINED, "reason": why[:2000]})


def judged(asked: SweptTarget, found: Invocation | None, *, order: SweepOrder, question: HostQuestion) -> SweptTarget:
    """The target as its answer leaves it. Only a whole answer to this sweep's question is one that found nothing."""
    if found is None or not found.finished:
        return not_examined(asked, f"command {asked.command_id} has not ended in time")
    if found.status != "Success":
        return not_examined(
            asked, f"{found.cause()}. What to do next: {found.next_action('look at its output in SSM')}"
        )
    try:
        said = SweepStatus.model_validate(found.status_line())
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:3])
        return not_examined(asked, f"its answer is not one of the document ({wrong}): look at the instance itself")
    if said.case_id != order.sweep_id:
        return not_examined(
            asked, f"its answer is to another question ({said.case_id[:40] or 'none'}), not to this sweep"
        )
    hits, strange = [], 0
    for claim in said.found:
        indicator = question.named(claim.kind, claim.n)
        if indicator is None:
            strange += 1
            continue
        hits.append(SweepHit(kind=indicator.kind, value=indicator.value, at=claim.at[:300]))
    return asked.model_copy(
        update={
            "state": _state(said, found_something=bool(hits), left=(left := _left(said, question, strange=strange))),
            "reason": left,
            "looked": _looked(said),
            "hits": tuple(hits),
            "more": min(said.more, 10**9),
        }
    )


def _state(said: SweepStatus, *, found_something: bool, left: str) -> SweepState:
    if found_something:
        return SweepState.FOUND
    return SweepState.INCOMPLETE if left or said.more else SweepState.NOT_FOUND


def _left(said: SweepStatus, question: HostQuestion, *, strange: int) -> str:
    """What was not looked at, or makes the answer doubtful."""
    left = [said.left] if said.left else []
    if said.status == "partial" and not said.left:
        left.append("the host says that it did not look at everything, and not at what")
    if (question.hashes and not said.files) or not said.processes:
        left.append("the host has seen no file or no process, which cannot be: it hides them, or the answer is made up")
    if strange:
        left.append(
            f"{count(strange, 'hit')} of the answer mean indicators that were not asked for: the answer is made up"
        )
    return "; ".join(left)


def _looked(said: SweepStatus) -> str:
    seconds = f" in {said.seconds} s" if said.seconds is not None else ""
    return (
        f"{count(said.files, 'file')} ({said.mib:,} MiB) hashed, {count(said.processes, 'process', 'processes')}, "
        f"{count(said.connections, 'socket')}{seconds}, by the host's own word"
    )
