"""Policies and grants that AWS knows and does not act by yet.

IAM user guide, "Changes that I make are not always immediately visible"; radkawar/stackd,
testdata/aws/ssm/managed_execution_current.json (role-allowed-plugins, role-after-deny-3: a session goes on for some polls after
the deny); KMS developer guide, "Using a grant token"; KMS API reference, CreateGrant (Name).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.lab.conftest import FORENSIC, MEMBER, Lab, Network
from tests.lab.emulator.patches.test_ec2 import refused, volume
from tests.lab.emulator.patches.test_sts import assume, make_role

ALLOW = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
DENY = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]}


class Role:
    """A role of the member account that may do everything, and a session of it."""

    def __init__(self, lab: Lab) -> None:
        self.lab, self.iam = lab, lab.client("iam", MEMBER)
        self.arn = make_role(lab, MEMBER, {"AWS": f"arn:aws:iam::{FORENSIC}:root"})
        self.name = self.arn.rsplit("/", 1)[1]
        self.put("allow", ALLOW)
        self.queues = lab.client("sqs", **assume(lab, self.arn))

    def put(self, name: str, document: dict[str, Any]) -> None:
        self.iam.put_role_policy(RoleName=self.name, PolicyName=name, PolicyDocument=json.dumps(document))


@pytest.fixture
def role(lab: Lab) -> Iterator[Role]:
    """The lab enforces policies, and root keys have no privileges; changes take up to 100 s of the lab's clock."""
    made = Role(lab)
    with lab.config(hidden_from_root=1, hidden_calls=0, iam_policy_seconds=100):
        lab.post("iam", {"enforce": True})
        try:
            yield made
        finally:
            lab.post("iam", {"enforce": False})


def test_it_is_on_where_nobody_has_said_otherwise(lab_factory: Callable[[], Lab]) -> None:
    config = lab_factory().get("config")
    assert config["iam_policy_seconds"] > 0 and config["kms_grant_seconds"] > 0


def test_a_deny_bites_an_existing_session_after_a_moment(role: Role) -> None:
    role.queues.list_queues()
    role.put("deny", DENY)
    assert "deny" in role.iam.list_role_policies(RoleName=role.name)["PolicyNames"], "IAM knows it at once"
    role.queues.list_queues()
    role.lab.advance(101)
    with refused("AccessDeniedException"):
        role.queues.list_queues()


def test_a_deleted_deny_bites_for_a_moment_more(role: Role) -> None:
    role.put("deny", DENY)
    role.lab.advance(101)
    role.iam.delete_role_policy(RoleName=role.name, PolicyName="deny")
    with refused("AccessDeniedException"):
        role.queues.list_queues()
    role.lab.advance(101)
    role.queues.list_queues()


def test_a_policy_that_is_put_twice_in_a_row_is_not_in_effect_earlier(role: Role) -> None:
    role.put("deny", DENY)
    role.put("deny", DENY)
    role.queues.list_queues()
    role.lab.advance(101)
    with refused("AccessDeniedException"):
        role.queues.list_queues()


def test_the_simulator_reads_what_iam_holds(role: Role) -> None:
    role.put("deny", DENY)
    asked = {"PolicySourceArn": role.arn, "ActionNames": ["sqs:ListQueues"]}
    (found,) = role.iam.simulate_principal_policy(**asked)["EvaluationResults"]
    assert found["EvalDecision"] == "explicitDeny"


class Granted:
    """A snapshot of the member account under a key of its own, shared with the forensic account."""

    def __init__(self, lab: Lab, network: Network) -> None:
        self.kms = lab.client("kms", MEMBER)
        self.key = str(self.kms.create_key()["KeyMetadata"]["Arn"])
        disk = volume(network, Encrypted=True, KmsKeyId=self.key)
        self.snapshot = str(network.ec2.create_snapshot(VolumeId=disk)["SnapshotId"])
        network.ec2.modify_snapshot_attribute(
            SnapshotId=self.snapshot, Attribute="createVolumePermission", OperationType="add", UserIds=[FORENSIC]
        )
        self.grantee = f"arn:aws:iam::{FORENSIC}:role/forensics-analyse"

    def grant(self) -> dict[str, str]:
        operations = ["DescribeKey", "Decrypt", "CreateGrant", "ReEncryptFrom"]
        return dict(
            self.kms.create_grant(KeyId=self.key, GranteePrincipal=self.grantee, Operations=operations, Name="case-1")
        )


@pytest.fixture
def granted(lab: Lab, network: Network) -> Iterator[Granted]:
    made = Granted(lab, network)
    with lab.config(hidden_from_root=1, hidden_calls=0, kms_grant_seconds=100, copy_seconds=0):
        yield made


def copied(lab: Lab, granted: Granted) -> dict[str, Any]:
    ec2 = lab.client("ec2")
    made = ec2.copy_snapshot(SourceSnapshotId=granted.snapshot, SourceRegion="eu-central-1", Encrypted=True)
    return dict(ec2.describe_snapshots(SnapshotIds=[made["SnapshotId"]])["Snapshots"][0])


def test_a_copy_that_begins_before_its_grant_is_in_effect_ends_in_error(lab: Lab, granted: Granted) -> None:
    granted.grant()
    early = copied(lab, granted)
    assert (early["State"], early["StateMessage"]) == ("error", "Given key ID is not accessible")
    lab.advance(101)
    assert copied(lab, granted)["State"] == "completed"


def test_the_grantee_can_describe_the_key_when_its_grant_is_in_effect(lab: Lab, granted: Granted) -> None:
    kms = lab.client("kms")
    token = granted.grant()["GrantToken"]
    with refused("AccessDeniedException"):
        kms.describe_key(KeyId=granted.key)
    kms.describe_key(KeyId=granted.key, GrantTokens=[token])
    lab.advance(101)
    kms.describe_key(KeyId=granted.key)


def test_a_grant_with_a_name_is_made_once(granted: Granted) -> None:
    assert granted.grant()["GrantId"] == granted.grant()["GrantId"]
