"""Names over all partitions; truth from botocore's partitions.json and endpoints.json, which follow AWS's own Regions."""

from __future__ import annotations

import re
from pathlib import Path

import botocore.loaders
import botocore.regions
import pytest

from forensics import naming, partitions
from forensics.aws.session_policy import session_policy
from forensics.errors import ConfigurationError

ROOT = Path(__file__).resolve().parents[2]
DATA = botocore.loaders.Loader().load_data("partitions")["partitions"]
RESOLVER = botocore.regions.EndpointResolver(botocore.loaders.Loader().load_data("endpoints"))
REGIONS = [(p["id"], region) for p in DATA for region in p["regions"] if not region.endswith("-global")]
ACCOUNT, INSTANCE = "333344445555", "i-0123456789abcdef0"


def test_every_partition_of_botocore_is_known() -> None:
    assert {p["id"] for p in DATA} <= partitions.NAMES


@pytest.mark.parametrize(("partition", "region"), REGIONS, ids=[region for _, region in REGIONS])
def test_arns_are_in_the_partition_of_their_region(partition: str, region: str) -> None:
    made = {
        naming.role_arn(ACCOUNT, "forensics-acquire", region=region): f":iam::{ACCOUNT}:role/forensics-acquire",
        naming.instance_arn(ACCOUNT, region, INSTANCE): f":ec2:{region}:{ACCOUNT}:instance/{INSTANCE}",
        naming.snapshot_arn(ACCOUNT, region, "snap-1"): f":ec2:{region}:{ACCOUNT}:snapshot/snap-1",
    }
    assert made == {f"arn:{partition}{rest}": rest for rest in made.values()}
    policy = str(session_policy(account_id=ACCOUNT, region=region, instance_id=INSTANCE))
    assert set(re.findall(r"arn:([a-z-]+):", policy)) == {partition}


@pytest.mark.parametrize(("partition", "region"), REGIONS, ids=[region for _, region in REGIONS])
def test_iam_is_asked_where_its_control_plane_is(partition: str, region: str) -> None:
    """A session that is pinned to its Region may still call IAM, whose requests are those of one Region."""
    endpoint = RESOLVER.construct_endpoint("iam", region, partition_name=partition)
    # a partition of one Region has IAM there
    signed_for = endpoint.get("credentialScope", {}).get("region", region)
    assert partitions.of(region).iam_region == signed_for
    policy = session_policy(account_id=ACCOUNT, region=region, instance_id="")
    assert f"'{signed_for}'" in str(policy)


@pytest.mark.parametrize(("partition", "region"), REGIONS, ids=[region for _, region in REGIONS])
def test_organizations_is_asked_where_it_is(partition: str, region: str) -> None:
    endpoint = RESOLVER.construct_endpoint("organizations", region, partition_name=partition)
    signed_for = endpoint.get("credentialScope", {}).get("region", region)
    assert partitions.of(region).organizations_region == signed_for
    assert f"'{signed_for}'" in str(session_policy(account_id=ACCOUNT, region=region, instance_id=""))


@pytest.mark.parametrize("region", ["", "eu-central", "xx-west-1", "us-east-1a", "eu-central-1\n"])
def test_what_is_no_region_is_refused_with_its_name(region: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(repr(region))):
        naming.instance_arn(ACCOUNT, region, INSTANCE)


# Where an ARN or a service's name could be written for one partition only.
PRODUCT = [
    *(ROOT / "plugins").rglob("*.py"),
    *(ROOT / "dags").rglob("*.py"),
    *(ROOT / "infra").rglob("*.py"),
    *(ROOT / "infra" / "cloudformation").glob("*.yaml"),
    *(ROOT / "infra" / "appsync").glob("*.js"),
    *(ROOT / "ssm_documents").rglob("*.yaml"),
    *(ROOT / "ami").rglob("*.yaml"),
    *(ROOT / "ami").rglob("*.py"),
    *(ROOT / "verifier").rglob("*.py"),
]


def test_no_arn_is_written_for_one_partition() -> None:
    found = [
        f"{file.relative_to(ROOT)}:{number}"
        for file in PRODUCT
        if ".venv" not in file.parts
        for number, line in enumerate(file.read_text("utf-8").splitlines(), 1)
        if "arn:aws:" in line
    ]
    assert len(PRODUCT) > 200 and not found, (
        "make it with forensics.partitions, or with ${AWS::Partition} in a template"
    )


def test_no_template_writes_the_suffix_of_one_partition_into_a_service_address() -> None:
    """AWS KMS developer guide, "kms:ViaService": the value is the service's address, which ends with the partition's suffix."""
    found = [
        f"{file.name}:{number}"
        for file in (ROOT / "infra" / "cloudformation").glob("*.yaml")
        for number, line in enumerate(file.read_text("utf-8").splitlines(), 1)
        if re.search(r"(\}|\*)\.amazonaws\.com", line)
    ]
    assert not found
