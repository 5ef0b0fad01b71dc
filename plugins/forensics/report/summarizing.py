"""Makes, checks and stores the summary of a case. Nothing that goes wrong here goes further: a report without a summary says why.

A provider is anything that answers a prompt (:class:`Provider`). It has no tools, sees typed findings and events alone, and its answer changes
nothing: it becomes sentences with citations, or reasons why they were dropped.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Protocol, Self

from forensics import case_keys
from forensics.aws.bedrock import BedrockGateway
from forensics.aws.session import AwsSession
from forensics.case.beginning import begin
from forensics.case.recorder import CaseRecorder
from forensics.errors import ForensicsError
from forensics.models.custody import CustodyAction, CustodyFacts
from forensics.models.summary import LABEL, CaseSummary
from forensics.naming import case_prefix
from forensics.printable import count, single_line
from forensics.report.summary_check import AnswerError, checked
from forensics.report.summary_records import VERSION, Prompt, prompt_of, records_of
from forensics.settings import Settings


class ModelAnswer(Protocol):
    """What a model answered. ``stopped`` is empty where it came to its own end, otherwise why it did not."""

    @property
    def text(self) -> str:
        """Its words."""

    @property
    def stopped(self) -> str:
        """Why it did not end by itself."""

    @property
    def input_tokens(self) -> int:
        """Tokens that it was given."""

    @property
    def output_tokens(self) -> int:
        """Tokens that it gave."""


class Provider(Protocol):
    """A model that can be asked, within its own limits of tokens and seconds."""

    @property
    def model(self) -> str:
        """Its id."""

    def answer(self, prompt: Prompt) -> ModelAnswer:
        """Ask. Raises :class:`ForensicsError`."""


class BedrockProvider:
    """A model of Amazon Bedrock in the home Region."""

    def __init__(self, gateway: BedrockGateway, *, most_tokens: int) -> None:
        self._gateway, self._most = gateway, most_tokens

    @classmethod
    def of(cls, session: AwsSession, settings: Settings) -> Self:
        """The model that the settings name."""
        gateway = BedrockGateway.of(
            session,
            model=settings.summary_model,
            guardrail=settings.summary_guardrail,
            seconds=settings.summary_seconds,
        )
        return cls(gateway, most_tokens=settings.summary_tokens)

    @property
    def model(self) -> str:
        """Its id."""
        return self._gateway.model

    def answer(self, prompt: Prompt) -> ModelAnswer:
        """Ask. Raises :class:`ForensicsError`."""
        return self._gateway.ask(prompt.system, prompt.user, most_tokens=self._most)


def summarize(
    recorder: CaseRecorder, provider: Callable[[], Provider], *, most_records: int, model: str
) -> CaseSummary:
    """Make the case's summary anew, store it, record it. Safe to repeat: a try that follows finds the one of its step. Never raises
    for a model's sake: ``provider`` is made here, too.
    """
    began = begin(recorder)
    known = recorder.get(case_keys.SUMMARY, CaseSummary)
    if known and known.at == began.at:
        return known
    try:
        made = _made(recorder, provider(), most_records=most_records, at=began.at)
    except Exception as error:
        # The edge to a model: no answer of it, and no defect of a provider, keeps a report from being written.
        said = error.message if isinstance(error, ForensicsError) else type(error).__name__
        made = CaseSummary(at=began.at, model=model, prompt_sha256="0" * 64, failed=single_line(said)[:600])
    what = f"{count(len(made.sentences), 'sentence')} kept, {len(made.dropped)} dropped, by {made.model}"
    recorder.note((f"no summary: {made.failed}" if made.failed else f"summary ({LABEL}): {what}")[:900])
    # Last: with it the summary of this step is made.
    recorder.put(case_keys.SUMMARY, made)
    return made


def _made(recorder: CaseRecorder, provider: Provider, *, most_records: int, at: datetime) -> CaseSummary:
    records, left_out = records_of(recorder.view(), most=most_records)
    if not any(record.kind == "finding" for record in records):
        return CaseSummary(
            at=at, model=provider.model, prompt_sha256="0" * 64, failed="the tools found nothing to summarize"
        )
    prompt = prompt_of(records)
    given = provider.answer(prompt)
    made = CaseSummary(
        at=at, model=provider.model, prompt_sha256=prompt.sha256, records=len(records), left_out=left_out,
        input_tokens=given.input_tokens, output_tokens=given.output_tokens,
    )  # fmt: skip
    if given.stopped:
        made = made.model_copy(update={"failed": f"the model stopped before its end: {given.stopped}"})
    else:
        try:
            found = checked(given.text, records)
            made = made.model_copy(update={"sentences": found.sentences, "dropped": found.dropped})
        except AnswerError as error:
            made = made.model_copy(update={"failed": str(error)})
    return _stored(recorder, made, prompt, given.text)


def _stored(recorder: CaseRecorder, made: CaseSummary, prompt: Prompt, answer: str) -> CaseSummary:
    """Keep what was asked and answered beside what came of it, and state it in the ledger as what it is."""
    body = {
        "schema": f"forensics.summary/{VERSION}", "label": LABEL, "case_id": recorder.case_id,
        **made.model_dump(mode="json", exclude={"uri", "sha256"}),
        "prompt": {"system": prompt.system, "user": prompt.user}, "answer": answer[:100_000],
    }  # fmt: skip
    key = f"{case_prefix(recorder.case_id)}artifacts/summary/case/{made.at:%Y%m%dT%H%M%S%f}Z.json"
    text = json.dumps(body, indent=1, ensure_ascii=True).encode()
    stored, _ = recorder.gateways.evidence.put_first(key, text, content_type="application/json")
    recorder.custody(
        CustodyAction.ARTIFACT_STORED,
        detail={
            "name": "summary", "label": LABEL, "uri": stored.uri, "sha256": stored.sha256, "bytes": stored.size_bytes, "model": made.model,
            "prompt_sha256": made.prompt_sha256, "sentences": len(made.sentences), "dropped": len(made.dropped),
        },
        facts=CustodyFacts(notes=f"derived, {LABEL}"),
        once=f"artifact-{key}",
    )  # fmt: skip
    return made.model_copy(update={"uri": stored.uri, "sha256": stored.sha256})
