"""What happens to the lab from outside: a finding is sent, a case is watched, its records are read.

Used by the demo, the end-to-end tests and the benchmark. Nothing here reaches into the product's processes: only
Security Hub, EventBridge, DynamoDB, S3 and Airflow's REST API are used.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import requests

from forensics.aws.case_store import CaseStore
from forensics.aws.s3 import EvidenceStore
from forensics.case.view import read_view
from forensics.models.case import Case, CaseView
from lab.seed_accounts import MEMBER_ACCOUNT, SECURITY_ACCOUNT, Account
from lab.stack import Stack

DONE = frozenset({"success", "failed"})
TASK_DONE = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})


class StoryError(RuntimeError):
    """The story did not go as it must; the message says what was awaited and what was seen."""


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
            raise StoryError(msg)
        return str(document["Id"])

    def control(self, route: str, body: Any = None) -> Any:
        """Talk to the lab's own routes; a body is posted."""
        url = f"{self.stack.lab_endpoint}/_lab/{route}"
        answer = requests.post(url, json=body, timeout=30) if body is not None else requests.get(url, timeout=30)
        answer.raise_for_status()
        return answer.json()

    def trigger(self, conf: dict[str, Any], *, run_id: str | None = None) -> dict[str, Any]:
        """Start ``forensic_case`` by hand, as the UI's form does."""
        body = {"conf": conf, "logical_date": None, **({"dag_run_id": run_id} if run_id else {})}
        answer = requests.post(
            f"{self.stack.api_url}/api/v2/dags/forensic_case/dagRuns",
            json=body,
            headers={"Authorization": f"Bearer {self.stack.token()}"},
            timeout=30,
        )
        if not answer.ok:
            msg = f"Airflow refused the run ({answer.status_code}): {answer.text[:500]}"
            raise StoryError(msg)
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
        got = self.stack.api.get(f"dags/forensic_case/dagRuns/{run_id}/taskInstances", limit=100)
        return {t["task_id"]: t for t in got["task_instances"]}

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
            raise StoryError(msg)
        return view

    # ------------------------------------------------------------------ waiting
    def wait_intake(self, *, seconds: float = 60) -> None:
        """Wait until the intake listens: its task is deferred to the triggerer."""
        end, state = time.monotonic() + seconds, "absent"
        while time.monotonic() < end:
            self.stack.check()
            tasks = self.stack.api.get("dags/finding_intake/dagRuns/~/taskInstances", limit=100)["task_instances"]
            state = next((str(t["state"]) for t in tasks if t["state"] not in TASK_DONE), "absent")
            if state == "deferred":
                return
            time.sleep(0.1)
        msg = f"finding_intake does not listen after {seconds:.0f} s: its task is {state}; look at its log in the UI"
        raise StoryError(msg)

    def wait_online(self, instance_ids: list[str], *, seconds: float = 120) -> None:
        """Wait until SSM reaches every one of these targets."""
        ssm, end, missing = self.member.client("ssm"), time.monotonic() + seconds, set(instance_ids)
        while missing and time.monotonic() < end:
            known = ssm.get_paginator("describe_instance_information").paginate().build_full_result()
            missing -= {i["InstanceId"] for i in known["InstanceInformationList"] if i["PingStatus"] == "Online"}
            time.sleep(0.2)
        if missing:
            msg = f"the SSM agents of {', '.join(sorted(missing))} are not online after {seconds:.0f} s"
            raise StoryError(msg)

    def wait_case(self, instance_id: str, *, seconds: float = 60, not_before: datetime | None = None) -> Case:
        """Wait until the instance has a case."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.stack.check()
            found = self.case_of(instance_id, not_before=not_before)
            if found:
                return found
            time.sleep(0.2)
        msg = f"no case was opened for {instance_id} within {seconds:.0f} s; look at finding_intake's task log"
        raise StoryError(msg)

    def wait_plan(self, case_id: str, *, seconds: float = 60) -> None:
        """Wait until triage has made the case's plan."""
        end = time.monotonic() + seconds
        while not self.store().has(case_id, "PLAN"):
            self.stack.check()
            if time.monotonic() > end:
                msg = f"case {case_id} has no plan after {seconds:.0f} s; look at the log of triage.plan_response"
                raise StoryError(msg)
            time.sleep(0.2)

    def watch(self, run_id: str, *, seconds: float = 600) -> Iterator[tuple[str, str, float]]:
        """Yield (task id, state, seconds since the call) for every change until the run has ended."""
        began, seen = time.monotonic(), {}
        while True:
            self.stack.check()
            try:
                state = self.run(run_id)["state"]
                tasks = self.tasks(run_id)
            except requests.HTTPError as error:
                if error.response is None or error.response.status_code != 404:
                    raise
                state, tasks = "not started", {}
            for task_id, task in sorted(tasks.items(), key=lambda pair: str(pair[1].get("start_date"))):
                if task["state"] and seen.get(task_id) != task["state"]:
                    seen[task_id] = task["state"]
                    yield task_id, task["state"], time.monotonic() - began
            if state in DONE:
                return
            if time.monotonic() - began > seconds:
                msg = f"run {run_id} is still {state} after {seconds:.0f} s: {json.dumps(seen, indent=1)}"
                raise StoryError(msg)
            time.sleep(0.4)

    def finish(self, run_id: str, *, seconds: float = 600, report: Callable[[str], None] | None = None) -> str:
        """Wait for the end of a run and return its state."""
        for task_id, state, at in self.watch(run_id, seconds=seconds):
            if report:
                report(f"  {at:6.1f} s  {task_id:45s} {state}")
        return str(self.run(run_id)["state"])

    def finish_all(self, run_ids: list[str], *, seconds: float = 1500) -> dict[str, str]:
        """Wait for the end of several runs with one question a second, so that watching costs the runs little."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.stack.check()
            states = {r["dag_run_id"]: str(r["state"]) for r in self.runs() if r["dag_run_id"] in run_ids}
            if len(states) == len(run_ids) and set(states.values()) <= DONE:
                return states
            time.sleep(1.0)
        msg = f"runs have not ended after {seconds:.0f} s: {states}"
        raise StoryError(msg)
