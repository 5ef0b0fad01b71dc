"""How credentials end."""

from __future__ import annotations

from forensics.containment.credential_steps import others_use
from forensics.models.containment import Stage
from forensics.models.target_facts import MetadataFacts, ProfileFacts
from tests.unit.builders import CASE_ID
from tests.unit.containment.targets import everything, planned


def test_without_a_deny_all_profile_the_profile_is_taken_off() -> None:
    (step,) = [s for s in planned(everything(deny_profile_exists=False)).steps if s.id == "credentials.profile"]
    assert step.call.operation == "disassociate_iam_instance_profile"


def test_the_deny_all_profile_replaces_the_targets_own() -> None:
    (step,) = [s for s in planned(everything()).steps if s.id == "credentials.profile"]
    assert step.call.params["IamInstanceProfile"] == {"Name": "forensics-isolated"}
    assert step.undo[0].params["IamInstanceProfile"] == {"Name": "app"}


def test_nothing_is_done_twice() -> None:
    done = everything(
        metadata=MetadataFacts(endpoint="disabled", tokens="required"),
        profile=ProfileFacts(association_id="iip-2", name="forensics-isolated", arn="arn", role="forensics-isolated"),
        role_policies=(f"forensics-deny-{CASE_ID}",),
    )
    steps = planned(done, original=everything()).steps
    assert [s.id for s in steps if s.stage is Stage.CREDENTIALS] == []


def test_the_role_is_revoked_for_everybody_only_where_policy_asks_for_it() -> None:
    assert "credentials.revoke" not in {s.id for s in planned(everything()).steps}
    shared = ProfileFacts(association_id="iip-1", name="app", arn="arn", role="app", shared_with=("i-2",))
    (step,) = [s for s in planned(everything(profile=shared), revoke_role=True).steps if s.id == "credentials.revoke"]
    assert step.side_effects == ("all of them lose their sessions: i-2",)


def test_a_target_without_a_role_has_no_credentials_to_deny() -> None:
    ids = {s.id for s in planned(everything(profile=None)).steps}
    assert not ids & {"credentials.deny", "credentials.profile"} and "credentials.metadata" in ids


def test_who_else_uses_the_role_is_named() -> None:
    profile = ProfileFacts(
        association_id="a", name="app", arn="arn", role="app", shared_with=("i-2",), other_principals=("arn:user",)
    )
    assert others_use(profile) == "i-2, arn:user"
