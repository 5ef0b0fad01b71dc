"""Two deployments by the templates in the lab's four accounts: the second comes up beside the first, and neither touches the other's.

IAM, keys, bucket policies and the organization's policies are enforced, those of both. What the names are is in tests/templates/test_two_deployments.py.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from botocore.exceptions import ClientError

from forensics.containment.operators import IsolateTargetOperator, PlanContainmentOperator
from forensics.containment.protection_operators import ProtectTargetOperator
from forensics.containment.release_operators import PlanReleaseOperator
from forensics.containment.watch_operators import LookAtContainedOperator
from forensics.deployment import OPTION
from lab.accounts import FORENSIC_ACCOUNT, MANAGEMENT_ACCOUNT, MEMBER_ACCOUNT, REGION, ROOT_SECRET, root_access_key
from lab.progress import wait_until
from lab.seed import stacks
from lab.seed.accounts import Account
from tests.gateways import recorder_of
from tests.integration.conftest import ROOT, SmallLab, running_lab
from tests.integration.steps import perform
from tests.integration.test_case_steps import open_case, triage

BLUE_ID = "blue-external-id-0123456789"
# What the product of a deployment sees of a case's groups and of forensic instances that nobody needs any more.
LOOK = """
import json, sys
import boto3
from forensics.aws.ec2 import Ec2Gateway
from forensics.aws.ec2_facts import Ec2Facts
from forensics.naming import TAG_PURPOSE
facts = Ec2Facts(boto3.client("ec2"), account_id="333344445555", region="eu-central-1")
instances = Ec2Gateway(boto3.client("ec2"), account_id="333344445555", region="eu-central-1").instances(tags={TAG_PURPOSE: "forensic-instance"})
print(json.dumps([[g.name for g in facts.own_groups(case_id=CASE, token="0123abcd")], [i["InstanceId"] for i in instances]]))
"""
CASE = "fc-20261130-0123456789"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallLab]:
    """The first deployment as `make demo` makes it, and then blue beside it."""
    with pytest.MonkeyPatch.context() as change:
        change.setenv("LAB_DEPLOY", "templates")
        with running_lab(tmp_path_factory.mktemp("two"), change) as made:
            root = Account(MANAGEMENT_ACCOUNT, made.endpoint).client("organizations").list_roots()["Roots"][0]["Id"]
            made.facts["blue"] = stacks.carry_out(
                made.endpoint,
                external_id=BLUE_ID,
                DeploymentId="blue",
                AmiId=made.facts["forensic_ami_id"],
                TargetIds=root,
                OwnsAccountSettings="no",
            )
            yield made


def as_role(lab: SmallLab, deployment: str, phase: str, *, external_id: str) -> Any:
    """EC2 in the member account as a deployment's phase role, by its own execution role."""
    execution = lab.control(
        "service-session",
        {"role_arn": f"arn:aws:iam::{FORENSIC_ACCOUNT}:role/{deployment}-execution", "service": "airflow-env.amazonaws.com", "name": "airflow"},
    )  # fmt: skip
    sts = boto3.client("sts", endpoint_url=lab.endpoint, region_name=REGION, **keys(execution))
    return lambda name: boto3.client(
        "ec2", endpoint_url=lab.endpoint, region_name=REGION,
        **keys(sts.assume_role(
            RoleArn=f"arn:aws:iam::{MEMBER_ACCOUNT}:role/{name}-{phase}", RoleSessionName=CASE, SourceIdentity=CASE, ExternalId=external_id,
        )["Credentials"]),
    )  # fmt: skip


def keys(given: dict[str, Any]) -> dict[str, str]:
    found = {k.lower().replace("_", ""): v for k, v in given.items()}
    return {
        "aws_access_key_id": found.get("accesskeyid") or found["awsaccesskeyid"],
        "aws_secret_access_key": found.get("secretaccesskey") or found["awssecretaccesskey"],
        "aws_session_token": found.get("sessiontoken") or found["awssessiontoken"],
    }


