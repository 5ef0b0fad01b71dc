"""Two deployments in one organization, even in the same accounts: no name of one is a name of the other, no policy of one means the other's.

What the lab's IAM says to the calls themselves is in tests/integration/test_two_deployments.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from infra.deployment import checks, configuration, deploy, deployment_ids, plan, rendering, templates
from infra.deployment.configuration import Configuration, PlanError
from tests.templates.test_plan import EXAMPLE, changed

# Types whose name is unique only inside another resource that has a name of its own.
INSIDE = {"AWS::Logs::LogStream", "AWS::AppSync::DataSource", "AWS::AppSync::FunctionConfiguration"}
NAMES = (
    "Name", "RoleName", "BucketName", "QueueName", "TopicName", "TableName", "AliasName", "AlarmName", "DashboardName", "LogGroupName",
    "FunctionName", "StackSetName", "ConfigRuleName", "DeliveryStreamName", "LaunchTemplateName", "InstanceProfileName", "GroupName",
)  # fmt: skip
# A target's role may have any name. The service control policy of each deployment keeps the others from its own roles (below).
OVER_EVERY_ROLE = {"DenyRoleOfTarget", "PassOriginalRole", "RemoveDeny"}
BUILT = {
    "BuildSubnetId": "subnet-0123456789abcdef0",
    "BuildSecurityGroupId": "sg-0123456789abcdef0",
    "SecurityRegions": "yes",
    "WebhookSourceCidrs": ["192.0.2.0/24"],
    "BreakGlassUserArns": ["arn:aws:iam::222233334444:user/alice"],
    "BreakGlassApproverArns": ["arn:aws:iam::222233334444:user/bob"],
}


def everything(deployment_id: str = "") -> list[Configuration]:
    """The example with each stack that there is, by member accounts and by StackSets."""
    example = configuration.read(EXAMPLE)
    given: dict[str, Any] = {"DeploymentId": deployment_id} if deployment_id else {}
    whole = changed(example, drop="AmiId", TargetIds=["r-ab12"], **BUILT, **given)
    whole = replace(whole, member_regions=("eu-central-1", "us-east-1"))
    return [whole, changed(whole, OrganizationalUnitIds=["ou-ab12-cdef3456"], MemberRegions=["eu-central-1"])]


def rendered(deployment_id: str = "") -> list[rendering.Rendered]:
    return [stack for config in everything(deployment_id) for stack in rendering.render(config)]


def names(stacks: list[rendering.Rendered]) -> set[tuple[str, str, str, str]]:
    """(account, Region, type, name) of everything that the templates name."""
    found = set()
    for stack in stacks:
        where = (stack.step.account_id, stack.step.region)
        found.add((*where, "stack", stack.step.stack))
        for resource in stack.resources.values():
            if resource.type in INSIDE:
                continue
            found |= {
                (*where, resource.type, value)
                for key in NAMES
                if isinstance(value := resource.properties.get(key), str)
                # a resource of the same stack that is referred to, or that the name is made of
                and value.rpartition("/")[2].partition(".")[0] not in stack.resources
            }
    return found


def texts(value: Any) -> Iterator[str]:
    """Every text in a value: keys too, conditions are keyed by tags."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key not in {"Description", "AlarmDescription", "ZipFile", "Content", "Data", "Definition"}:
                yield str(key)
                yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)
    elif isinstance(value, str):
        yield value


def test_the_first_deployment_keeps_the_names_that_it_has() -> None:
    for name in templates.committed():
        assert templates.text_of(name, "forensics") == templates.text_of(name)
    assert {s.stack for s in plan.steps(everything()[0])} == {s.stack for s in plan.steps(everything("forensics")[0])}


def test_no_name_of_one_deployment_is_a_name_of_the_other() -> None:
    first, blue, green = (names(rendered(which)) for which in ("", "blue", "green"))
    assert len(first) == len(blue) == len(green) > 150
    assert sorted(first & blue | first & green | blue & green) == []


