"""A person's request in the Airflow UI, and the finding that it becomes. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError

from forensics.errors import InvalidCaseError
from forensics.models.approval import Person
from forensics.models.artifact import artifact_of
from forensics.models.case import Case
from forensics.models.finding import Finding, FindingSource, Severity
from forensics.models.plan import Action

BY_POLICY = "by-policy"


@dataclass(frozen=True)
class ManualRequest:
    """What the person filled in; all empty when the run continues a case. ``actions``: joined by ``+``, or by policy."""

    account_id: str = ""
    region: str = ""
    instance_id: str = ""
    actions: str = BY_POLICY
    reason: str = ""
    requester: str = ""

    def finding(self, *, run_id: str, requested_at: datetime, user: Person | None = None) -> Finding:
        """The finding; ``user`` is who Airflow says started the run.

        Its key follows from the run, so that a repeated try finds the case that the first one opened. Raises
        :class:`InvalidCaseError` naming every parameter that is wrong.
        """
        try:
            return Finding(
                key=hashlib.sha256(f"manual|{run_id}|{self.instance_id}".encode()).hexdigest()[:32],
                source=FindingSource.MANUAL,
                finding_id=f"manual:{run_id}",
                title=f"Manual request: {(self.reason or 'no reason given')[:200]}",
                severity=Severity.HIGH,
                account_id=self.account_id,
                region=self.region,
                instance_id=self.instance_id,
                artifact=artifact_of(self.instance_id),
                created_at=requested_at,
                requester=self._requester(user.login if user else None),
                asked_by=user,
                reason=self.reason or None,
                requested=self._requested(),
            )
        except ValidationError as error:
            wrong = "; ".join(
                f"{'.'.join(map(str, e['loc']))} = {str(e['input'])[:40]!r}: {e['msg']}" for e in error.errors()
            )
            msg = f"the request is not valid: {wrong}"
            raise InvalidCaseError(
                msg, next_action="start the DAG again with correct parameters; nothing was changed in AWS"
            ) from error

    def check_same_instance(self, case: Case) -> None:
        """Raise :class:`InvalidCaseError` when a run that continues a case names another instance than the case's."""
        for name, given, known in (
            ("account_id", self.account_id, case.account_id),
            ("region", self.region, case.region),
            ("instance_id", self.instance_id, case.instance_id),
        ):
            if given and given != known:
                msg = f"case {case.case_id} is about {name} {known}, not {given[:40]}"
                raise InvalidCaseError(
                    msg, next_action="start the DAG again without a case id, or with the case's own instance"
                )

    def _requested(self) -> dict[str, bool] | None:
        wanted = self.actions or BY_POLICY
        return None if wanted == BY_POLICY else {action.value: action.value in wanted.split("+") for action in Action}

    def _requester(self, user: str | None) -> str:
        """What the person typed, a name or a ticket, and whom Airflow has authenticated."""
        known = f"Airflow user {user}" if user else ""
        if self.requester and known:
            return f"{self.requester} ({known})"
        return self.requester or known or "the Airflow user who started the run"
