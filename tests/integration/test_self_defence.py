"""Self-defence against the lab: findings are looked up live, lists are signed, isolations are capped."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from airflow.sdk.exceptions import AirflowSkipException

from forensics.aws.hook import ForensicsHook
from forensics.intake.new_case import case_from
from forensics.intake.readers import read_event
from forensics.intake.readers.manual import signed_text
from forensics.memory.capture_setup import lime_module
from forensics.memory.lime_module_store import LimeModuleStore
from forensics.models.finding import Finding
from forensics.models.intake import IntakeResult
from forensics.models.plan import ResponsePlan
from forensics.models.status_lines import Probe
from forensics.models.verification import Standing
from forensics.settings import get_settings
from forensics.triage.operators import DescribeTargetOperator, ExtendPlanOperator, PlanResponseOperator
from lab.accounts import MEMBER_ACCOUNT, SECURITY_ACCOUNT
from lab.scenarios.driver import finding as asff
from lab.seed.accounts import Account
from tests.gateways import case_store, isolation_guard, recorder_of
from tests.integration.conftest import SmallLab, running_lab
from tests.integration.steps import perform

REGION = "eu-central-1"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallLab]:
    """One lab for all tests here."""
    with pytest.MonkeyPatch.context() as patch, running_lab(tmp_path_factory.mktemp("lab"), patch) as made:
        yield made


@pytest.fixture
def lab(shared: SmallLab) -> Iterator[SmallLab]:
    """The shared lab, in which no instance has an open case, nothing was isolated and nobody fails calls."""
    yield shared
    shared.control("faults", [])
    queued(shared)
    get_settings.cache_clear()
    table, client = shared.facts["case_table"], shared.client("dynamodb")
    for item in client.scan(TableName=table)["Items"]:
        if item["PK"]["S"].startswith(("OPEN#", "ISOLATIONS#")):
            client.delete_item(TableName=table, Key={"PK": item["PK"], "SK": item["SK"]})


def hub(lab: SmallLab) -> Any:
    return Account(SECURITY_ACCOUNT, lab.endpoint).client("securityhub")


def queued(lab: SmallLab) -> list[str]:
    """Bodies waiting in the findings' queue; they are taken out."""
    sqs, bodies = lab.client("sqs"), []
    while got := sqs.receive_message(QueueUrl=lab.facts["queue_url"], MaxNumberOfMessages=10).get("Messages"):
        for message in got:
            bodies.append(message["Body"])
            sqs.delete_message(QueueUrl=lab.facts["queue_url"], ReceiptHandle=message["ReceiptHandle"])
    return bodies


def read(body: str) -> IntakeResult:
    intake = read_event(body, received_at=datetime.now(UTC), administrators=[SECURITY_ACCOUNT])
    assert intake.findings, intake.reason
    return intake


def open_with(finding: Finding) -> str:
    case = case_from(finding, received_at=datetime.now(UTC))
    how, holder = case_store().open_case(case, finding=finding)[:2]
    assert str(getattr(how, "value", how)) == "opened"
    return holder


def triaged(case_id: str) -> ResponsePlan:
    """Describe, plan; the plan as it is stored."""
    perform(DescribeTargetOperator(task_id="describe_target"), case_id=case_id)
    perform(PlanResponseOperator(task_id="plan_response"), case_id=case_id)
    plan = recorder_of(case_id, step="test").plan()
    assert plan is not None
    return plan


def guardduty(lab: SmallLab, name: str = "web-server", **changes: Any) -> dict[str, Any]:
    """A GuardDuty event about an instance of the lab, not sent."""
    instance, identifier = lab.facts["instances"][name], uuid.uuid4().hex
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    owner = f"{REGION}:{instance['account']}"
    detail = {
        "schemaVersion": "2.0", "accountId": instance["account"], "region": REGION, "partition": "aws",
        "id": identifier, "arn": f"arn:aws:guardduty:{owner}:detector/d/finding/{identifier}",
        "type": "Backdoor:EC2/C&CActivity.B!DNS", "severity": 8, "title": "C2", "createdAt": now, "updatedAt": now,
        "resource": {"resourceType": "Instance", "instanceDetails": {"instanceId": instance["instance_id"]}},
        "service": {"archived": False, "resourceRole": "TARGET", "count": 1},
        **changes,
    }  # fmt: skip
    return {
        "version": "0", "id": str(uuid.uuid4()), "detail-type": "GuardDuty Finding", "source": "aws.guardduty",
        "account": SECURITY_ACCOUNT, "time": now, "region": REGION, "resources": [], "detail": detail,
    }  # fmt: skip


