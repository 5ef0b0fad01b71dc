"""Groups per VPC and the two-step change."""

from __future__ import annotations

from forensics.containment.calls import EVERYTHING
from forensics.containment.quarantine_groups import CaseGroups
from forensics.models.containment import Stage
from forensics.models.target_facts import OwnGroup
from tests.unit.builders import CASE_ID
from tests.unit.containment.targets import TOKEN, eni, everything, planned


def test_a_stopped_instance_has_no_flow_to_break_and_stays_in_its_target_group() -> None:
    stages = {s.stage for s in planned(everything(state="stopped")).steps}
    assert not stages & {Stage.OPEN, Stage.CLEANUP, Stage.BALANCERS}
    assert Stage.CLOSE in stages


def test_elastic_ips_are_off_before_an_interface_is_opened() -> None:
    ids = [s.id for s in planned(everything()).steps]
    assert ids.index("address.198.51.100.7.eni-0") < ids.index("isolate.open.eni-0")


def test_every_interface_ends_in_the_empty_group_of_its_own_vpc() -> None:
    plan = planned(everything(interfaces=(eni(0), eni(1, vpc_id="vpc-2"))))
    ends = {s.target: s.call.group_ids for s in plan.steps if s.stage is Stage.CLOSE}
    assert ends == {"eni-0": ("${quarantine:vpc-1}",), "eni-1": ("${quarantine:vpc-2}",)}


def test_closing_needs_the_empty_group_and_not_the_open_one() -> None:
    needs = {s.id: s.needs for s in planned(everything()).steps}
    empty = ("isolate.group.quarantine.vpc-1", "isolate.strip.quarantine.vpc-1")
    assert needs["isolate.close.eni-1"] == empty
    assert needs["isolate.open.eni-1"][:2] == empty and len(needs["isolate.open.eni-1"]) == 5
    assert needs["isolate.cleanup.vpc-1"] == ("isolate.close.eni-0", "isolate.close.eni-1")


def test_where_flows_are_not_to_be_broken_nothing_is_opened() -> None:
    stages = {s.stage for s in planned(everything(), break_flows=False).steps}
    assert Stage.CLOSE in stages and not stages & {Stage.OPEN, Stage.CLEANUP}


def test_a_group_that_an_earlier_try_made_is_used_again() -> None:
    groups = CaseGroups(CASE_ID, TOKEN)
    empty = OwnGroup(id="sg-mine", name=groups.name("quarantine"), vpc_id="vpc-1")
    plan = planned(everything(own_groups=(empty,)))
    assert [s.call.group_ids for s in plan.steps if s.stage is Stage.CLOSE] == [("sg-mine",)] * 2
    assert "isolate.group.quarantine.vpc-1" not in {s.id for s in plan.steps}


def test_an_ipv6_vpc_gives_a_new_group_two_rules_to_take_away() -> None:
    (step,) = [s for s in planned(everything(ipv6_vpcs=("vpc-1",))).steps if s.id == "isolate.strip.quarantine.vpc-1"]
    (rule,) = step.call.params["IpPermissions"]  # type: ignore[misc]
    assert set(rule) == {"IpProtocol", "IpRanges", "Ipv6Ranges"}


def test_idle_connections_are_forgotten_earlier_where_the_setting_says_so() -> None:
    steps = [s for s in planned(everything(), idle_seconds=60).steps if s.id.startswith("isolate.idle.")]
    assert [s.call.params["ConnectionTrackingSpecification"] for s in steps] == [{"TcpEstablishedTimeout": 60}] * 2
    assert steps[0].undo[0].params["ConnectionTrackingSpecification"] == {"TcpEstablishedTimeout": 432_000}
    assert [s for s in planned(everything()).steps if s.id.startswith("isolate.idle.")] == []


def test_an_open_group_that_an_earlier_try_left_is_used_and_removed() -> None:
    name = CaseGroups(CASE_ID, TOKEN).name("conversion")
    opened = OwnGroup(id="sg-open", name=name, vpc_id="vpc-1", ingress=tuple(EVERYTHING), egress=tuple(EVERYTHING))
    steps = {s.id: s for s in planned(everything(own_groups=(opened,))).steps}
    assert steps["isolate.open.eni-0"].call.group_ids == ("sg-open",)
    assert not {"isolate.group.conversion.vpc-1", "isolate.untrack.ingress.vpc-1"} & steps.keys()
    assert steps["isolate.cleanup.vpc-1"].call.params == {"GroupId": "sg-open"}