def denied(call: Any, **given: Any) -> str:
    with pytest.raises(ClientError) as refused:
        call(**given)
    assert refused.value.response["Error"]["Code"] in {"AccessDenied", "UnauthorizedOperation"}, refused.value
    return str(refused.value)


def test_the_second_stands_beside_the_first_and_shares_no_name(lab: SmallLab) -> None:
    """Asked of the accounts themselves: whatever begins with one id has its twin with the other."""
    found: dict[str, set[str]] = {}
    for account in ("forensic", "security", "member"):
        iam, events, queues = (lab.client(s, account) for s in ("iam", "events", "sqs"))
        found[f"roles of {account}"] = {
            r["RoleName"] for p in iam.get_paginator("list_roles").paginate() for r in p["Roles"]
        }
        found[f"rules of {account}"] = {r["Name"] for r in events.list_rules()["Rules"]}
        found[f"queues of {account}"] = {url.rpartition("/")[2] for url in queues.list_queues().get("QueueUrls", [])}
        aliases = lab.client("kms", account).get_paginator("list_aliases").paginate()
        found[f"aliases of {account}"] = {a["AliasName"].removeprefix("alias/") for p in aliases for a in p["Aliases"]}
        documents = (
            lab.client("ssm", account)
            .get_paginator("list_documents")
            .paginate(Filters=[{"Key": "Owner", "Values": ["Self"]}])
        )
        found[f"documents of {account}"] = {d["Name"] for p in documents for d in p["DocumentIdentifiers"]}
    found["buckets"] = {b["Name"] for b in lab.client("s3").list_buckets()["Buckets"]}
    found["tables"] = set(lab.client("dynamodb").list_tables()["TableNames"])
    found["topics"] = {t["TopicArn"].rpartition(":")[2] for t in lab.client("sns").list_topics()["Topics"]}
    found["buses"] = {b["Name"] + "-" for b in lab.client("events").list_event_buses()["EventBuses"]}
    compared = 0
    for what, names in found.items():
        first = {
            n.removeprefix("forensics-") for n in names if n.startswith("forensics-") and n != "forensics-web-server"
        }
        blue = {n.removeprefix("blue-") for n in names if n.startswith("blue-")}
        assert first == blue, f"{what}: {sorted(first ^ blue)}"
        compared += len(first)
    assert compared > 60


def test_an_event_of_one_goes_to_one_queue(lab: SmallLab) -> None:
    """Manual requests and the preflight's test event: the sources are the deployment's own."""
    sqs, events = lab.client("sqs"), lab.client("events", "security")
    urls = {"forensics": lab.facts["queue_url"], "blue": lab.facts["blue"]["queue_url"]}
    assert urls["forensics"] != urls["blue"]
    for own in urls:
        entry = {"Source": f"{own}.preflight", "DetailType": "Forensics Preflight", "Detail": json.dumps({"of": own})}
        assert events.put_events(Entries=[entry])["FailedEntryCount"] == 0
    for own, url in urls.items():
        got = []
        while bodies := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
            got += [json.loads(m["Body"])["detail"]["of"] for m in bodies]
        assert got == [own]


def test_no_role_of_one_is_open_to_the_other(lab: SmallLab) -> None:
    blue = as_role(lab, "blue", "contain", external_id=BLUE_ID)
    first = as_role(lab, "forensics", "contain", external_id=lab.facts["external_id"])
    assert blue("blue").describe_instances() and first("forensics").describe_instances()
    assert "AssumeRole" in denied(lambda: blue("forensics")) and "AssumeRole" in denied(lambda: first("blue"))
    # not with the other's external id either: the trust names the execution role of its own deployment
    thief = as_role(lab, "blue", "contain", external_id=lab.facts["external_id"])
    assert "AssumeRole" in denied(lambda: thief("forensics"))


