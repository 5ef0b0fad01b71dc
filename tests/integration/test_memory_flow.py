"""The memory flow against the lab: probe, capture, resume after a kill, live response, the gate's verdict."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import threading
import time
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from forensics.aws import session as aws_session
from forensics.custody.chain import verify_chain
from forensics.errors import MemoryCaptureError
from forensics.manifest import CaptureSegment
from forensics.memory import upload_manifest
from forensics.memory.capture_operators import CaptureMemoryOperator
from forensics.memory.live_response_operators import LiveResponseOperator
from forensics.memory.probe_operators import ProbeTargetOperator
from forensics.memory.upload_manifest import IMAGE, LIST, next_segment
from forensics.memory.verify_operators import VerifyMemoryOperator
from forensics.models.evidence import Evidence, EvidenceKind, Outcome
from lab.progress import wait_until
from tests import memory_image, secret_scan
from tests.gateways import recorder_of, rehash_stored
from tests.integration.conftest import SmallLab
from tests.integration.steps import perform
from tests.integration.test_case_steps import open_case, triage

MIB = 1024 * 1024


def evidence(case_id: str, kind: EvidenceKind) -> Evidence:
    """The only item of a kind; the first pass of a live response is beside the whole one."""
    (item,) = (i for i in recorder_of(case_id, step="test").evidence(kind) if not i.evidence_id.endswith("-first"))
    return item


def body(lab: SmallLab, item: Evidence) -> bytes:
    """The stored object."""
    bucket, key = str(item.uri).removeprefix("s3://").split("/", 1)
    return bytes(lab.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())


def change_target(lab: SmallLab, **changes: Any) -> None:
    """Change the lab's record of the target."""
    mine = lab.facts["instances"]["web-server"]["instance_id"]
    known = next(i for i in lab.control("instance")["instances"] if i["instance_id"] == mine)
    lab.control("instance", {**known, **changes})


def manifests(lab: SmallLab) -> list[str]:
    """Keys of manifests that are still in the landing bucket: their URLs would still be of use to somebody."""
    pages = lab.client("s3").get_paginator("list_objects_v2").paginate(Bucket=lab.facts["landing_bucket"])
    return [o["Key"] for page in pages for o in page.get("Contents", []) if o["Key"].endswith("manifest.txt")]


def test_probe_capture_live_response_and_verdict(lab: SmallLab) -> None:
    case_id = open_case(lab)
    triage(case_id)
    assert "commands" in perform(ProbeTargetOperator(task_id="probe_target"), case_id=case_id)
    perform(CaptureMemoryOperator(task_id="capture_memory"), case_id=case_id)
    perform(LiveResponseOperator(task_id="live_response"), case_id=case_id)
    perform(VerifyMemoryOperator(task_id="verify_memory"), case_id=case_id)
    memory, live = evidence(case_id, EvidenceKind.MEMORY), evidence(case_id, EvidenceKind.LIVE_RESPONSE)
    assert memory.outcome is Outcome.ACQUIRED, memory.reason
    assert memory.origin.checks_passed is True
    assert memory.origin.probe.kernel == "6.1.0-test"
    assert memory.origin.methods == ("avml",)
    assert "not kcore: /proc/kcore is not readable" in memory.origin.why
    assert live.outcome is Outcome.ACQUIRED, live.reason
    first = recorder_of(case_id, step="test").evidence_item(f"{live.evidence_id}-first")
    assert first is not None and first.outcome is Outcome.ACQUIRED
    assert first.ended_at < memory.ended_at, "connections and processes before the capture"
    assert first.size_bytes <= MIB
    archive = body(lab, live)
    assert hashlib.sha256(archive).hexdigest() == live.digests[-1].value
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        names = tar.getnames()
    assert names[0] == "00-clock" and names[-1] == "index.tsv"
    ranks = [int(name[:2]) for name in names if not name.startswith("index")]
    assert ranks == sorted(ranks), "the order of volatility is the order of the archive"
    assert manifests(lab) == []
    verify_chain(recorder_of(case_id, step="test").gateways.ledger.events(case_id))
    found, count = secret_scan.leaks(
        chain(
            secret_scan.commands(lab.client("ssm", "member"), "the member account"),
            secret_scan.items(lab.client("dynamodb"), lab.facts["case_table"]),
            secret_scan.objects(lab.client("s3"), lab.facts["landing_bucket"]),
            secret_scan.objects(lab.client("s3"), lab.facts["evidence_bucket"]),
        )
    )
    assert found == [] and count > 20
    again = perform(LiveResponseOperator(task_id="live_response"), case_id=case_id)
    assert again["already"] is True