def test_nothing_of_the_first_deployment_is_left_in_the_templates_of_another() -> None:
    """Names, ARNs, tags in conditions, event sources, metrics, dashboards: whatever a template says beside its descriptions."""
    left = {
        f"{stack.step.stack}: {text[:120]}"
        for stack in rendered("blue")
        for resource in stack.resources.values()
        for text in texts(dict(resource.properties))
        if re.search(r"(?<!ec2-)forensics(?!\.[a-z_0-9]+$)", text)
        or re.search(r"(?<!X-)Forensics(?!/blue| Preflight)", text)
    }
    # the deployer's own words in the configuration, which no deployment makes
    own = {
        "forensics-alarms@example.com",
        "forensics@example.com",
        "https://example.com/ec2-forensics/docs/runbooks.md",
    }
    assert {line for line in left if line.partition(": ")[2] not in own} == set()


def test_what_documents_and_components_contain_is_byte_for_byte_the_same() -> None:
    """Commands are sent with the digest of a document's content, and a component is what its tests ran."""
    seen = 0
    for name in templates.generated():
        first, blue = templates.committed()[name]["Resources"], templates.committed("blue")[name]["Resources"]
        for logical, resource in first.items():
            key = "Content" if "Content" in resource["Properties"] else "Data"
            assert resource["Properties"][key] == blue[logical]["Properties"][key]
            assert resource["Properties"]["Name"] != blue[logical]["Properties"]["Name"]
            seen += 1
    assert seen >= 20


