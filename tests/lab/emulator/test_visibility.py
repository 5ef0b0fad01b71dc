"""What AWS does not know everywhere yet: new resources are not found for their first calls, and may vanish once more.

EC2 developer guide, "Eventual consistency in the Amazon EC2 API" (names InvalidInstanceID.NotFound after RunInstances and
InvalidGroup.NotFound after CreateSecurityGroup); mondoohq/mql#474 and awslabs/coldsnap#43 (InvalidSnapshot.NotFound after a
success); IAM user guide, "Changes that I make are not always immediately visible".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lab.emulator.visibility import schedule
from tests.lab.conftest import Lab, Network
from tests.lab.emulator.patches.test_ec2 import volume

LOOKS = 12


@pytest.fixture
def strict(lab: Lab) -> Iterator[Lab]:
    with lab.config(hidden_calls=3, hidden_from_root=1):
        yield lab


def looks(look: Callable[[], Any]) -> list[str]:
    """What each of some looks answered: an error code, or nothing when it was found."""
    answers = []
    for _ in range(LOOKS):
        try:
            look()
        except ClientError as error:
            answers.append(str(error.response["Error"]["Code"]))
        else:
            answers.append("")
    return answers


def test_an_answer_of_not_found_may_follow_a_success() -> None:
    plans = [schedule(0, "snapshot", number, 2) for number in range(50)]
    assert all(plan[0] for plan in plans), "the first call does not find it"
    assert any(plan[-1] for plan in plans) and not all(plan[-1] for plan in plans)
    assert any(True in plan[plan.index(False) :] for plan in plans), "not monotonic"


def test_the_same_seed_gives_the_same_answers() -> None:
    one, again, other = ([schedule(seed, "group", n, 3) for n in range(20)] for seed in (1, 1, 2))
    assert one == again != other


def test_zero_calls_make_everything_known_at_once() -> None:
    assert schedule(0, "snapshot", 1, 0) == []


def test_it_is_on_where_nobody_has_said_otherwise(lab_factory: Callable[[], Lab]) -> None:
    strict = lab_factory()
    strict.post("config", {"hidden_from_root": 1})
    network = Network(strict)
    group = network.ec2.create_security_group(GroupName="new", Description="new", VpcId=network.vpc)["GroupId"]
    assert looks(lambda: network.ec2.describe_security_groups(GroupIds=[group]))[0] == "InvalidGroup.NotFound"


def make_snapshot(network: Network) -> str:
    return str(network.ec2.create_snapshot(VolumeId=volume(network))["SnapshotId"])


def make_group(network: Network) -> str:
    return network.group(f"seen-late-{network.vpc}")


@pytest.mark.parametrize(
    ("make", "operation", "parameter", "code"),
    [
        (make_snapshot, "describe_snapshots", "SnapshotIds", "InvalidSnapshot.NotFound"),
        (make_snapshot, "lock_snapshot", "SnapshotId", "InvalidSnapshot.NotFound"),
        (volume, "describe_volumes", "VolumeIds", "InvalidVolume.NotFound"),
        (make_group, "describe_security_groups", "GroupIds", "InvalidGroup.NotFound"),
        (Network.instance, "describe_instances", "InstanceIds", "InvalidInstanceID.NotFound"),
    ],
)
def test_a_new_resource_is_unknown_at_first(
    lab: Lab, network: Network, make: Callable[[Network], str], operation: str, parameter: str, code: str
) -> None:
    if make is make_snapshot:
        disk = volume(network)
        with lab.config(hidden_calls=3, hidden_from_root=1):
            made = str(network.ec2.create_snapshot(VolumeId=disk)["SnapshotId"])
    else:
        with lab.config(hidden_calls=3, hidden_from_root=1):
            made = make(network)
    given: dict[str, Any] = {parameter: [made] if parameter.endswith("s") else made}
    if operation == "lock_snapshot":
        given |= {"LockMode": "governance", "LockDuration": 1}
    with lab.config(hidden_from_root=1):
        answers = looks(lambda: getattr(network.ec2, operation)(**given))
    assert answers[0] == code and set(answers) == {code, ""} and answers[-1] == ""


def test_a_list_by_tag_leaves_out_what_is_not_known_yet(lab: Lab, network: Network) -> None:
    """The guide promises nothing for lists: a tag finds only what the host that answers knows."""
    tags = [{"ResourceType": "snapshot", "Tags": [{"Key": "case", "Value": network.vpc}]}]
    disk = volume(network)
    with lab.config(hidden_calls=3, hidden_from_root=1):
        made = network.ec2.create_snapshot(VolumeId=disk, TagSpecifications=tags)["SnapshotId"]
        wanted = [{"Name": "tag:case", "Values": [network.vpc]}]
        lists = [
            [s["SnapshotId"] for s in network.ec2.describe_snapshots(Filters=wanted)["Snapshots"]] for _ in range(LOOKS)
        ]
    assert lists[0] == [] and lists[-1] == [made]


def test_a_list_of_instances_leaves_out_the_new_one_only(strict: Lab, network: Network) -> None:
    with strict.config(hidden_from_root=0):
        old = network.instance()
    network.instance()
    where = [{"Name": "vpc-id", "Values": [network.vpc]}]
    found = network.ec2.describe_instances(Filters=where)["Reservations"]
    assert [i["InstanceId"] for r in found for i in r["Instances"]] == [old]


def test_a_repeated_client_token_does_not_make_it_unknown_again(strict: Lab, network: Network) -> None:
    launch = {"ClientToken": f"token-{network.vpc}"}
    made = network.instance(**launch)
    looks(lambda: network.describe(made))
    assert network.instance(**launch) == made
    assert set(looks(lambda: network.describe(made))) == {""}


def test_a_volume_is_made_once_for_each_client_token(network: Network) -> None:
    """EC2 API reference, CreateVolume, ClientToken; "Ensuring idempotency in Amazon EC2 API requests"."""
    token = f"token-{network.vpc}"
    made = volume(network, ClientToken=token)
    assert volume(network, ClientToken=token) == made
    with pytest.raises(ClientError, match="IdempotentParameterMismatch"):
        volume(network, ClientToken=token, Size=99)


def test_roles_and_their_policies_are_unknown_at_first(strict: Lab, network: Network) -> None:
    iam, name = strict.client("iam", network.account), f"role-{network.vpc}"
    trust = {"Version": "2012-10-17", "Statement": []}
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
    answers = looks(lambda: iam.get_role(RoleName=name))
    assert answers[0] == "NoSuchEntity" and answers[-1] == ""
    deny = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]}
    iam.put_role_policy(RoleName=name, PolicyName="deny", PolicyDocument=json.dumps(deny))
    lists = [iam.list_role_policies(RoleName=name)["PolicyNames"] for _ in range(LOOKS)]
    assert lists[0] == [] and lists[-1] == ["deny"]


def test_an_instance_profile_association_is_unknown_at_first(strict: Lab, network: Network) -> None:
    iam, name = strict.client("iam", network.account), f"profile-{network.vpc}"
    with strict.config(hidden_from_root=0):
        iam.create_instance_profile(InstanceProfileName=name)
        instance = network.instance()
    made = network.ec2.associate_iam_instance_profile(InstanceId=instance, IamInstanceProfile={"Name": name})
    association = made["IamInstanceProfileAssociation"]["AssociationId"]
    answers = looks(
        lambda: network.ec2.replace_iam_instance_profile_association(
            AssociationId=association, IamInstanceProfile={"Name": name}
        )
    )
    assert answers[0] == "InvalidAssociationID.NotFound"
