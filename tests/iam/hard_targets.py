"""Targets with everything that can be taken from one, and a snapshot that nobody of the product made."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from airflow.sdk.exceptions import TaskDeferred

from forensics.containment.operators import IsolateTargetOperator, PlanContainmentOperator
from forensics.containment.release_operators import ReleaseTargetOperator
from forensics.disk.copy_operators import CopySnapshotsOperator
from forensics.intake.operators import OpenCaseOperator
from forensics.models.plan import Order
from lab.accounts import REGION
from tests.containment.steps import context
from tests.containment.world import Cell
from tests.iam.flow import DISKS, TRIAGE
from tests.iam.steps import Cases, Step, StepFailed
from tests.integration.steps import perform


class HardTargets(Cases):
    """Cases of targets with disks of every kind, balancers and groups of their own."""

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
        yield Step("forensic_case.open_case (snapshot)", self._open_snapshot, renew=self._old_snapshot)
        for step, kind in TRIAGE + DISKS:
            yield Step(f"forensic_case.{step} (snapshot)", self._on("snapshot", step, kind))

    def _old_snapshot(self) -> None:
        web = self.lab.facts["instances"]["web-server"]
        self.snapshot = str(self.world.ec2.create_snapshot(VolumeId=next(iter(web["volumes"].values())))["SnapshotId"])
        self.world.ec2.get_waiter("snapshot_completed").wait(SnapshotIds=[self.snapshot], WaiterConfig={"Delay": 1})

    def _open_snapshot(self) -> None:
        found = self.snapshot
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

    def _fresh_disks(self) -> None:
        """Every kind of disk, snapshotted and not copied yet: what one try has shared or copied, no other asks for again."""
        cell = Cell(interfaces=1, v6=False, address=False, group=False, role="own", running=True)
        self.targets["disks"] = made = self.world.make(cell)
        self._encrypted_disks(made)
        self._opening("disks", actions="disk")()
        for step, kind in (*TRIAGE, DISKS[0]):
            self._on("disks", step, kind)()

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
