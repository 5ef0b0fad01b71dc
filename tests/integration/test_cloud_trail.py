"""The flow of control-plane evidence against the lab: real buckets, files, digests and look-ups, and what they do not give."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from forensics import case_keys
from forensics.cloud_evidence.log_findings import TRAIL
from forensics.cloud_evidence.operators import CollectTrailOperator
from forensics.custody.chain import verify_chain
from forensics.models.custody import CustodyAction
from forensics.models.evidence import CloudTrailEvidence, Outcome
from forensics.models.results import Investigation, read_results
from forensics.report.exports import ocsf, stix, timesketch
from forensics.settings import get_settings
from forensics.triage.operators import DescribeTargetOperator
from lab.accounts import MEMBER_ACCOUNT
from lab.evidence.trail_records import Account
from lab.seed.member import THIEF
from tests.gateways import case_gateways
from tests.integration.conftest import SmallLab
from tests.integration.steps import perform
from tests.integration.test_case_steps import open_case

STEP = "cloud_evidence.collect_trail"


@pytest.fixture
def case_id(lab: SmallLab) -> str:
    """A case on the web server, described."""
    found = open_case(lab)
    perform(DescribeTargetOperator(task_id="triage.describe_target"), case_id=found)
    return found


def collect(case_id: str) -> Any:
    return perform(CollectTrailOperator(task_id=STEP), case_id=case_id)


def item(case_id: str) -> CloudTrailEvidence:
    view = case_gateways(case_id).view(case_id)
    assert view is not None
    (found,) = [e for e in view.evidence if isinstance(e, CloudTrailEvidence)]
    return found


def bucket_of(lab: SmallLab) -> tuple[Any, str]:
    return lab.client("s3", "member"), str(lab.facts["trail"]["bucket"])


def keys(lab: SmallLab, kind: str = "/CloudTrail/") -> list[str]:
    s3, bucket = bucket_of(lab)
    return [o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"] if kind in o["Key"]]


def test_records_become_locked_evidence_in_the_ledger_and_findings_of_the_case(lab: SmallLab, case_id: str) -> None:
    answer = collect(case_id)
    found, gateways = item(case_id), case_gateways(case_id)
    assert found.outcome is Outcome.ACQUIRED, found.reason
    assert (found.origin.source, found.origin.bucket) == ("s3", lab.facts["trail"]["bucket"])
    assert answer["findings"] > 0 and len({d.value for d in found.digests}) == 1 and len(found.digests) == 2
    assert found.lock["mode"] == "GOVERNANCE"
    body = b"".join(gateways.evidence.stream(str(found.uri).removeprefix(f"s3://{gateways.evidence.bucket}/")))
    records = [json.loads(line) for line in gzip.decompress(body).splitlines()]
    assert found.origin.records == len(records) == 23
    view = gateways.view(case_id)
    assert view is not None
    (results,) = [r for r in view.results if r.tool == "cloud"]
    (stolen,) = [f for f in results.findings if f.id.startswith("cloudtrail-used-elsewhere")]
    assert THIEF in stolen.title and stolen.technique == "T1078.004"
    assert set(stolen.data["event_ids"]) <= {r["eventID"] for r in records}  # type: ignore[arg-type]
    assert any(e.what.startswith("sts:GetCallerIdentity by ") for e in results.timeline)
    actions = {e.action for e in view.custody if e.evidence_id == found.evidence_id}
    assert {
        CustodyAction.OBJECT_STORED,
        CustodyAction.EVIDENCE_ACQUIRED,
        CustodyAction.EVIDENCE_LOCKED,
        CustodyAction.EVIDENCE_VERIFIED,
        CustodyAction.ARTIFACT_STORED,
    } <= actions
    assert verify_chain(view.custody) == view.custody_head


def test_exports_carry_the_calls_and_the_findings(lab: SmallLab, case_id: str) -> None:
    collect(case_id)
    view = case_gateways(case_id).view(case_id)
    assert view is not None
    lines = [json.loads(line) for line in timesketch.render(view).splitlines()]
    assert any("sts:GetCallerIdentity by " in e["message"] and e["source"].startswith("CloudTrail ") for e in lines)
    events = [json.loads(line) for line in ocsf.render(view).splitlines()]
    attacks = [e["finding_info"].get("attacks", []) for e in events if e["class_uid"] == ocsf.DETECTION]
    assert any(a["technique"] == {"uid": "T1078.004", "name": "Cloud Accounts"} for found in attacks for a in found)
    assert "T1078.004" in stix.render(view)


def test_log_files_are_held_against_cloudtrail_s_signed_digests(lab: SmallLab, case_id: str) -> None:
    collect(case_id)
    (note,) = [n for n in item(case_id).origin.notes if "signed digest" in n]
    assert note.startswith(f"{len(keys(lab))} log files are as CloudTrail wrote them (1 signed digest files)")


def test_a_log_file_that_was_changed_and_one_that_is_gone_are_named(lab: SmallLab, case_id: str) -> None:
    s3, bucket = bucket_of(lab)
    changed, gone = keys(lab)[:2]
    plain = gzip.decompress(s3.get_object(Bucket=bucket, Key=changed)["Body"].read())
    s3.put_object(Bucket=bucket, Key=changed, Body=gzip.compress(plain.replace(b"GetObject", b"PutObject")))
    s3.delete_object(Bucket=bucket, Key=gone)
    collect(case_id)
    found = item(case_id)
    assert found.outcome is Outcome.PARTIAL
    assert f"1 log files were changed after CloudTrail wrote them: {changed}" in str(found.reason)
    assert f"1 log files that CloudTrail wrote are gone: {gone}" in str(found.reason)


def test_a_digest_file_under_another_signature_is_named(lab: SmallLab, case_id: str) -> None:
    s3, bucket = bucket_of(lab)
    (key,) = keys(lab, "/CloudTrail-Digest/")
    body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    s3.put_object(Bucket=bucket, Key=key, Body=body, Metadata={"signature": "ab" * 256})
    collect(case_id)
    assert "1 digest files are not CloudTrail's" in str(item(case_id).reason)


def test_without_a_trail_the_event_history_is_looked_up(lab: SmallLab, case_id: str) -> None:
    lab.client("cloudtrail", "member").delete_trail(Name="lab")
    collect(case_id)
    found = item(case_id)
    assert (found.outcome, found.origin.source) == (Outcome.ACQUIRED, "lookup"), found.reason
    # reads of objects are data events, which the history does not have
    assert found.origin.records == 3
    assert any("a trail of all Regions" in note for note in found.origin.notes)


def test_a_bucket_that_may_not_be_read_is_named_and_the_history_looked_up(lab: SmallLab, case_id: str) -> None:
    lab.control(
        "faults",
        [{"service": "s3", "account": MEMBER_ACCOUNT, "action": "List.*", "code": "AccessDenied", "status": 403}],
    )
    collect(case_id)
    found = item(case_id)
    assert found.origin.source == "lookup"
    assert any(lab.facts["trail"]["bucket"] in note and "cannot be read" in note for note in found.origin.notes)


def test_a_broken_log_file_makes_the_evidence_partial_and_hides_nothing_else(lab: SmallLab, case_id: str) -> None:
    s3, bucket = bucket_of(lab)
    broken = keys(lab)[-1]
    s3.put_object(Bucket=bucket, Key=broken.replace(".json.gz", "x.json.gz"), Body=b"\x1f\x8b broken")
    answer = collect(case_id)
    found = item(case_id)
    assert found.outcome is Outcome.PARTIAL and "not read whole" in str(found.reason)
    assert answer["findings"] > 0


def test_a_budget_that_ends_is_said(lab: SmallLab, case_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__FORENSICS__RECORD_OBJECTS", "10")
    get_settings.cache_clear()
    collect(case_id)
    found = item(case_id)
    assert found.outcome is Outcome.PARTIAL and "record_objects" in str(found.reason)
    assert found.origin.objects == 10


def test_a_second_try_adds_nothing(lab: SmallLab, case_id: str) -> None:
    collect(case_id)
    gateways = case_gateways(case_id)
    before = gateways.evidence.list(f"cases/{case_id}/")
    collect(case_id)
    assert gateways.evidence.list(f"cases/{case_id}/") == before
    record = gateways.store.get(case_id, case_keys.result(TRAIL.activity, item(case_id).evidence_id), Investigation)
    assert record is not None and record.outcome is Outcome.DONE
    body = gateways.evidence.adopt(record.artifacts["results"].uri.split("/", 3)[3])[1]
    assert read_results(body).tool == "cloud"


def test_no_answer_at_all_is_failed_evidence_by_name_and_not_a_lost_case(lab: SmallLab, case_id: str) -> None:
    lab.control("faults", [{"service": "cloudtrail", "action": ".*", "code": "AccessDeniedException", "status": 400}])
    with pytest.raises(Exception, match="trails"):
        collect(case_id)
    found = item(case_id)
    assert found.outcome is Outcome.FAILED and "trails" in str(found.reason)


def test_a_key_that_the_thief_made_is_followed_across_the_files(lab: SmallLab, case_id: str) -> None:
    web = lab.facts["instances"]["web-server"]
    place = Account(MEMBER_ACCOUNT, web["region"], web["instance_id"])
    iam, now = lab.client("iam", "member"), datetime.now(UTC)
    iam.create_user(UserName="helpdesk")
    key = iam.create_access_key(UserName="helpdesk")["AccessKey"]["AccessKeyId"]
    made = {"accessKey": {"accessKeyId": key, "userName": "helpdesk"}}
    lab.control("trail", {"account": MEMBER_ACCOUNT, "records": [
        place.call(now - timedelta(minutes=40), "iam:CreateAccessKey", place.instance(address=THIEF), {"userName": "helpdesk"}, made, awsRegion="us-east-1"),
        place.call(now - timedelta(minutes=10), "ec2:RunInstances", place.user("helpdesk", key=key, address=THIEF), {"instanceType": "g5.48xlarge"}, {"instancesSet": {"items": [{"instanceId": "i-0aaaabbbbccccddd7"}]}}),
    ]})  # fmt: skip
    collect(case_id)
    view = case_gateways(case_id).view(case_id)
    assert view is not None
    titles = {f.title for r in view.results if r.tool == "cloud" for f in r.findings}
    assert any(t.startswith(f"Credential to rotate: access key {key} of user helpdesk") for t in titles)
    assert "Instances were launched with the instance's credentials" in titles
    assert any(n.startswith(f"access key {key} of user helpdesk: last used") for n in item(case_id).origin.notes)
