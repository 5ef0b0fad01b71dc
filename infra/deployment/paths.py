"""Whether a call gets from a subnet of the rendered network to an API of AWS: name, endpoint and its policy, route, security group.

Sources: AWS PrivateLink guide, "Access an AWS service using an interface VPC endpoint" (private DNS) and "Control access to VPC endpoints
using endpoint policies"; Amazon VPC user guide, "Route tables" and "NAT gateways"; Route 53 developer guide, "DNS Firewall rule actions".
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import yaml

from infra.deployment import reach, rendering
from infra.deployment.configuration import Configuration
from infra.deployment.rendering import Rendered, Resource

# Subnets by who calls from them (logical ids of infra/cloudformation/network.yaml) and the security group that callers there have.
AIRFLOW = {"ControlSubnetA": "MwaaSecurityGroup", "ControlSubnetB": "MwaaSecurityGroup"}
ANALYSIS = {"AnalysisSubnet": "AnalysisSecurityGroup"}
# What the conditions of the endpoints' policies are held against: a caller and a resource of the organization.
ORGANIZATION_KEYS = ("aws:PrincipalOrgID", "aws:ResourceOrgID")
ANYWHERE = "0.0.0.0/0"
# Permissions that are no calls of their own: asked when a role is handed to EC2, and when Parameter Store passes a secret on.
NO_CALLS = frozenset({"iam:PassRole", "secretsmanager:GetSecretValue", "inspector2:ListFindings"})
# What a call is about, where an endpoint's policy tells objects apart (bucket and key of S3).
_MANIFEST = "forensics-landing-1/cases/fc-1/manifest.txt"
OBJECTS = {"s3:DeleteObject": _MANIFEST, "s3:DeleteObjectVersion": _MANIFEST}
ANY_OBJECT = "forensics-evidence-1/cases/fc-1/x"
# Service authorization reference (prefix of the action) → endpoints and quotas (name of the endpoint), where they differ.
ENDPOINT_NAMES = {"cloudwatch": "monitoring", "bedrock": "bedrock-runtime"}
HTTPS = 443


@dataclass(frozen=True)
class Call:
    """One API call: the IAM action that it needs, in which Region, on which resource."""

    action: str
    region: str
    resource: str = "*"

    @property
    def service(self) -> str:
        """Service as its endpoint is named: IAM's prefix, but for CloudWatch."""
        prefix = self.action.split(":")[0]
        return ENDPOINT_NAMES.get(prefix, prefix)