def send(lab: SmallLab, event: dict[str, Any]) -> None:
    """Put an event on the security account's default bus, as the service does."""
    entry = {"Source": event["source"], "DetailType": event["detail-type"], "Detail": json.dumps(event["detail"])}
    Account(SECURITY_ACCOUNT, lab.endpoint).client("events").put_events(Entries=[entry])


def test_a_finding_of_security_hub_is_confirmed_by_its_administrator(lab: SmallLab) -> None:
    requests.delete(f"{lab.endpoint}/_lab/calls", timeout=30).raise_for_status()
    document = asff(lab.facts["instances"]["web-server"], title="C2")
    hub(lab).batch_import_findings(Findings=[document])
    (body,) = queued(lab)
    plan = triaged(open_with(read(body).findings[0]))
    (verification,) = plan.verifications
    assert verification.standing is Standing.CONFIRMED
    assert SECURITY_ACCOUNT in verification.asked
    assert plan.isolate.go and not plan.warnings
    asked = lab.control(f"calls?service=securityhub&action=GetFindings&account={SECURITY_ACCOUNT}")["calls"]
    assert len(asked) == 1, "the planning step does not ask again"


def test_a_forged_event_acquires_and_isolates_nothing_and_people_are_told(lab: SmallLab) -> None:
    case_id = open_with(read(json.dumps(guardduty(lab))).findings[0])
    plan = triaged(case_id)
    assert (plan.memory.go, plan.disk.go, plan.isolate.go) == (True, True, False)
    assert plan.verifications[0].standing is Standing.NOT_FOUND
    (mail,) = [m for m in lab.mail() if "Triage done" in m["subject"] and case_id == m["attributes"]["case_id"]]
    assert "WITH WARNINGS" in mail["subject"] and "could not be confirmed (not-found)" in mail["message"]


def test_a_finding_that_its_service_knows_a_moment_later_is_confirmed(lab: SmallLab) -> None:
    event = guardduty(lab)
    case_id = open_with(read(json.dumps(event)).findings[0])
    later = threading.Timer(1.5, send, (lab, event))
    later.start()
    plan = triaged(case_id)
    later.join()
    assert plan.verifications[0].standing is Standing.CONFIRMED and plan.isolate.go


def test_a_guardduty_finding_is_confirmed_and_an_archived_one_is_not(lab: SmallLab) -> None:
    event = guardduty(lab)
    send(lab, event)
    (body,) = queued(lab)
    case_id = open_with(read(body).findings[0])
    assert triaged(case_id).isolate.go
    closed = guardduty(lab, "db-server", service={"archived": False, "count": 1})
    send(lab, {**closed, "detail": {**closed["detail"], "service": {"archived": True}}})
    plan = triaged(open_with(read(json.dumps(closed)).findings[0]))
    assert plan.verifications[0].standing is Standing.CLOSED and not plan.isolate.go


def test_a_genuine_finding_about_another_instance_does_not_help_a_forger(lab: SmallLab) -> None:
    genuine = guardduty(lab, "db-server")
    send(lab, genuine)
    forged = guardduty(lab, "web-server", id=genuine["detail"]["id"], arn=genuine["detail"]["arn"])
    plan = triaged(open_with(read(json.dumps(forged)).findings[0]))
    assert plan.verifications[0].standing is Standing.CONTRADICTED and not plan.isolate.go
    assert lab.facts["instances"]["db-server"]["instance_id"] in plan.isolate.reasons[-1]


