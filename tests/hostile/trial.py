"""One hostile answer, played to the product's own steps: what became of the case, and what it took.

The steps are the real ones behind the operator's edge, with the judging child; stores and SSM are in this process.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, TaskDeferred

from forensics.aws.attributes import to_item
from forensics.aws.sns import Notifier
from forensics.aws.ssm import Invocation, SsmGateway
from forensics.case.gaps import gaps, pending
from forensics.case.persons import StepRun
from forensics.case.recorder import CaseRecorder
from forensics.case.step import ForensicOperator
from forensics.case.view import read_view
from forensics.confined import Confined
from forensics.investigation.analysis import Analysis
from forensics.investigation.analysis_inputs import DiskInputs
from forensics.investigation.analysis_operators import AnalyseDiskOperator
from forensics.investigation.artifacts import result_key
from forensics.memory.capture_operators import CaptureMemoryOperator
from forensics.memory.capture_setup import CaptureGateways
from forensics.memory.landed_archive import part_key
from forensics.memory.live_response_operators import LiveResponseOperator
from forensics.memory.upload_manifest import IMAGE, LIST
from forensics.memory.verify_operators import VerifyMemoryOperator
from forensics.models.evidence import DiskEvidence, Evidence, Outcome
from forensics.models.results import MOST, Investigation, SentDocument
from forensics.report import render_html, render_json
from tests.hostile.answers import HONEST, LIVE, Answer, _live, _tools, capture, facts_of, honest_results
from tests.unit.accounts import EbsInMemory
from tests.unit.builders import CASE_ID, INSTANCE
from tests.unit.memory.target import Host, SessionsOfTarget, settings
from tests.unit.recorders import FakeRecorder, context

MIB = 1024 * 1024
ENDED = frozenset({Outcome.ACQUIRED, Outcome.PARTIAL, Outcome.FAILED, Outcome.NOT_APPLICABLE, Outcome.SKIPPED})
PREFIX = f"{CASE_ID}/disk-vol-1/investigate_disk-20261124T080000000000Z"
RUNS = ("memory", "live", "tools")


class Bench:
    """The product's steps on one case at a time."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        from forensics.aws.hook import ForensicsHook
        from forensics.investigation import analysis_operators

        self.host = Host()
        patch.setattr(SsmGateway, "of", lambda _session: self.host.ssm)
        patch.setattr(CaptureGateways, "of", lambda _sessions: self.host.gateways)
        patch.setattr(
            ForensicOperator, "sessions", SessionsOfTarget(ForensicsHook(settings=settings()), self.host.case)
        )
        patch.setattr(ForensicOperator, "settings", settings())
        patch.setattr(ForensicOperator, "_bind", lambda step: self._bound(step))
        patch.setattr("forensics.case.step.step_run", lambda _context: StepRun())
        patch.setattr(
            analysis_operators._AnalyseOperator, "_analysis", lambda _step, recorder: self._analysis(recorder)
        )

    def _bound(self, step: ForensicOperator) -> CaseRecorder:
        self.host.recorder.step = step.task_id
        return self.host.recorder

    def _analysis(self, recorder: CaseRecorder) -> Analysis:
        return Analysis(recorder, DiskInputs(recorder, EbsInMemory()), ssm=self.host.ssm, settings=settings())

    def play(self, answer: Answer) -> FakeRecorder:
        """All flows of a new case, one of them with the hostile answer; returns what was written."""
        self.host = Host()
        honest: dict[str, Callable[[], Answer]] = {
            "memory": lambda: capture(HONEST.image, "honest", facts=facts_of(HONEST)),
            "live": lambda: _live("honest", LIVE),
            "tools": lambda: _tools("honest", json.dumps(honest_results()).encode()),
        }
        answers = {about: answer if answer.about == about else honest[about]() for about in RUNS}
        self._memory(answers["memory"])
        self._live(answers["live"])
        self._tools(answers["tools"])
        return self.host.recorder

    def _answer(self, command_id: str, answer: Answer) -> None:
        self.host.ssm.answers[command_id] = Invocation(
            command_id=command_id,
            instance_id=INSTANCE,
            status=answer.status,
            exit_code=0,
            stdout=f"log\n{answer.stdout}\n",
        )

    def _memory(self, answer: Answer) -> None:
        host = self.host
        host.probed(banner=HONEST.banner.decode().strip(), memory_kib=10 * 1024)
        if answer.probe:
            host.ssm.answer("probe", answer.probe)
        step = CaptureMemoryOperator(task_id="memory.capture_memory", case_id=CASE_ID)
        if run(step, lambda: step.execute(context(3))) != "waits":
            return
        origin = host.memory.origin
        host.landed(answer.parts)
        if answer.list_text is not None:
            host.recorder.landing.objects[f"{origin.landing_prefix}/{LIST}"] = answer.list_text
        if answer.sizes:
            host.recorder.landing.uploads[f"{origin.landing_prefix}/{IMAGE}"] = answer.sizes
        for name, body in answer.facts.items():
            host.recorder.landing.objects[f"{origin.landing_prefix}/{name}"] = body
        self._answer(str(origin.command_id), answer)
        ended = run(step, lambda: step.resume_after_wait(context(3), {"ok": True}))
        if ended == "ended":
            verify = VerifyMemoryOperator(task_id="memory.verify_memory", case_id=CASE_ID)
            run(verify, lambda: verify.execute(context(3)))
        elif ended == "waits":  # it says that more follows: a host that only ever says so is ended by its time
            run(step, lambda: step.resume_after_wait(context(3), {"ok": False, "cause": "it did not end in time"}))

    def _live(self, answer: Answer) -> None:
        host = self.host
        step = LiveResponseOperator(task_id="memory.live_response", case_id=CASE_ID)
        if run(step, lambda: step.execute(context(3))) != "waits":
            return
        known = host.recorder.live_response()
        assert known is not None
        for number, body in enumerate(answer.parts, start=1):
            host.recorder.landing.objects[part_key(str(known.origin.landing_prefix), number)] = body
        self._answer(str(known.origin.command_id), answer)
        run(step, lambda: step.resume_after_wait(context(3), {"ok": True}))

    def _tools(self, answer: Answer) -> None:
        recorder, command_id = self.host.recorder, "command-tools"
        document = SentDocument(name="forensics-investigate_disk_linux", version="7", landing_prefix=PREFIX)
        open_run = Investigation(
            activity="investigate_disk", tool="disk", evidence_id="disk-vol-1", outcome=Outcome.PENDING,
            command_id=command_id, instance_id="i-1", document=document,
        )  # fmt: skip
        recorder.put(result_key("investigate_disk", "disk-vol-1"), open_run)
        recorder.save_evidence(DiskEvidence(evidence_id="disk-vol-1", outcome=Outcome.ACQUIRED))
        for name, body in answer.landed.items():
            recorder.landing.objects[f"{PREFIX}/{name}"] = body
        self._answer(command_id, answer)
        step = AnalyseDiskOperator(task_id="investigation.analyse_disk", case_id=CASE_ID)
        run(step, lambda: step.resume_after_wait(context(3), {"ok": True}))


