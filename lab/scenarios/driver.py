"""Drives the lab from outside: sends a finding, watches a case, reads its records.

Used by the demo, the end-to-end tests and the benchmark. Nothing here reaches into the product's processes: only
Security Hub, EventBridge, DynamoDB, S3 and Airflow's REST API are used.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import requests

from forensics.aws.case_store import CaseStore
from forensics.aws.s3 import EvidenceStore
from forensics.case.view import read_view
from forensics.models.case import Case, CaseView
from lab.accounts import MEMBER_ACCOUNT, SECURITY_ACCOUNT
from lab.progress import ProgressWatch, wait_until
from lab.seed.accounts import Account
from lab.stack.stack import Stack

DONE = frozenset({"success", "failed"})
TASK_DONE = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
COMMAND_DONE = frozenset({"Success", "Failed", "Cancelled", "TimedOut"})
# How often a wait for a run looks at everything that moves.
LOOK_SECONDS = 5.0


class DriverError(RuntimeError):
    """The lab or Airflow refused what was asked of it; the message says what and why."""


def finding(instance: dict[str, Any], *, title: str, label: str = "HIGH", kind: str = "") -> dict[str, Any]:
    """A GuardDuty finding about an instance as Security Hub imports it (ASFF)."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    region, account = instance["region"], instance["account"]
    detector = f"arn:aws:guardduty:{region}:{account}:detector/12abc34d567e8fa901bc2d34e56789f0"
    return {
        "SchemaVersion": "2018-10-08",
        "Id": f"{detector}/finding/{uuid.uuid4().hex}",
        "ProductArn": f"arn:aws:securityhub:{region}::product/aws/guardduty",
        "GeneratorId": detector,
        "AwsAccountId": account,
        "Types": [kind or "TTPs/Command and Control/Backdoor:EC2-C&CActivity.B"],
        "FirstObservedAt": now,
        "LastObservedAt": now,
        "CreatedAt": now,
        "UpdatedAt": now,
        "Severity": {"Product": 8, "Label": label, "Normalized": 70},
        "Title": title,
        "Description": "The instance talks to an address that is known for command and control.",
        "ProductFields": {"aws/guardduty/service/resourceRole": "ACTOR"},
        "Resources": [{"Type": "AwsEc2Instance", "Id": instance["arn"], "Partition": "aws", "Region": region}],
        "RecordState": "ACTIVE",
        "Workflow": {"Status": "NEW"},
    }


