"""The steps that collect an account's records, with what the template gives the role ``logs`` and nothing else."""

from __future__ import annotations

import json

import pytest
from airflow.sdk.exceptions import AirflowFailException

from forensics.cloud_evidence.operators import (
    CollectFlowsOperator,
    CollectQueriesOperator,
    CollectStateOperator,
    CollectTrailOperator,
)
from forensics.models.evidence import CloudTrailEvidence, LogEvidence, Outcome
from forensics.settings import get_settings
from forensics.triage.operators import DescribeTargetOperator
from lab.emulator.iam.sessions import ORGANIZATION
from tests.gateways import case_gateways
from tests.integration.conftest import SmallLab
from tests.integration.steps import perform
from tests.integration.test_case_steps import open_case
from tests.templates.test_least_privilege import ORGANIZATION as TEMPLATES
from tests.templates.test_least_privilege import policies

STEPS = (
    ("collect_trail", CollectTrailOperator),
    ("collect_flows", CollectFlowsOperator),
    ("collect_queries", CollectQueriesOperator),
    ("collect_state", CollectStateOperator),
)


@pytest.fixture
def case_id(lab: SmallLab) -> str:
    """A case on the web server, described; the role has the template's policies from then on."""
    found = open_case(lab)
    perform(DescribeTargetOperator(task_id="triage.describe_target"), case_id=found)
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    for account in ("member", "forensic"):
        iam = lab.client("iam", account)
        for role in [r["RoleName"] for r in iam.list_roles()["Roles"] if r["RoleName"].startswith("forensics-")]:
            given = policies("logs") if role == "forensics-logs" else {"all": everything}
            for name, document in given.items():
                text = json.dumps(document).replace(TEMPLATES, ORGANIZATION)
                iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=text)
    lab.control("iam", {"enforce": True})
    return found


def balance(lab: SmallLab) -> None:
    """A load balancer before the web server, so that its attributes are asked for."""
    web, network, new = lab.facts["instances"]["web-server"], lab.facts["member_network"], lab.client("elbv2", "member")
    balancer = new.create_load_balancer(Name="shop", Subnets=network["subnet_ids"])["LoadBalancers"][0]
    group = new.create_target_group(Name="shop", Protocol="HTTP", Port=80, VpcId=network["vpc_id"])["TargetGroups"][0]
    new.create_listener(
        LoadBalancerArn=balancer["LoadBalancerArn"], Protocol="HTTP", Port=80,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": group["TargetGroupArn"]}],
    )  # fmt: skip
    new.register_targets(TargetGroupArn=group["TargetGroupArn"], Targets=[{"Id": web["instance_id"], "Port": 80}])


def test_each_kind_of_record_is_collected_whole(lab: SmallLab, case_id: str) -> None:
    iam = lab.client("iam", "member")
    text = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]})
    arn = iam.create_policy(PolicyName="files", PolicyDocument=text)["Policy"]["Arn"]
    iam.attach_role_policy(RoleName="web-server", PolicyArn=arn)
    iam.put_role_policy(RoleName="web-server", PolicyName="own", PolicyDocument=text)
    balance(lab)
    for name, step in STEPS:
        perform(step(task_id=f"cloud_evidence.{name}"), case_id=case_id)
    view = case_gateways(case_id).view(case_id)
    assert view is not None
    items = [e for e in view.evidence if isinstance(e, LogEvidence)]
    assert {e.kind.value: (e.outcome, e.reason) for e in items} == dict.fromkeys(
        ("cloud-trail", "flow-logs", "query-logs", "account-state"), (Outcome.ACQUIRED, None)
    )


def test_cloudtrail_lake_is_asked_where_there_is_no_trail(
    lab: SmallLab, case_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloudtrail = lab.client("cloudtrail", "member")
    cloudtrail.delete_trail(Name="lab")
    cloudtrail.create_event_data_store(Name="lake")
    monkeypatch.setenv("AIRFLOW__FORENSICS__RECORD_WAIT_SECONDS", "0")
    get_settings.cache_clear()
    perform(CollectTrailOperator(task_id="cloud_evidence.collect_trail"), case_id=case_id)
    view = case_gateways(case_id).view(case_id)
    assert view is not None
    (found,) = [e for e in view.evidence if isinstance(e, CloudTrailEvidence)]
    assert (found.outcome, found.origin.source, found.reason) == (Outcome.ACQUIRED, "lake", None)
    # a query that scans too much is ended in the role's name, and nothing but the history is left
    lab.control("lake", {"looks": 1000})
    monkeypatch.setattr("forensics.cloud_evidence.trail_lake.GIB", 0.001)
    perform(CollectTrailOperator(task_id="cloud_evidence.collect_trail"), case_id=case_id, run_id="manual__again")
    view = case_gateways(case_id).view(case_id)
    assert view is not None
    (found,) = [e for e in view.evidence if isinstance(e, CloudTrailEvidence)]
    assert any("was cancelled" in note for note in found.origin.notes), found.origin.notes


def test_the_policies_are_enforced(lab: SmallLab, case_id: str) -> None:
    """The test above cannot be green because nobody asks."""
    nothing = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "ec2:DescribeVpcs", "Resource": "*"}],
    }
    iam = lab.client("iam", "member")
    for name in iam.list_role_policies(RoleName="forensics-logs")["PolicyNames"]:
        iam.put_role_policy(RoleName="forensics-logs", PolicyName=name, PolicyDocument=json.dumps(nothing))
    with pytest.raises(AirflowFailException, match="no identity-based policy allows the ec2:DescribeFlowLogs"):
        perform(CollectFlowsOperator(task_id="cloud_evidence.collect_flows"), case_id=case_id)
