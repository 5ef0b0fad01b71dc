"""What no linter knows: this product's own rules on its templates."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from forensics.settings import Settings
from infra.deployment import templates

ALL = templates.committed()
ROOT = Path(__file__).resolve().parents[2]
# Longer than this and nobody reads a template whole.
LONGEST = 300
# Actions without resource-level permissions (service authorization reference): a wildcard is the only resource they have.
NO_RESOURCE_LEVEL = {
    "ssm:CancelCommand": "AWS Systems Manager",
    "ssm:UpdateInstanceInformation": "AWS Systems Manager, the agent itself",
    "cloudwatch:PutMetricData": "Amazon CloudWatch; narrowed by namespace",
}
AGENT = ("ssmmessages:", "ec2messages:")
PHASES = ("member-roles", "member-containment", "security-account", "roles-forensic", "hold-role", "summary-role")
READING = re.compile(r":(Describe|Get|List|Head|Look)")
# By condition of endpoints.yaml: in every profile, in standard and closed, in closed alone, and with Image Builder in closed.
INTERFACE_ENDPOINTS = {
    None: {"ssm", "ssmmessages"},
    "CarriesEvidence": {"ec2", "ebs", "kms", "sts", "sqs", "logs"},
    "IsClosed": {
        "monitoring", "sns", "securityhub", "guardduty", "ecr.api", "ecr.dkr", "airflow.api", "airflow.env", "autoscaling",
        "cloudtrail",
        "elasticloadbalancing", "iam",
    },
    "Builds": {"imagebuilder"},
}  # fmt: skip


def resources(kind: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(template, logical id, resource) of every resource of a type."""
    for name, template in ALL.items():
        for logical, resource in template["Resources"].items():
            if resource["Type"] == kind:
                yield name, logical, resource


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def identity_statements() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, logical, role in resources("AWS::IAM::Role"):
        for policy in role["Properties"].get("Policies", []):
            for statement in policy["PolicyDocument"]["Statement"]:
                yield f"{name}.{logical}.{statement.get('Sid')}", statement


@pytest.mark.parametrize("name", sorted(ALL))
def test_template_is_short_and_described(name: str) -> None:
    template = ALL[name]
    assert len(template["Description"]) > 30
    if (templates.FOLDER / f"{name}.yaml").exists():
        assert len(templates.text_of(name).splitlines()) <= LONGEST


@pytest.mark.parametrize("name", sorted(ALL))
def test_parameters_are_checked_and_described(name: str) -> None:
    for parameter, body in ALL[name].get("Parameters", {}).items():
        assert body.get("Description"), f"{name}.{parameter} has no description"
        if body["Type"] == "String":
            assert "AllowedPattern" in body or "AllowedValues" in body, f"{name}.{parameter} takes anything"


def test_nothing_mutating_on_everything() -> None:
    wide = []
    for where, statement in identity_statements():
        if statement["Effect"] != "Allow" or "*" not in listed(statement["Resource"]):
            continue
        wide += [
            f"{where}: {action}"
            for action in listed(statement["Action"])
            if not READING.search(action) and action not in NO_RESOURCE_LEVEL and not action.startswith(AGENT)
        ]
    assert not wide


def test_no_wildcard_actions() -> None:
    for where, statement in identity_statements():
        for action in listed(statement["Action"]):
            if statement["Effect"] == "Allow" and "*" in action:
                # MWAA's documented execution role reads its bucket this way
                assert where.startswith("execution-role.Execution.") and action in (
                    "s3:GetObject*", "s3:GetBucket*", "s3:List*", "kms:GenerateDataKey*",
                ), f"{where}: {action}"  # fmt: skip


def test_every_statement_has_a_name() -> None:
    assert not [where for where, _ in identity_statements() if where.endswith(".None")]


