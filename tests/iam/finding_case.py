"""One case by a finding, from its arrival to people's downloads, and a target of its own for every try of containment."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from unittest.mock import patch

import requests

from forensics.aws.hook import ForensicsHook
from forensics.case.remarks import Author
from forensics.containment.operators import IsolateTargetOperator
from forensics.containment.release_operators import ReleaseTargetOperator
from forensics.intake.engine import IntakeEngine
from forensics.intake.readers import read_event
from forensics.intake.write_back import WriteBackStage
from forensics.models.approval import Person
from forensics.models.policy import Scope
from forensics.models.remarks import RemarkKind, RemarkRequest
from forensics.report.downloads import OfferKind, offers
from forensics.report.operators import WriteProfileReportOperator
from forensics.settings import get_settings
from forensics.triage import isolation_guard
from forensics.triage.operators import PlanResponseOperator
from forensics.triage.policy import packaged
from forensics.web.downloads import StoreLinkMaker
from forensics.web.reader import StoreReader
from forensics.web.remarks import StoreRemarkWriter
from lab.accounts import SECURITY_ACCOUNT
from lab.scenarios import finding_events
from lab.scenarios.driver import finding
from lab.seed.stacks import SUMMARY
from tests.containment.world import Cell
from tests.gateways import admit, finding_queue, write_back
from tests.iam.flow import CASE, TRIAGE
from tests.iam.steps import Cases, Step, StepFailed
from tests.integration.steps import perform
from tests.integration.test_write_back import put
from tests.storm.handlers import FileWork

# A step that ends with what it was refused as a gap has ended: for another try it must find nothing of that one.
BEGUN_ANEW = {
    "memory.probe_target": ("LIVEPASS#", "EVIDENCE#live-response", "FAILURE#"),
    "memory.capture_memory": ("EVIDENCE#memory",),
    "cloud_evidence.collect_trail": ("EVIDENCE#cloud-trail",),
    "cloud_evidence.collect_state": ("EVIDENCE#account-state",),
}


class FindingCase(Cases):
    """A case of the web server."""

    def _finding_case(self) -> Iterator[Step]:
        yield Step("finding_intake.receive_findings", self._intake, self._import)
        yield Step("finding_intake.joins_a_case", self._join)
        yield Step("finding_intake.waits_for_findings", lambda: finding_queue().depth())
        # the steps of a case note a refused annotation and go on; here it is seen for itself
        for shape, account in (("asff", "security"), ("guardduty", "member"), ("ocsf", "security")):
            yield Step(f"write back ({shape})", self._write_back(shape), self._event(shape, account))
        yield from self._containment()
        for name, kind in CASE:
            yield Step(
                f"forensic_case.{name}", self._on("finding", name, kind), renew=self._anew(BEGUN_ANEW.get(name, ()))
            )
        yield Step("forensic_profile.write_report (with a summary)", self._summary)
        yield Step("web pages", self._page)
        yield Step("web pages: a person's verdict and downloads", self._desk)

    def _import(self) -> None:
        web = self.lab.facts["instances"]["web-server"]
        self.findings["finding"] = document = finding(web, title="The instance talks to a command and control server")
        self.lab.client("securityhub", "security").batch_import_findings(Findings=[document])

    def _intake(self) -> None:
        """Drain the queue as the sensor does; the finding must have its case. Airflow's own part is a directory."""
        hook = ForensicsHook()
        # what an earlier try left in flight comes back at once
        engine = IntakeEngine(finding_queue(), FileWork(hook, self.folder), urgent_rank=2, visibility=1)
        engine.run(seconds=4.0, linger=1.5)
        found = self._case_of(self.lab.facts["instances"]["web-server"]["instance_id"])
        if found is None:
            msg = f"the finding opened no case: {dict(engine.counts)}"
            raise StepFailed(msg)
        self.cases["finding"] = found

    def _join(self) -> None:
        """Another finding about the same instance belongs to the case that is open; each try brings one."""
        self._import()
        hook, findings = ForensicsHook(), self._findings_of("finding")
        engine = IntakeEngine(finding_queue(), FileWork(hook, self.folder), urgent_rank=2, visibility=1)
        engine.run(seconds=4.0, linger=1.5)
        if self._findings_of("finding") == findings:
            msg = f"the finding did not join: {dict(engine.counts)}"
            raise StepFailed(msg)

    def _findings_of(self, name: str) -> int:
        """How many findings the case has, as its administrators see it."""
        asked = {":p": {"S": f"CASE#{self.cases[name]}"}, ":s": {"S": "FINDING#"}}
        return int(
            self.lab.client("dynamodb").query(
                TableName=self.lab.facts["case_table"], KeyConditionExpression="PK = :p AND begins_with(SK, :s)",
                ExpressionAttributeValues=asked, Select="COUNT",
            )["Count"]
        )  # fmt: skip

    def _anew(self, kinds: tuple[str, ...]) -> Callable[[], None]:
        """Take items of these kinds out of the case."""

        def forget() -> None:
            db, table = self.lab.client("dynamodb"), self.lab.facts["case_table"]
            for kind in kinds:
                given = {":p": {"S": f"CASE#{self.cases['finding']}"}, ":s": {"S": kind}}
                found = db.query(
                    TableName=table,
                    KeyConditionExpression="PK = :p AND begins_with(SK, :s)",
                    ExpressionAttributeValues=given,
                )
                for item in found["Items"]:
                    db.delete_item(TableName=table, Key={"PK": item["PK"], "SK": item["SK"]})

        return forget

    def _case_of(self, instance: str) -> str | None:
        pages = self.lab.client("dynamodb").get_paginator("scan").paginate(TableName=self.lab.facts["case_table"])
        items = (i for page in pages for i in page["Items"] if i["SK"]["S"] == "META")
        return next((i["data"]["M"]["case_id"]["S"] for i in items if instance in json.dumps(i)), None)

    def _summary(self) -> None:
        """A report whose summary is asked for; in a run of its own for each try, because a run asks once."""
        given = {"SUMMARY_MODEL": SUMMARY["SummaryModel"], "SUMMARY_GUARDRAIL": f"{SUMMARY['SummaryGuardrailId']}:1"}
        with patch.dict(os.environ, {f"AIRFLOW__FORENSICS__{name}": value for name, value in given.items()}):
            get_settings.cache_clear()
            step = WriteProfileReportOperator(task_id="write_report")
            perform(step, case_id=self.cases["finding"], run_id=f"manual__{uuid.uuid4().hex}")
        get_settings.cache_clear()

    def _page(self) -> None:
        """The page shows what it could not read, instead of the results."""
        view = StoreReader().case_view(self.cases["finding"])
        whats = [e.what for e in view.timeline] if view else ["results could not be read: the page is empty"]
        unread = [w for w in whats if w.startswith("results ") and "could not be read" in w]
        if unread:
            raise StepFailed("; ".join(unread))

    def _desk(self) -> None:
        """A comment, and links to a report and to what a tool made; each link is followed, as a browser does."""
        case_id, author = self.cases["finding"], Author(Person(login="mara"), "the story")
        said = RemarkRequest(kind=RemarkKind.COMMENT, note="seen", once="c0" * 8)  # as the page's form names it
        StoreRemarkWriter().add(case_id, said, author=author, title="", evidence_id="")
        view = StoreReader().case_view(case_id)
        found = {offer.kind: offer.path for offer in offers(view)} if view else {}
        for path in found.values():
            answer = requests.get(StoreLinkMaker().link(case_id, path, author=author) or "", timeout=30)
            if not answer.ok:
                raise StepFailed(f"{path}: {answer.status_code} {answer.text[:300]}")
        if set(found) != set(OfferKind):
            raise StepFailed(f"the case offers {sorted(found)}")

    def _event(self, shape: str, account: str) -> Callable[[], None]:
        """A finding of another service about an instance of its own, known to that service, with its case."""

        def prepare() -> None:
            web = dict(self.lab.facts["instances"]["web-server"])
            web["arn"] = web["arn"].rpartition("/")[0] + f"/i-{len(self.findings):017x}"
            document = finding(web, title="Command and control")
            event = getattr(finding_events, shape)(document)
            if shape == "asff":
                self.lab.client("securityhub", account).batch_import_findings(Findings=[document])
            else:
                put(self.lab, event, account)
            self.findings[shape] = event

        return prepare

    def _write_back(self, name: str) -> Callable[[], None]:
        """What the first and the last step of a case do with its finding; those note a refusal and go on."""

        def write() -> None:
            intake = read_event(
                json.dumps(self.findings[name]), received_at=datetime.now(UTC), administrators=(SECURITY_ACCOUNT,)
            )
            (item,) = intake.findings
            case = admit(item, received_at=datetime.now(UTC)).case
            write_back(case).annotate(item, text="is being worked", stage=WriteBackStage.RESOLVED)

        return write

    def _containment(self) -> Iterator[Step]:
        """What does all it can whatever one call answers shows only on a fresh target what is missing."""
        yield Step("forensic_case.triage.plan_response (tags of accounts)", self._scoped, renew=self._fresh)
        isolate = self._on("fresh", "isolate_target", IsolateTargetOperator)
        yield Step("forensic_case.isolate_target (fresh target)", isolate, renew=self._fresh)
        release = self._on("fresh", "release_target", ReleaseTargetOperator)
        yield Step("forensic_release.plan_release (fresh target)", self._plan_release("fresh"), renew=self._contained)
        yield Step("forensic_release.release_target (fresh target)", release, renew=self._approved)

    def _scoped(self) -> None:
        """The plan under a policy whose scope names tags of accounts and units."""
        lines = [{"kind": kind, "value": "forensics:respond"} for kind in ("account_tag", "organizational_unit_tag")]
        policy = packaged().policy.model_copy(update={"scope": Scope.model_validate({"isolate": lines})})
        with patch.object(isolation_guard, "packaged", lambda: replace(packaged(), policy=policy)):
            self._on("fresh", "triage.plan_response", PlanResponseOperator)()

    def _fresh(self) -> None:
        cell = Cell(interfaces=2, v6=False, address=True, group=True, role="own", running=True)
        self.targets["fresh"] = self.world.make(cell)
        self._balance("fresh")
        self._opening("fresh", actions="isolate")()
        for step, kind in TRIAGE:
            self._on("fresh", step, kind)()

    def _contained(self) -> None:
        self._fresh()
        self._on("fresh", "isolate_target", IsolateTargetOperator)()

    def _approved(self) -> None:
        self._contained()
        self._plan_release("fresh")()
