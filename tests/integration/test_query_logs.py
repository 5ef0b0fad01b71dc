"""What a target asked the Resolver for, against the lab: from bucket and log group to findings; what is not switched on."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from forensics.case.gaps import gaps
from forensics.cloud_evidence.operators import CollectQueriesOperator
from forensics.models.evidence import Outcome, QueryLogEvidence
from forensics.triage.operators import DescribeTargetOperator
from lab.accounts import FORENSIC_ACCOUNT, MEMBER_ACCOUNT
from lab.evidence import query_records
from lab.seed.member import recorded_questions
from tests.gateways import case_gateways
from tests.integration.conftest import SmallLab
from tests.integration.steps import perform
from tests.integration.test_case_steps import open_case

STEP = "cloud_evidence.collect_queries"


@pytest.fixture
def case_id(lab: SmallLab) -> str:
    """A case on the web server, described."""
    found = open_case(lab)
    perform(DescribeTargetOperator(task_id="triage.describe_target"), case_id=found)
    return found


def collect(case_id: str) -> Any:
    return perform(CollectQueriesOperator(task_id=STEP), case_id=case_id)


def item(case_id: str) -> QueryLogEvidence:
    view = case_gateways(case_id).view(case_id)
    assert view is not None
    (found,) = [e for e in view.evidence if isinstance(e, QueryLogEvidence)]
    return found


def stored(case_id: str) -> list[dict[str, Any]]:
    found, gateways = item(case_id), case_gateways(case_id)
    body = b"".join(gateways.evidence.stream(str(found.uri).removeprefix(f"s3://{gateways.evidence.bucket}/")))
    return [json.loads(line) for line in gzip.decompress(body).decode().splitlines()]


def instead(lab: SmallLab, destination: str) -> None:
    """The VPC's query logging writes somewhere else."""
    resolver = lab.client("route53resolver", "member")
    made = resolver.create_resolver_query_log_config(Name="other", DestinationArn=destination, CreatorRequestId="other")
    vpc = lab.facts["member_network"]["vpc_id"]
    off(lab)
    resolver.associate_resolver_query_log_config(
        ResolverQueryLogConfigId=made["ResolverQueryLogConfig"]["Id"], ResourceId=vpc
    )


def off(lab: SmallLab) -> None:
    resolver = lab.client("route53resolver", "member")
    resolver.disassociate_resolver_query_log_config(
        ResolverQueryLogConfigId=lab.facts["query_logs"]["id"], ResourceId=lab.facts["member_network"]["vpc_id"]
    )


def test_questions_become_locked_evidence_and_are_read(lab: SmallLab, case_id: str) -> None:
    collect(case_id)
    found = item(case_id)
    assert found.outcome is Outcome.ACQUIRED and found.lock["mode"] and len(found.digests) == 2
    web = lab.facts["instances"]["web-server"]["instance_id"]
    records = stored(case_id)
    assert found.origin.records == len(records) > 40 and {r["srcids"]["instance"] for r in records} == {web}
    view = case_gateways(case_id).view(case_id)
    assert view is not None
    (results,) = [r for r in view.results if r.evidence_id == found.evidence_id]
    assert results.counts["queries"] == len(records) and results.artifacts[0].name == "Resolver query logs"


def test_a_log_group_is_read_by_the_instance_s_id(lab: SmallLab, case_id: str) -> None:
    logs, web = lab.client("logs", "member"), lab.facts["instances"]["web-server"]
    logs.create_log_group(logGroupName="/dns/queries", tags={"forensics:records": "read"})
    logs.create_log_stream(logGroupName="/dns/queries", logStreamName="vpc_1")
    asked = sorted(recorded_questions(), key=lambda a: a.at)[-20:]
    events = []
    for instance, address in ((web["instance_id"], web["private_ip"]), ("i-0fedcba9876543210", "10.20.0.77")):
        made = query_records.lines(
            asked, account=MEMBER_ACCOUNT, region="eu-central-1", vpc="vpc-1", address=address, instance=instance
        )
        events += [{"timestamp": int(a.at.timestamp() * 1000), "message": m} for a, m in zip(asked, made, strict=True)]
    logs.put_log_events(
        logGroupName="/dns/queries",
        logStreamName="vpc_1",
        logEvents=sorted(events, key=lambda e: int(str(e["timestamp"]))),
    )
    instead(lab, f"arn:aws:logs:eu-central-1:{MEMBER_ACCOUNT}:log-group:/dns/queries:*")
    collect(case_id)
    assert item(case_id).origin.log_group == "/dns/queries"
    assert {r["srcids"]["instance"] for r in stored(case_id)} == {web["instance_id"]} and len(stored(case_id)) == 20


def test_without_query_logging_it_is_said_what_to_switch_on_and_nothing_is_missing(lab: SmallLab, case_id: str) -> None:
    off(lab)
    with pytest.raises(AirflowSkipException, match="NOT_APPLICABLE"):
        collect(case_id)
    assert "CreateResolverQueryLogConfig" in str(item(case_id).reason)
    view = case_gateways(case_id).view(case_id)
    assert view is not None and not [g for g in gaps(view) if "quer" in g.subject]


def test_a_stream_of_firehose_is_named(lab: SmallLab, case_id: str) -> None:
    stream = f"arn:aws:firehose:eu-central-1:{FORENSIC_ACCOUNT}:deliverystream/dns"
    instead(lab, stream)
    with pytest.raises(AirflowSkipException, match="NOT_APPLICABLE"):
        collect(case_id)
    assert stream in str(item(case_id).reason)


def test_an_api_that_is_not_reached_is_failed_evidence(lab: SmallLab, case_id: str) -> None:
    lab.control(
        "faults", [{"service": "route53resolver", "action": ".*", "code": "AccessDeniedException", "status": 400}]
    )
    with pytest.raises(Exception, match="AccessDenied"):
        collect(case_id)
    assert item(case_id).outcome is Outcome.FAILED
