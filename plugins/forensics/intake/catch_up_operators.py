"""Fetch the findings of a time in which none arrived."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow.sdk import BaseOperator, Context

from forensics.aws.guardduty import GuardDutyGateway
from forensics.aws.hook import ForensicsHook
from forensics.aws.securityhub import SecurityHubGateway
from forensics.aws.session import Scope
from forensics.aws.sqs import FindingQueue
from forensics.case.parameters import optional_text
from forensics.errors import ConfigurationError
from forensics.intake.catch_up import Window, catch_up, catch_up_guardduty
from forensics.settings import names

# Source identity of the look; the roles' trust policies ask for fc-*.
CATCH_UP = "fc-catchup"


class CatchUpFindingsOperator(BaseOperator):
    """Put Security Hub's findings of a time into the findings' queue, from every administrator account.

    :param start: first moment, ISO 8601 with a zone
    :param end: last moment; empty: now
    :param region: Region whose Security Hub is asked; empty: the home Region, where findings are aggregated
    :param limit: how many findings are put in at most
    :param service: ``securityhub`` or ``guardduty``
    """

    template_fields = ("start", "end", "region", "limit", "service")

    def __init__(
        self,
        *,
        start: str = "{{ params.start }}",
        end: str = "{{ params.end or '' }}",
        region: str = "{{ params.region or '' }}",
        limit: int | str = "{{ params.limit }}",
        service: str = "{{ params.service }}",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.start = start
        self.end = end
        self.region = region
        self.limit = limit
        self.service = service

    def execute(self, context: Context) -> dict[str, Any]:
        """Return, for each account, how many were put in, and where to go on when there were more."""
        hook = ForensicsHook()
        settings, window = hook.settings, Window.of(self.start, optional_text(self.end) or "", now=datetime.now(UTC))
        accounts = names(settings.administrator_accounts)
        if not accounts:
            msg = "no administrator_accounts are named, so there is no Security Hub to ask"
            raise ConfigurationError(msg, next_action="set forensics.administrator_accounts, then start the DAG again")
        region, queue, done = optional_text(self.region) or settings.region, FindingQueue.of(hook.own(), settings), {}
        for account in accounts:
            session = hook.session(Scope(account_id=account, region=region, phase="triage", case_id=CATCH_UP))
            if self.service == "guardduty":
                result = catch_up_guardduty(GuardDutyGateway.of(session), queue, window, limit=int(self.limit))
            else:
                result = catch_up(SecurityHubGateway.of(session), queue, window, limit=int(self.limit))
            done[account] = {"sent": result.sent, "go_on_from": result.last if result.cut else None}
            self.log.info(
                "%s findings of account %s, %s put into the queue%s",
                result.sent,
                account,
                region,
                " (there are more)" if result.cut else "",
            )
        return done