def test_what_one_has_made_the_other_may_not_change_and_does_not_take_for_its_own(lab: SmallLab) -> None:
    """The same case id in both, which differing ids of cases rule out: the tag's key keeps them apart."""
    root, vpc = lab.client("ec2", "member"), lab.facts["vpc_id"]
    instance = lab.facts["instances"]["web-server"]["instance_id"]
    made = {}
    for own, external_id in (("forensics", lab.facts["external_id"]), ("blue", BLUE_ID)):
        contain = as_role(lab, own, "contain", external_id=external_id)(own)
        tags = [{"Key": f"{own}:case", "Value": CASE}]
        made[own] = contain.create_security_group(
            GroupName=f"{own}-quarantine-{CASE}-0123abcd", Description="quarantine", VpcId=vpc,
            TagSpecifications=[{"ResourceType": "security-group", "Tags": tags}],
        )["GroupId"]  # fmt: skip
    blue = as_role(lab, "blue", "contain", external_id=BLUE_ID)("blue")
    rule = [{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "10.20.0.9/32"}]}]
    opened = {"GroupId": made["blue"], "IpPermissions": rule}
    # EC2 developer guide, "Eventual consistency": a group is not seen at once, by every call
    wait_until(
        lambda: done(blue.authorize_security_group_egress, opened), what="the group", progress=time.monotonic, pause=0.1
    )
    theirs = {"GroupId": made["forensics"], "IpPermissions": rule}
    first = as_role(lab, "forensics", "contain", external_id=lab.facts["external_id"])("forensics")
    wait_until(
        lambda: done(first.authorize_security_group_egress, theirs),
        what="the group",
        progress=time.monotonic,
        pause=0.1,
    )
    denied(blue.authorize_security_group_egress, **theirs)
    denied(blue.create_tags, Resources=[instance], Tags=[{"Key": "forensics:contained", "Value": CASE}])
    denied(blue.create_tags, Resources=[instance], Tags=[{"Key": "forensics:case", "Value": CASE}])
    assert blue.create_tags(Resources=[instance], Tags=[{"Key": "blue:contained", "Value": CASE}])
    # each product sees its own group under that case, and its own forensic instances
    for own in made:
        image = lab.facts["forensic_ami_id"]
        purpose = {"ResourceType": "instance", "Tags": [{"Key": f"{own}:purpose", "Value": "forensic-instance"}]}
        machine = root.run_instances(ImageId=image, MinCount=1, MaxCount=1, TagSpecifications=[purpose])["Instances"][0]
        assert look(lab, own) == [[f"{own}-quarantine-{CASE}-0123abcd"], [machine["InstanceId"]]]


def done(call: Any, given: dict[str, Any]) -> bool:
    """Whether a call was carried out; what is not visible yet may be tried again."""
    try:
        return bool(call(**given)["Return"])
    except ClientError as error:
        assert error.response["Error"]["Code"] == "InvalidGroup.NotFound", error
        return False


def look(lab: SmallLab, deployment: str) -> Any:
    """What the product of a deployment finds, in a process of its own."""
    root = {"AWS_ACCESS_KEY_ID": root_access_key(MEMBER_ACCOUNT), "AWS_SECRET_ACCESS_KEY": ROOT_SECRET}
    environment = {
        **os.environ,
        **root,
        "AWS_ENDPOINT_URL": lab.endpoint,
        "AWS_DEFAULT_REGION": REGION,
        OPTION: deployment,
    }
    environment.pop("AWS_SESSION_TOKEN", None)
    ran = subprocess.run(
        [sys.executable, "-c", LOOK.replace("CASE", repr(CASE))], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-2000:]
    return json.loads(ran.stdout)