def statements(stacks: list[rendering.Rendered]) -> Iterator[tuple[str, dict[str, Any]]]:
    def walk(where: str, value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
        if isinstance(value, dict):
            if "Effect" in value and "Action" in value:
                yield where, value
            for item in value.values():
                yield from walk(where, item)
        elif isinstance(value, list):
            for item in value:
                yield from walk(where, item)

    for stack in stacks:
        for logical, resource in stack.resources.items():
            yield from walk(f"{stack.step.stack}.{logical}", dict(resource.properties))


def arns(stacks: list[rendering.Rendered]) -> set[str]:
    """ARNs of a deployment's own things, as policies name them."""
    forms = {
        "AWS::IAM::Role": "arn:aws:iam::{a}:role/{n}", "AWS::IAM::InstanceProfile": "arn:aws:iam::{a}:instance-profile/{n}",
        "AWS::S3::Bucket": "arn:aws:s3:::{n}", "AWS::SSM::Document": "arn:aws:ssm:{r}:{a}:document/{n}",
        "AWS::SQS::Queue": "arn:aws:sqs:{r}:{a}:{n}", "AWS::KMS::Alias": "arn:aws:kms:{r}:{a}:{n}",
        "AWS::Events::Rule": "arn:aws:events:{r}:{a}:rule/{n}", "AWS::DynamoDB::Table": "arn:aws:dynamodb:{r}:{a}:table/{n}",
        "AWS::SNS::Topic": "arn:aws:sns:{r}:{a}:{n}", "AWS::Events::EventBus": "arn:aws:events:{r}:{a}:event-bus/{n}",
        "AWS::SSM::Parameter": "arn:aws:ssm:{r}:{a}:parameter{n}", "AWS::ImageBuilder::ImagePipeline": "arn:aws:imagebuilder:{r}:{a}:image-pipeline/{n}",
        "AWS::MWAA::Environment": "arn:aws:airflow:{r}:{a}:environment/{n}",
    }  # fmt: skip
    return {forms[kind].format(a=a, r=r, n=n) for a, r, kind, n in names(stacks) if kind in forms}


def test_no_policy_of_one_deployment_means_what_belongs_to_the_other() -> None:
    """Patterns such as ``document/blue-*`` are tried on the real ARNs of the others, wildcards as IAM reads them."""
    ids = ("", "blue", "bluer")
    stacks = {which: rendered(which) for which in ids}
    theirs = {which: arns(stacks[which]) for which in ids}
    assert {len(found) for found in theirs.values()} == {len(theirs[""])} and len(theirs[""]) > 60
    for which in ids:
        foreign = set().union(*(theirs[other] for other in ids if other != which))
        for where, statement in statements(stacks[which]):
            resources = statement.get("Resource", [])
            for pattern in [resources] if isinstance(resources, str) else resources:
                if isinstance(pattern, str) and pattern not in {"*"} and statement["Effect"] == "Allow":
                    reached = [arn for arn in foreign if fnmatchcase(arn, pattern)]
                    assert not reached or statement.get("Sid") in OVER_EVERY_ROLE or _held(statement), (
                        f"{where} {statement.get('Sid')}: {pattern} means {reached[:3]}"
                    )


def _held(statement: dict[str, Any]) -> bool:
    """Statements over every role or instance that hold by a tag of the deployment's own, or that only read."""
    conditions = {key for operator in statement.get("Condition", {}).values() for key in operator}
    actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
    reads = all(a.partition(":")[2].startswith(("Get", "List", "Describe", "GenerateServiceLast")) for a in actions)
    return reads or any(":case" in key or ":contained" in key or ":protected" in key for key in conditions)


def test_the_service_control_policy_of_each_keeps_the_other_from_its_roles() -> None:
    for which, other in (("", "blue"), ("blue", "")):
        own, theirs = which or "forensics", other or "forensics"
        stacks = rendered(which)
        held = next(s for _, s in statements(stacks) if s.get("Sid") == "RolesAreDeployed")
        assert held["Effect"] == "Deny"
        for action in ("iam:PutRolePolicy", "iam:DeleteRolePolicy"):
            assert any(fnmatchcase(action, pattern) for pattern in held["Action"])
        assert any(fnmatchcase(f"arn:aws:iam::333344445555:role/{own}-contain", p) for p in held["Resource"])
        excepted = held["Condition"]["ArnNotLike"]["aws:PrincipalArn"]
        assert not fnmatchcase(f"arn:aws:iam::333344445555:role/{theirs}-contain", excepted)


def test_an_id_that_cannot_begin_every_name_is_refused_before_anything_is_asked() -> None:
    for wrong in ("prod-eu", "Prod", "p", "fourteenletters", "aws1"):
        with pytest.raises(PlanError, match=r"parameters\.DeploymentId"):
            checks.validate(everything(wrong)[0])
    with pytest.raises(PlanError, match="RolePrefix: 'forensics-' does not begin with blue-"):
        checks.validate(changed(everything("blue")[0], RolePrefix="forensics-"))


def test_no_name_of_the_longest_id_is_too_long() -> None:
    """S3: 63 characters; IAM roles, rules, queues less a suffix: 64, 64, 80; Security Hub's custom actions: 20."""
    longest = {"AWS::S3::Bucket": 63, "AWS::IAM::Role": 64, "AWS::Events::Rule": 64, "AWS::SQS::Queue": 80}
    far = [replace(c, region="ap-southeast-2", member_regions=("ap-southeast-2",)) for c in everything("a" * 13)]
    made = names([s for c in far for s in rendering.render(c)])
    for _, _, kind, name in made:
        assert len(name) <= longest.get(kind, 128), (kind, name)
    assert max(len(n) for _, _, kind, n in made if kind == "Custom::SecurityHubAction") == 20


def test_a_release_brings_the_templates_of_another_deployment_beside_its_own() -> None:
    """StackSets and large templates are read from the release bucket: from a folder of this deployment's."""
    assert deploy.own_templates("forensics") == {}
    own = deploy.own_templates("blue")
    assert {Path(name).parent.name for name in own} == {"cloudformation-blue"}
    urls = [
        r.properties["TemplateURL"]
        for s in rendered("blue")
        for r in s.resources.values()
        if "TemplateURL" in r.properties
    ]
    assert len(urls) == 4 and all(deployment_ids.folder("blue") + "/" in url for url in urls)
    assert {url.rpartition("/")[2] for url in urls} <= {Path(name).name for name in own}
    # the organization may read that folder too
    assert fnmatchcase("b/releases/1.0.0-x/cloudformation-blue/member-roles.yaml", "b/releases/*/cloudformation*/*")
