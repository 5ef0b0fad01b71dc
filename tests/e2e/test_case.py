"""Cases from outside: boto3 and Airflow's REST API, nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests

from forensics.case.gaps import gaps
from forensics.custody.chain import verify_chain
from forensics.investigation.live_comparison import ACTIVITY
from forensics.models.case import Case, CaseStatus, CaseView
from forensics.models.containment import ContainmentState
from forensics.models.evidence import Evidence, EvidenceKind, Outcome
from lab.progress import wait_until
from lab.scenarios import demo
from lab.scenarios.driver import DriverError, Lab, finding
from tests.e2e.conftest import LIMIT_SECONDS, Started

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(LIMIT_SECONDS)]


def view_of(lab: Lab, item: Started) -> CaseView:
    """The case of a run."""
    case = lab.case_of(item.instance["instance_id"])
    assert isinstance(case, Case)
    return lab.view(case.case_id)


def states(lab: Lab, item: Started) -> dict[str, str]:
    """State of every task of a run."""
    return {task_id: task["state"] for task_id, task in lab.tasks(item.run_id).items()}


def of_kind(view: CaseView, kind: EvidenceKind) -> list[Evidence]:
    """Evidence of one kind."""
    return [e for e in view.evidence if e.kind is kind]


def messages(lab: Lab, view: CaseView) -> list[dict[str, Any]]:
    """SNS messages of a case."""
    return [m for m in lab.mail() if m["attributes"].get("case_id") == view.case.case_id]


def isolated(lab: Lab, item: Started) -> bool:
    """Whether every interface of the target has exactly one group, and that group has no rule."""
    ec2 = lab.member.client("ec2")
    found = ec2.describe_network_interfaces(
        Filters=[{"Name": "attachment.instance-id", "Values": [item.instance["instance_id"]]}]
    )
    groups = {g["GroupId"] for i in found["NetworkInterfaces"] for g in i["Groups"]}
    rules = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": sorted(groups)}])[
        "SecurityGroupRules"
    ]
    return len(groups) == 1 and not rules


def leftovers(lab: Lab, view: CaseView) -> list[str]:
    """Forensic instances and analysis volumes that are still there."""
    ec2, mark = lab.forensic.client("ec2"), {"Name": "tag:forensics:case", "Values": [view.case.case_id]}
    living = ec2.describe_instances(
        Filters=[mark, {"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]}]
    )
    volumes = ec2.describe_volumes(Filters=[mark, {"Name": "tag:forensics:purpose", "Values": ["analysis-volume"]}])
    return [i["InstanceId"] for r in living["Reservations"] for i in r["Instances"]] + [
        v["VolumeId"] for v in volumes["Volumes"]
    ]


def test_happy_case_is_complete_and_finds_what_was_planted(lab: Lab, cases: dict[str, Started]) -> None:
    item = cases["happy"]
    view = view_of(lab, item)
    assert {task: state for task, state in states(lab, item).items() if state != "success"} == {}, gaps(view)
    assert demo.check(lab, item.run_id) == []
    assert view.case.status is CaseStatus.CLOSED
    assert isolated(lab, item)
    assert leftovers(lab, view) == []


def test_the_report_is_whole_and_escaped(lab: Lab, cases: dict[str, Started]) -> None:
    view = view_of(lab, cases["happy"])
    for suffix in ("report.html", "report.json"):
        uri = next(u for u in view.objects if u.endswith(suffix))
        bucket, key = uri.removeprefix("s3://").split("/", 1)
        body = lab.forensic.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read().decode()
        assert view.case.case_id in body
        assert view.custody_head is not None
        if suffix.endswith("json"):
            assert json.loads(body)["schema"] == "forensics.report/1"
        else:
            assert "<script" not in body.lower()


def test_the_web_pages_show_the_case(lab: Lab, cases: dict[str, Started]) -> None:
    view = view_of(lab, cases["happy"])
    url = f"{lab.stack.api_url}/forensics"
    assert requests.get(f"{url}/", timeout=20).status_code in {401, 403}
    auth = {"Authorization": f"Bearer {lab.stack.token()}"}
    board = requests.get(f"{url}/", headers=auth, timeout=20)
    assert board.status_code == 200
    assert view.case.case_id in board.text
    page = requests.get(f"{url}/case/{view.case.case_id}", headers=auth, timeout=30)
    assert page.status_code == 200
    assert view.case.instance_id in page.text


def test_without_ssm_disks_and_isolation_continue_and_the_run_is_red(lab: Lab, cases: dict[str, Started]) -> None:
    item = cases["no-ssm"]
    view = view_of(lab, item)
    (memory,) = of_kind(view, EvidenceKind.MEMORY)
    assert memory.outcome is Outcome.NOT_APPLICABLE
    assert "not managed by SSM" in str(memory.reason)
    assert {d.outcome for d in of_kind(view, EvidenceKind.DISK)} == {Outcome.ACQUIRED}
    assert isolated(lab, item)
    assert lab.run(item.run_id)["state"] == "failed"
    assert view.case.status is CaseStatus.CLOSED_WITH_GAPS
    assert leftovers(lab, view) == []
    said = next(m for m in messages(lab, view) if "Memory cannot be captured" in m["subject"])
    assert "memory.capture_memory" in said["message"]
    assert "What to do next" in said["message"]


def test_a_failed_capture_stops_nothing_else(lab: Lab, cases: dict[str, Started]) -> None:
    item = cases["no-memory"]
    view = view_of(lab, item)
    assert states(lab, item)["memory.capture_memory"] == "skipped"
    (memory,) = of_kind(view, EvidenceKind.MEMORY)
    assert memory.outcome is Outcome.PARTIAL
    assert "none of its sources is readable" in str(memory.reason)
    assert "suspicious processes are in live-response-" in str(memory.reason)
    assert {d.outcome for d in of_kind(view, EvidenceKind.DISK)} == {Outcome.ACQUIRED}
    assert isolated(lab, item)
    assert lab.run(item.run_id)["state"] == "failed"
    assert leftovers(lab, view) == []
    said = next(m for m in messages(lab, view) if "Memory cannot be captured" in m["subject"])
    assert "Cause: " in said["message"]
    assert "What to do next" in said["message"]


def test_a_failed_snapshot_is_notified_and_the_target_is_isolated(lab: Lab, cases: dict[str, Started]) -> None:
    item = cases["bad-snapshot"]
    view = view_of(lab, item)
    assert states(lab, item)["disk.snapshot_volumes"] == "failed"
    assert Outcome.ACQUIRED not in {d.outcome for d in of_kind(view, EvidenceKind.DISK)}
    assert isolated(lab, item)
    assert lab.run(item.run_id)["state"] == "failed"
    assert leftovers(lab, view) == []
    said = next(m for m in messages(lab, view) if "FAILED: disk.snapshot_volumes" in m["subject"])
    assert "key disabled" in said["message"]


def test_a_failed_investigation_leaves_the_evidence_and_no_instance(lab: Lab, cases: dict[str, Started]) -> None:
    item = cases["unreadable"]
    view = view_of(lab, item)
    assert states(lab, item)["investigation.analyse_disk"] == "failed"
    (disk,) = of_kind(view, EvidenceKind.DISK)
    assert disk.outcome is Outcome.ACQUIRED
    assert isolated(lab, item)
    assert lab.run(item.run_id)["state"] == "failed"
    assert leftovers(lab, view) == []
    said = next(m for m in messages(lab, view) if "FAILED: investigation.analyse_disk" in m["subject"])
    assert "no file system on this volume could be read" in said["message"]


def test_memory_without_symbols_is_a_partial_answer_and_says_why(lab: Lab, cases: dict[str, Started]) -> None:
    view = view_of(lab, cases["unreadable"])
    assert states(lab, cases["unreadable"])["investigation.analyse_memory"] == "success"
    (memory,) = of_kind(view, EvidenceKind.MEMORY)
    assert memory.outcome is Outcome.PARTIAL
    assert "page tables" in str(memory.reason)
    (examined,) = [i for i in view.investigations if i.evidence_id == memory.evidence_id and i.activity != ACTIVITY]
    assert examined.outcome == Outcome.PARTIAL.value
    assert "no symbol table" in str(examined.reason)


def test_a_killed_task_is_repeated_without_a_second_snapshot_set(lab: Lab, cases: dict[str, Started]) -> None:
    item = cases["killed"]
    view = view_of(lab, item)
    task = lab.tasks(item.run_id)["disk.snapshot_volumes"]
    assert task["try_number"] >= 2
    assert lab.run(item.run_id)["state"] == "success"
    assert view.case.status is CaseStatus.CLOSED
    marks = [{"Name": "tag:forensics:case", "Values": [view.case.case_id]}]
    snapshots = lab.member.client("ec2").describe_snapshots(OwnerIds=["self"], Filters=marks)["Snapshots"]
    assert len(snapshots) == len(item.instance["volumes"])
    assert isolated(lab, item)
    (memory,) = of_kind(view, EvidenceKind.MEMORY)
    assert memory.outcome is Outcome.SKIPPED


def test_every_ledger_is_whole(lab: Lab, cases: dict[str, Started]) -> None:
    for item in cases.values():
        view = view_of(lab, item)
        assert verify_chain(view.custody) == view.custody_head
        assert view.containment is not None
        assert view.containment.state is ContainmentState.NEW_FLOWS_BLOCKED


def test_a_message_that_cannot_be_processed_goes_to_the_dead_letter_queue(lab: Lab, cases: dict[str, Started]) -> None:
    lab.forensic.client("sqs").send_message(
        QueueUrl=lab.facts["queue_url"], MessageBody='{"source": "forensics.manual", "detail'
    )
    sqs, url = lab.forensic.client("sqs"), lab.facts["dead_letter_queue_url"]
    found = wait_until(
        lambda: sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"], WaitTimeSeconds=1).get("Messages"),
        what="a message in the dead-letter queue",
        progress=lab.progress,
    )
    assert "JSON" in found[0]["MessageAttributes"]["reason"]["StringValue"]


def test_an_unknown_instance_fails_with_the_reason_and_changes_nothing(lab: Lab, cases: dict[str, Started]) -> None:
    ghost = dict(cases["happy"].instance, instance_id="i-0123456789abcdef0")
    ghost["arn"] = ghost["arn"].rsplit("/", 1)[0] + "/i-0123456789abcdef0"
    lab.import_finding(finding(ghost, title="An instance that is not there"))
    case = lab.wait_case("i-0123456789abcdef0")
    assert lab.finish(case.case_id) == "failed"
    view = lab.view(case.case_id)
    assert "does not exist" in view.failures[0].cause
    assert view.evidence == ()
    assert lab.tasks(case.case_id)["containment.isolate_target"]["state"] in {"skipped", "upstream_failed"}
    assert any("does not exist" in m["message"] for m in messages(lab, view))


def test_a_request_of_the_wrong_form_is_refused_by_the_form(lab: Lab, cases: dict[str, Started]) -> None:
    with pytest.raises(DriverError, match=r"400|422"):
        lab.trigger({"account_id": "333344445555", "region": "eu-central-1", "instance_id": "web-server"})


def test_an_instance_of_another_account_is_refused(lab: Lab, cases: dict[str, Started]) -> None:
    instance = cases["happy"].instance["instance_id"]
    run = lab.trigger(
        {"account_id": "111122223333", "region": "eu-central-1", "instance_id": instance, "reason": "wrong account"}
    )
    assert lab.finish(run["dag_run_id"]) == "failed"
    view = lab.view(next(c for c in lab.store().list_cases(limit=50)[0] if c.run_id == run["dag_run_id"]).case_id)
    assert view.failures
    assert "111122223333" in view.failures[0].cause
