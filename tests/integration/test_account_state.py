"""What the account says of a target, against the lab: its role, Config's history, sessions and their output; parts that are not there."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from forensics.cloud_evidence.operators import CollectStateOperator
from forensics.models.evidence import AccountStateEvidence, Outcome
from forensics.triage.operators import DescribeTargetOperator
from lab.accounts import MEMBER_ACCOUNT
from tests.gateways import case_gateways
from tests.integration.conftest import SmallLab
from tests.integration.steps import perform
from tests.integration.test_case_steps import open_case

STEP = "cloud_evidence.collect_state"


@pytest.fixture
def case_id(lab: SmallLab) -> str:
    """A case on the web server, described."""
    found = open_case(lab)
    perform(DescribeTargetOperator(task_id="triage.describe_target"), case_id=found)
    return found


def collect(case_id: str) -> Any:
    return perform(CollectStateOperator(task_id=STEP), case_id=case_id)


def item(case_id: str) -> AccountStateEvidence:
    view = case_gateways(case_id).view(case_id)
    assert view is not None
    (found,) = [e for e in view.evidence if isinstance(e, AccountStateEvidence)]
    return found


def answers(case_id: str) -> list[dict[str, Any]]:
    gateways = case_gateways(case_id)
    body = b"".join(gateways.evidence.stream(str(item(case_id).uri).removeprefix(f"s3://{gateways.evidence.bucket}/")))
    return [json.loads(line) for line in gzip.decompress(body).decode().splitlines()]


def recorder_on(lab: SmallLab) -> None:
    role = f"arn:aws:iam::{MEMBER_ACCOUNT}:role/config"
    group: Any = {"allSupported": True, "includeGlobalResourceTypes": True}
    lab.client("config", "member").put_configuration_recorder(
        ConfigurationRecorder={"name": "default", "roleARN": role, "recordingGroup": group}
    )


def test_role_history_and_sessions_become_locked_evidence_and_are_read(lab: SmallLab, case_id: str) -> None:
    iam, ssm, logs = (lab.client(s, "member") for s in ("iam", "ssm", "logs"))
    web = lab.facts["instances"]["web-server"]["instance_id"]
    everything = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
    iam.put_role_policy(RoleName="web-server", PolicyName="all", PolicyDocument=json.dumps(everything))
    recorder_on(lab)
    logs.create_log_group(logGroupName="/ssm/sessions", tags={"forensics:records": "read"})
    preferences = {
        "schemaVersion": "1.0",
        "description": "d",
        "sessionType": "Standard_Stream",
        "inputs": {"s3BucketName": "session-logs", "s3KeyPrefix": "ssm", "cloudWatchLogGroupName": "/ssm/sessions"},
    }
    ssm.create_document(
        Name="SSM-SessionManagerRunShell",
        DocumentType="Session",
        DocumentFormat="JSON",
        Content=json.dumps(preferences),
    )
    session = ssm.start_session(Target=web)["SessionId"]
    ssm.terminate_session(SessionId=session)
    logs.create_log_stream(logGroupName="/ssm/sessions", logStreamName=session)
    shown = [{"timestamp": int(datetime.now(UTC).timestamp() * 1000), "message": "$ id\nuid=0(root)"}]
    logs.put_log_events(logGroupName="/ssm/sessions", logStreamName=session, logEvents=shown)
    collect(case_id)
    found = item(case_id)
    assert found.outcome is Outcome.ACQUIRED, found.reason
    assert found.lock["mode"] and len(found.digests) == 2
    parts = {a["part"]: a["answer"] for a in answers(case_id)}
    assert {"iam-profile", "iam-role", "iam-policy", "iam-services", "config", "ssm-session", "ssm-output"} <= set(
        parts
    )
    assert parts["ssm-output"] == ["$ id\nuid=0(root)"] and parts["iam-role"]["RoleName"] == "web-server"
    assert any(f"aws s3 cp s3://session-logs/ssm/{session}.log" in n for n in found.origin.notes)
    view = case_gateways(case_id).view(case_id)
    assert view is not None
    (results,) = [r for r in view.results if r.evidence_id == found.evidence_id]
    titles = [f.title for f in results.findings]
    assert any(t.startswith("Session by SSM on") for t in titles)
    assert "The instance's role web-server may do everything: policy all" in titles


def test_without_recorder_and_sessions_it_is_said_what_to_switch_on(lab: SmallLab, case_id: str) -> None:
    collect(case_id)
    found = item(case_id)
    assert found.outcome is Outcome.ACQUIRED
    assert any("switch on its recorder" in n for n in found.origin.notes)
    assert {a["part"] for a in answers(case_id)} == {"iam-profile", "iam-role", "iam-services"}


def test_what_cannot_be_had_is_named_and_the_rest_is_kept(lab: SmallLab, case_id: str) -> None:
    recorder_on(lab)
    lab.control(
        "faults",
        [{"service": "iam", "account": MEMBER_ACCOUNT, "action": "GetRole", "code": "AccessDenied", "status": 403}],
    )
    collect(case_id)
    found = item(case_id)
    assert found.outcome is Outcome.PARTIAL and "role of instance profile web-server" in str(found.reason)
    assert {a["part"] for a in answers(case_id)} == {"iam-profile", "config"}
