"""Open the case of a run."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowFailException

from forensics.aws.hook import ForensicsHook
from forensics.aws.sns import Notifier
from forensics.case.persons import person_of
from forensics.case.recorder import open_recorder
from forensics.correlation import case_context
from forensics.custody.holding import EvidenceHolding
from forensics.errors import ForensicsError
from forensics.intake.admission import CaseAdmission
from forensics.intake.annotation import annotate
from forensics.intake.case_label import read_label
from forensics.intake.case_opening import announce_refusal, hold_again, open_requested_case, record_opening
from forensics.intake.manual_request import ManualRequest
from forensics.intake.write_back import FindingWriteBack

if TYPE_CHECKING:
    from airflow.sdk.types import DagRunProtocol


class OpenCaseOperator(BaseOperator):
    """Open the case of this run and return its id.

    Started by the intake, the case exists and its id is in the run's configuration; started by a person, the parameters
    become a finding that opens one. A request about an instance with an open case is refused: that case is named.

    :param case_id: the case that the run continues; empty when a person asks for a new one
    :param account_id: 12-digit account of the instance
    :param region: the instance's Region
    :param instance_id: the instance, or the snapshot or machine image that the case is about
    :param actions: what to do, joined by ``+`` (memory, disk, isolate), or ``by-policy``
    :param reason: why; goes into the custody ledger
    :param requester: a name or a ticket
    """

    template_fields = ("case_id", "account_id", "region", "instance_id", "actions", "reason", "requester")

    def __init__(
        self,
        *,
        case_id: str = "{{ params.get('case_id') or '' }}",
        account_id: str = "{{ params.get('account_id') or '' }}",
        region: str = "{{ params.get('region') or '' }}",
        instance_id: str = "{{ params.get('instance_id') or '' }}",
        actions: str = "{{ params.get('actions') or '' }}",
        reason: str = "{{ params.get('reason') or '' }}",
        requester: str = "{{ params.get('requester') or '' }}",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.case_id = case_id
        self.account_id = account_id
        self.region = region
        self.instance_id = instance_id
        self.actions = actions
        self.reason = reason
        self.requester = requester

    def execute(self, context: Context) -> str:
        """Return the case id."""
        hook = ForensicsHook()
        request = ManualRequest(
            self.account_id, self.region, self.instance_id, self.actions, self.reason, self.requester
        )
        try:
            return self._open(hook, request, context["dag_run"])
        except ForensicsError as error:
            if error.retryable and context["ti"].try_number <= context["ti"].max_tries:
                raise
            announce_refusal(Notifier.of(hook.own(), hook.settings), request, error)
            raise AirflowFailException(f"{error}. What to do next: {error.next_action}") from error

    def _open(self, hook: ForensicsHook, request: ManualRequest, run: DagRunProtocol) -> str:
        case_id = self.case_id or open_requested_case(
            CaseAdmission.of(hook.own(), hook.settings),
            request,
            run_id=run.run_id,
            requested_at=run.run_after or datetime.now(UTC),
            # Airflow names the user of runs that a person started in the UI or by the API, and of no others.
            user=person_of(run.triggering_user_name),
        )
        with case_context(case_id, step=self.task_id):
            recorder = open_recorder(hook, case_id, step=self.task_id)
            request.check_same_instance(recorder.case)
            reopened = recorder.case.closed
            sessions = hook.for_case(recorder.case)
            instance_id = None if recorder.case.artifact else recorder.case.instance_id
            label = partial(read_label, partial(sessions.target, "triage"), instance_id)
            record_opening(recorder, run_id=run.run_id, label=label)
            annotate(
                recorder.findings(),
                case=recorder.case,
                store=recorder.gateways.store,
                write_back=lambda: FindingWriteBack.of(sessions),
                settings=hook.settings,
                step=self.task_id,
            )
            if reopened:
                hold_again(recorder, EvidenceHolding.of(sessions), sessions.settings)
        return case_id
