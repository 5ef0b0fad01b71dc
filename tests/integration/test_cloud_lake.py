"""CloudTrail Lake as a source: the same records as from the bucket, asked within its limits, and what it does not give."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from forensics.cloud_evidence.extension_operators import ExtendRecordsOperator
from forensics.cloud_evidence.operators import CollectTrailOperator
from forensics.cloud_evidence.triggers import LakeTrigger
from forensics.models.evidence import CloudTrailEvidence, Outcome
from forensics.settings import get_settings
from forensics.triage.operators import DescribeTargetOperator
from lab.accounts import MEMBER_ACCOUNT
from lab.evidence.trail_records import Account
from lab.seed.member import THIEF
from tests.gateways import case_gateways
from tests.integration.conftest import SmallLab
from tests.integration.steps import perform
from tests.integration.test_case_steps import open_case
from tests.integration.test_extended_records import THEN, PlantFinding

EVERYTHING = [
    {"Name": "c", "FieldSelectors": [{"Field": "eventCategory", "Equals": [c]}]} for c in ("Management", "Data")
]


@pytest.fixture
def case_id(lab: SmallLab, monkeypatch: pytest.MonkeyPatch) -> str:
    """A case on the web server, whose account has no trail."""
    setting(monkeypatch, record_wait_seconds=0)
    lab.client("cloudtrail", "member").delete_trail(Name="lab")
    found = open_case(lab)
    perform(DescribeTargetOperator(task_id="triage.describe_target"), case_id=found)
    return found


def setting(monkeypatch: pytest.MonkeyPatch, **values: object) -> None:
    for name, value in values.items():
        monkeypatch.setenv(f"AIRFLOW__FORENSICS__{name.upper()}", str(value))
    get_settings.cache_clear()


def store(lab: SmallLab, account: str = "member", **more: Any) -> str:
    made = lab.client("cloudtrail", account).create_event_data_store(
        **{"Name": "lake", "AdvancedEventSelectors": EVERYTHING, **more}
    )
    return str(made["EventDataStoreArn"])


def collect(case_id: str) -> Any:
    return perform(CollectTrailOperator(task_id="cloud_evidence.collect_trail"), case_id=case_id)


def item(case_id: str) -> CloudTrailEvidence:
    view = case_gateways(case_id).view(case_id)
    assert view is not None
    (found,) = [e for e in view.evidence if isinstance(e, CloudTrailEvidence)]
    return found


def stored(case_id: str, name: str) -> bytes:
    gateways, found = case_gateways(case_id), item(case_id)
    key = str(found.uri).removeprefix(f"s3://{gateways.evidence.bucket}/")
    return b"".join(gateways.evidence.stream(key.replace("records.jsonl.gz", name)))


def queries(lab: SmallLab, **how: Any) -> list[str]:
    return list(lab.control("lake", how)["queries"])


def test_an_event_data_store_gives_what_the_bucket_would_have(lab: SmallLab, case_id: str) -> None:
    arn = store(lab)
    answer = collect(case_id)
    found = item(case_id)
    assert (found.outcome, found.origin.source, found.reason) == (Outcome.ACQUIRED, "lake", None)
    records = [json.loads(line) for line in gzip.decompress(stored(case_id, "records.jsonl.gz")).splitlines()]
    # as tests/integration/test_cloud_trail.py has from the bucket
    assert found.origin.records == len(records) == 23 and answer["findings"] > 0
    assert len(found.digests) == 2 and found.lock["mode"] == "GOVERNANCE"
    sources = json.loads(stored(case_id, "sources.json"))
    (query,) = sources["queries"].values()
    assert (query["store"], query["status"], query["rows"]) == (arn, "FINISHED", 23)
    assert query["statement"] == queries(lab)[0] and query["scanned"] > 0
    assert any("digest files prove nothing" in n for n in found.origin.notes)


def test_a_key_that_the_thief_made_is_asked_for_by_a_second_query(lab: SmallLab, case_id: str) -> None:
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
    store(lab)
    collect(case_id)
    asked = queries(lab)
    assert len(asked) == 3 and key not in asked[0] and key in asked[1] and "0aaaabbbbccccddd7" in asked[2]
    view = case_gateways(case_id).view(case_id)
    assert view is not None
    titles = {f.title for r in view.results if r.tool == "cloud" for f in r.findings}
    assert "Instances were launched with the instance's credentials" in titles
    assert item(case_id).origin.records == 25


def test_a_second_try_reads_the_same_queries_again_and_starts_none(lab: SmallLab, case_id: str) -> None:
    store(lab)
    collect(case_id)
    before = (queries(lab), case_gateways(case_id).evidence.list(f"cases/{case_id}/"))
    collect(case_id)
    assert (queries(lab), case_gateways(case_id).evidence.list(f"cases/{case_id}/")) == before


def test_a_store_of_another_account_is_asked_where_its_policy_lets_the_role_in(
    lab: SmallLab, case_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    arn = store(lab, "security", OrganizationEnabled=True)
    setting(monkeypatch, record_data_stores=arn)
    collect(case_id)
    assert item(case_id).origin.source == "lookup"
    assert any(f"event data store {arn} cannot be asked" in n for n in item(case_id).origin.notes)
    lab.client("cloudtrail", "security").put_resource_policy(ResourceArn=arn, ResourcePolicy="{}")
    perform(CollectTrailOperator(task_id="cloud_evidence.collect_trail"), case_id=case_id, run_id="manual__again")
    assert (item(case_id).origin.source, item(case_id).origin.records) == ("lake", 23)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"ends": "FAILED", "message": "Query exhausted resources"}, "failed: Query exhausted resources"),
        ({"looks": 1000}, "was cancelled when it had scanned"),
    ],
)
def test_a_query_without_results_is_named_and_the_history_looked_up(
    lab: SmallLab, case_id: str, monkeypatch: pytest.MonkeyPatch, how: dict[str, Any], said: str
) -> None:
    monkeypatch.setattr("forensics.cloud_evidence.trail_lake.GIB", 1)
    setting(monkeypatch, record_lake_gib=1)
    store(lab)
    queries(lab, **how)
    collect(case_id)
    found = item(case_id)
    assert found.origin.source == "lookup" and any(said in n for n in found.origin.notes), found.origin.notes


def test_a_query_that_ran_out_of_time_gives_what_it_had_found(lab: SmallLab, case_id: str) -> None:
    store(lab)
    queries(lab, ends="TIMED_OUT")
    collect(case_id)
    found = item(case_id)
    assert (found.outcome, found.origin.source, found.origin.records) == (Outcome.PARTIAL, "lake", 11)
    assert "ran for an hour" in str(found.reason)


def test_the_budget_of_pages_is_said_with_what_is_left(
    lab: SmallLab, case_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forensics.aws.cloudtrail_lake.PAGE_ROWS", 2)
    setting(monkeypatch, record_objects=10)
    store(lab)
    collect(case_id)
    found = item(case_id)
    assert (found.outcome, found.origin.records) == (Outcome.PARTIAL, 20)
    assert "record_objects" in str(found.reason) and "3 of 23 rows" in str(found.reason)


def test_a_busy_lake_is_waited_for(lab: SmallLab, case_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forensics.cloud_evidence.trail_lake.SLOT_SECONDS", 0)
    arn, cloudtrail = store(lab), lab.client("cloudtrail", "member")
    queries(lab, looks=1)
    others = [
        cloudtrail.start_query(QueryStatement=f"SELECT eventID FROM {arn.rpartition('/')[2]}")["QueryId"]  # noqa: S608
        for _ in range(10)
    ]
    starts = []

    def end_one(self: Any) -> float:
        starts.append(1)
        cloudtrail.describe_query(QueryId=others.pop())
        return 0.0

    monkeypatch.setattr("forensics.cloud_evidence.trail_lake.LakeBook.crowded_seconds", end_one)
    collect(case_id)
    assert item(case_id).origin.source == "lake" and starts == [1]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"AdvancedEventSelectors": [{"Name": "c", "FieldSelectors": [{"Field": "eventCategory", "Equals": ["ConfigurationItem"]}]}]}, "holds no calls"),
        ({}, "takes no events in: it is STOPPED_INGESTION"),
    ],
)  # fmt: skip
def test_a_store_that_cannot_know_is_not_asked(lab: SmallLab, case_id: str, more: dict[str, Any], said: str) -> None:
    arn = store(lab, **more)
    if not more:
        queries(lab, store=arn, status="STOPPED_INGESTION")
    collect(case_id)
    assert queries(lab) == [] and item(case_id).origin.source == "lookup"
    assert any(said in n for n in item(case_id).origin.notes)


def test_lake_is_left_alone_where_its_setting_says_so(
    lab: SmallLab, case_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting(monkeypatch, record_lake_gib=0)
    store(lab)
    collect(case_id)
    assert queries(lab) == [] and item(case_id).origin.source == "lookup"


def test_older_findings_ask_the_store_once_more(lab: SmallLab, case_id: str) -> None:
    web = lab.facts["instances"]["web-server"]
    place = Account(MEMBER_ACCOUNT, web["region"], web["instance_id"])
    early = place.call(THEN, "ssm:SendCommand", place.person("mallory"), {"instanceIds": [web["instance_id"]]})
    lab.control("trail", {"account": MEMBER_ACCOUNT, "records": [early]})
    store(lab)
    collect(case_id)
    before = item(case_id)
    perform(PlantFinding(task_id="investigation.analyse_disk"), case_id=case_id)
    made = perform(ExtendRecordsOperator(task_id="cloud_evidence.extend_records"), case_id=case_id)
    after = item(case_id)
    assert [e["outcome"] for e in made["extended"]] == ["ACQUIRED"]
    assert after.origin.source == "lake" and after.origin.records == (before.origin.records or 0) + 1
    assert after.origin.begin and after.origin.begin < THEN and len(queries(lab)) == 2


def test_the_first_query_gives_what_was_called_before_time_to_arrive(
    lab: SmallLab, case_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting(monkeypatch, record_wait_seconds=900)
    store(lab)
    waits = []

    def wait(_self: Any, trigger: Any) -> None:
        waits.append(trigger)
        raise AirflowSkipException

    monkeypatch.setattr(CollectTrailOperator, "wait", wait)
    with pytest.raises(AirflowSkipException):
        collect(case_id)
    view = case_gateways(case_id).view(case_id)
    assert view is not None and isinstance(waits[0], LakeTrigger)
    assert waits[0].not_before == view.case.opened_at.timestamp() + 900 and waits[0].query_ids == []
    assert waits[0].check() is None and queries(lab) == []
    waits[0].not_before = 0.0
    assert waits[0].check() is not None