def test_a_capture_under_credentials_that_end_soon(lab: SmallLab, monkeypatch: pytest.MonkeyPatch) -> None:
    """The execution role's credentials may have minutes left: no command goes on beyond them (boto/botocore#2604)."""
    service, iam = "airflow-env.amazonaws.com", lab.client("iam")
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}],
    }
    role = iam.create_role(RoleName="airflow", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    source = f"{lab.endpoint}/_lab/container-credentials?role_arn={role}&service={service}&name=airflow"
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", source)
    aws_session.forget()
    ends = time.time() + lab.control("config")["role_seconds_left"]
    segments: list[CaptureSegment] = []

    def spied(*args: Any, **kwargs: Any) -> CaptureSegment:
        segments.append(next_segment(*args, **kwargs))
        return segments[-1]

    monkeypatch.setattr(upload_manifest, "next_segment", spied)
    case_id = open_case(lab)
    triage(case_id)
    perform(ProbeTargetOperator(task_id="probe_target"), case_id=case_id)
    perform(CaptureMemoryOperator(task_id="capture_memory"), case_id=case_id, try_number=1)
    assert segments and all(s.stop_at is not None and s.stop_at < ends - 200 for s in segments)


def case_with_memory(lab: SmallLab, folder: Path, *, mib: int, rate: int) -> tuple[str, dict[str, Path]]:
    """A triaged case whose target has so much memory and is read at so many MiB a second; its id and the target's files."""
    files = memory_image.write(folder, size=mib * MIB)
    kernel = {name: str(path) for name, path in files.items() if name != "memory"}
    change_target(lab, memory=str(files["memory"]), kernel=kernel, capture_rate_mib_s=rate)
    case_id = open_case(lab)
    triage(case_id)
    return case_id, files


def test_a_killed_capture_goes_on_where_it_stopped(lab: SmallLab, tmp_path: Path) -> None:
    case_id, files = case_with_memory(lab, tmp_path / "larger", mib=52, rate=12)
    killer = threading.Thread(target=_cancel_after_a_part, args=(lab, case_id), daemon=True)
    killer.start()
    with pytest.raises(MemoryCaptureError, match="the next attempt resumes there"):
        perform(CaptureMemoryOperator(task_id="capture_memory"), case_id=case_id, try_number=1)
    killer.join(10)
    change_target(lab, capture_rate_mib_s=None)
    assert _parts_sent(lab) >= 1
    perform(CaptureMemoryOperator(task_id="capture_memory"), case_id=case_id, try_number=2)
    live = evidence(case_id, EvidenceKind.LIVE_RESPONSE)
    assert live.outcome is Outcome.ACQUIRED, "after the first try, not after the last"
    sent = _parts_sent(lab)
    perform(VerifyMemoryOperator(task_id="verify_memory"), case_id=case_id)
    memory = evidence(case_id, EvidenceKind.MEMORY)
    assert memory.outcome is Outcome.ACQUIRED, memory.reason
    assert body(lab, memory) == files["memory"].read_bytes()
    assert memory.origin.claims.resumed_at > 1
    stored = 1  # the live response, taken between the tries, is stored as one part; which object a call was for is not on record
    assert sent - stored - memory.origin.transport.parts <= 1, "at most one part was sent twice"
    assert memory.digests[0].subject == "the list of parts with the digest of each"
    # what is analysed is held against the stored object's own digest, not against that of the list
    assert rehash_stored(recorder_of(case_id, step="test"), memory) == memory.digests[-1].value


def _parts_sent(lab: SmallLab) -> int:
    """How many parts were uploaded so far (before verification, that is to the landing bucket)."""
    return len(lab.control("calls?service=s3&action=UploadPart")["calls"])


def _cancel_after_a_part(lab: SmallLab, case_id: str) -> None:
    """As if somebody on the target killed the sender: the command ends in the middle."""
    s3, ssm = lab.client("s3"), lab.client("ssm", "member")
    instance = lab.facts["instances"]["web-server"]["instance_id"]

    def cancelled() -> bool:
        for upload in s3.list_multipart_uploads(Bucket=lab.facts["landing_bucket"]).get("Uploads", []):
            where = {"Bucket": lab.facts["landing_bucket"], "Key": upload["Key"], "UploadId": upload["UploadId"]}
            # the list of parts goes up right after its part: without it the next try begins anew, and says so
            listed = s3.list_objects_v2(Bucket=lab.facts["landing_bucket"], Prefix=upload["Key"].replace(IMAGE, LIST))
            if case_id in upload["Key"] and s3.list_parts(**where).get("Parts") and listed["KeyCount"]:
                for command in ssm.list_commands(InstanceId=instance)["Commands"]:
                    if command["Status"] in {"Pending", "InProgress"}:
                        ssm.cancel_command(CommandId=command["CommandId"])
                return True
        return False

    wait_until(
        cancelled, what="a part and the list of parts to land", progress=lambda: lab.control("activity"), pause=0.1
    )


def test_without_any_source_single_processes_are_taken_and_memory_is_partial(lab: SmallLab) -> None:
    change_target(lab, memory=None)
    case_id = open_case(lab)
    triage(case_id)
    perform(ProbeTargetOperator(task_id="probe_target"), case_id=case_id)
    with pytest.raises(AirflowSkipException, match="none of its sources is readable"):
        perform(CaptureMemoryOperator(task_id="capture_memory"), case_id=case_id)
    assert evidence(case_id, EvidenceKind.MEMORY).outcome is Outcome.NOT_APPLICABLE
    perform(LiveResponseOperator(task_id="live_response"), case_id=case_id)
    memory = evidence(case_id, EvidenceKind.MEMORY)
    assert memory.outcome is Outcome.PARTIAL
    assert "suspicious processes are in live-response-" in str(memory.reason)
    assert evidence(case_id, EvidenceKind.LIVE_RESPONSE).origin.claims.depth == "processes"
