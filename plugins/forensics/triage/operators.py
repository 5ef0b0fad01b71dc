"""Triage: describe the target, decide the response plan, extend it by later findings."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import partial

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException
from pydantic import JsonValue

from forensics.case.recorder import CaseRecorder
from forensics.case.step import ForensicOperator, Json
from forensics.errors import AwsError
from forensics.models.case import Phase
from forensics.models.plan import Action
from forensics.models.verification import Verification
from forensics.triage.artifact_description import ArtifactDescriber
from forensics.triage.isolation_guard import IsolationGuard
from forensics.triage.plan_text import headline, left_to_people, plan_facts, plan_lines
from forensics.triage.planning import SETTLE_SECONDS, extend_plan, look_up, plan_response
from forensics.triage.target_description import TargetDescriber


class DescribeTargetOperator(ForensicOperator):
    """Freeze the control-plane facts of the target: first in the order of volatility, and it changes nothing."""

    takes_artifacts = True

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Describe the instance, store the raw answers as evidence and the description in the case.

        Meanwhile the findings are looked up live: whether they are genuine decides on the isolation, and it takes no
        extra time.
        """
        recorder.phase(Phase.TRIAGE)
        guard = IsolationGuard.of(self.sessions)
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="look-up") as pool:
            work = partial(look_up, recorder, guard, self.settings, settle=SETTLE_SECONDS)
            answers = pool.submit(copy_context().run, work)
            if recorder.case.artifact is not None:
                described = ArtifactDescriber.of(self.sessions.target("triage")).describe(
                    recorder, recorder.case.artifact
                )
                found: dict[str, JsonValue] = {"state": described.state, "disks": len(described.disks)}
                return {**found, "findings": self._standings(answers)}
            target = TargetDescriber.of(self.sessions.target("triage")).describe(recorder)
        return {
            "state": target.state,
            "ssm_online": target.ssm.online,
            "volumes": len(target.volumes),
            "interfaces": len(target.interfaces),
            "findings": self._standings(answers),
        }

    def _standings(self, answers: Future[list[Verification]]) -> dict[str, JsonValue]:
        """The look-up's answers by finding; a look-up that failed as a whole is repeated by the planning step."""
        try:
            return {answer.finding_key: answer.standing.value for answer in answers.result()}
        except AwsError as error:
            self.log.warning("the findings could not be looked up; plan_response tries again: %s", error)
            return {}


class PlanResponseOperator(ForensicOperator):
    """Decide what is acquired and whether the target is isolated, each with its reasons."""

    takes_artifacts = True

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Decide, record and announce the plan."""
        plan = plan_response(recorder, IsolationGuard.of(self.sessions), self.settings)
        recorder.phase(Phase.ACQUISITION)
        recorder.announce(
            "triage",
            headline(plan),
            lines=plan_lines(plan),
            facts=plan_facts(plan),
            routine=not (plan.warnings or plan.approval.required or plan.waiting),
        )
        return {"memory": plan.memory.go, "disk": plan.disk.go, "isolate": plan.isolate.go}


class ExtendPlanOperator(ForensicOperator):
    """Extend the plan by the findings that joined after it was made; nothing is taken away from it.

    Steps of the case's run that have not started yet follow the extended plan. Ends skipped, together with what follows
    it, unless the extension adds an isolation that needs no approval.
    """

    takes_artifacts = True

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Decide what the later findings add; returns the actions that are new, in ``added``."""
        before = recorder.plan()
        if before is None:
            msg = "triage has not ended: the plan that it makes will know all findings"
            raise AirflowSkipException(msg)
        plan, added = extend_plan(recorder, IsolationGuard.of(self.sessions), self.settings, before=before)
        if plan is before:
            msg = "the findings that joined ask for nothing beyond the plan"
            recorder.note(msg)
            raise AirflowSkipException(msg)
        names: list[JsonValue] = [action.value for action in added]
        shown = ", ".join(action.value for action in added)
        recorder.announce(
            f"plan_extended:{plan.revision}",
            f"Response plan extended: {shown or 'questions and reasons only'}",
            lines=[*plan_lines(plan), *left_to_people(added, plan=plan, run_id=recorder.case.run_id)],
            facts={**plan_facts(plan), "added": names},
        )
        if Action.ISOLATE not in added or plan.approval.required:
            msg = f"extended by {shown or 'questions and reasons'}; nothing is isolated by this run"
            raise AirflowSkipException(msg)
        return {"added": names}
