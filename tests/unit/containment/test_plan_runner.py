"""Plans carried out on an account in memory: order, dependencies, and what a failure leaves."""

from __future__ import annotations

import pytest

from forensics.containment.plan_runner import PlanRunner
from forensics.models.containment import ContainmentPlan, ContainmentStep
from forensics.models.target_facts import OwnGroup, ProfileFacts
from tests.unit.builders import CASE_ID
from tests.unit.containment.account import EVERYWHERE, Account, Ec2InMemory, GatewayInMemory
from tests.unit.containment.targets import TOKEN, everything, planned


@pytest.fixture(autouse=True)
def _no_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)


def plan_now(account: Account) -> ContainmentPlan:
    """What is still to be done."""
    return planned(account.target, original=account.original)


def run(account: Account) -> list[ContainmentStep]:
    """Carry out what is still to be done."""
    return PlanRunner(GatewayInMemory(account), plan_now(account), facts=account.target).run()


def failed(steps: list[ContainmentStep]) -> list[str]:
    """Names of the steps that did not succeed."""
    return [s.name for s in steps if not s.done]


def test_a_plan_is_carried_out_to_its_end_and_nothing_is_left() -> None:
    account = Account()
    steps = run(account)
    assert failed(steps) == []
    assert plan_now(account).steps == ()
    (quarantine,) = account.target.own_groups
    assert quarantine.name.startswith("forensics-quarantine-") and not quarantine.ingress and not quarantine.egress
    assert {i.group_ids for i in account.target.interfaces} == {(quarantine.id,)}
    assert account.target.interfaces[0].addresses == ()


def test_a_step_that_fails_stops_only_what_needs_it() -> None:
    account = Account()
    account.refused = {"enter_standby"}
    assert failed(run(account)) == ["scaling.leave"]
    assert [s.id for s in plan_now(account).steps] == ["scaling.leave"]


def test_what_needs_a_group_that_could_not_be_made_is_not_tried() -> None:
    account = Account()
    account.refused = {"create_security_group"}
    steps = {s.name: s for s in run(account)}
    close = steps["isolate.close.eni-0"]
    assert not close.done and close.detail.startswith("not tried: isolate.group.quarantine.vpc-1")
    assert "modify_network_interface_attribute" not in account.operations[6:], "no interface was moved"
    assert steps["credentials.deny"].done, "credentials end all the same"


def test_an_interface_that_cannot_leave_the_open_group_is_closed_around_it() -> None:
    account = Account()
    moves: list[tuple[str, ...]] = []
    real = account._modify_network_interface_attribute

    def only_opens(params: dict[str, object]) -> None:
        groups = params.get("Groups")
        if isinstance(groups, list):
            name = account.group(groups[0]).name
            moves.append((str(params["NetworkInterfaceId"]), name.split("-")[1]))
            if "quarantine" in name:
                from forensics.errors import AccessDeniedError

                raise AccessDeniedError("not into that group")
        real(params)

    account._modify_network_interface_attribute = only_opens  # type: ignore[method-assign, assignment]
    steps = {s.name: s.done for s in run(account)}
    assert ("eni-0", "conversion") in moves and ("eni-0", "quarantine") in moves
    assert steps["isolate.closed_by_rules.ingress.vpc-1"] and steps["isolate.closed_by_rules.egress.vpc-1"]
    (group_id,) = account.interface("eni-0").group_ids
    assert not account.group(group_id).ingress and not account.group(group_id).egress


def test_a_rule_that_aws_added_to_a_new_group_is_taken_away_before_its_use() -> None:
    account = Account()
    real = account._revoke_security_group_egress
    first: list[str] = []

    def late_rule(params: dict[str, object]) -> None:
        real(params)
        group_id = str(params["GroupId"])
        if "quarantine" in account.group(group_id).name and group_id not in first:
            first.append(group_id)
            account.change_group(group_id, egress=EVERYWHERE)

    account._revoke_security_group_egress = late_rule  # type: ignore[method-assign, assignment]
    steps = run(account)
    assert "isolate.strip.read_back.vpc-1" in {s.name for s in steps}
    assert failed(steps) == []
    assert account.group(account.interface("eni-0").group_ids[0]).egress == ()


def test_a_group_with_somebodys_rules_is_not_used() -> None:
    opened = OwnGroup(
        id="sg-planted", name=f"forensics-quarantine-{CASE_ID}-{TOKEN}", vpc_id="vpc-1", ingress=EVERYWHERE
    )
    account = Account(everything(own_groups=(opened,)))
    details = {s.name: s.detail for s in run(account) if not s.done}
    assert details["isolate.close.eni-0"] == "group sg-planted is not used: it has rules and must have none"
    assert "sg-planted" not in {g for i in account.target.interfaces for g in i.group_ids}


def shown_after(monkeypatch: pytest.MonkeyPatch, looks: int) -> list[float]:
    """EC2 lists new groups only after so many looks; returns the pauses that were made."""
    real = Ec2InMemory.own_groups
    made, pauses = [0], []

    def late(self: Ec2InMemory, *, case_id: str, token: str) -> tuple[OwnGroup, ...]:
        made[0] += 1
        return real(self, case_id=case_id, token=token) if made[0] > looks else ()

    monkeypatch.setattr(Ec2InMemory, "own_groups", late)
    monkeypatch.setattr("time.sleep", pauses.append)
    return pauses


def test_a_new_group_that_ec2_lists_late_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """EC2 developer guide, "Eventual consistency in the Amazon EC2 API"; packer#1322, #6843: for longer than two seconds."""
    account = Account()
    plan = plan_now(account)
    pauses = shown_after(monkeypatch, 6)
    steps = PlanRunner(GatewayInMemory(account), plan, facts=account.target).run()
    assert failed(steps) == []
    assert len(pauses) == 6 and sum(pauses) > 10


def test_what_becomes_of_the_wait_for_a_group_that_never_appears(monkeypatch: pytest.MonkeyPatch) -> None:
    account = Account()
    plan = plan_now(account)
    pauses = shown_after(monkeypatch, 1000)
    steps = PlanRunner(GatewayInMemory(account), plan, facts=account.target).run()
    assert "isolate.close.eni-0" in failed(steps)
    assert sum(pauses) == pytest.approx(30.0)


def test_a_denial_says_that_it_takes_a_moment() -> None:
    """An inline deny took several polls to bite an existing session (a native recording: radkawar/stackd, role-after-deny)."""
    steps = {s.name: s for s in run(Account())}
    assert "within seconds to about a minute" in steps["credentials.deny"].detail


def test_a_step_that_needs_the_role_says_why_it_is_not_known() -> None:
    unread = ProfileFacts(association_id="iip-1", name="app", arn="arn", role_unread=True)
    account = Account(everything(profile=unread, deny_profile_exists=False, iam_unknown=("IAM is not reachable",)))
    steps = {s.name: s for s in run(account)}
    assert not steps["credentials.deny"].done and steps["credentials.deny"].detail.endswith("IAM is not reachable")
    assert steps["credentials.profile"].done, "EC2 takes the profile off without IAM"