def run(_step: ForensicOperator, work: Callable[[], object]) -> str:
    """How a step's last try ended; whatever is no end that Airflow knows is raised."""
    try:
        work()
    except TaskDeferred:
        return "waits"
    except AirflowSkipException:
        return "skipped"
    except AirflowFailException:
        return "failed"
    return "ended"


class Sent:
    """SNS as the notifier sees it: keeps the last message, which has to be one that SNS takes."""

    def __init__(self) -> None:
        self.message = ""

    def publish(self, **request: Any) -> None:
        """Keep it."""
        assert request["Subject"].isascii() and request["Subject"].isprintable() and len(request["Subject"]) <= 100
        assert len(request["Message"].encode()) <= 262_144
        self.message = request["Message"]


def faults(recorder: FakeRecorder, answer: Answer) -> list[str]:
    """What is wrong with the case after this answer; empty when everything is as it has to be."""
    view = read_view(recorder.store, recorder.evidence_store, CASE_ID)
    if view is None:
        return ["the case is gone"]
    wrong = []
    verdicts: dict[str, Evidence | Investigation | None] = {
        "memory": recorder.memory(),
        "live": recorder.live_response(),
        "tools": recorder.get(result_key("investigate_disk", "disk-vol-1"), Investigation),
    }
    said = json.dumps([mail.lines for mail in recorder.mailbox.mail]) + " ".join(
        f"{gap}" for gap in [*gaps(view), *pending(view)]
    )
    for about, verdict in verdicts.items():
        if verdict is None or verdict.outcome not in ENDED | {Outcome.DONE}:
            wrong.append(f"{about} has no verdict: {verdict.outcome if verdict else None}")
        elif about != answer.about and verdict.outcome not in {Outcome.ACQUIRED, Outcome.DONE}:
            wrong.append(f"the honest flow {about} ended {verdict.outcome}: {verdict.reason}")
        elif verdict.outcome in {Outcome.FAILED, Outcome.PARTIAL} and not verdict.reason:
            wrong.append(f"{about} ended {verdict.outcome} without a reason")
    bad = verdicts[answer.about]
    if bad and bad.outcome is Outcome.FAILED and not any(m.event.startswith("failed:") for m in recorder.mailbox.mail):
        wrong.append("nobody was told of the failure")
    if (
        bad
        and bad.outcome is Outcome.PARTIAL
        and not any(json.dumps(part[:60])[1:-1] in said or part[:60] in said for part in str(bad.reason).split("; "))
    ):
        wrong.append("nobody was told that it is partial")
    for result in view.results:
        wrong += [
            f"{name} of {result.tool} are more than {most}"
            for name, most in MOST.items()
            if len(getattr(result, name)) > most
        ]
    return wrong + _unclean(recorder) + _pages(view)


