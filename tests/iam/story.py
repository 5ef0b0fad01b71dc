"""The product's steps in the order of three cases, each able to be tried again, with what it needs made beforehand."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import requests
from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import TaskAwaitingInput, TaskDeferred

from forensics.aws import session as aws_session
from forensics.aws.hook import ForensicsHook
from forensics.case.audit_operators import AuditCaseOperator
from forensics.case.remarks import Author
from forensics.case.retention_operators import KeepEvidenceOperator
from forensics.containment.operators import IsolateTargetOperator, PlanContainmentOperator
from forensics.containment.release_operators import RELEASE, ReleaseTargetOperator
from forensics.disk.copy_operators import CopySnapshotsOperator
from forensics.intake.engine import IntakeEngine
from forensics.intake.operators import OpenCaseOperator
from forensics.intake.readers import read_event
from forensics.intake.redrive_operators import RedriveFindingsOperator
from forensics.intake.write_back import WriteBackStage
from forensics.investigation.ami_operators import BuildForensicAmiOperator
from forensics.investigation.instance_operators import (
    AttachEvidenceVolumesOperator,
    LaunchForensicInstanceOperator,
)
from forensics.investigation.reaper_operators import ReapOrphansOperator
from forensics.models.approval import Person
from forensics.models.case import CaseStatus
from forensics.models.finding import CustomAction, Severity
from forensics.models.intake import FindingWithoutInstance, SubjectKind
from forensics.models.plan import Order
from forensics.models.policy import Scope
from forensics.models.remarks import RemarkKind, RemarkRequest
from forensics.preflight.age_operators import MeasureAgesOperator
from forensics.preflight.operators import RunPreflightOperator
from forensics.preflight.readiness import readiness
from forensics.preflight.scope import PreflightScope
from forensics.report.bundle_operators import ExportCaseOperator
from forensics.report.downloads import OfferKind, offers
from forensics.report.hold_operators import LIFT, LiftHoldsOperator, PlanHoldLiftOperator
from forensics.triage import isolation_guard
from forensics.triage.operators import PlanResponseOperator
from forensics.triage.policy import packaged
from forensics.web.downloads import StoreLinkMaker
from forensics.web.reader import StoreReader
from forensics.web.remarks import StoreRemarkWriter
from lab.accounts import REGION, SECURITY_ACCOUNT
from lab.progress import wait_until
from lab.scenarios import finding_events
from lab.scenarios.driver import finding
from lab.scenarios.preflight_lab import Deployment, prepared
from tests.containment.steps import answer, context, plan_release
from tests.containment.world import Cell, Made, World
from tests.gateways import admit, case_store, finding_queue, intake_gateways, write_back
from tests.iam.flow import CASE, DISKS, TRIAGE
from tests.integration.conftest import SmallLab
from tests.integration.steps import perform
from tests.integration.test_instance_resolver import (
    about_task,
    config,
    task_on,
    test_credentials_used_in_another_region_lead_to_the_region_of_their_instance,
)
from tests.integration.test_write_back import put
from tests.storm.handlers import FileWork

PIPELINE = "arn:aws:imagebuilder:eu-central-1:222233334444:image-pipeline/forensics"


class StepFailed(Exception):
    """A step ended without what it is for."""


@dataclass(frozen=True)
class Step:
    """One step. ``prepare`` is done once before, ``renew`` before each try: what a step does halfway stays done."""

    name: str
    run: Callable[[], Any]
    prepare: Callable[[], None] = lambda: None
    renew: Callable[[], None] = lambda: None


@dataclass
class Story:
    """What is known of the cases so far."""

    lab: SmallLab
    world: World
    folder: Path
    cases: dict[str, str] = field(default_factory=dict)
    targets: dict[str, Made] = field(default_factory=dict)
    findings: dict[str, dict[str, Any]] = field(default_factory=dict)
    artifact: str = ""
    ecs_task: str = ""

    def steps(self) -> Iterator[Step]:
        """Every step of the product that calls AWS."""
        yield from self._finding_case()
        yield from self._hardest_targets()
        yield from self._snapshot_case()
        yield from self._upkeep()

    # ------------------------------------------------------------------ one case by a finding, all of it
    def _finding_case(self) -> Iterator[Step]:
        yield Step("finding_intake.receive_findings", self._intake, self._import)
        yield Step("finding_intake.joins_a_case", self._join)
        yield Step("finding_intake.waits_for_findings", lambda: finding_queue().depth())
        # the steps of a case note a refused annotation and go on; here it is seen for itself
        for shape, account in (("asff", "security"), ("guardduty", "member"), ("ocsf", "security")):
            yield Step(f"write back ({shape})", self._write_back(shape), self._event(shape, account))
        yield from self._containment()
        for name, kind in CASE:
            yield Step(f"forensic_case.{name}", self._on("finding", name, kind))
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

    def _case_of(self, instance: str) -> str | None:
        pages = self.lab.client("dynamodb").get_paginator("scan").paginate(TableName=self.lab.facts["case_table"])
        items = (i for page in pages for i in page["Items"] if i["SK"]["S"] == "META")
        return next((i["data"]["M"]["case_id"]["S"] for i in items if instance in json.dumps(i)), None)

    def _on(self, case: str, name: str, kind: type[BaseOperator]) -> Callable[[], Any]:
        return lambda: perform(kind(task_id=name), case_id=self.cases[case])

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

    # ------------------------------------------------------------------ a target of its own for every try
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

    # ------------------------------------------------------------------ targets with everything that can be taken from one
    def _hardest_targets(self) -> Iterator[Step]:
        copy = self._on("disks", "copy_snapshots", CopySnapshotsOperator)
        yield Step("forensic_case.disk.copy_snapshots (fresh disks)", copy, renew=self._fresh_disks)
        for name in ("full group", "group with room"):
            yield Step(f"forensic_case.open_case ({name})", self._opening(name), self._making(name))
            for step, kind in TRIAGE + (DISKS if name == "full group" else ()):
                yield Step(f"forensic_case.{step} ({name})", self._on(name, step, kind))
            yield Step(f"forensic_case.plan_containment ({name})", self._planning(name), self._contain_first(name))
            yield Step(
                f"forensic_case.isolate_target ({name})", self._on(name, "isolate_target", IsolateTargetOperator)
            )
            yield Step(f"forensic_release.plan_release ({name})", self._plan_release(name))
            yield Step(
                f"forensic_release.release_target ({name})", self._on(name, "release_target", ReleaseTargetOperator)
            )

    def _snapshot_case(self) -> Iterator[Step]:
        """A snapshot that was there before: nothing of it carries the case's tag."""
        yield Step("forensic_case.open_case (snapshot)", self._open_snapshot)
        for step, kind in TRIAGE + DISKS:
            yield Step(f"forensic_case.{step} (snapshot)", self._on("snapshot", step, kind))

    def _open_snapshot(self) -> None:
        web = self.lab.facts["instances"]["web-server"]
        found = self.world.ec2.create_snapshot(VolumeId=next(iter(web["volumes"].values())))["SnapshotId"]
        self.world.ec2.get_waiter("snapshot_completed").wait(SnapshotIds=[found], WaiterConfig={"Delay": 1})
        given = {
            "account_id": self.lab.facts["accounts"]["member"], "region": REGION, "instance_id": found, "actions": "disk",
            "reason": "least privilege", "requester": "alice",
        }  # fmt: skip
        self.cases["snapshot"] = perform(OpenCaseOperator(task_id="open_case"), params=given, run_id=f"manual__{found}")

    def _making(self, name: str) -> Callable[[], None]:
        def make() -> None:
            made = self.world.make(Cell(interfaces=2, v6=False, address=True, group=True, role="own", running=True))
            self.targets[name] = made
            self._balance(name)
            if name == "full group":
                self._encrypted_disks(made)

        return make

    def _encrypted_disks(self, made: Made) -> None:
        """Disks under EBS's own key, a key of the account, and one of another account."""
        foreign = self._key("security", for_account="member")
        kinds = ({}, {"KmsKeyId": self._key("member")}, {"KmsKeyId": foreign})
        for device, more in zip("fgh", kinds, strict=True):
            self._add_volume(made.instance_id, f"/dev/sd{device}", **more)

    def _fresh_disks(self) -> None:
        """Every kind of disk, snapshotted and not copied yet: what one try has shared or copied, no other asks for again."""
        cell = Cell(interfaces=1, v6=False, address=False, group=False, role="own", running=True)
        self.targets["disks"] = made = self.world.make(cell)
        self._encrypted_disks(made)
        self._opening("disks", actions="disk")()
        for step, kind in (*TRIAGE, DISKS[0]):
            self._on("disks", step, kind)()

    def _balance(self, name: str) -> None:
        """Register the target with a load balancer of the first generation."""
        classic, instance = self.world.clients["elb"], self.targets[name].instance_id
        listener = {"Protocol": "HTTP", "LoadBalancerPort": 80, "InstancePort": 80}
        label = f"lb-{instance[-12:]}"
        classic.create_load_balancer(LoadBalancerName=label, Listeners=[listener], AvailabilityZones=[f"{REGION}a"])
        classic.register_instances_with_load_balancer(LoadBalancerName=label, Instances=[{"InstanceId": instance}])

    def _key(self, account: str, *, for_account: str = "") -> str:
        kms, accounts = self.lab.client("kms", account), self.lab.facts["accounts"]
        users = [accounts[a] for a in (account, for_account) if a]
        allowed = [
            {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{u}:root"}, "Action": "kms:*", "Resource": "*"}
            for u in users
        ]
        policy = json.dumps({"Version": "2012-10-17", "Statement": allowed})
        return str(kms.create_key(Policy=policy)["KeyMetadata"]["Arn"])

    def _add_volume(self, instance: str, device: str, **more: str) -> None:
        ec2 = self.world.ec2
        # a volume is attached to nothing that is still starting
        ec2.get_waiter("instance_running").wait(InstanceIds=[instance], WaiterConfig={"Delay": 1, "MaxAttempts": 30})
        described = ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
        volume = ec2.create_volume(
            AvailabilityZone=described["Placement"]["AvailabilityZone"], Size=1, VolumeType="gp3", Encrypted=True, **more
        )["VolumeId"]  # fmt: skip
        ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device=device)

    def _opening(self, name: str, *, actions: str = "disk+isolate") -> Callable[[], None]:
        def open_case() -> None:
            target = self.targets[name].instance_id
            given = {
                "account_id": self.lab.facts["accounts"]["member"], "region": REGION, "instance_id": target,
                "actions": actions, "reason": "least privilege", "requester": "alice",
            }  # fmt: skip
            self.cases[name] = perform(OpenCaseOperator(task_id="open_case"), params=given, run_id=f"manual__{target}")

        return open_case

    def _contain_first(self, name: str) -> Callable[[], None]:
        """The order in which only the endpoints stay reachable until the acquisition has ended."""

        def prepare() -> None:
            ec2, vpc, subnet = self.world.ec2, self.world.vpc, self.world.subnet
            if not ec2.describe_vpc_endpoints(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["VpcEndpoints"]:
                group = ec2.create_security_group(GroupName="endpoints", Description="x", VpcId=vpc)["GroupId"]
                for service in ("ssm", "ssmmessages"):
                    ec2.create_vpc_endpoint(
                        VpcEndpointType="Interface", VpcId=vpc, ServiceName=f"com.amazonaws.{REGION}.{service}",
                        SecurityGroupIds=[group], SubnetIds=[subnet],
                    )  # fmt: skip
                ec2.create_vpc_endpoint(VpcEndpointType="Gateway", VpcId=vpc, ServiceName=f"com.amazonaws.{REGION}.s3")
            self._as_administrator(name)

        return prepare

    def _as_administrator(self, name: str) -> None:
        """A responder orders containment first: the plan's item is changed in the table."""
        table, key = self.lab.facts["case_table"], {"PK": {"S": f"CASE#{self.cases[name]}"}, "SK": {"S": "PLAN"}}
        self.lab.client("dynamodb").update_item(
            TableName=table, Key=key, UpdateExpression="SET #d.#o = :o",
            ExpressionAttributeNames={"#d": "data", "#o": "order"},
            ExpressionAttributeValues={":o": {"S": Order.CONTAIN_FIRST.value}},
        )  # fmt: skip

    def _planning(self, name: str) -> Callable[[], None]:
        def plan() -> None:
            step = PlanContainmentOperator(task_id="containment.plan_containment")
            step.case_id = self.cases[name]
            try:
                step.execute(context(step))
            except TaskDeferred:
                return  # it watches the acquisition from here
            msg = "the planning step did not wait for the acquisition"
            raise StepFailed(msg)

        return plan

    def _plan_release(self, name: str) -> Callable[[], None]:
        def plan() -> None:
            step = plan_release(self.cases[name], reason="false alarm", requester="alice")
            try:
                step.execute(context(step))
            except TaskAwaitingInput:
                step.execute_complete(context(step), answer(RELEASE))
                return
            msg = "the release did not ask for approval"
            raise StepFailed(msg)

        return plan

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

    # ------------------------------------------------------------------ what goes on beside cases
    def _upkeep(self) -> Iterator[Step]:
        yield Step("finding_intake.instance_of_a_resource", self._resolve)
        yield Step("finding_intake.answers_what_names_no_instance", self._tell, self._snapshot)
        yield Step("finding_intake.keeps_findings_hidden", self._keep_hidden)
        yield Step("finding_intake.quarantine", self._quarantine)
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
                action=CustomAction.TRIAGE, press=uuid.uuid4().hex,
            )  # fmt: skip
            told = intake_gateways().announcer.answer(item, at=datetime.now(UTC))
            if web["instance_id"] not in told.reason:
                raise StepFailed(told.reason)

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

    def _keep_hidden(self) -> None:
        """A finding that takes longer stays hidden; each try has a message of its own, which is quarantined afterwards."""
        self.lab.client("sqs").send_message(QueueUrl=self.lab.facts["queue_url"], MessageBody="{")
        queue = finding_queue()
        found = queue.receive(visibility=1)
        refused = queue.hide([m["ReceiptHandle"] for m in found], seconds=0)
        if refused or not found:
            msg = f"{len(found)} messages were taken, not kept: {refused}"
            raise StepFailed(msg)

    def _quarantine(self) -> None:
        """A message that nobody can read goes to the dead-letter queue."""
        sqs, facts = self.lab.client("sqs"), self.lab.facts
        sqs.send_message(QueueUrl=facts["queue_url"], MessageBody='{"source": "forensics.manual", "detail')
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

    def forgive(self) -> None:
        """A message that could not be sent stays a gap of its case: rightly, but it was taken away on purpose."""
        db, table = self.lab.client("dynamodb"), self.lab.facts["case_table"]
        for page in db.get_paginator("scan").paginate(TableName=table, ProjectionExpression="PK, SK"):
            for key in page["Items"]:
                if key["SK"]["S"].startswith("FAILURE#notify:"):
                    db.delete_item(TableName=table, Key=key)

    def _redrive(self) -> None:
        moved = perform(RedriveFindingsOperator(task_id="redrive_findings"), params={"limit": 10, "quarantined": True})
        if not moved["moved"]:
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
