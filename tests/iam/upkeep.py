"""What goes on beside cases: intake of the unusual, audit, retention, export, reaper, AMI, preflight."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from airflow.sdk.exceptions import TaskAwaitingInput

from forensics.aws import session as aws_session
from forensics.aws.hook import ForensicsHook
from forensics.case.audit_operators import AuditCaseOperator
from forensics.case.retention_operators import KeepEvidenceOperator
from forensics.intake.engine import IntakeEngine
from forensics.intake.redrive_operators import RedriveFindingsOperator
from forensics.investigation.ami_operators import BuildForensicAmiOperator
from forensics.investigation.instance_operators import (
    AttachEvidenceVolumesOperator,
    LaunchForensicInstanceOperator,
)
from forensics.investigation.reaper_operators import ReapOrphansOperator
from forensics.models.case import CaseStatus
from forensics.models.finding import CustomAction, Severity
from forensics.models.intake import FindingWithoutInstance, SubjectKind
from forensics.preflight.age_operators import MeasureAgesOperator
from forensics.preflight.operators import RunPreflightOperator
from forensics.preflight.readiness import readiness
from forensics.preflight.scope import PreflightScope
from forensics.report.bundle_operators import ExportCaseOperator
from forensics.report.hold_operators import LIFT, LiftHoldsOperator, PlanHoldLiftOperator
from lab.progress import wait_until
from lab.scenarios.preflight_lab import Deployment, prepared
from tests.containment.steps import answer, context
from tests.gateways import case_store, finding_queue, intake_gateways
from tests.iam.steps import Cases, Step, StepFailed
from tests.integration.steps import perform
from tests.integration.test_instance_resolver import (
    about_task,
    config,
    task_on,
    test_credentials_used_in_another_region_lead_to_the_region_of_their_instance,
)
from tests.storm.handlers import FileWork


class Upkeep(Cases):
    """What timers and people do in weeks, once."""

    def _upkeep(self) -> Iterator[Step]:
        yield Step("finding_intake.instance_of_a_resource", self._resolve)
        yield Step("finding_intake.answers_what_names_no_instance", self._tell, self._snapshot, self._press)
        yield Step("finding_intake.keeps_findings_hidden", self._keep_hidden)
        yield Step("finding_intake.quarantine", self._quarantine, renew=self._unreadable)
        yield Step("finding_redrive.redrive_findings", self._redrive, renew=self._dead_letter)
        yield Step("evidence_audit.audit_case", self._on("finding", "audit_case", AuditCaseOperator))
        yield Step("evidence_retention.keep_evidence", self._on("finding", "keep_evidence", KeepEvidenceOperator))
        yield Step("evidence_hold_lift.plan_hold_lift", self._plan_hold_lift("finding"))
        yield Step("evidence_hold_lift.lift_holds", self._on("finding", "lift_holds", LiftHoldsOperator))
        yield Step("case_export.export_case", self._on("finding", "export_case", ExportCaseOperator))
        yield Step("orphan_reaper.reap_orphans", self._reap, self._orphan)
        # last: the lab's machines start from the AMI that it was seeded with
        yield Step("forensic_ami_build.build_forensic_ami", self._build_ami)
        yield Step("forensic_preflight.run_preflight", self._preflight, self._deployment_is_ready)
        yield Step("forensic_preflight.list_readiness", self._readiness)
        yield Step("forensic_preflight.measure_ages", self._ages)

    def _plan_hold_lift(self, name: str) -> Callable[[], None]:
        def plan() -> None:
            step = PlanHoldLiftOperator(
                task_id="plan_hold_lift", case_id=self.cases[name], reason="the matter is over", requester="alice"
            )
            try:
                step.execute(context(step))
            except TaskAwaitingInput:
                step.execute_complete(context(step), answer(LIFT))
                return
            msg = "lifting the holds did not ask for approval"
            raise StepFailed(msg)

        return plan

    def _resolve(self) -> None:
        web = self.lab.facts["instances"]["web-server"]
        for kind, resource in (
            ("AWS::EC2::Volume", next(iter(web["volumes"].values()))),
            ("AWS::EC2::NetworkInterface", web["interfaces"][0]),
            ("AWS::EC2::SecurityGroup", web["security_groups"][0]),
        ):
            config(self.lab, kind, resource)
        task = self.ecs_task or task_on(self.lab, "web-server")
        self.ecs_task = task
        if not about_task(self.lab, task).findings:
            raise StepFailed("the task did not lead to its instance: people are told of it")
        # credentials of the instance that are used elsewhere: its Region has to be found
        test_credentials_used_in_another_region_lead_to_the_region_of_their_instance(self.lab)

    def _snapshot(self) -> None:
        web = self.lab.facts["instances"]["web-server"]
        volume = next(iter(web["volumes"].values()))
        made = self.lab.client("ec2", "member").create_snapshot(VolumeId=volume)
        self.artifact = str(made["SnapshotId"])

    def _press(self) -> None:
        """Somebody presses the button; what is tried again is the same message."""
        self.presses = {kind: uuid.uuid4().hex for kind in ("snapshot", "image")}

    def _tell(self) -> None:
        """People are told of a snapshot and an image; a look-up that is refused is said in the message and stops nothing."""
        web = self.lab.facts["instances"]["web-server"]
        (described,) = self.lab.client("ec2", "member").describe_instances(InstanceIds=[web["instance_id"]])[
            "Reservations"
        ]
        for kind, name in (("snapshot", self.artifact), ("image", described["Instances"][0]["ImageId"])):
            item = FindingWithoutInstance(
                finding_id=name, title="Malware", severity=Severity.HIGH, account_id=web["account"], region="eu-central-1",
                kind=SubjectKind.SNAPSHOT, resource=f"arn:aws:ec2:eu-central-1:{web['account']}:{kind}/{name}",
                action=CustomAction.TRIAGE, press=self.presses[kind],
            )  # fmt: skip
            told = intake_gateways().announcer.answer(item, at=datetime.now(UTC))
            if web["instance_id"] not in told.reason and "told before" not in told.reason:
                raise StepFailed(told.reason)

    def _keep_hidden(self) -> None:
        """A finding that takes longer stays hidden; each try has a message of its own, which is quarantined afterwards."""
        self.lab.client("sqs").send_message(QueueUrl=self.lab.facts["queue_url"], MessageBody="{")
        queue = finding_queue()
        found = queue.receive(visibility=1)
        refused = queue.hide([m["ReceiptHandle"] for m in found], seconds=0)
        if refused or not found:
            msg = f"{len(found)} messages were taken, not kept: {refused}"
            raise StepFailed(msg)

    def _unreadable(self) -> None:
        queue = self.lab.facts["queue_url"]
        self.lab.client("sqs").send_message(QueueUrl=queue, MessageBody='{"source": "forensics.manual", "detail')

    def _quarantine(self) -> None:
        """A message that nobody can read goes to the dead-letter queue."""
        sqs, facts = self.lab.client("sqs"), self.lab.facts
        hook = ForensicsHook()
        IntakeEngine(finding_queue(), FileWork(hook, self.folder), urgent_rank=2, visibility=1).run(
            seconds=4.0, linger=1.5
        )
        arrived = sqs.get_queue_attributes(
            QueueUrl=facts["dead_letter_queue_url"], AttributeNames=["ApproximateNumberOfMessages"]
        )["Attributes"]
        if not int(arrived["ApproximateNumberOfMessages"]):
            msg = "nothing arrived in the dead-letter queue"
            raise StepFailed(msg)

    def _dead_letter(self) -> None:
        """One more for each try: those that an earlier one has looked at stay hidden for a while."""
        queue = self.lab.facts["dead_letter_queue_url"]
        self.lab.client("sqs").send_message(QueueUrl=queue, MessageBody="{")

    def _redrive(self) -> None:
        moved = perform(RedriveFindingsOperator(task_id="redrive_findings"), params={"limit": 10, "quarantined": True})
        if not moved["moved"] and moved["left"]:
            msg = f"no dead letter was moved: {moved}"
            raise StepFailed(msg)

    def _build_ami(self) -> None:
        perform(BuildForensicAmiOperator(task_id="build_forensic_ami"), run_id="manual__iam")

    def _deployment_is_ready(self) -> None:
        """What a person does after a deployment, and a test event that has come."""
        prepared(Deployment(self.lab.endpoint, self.lab.facts))

    def _preflight(self) -> None:
        aws_session.forget()
        perform(RunPreflightOperator(task_id="run_preflight", part="quick", account_id="", region="", instance_id=""))

    def _readiness(self) -> None:
        """An account that could not be looked at is named, not raised."""
        report = readiness(PreflightScope(ForensicsHook(), run="iam"))
        if report.problems:
            raise StepFailed("; ".join(report.problems))

    def _ages(self) -> None:
        perform(MeasureAgesOperator(task_id="measure_ages"))

    def _orphan(self) -> None:
        """An instance and a volume of a case that has ended."""
        perform(LaunchForensicInstanceOperator(task_id="launch"), case_id=self.cases["full group"])
        perform(AttachEvidenceVolumesOperator(task_id="attach"), case_id=self.cases["full group"])
        case_store().update_case(
            self.cases["full group"], status=CaseStatus.CLOSED, closed_at=datetime.now(UTC) + timedelta(seconds=1)
        )

    def _reap(self) -> None:
        """Twice: volumes can go only when their instance is gone."""
        ec2, case_id = self.lab.client("ec2"), self.cases["full group"]
        held = [{"Name": "tag:forensics:case", "Values": [case_id]}, {"Name": "status", "Values": ["in-use"]}]
        ReapOrphansOperator(task_id="reap_orphans").execute({})
        wait_until(
            lambda: not ec2.describe_volumes(Filters=held)["Volumes"], what="the orphan's volumes to be detached"
        )
        ReapOrphansOperator(task_id="reap_orphans").execute({})
