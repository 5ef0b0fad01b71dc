"""Every call that collects an account's records, made once, with what it needs."""

from __future__ import annotations

import contextlib
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from lab.evidence.trail_records import Account
from tests.contract.plays import POLICY, ROLE
from tests.lab.conftest import MEMBER, REGION, Lab, Network


def play(lab: Lab, network: Network) -> None:
    """All of them."""
    _trail(lab)
    _data_store(lab)
    _log_group(lab)
    _query_logging(lab, network)
    _account_state(lab, network)


def _trail(lab: Lab) -> None:
    name, cloudtrail, now = f"trail-{time.monotonic_ns()}", lab.client("cloudtrail", MEMBER), datetime.now(UTC)
    lab.client("s3", MEMBER).create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    arn = cloudtrail.create_trail(Name=name, S3BucketName=name, IsMultiRegionTrail=True, EnableLogFileValidation=True)[
        "TrailARN"
    ]
    cloudtrail.start_logging(Name=arn)
    cloudtrail.describe_trails(includeShadowTrails=True)
    cloudtrail.get_trail_status(Name=arn)
    cloudtrail.list_public_keys(StartTime=now - timedelta(days=1), EndTime=now)
    place = Account(MEMBER, REGION, "i-0123456789abcdef0")
    lab.post(
        "trail",
        {"account": MEMBER, "records": [place.call(now, "ec2:StopInstances", place.instance(), {"instanceId": name})]},
    )
    wanted: Any = [{"AttributeKey": "ResourceName", "AttributeValue": name}]
    assert cloudtrail.lookup_events(LookupAttributes=wanted, MaxResults=50)["Events"]


def _data_store(lab: Lab) -> None:
    cloudtrail = lab.client("cloudtrail", MEMBER)
    arn = cloudtrail.create_event_data_store(Name=f"lake-{time.monotonic_ns()}")["EventDataStoreArn"]
    assert arn in [s["EventDataStoreArn"] for s in cloudtrail.list_event_data_stores()["EventDataStores"]]
    assert cloudtrail.get_event_data_store(EventDataStore=arn)["Status"] == "ENABLED"
    statement = f"SELECT eventJson FROM {arn.rpartition('/')[2]} WHERE eventTime >= '2026-01-01 00:00:00'"  # noqa: S608
    left, ended = (cloudtrail.start_query(QueryStatement=statement)["QueryId"] for _ in range(2))
    cloudtrail.cancel_query(QueryId=left, EventDataStore=arn)
    assert cloudtrail.describe_query(QueryId=left)["QueryStatus"] == "CANCELLED"
    while cloudtrail.describe_query(QueryId=ended)["QueryStatus"] != "FINISHED":
        pass
    assert cloudtrail.get_query_results(QueryId=ended, MaxQueryResults=10)["QueryStatus"] == "FINISHED"


def _log_group(lab: Lab) -> None:
    logs, name, now = lab.client("logs", MEMBER), f"flows-{time.monotonic_ns()}", datetime.now(UTC)
    logs.create_log_group(logGroupName=name)
    logs.create_log_stream(logGroupName=name, logStreamName="eni-1-all")
    told: Any = [{"timestamp": int(now.timestamp() * 1000), "message": "2 i-1"}]
    logs.put_log_events(logGroupName=name, logStreamName="eni-1-all", logEvents=told)
    end = int(now.timestamp() * 1000) + 1
    page = logs.filter_log_events(
        logGroupName=name, startTime=0, endTime=end, logStreamNamePrefix="eni-1", filterPattern='"i-1"'
    )
    assert page["events"] == [] and page["nextToken"]
    assert logs.filter_log_events(logGroupName=name, startTime=0, endTime=end, nextToken=page["nextToken"])["events"]


def _query_logging(lab: Lab, network: Network) -> None:
    resolver, name = lab.client("route53resolver", MEMBER), f"q-{time.monotonic_ns()}"
    made = resolver.create_resolver_query_log_config(
        Name=name, DestinationArn=f"arn:aws:s3:::{name}", CreatorRequestId=name
    )
    config = made["ResolverQueryLogConfig"]["Id"]
    vpc = lab.client("ec2", MEMBER).create_vpc(CidrBlock="10.99.0.0/24")["Vpc"]["VpcId"]
    resolver.associate_resolver_query_log_config(ResolverQueryLogConfigId=config, ResourceId=vpc)
    wanted: Any = [{"Name": "ResourceId", "Values": [vpc]}]
    (found,) = resolver.list_resolver_query_log_config_associations(Filters=wanted)[
        "ResolverQueryLogConfigAssociations"
    ]
    assert found["ResolverQueryLogConfigId"] == config
    resolver.get_resolver_query_log_config(ResolverQueryLogConfigId=config)


def _account_state(lab: Lab, network: Network) -> None:
    iam, config, ssm = lab.client("iam", MEMBER), lab.client("config", MEMBER), lab.client("ssm", MEMBER)
    name = f"state-{time.monotonic_ns()}"
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=ROLE)["Role"]["Arn"]
    policy = iam.create_policy(PolicyName=name, PolicyDocument=POLICY)["Policy"]["Arn"]
    iam.attach_role_policy(RoleName=name, PolicyArn=policy)
    iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=POLICY)
    iam.get_role(RoleName=name)
    assert iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    iam.get_policy_version(PolicyArn=policy, VersionId=iam.get_policy(PolicyArn=policy)["Policy"]["DefaultVersionId"])
    iam.get_role_policy(RoleName=name, PolicyName="own")
    job = iam.generate_service_last_accessed_details(Arn=role)["JobId"]
    assert [iam.get_service_last_accessed_details(JobId=job)["JobStatus"] for _ in range(2)] == [
        "IN_PROGRESS",
        "COMPLETED",
    ]
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]["AccessKeyId"]
    assert iam.get_access_key_last_used(AccessKeyId=key)["UserName"] == name
    group = lab.client("ec2", MEMBER).create_security_group(GroupName=name, Description="d")["GroupId"]
    asked: Any = {"resourceType": "AWS::EC2::SecurityGroup", "resourceId": group}
    with contextlib.suppress(ClientError):
        config.get_resource_config_history(**asked)
    config.put_configuration_recorder(
        ConfigurationRecorder={"name": "default", "roleARN": role, "recordingGroup": {"allSupported": True}}
    )
    assert config.get_resource_config_history(**asked)["configurationItems"]
    wanted: Any = [{"key": "Target", "value": "i-0123456789abcdef0"}]
    ssm.start_session(Target="i-0123456789abcdef0")
    assert ssm.describe_sessions(State="Active", Filters=wanted)["Sessions"]
    preferences = {
        "schemaVersion": "1.0",
        "description": "d",
        "sessionType": "Standard_Stream",
        "inputs": {"s3BucketName": "logs"},
    }
    ssm.create_document(Name=name, DocumentType="Session", DocumentFormat="JSON", Content=json.dumps(preferences))
    assert json.loads(ssm.get_document(Name=name, DocumentFormat="JSON")["Content"])["inputs"]
