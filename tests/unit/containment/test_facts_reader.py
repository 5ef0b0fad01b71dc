"""One description of the target from many reads, of which some may fail."""

from __future__ import annotations

from typing import Any

import pytest

from forensics.containment.facts_reader import FactsReader, ParallelReads
from forensics.errors import AccessDeniedError, ResourceGoneError, UnreachableError
from forensics.models.target_facts import InstanceFacts, ProfileFacts
from tests.unit.builders import ACCOUNT, CASE_ID, INSTANCE, REGION
from tests.unit.containment.targets import eni, everything

RECORD: dict[str, Any] = {
    "State": {"Name": "running"},
    "InstanceLifecycle": "spot",
    "RootDeviceType": "ebs",
    "Tags": [{"Key": "aws:eks:cluster-name", "Value": "shop"}],
    "BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeId": "vol-1", "DeleteOnTermination": True}}],
    "MaintenanceOptions": {"AutoRecovery": "default"},
    "MetadataOptions": {"HttpEndpoint": "enabled", "HttpTokens": "optional"},
}


class Answers:
    """All of the reader's gateways: what each read answers, and which were made."""

    account_id, region = ACCOUNT, REGION

    def __init__(self, **changes: Any) -> None:
        self.made: list[tuple[str, Any]] = []
        self.answers: dict[str, Any] = {
            "raw_instance": RECORD, "interfaces": (eni(),), "attribute": attribute, "membership": None, "memberships": (),
            "own_groups": (), "groups": {}, "ipv6_vpcs": ("vpc-1",), "endpoints": (), "own_policies": (), "profiles_of": ("app",),
            "profile_role": {"RoleName": "app", "AssumeRolePolicyDocument": {}},
            "profile_associations": [association(INSTANCE), association("i-2"), association("i-3", "other")],
            **changes,
        }  # fmt: skip

    def __getattr__(self, name: str) -> Any:
        if name not in self.__dict__.get("answers", {}):
            raise AttributeError(name)

        def answer(*names: Any, **asked: Any) -> Any:
            self.made.append((name, asked or names))
            found = self.answers[name]
            if isinstance(found, Exception):
                raise found
            return found(*names, **asked) if callable(found) else found

        return answer


def attribute(instance_id: str, *, name: str) -> object:
    """A protected instance that a shutdown stops."""
    return "stop" if name == "instanceInitiatedShutdownBehavior" else True


def association(instance: str, profile: str = "app") -> dict[str, Any]:
    """A profile association."""
    arn = f"arn:aws:iam::{ACCOUNT}:instance-profile/{profile}"
    return {"AssociationId": f"iip-{instance}", "InstanceId": instance, "IamInstanceProfile": {"Arn": arn}}


def read(answers: Answers, **arguments: Any) -> InstanceFacts:
    """Read the target."""
    given: Any = answers
    reader = FactsReader(ec2=given, facts=given, scaling=given, balancers=given, iam=given)
    return reader.read(INSTANCE, case_id=CASE_ID, token="t", **arguments)


def test_everything_is_read_into_one_description() -> None:
    found = read(Answers(), deny_profile="isolated")
    assert (found.account_id, found.region, found.state, found.spot) == (ACCOUNT, REGION, "running", True)
    assert (found.eks_cluster, found.auto_recovery, found.instance_store) == ("shop", "default", False)
    assert (found.termination_protected, found.deny_profile_exists, found.unknown) == (True, True, ())
    assert [v.volume_id for v in found.volumes] == ["vol-1"]
    assert found.metadata is not None and found.metadata.endpoint == "enabled"


def test_who_else_has_the_role_is_known_by_its_profiles() -> None:
    profile = read(Answers()).profile
    assert profile == ProfileFacts(
        association_id=f"iip-{INSTANCE}",
        name="app",
        arn=f"arn:aws:iam::{ACCOUNT}:instance-profile/app",
        role="app",
        shared_with=("i-2",),
    )


