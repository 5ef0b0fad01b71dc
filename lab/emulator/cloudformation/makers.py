"""How each type is made: its properties become the calls that AWS's service makes. Network, identity, messages, documents."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Clients = Callable[[str], Any]


@dataclass(frozen=True)
class Made:
    """What a resource is now: ``Ref`` gives its id, ``GetAtt`` its attributes."""

    physical_id: str
    attributes: dict[str, Any]


@dataclass(frozen=True)
class Place:
    """Where a resource is made."""

    client: Clients
    account: str
    region: str
    stack: str


Maker = Callable[[Place, str, dict[str, Any]], Made]


def _tags(given: dict[str, Any]) -> list[dict[str, str]]:
    return [{"Key": t["Key"], "Value": str(t["Value"])} for t in given.get("Tags", [])]


def _tagged(kind: str, given: dict[str, Any]) -> dict[str, Any]:
    tags = _tags(given)
    return {"TagSpecifications": [{"ResourceType": kind, "Tags": tags}]} if tags else {}


def vpc(place: Place, _name: str, given: dict[str, Any]) -> Made:
    ec2 = place.client("ec2")
    made = ec2.create_vpc(CidrBlock=given["CidrBlock"], **_tagged("vpc", given))["Vpc"]["VpcId"]
    for attribute in ("EnableDnsSupport", "EnableDnsHostnames"):
        ec2.modify_vpc_attribute(VpcId=made, **{attribute: {"Value": given.get(attribute, False)}})
    return Made(made, {"VpcId": made})


def subnet(place: Place, _name: str, given: dict[str, Any]) -> Made:
    wanted = {k: given[k] for k in ("VpcId", "CidrBlock", "AvailabilityZone")}
    made = place.client("ec2").create_subnet(**wanted, **_tagged("subnet", given))["Subnet"]["SubnetId"]
    return Made(made, {"SubnetId": made})


def route_table(place: Place, _name: str, given: dict[str, Any]) -> Made:
    made = place.client("ec2").create_route_table(VpcId=given["VpcId"])["RouteTable"]["RouteTableId"]
    return Made(made, {"RouteTableId": made})


def route_table_association(place: Place, _name: str, given: dict[str, Any]) -> Made:
    return Made(place.client("ec2").associate_route_table(**given)["AssociationId"], {})


def internet_gateway(place: Place, _name: str, given: dict[str, Any]) -> Made:
    made = place.client("ec2").create_internet_gateway(**_tagged("internet-gateway", given))["InternetGateway"]
    return Made(made["InternetGatewayId"], {"InternetGatewayId": made["InternetGatewayId"]})


def gateway_attachment(place: Place, name: str, given: dict[str, Any]) -> Made:
    place.client("ec2").attach_internet_gateway(**given)
    return Made(f"{place.stack}-{name}", {})


def elastic_address(place: Place, _name: str, given: dict[str, Any]) -> Made:
    made = place.client("ec2").allocate_address(Domain=given["Domain"], **_tagged("elastic-ip", given))
    return Made(made["PublicIp"], {"AllocationId": made["AllocationId"], "PublicIp": made["PublicIp"]})


def nat_gateway(place: Place, _name: str, given: dict[str, Any]) -> Made:
    wanted = {k: given[k] for k in ("SubnetId", "AllocationId")}
    made = place.client("ec2").create_nat_gateway(**wanted, **_tagged("natgateway", given))["NatGateway"]
    return Made(made["NatGatewayId"], {"NatGatewayId": made["NatGatewayId"]})


def route(place: Place, _name: str, given: dict[str, Any]) -> Made:
    place.client("ec2").create_route(**given)
    return Made(f"{given['RouteTableId']}|{given['DestinationCidrBlock']}", {})


def _rule(given: dict[str, Any]) -> dict[str, Any]:
    rule: dict[str, Any] = {"IpProtocol": str(given["IpProtocol"])}
    rule |= {k: int(given[k]) for k in ("FromPort", "ToPort") if k in given}
    text = {"Description": given["Description"]} if "Description" in given else {}
    if "CidrIp" in given:
        rule["IpRanges"] = [{"CidrIp": given["CidrIp"], **text}]
    if "DestinationPrefixListId" in given:
        rule["PrefixListIds"] = [{"PrefixListId": given["DestinationPrefixListId"], **text}]
    for name in ("SourceSecurityGroupId", "DestinationSecurityGroupId"):
        if name in given:
            rule["UserIdGroupPairs"] = [{"GroupId": given[name], **text}]
    return rule


def security_group(place: Place, name: str, given: dict[str, Any]) -> Made:
    ec2 = place.client("ec2")
    made = ec2.create_security_group(
        GroupName=given.get("GroupName", f"{place.stack}-{name}"),
        Description=given["GroupDescription"],
        VpcId=given["VpcId"],
        **_tagged("security-group", given),
    )["GroupId"]
    if "SecurityGroupEgress" in given:
        # CloudFormation: rules of one's own replace the default one
        everything = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
        ec2.revoke_security_group_egress(GroupId=made, IpPermissions=everything)
        ec2.authorize_security_group_egress(
            GroupId=made, IpPermissions=[_rule(r) for r in given["SecurityGroupEgress"]]
        )
    if "SecurityGroupIngress" in given:
        ec2.authorize_security_group_ingress(
            GroupId=made, IpPermissions=[_rule(r) for r in given["SecurityGroupIngress"]]
        )
    return Made(made, {"GroupId": made, "VpcId": given["VpcId"]})


def security_group_rule(direction: str) -> Maker:
    def make(place: Place, name: str, given: dict[str, Any]) -> Made:
        call = getattr(place.client("ec2"), f"authorize_security_group_{direction}")
        call(GroupId=given["GroupId"], IpPermissions=[_rule(given)])
        return Made(f"{place.stack}-{name}", {})

    return make


def endpoint(place: Place, _name: str, given: dict[str, Any]) -> Made:
    wanted = {k: v for k, v in given.items() if k != "PolicyDocument"}
    made = place.client("ec2").create_vpc_endpoint(**wanted, PolicyDocument=json.dumps(given["PolicyDocument"]))
    return Made(made["VpcEndpoint"]["VpcEndpointId"], {})


def log_group(place: Place, name: str, given: dict[str, Any]) -> Made:
    logs, group = place.client("logs"), given.get("LogGroupName", f"{place.stack}-{name}")
    logs.create_log_group(logGroupName=group, **({"kmsKeyId": given["KmsKeyId"]} if "KmsKeyId" in given else {}))
    logs.put_retention_policy(logGroupName=group, retentionInDays=int(given["RetentionInDays"]))
    return Made(group, {"Arn": f"arn:aws:logs:{place.region}:{place.account}:log-group:{group}:*"})


def role(place: Place, name: str, given: dict[str, Any]) -> Made:
    iam, role_name = place.client("iam"), given.get("RoleName", f"{place.stack}-{name}")
    made = iam.create_role(
        RoleName=role_name,
        AssumeRolePolicyDocument=json.dumps(given["AssumeRolePolicyDocument"]),
        MaxSessionDuration=int(given.get("MaxSessionDuration", 3600)),
    )["Role"]
    for policy in given.get("Policies", []):
        iam.put_role_policy(
            RoleName=role_name, PolicyName=policy["PolicyName"], PolicyDocument=json.dumps(policy["PolicyDocument"])
        )
    return Made(role_name, {"Arn": made["Arn"], "RoleId": made["RoleId"]})


def instance_profile(place: Place, name: str, given: dict[str, Any]) -> Made:
    iam, profile = place.client("iam"), given.get("InstanceProfileName", f"{place.stack}-{name}")
    made = iam.create_instance_profile(InstanceProfileName=profile)["InstanceProfile"]
    for role_name in given["Roles"]:
        iam.add_role_to_instance_profile(InstanceProfileName=profile, RoleName=role_name)
    return Made(profile, {"Arn": made["Arn"]})


def topic(place: Place, name: str, given: dict[str, Any]) -> Made:
    wanted = {k: str(given[k]) for k in ("KmsMasterKeyId",) if k in given}
    topic_name = given.get("TopicName", f"{place.stack}-{name}")
    made = place.client("sns").create_topic(Name=topic_name, Attributes=wanted)["TopicArn"]
    return Made(made, {"TopicArn": made, "TopicName": topic_name})


def topic_policy(place: Place, name: str, given: dict[str, Any]) -> Made:
    for arn in given["Topics"]:
        place.client("sns").set_topic_attributes(
            TopicArn=arn, AttributeName="Policy", AttributeValue=json.dumps(given["PolicyDocument"])
        )
    return Made(f"{place.stack}-{name}", {})


def subscription(place: Place, _name: str, given: dict[str, Any]) -> Made:
    return Made(place.client("sns").subscribe(**given, ReturnSubscriptionArn=True)["SubscriptionArn"], {})


def queue(place: Place, name: str, given: dict[str, Any]) -> Made:
    sqs = place.client("sqs")
    attributes = {
        k: json.dumps(v) if isinstance(v, dict) else str(v).lower() if isinstance(v, bool) else str(v)
        for k, v in given.items()
        if k != "QueueName"
    }
    queue_name = given.get("QueueName", f"{place.stack}-{name}")
    url = sqs.create_queue(QueueName=queue_name, Attributes=attributes)["QueueUrl"]
    arn = f"arn:aws:sqs:{place.region}:{place.account}:{queue_name}"
    return Made(url, {"Arn": arn, "QueueName": queue_name, "QueueUrl": url})


def queue_policy(place: Place, name: str, given: dict[str, Any]) -> Made:
    for url in given["Queues"]:
        place.client("sqs").set_queue_attributes(
            QueueUrl=url, Attributes={"Policy": json.dumps(given["PolicyDocument"])}
        )
    return Made(f"{place.stack}-{name}", {})


def event_bus(place: Place, _name: str, given: dict[str, Any]) -> Made:
    made = place.client("events").create_event_bus(Name=given["Name"])["EventBusArn"]
    return Made(given["Name"], {"Arn": made, "Name": given["Name"]})


def event_bus_policy(place: Place, _name: str, given: dict[str, Any]) -> Made:
    statement = {"Sid": given["StatementId"], **given["Statement"]}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    place.client("events").put_permission(EventBusName=given["EventBusName"], Policy=policy)
    return Made(given["StatementId"], {})


def rule(place: Place, name: str, given: dict[str, Any]) -> Made:
    events, rule_name = place.client("events"), given.get("Name", f"{place.stack}-{name}")
    bus = {"EventBusName": given["EventBusName"]} if "EventBusName" in given else {}
    made = events.put_rule(
        Name=rule_name, EventPattern=json.dumps(given["EventPattern"]), State=given.get("State", "ENABLED"), **bus
    )["RuleArn"]
    answer = events.put_targets(Rule=rule_name, Targets=given["Targets"], **bus)
    if answer["FailedEntryCount"]:
        msg = f"EventBridge refused targets of rule {rule_name}: {answer['FailedEntries']}"
        raise RuntimeError(msg)
    return Made(rule_name, {"Arn": made})


def document(place: Place, _name: str, given: dict[str, Any]) -> Made:
    wanted = {k: given[k] for k in ("Name", "DocumentType", "DocumentFormat", "TargetType", "Content") if k in given}
    place.client("ssm").create_document(**wanted, Tags=_tags(given))
    return Made(given["Name"], {})


def parameter(place: Place, _name: str, given: dict[str, Any]) -> Made:
    place.client("ssm").put_parameter(**given)
    return Made(given["Name"], {"Value": given["Value"], "Type": given["Type"]})


def action_target(place: Place, _name: str, given: dict[str, Any]) -> Made:
    """What the template's function does; the function itself is tested by its text."""
    wanted = {k: given[k] for k in ("Id", "Name", "Description")}
    return Made(place.client("securityhub").create_action_target(**wanted)["ActionTargetArn"], {})


