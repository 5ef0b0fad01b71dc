"""Requests from each place, over HTTP to a lab whose network is made by the committed templates.

Source of what a caller without a path sees: packets to an address without a route are dropped and not refused, so that a client runs into
its time-out (Amazon VPC user guide, "Security groups" and "Route tables"; AWS re:Post, "connect timeout on endpoint URL").
"""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from typing import Any

import boto3
import botocore.exceptions
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from lab.emulator.network import silence
from lab.seed.member import route_to_the_internet
from tests.lab.conftest import FORENSIC, MEMBER, REGION, Lab, Network
from tests.lab.emulator.network.deployed import YESTERDAY_S3, Deployed, body, endpoints_for, make

TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "airflow-env.amazonaws.com"}, "Action": "sts:AssumeRole"},
        {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{FORENSIC}:root"}, "Action": "sts:AssumeRole"},
    ],
}
ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


class Airflow:
    """Airflow's execution role in the control subnets of a lab, and the lab's network."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.deployed: Deployed = make(
            lab.client,
            FORENSIC,
            REGION,
            over_http=True,
            network=body("network"),
            endpoints=endpoints_for("s3", "ssm", "sts"),
        )
        iam = lab.client("iam")
        self.role = iam.create_role(RoleName="airflow", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
        iam.put_role_policy(RoleName="airflow", PolicyName="all", PolicyDocument=json.dumps(ALL))
        asked = {"role_arn": self.role, "service": "airflow-env.amazonaws.com", "name": "task", "place": "control"}
        self.keys = {f"aws_{k}": v for k, v in lab.post("service-session", asked).items()}
        lab.client("s3").create_bucket(Bucket="landing", CreateBucketConfiguration={"LocationConstraint": REGION})
        of = self.deployed.outputs
        place = {
            "account": FORENSIC, "region": REGION, "groups": [of["MwaaSecurityGroupId"]],
            "subnets": [of["ControlSubnetIdA"], of["ControlSubnetIdB"]],
        }  # fmt: skip
        lab.post("config", {"network_silence_seconds": 0.1})
        self.network(enforce=True, places={"control": place})

    def client(self, service: str, *, region: str = REGION, read_timeout: float = 30, **keys: Any) -> Any:
        """A client of Airflow's."""
        config = Config(retries={"total_max_attempts": 1}, read_timeout=read_timeout, s3={"addressing_style": "path"})
        made: Any = boto3.client
        return made(service, endpoint_url=self.lab.endpoint, region_name=region, config=config, **(keys or self.keys))

    def network(self, **given: Any) -> Any:
        """Change the network."""
        return self.lab.post("network", given)

    @property
    def reasons(self) -> list[str]:
        """What did not pass, and why."""
        return [entry["reason"] for entry in self.lab.get("network")["log"]]

    def s3_endpoint(self) -> str:
        """Its id."""
        found = self.lab.client("ec2").describe_vpc_endpoints()["VpcEndpoints"]
        return next(str(e["VpcEndpointId"]) for e in found if e["ServiceName"].endswith(".s3"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    """One lab for the module: the network is one for the whole server."""
    server = Lab(tmp_path_factory.mktemp("network"))
    server.start()
    yield Airflow(server)
    server.stop()


@pytest.fixture
def airflow(made: Airflow) -> Iterator[Airflow]:
    """A lab without faults."""
    yield made
    made.network(faults=[])
    made.lab.post("service-control-policies", {})


def test_what_has_an_endpoint_answers(airflow: Airflow) -> None:
    assert airflow.client("sts").get_caller_identity()["Account"] == FORENSIC
    airflow.client("s3").put_object(Bucket="landing", Key="cases/fc-1/manifest.txt", Body=b"x")
    airflow.client("s3").delete_object(Bucket="landing", Key="cases/fc-1/manifest.txt")


def test_what_has_no_path_never_answers_and_the_lab_says_why(airflow: Airflow) -> None:
    with pytest.raises(botocore.exceptions.ConnectionClosedError):
        airflow.client("kms").list_aliases()
    assert airflow.reasons[-1].startswith("no path to kms (eu-central-1) from the control subnets: in subnet-")
    calls = airflow.lab.get("calls?service=kms")["calls"]
    assert [(c["action"], c["fault"], c["status"]) for c in calls[-1:]] == [("ListAliases", "no path", 0)]


def test_a_client_with_a_shorter_time_out_runs_into_it(airflow: Airflow) -> None:
    with airflow.lab.config(network_silence_seconds=5), pytest.raises(botocore.exceptions.ReadTimeoutError):
        airflow.client("kms", read_timeout=0.2).list_aliases()


def test_an_object_that_cannot_be_reached_is_no_object(airflow: Airflow) -> None:
    """A stream is not begun either."""
    airflow.network(faults=[{"kind": "no-path", "place": "control", "service": "s3", "region": REGION}])
    with pytest.raises(botocore.exceptions.ConnectionClosedError):
        airflow.client("s3").get_object(Bucket="landing", Key="x")
    assert airflow.reasons[-1] == f"no path to s3 ({REGION}) from the control subnets: taken away by a fault of the lab"


def test_many_that_wait_do_not_stop_the_lab(airflow: Airflow) -> None:
    def ask() -> None:
        with pytest.raises(botocore.exceptions.BotoCoreError):
            airflow.client("kms").list_aliases()

    with airflow.lab.config(network_silence_seconds=3):
        threads = [threading.Thread(target=ask) for _ in range(silence.HELD_AT_ONCE + 20)]
        for thread in threads:
            thread.start()
        assert airflow.client("sts").get_caller_identity()["Account"] == FORENSIC
        for thread in threads:
            thread.join()


def test_yesterdays_endpoint_policy_shows_by_name_why_no_manifest_could_be_withdrawn(airflow: Airflow) -> None:
    """Fault A1: the S3 endpoint's policy had no s3:DeleteObject."""
    ec2, endpoint = airflow.lab.client("ec2"), airflow.s3_endpoint()
    today = ec2.describe_vpc_endpoints(VpcEndpointIds=[endpoint])["VpcEndpoints"][0]["PolicyDocument"]
    ec2.modify_vpc_endpoint(VpcEndpointId=endpoint, PolicyDocument=json.dumps(YESTERDAY_S3))
    try:
        with pytest.raises(ClientError) as caught:
            airflow.client("s3").delete_object(Bucket="landing", Key="cases/fc-1/manifest.txt")
    finally:
        ec2.modify_vpc_endpoint(VpcEndpointId=endpoint, PolicyDocument=today)
    assert caught.value.response["Error"]["Code"] == "AccessDenied"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert caught.value.response["Error"]["Message"] == (
        f"User: arn:aws:sts::{FORENSIC}:assumed-role/airflow/task is not authorized to perform: s3:DeleteObject on resource: "
        '"arn:aws:s3:::landing/cases/fc-1/manifest.txt" because no VPC endpoint policy allows the s3:DeleteObject action'
    )
    airflow.client("s3").delete_object(Bucket="landing", Key="cases/fc-1/manifest.txt")


def test_an_action_can_be_missing_or_denied_on_demand(airflow: Airflow) -> None:
    for kind, words in (("no-action", "because no VPC endpoint policy allows the ssm:GetParameter action"), ("deny-action", "with an explicit deny in a VPC endpoint policy")):  # fmt: skip
        airflow.network(faults=[{"kind": kind, "service": "ssm", "action": "ssm:Get*"}])
        with pytest.raises(ClientError, match=words):
            airflow.client("ssm").get_parameter(Name="x")
    airflow.network(faults=[])
    with pytest.raises(ClientError, match="ParameterNotFound"):
        airflow.client("ssm").get_parameter(Name="x")


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"kind": "slow", "service": "s3"}, "is one of no-path, no-action, deny-action"),
        ({"kind": "no-action", "service": "s3"}, "the others name one"),
        ({"kind": "no-path", "service": "s3", "action": "s3:*"}, "names no action"),
        ({"kind": "no-path", "serve": "s3"}, "serve"),
    ],
)
def test_a_fault_that_means_nothing_is_refused(airflow: Airflow, fault: dict[str, str], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        airflow.network(faults=[fault])


def test_a_session_stands_where_it_was_assumed_from(airflow: Airflow) -> None:
    """Airflow's phases are sessions of other roles, some of other accounts; a person who assumes the same role stands outside."""
    airflow.network(faults=[{"kind": "no-path", "service": "ssm"}])
    for keys, passes in ((airflow.keys, False), ({}, True)):
        sts = airflow.client("sts", **keys) if keys else airflow.lab.client("sts")
        given = sts.assume_role(RoleArn=airflow.role, RoleSessionName="phase")["Credentials"]
        ssm = airflow.client(
            "ssm", aws_access_key_id=given["AccessKeyId"], aws_secret_access_key=given["SecretAccessKey"],
            aws_session_token=given["SessionToken"],
        )  # fmt: skip
        expected: type[Exception] = ClientError if passes else botocore.exceptions.ConnectionClosedError
        with pytest.raises(expected):
            ssm.get_parameter(Name="x")


def test_people_and_deployments_are_outside(airflow: Airflow) -> None:
    airflow.network(
        faults=[{"kind": "no-path", "service": "s3"}, {"kind": "no-action", "service": "s3", "action": "*"}]
    )
    for account in (FORENSIC, MEMBER):
        airflow.lab.client("s3", account).list_buckets()


def test_a_presigned_url_passes_the_endpoint_as_who_signed_it(airflow: Airflow) -> None:
    url = airflow.client("s3").generate_presigned_url("put_object", Params={"Bucket": "landing", "Key": "part"})
    request = urllib.request.Request(url, data=b"x", method="PUT", headers={"Content-Type": "application/octet-stream"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 200
    airflow.network(faults=[{"kind": "no-action", "service": "s3", "action": "s3:PutObject"}])
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=30)
    assert b"assumed-role/airflow/task is not authorized to perform: s3:PutObject" in caught.value.read()


def test_a_host_stands_in_its_own_subnet_whoever_signed_its_url(airflow: Airflow) -> None:
    """What comes from a host's address is the host's, though Airflow's role signed it; here the host's VPC has no way out."""
    network = Network(airflow.lab)
    instance = network.managed(network.instance())
    address = airflow.lab.get(f"host-address?account={MEMBER}&region={REGION}&instance={instance}")["address"]
    url = airflow.client("s3").generate_presigned_url("put_object", Params={"Bucket": "landing", "Key": "memory"})
    path = url.removeprefix(airflow.lab.endpoint)

    def put() -> int:
        connection = HTTPConnection("127.0.0.1", airflow.lab.port, source_address=(address, 0), timeout=30)
        connection.request("PUT", path, body=b"x", headers={"Content-Type": "application/octet-stream"})
        return connection.getresponse().status

    with pytest.raises(HTTPException):
        put()
    assert airflow.reasons[-1].startswith(
        f"no path to s3 ({REGION}) from the target subnet ({instance}): in {network.subnet} "
    )
    route_to_the_internet(network.ec2, network.vpc, zone=network.zone, cidr="10.7.250.0/24")
    assert put() == 200


def test_the_control_route_says_which_way_there_is(airflow: Airflow) -> None:
    asked = "network-path?place=control&region=eu-central-1&service="
    assert airflow.lab.get(asked + "s3")["path"].startswith("endpoint vpce-")
    assert airflow.lab.get(asked + "lambda")["reason"].startswith("no path to lambda (eu-central-1)")


def test_a_policy_of_the_organization_is_in_the_way_of_members(airflow: Airflow) -> None:
    airflow.lab.post("iam", {"enforce": True})
    deny = {"Statement": [{"Sid": "NoReading", "Effect": "Deny", "Action": "ssm:GetParameter", "Resource": "*"}]}
    try:
        airflow.lab.post("service-control-policies", {"test": deny})
        with pytest.raises(
            ClientError, match=r"ssm:GetParameter on resource: .* with an explicit deny in a service control policy$"
        ):
            airflow.client("ssm").get_parameter(Name="x")
        airflow.lab.post("service-control-policies", {})
        with pytest.raises(ClientError, match="ParameterNotFound"):
            airflow.client("ssm").get_parameter(Name="x")
    finally:
        airflow.lab.post("iam", {"enforce": False})


def test_a_name_that_does_not_resolve_is_told_at_once(airflow: Airflow) -> None:
    with airflow.lab.config(network_silence_seconds=3600), pytest.raises(botocore.exceptions.ConnectionClosedError):
        airflow.client("lambda").list_functions()
    assert "does not let lambda.eu-central-1.amazonaws.com resolve" in airflow.reasons[-1]


def test_without_a_way_to_iam_the_product_meets_silence(airflow: Airflow) -> None:
    """Fault A2: yesterday's templates had neither an endpoint for IAM nor another way out, as here."""
    with pytest.raises(botocore.exceptions.ConnectionClosedError):
        airflow.client("iam").list_roles()
    assert airflow.reasons[-1].startswith("no path to iam (us-east-1) from the control subnets: in subnet-")


def test_an_agent_without_a_way_to_ssm_is_lost(airflow: Airflow) -> None:
    network = Network(airflow.lab)
    instance = network.managed(network.instance())
    ssm = airflow.lab.client("ssm", MEMBER)

    def ping() -> str:
        chosen = [{"Key": "InstanceIds", "Values": [instance]}]
        return str(ssm.describe_instance_information(Filters=chosen)["InstanceInformationList"][0]["PingStatus"])

    assert ping() == "ConnectionLost"
    route_to_the_internet(network.ec2, network.vpc, zone=network.zone, cidr="10.7.250.0/24")
    assert ping() == "Online"


def test_the_lab_counts_no_request_twice(airflow: Airflow) -> None:
    """A dropped request is one call in the record, with the time that it was held."""
    before = len(airflow.lab.get("calls?service=kms")["calls"])
    began = time.monotonic()
    with pytest.raises(botocore.exceptions.ConnectionClosedError):
        airflow.client("kms").list_aliases()
    calls = airflow.lab.get("calls?service=kms")["calls"]
    assert len(calls) == before + 1 and 0.1 <= calls[-1]["seconds"] <= time.monotonic() - began
