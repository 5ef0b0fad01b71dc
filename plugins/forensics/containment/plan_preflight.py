"""Asks AWS whether a plan's calls would be allowed, without making them, before anybody is asked to approve the plan.

EC2 answers ``DryRun=True`` with ``DryRunOperation`` when the caller has the permissions, else with ``UnauthorizedOperation`` (EC2 API
reference, ``DryRun``). Calls without that parameter (other services, EC2's instance profile associations) go to IAM's policy
simulator, which reads the role's policies and the organization's (IAM API reference, ``SimulatePrincipalPolicy``).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from forensics import case_keys
from forensics.aws.error_map import error_code
from forensics.case.recorder import CaseRecorder
from forensics.containment.announcements import announce_refused_steps
from forensics.containment.call_runner import ContainmentGateway
from forensics.containment.calls import waits_for_role
from forensics.containment.permissions import given_profile, passing, permission
from forensics.containment.plan_text import preflight_lines
from forensics.errors import AwsError, ContainmentError, ThrottledError
from forensics.models.case import TimelineKind
from forensics.models.containment import (
    ContainmentPlan,
    Permission,
    PlanPreflight,
    PlanStep,
    PreflightAnswer,
    PreflightStep,
)

WOULD_SUCCEED = "DryRunOperation"
PARALLEL = 6


def preflight_once(recorder: CaseRecorder, gateway: ContainmentGateway, plan: ContainmentPlan) -> PlanPreflight:
    """The preflight of a plan, made and recorded once; what would be refused is announced."""
    known = recorder.get(case_keys.PLAN_PREFLIGHT, PlanPreflight)
    if known is not None and known.digest == plan.digest:
        return known
    found = preflight(gateway, plan)
    recorder.put(case_keys.PLAN_PREFLIGHT, found)
    recorder.note(preflight_lines(found)[0].replace("*", ""), kind=TimelineKind.CONTAINMENT)
    if found.of(PreflightAnswer.REFUSED):
        announce_refused_steps(recorder, plan, found)
    return found


def preflight(gateway: ContainmentGateway, plan: ContainmentPlan) -> PlanPreflight:
    """AWS's answer to every step of the plan, in the plan's order; nothing is changed."""

    def ask(step: PlanStep) -> PreflightStep:
        if waits_for_role(step.call):
            why = "IAM has not said which role the instance profile holds"
            return PreflightStep(name=step.id, answer=PreflightAnswer.NOT_ASKED, detail=why)
        if gateway.has_dry_run(step.call):
            return _dry_run(gateway, step)
        return _simulated(gateway, step, instance_id=plan.instance_id)

    with ThreadPoolExecutor(max_workers=PARALLEL) as pool:
        answers = tuple(pool.map(ask, plan.steps))
    return PlanPreflight(digest=plan.digest, steps=answers, at=datetime.now(UTC))


def _dry_run(gateway: ContainmentGateway, step: PlanStep) -> PreflightStep:
    if missing := sorted(_placeholders(step.call.params)):
        why = f"it needs {', '.join(missing)}, which an earlier step makes"
        return PreflightStep(name=step.id, answer=PreflightAnswer.NOT_ASKED, detail=why)
    call = step.call.model_copy(update={"params": {**step.call.params, "DryRun": True}})
    try:
        gateway.perform(call, ids={})
    except ThrottledError as error:
        return PreflightStep(name=step.id, answer=PreflightAnswer.NOT_ASKED, detail=str(error)[:300])
    except AwsError as error:
        code = error_code(error)
        if code == WOULD_SUCCEED:
            return PreflightStep(name=step.id, answer=PreflightAnswer.ALLOWED, detail="EC2 would do it")
        # without a code AWS did not answer: that says nothing about the step
        answer = PreflightAnswer.REFUSED if code else PreflightAnswer.NOT_ASKED
        return PreflightStep(name=step.id, answer=answer, detail=str(error)[:300])
    msg = f"{step.call} with DryRun=True was answered as if it had been carried out ({step.target})"
    raise ContainmentError(msg, next_action="look at the target: a preflight must change nothing")


def _simulated(gateway: ContainmentGateway, step: PlanStep, *, instance_id: str) -> PreflightStep:
    """IAM's answer to a step: refused when it would refuse one of the permissions that the step needs."""
    if not gateway.role_arn:
        return PreflightStep(name=step.id, answer=PreflightAnswer.NOT_ASKED, detail=f"{step.call} has no DryRun")
    try:
        wanted = _permissions(gateway, step, instance_id=instance_id)
        answers = [gateway.facts.iam.simulate(gateway.role_arn, permission) for permission in wanted]
    except AwsError as error:
        # not being allowed to ask says nothing about the step
        detail = f"{step.call} has no DryRun, and IAM did not answer: {error}"
        return PreflightStep(name=step.id, answer=PreflightAnswer.NOT_ASKED, detail=detail[:600])
    except ContainmentError as error:
        return PreflightStep(name=step.id, answer=PreflightAnswer.REFUSED, detail=str(error))
    for allowed, answer in ((False, PreflightAnswer.REFUSED), (None, PreflightAnswer.NOT_ASKED)):
        if reasons := [reason for found, reason in answers if found is allowed]:
            return PreflightStep(name=step.id, answer=answer, detail="; ".join(reasons)[:600])
    return PreflightStep(name=step.id, answer=PreflightAnswer.ALLOWED, detail="IAM would allow it")


def _permissions(gateway: ContainmentGateway, step: PlanStep, *, instance_id: str) -> Iterable[Permission]:
    where = gateway.facts.ec2
    yield permission(
        step.call,
        operation=gateway.api_name(step.call),
        account=where.account_id,
        region=where.region,
        instance_id=instance_id,
    )
    if profile := given_profile(step.call):
        role = gateway.facts.iam.profile_role(profile)
        if role is None:
            msg = f"instance profile {profile} does not exist in account {where.account_id}, or holds no role"
            raise ContainmentError(msg, next_action="deploy the member account's template")
        yield passing(str(role["Arn"]))


def _placeholders(params: object) -> Iterable[str]:
    text = json.dumps(params)
    return {part.split("}")[0] for part in text.split("${")[1:]}