def _unclean(recorder: FakeRecorder) -> list[str]:
    """Texts that a store, a mail program or a terminal would choke on."""
    wrong = []
    for (_, sk), data in recorder.store.held.items():
        if not json.dumps(data, ensure_ascii=False).isprintable():
            wrong.append(f"{sk} holds a hidden character")
        json.dumps(to_item(data), default=str, ensure_ascii=False).encode()
    for mail in recorder.mailbox.mail:
        client = Sent()
        Notifier(client, topic_arn="arn:aws:sns:eu-central-1:222233334444:t").publish(  # type: ignore[arg-type]
            case_id=CASE_ID,
            event="e",
            subject=mail.subject.encode("ascii", "replace").decode(),
            lines=mail.lines,
            facts=mail.facts,
        )
        if not all(line.isprintable() for line in client.message.split("\n")) or "https://evil" in client.message:
            wrong.append(f"mail {mail.event} has a hidden character or a link")
        if len(client.message.split("\n")) != len(mail.lines) + 2:
            wrong.append(f"mail {mail.event} has a line that nobody wrote")
    return wrong


def _pages(view: Any) -> list[str]:
    html, text = render_html(view), render_json(view)
    wrong = ["the page has a script"] if "<script>" in html else []
    if any(char in html for char in "\u202e\u200b\x1b\x00"):
        wrong.append("the page has a hidden character")
    return wrong + ([f"the page has {len(html)} characters"] if len(html) > 8 * MIB or len(text) > 64 * MIB else [])


class Memory:
    """The most memory that one answer takes: what this process grows by, and what its confined children say of themselves."""

    def __init__(self) -> None:
        self.own_mib = self.child_mib = 0
        self._before = 0

    def __enter__(self) -> Self:
        # the most counts from here on (proc(5), clear_refs); the tests before this one may have left a large process
        Path("/proc/self/clear_refs").write_text("5")
        self._before = _status_mib("VmRSS")
        self._result = Confined.result
        seen = self

        def result(child: Confined, model: type[Any], **more: Any) -> Any:
            try:
                return seen._result(child, model, **more)
            finally:
                seen.child_mib = max(seen.child_mib, child.peak_bytes // MIB)

        Confined.result = result  # type: ignore[method-assign]
        return self

    def __exit__(self, *_: object) -> None:
        Confined.result = self._result  # type: ignore[method-assign]
        self.own_mib = max(0, _status_mib("VmHWM") - self._before)


def _status_mib(name: str) -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{name}:")[2].split()[0]) // 1024
