"""The part of an operator that asks people for approval under *Required actions*."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Context

from forensics.case.addresses import PAGES_PATH, case_page
from forensics.case.recorder import CaseRecorder
from forensics.case.step import ForensicOperator, Json
from forensics.case.waiting import question_waits
from forensics.containment.announcements import announce_not_counted, announce_question, where_to_answer
from forensics.containment.approval import AnswerRules, HumanResponse, abandoned
from forensics.containment.approval_record import Approvals
from forensics.containment.question_text import QuestionText, question_body
from forensics.errors import ApprovalError
from forensics.models.approval import Approval, ApprovalSubject, Askers


@dataclass(frozen=True)
class Question:
    """What is asked: the plan by its digest, who asked for it, the headline, what people read, and what no answer means.

    ``event`` is the message's name, ``why`` what the message says of the reasons.
    """

    digest: str
    askers: Askers
    headline: str
    text: QuestionText
    event: str
    why: tuple[str, ...] = ()


class _ApprovalOperator(ForensicOperator, HITLOperator):
    """A step that may wait for people. Subclasses call :meth:`ask`, and implement :meth:`asked_digest` and :meth:`decided`.

    An answer that does not count, because the person asked for it or because another person has to approve too, leaves the
    question open until its end. A question that ends so fails the task.
    """

    template_fields: tuple[str, ...] = ("case_id",)
    about: ClassVar[ApprovalSubject]

    def __init__(self, **kwargs: Any) -> None:
        # Each question sets its own time. Without one here, HITLOperator takes the execution_timeout for it and removes that.
        super().__init__(response_timeout=timedelta(days=1), **kwargs)

    @abstractmethod
    def asked_digest(self, recorder: CaseRecorder) -> str:
        """Digest of the plan on record that the question is about; raises when it is gone."""

    @abstractmethod
    def decided(self, recorder: CaseRecorder, approval: Approval, context: Context) -> Json:
        """Do what follows from the decision, which is recorded already."""

    def approvals(self, recorder: CaseRecorder) -> Approvals:
        """The approval of this step's subject."""
        return Approvals(recorder, self.about)

    @property
    def default_option(self) -> str:
        """What no answer means; by default the last option."""
        return self.options[-1]

    @property
    def two_persons(self) -> bool:
        """Whether nobody approves what they asked for; whatever the settings say where evidence can be lost."""
        return self.about is ApprovalSubject.HOLD_LIFT or self.settings.approval_two_persons

    def ask(self, recorder: CaseRecorder, question: Question, context: Context) -> None:
        """Open the question, tell people, and defer until they answer; after ``approval_timeout_seconds`` the default counts."""
        wait = timedelta(seconds=self.settings.approval_timeout_seconds)
        opened = self.approvals(recorder).ask(
            question.digest, askers=question.askers, two_persons=self.two_persons, wait=wait
        )
        text = replace(question.text, accept=self.options[0], default=self.default_option, two_persons=self.two_persons)
        announce_question(recorder, question.event, question.headline, opened, text=text, why=question.why)
        next_action = f"{where_to_answer(recorder, opened)}; no answer means: {text.default}"
        item = self.approvals(recorder).item
        question_waits(recorder, opened, item=item, what=question.headline, next_action=next_action)
        self.subject, self.body = f"{question.headline} (case {recorder.case_id})", question_body(opened, text)
        self._wait_for_people(wait, context)

    def _wait_for_people(self, wait: timedelta, context: Context) -> None:
        self.defaults, self.response_timeout = [self.default_option], wait
        HITLOperator.execute(self, context)

    def execute_complete(self, context: Context, event: dict[str, object]) -> Json:
        """Airflow's entry after an answer, or after the time for it has passed."""
        response = HumanResponse.model_validate(event)
        return self._guarded(context, lambda recorder: self._answered(recorder, response, context))

    def _answered(self, recorder: CaseRecorder, response: HumanResponse, context: Context) -> Json:
        rules = AnswerRules(
            accept=self.options[0],
            two_persons=self.two_persons,
            valid=timedelta(seconds=self.settings.approval_valid_seconds),
        )
        approval = self.approvals(recorder).answer(response, digest=self.asked_digest(recorder), rules=rules)
        if approval.open:
            self._still_open(recorder, approval, context)
        if abandoned(approval):
            raise ApprovalError(approval.reason, next_action="clear this task: it asks again")
        return self.decided(recorder, approval, context)

    def _still_open(self, recorder: CaseRecorder, approval: Approval, context: Context) -> None:
        """The answer does not count (alone): say why, tell the others, and wait for the rest of the time.

        Airflow keeps the text of the question that it shows, and takes the answer off it.
        """
        self.subject, self.body = "still open", approval.reason
        announce_not_counted(recorder, approval)
        left = (approval.until or datetime.now(UTC)) - datetime.now(UTC)
        self._wait_for_people(max(left, timedelta(seconds=1)), context)


def case_address(recorder: CaseRecorder) -> str:
    """The case's page, for a question's text; empty where the setting ``ui_url`` is."""
    return case_page(recorder.ui_url + PAGES_PATH, recorder.case_id) if recorder.ui_url else ""