@dataclass(frozen=True)
class Network:
    """The network resources of the stacks, by logical id."""

    home: str
    organization: str
    resources: Mapping[str, Resource]
    _by_type: dict[str, list[tuple[str, Mapping[str, Any]]]] = field(default_factory=dict)

    @classmethod
    def of(cls, stacks: Sequence[Rendered], *, organization: str) -> Network:
        """The network that these stacks make."""
        chosen = [stack for stack in stacks if stack.step.template in ("network", "endpoints")]
        resources = {name: resource for stack in chosen for name, resource in stack.resources.items()}
        return cls(home=chosen[0].step.region, organization=organization, resources=resources)

    def of_type(self, kind: str) -> list[tuple[str, Mapping[str, Any]]]:
        """Logical id and properties of every resource of a type."""
        if kind not in self._by_type:
            self._by_type[kind] = [(n, r.properties) for n, r in self.resources.items() if r.type == kind]
        return self._by_type[kind]

    def refusal(self, subnet: str, group: str, call: Call) -> str | None:
        """Why a call from a subnet does not arrive; None when it does."""
        name, region = reach.endpoint(call.service, call.region)
        if not self._resolves(name):
            return f"the DNS firewall lets {name} not resolve (network.yaml, HomeNames and parameter EgressNames)"
        endpoint = self._endpoint(call.service, region)
        if endpoint is not None:
            return self._through(endpoint, subnet, group, call)
        if not self._to_internet(subnet):
            return f"there is no endpoint for {call.service} in {call.region} and no route to a NAT gateway (profile closed?)"
        if not self._leaves(group, ANYWHERE):
            return f"security group {group} lets https not out to {ANYWHERE}"
        return None

    def _resolves(self, name: str) -> bool:
        lists = {n: p["Domains"] for n, p in self.of_type("AWS::Route53Resolver::FirewallDomainList")}
        rules = [r for _, p in self.of_type("AWS::Route53Resolver::FirewallRuleGroup") for r in p["FirewallRules"]]
        for rule in sorted(rules, key=lambda r: int(r["Priority"])):
            if any(_is_under(name, domain) for domain in lists.get(rule["FirewallDomainListId"], [])):
                return bool(rule["Action"] == "ALLOW")
        return True

    def _endpoint(self, service: str, region: str) -> tuple[str, Mapping[str, Any]] | None:
        """The endpoint whose private name or route takes the service's traffic."""
        wanted = {f"com.amazonaws.{region}.{service}"} | ({f"com.amazonaws.{service}"} if service == "iam" else set())
        for name, properties in self.of_type("AWS::EC2::VPCEndpoint"):
            if properties["ServiceName"] in wanted and properties.get("ServiceRegion", self.home) == region:
                return name, properties
        return None

    def _through(self, endpoint: tuple[str, Mapping[str, Any]], subnet: str, group: str, call: Call) -> str | None:
        name, properties = endpoint
        if properties["VpcEndpointType"] == "Gateway":
            if self._table(subnet) not in properties["RouteTableIds"]:
                return f"{name} is not in the route table of {subnet}"
            if not self._leaves_by_prefix_list(group):
                return f"security group {group} has no rule to the prefix list of {name}"
        else:
            if not properties.get("PrivateDnsEnabled"):
                return f"{name} has no private name: {call.service} still resolves to its public addresses"
            closed = [g for g in properties["SecurityGroupIds"] if not self._enters(g, subnet, group)]
            if closed:
                return f"security group {closed[0]} of {name} lets https from {subnet} not in, or {group} not out"
        if not self._allows(properties["PolicyDocument"], call):
            return f"no VPC endpoint policy allows the {call.action} action (endpoints.yaml, {name}, resource {call.resource})"
        return None

    def _allows(self, policy: Mapping[str, Any], call: Call) -> bool:
        def says(statement: Mapping[str, Any]) -> bool:
            return (
                any(fnmatchcase(call.action.lower(), a.lower()) for a in _listed(statement["Action"]))
                and any(fnmatchcase(call.resource, r) for r in _listed(statement["Resource"]))
                and self._holds(statement.get("Condition", {}))
            )

        given = [s for s in policy["Statement"] if says(s)]
        return any(s["Effect"] == "Allow" for s in given) and not any(s["Effect"] == "Deny" for s in given)

    def _holds(self, condition: Mapping[str, Any]) -> bool:
        return all(
            operator == "StringEquals" and key in ORGANIZATION_KEYS and self.organization in _listed(value)
            for operator, keys in condition.items()
            for key, value in keys.items()
        )

    def _table(self, subnet: str) -> str:
        for _, properties in self.of_type("AWS::EC2::SubnetRouteTableAssociation"):
            if properties["SubnetId"] == subnet:
                return str(properties["RouteTableId"])
        return ""

    def _default_route(self, subnet: str) -> Mapping[str, Any]:
        table = self._table(subnet)
        for _, properties in self.of_type("AWS::EC2::Route"):
            if properties["RouteTableId"] == table and properties["DestinationCidrBlock"] == ANYWHERE:
                return properties
        return {}

    def _to_internet(self, subnet: str) -> bool:
        nat = str(self._default_route(subnet).get("NatGatewayId", ""))
        place = self.resources[nat].properties["SubnetId"] if nat in self.resources else ""
        gateway = self._default_route(place).get("GatewayId")
        attached = {p.get("InternetGatewayId") for _, p in self.of_type("AWS::EC2::VPCGatewayAttachment")}
        return gateway is not None and gateway in attached

    def _rules(self, group: str, direction: str) -> Iterator[Mapping[str, Any]]:
        yield from self.resources[group].properties.get(f"SecurityGroup{direction}", [])
        for _, properties in self.of_type(f"AWS::EC2::SecurityGroup{direction}"):
            if properties["GroupId"] == group:
                yield properties

    def _leaves(self, group: str, to: str, other: str = "") -> bool:
        return any(
            _is_https(rule)
            and (rule.get("DestinationSecurityGroupId") == other or _within(to, str(rule.get("CidrIp", ""))))
            for rule in self._rules(group, "Egress")
        )

    def _leaves_by_prefix_list(self, group: str) -> bool:
        return any(_is_https(rule) and "DestinationPrefixListId" in rule for rule in self._rules(group, "Egress"))

    def _enters(self, endpoint_group: str, subnet: str, group: str) -> bool:
        block = str(self.resources[subnet].properties["CidrBlock"])
        inside = any(
            _is_https(rule)
            and (rule.get("SourceSecurityGroupId") == group or _within(block, str(rule.get("CidrIp", ""))))
            for rule in self._rules(endpoint_group, "Ingress")
        )
        return inside and self._leaves(group, block, endpoint_group)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _is_under(name: str, domain: str) -> bool:
    """Route 53 developer guide, "DNS Firewall domain lists": `*` may only stand alone or as the first label."""
    return domain == "*" or name == domain or (domain.startswith("*.") and name.endswith(domain[1:]))


