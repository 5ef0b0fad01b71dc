"""The steps of forensic_preflight: the checks, the readiness of the member accounts, the removal of what earlier runs left."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowFailException

from forensics.aws.hook import ForensicsHook
from forensics.errors import ConfigurationError
from forensics.models.preflight import CheckResult, CheckStatus
from forensics.preflight.leftovers import Leftovers
from forensics.preflight.plan import run_preflight
from forensics.preflight.readiness import readiness, record_readiness
from forensics.preflight.record import announce, record_report
from forensics.preflight.scope import PreflightScope, Target


class RunPreflightOperator(BaseOperator):
    """Try what cases need, from where cases run; record the lines and fail when one is broken.

    :param part: ``quick`` or ``full``
    :param account_id: account of a spare instance, for the full part
    :param region: its Region; empty: home
    :param instance_id: the instance; empty: what needs one is not tried
    """

    template_fields = ("part", "account_id", "region", "instance_id")

    def __init__(
        self,
        *,
        part: str = "{{ params.get('part') or 'quick' }}",
        account_id: str = "{{ params.get('account_id') or '' }}",
        region: str = "{{ params.get('region') or '' }}",
        instance_id: str = "{{ params.get('instance_id') or '' }}",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.part = part
        self.account_id = account_id
        self.region = region
        self.instance_id = instance_id

    def execute(self, context: Context) -> dict[str, int]:
        """Return how many lines ended how."""
        hook = ForensicsHook()
        scope = PreflightScope(
            hook, run=run_name(), full=self.part == "full" or bool(self.instance_id), target=self._target(hook)
        )
        report = run_preflight(scope, say=self._say)
        record_report(hook, report)
        self.log.info("preflight (%s): %s in %.0f s", report.part, report.headline, report.seconds)
        if report.broken:
            announce(hook, report)
            lines = "; ".join(f"{r.check} {r.subject}: {r.detail}" for r in report.broken[:10])
            msg = f"preflight: {report.headline}: {lines}"
            raise AirflowFailException(f"{msg}. What to do next: {report.broken[0].next_action}")
        return {status.value: number for status, number in report.counts.items()}

    def _target(self, hook: ForensicsHook) -> Target | None:
        if not self.instance_id:
            return None
        if not self.account_id:
            raise ConfigurationError("an instance is named without its account", next_action="give account_id as well")
        return Target(self.account_id, self.region or hook.settings.region, self.instance_id)

    def _say(self, line: CheckResult) -> None:
        words = (line.status.value, line.check, line.subject, f"{line.seconds:.1f}", line.detail, line.next_action)
        if line.status is CheckStatus.OK:
            self.log.info("%s: %s %s (%s s): %s%s", *words)
        else:
            self.log.warning("%s: %s %s (%s s): %s. What to do next: %s", *words)


class ListReadinessOperator(BaseOperator):
    """List the running instances of the member accounts that could not be captured today, and count them for CloudWatch."""

    def execute(self, context: Context) -> dict[str, int]:
        """Return the numbers."""
        hook = ForensicsHook()
        report = readiness(PreflightScope(hook, run=run_name()))
        record_readiness(hook, report)
        for item in report.unready:
            why = "; ".join([*item.memory, *item.disk])
            self.log.info("%s of %s, %s could not be captured: %s", item.instance_id, item.account_id, item.region, why)
        for problem in report.problems:
            self.log.warning("not looked at: %s", problem)
        if report.problems and not report.instances:
            raise AirflowFailException(f"no account could be looked at: {report.problems[0]}")
        return {"instances": report.instances, "not_capturable": report.unready_count}


class RemoveLeftoversOperator(BaseOperator):
    """Delete the snapshots of earlier preflights whose lock has ended, and groups of one that was killed."""

    def execute(self, context: Context) -> list[str]:
        """Return what was removed."""
        removed, failed = Leftovers(PreflightScope(ForensicsHook(), run=run_name())).remove()
        if failed:
            msg = f"{len(failed)} places could not be looked at or cleared: {'; '.join(failed)[:1500]}"
            raise AirflowFailException(f"{msg}. What to do next: repair what the preflight says about their roles")
        return removed


def run_name() -> str:
    """Name of a run in keys and tags."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