def test_what_cannot_be_read_is_named_and_the_rest_is_there() -> None:
    denied = AccessDeniedError("balancers: denied")
    found = read(
        Answers(memberships=denied, membership=AccessDeniedError("groups: denied"), attribute=lambda *_, **__: None)
    )
    assert found.unknown == ("balancers: denied", "groups: denied")
    assert found.memberships == () and found.scaling is None and found.interfaces == (eni(),)


@pytest.mark.parametrize("read_name", ["raw_instance", "interfaces"])
def test_without_its_interfaces_a_target_cannot_be_described(read_name: str) -> None:
    with pytest.raises(ResourceGoneError):
        read(Answers(**{read_name: ResourceGoneError("gone")}))


def test_the_role_and_group_of_before_are_read_also_when_the_target_has_left_them() -> None:
    answers = Answers(profile_associations=[], own_policies=("forensics-deny-x",))
    found = read(answers, original=everything())
    assert found.profile is None and found.role_policies == ("forensics-deny-x",)
    assert ("own_policies", ("app",)) in answers.made
    assert ("membership", {"group": "web"}) in answers.made


def test_endpoints_and_the_deny_all_profile_are_read_only_when_they_are_needed() -> None:
    answers = Answers(profile_associations=[])
    assert read(answers).deny_profile_exists is False
    names = {name for name, _ in answers.made}
    assert not names & {"endpoints", "profile_role"}
    read(answers, endpoints=True)
    assert "endpoints" in {name for name, _ in answers.made}


def test_only_errors_of_aws_count_as_no_answer() -> None:
    def broken() -> None:
        raise KeyError("a defect")

    with ParallelReads() as reads:
        answer = reads.one(broken)
    with pytest.raises(KeyError):
        answer()


def network(answers: Answers, **arguments: Any) -> InstanceFacts:
    """Read the target's network side."""
    given: Any = answers
    reader = FactsReader(ec2=given, facts=given, scaling=given, balancers=given, iam=given)
    return reader.network(INSTANCE, case_id=CASE_ID, token="t", **arguments)


IAM_READS = {"profile_role", "profiles_of", "own_policies"}
UNREAD = ProfileFacts(
    association_id=f"iip-{INSTANCE}",
    name="app",
    arn=f"arn:aws:iam::{ACCOUNT}:instance-profile/app",
    role_unread=True,
)


def test_the_network_side_asks_iam_nothing_and_knows_the_profile_by_its_association() -> None:
    """EC2 API reference, DescribeIamInstanceProfileAssociations: the association is EC2's, the role behind it IAM's."""
    answers = Answers()
    found = network(answers, original=everything())
    assert not {name for name, _ in answers.made} & IAM_READS
    assert found.profile == UNREAD


@pytest.mark.parametrize("name", ["profile_role", "profiles_of"])
def test_what_iam_does_not_answer_costs_the_role_and_nothing_else(name: str) -> None:
    out = UnreachableError("AWS could not be reached")
    found = read(Answers(**{name: out}), deny_profile="isolated")
    assert found.profile == UNREAD and found.interfaces == (eni(),) and found.unknown == ()
    assert found.iam_unknown == ("AWS could not be reached",)


def test_a_profile_without_a_role_is_known_to_have_none() -> None:
    profile = read(Answers(profile_role=None)).profile
    assert profile is not None and (profile.role, profile.role_unread) == (None, False)


def test_the_role_of_the_restore_point_is_not_asked_for_again() -> None:
    answers = Answers(own_policies=("forensics-deny-x",))
    given: Any = answers
    reader = FactsReader(ec2=given, facts=given, scaling=given, balancers=given, iam=given)
    found = reader.with_identity(network(answers), deny_profile="", original=everything())
    assert found.profile is not None and (found.profile.role, found.profile.association_id) == (
        "app",
        f"iip-{INSTANCE}",
    )
    assert {name for name, _ in answers.made} & IAM_READS == {"own_policies"}


def test_the_policies_of_another_profiles_role_are_not_taken_for_those_of_the_target() -> None:
    before = everything(profile=UNREAD.model_copy(update={"name": "before"}))
    answers = Answers(own_policies=("forensics-deny-x",))
    assert read(answers, original=before).role_policies == ()