def _is_https(rule: Mapping[str, Any]) -> bool:
    return str(rule["IpProtocol"]) == "-1" or (
        str(rule["IpProtocol"]) == "tcp" and int(rule["FromPort"]) <= HTTPS <= int(rule["ToPort"])
    )


def _within(block: str, allowed: str) -> bool:
    return bool(allowed) and ipaddress.ip_network(block).subnet_of(ipaddress.ip_network(allowed))  # type: ignore[arg-type]


def resource_of(action: str, region: str) -> str:
    """A resource that a call of the product is about."""
    if not action.startswith("s3:"):
        return "*"
    return f"arn:{rendering.partition_of(region)[0]}:s3:::{OBJECTS.get(action, ANY_OBJECT)}"


def calls(config: Configuration) -> list[tuple[str, Call]]:
    """(role, call) for every permission: at home, and in the members' Regions for the services that go there; people's roles have ways of their own."""
    abroad, found = reach.regions_abroad(config), []
    for role, entry in yaml.safe_load(reach.PERMISSIONS.read_text("utf-8")).items():
        if entry.get("by_people"):
            continue
        for action in [*entry["calls"], *entry.get("implied", {})]:
            service = action.split(":")[0]
            if action in NO_CALLS or (service == "imagebuilder" and "BuildSubnetId" not in config.parameters):
                continue
            if reach.is_closed(config) and service in entry.get("not_when_closed", {}):
                continue
            regions = [config.region, *(abroad if service in entry.get("abroad", []) else ())]
            found += [(role, Call(action, region, resource_of(action, region))) for region in regions]
    return found


def left_out(config: Configuration) -> dict[str, str]:
    """Services that the profile closed leaves out, and what that means (``not_when_closed`` in infra/permissions.yaml)."""
    roles = yaml.safe_load(reach.PERMISSIONS.read_text("utf-8")).values() if reach.is_closed(config) else ()
    return {service: why for entry in roles for service, why in entry.get("not_when_closed", {}).items()}


def closed_ways(config: Configuration, stacks: Sequence[Rendered]) -> list[str]:
    """Every call of :func:`calls` that does not get from each of Airflow's subnets to its API, with the reason."""
    network = Network.of(stacks, organization=str(config.parameters["OrganizationId"]))
    return [
        f"no way from {subnet} to {call.service} in {call.region} ({role}, {call.action}): {refusal}"
        for role, call in calls(config)
        for subnet, group in AIRFLOW.items()
        if (refusal := network.refusal(subnet, group, call))
    ]


def text(config: Configuration) -> str:
    """What Airflow reaches, for the person who reads the plan."""
    if reach.OWN_VPC in config.parameters or "EndpointsExist" in config.parameters:
        return "Reach: network or endpoints are your own; the preflight tries every way (docs/preflight.md).\n"
    asked = calls(config)
    closed = closed_ways(config, rendering.render(config))
    regions = ", ".join(dict.fromkeys(call.region for _, call in asked))
    lines = [f"Reach: {len(asked)} calls of the roles in {regions}, {len(closed) or 'none'} without a way.", *closed]
    lines += [f"Not reached with Profile closed: {service}. {why}" for service, why in left_out(config).items()]
    return "\n".join(lines) + "\n"