def test_what_one_has_contained_the_other_names_and_neither_contains_nor_opens(
    lab: SmallLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blue's role closes the target with blue's group, as its containment does; the first deployment has a case of it all the same."""
    monkeypatch.setenv("AIRFLOW__FORENSICS__OTHER_DEPLOYMENTS", "blue")
    instance, ec2 = lab.facts["instances"]["web-server"]["instance_id"], lab.client("ec2", "member")
    (eni,) = ec2.describe_network_interfaces(Filters=[{"Name": "attachment.instance-id", "Values": [instance]}])[
        "NetworkInterfaces"
    ]
    interface, before = eni["NetworkInterfaceId"], [g["GroupId"] for g in eni["Groups"]]
    blue = as_role(lab, "blue", "contain", external_id=BLUE_ID)("blue")
    group = blue.create_security_group(
        GroupName=f"blue-quarantine-{CASE}-4567cdef", Description="quarantine", VpcId=eni["VpcId"],
        TagSpecifications=[{"ResourceType": "security-group", "Tags": [{"Key": "blue:case", "Value": CASE}]}],
    )["GroupId"]  # fmt: skip
    wait_until(lambda: emptied(blue, group), what="the group", progress=time.monotonic, pause=0.1)
    mark = {"Resources": [instance, interface], "Tags": [{"Key": "blue:contained", "Value": CASE}]}
    assert blue.create_tags(**mark)
    blue.modify_network_interface_attribute(NetworkInterfaceId=interface, Groups=[group])

    case_id = open_case(lab)
    assert triage(case_id)["isolate"]
    recorder = recorder_of(case_id, step="test")
    plan = recorder.plan()
    assert plan is not None and any(f"deployment blue (its case {CASE})" in w for w in plan.warnings)
    for step in (
        ProtectTargetOperator(task_id="protect_target"),
        PlanContainmentOperator(task_id="plan_containment"),
        IsolateTargetOperator(task_id="isolate_target"),
    ):
        with pytest.raises(AirflowSkipException, match="deployment blue"):
            perform(step, case_id=case_id)
    assert groups_of(ec2, interface) == [group], "nothing was undone"
    own = [{"Name": "tag:forensics:case", "Values": [case_id]}]
    assert ec2.describe_security_groups(Filters=own)["SecurityGroups"] == [], "nothing was made"
    (told,) = [mail for mail in lab.mail() if mail["attributes"].get("event") == "held_elsewhere"]
    assert "release the target in the deployment that contained it" in told["message"]
    # there is nothing of this case to release
    with pytest.raises(AirflowFailException, match="no restore point"):
        perform(PlanReleaseOperator(task_id="plan_release"), case_id=case_id, params={"dry_run": True})

    assert perform(LookAtContainedOperator(task_id="look_at_contained"))["as it was"] == 1
    # blue's release: its group goes, and its mark at last
    release = as_role(lab, "blue", "release", external_id=BLUE_ID)("blue")
    release.modify_network_interface_attribute(NetworkInterfaceId=interface, Groups=before)
    release.delete_tags(**mark)
    assert perform(LookAtContainedOperator(task_id="look_at_contained"))["drifted"] == 1
    gaps = [
        mail["message"] for mail in lab.mail() if mail["attributes"].get("event") == "failed:containment.held_elsewhere"
    ]
    assert (
        len(gaps) == 1
        and "does not hold it closed any more" in gaps[0]
        and "clear containment.plan_containment" in gaps[0]
    )
    # cleared: now it is contained here
    with contextlib.suppress(AirflowSkipException):
        perform(IsolateTargetOperator(task_id="isolate_target"), case_id=case_id)
    (now,) = groups_of(ec2, interface)
    assert ec2.describe_security_groups(GroupIds=[now])["SecurityGroups"][0]["GroupName"].startswith(
        "forensics-quarantine-"
    )


def emptied(ec2: Any, group: str) -> bool:
    """Take the rules away that EC2 gives every new group; False while EC2 does not know it yet."""
    try:
        rules = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissionsEgress"]
    except ClientError as error:
        assert error.response["Error"]["Code"] == "InvalidGroup.NotFound", error
        return False
    given = [{k: v for k, v in rule.items() if v} for rule in rules]
    return not given or (
        done(ec2.revoke_security_group_egress, {"GroupId": group, "IpPermissions": given}) and emptied(ec2, group)
    )


def groups_of(ec2: Any, interface: str) -> list[str]:
    found = ec2.describe_network_interfaces(NetworkInterfaceIds=[interface])["NetworkInterfaces"][0]
    return [g["GroupId"] for g in found["Groups"]]