def organization_policy(place: Place, _name: str, given: dict[str, Any]) -> Made:
    organizations = place.client("organizations")
    wanted = {k: given[k] for k in ("Name", "Description", "Type")}
    made = organizations.create_policy(**wanted, Content=json.dumps(given["Content"]))["Policy"]["PolicySummary"]
    for target in given.get("TargetIds", []):
        organizations.attach_policy(PolicyId=made["Id"], TargetId=target)
    return Made(made["Id"], {"Id": made["Id"], "Arn": made["Arn"]})


MAKERS: dict[str, Maker] = {
    "AWS::Organizations::Policy": organization_policy,
    "AWS::EC2::VPC": vpc,
    "AWS::EC2::Subnet": subnet,
    "AWS::EC2::RouteTable": route_table,
    "AWS::EC2::SubnetRouteTableAssociation": route_table_association,
    "AWS::EC2::InternetGateway": internet_gateway,
    "AWS::EC2::VPCGatewayAttachment": gateway_attachment,
    "AWS::EC2::EIP": elastic_address,
    "AWS::EC2::NatGateway": nat_gateway,
    "AWS::EC2::Route": route,
    "AWS::EC2::SecurityGroup": security_group,
    "AWS::EC2::SecurityGroupIngress": security_group_rule("ingress"),
    "AWS::EC2::SecurityGroupEgress": security_group_rule("egress"),
    "AWS::EC2::VPCEndpoint": endpoint,
    "AWS::Logs::LogGroup": log_group,
    "AWS::IAM::Role": role,
    "AWS::IAM::InstanceProfile": instance_profile,
    "AWS::SNS::Topic": topic,
    "AWS::SNS::TopicPolicy": topic_policy,
    "AWS::SNS::Subscription": subscription,
    "AWS::SQS::Queue": queue,
    "AWS::SQS::QueuePolicy": queue_policy,
    "AWS::Events::EventBus": event_bus,
    "AWS::Events::EventBusPolicy": event_bus_policy,
    "AWS::Events::Rule": rule,
    "AWS::SSM::Document": document,
    "AWS::SSM::Parameter": parameter,
    "Custom::SecurityHubAction": action_target,
}