def test_phase_roles_trust_the_orchestrator_alone() -> None:
    phases = [
        (n, r)
        for n, _, r in resources("AWS::IAM::Role")
        if n in PHASES and "AWS" in r["Properties"]["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]
    ]
    assert len(phases) == 12
    for name, role in phases:
        (statement,) = role["Properties"]["AssumeRolePolicyDocument"]["Statement"]
        conditions = statement["Condition"]
        assert {"sts:ExternalId", "aws:PrincipalOrgID"} <= set(conditions["StringEquals"]), name
        who = [
            arn["Fn::Sub"].rpartition("${RolePrefix}")[2] for arn in listed(conditions["ArnEquals"]["aws:PrincipalArn"])
        ]
        phase = role["Properties"]["RoleName"]["Fn::Sub"].rpartition("${RolePrefix}")[2]
        people = ["break-glass"] if phase in {"contain", "release", "custodian"} else []
        assert who == ["execution", *people], name
        pinned = (
            conditions.get("StringLike", {}).get("sts:SourceIdentity")
            or conditions["StringEquals"]["sts:SourceIdentity"]
        )
        assert pinned in ("fc-*", "web-ui"), name
        assert "*" not in json.dumps(statement["Principal"]), name


def test_session_touches_its_own_case_only() -> None:
    """Deleting, terminating, locking, sharing, rewriting groups: always conditional on the case's tag or id."""
    sharp = {
        "ec2:TerminateInstances", "ec2:DeleteVolume", "ec2:AttachVolume", "ec2:LockSnapshot", "ec2:ModifySnapshotAttribute",
        "ec2:RevokeSecurityGroupEgress", "ec2:RevokeSecurityGroupIngress",
    }  # fmt: skip
    seen = set()
    for where, statement in identity_statements():
        touched = sharp & set(listed(statement["Action"]))
        if touched:
            assert "${aws:SourceIdentity}" in json.dumps(statement["Condition"]), where
            seen |= touched
    assert seen == sharp


def test_contain_role_cannot_read_evidence_and_analyse_cannot_touch_members() -> None:
    contain = ALL["member-containment"]["Resources"]["Contain"]["Properties"]["Policies"]
    assert not re.search(r'"(s3|dynamodb|kms|ssm):', json.dumps(contain))
    analyse = ALL["roles-forensic"]["Resources"]["Analyse"]["Properties"]["Policies"]
    assert not re.search(r'"(sts|s3|dynamodb):', json.dumps(analyse))
    for statement in analyse[0]["PolicyDocument"]["Statement"]:
        if any(a.startswith(("ec2:", "ssm:")) and not READING.search(a) for a in listed(statement["Action"])):
            for resource in listed(statement["Resource"]):
                text = resource if isinstance(resource, str) else resource["Fn::Sub"]
                own = "${AWS::AccountId}" in text or "::snapshot/" in text or "::image/" in text or text == "*"
                assert own, f"{statement['Sid']}: {text}"


def test_execution_role_has_no_ec2_and_no_evidence() -> None:
    text = json.dumps(ALL["execution-role"])
    assert not re.search(r'"(ec2|ssm|iam):', text)
    assert "EvidenceBucket" not in text


def test_evidence_outlives_every_stack() -> None:
    kept = {"AWS::S3::Bucket", "AWS::KMS::Key", "AWS::DynamoDB::Table", "AWS::S3::BucketPolicy"}
    for name, template in ALL.items():
        for logical, resource in template["Resources"].items():
            if resource["Type"] in kept:
                policies = (resource.get("DeletionPolicy"), resource.get("UpdateReplacePolicy"))
                # what a failed creation made is removed again, so that the creation can be repeated (CloudFormation, DeletionPolicy)
                assert policies == ("RetainExceptOnCreate", "Retain"), f"{name}.{logical}"


def test_evidence_bucket_is_locked_and_closed() -> None:
    store = ALL["evidence-store"]["Resources"]
    bucket = store["EvidenceBucket"]["Properties"]
    assert bucket["ObjectLockEnabled"] is True
    assert bucket["ObjectLockConfiguration"]["Rule"]["DefaultRetention"]["Mode"] == {"Ref": "LockMode"}
    rules = bucket["LifecycleConfiguration"]["Rules"]
    # but for what the preflight writes, which no case can
    rules = [r for r in rules if r.get("Prefix") != "cases/fc-preflight/"]
    assert not [r for r in rules if any(key.startswith(("Expiration", "NoncurrentVersion")) for key in r)]
    denied = {s["Sid"]: s for s in store["EvidenceBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]}
    assert {
        "TlsOnly",
        "Tls12",
        "OnlyTheCustodianWrites",
        "OnlyUnderTheEvidenceKey",
        "NobodyDeletes",
        "OnlyTheRoleForHoldsLiftsThem",
        "OnlyARemovalDeletesVersions",
    } <= set(denied)
    assert {s["Effect"] for s in denied.values()} == {"Deny"}


@pytest.mark.parametrize(("name", "logical", "bucket"), list(resources("AWS::S3::Bucket")), ids=lambda v: str(v)[:20])
def test_bucket_rules(name: str, logical: str, bucket: dict[str, Any]) -> None:
    properties = bucket["Properties"]
    assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
    assert properties["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
    aborts = [r["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] for r in properties["LifecycleConfiguration"]["Rules"]
              if "AbortIncompleteMultipartUpload" in r]  # fmt: skip
    assert aborts and max(aborts) <= 7
    policy = ALL[name]["Resources"][f"{logical}Policy"]["Properties"]["PolicyDocument"]
    assert {"TlsOnly", "Tls12"} <= {s["Sid"] for s in policy["Statement"]}


@pytest.mark.parametrize(("name", "logical", "key"), list(resources("AWS::KMS::Key")), ids=lambda v: str(v)[:20])
def test_key_policies_separate_administration_from_use(name: str, logical: str, key: dict[str, Any]) -> None:
    properties = key["Properties"]
    assert properties.get("EnableKeyRotation") is True or properties.get("KeyUsage") == "SIGN_VERIFY"
    using = re.compile(r"kms:(Decrypt|Encrypt|GenerateDataKey|ReEncrypt|Sign|CreateGrant)")
    for statement in properties["KeyPolicy"]["Statement"]:
        if statement["Effect"] == "Deny":
            continue
        assert statement["Principal"] != "*" and statement["Principal"].get("AWS") != "*", statement["Sid"]
        uses = [a for a in listed(statement["Action"]) if using.match(a)]
        administers = [a for a in listed(statement["Action"]) if a.startswith(("kms:Put", "kms:Schedule"))]
        assert not (uses and administers), f"{name}.{logical}.{statement['Sid']} both administers and uses"
        # A service principal that sends no condition keys can only be named (test_first_contact.py, EventBridge).
        named = statement["Principal"] == {"Service": "events.amazonaws.com"}
        if uses and not named:
            assert statement.get("Condition"), f"{name}.{logical}.{statement['Sid']} lets the key be used by any way"


def test_bus_takes_events_from_forwarders_of_the_organization_only() -> None:
    statement = ALL["intake"]["Resources"]["BusPolicy"]["Properties"]["Statement"]
    assert statement["Action"] == "events:PutEvents"
    assert statement["Condition"]["StringEquals"] == {"aws:PrincipalOrgID": {"Ref": "OrganizationId"}}
    assert statement["Condition"]["ArnLike"]["aws:PrincipalArn"]["Fn::Sub"].endswith(":role/${RolePrefix}forwarder")


def test_families_of_events_are_the_same_in_both_accounts() -> None:
    def patterns(name: str) -> list[dict[str, Any]]:
        return [r["Properties"]["EventPattern"] for n, _, r in resources("AWS::Events::Rule") if n == name]

    families = [p for p in patterns("intake") if "detail" not in p]
    assert len(families) == 7
    assert sorted(map(json.dumps, families)) == sorted(map(json.dumps, patterns("security-account")))


def test_critical_findings_and_orders_come_by_the_urgent_queue_and_no_finding_by_that_alone() -> None:
    """What a rule's pattern misses is in the other queue all the same; an order of a person has one way."""
    targets: dict[str, set[str]] = {}
    for name, _, rule in resources("AWS::Events::Rule"):
        if name == "intake":
            pattern = rule["Properties"]["EventPattern"]
            family = (
                f"{pattern['source'][0]} {pattern.get('detail-type', [''])[0]}{' grave' if 'detail' in pattern else ''}"
            )
            targets.setdefault(family, set()).update(t["Id"] for t in rule["Properties"]["Targets"])
    urgent = {family for family, ids in targets.items() if ids == {"urgent-queue"}}
    assert urgent == {
        "aws.securityhub Security Hub Findings - Custom Action", "forensics.manual ", "aws.guardduty GuardDuty Finding grave",
        "aws.securityhub Security Hub Findings - Imported grave", "aws.securityhub Findings Imported V2 grave",
    }  # fmt: skip
    assert all(
        targets[family.removesuffix(" grave")] == {"findings-queue"} for family in urgent if family.endswith("grave")
    )


def test_every_rule_target_has_a_dead_letter_queue() -> None:
    for name, logical, rule in resources("AWS::Events::Rule"):
        for target in rule["Properties"]["Targets"]:
            assert "DeadLetterConfig" in target, f"{name}.{logical}"


def test_every_working_queue_has_a_dead_letter_queue() -> None:
    working = [(n, i, q) for n, i, q in resources("AWS::SQS::Queue") if "RedrivePolicy" in q["Properties"]]
    assert [(n, i) for n, i, _ in working] == [("intake", "Findings"), ("intake", "Urgent")]
    # the others are dead letter queues themselves: something must send what fails there, and somebody must hear of it
    alarmed = json.dumps([r for _, _, r in resources("AWS::CloudWatch::Alarm")])
    for name in ("DeadLetterQueueName", "TargetDeadLetterQueueName"):
        assert name in alarmed


def test_every_alarm_has_an_action_and_a_runbook() -> None:
    text = (ROOT / "docs" / "runbooks.md").read_text("utf-8")
    sections = {
        re.sub(r"[^a-z0-9 -]", "", line.lstrip("# ").lower()).replace(" ", "-")
        for line in text.splitlines()
        if line.startswith("#")
    }
    alarms = list(resources("AWS::CloudWatch::Alarm"))
    assert len(alarms) >= 10
    for name, logical, alarm in alarms:
        properties = alarm["Properties"]
        assert properties["AlarmActions"], f"{name}.{logical}"
        anchor = re.search(r"\$\{RunbookUrl\}#([a-z-]+)", properties["AlarmDescription"]["Fn::Sub"])
        assert anchor and anchor[1] in sections, f"{name}.{logical}: docs/runbooks.md has no section for it"


def test_the_only_way_out_is_the_nat_gateway_of_airflows_subnets() -> None:
    """Decision 12. test_reach.py says which calls pass it, and that forensic instances have no way at all."""
    ways = {
        "InternetGateway", "NatGateway", "EgressOnlyInternetGateway", "TransitGatewayAttachment", "VPCPeeringConnection", "Route", "EIP",
        "VPCGatewayAttachment",
    }  # fmt: skip
    found = {
        f"{name}.{logical}": resource
        for name, template in ALL.items()
        for logical, resource in template["Resources"].items()
        if resource["Type"] in {f"AWS::EC2::{way}" for way in ways}
    }
    assert set(found) == {
        f"network.{n}"
        for n in (
            "InternetGateway",
            "InternetGatewayAttachment",
            "EgressToInternet",
            "EgressAddress",
            "NatGateway",
            "ControlToNat",
        )
    }
    assert {resource.get("Condition") for resource in found.values()} == {"HasEgress"}
    routes = {n: r["Properties"] for n, r in found.items() if r["Type"] == "AWS::EC2::Route"}
    assert routes["network.ControlToNat"]["RouteTableId"] == {"Ref": "ControlRouteTable"}
    analysis = ALL["network"]["Resources"]["AnalysisSubnetRoutes"]["Properties"]["RouteTableId"]
    assert analysis not in [r["RouteTableId"] for r in routes.values()]
    assert "::/0" not in json.dumps(ALL["network"])


def test_endpoint_set() -> None:
    found = {}
    by_condition: dict[str | None, set[str]] = {}
    for _, _, resource in resources("AWS::EC2::VPCEndpoint"):
        properties = resource["Properties"]
        name = properties["ServiceName"]
        service = (name["Fn::Sub"] if isinstance(name, dict) else name).removeprefix("com.amazonaws.")
        service = service.removeprefix("${AWS::Region}.")
        found[service] = properties
        if properties["VpcEndpointType"] == "Interface":
            by_condition.setdefault(resource.get("Condition"), set()).add(service)
    assert by_condition == INTERFACE_ENDPOINTS
    assert {s for s, p in found.items() if p["VpcEndpointType"] == "Gateway"} == {"s3", "dynamodb"}
    for service, properties in found.items():
        for statement in properties["PolicyDocument"]["Statement"]:
            scoped = "aws:PrincipalOrgID" in json.dumps(statement.get("Condition", {})) or "*" not in listed(
                statement["Resource"]
            )
            assert scoped, f"{service} endpoint is open to everybody"
        if properties["VpcEndpointType"] == "Interface":
            assert properties["PrivateDnsEnabled"] is True


def test_mwaa_is_private_and_logged() -> None:
    environment = ALL["mwaa"]["Resources"]["Environment"]["Properties"]
    assert environment["WebserverAccessMode"] == "PRIVATE_ONLY"
    assert environment["KmsKey"] == {"Ref": "MwaaKeyArn"}
    logs = environment["LoggingConfiguration"]
    assert {n for n, v in logs.items() if v["Enabled"] is True} == {
        "DagProcessingLogs", "SchedulerLogs", "TaskLogs", "WebserverLogs", "WorkerLogs",
    }  # fmt: skip
    assert len(environment["NetworkConfiguration"]["SubnetIds"]) == 2
    assert environment["MinWorkers"] >= 1
    assert {"PluginsS3ObjectVersion", "RequirementsS3ObjectVersion"} <= set(environment)
    inbound = [r["Properties"] for n, _, r in resources("AWS::EC2::SecurityGroupIngress") if n == "network"]
    assert [r["SourceSecurityGroupId"] for r in inbound] == [{"Ref": "MwaaSecurityGroup"}]
    assert "SecurityGroupIngress" not in ALL["network"]["Resources"]["MwaaSecurityGroup"]["Properties"]


def test_mwaa_gets_every_setting_without_a_default_and_only_known_ones() -> None:
    options = ALL["mwaa"]["Resources"]["Environment"]["Properties"]["AirflowConfigurationOptions"]
    given = {name.removeprefix("forensics.") for name in options if name.startswith("forensics.")}
    needed = {name for name, field in Settings.model_fields.items() if field.is_required()}
    assert needed <= given, f"mwaa.yaml does not set {sorted(needed - given)}"
    assert given <= set(Settings.model_fields), f"no such settings: {sorted(given - set(Settings.model_fields))}"


def test_query_api_has_no_key_and_limits() -> None:
    template = ALL["query-api"]["Resources"]
    api = template["Api"]["Properties"]
    assert "API_KEY" not in json.dumps(template)
    assert api["AuthenticationType"] == "AWS_IAM" and api["IntrospectionConfig"] == "DISABLED"
    assert 0 < api["QueryDepthLimit"] <= 5 and api["ResolverCountLimit"] > 0
