"""Only listed calls are made, placeholders are filled, and a change that is there already is not an error."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.stub import Stubber

from forensics.containment import call_runner, calls
from forensics.containment.call_runner import ALLOWED, ContainmentGateway
from forensics.containment.quarantine_groups import CaseGroups
from forensics.errors import AccessDeniedError, AwsError, ContainmentError, ResourceGoneError
from forensics.models.containment import ApiCall
from forensics.models.target_facts import OwnGroup
from tests.unit.builders import CASE_ID, INSTANCE
from tests.unit.containment.account import Account, ReaderInMemory
from tests.unit.containment.targets import TOKEN, everything
from tests.unit.moto_store import make_client

NAME = CaseGroups(CASE_ID, TOKEN).name("quarantine")
CREATE = calls.create_group(CASE_ID, name=NAME, vpc_id="vpc-1", purpose="quarantine")


@pytest.fixture
def ec2() -> Iterator[Stubber]:
    """EC2's answers, in order; all of them are used."""
    with Stubber(make_client("ec2")) as stub:
        yield stub
        stub.assert_no_pending_responses()


def gateway(account: Account | None = None) -> ContainmentGateway:
    """The gateway on a real client whose answers are stubbed."""
    clients: dict[str, Any] = {name: make_client(name) for name in ("ec2", "elbv2")}
    return ContainmentGateway(facts=ReaderInMemory(account or Account()), clients=clients)


def test_a_new_groups_id_is_returned(ec2: Stubber) -> None:
    ec2.add_response("create_security_group", {"GroupId": "sg-1"}, dict(CREATE.params))
    assert gateway().perform(CREATE, ids={}) == "sg-1"


def test_placeholders_stand_for_what_was_made(ec2: Stubber) -> None:
    call = calls.interface_groups("eni-0", groups=["${quarantine:vpc-1}"])
    sent = {"NetworkInterfaceId": "eni-0", "Groups": ["sg-1"]}
    ec2.add_response("modify_network_interface_attribute", {}, sent)
    assert gateway().perform(call, ids={"${quarantine:vpc-1}": "sg-1"}) is None
    with pytest.raises(ContainmentError, match="the step that makes it failed"):
        gateway().perform(call, ids={})


@pytest.mark.parametrize(
    "call",
    [
        ApiCall(service="ec2", operation="terminate_instances", params={"InstanceIds": [INSTANCE]}),
        ApiCall(service="kms", operation="schedule_key_deletion", params={}),
    ],
    ids=str,
)
def test_a_call_that_is_not_listed_is_not_made(call: ApiCall) -> None:
    with pytest.raises(ContainmentError, match="is not a call that containment may make"):
        gateway().perform(call, ids={})


def test_containment_deletes_nothing_but_its_own() -> None:
    deleting = {
        f"{s}.{o}" for s, names in ALLOWED.items() for o in names if o.startswith(("delete", "terminate", "schedule"))
    }
    assert deleting == {"ec2.delete_security_group", "ec2.delete_tags", "iam.delete_role_policy"}


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (calls.delete_group("sg-1"), "InvalidGroup.NotFound"),
        (calls.revoke("sg-1", egress=True, permissions=calls.EVERYTHING), "InvalidPermission.NotFound"),
        (calls.authorize("sg-1", egress=False, permissions=calls.EVERYTHING), "InvalidPermission.Duplicate"),
    ],
    ids=str,
)
def test_a_change_that_is_there_already_is_not_an_error(ec2: Stubber, call: ApiCall, code: str) -> None:
    ec2.add_client_error(call.operation, code)
    assert gateway().perform(call, ids={}) is None


def test_only_a_profile_that_is_there_already_makes_incorrect_state_no_error(ec2: Stubber) -> None:
    """EC2's words as moto has them ("There is an existing association for instance"); the code alone has other causes too."""
    call = calls.give_profile("i-1", name="web")
    ec2.add_client_error(call.operation, "IncorrectState", "There is an existing association for instance i-1")
    assert gateway().perform(call, ids={}) is None
    ec2.add_client_error(call.operation, "IncorrectState", "The instance 'i-1' is not in a valid state")
    with pytest.raises(AwsError, match="not in a valid state"):
        gateway().perform(call, ids={})


def test_any_other_refusal_is_an_error_that_names_call_and_account(ec2: Stubber) -> None:
    ec2.add_client_error("delete_security_group", "UnauthorizedOperation")
    with pytest.raises(AccessDeniedError, match=r"ec2.delete_security_group GroupId=sg-1 in account 333344445555"):
        gateway().perform(calls.delete_group("sg-1"), ids={})


