"""Asks EC2 whether a plan's calls would be let through, without making them (``DryRun=True``, R50). Changes nothing.

Source: EC2 API reference, ``DryRun``: ``DryRunOperation`` when the caller has the permissions, else ``UnauthorizedOperation``.
Other services, and EC2's instance profile associations, have no such parameter: those steps are named as not asked.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from forensics.aws.containment import ContainmentGateway
from forensics.aws.error_map import error_code
from forensics.errors import AwsError, ContainmentError, ThrottledError
from forensics.models.containment import Answer, ContainmentPlan, PlanStep, Rehearsal, RehearsedStep

WOULD_WORK = "DryRunOperation"
PARALLEL = 6


def rehearse(gateway: ContainmentGateway, plan: ContainmentPlan) -> Rehearsal:
    """The answer to every step of the plan, in its order."""
    with ThreadPoolExecutor(max_workers=PARALLEL) as pool:
        answers = tuple(pool.map(lambda step: _ask(gateway, step), plan.steps))
    return Rehearsal(digest=plan.digest, steps=answers, at=datetime.now(UTC))


def _ask(gateway: ContainmentGateway, step: PlanStep) -> RehearsedStep:
    if why := _cannot_be_asked(gateway, step):
        return RehearsedStep(name=step.id, answer=Answer.NOT_ASKED, detail=why)
    call = step.call.model_copy(update={"params": {**step.call.params, "DryRun": True}})
    try:
        gateway.perform(call, ids={})
    except ThrottledError as error:
        return RehearsedStep(name=step.id, answer=Answer.NOT_ASKED, detail=str(error)[:300])
    except AwsError as error:
        code = error_code(error)
        if code == WOULD_WORK:
            return RehearsedStep(name=step.id, answer=Answer.ALLOWED, detail="EC2 would do it")
        # without a code nobody answered: that says nothing about the step
        answer = Answer.REFUSED if code else Answer.NOT_ASKED
        return RehearsedStep(name=step.id, answer=answer, detail=str(error)[:300])
    msg = f"{step.call} with DryRun=True was answered as if it had been carried out ({step.target})"
    raise ContainmentError(msg, next_action="look at the target: a rehearsal must change nothing")


def _cannot_be_asked(gateway: ContainmentGateway, step: PlanStep) -> str:
    """Why a step cannot be rehearsed; empty when it can."""
    if not gateway.has_dry_run(step.call):
        return f"{step.call} has no DryRun"
    missing = sorted(_placeholders(step.call.params))
    return f"it is about {', '.join(missing)}, which an earlier step makes" if missing else ""


def _placeholders(params: object) -> Iterable[str]:
    text = json.dumps(params)
    return {part.split("}")[0] for part in text.split("${")[1:]}