def test_an_ocsf_finding_is_looked_up_in_the_new_security_hub(lab: SmallLab) -> None:
    instance = lab.facts["instances"]["web-server"]
    owner = {"account": {"uid": instance["account"], "type_id": 10}}
    record = {
        "class_uid": 2004, "activity_id": 1, "status_id": 1, "severity_id": 4,
        "cloud": {**owner, "region": REGION, "cloud_partition": "aws"},
        "finding_info": {"uid": f"vendor/finding/{uuid.uuid4().hex}",
                         "title": "C2", "types": ["Threats", "Backdoor:EC2/C&CActivity.B"]},
        "resources": [{"type": "AWS::EC2::Instance", "uid": instance["instance_id"], "region": REGION, "owner": owner}],
        "metadata": {"version": "1.8.0", "product": {"name": "EDR"}},
    }  # fmt: skip
    event = {"source": "aws.securityhub", "detail-type": "Findings Imported V2", "detail": {"findings": [record]}}
    send(lab, event)
    (body,) = queued(lab)
    plan = triaged(open_with(read(body).findings[0]))
    assert plan.verifications[0].standing is Standing.CONFIRMED
    assert "OCSF" in plan.verifications[0].asked and plan.isolate.go


def test_when_nobody_can_be_asked_nothing_is_isolated_and_clearing_asks_again(lab: SmallLab) -> None:
    hub(lab).batch_import_findings(Findings=[asff(lab.facts["instances"]["web-server"], title="C2")])
    (body,) = queued(lab)
    case_id = open_with(read(body).findings[0])
    rule = {"service": "securityhub", "action": "GetFindings", "code": "AccessDeniedException", "status": 403}
    lab.control("faults", [rule])
    plan = triaged(case_id)
    assert plan.verifications[0].standing is Standing.UNREACHABLE
    assert (plan.memory.go, plan.disk.go, plan.isolate.go) == (True, True, False)
    assert "AccessDenied" in plan.isolate.reasons[-1]
    lab.control("faults", [])
    perform(PlanResponseOperator(task_id="plan_response"), case_id=case_id)
    again = recorder_of(case_id, step="test").plan()
    assert again is not None and again.isolate.go


@pytest.fixture
def request_event(lab: SmallLab) -> Callable[..., dict[str, Any]]:
    """Make a person's signed request as an event."""

    def make(**changes: Any) -> dict[str, Any]:
        instance = lab.facts["instances"]["web-server"]
        detail = {
            "account_id": instance["account"], "region": REGION, "instance_id": instance["instance_id"],
            "reason": "ticket 4711", "requester": "alice@example.com", "actions": ["disk", "isolate"],
            "nonce": uuid.uuid4().hex, "expires_at": (datetime.now(UTC) + timedelta(minutes=10)).isoformat(),
        }  # fmt: skip
        signature = lab.client("kms").sign(
            KeyId=lab.facts["document_key_id"],
            Message=hashlib.sha384(signed_text(detail).encode()).digest(),
            MessageType="DIGEST",
            SigningAlgorithm="ECDSA_SHA_384",
        )["Signature"]
        detail |= {
            "signature": {"key_id": lab.facts["document_key_id"], "value": base64.b64encode(signature).decode()}
        } | changes
        return {"source": "forensics.manual", "detail-type": "Forensics Requested", "account": "222233334444",
                "region": REGION, "id": str(uuid.uuid4()), "detail": detail}  # fmt: skip

    return make


def test_a_signed_request_is_carried_out(lab: SmallLab, request_event: Callable[..., dict[str, Any]]) -> None:
    plan = triaged(open_with(read(json.dumps(request_event())).findings[0]))
    assert (plan.memory.go, plan.disk.go, plan.isolate.go) == (False, True, True)
    assert plan.verifications[0].standing is Standing.CONFIRMED


def test_a_request_that_was_altered_after_signing_does_nothing(
    lab: SmallLab, request_event: Callable[..., dict[str, Any]]
) -> None:
    plan = triaged(open_with(read(json.dumps(request_event(actions=["memory", "isolate"]))).findings[0]))
    assert (plan.memory.go, plan.disk.go, plan.isolate.go) == (False, False, False)
    assert plan.verifications[0].standing is Standing.FORGED
    assert "signature" in plan.verifications[0].reason