def test_a_group_that_ec2_does_not_know_yet_is_asked_for_again(ec2: Stubber) -> None:
    """EC2 developer guide, "Eventual consistency in the Amazon EC2 API"; packer#1322: one in ten calls after CreateSecurityGroup."""
    call = calls.interface_groups("eni-0", groups=["${quarantine:vpc-1}"])
    for _ in range(2):
        ec2.add_client_error("modify_network_interface_attribute", "InvalidGroup.NotFound")
    ec2.add_response("modify_network_interface_attribute", {})
    assert gateway().perform(call, ids={"${quarantine:vpc-1}": "sg-1"}) is None


@pytest.mark.parametrize(
    ("groups", "code"),
    [(["sg-old"], "InvalidGroup.NotFound"), (["${quarantine:vpc-1}"], "InvalidNetworkInterfaceID.NotFound")],
    ids=["somebody's group", "an interface that is gone"],
)
def test_what_is_not_of_our_making_is_not_waited_for(ec2: Stubber, groups: list[str], code: str) -> None:
    ec2.add_client_error("modify_network_interface_attribute", code)
    with pytest.raises(ResourceGoneError):
        gateway().perform(calls.interface_groups("eni-0", groups=groups), ids={"${quarantine:vpc-1}": "sg-1"})


def test_a_group_whose_creation_lost_its_answer_is_found_again(ec2: Stubber) -> None:
    ec2.add_client_error("create_security_group", "InvalidGroup.Duplicate")
    mine = OwnGroup(id="sg-mine", name=NAME, vpc_id="vpc-1")
    assert gateway(Account(everything(own_groups=(mine,)))).perform(CREATE, ids={}) == "sg-mine"


def test_a_group_whose_tags_ec2_shows_late_is_waited_for(ec2: Stubber, monkeypatch: pytest.MonkeyPatch) -> None:
    """EC2 developer guide, "Eventual consistency in the Amazon EC2 API": a new group may not be listed yet."""
    ec2.add_client_error("create_security_group", "InvalidGroup.Duplicate")
    account = Account(everything(own_groups=()))
    mine = OwnGroup(id="sg-mine", name=NAME, vpc_id="vpc-1")
    looks: list[int] = []

    def shown_late(self: object, **_: object) -> tuple[OwnGroup, ...]:
        looks.append(1)
        return (mine,) if len(looks) > 2 else ()

    monkeypatch.setattr("tests.unit.containment.account.Ec2InMemory.own_groups", shown_late)
    assert gateway(account).perform(CREATE, ids={}) == "sg-mine"


def test_a_group_that_an_earlier_try_made_is_asked_for_again(ec2: Stubber) -> None:
    """A try that was killed after CreateSecurityGroup leaves a group that EC2 may not know everywhere for its successor."""
    ec2.add_client_error("modify_network_interface_attribute", "InvalidGroup.NotFound")
    ec2.add_response("modify_network_interface_attribute", {})
    assert gateway().perform(calls.interface_groups("eni-0", groups=["sg-1"]), ids={"sg-1": "sg-1"}) is None


def test_a_group_that_stays_unknown_when_it_is_deleted_is_gone(ec2: Stubber, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_runner, "GONE_AFTER", 0.0)
    ec2.add_client_error("delete_security_group", "InvalidGroup.NotFound")
    assert gateway().perform(calls.delete_group("sg-1"), ids={"sg-1": "sg-1"}) is None


def test_a_group_made_a_moment_ago_is_deleted_when_ec2_knows_it(ec2: Stubber) -> None:
    """One "not found" right after the creation would leave it behind (EC2 developer guide, "Eventual consistency")."""
    ec2.add_client_error("delete_security_group", "InvalidGroup.NotFound")
    ec2.add_response("delete_security_group", {"Return": True, "GroupId": "sg-1"})
    assert gateway().perform(calls.delete_group("sg-1"), ids={"sg-1": "sg-1"}) is None
    ec2.assert_no_pending_responses()


def test_somebodys_group_of_this_name_is_not_used(ec2: Stubber, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_runner, "GROUP_SECONDS", 0.0)
    ec2.add_client_error("create_security_group", "InvalidGroup.Duplicate")
    elsewhere = OwnGroup(id="sg-other", name=NAME, vpc_id="vpc-2")
    with pytest.raises(ContainmentError, match="was not made for this case"):
        gateway(Account(everything(own_groups=(elsewhere,)))).perform(CREATE, ids={})


def test_which_calls_ec2_can_be_asked_about() -> None:
    made = gateway()
    assert made.api_name(CREATE) == "CreateSecurityGroup" and made.has_dry_run(CREATE)
    replace = calls.replace_profile("iip-1", name="isolated")
    assert not made.has_dry_run(replace)
    deregister = ApiCall(service="elbv2", operation="deregister_targets", params={})
    assert made.api_name(deregister) == "DeregisterTargets" and not made.has_dry_run(deregister)