@dataclass
class Lab:
    """A running stack, seen from outside."""

    stack: Stack
    _members: dict[str, Account] = field(default_factory=dict)

    @property
    def facts(self) -> dict[str, Any]:
        """Every id of the seeded lab (``lab.json``)."""
        return self.stack.lab

    def account(self, account_id: str) -> Account:
        """Clients of an account."""
        return self._members.setdefault(account_id, Account(account_id, self.stack.lab_endpoint))

    @property
    def forensic(self) -> Account:
        """The forensic account."""
        return self.account(self.facts["accounts"]["forensic"])

    @property
    def member(self) -> Account:
        """The account of the targets."""
        return self.account(MEMBER_ACCOUNT)

    def instance(self, name: str) -> dict[str, Any]:
        """A target of the lab by name."""
        return dict(self.facts["instances"][name])

    # ------------------------------------------------------------------ making things happen
    def import_finding(self, document: dict[str, Any]) -> str:
        """Import a finding into Security Hub in the security account; EventBridge does the rest. Returns its id."""
        hub = self.account(SECURITY_ACCOUNT).client("securityhub")
        answer = hub.batch_import_findings(Findings=[document])
        if answer["FailedCount"]:
            msg = f"Security Hub refused the finding: {answer['FailedFindings']}"
            raise DriverError(msg)
        return str(document["Id"])

    def control(self, route: str, body: Any = None) -> Any:
        """Talk to the lab's own routes; a body is posted."""
        url = f"{self.stack.lab_endpoint}/_lab/{route}"
        answer = requests.post(url, json=body, timeout=120) if body is not None else requests.get(url, timeout=120)
        answer.raise_for_status()
        return answer.json()

    def trigger(self, conf: dict[str, Any], *, run_id: str | None = None) -> dict[str, Any]:
        """Start ``forensic_case`` manually, as the UI's form does."""
        body = {"conf": conf, "logical_date": None, **({"dag_run_id": run_id} if run_id else {})}
        answer = requests.post(
            f"{self.stack.api_url}/api/v2/dags/forensic_case/dagRuns",
            json=body,
            headers={"Authorization": f"Bearer {self.stack.token()}"},
            timeout=120,
        )
        if not answer.ok:
            msg = f"Airflow refused the run ({answer.status_code}): {answer.text[:500]}"
            raise DriverError(msg)
        return dict(answer.json())

    # ------------------------------------------------------------------ looking
    def mail(self) -> list[dict[str, Any]]:
        """SNS messages published so far."""
        got = self.control("mail")
        return list(got["mail"])

    def runs(self) -> list[dict[str, Any]]:
        """All runs of ``forensic_case``."""
        return list(self.stack.api.get("dags/forensic_case/dagRuns", limit=100)["dag_runs"])

    def run(self, run_id: str) -> dict[str, Any]:
        """One run."""
        return self.stack.api.get(f"dags/forensic_case/dagRuns/{run_id}")

    def tasks(self, run_id: str) -> dict[str, dict[str, Any]]:
        """Task instances of a run by task id."""
        return {t["task_id"]: t for t in self._task_instances(run_id)}

    def store(self) -> CaseStore:
        """The case store, read with boto3."""
        return CaseStore(self.forensic.client("dynamodb"), table=self.facts["case_table"])

    def evidence(self) -> EvidenceStore:
        """The evidence store, read with boto3."""
        return EvidenceStore(
            self.forensic.client("s3"),
            bucket=self.facts["evidence_bucket"],
            owner=self.facts["accounts"]["forensic"],
            kms_key=self.facts["evidence_key_arn"],
            mode="GOVERNANCE",
            retention_days=1,
        )

    def case_of(self, instance_id: str, *, not_before: datetime | None = None) -> Case | None:
        """The newest case of an instance."""
        cases, _ = self.store().list_cases(limit=100)
        mine = [c for c in cases if c.instance_id == instance_id and (not_before is None or c.opened_at >= not_before)]
        return mine[0] if mine else None

    def view(self, case_id: str) -> CaseView:
        """The whole case."""
        view = read_view(self.store(), self.evidence(), case_id)
        if view is None:
            msg = f"case {case_id} is not in table {self.facts['case_table']}"
            raise DriverError(msg)
        return view

    # ------------------------------------------------------------------ waiting
    def progress(self, *run_ids: str, dag_id: str = "forensic_case") -> dict[str, Any]:
        """Everything that moves: states and tries of the runs' tasks, SSM commands, the queue, the hosts' processor time."""
        activity = self.control("activity")
        seen: dict[str, Any] = {"findings in the queue": self.queued(), **activity["commands"]}
        for run_id in run_ids:
            seen[f"run {run_id}"] = self._run_state(run_id, dag_id=dag_id)
            for task in self._task_instances(run_id, dag_id=dag_id):
                mapped = f"[{task['map_index']}]" if task["map_index"] >= 0 else ""
                seen[f"{task['task_id']}{mapped} of {run_id}"] = f"{task['state']} (try {task['try_number']})"
        return {**seen, "the hosts' programs": f"{activity['host_cpu_seconds']:.2f} s of processor time"}

    def queued(self, queue: str = "queue_url") -> int:
        """Messages in a queue of ``lab.json``, those included that a consumer has taken."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        sqs = self.forensic.client("sqs")
        answer = sqs.get_queue_attributes(QueueUrl=self.facts[queue], AttributeNames=names)
        return sum(int(value) for value in answer["Attributes"].values())

    def wait_intake(self) -> None:
        """Wait until the intake listens: its task is deferred to the triggerer. Raises StandstillError."""
        path = "dags/finding_intake/dagRuns/~/taskInstances"

        def states() -> dict[str, str]:
            self.stack.check()
            tasks = self.stack.api.get(path, limit=100)["task_instances"]
            return {
                f"{t['task_id']} of {t['dag_run_id']}": str(t["state"]) for t in tasks if t["state"] not in TASK_DONE
            }

        wait_until(
            lambda: "deferred" in states().values(),
            what="finding_intake to listen (its task deferred; see its log in the UI)",
            progress=states,
        )

    def wait_online(self, instance_ids: list[str]) -> None:
        """Wait until SSM reaches every one of these targets. Raises StandstillError."""
        ssm = self.member.client("ssm")

        def missing() -> list[str]:
            known = ssm.get_paginator("describe_instance_information").paginate().build_full_result()
            online = {i["InstanceId"] for i in known["InstanceInformationList"] if i["PingStatus"] == "Online"}
            return sorted(set(instance_ids) - online)

        wait_until(lambda: not missing(), what="the SSM agents of all targets to be online", progress=missing)

    def wait_case(self, instance_id: str, *, not_before: datetime | None = None) -> Case:
        """Wait until the instance has a case and return it. Raises StandstillError."""

        def found() -> Case | None:
            self.stack.check()
            return self.case_of(instance_id, not_before=not_before)

        case = wait_until(
            found, what=f"a case of {instance_id} (see finding_intake's task log)", progress=self.progress
        )
        assert case is not None  # what a wait returns is true
        return case

    def wait_plan(self, case_id: str) -> None:
        """Wait until triage has made the case's plan. Raises StandstillError."""

        def planned() -> bool:
            self.stack.check()
            return self.store().has(case_id, "PLAN")

        wait_until(
            planned,
            what=f"the plan of case {case_id} (see the log of triage.plan_response)",
            progress=lambda: self.progress(case_id),
            finished=has_ended,
        )

    def wait_task(self, dag_id: str, run_id: str, task_id: str, *states: str) -> str:
        """Wait until a task is in one of the states and return that. Raises StandstillError."""

        def state() -> str:
            self.stack.check()
            found = [t for t in self._task_instances(run_id, dag_id=dag_id) if t["task_id"] == task_id]
            return str(found[0]["state"]) if found and found[0]["state"] in states else ""

        return wait_until(
            state,
            what=f"{dag_id}.{task_id} of {run_id} to be {' or '.join(states)}",
            progress=lambda: self.progress(run_id, dag_id=dag_id),
            finished=has_ended,
            pause=0.5,
        )

    def watch(self, run_id: str) -> Iterator[tuple[str, str, float]]:
        """Yield (task id, state, seconds since the call) for every change until the run has ended.

        Raises StandstillError when neither the run's tasks nor anything in the lab moves any more.
        """
        began, seen = time.monotonic(), dict[str, str]()
        watched, looked = ProgressWatch(f"run {run_id} to end", finished=has_ended), 0.0
        while True:
            self.stack.check()
            state = self._run_state(run_id)
            tasks = {t["task_id"]: t for t in self._task_instances(run_id)}
            for task_id, task in sorted(tasks.items(), key=lambda pair: str(pair[1].get("start_date"))):
                if task["state"] and seen.get(task_id) != task["state"]:
                    seen[task_id] = task["state"]
                    yield task_id, task["state"], time.monotonic() - began
            if state in DONE:
                return
            if time.monotonic() - looked > LOOK_SECONDS:
                looked = time.monotonic()
                watched.see(self.progress(run_id))
            time.sleep(0.4)

    def finish(self, run_id: str, *, report: Callable[[str], None] | None = None) -> str:
        """Wait for the end of a run and return its state. Raises StandstillError."""
        for task_id, state, at in self.watch(run_id):
            if report:
                report(f"  {at:6.1f} s  {task_id:45s} {state}")
        return self._run_state(run_id)

    def finish_all(self, run_ids: list[str]) -> dict[str, str]:
        """Wait for the end of several runs with one question a second, so that watching costs the runs little.

        Returns their states. Raises StandstillError.
        """

        def ended() -> dict[str, str]:
            self.stack.check()
            states = {r["dag_run_id"]: str(r["state"]) for r in self.runs() if r["dag_run_id"] in run_ids}
            return states if len(states) == len(run_ids) and set(states.values()) <= DONE else {}

        return wait_until(
            ended,
            what=f"{len(run_ids)} runs to end",
            progress=lambda: self.progress(*run_ids),
            finished=has_ended,
            pause=1.0,
            look=30.0,
        )

    def _run_state(self, run_id: str, *, dag_id: str = "forensic_case") -> str:
        with _unless_missing():
            return str(self.stack.api.get(f"dags/{dag_id}/dagRuns/{run_id}")["state"])
        return "not started"

    def _task_instances(self, run_id: str, *, dag_id: str = "forensic_case") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances"
        with _unless_missing():
            while True:
                page = self.stack.api.get(path, limit=100, offset=len(found))
                found += page["task_instances"]
                if len(found) >= page["total_entries"] or not page["task_instances"]:
                    break
        return found


def has_ended(state: object) -> bool:
    """Whether an entry of :meth:`Lab.progress` needs no mention when things stand still."""
    word = str(state).split(" ")[0]
    return word in TASK_DONE or word in COMMAND_DONE


@contextmanager
def _unless_missing() -> Iterator[None]:
    """What Airflow does not know (yet) is not an error."""
    try:
        yield
    except requests.HTTPError as error:
        if error.response is None or error.response.status_code != 404:
            raise