def test_a_nonce_counts_once(lab: SmallLab, request_event: Callable[..., dict[str, Any]]) -> None:
    (finding,) = read(json.dumps(request_event())).findings
    first = case_from(finding, received_at=datetime.now(UTC))
    case_store().open_case(first, finding=finding)
    assert isolation_guard(first).verifier.verify([finding], now=datetime.now(UTC))[0].confirmed
    assert isolation_guard(first).verifier.verify([finding], now=datetime.now(UTC))[0].confirmed, "a repeated try"
    other = first.model_copy(update={"case_id": "fc-20260101-0123456789"})
    again = isolation_guard(other).verifier.verify([finding], now=datetime.now(UTC))[0]
    assert again.standing is Standing.FORGED and "repetition" in again.reason


def put_signed(lab: SmallLab, key: str, text: str) -> None:
    """Put a document and its signature into the tools bucket, as docs/policy.md says."""
    s3, body = lab.client("s3"), text.encode()
    signature = lab.client("kms").sign(
        KeyId=lab.facts["document_key_id"],
        Message=hashlib.sha384(body).digest(),
        MessageType="DIGEST",
        SigningAlgorithm="ECDSA_SHA_384",
    )["Signature"]
    s3.put_object(Bucket=lab.facts["tools_bucket"], Key=key, Body=body)
    s3.put_object(Bucket=lab.facts["tools_bucket"], Key=f"{key}.sig", Body=base64.b64encode(signature))


def setting(monkeypatch: pytest.MonkeyPatch, **options: str) -> None:
    for name, value in options.items():
        monkeypatch.setenv(f"AIRFLOW__FORENSICS__{name.upper()}", value)
    get_settings.cache_clear()


def confirmed_case(lab: SmallLab, name: str = "web-server") -> str:
    hub(lab).batch_import_findings(Findings=[asff(lab.facts["instances"][name], title="C2")])
    (body,) = queued(lab)
    return open_with(read(body).findings[0])


def never_isolate(lab: SmallLab) -> str:
    instance = lab.facts["instances"]["web-server"]["instance_id"]
    entry = {"id": "web-1", "kind": "instance", "value": instance, "reason": "it serves the emergency line"}
    return json.dumps({"schema": "forensics.never-isolate/1", "version": "7", "entries": [entry]})


