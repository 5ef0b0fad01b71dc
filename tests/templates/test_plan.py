"""The plan: every parameter has a source, the order is right, and what is missing or misspelt is named."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from forensics.settings import Settings
from infra.deployment import configuration, contradictions, plan, reach, templates

EXAMPLE = templates.ROOT / "infra" / "deployment.example.yaml"


@pytest.fixture
def config() -> configuration.Configuration:
    return configuration.read(EXAMPLE)


def changed(config: configuration.Configuration, drop: str = "", **values: Any) -> configuration.Configuration:
    return replace(config, parameters={k: v for k, v in {**config.parameters, **values}.items() if k != drop})


def test_example_leads_to_a_whole_deployment(config: configuration.Configuration) -> None:
    steps = plan.steps(config)
    places = {(s.account, s.template) for s in steps}
    assert {("forensic", "mwaa"), ("security", "security-account"), ("members", "member-roles")} <= places
    assert "would" not in plan.text(steps) and "forensics-mwaa" in plan.text(steps)


def test_every_template_is_deployed_by_somebody(config: configuration.Configuration) -> None:
    everything = changed(
        config, drop="AmiId", OrganizationalUnitIds=["ou-ab12-cdef3456"], MemberRegions=["eu-central-1"], TargetIds=["r-ab12"],
        DrillSubnetId="subnet-0123456789abcdef1", DrillVpcId="vpc-0123456789abcdef0",
        BuildSubnetId="subnet-0123456789abcdef0", BuildSecurityGroupId="sg-0123456789abcdef0", SecurityRegions="yes",
        BreakGlassUserArns=["arn:aws:iam::222233334444:user/alice"], BreakGlassApproverArns=["arn:aws:iam::222233334444:user/bob"],
        WebhookSourceCidrs=["192.0.2.0/24"], TimelineQueryPrincipalArn="arn:aws:iam::222233334444:role/examiners", SummaryModel="amazon.nova-pro-v1:0",
    )  # fmt: skip
    accounts = {**everything.accounts, "drill": "333344445555"}
    everything = replace(everything, member_regions=("eu-central-1", "us-east-1"), accounts=accounts)
    deployed = {s.template for c in (config, everything) for s in plan.steps(c)}
    assert deployed - {""} == set(templates.committed())


def test_outputs_come_from_stacks_that_are_deployed_before(config: configuration.Configuration) -> None:
    done: set[str] = set()
    for step in plan.steps(config):
        for name, source in step.parameters.items():
            assert source.kind != "output" or source.value in done, f"{step.stack}.{name} needs {source.value} first"
        done.add(step.stack)


def test_a_restored_table_goes_before_the_one_of_the_stack(config: configuration.Configuration) -> None:
    """docs/disaster.md: the name, ARN and stream of the restored table under parameters reach every stack that reads the table."""
    own = {
        "CaseTable": "forensics-cases-restored", "CaseTableArn": "arn:aws:dynamodb:eu-central-1:222233334444:table/forensics-cases-restored",
        "CaseStreamArn": "arn:aws:dynamodb:eu-central-1:222233334444:table/forensics-cases-restored/stream/2026-11-30T00:00:00.000",
    }  # fmt: skip
    taken = [
        (s.stack, n, s.parameters[n]) for s in plan.steps(changed(config, **own)) for n in own if n in s.parameters
    ]
    assert {n for _, n, _ in taken} == set(own) and {s for s, _, _ in taken} >= {
        "forensics-mwaa",
        "forensics-execution-role",
    }
    assert {(n, source) for _, n, source in taken} == {(n, plan.Source("configuration", v)) for n, v in own.items()}


def test_existing_vpc_replaces_the_network_stack(config: configuration.Configuration) -> None:
    own = dict.fromkeys(
        ["VpcId", "RouteTableId", "ControlRouteTableId", "AnalysisSubnetId", "AnalysisSecurityGroupId", "ControlSubnetIdA", "ControlSubnetIdB",
         "MwaaSecurityGroupId", "EndpointSecurityGroupId", "AgentEndpointSecurityGroupId"], "mine",
    )  # fmt: skip
    steps = plan.steps(changed(config, **own))
    assert "network" not in {s.template for s in steps}
    mwaa = next(s for s in steps if s.template == "mwaa")
    assert mwaa.parameters["ControlSubnetIdA"] == plan.Source("configuration", "mine")


def test_member_regions_get_regional_stacks_and_roles_once(config: configuration.Configuration) -> None:
    steps = plan.steps(replace(config, member_regions=("eu-central-1", "us-east-1")))
    regions = {
        t: [s.region for s in steps if s.template == t] for t in ("member-roles", "member-region", "documents-acquire")
    }
    assert regions == {
        "member-roles": ["eu-central-1"],
        "member-region": ["eu-central-1", "us-east-1"],
        "documents-acquire": ["eu-central-1", "us-east-1"],
    }


@pytest.mark.parametrize(
    ("member_regions", "parameters", "settings", "expected"),
    [
        (("eu-central-1",), {}, {}, []),
        (("eu-central-1", "us-east-1"), {}, {}, ["us-east-1"]),
        (("eu-central-1",), {"MemberRegions": ["eu-west-1", "eu-central-1"]}, {}, ["eu-west-1"]),
        (("us-east-1",), {"MemberRegions": "us-east-1,us-west-2"}, {}, ["us-east-1", "us-west-2"]),
        (("eu-central-1",), {}, {"cross_region_from": "eu-west-3, eu-central-1"}, ["eu-west-3"]),
        (("eu-central-1",), {}, {"cross_region_from": "*"}, []),
    ],
)
def test_every_other_region_has_an_evidence_key_and_its_alias(
    config: configuration.Configuration,
    member_regions: tuple[str, ...],
    parameters: dict[str, Any],
    settings: dict[str, str],
    expected: list[str],
) -> None:
    steps = plan.steps(replace(changed(config, **parameters), member_regions=member_regions, settings=settings))
    assert [s.region for s in steps if s.template == "regional-key"] == expected
    resources = templates.committed()["regional-key"]["Resources"]
    assert resources["EvidenceAlias"]["Properties"]["AliasName"] == Settings.model_fields["evidence_key_alias"].default


def test_missing_value_is_named_with_stack_and_meaning(config: configuration.Configuration) -> None:
    with pytest.raises(configuration.PlanError, match=r"AlarmEmail of forensics-notifications \(Address that gets"):
        plan.steps(changed(config, drop="AlarmEmail"))


def test_misspelt_parameter_is_named(config: configuration.Configuration) -> None:
    with pytest.raises(configuration.PlanError, match="AlarmMail"):
        plan.steps(changed(config, AlarmMail="x@example.com"))


@pytest.mark.parametrize(
    "text", ["", "- a list", "region: x", "region: [", "region: x\naccounts: {}\nparameters: {}\nregoins: 1"]
)
def test_broken_configuration_says_where_to_start(tmp_path: Path, text: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(configuration.PlanError, match=r"mine\.yaml"):
        configuration.read(file)


def test_security_account_does_not_get_the_forensic_topic(config: configuration.Configuration) -> None:
    security = next(s for s in plan.steps(config) if s.template == "security-account")
    assert security.parameters["AlarmTopicArn"].kind == "default"


def test_regions_of_the_ami_get_a_slot_a_key_and_names_that_resolve(config: configuration.Configuration) -> None:
    """Each Region of AmiRegions but home: copy of the image, evidence key, and the APIs that the preflight asks there."""
    build = {"BuildSubnetId": "subnet-0123456789abcdef0", "BuildSecurityGroupId": "sg-0123456789abcdef0"}
    given = changed(config, drop="AmiId", **build, AmiRegions=["us-east-1", config.region, "eu-west-1"])
    steps = plan.steps(given)
    (builder,) = [s for s in steps if s.template == "image-builder"]
    assert [builder.parameters[f"AmiRegion{n}"].value for n in range(1, 5)] == ["us-east-1", "eu-west-1", "", ""]
    assert {s.region for s in steps if s.template == "regional-key"} >= {"us-east-1", "eu-west-1"}
    assert "forensics-regional-key" in builder.after
    (mwaa,) = [s for s in steps if s.template == "mwaa"]
    assert mwaa.parameters["AmiRegions"].value == f"us-east-1,{config.region},eu-west-1"
    assert "ec2.us-east-1.amazonaws.com" in reach.egress_names(given)
    assert not [line for line in contradictions.found(given, partition="aws") if "AmiRegions" in line]


@pytest.mark.parametrize(
    ("regions", "said"),
    [
        (["us-east-1", "us-east-2", "us-west-2", "eu-west-1", "eu-west-2"], "5 Regions beside the home Region"),
        (["us-esat-1"], "AWS has no Region 'us-esat-1' \\(did you mean"),
        (["us-gov-west-1"], "is in partition aws-us-gov"),
    ],
)
def test_regions_of_the_ami_that_cannot_be_are_named(
    config: configuration.Configuration, regions: list[str], said: str
) -> None:
    build = {"BuildSubnetId": "subnet-0123456789abcdef0", "BuildSecurityGroupId": "sg-0123456789abcdef0"}
    given = changed(config, drop="AmiId", **build, AmiRegions=regions)
    lines = [line for line in contradictions.found(given, partition="aws") if "AmiRegions" in line]
    assert lines and re.search(said, lines[0])
    yours = changed(config, AmiRegions=["us-east-1"])
    assert any("the AMI is yours" in line for line in contradictions.found(yours, partition="aws"))


def test_each_copy_of_the_ami_is_under_the_key_of_its_region() -> None:
    """Image Builder's API reference, AmiDistributionConfiguration: kmsKeyId takes an alias's ARN; its role may use that key through EC2."""
    body = templates.reading()["image-builder"]["Resources"]["Distribution"]["Properties"]["Distributions"]
    keys = [d["AmiDistributionConfiguration"]["KmsKeyId"]["Fn::Sub"] for d in (x["Fn::If"][1] for x in body[1:])]
    assert len(keys) == contradictions.AMI_REGIONS
    assert all(f"${{AmiRegion{n}}}" in k and k.endswith("alias/forensics-evidence") for n, k in enumerate(keys, 1))
    policy = templates.text_of("regional-key")
    assert policy.count("AWSServiceRoleForImageBuilder") == 2