def test_the_signed_list_protects_and_a_tampered_one_stops_all_isolation(
    lab: SmallLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_signed(lab, "policy/never-isolate.json", never_isolate(lab))
    setting(monkeypatch, never_isolate_key="policy/never-isolate.json")
    case_id = confirmed_case(lab)
    plan = triaged(case_id)
    assert plan.memory.go and plan.disk.go and not plan.isolate.go
    assert "emergency line" in plan.isolate.reasons[-1]
    # An intruder empties the list: the signature beside it no longer fits.
    emptied = never_isolate(lab).replace("emergency", "lunch")
    lab.client("s3").put_object(
        Bucket=lab.facts["tools_bucket"], Key="policy/never-isolate.json", Body=emptied.encode()
    )
    perform(PlanResponseOperator(task_id="plan_response"), case_id=case_id)
    again = recorder_of(case_id, step="test").plan()
    assert again is not None and not again.isolate.go and again.disk.go
    assert "cannot be trusted" in again.isolate.reasons[-1] and "cannot be trusted" in again.warnings[0]


def test_a_missing_list_is_not_an_empty_one(lab: SmallLab, monkeypatch: pytest.MonkeyPatch) -> None:
    setting(monkeypatch, never_isolate_key="policy/nothing-there.json")
    plan = triaged(confirmed_case(lab))
    assert not plan.isolate.go and plan.memory.go
    assert "nothing-there.json" in plan.isolate.reasons[-1]


def test_a_signed_policy_replaces_the_packaged_one(lab: SmallLab, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import resources

    text = resources.files("forensics.triage").joinpath("policy.yaml").read_text("utf-8")
    own = re.sub(r"(?m)^version: .*", 'version: "ours-3"', text).replace("isolate_from: HIGH", "isolate_from: CRITICAL")
    put_signed(lab, "policy/policy.yaml", own)
    setting(monkeypatch, policy_key="policy/policy.yaml")
    plan = triaged(confirmed_case(lab))
    assert (plan.policy_version, plan.policy_sha256) == ("ours-3", hashlib.sha256(own.encode()).hexdigest())
    assert not plan.isolate.wanted and "below CRITICAL" in plan.isolate.reasons[-1]


def test_an_unsigned_policy_is_not_used_and_nothing_is_isolated(lab: SmallLab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.client("s3").put_object(Bucket=lab.facts["tools_bucket"], Key="p.yaml", Body=b"schema: forensics.policy/1\n")
    setting(monkeypatch, policy_key="p.yaml")
    plan = triaged(confirmed_case(lab))
    assert plan.policy_version != "" and plan.memory.go and not plan.isolate.go
    assert "the packaged one is" in plan.isolate.reasons[-1]


def test_beyond_the_cap_isolation_waits_for_approval_and_acquisition_goes_on(
    lab: SmallLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting(monkeypatch, isolation_cap_account="1")
    first = triaged(confirmed_case(lab))
    case_id = confirmed_case(lab, "db-server")
    second = triaged(case_id)
    assert first.isolate.go and not first.approval.required
    assert second.isolate.go and second.approval.required and second.disk.go
    assert f"account {MEMBER_ACCOUNT}" in second.approval.reasons[0]
    (mail,) = [m for m in lab.mail() if "Triage done" in m["subject"] and case_id == m["attributes"]["case_id"]]
    assert "Isolation waits for approval" in mail["message"]


def test_a_later_worse_finding_extends_the_plan(lab: SmallLab) -> None:
    instance = lab.facts["instances"]["web-server"]
    hub(lab).batch_import_findings(
        Findings=[asff(instance, title="probe", label="LOW", kind="TTPs/Discovery/Recon:EC2-Portscan")]
    )
    (body,) = queued(lab)
    case_id = open_with(read(body).findings[0])
    before = triaged(case_id)
    assert not (before.memory.go or before.isolate.go)
    hub(lab).batch_import_findings(Findings=[asff(instance, title="C2", label="CRITICAL")])
    (body,) = queued(lab)
    case_store().add_finding(case_id, read(body).findings[0])
    extended = perform(ExtendPlanOperator(task_id="extend_plan"), case_id=case_id)
    assert extended == {"added": ["memory", "disk", "isolate"]}
    after = recorder_of(case_id, step="test").plan()
    assert after is not None and after.isolate.go and after.revision == 2
    assert any("Response plan extended: memory, disk, isolate" in m["subject"] for m in lab.mail())
    with pytest.raises(AirflowSkipException, match="nothing beyond the plan"):
        perform(ExtendPlanOperator(task_id="extend_plan"), case_id=case_id)


def test_a_list_of_modules_is_used_only_as_it_was_signed(lab: SmallLab, monkeypatch: pytest.MonkeyPatch) -> None:
    key, kernel = "tools/lime/list.yaml", "6.1.0-56-cloud-amd64"
    fields = f"{{kernel: {kernel}, architecture: x86_64, key: tools/lime/a.ko, sha256: {'a' * 64!r}}}"
    put_signed(lab, key, f"version: 1\nmodules: [{fields}]\n")
    setting(monkeypatch, LIME_LIST_KEY=key)
    case_id = confirmed_case(lab)
    recorder, probe = recorder_of(case_id, step="test"), Probe(kernel=kernel, architecture="x86_64")
    modules = LimeModuleStore.of(ForensicsHook().for_case(recorder.case))
    found = lime_module(recorder, modules, probe)
    assert found is not None and found.key == "tools/lime/a.ko"
    assert lime_module(recorder, modules, Probe(kernel=f"{kernel}1", architecture="x86_64")) is None
    forged = f"version: 1\nmodules: [{fields.replace('a.ko', 'evil.ko')}]\n".encode()
    lab.client("s3").put_object(Bucket=lab.facts["tools_bucket"], Key=key, Body=forged)
    assert lime_module(recorder, modules, probe) is None, "the capture continues by other methods"
    assert any(
        case_id == m["attributes"]["case_id"] and "LiME modules cannot be trusted" in m["subject"] for m in lab.mail()
    )
