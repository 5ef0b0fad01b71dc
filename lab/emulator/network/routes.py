"""Which way a subnet has to a service in a Region: endpoints, route tables and security groups, as EC2 holds them now.

AWS PrivateLink guide, "Access an AWS service using an interface VPC endpoint" (private DNS, security groups) and "Gateway endpoints"
(route tables); Amazon VPC user guide, "Configure route tables" (the most specific route wins).
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from moto.ec2.models import ec2_backends

from lab.emulator.network import names
from lab.emulator.network.places import Place

HTTPS = 443
ANYWHERE = "0.0.0.0/0"
# Services with one endpoint for a partition; its name has no Region (AWS PrivateLink guide, "Cross-region enabled AWS services").
GLOBAL_SERVICES = frozenset({"iam", "organizations"})
# Endpoints whose name differs from the name in the signature
_NAMES = {
    "bedrock": ("bedrock-runtime",),
    "airflow": ("airflow.api", "airflow.env", "airflow.ops"),
    "ecr": ("ecr.api",),
    "execute-api": ("execute-api",),
}

# The same for hosts: of Bedrock the product asks only the runtime, which signs as Bedrock itself (service authorization reference)
_HOSTS = {"bedrock": "bedrock-runtime"}


@dataclass(frozen=True)
class Path:
    """A way to a service. ``endpoint`` is its id ("" when the way is the internet); ``policy`` what its policy says."""

    how: str
    endpoint: str = ""
    vpc: str = ""
    policy: Mapping[str, Any] | None = None


class NoPath(Exception):
    """There is no way; the message says from where to what, and what is missing. ``at_once``: the client is told, there is no such name."""

    at_once = False


class NoName(NoPath):
    """The service's name does not resolve."""

    at_once = True


def region_of(service: str, region: str) -> str:
    """The Region whose endpoint answers: a global service has one in its partition."""
    return names.endpoint(service, region)[1]


def endpoint_names(service: str, region: str) -> tuple[str, ...]:
    """Names of endpoint services that serve it. Source: AWS PrivateLink guide, "AWS services that integrate"."""
    if service in GLOBAL_SERVICES:
        return (f"com.amazonaws.{service}",)
    return tuple(f"com.amazonaws.{region}.{name}" for name in _NAMES.get(service, (service,)))


@lru_cache(maxsize=512)
def _parsed(text: str) -> Mapping[str, Any]:
    policy: Mapping[str, Any] = json.loads(text)
    return policy


def find(place: Place, service: str, region: str) -> Path:
    """The way that every subnet of a place has. Raises :class:`NoPath`."""
    found = [_from_subnet(place, subnet, service, region) for subnet in place.subnets]
    return found[0] if found else Path("outside")


def _from_subnet(place: Place, subnet_id: str, service: str, region: str) -> Path:
    backend: Any = ec2_backends[place.account][place.region]
    subnet = backend.get_subnet(subnet_id)
    host = names.endpoint(_HOSTS.get(service, service), region)[0]
    if not names.resolves(str(subnet.vpc_id), host):
        msg = f"no path to {service} ({region}) from {place}: the DNS firewall of {subnet.vpc_id} does not let {host} resolve"
        raise NoName(msg)
    wanted, problems = endpoint_names(service, region), []
    table = _route_table(backend, subnet)
    endpoints = [
        e
        for e in list(backend.vpc_end_points.values())
        if e.service_name in wanted and e.vpc_id == subnet.vpc_id and e.state == "available"
    ]
    for endpoint in endpoints:
        problem = _problem(backend, endpoint, place, subnet, table)
        if not problem:
            return Path(
                f"endpoint {endpoint.id}", endpoint.id, str(endpoint.vpc_id), _parsed(str(endpoint.policy_document))
            )
        problems.append(f"{endpoint.id} ({endpoint.service_name}) {problem}")
        if _is_interface(endpoint) and endpoint.private_dns_enabled and endpoint.subnet_ids:
            break  # its private name hides the public one
    else:
        problem = _internet_problem(backend, place, table)
        if not problem:
            return Path("internet")
        problems = [*(problems or [f"there is no endpoint {' or '.join(wanted)}"]), problem]
    msg = f"no path to {service} ({region}) from {place}: in {subnet_id} {'; '.join(problems)}"
    raise NoPath(msg)


def _is_interface(endpoint: Any) -> bool:
    return str(endpoint.vpc_endpoint_type or "Gateway").lower() == "interface"


def _route_table(backend: Any, subnet: Any) -> Any:
    """The subnet's own table, else the VPC's main one."""
    tables = [t for t in list(backend.route_tables.values()) if t.vpc_id == subnet.vpc_id]
    own = next((t for t in tables if subnet.id in t._associations.values()), None)
    return own or next((t for t in tables if t.main_association_id), None)


def _problem(backend: Any, endpoint: Any, place: Place, subnet: Any, table: Any) -> str:
    """Why a subnet cannot use an endpoint; "" when it can."""
    if not _is_interface(endpoint):
        if table is None or table.id not in endpoint.route_table_ids:
            return f"is not in the route table {table.id if table else ''}".rstrip()
        lists = {endpoint.destination_prefix_list_id}
        return "" if _lets_out(backend, place, lists=lists) else f"is not let out to by {_named(place)}"
    if not endpoint.private_dns_enabled:
        return "has no private DNS name"
    if not endpoint.subnet_ids:
        return "is in no subnet"
    blocks = [backend.get_subnet(s).cidr_block for s in endpoint.subnet_ids]
    if not _lets_out(backend, place, blocks=blocks, groups=endpoint.security_group_ids):
        return f"is not let out to by {_named(place)}"
    groups = endpoint.security_group_ids
    if groups and not _admits(backend, groups, block=subnet.cidr_block, callers=place.groups):
        return f"does not admit {subnet.cidr_block} on port {HTTPS} ({', '.join(groups)})"
    return ""


def _named(place: Place) -> str:
    return f"the caller's groups {', '.join(place.groups)}" if place.groups else "the caller's groups"


def _rules(backend: Any, groups: Iterable[str], direction: str) -> Iterator[Any]:
    for group_id in groups:
        group = backend.get_security_group_from_id(group_id)
        for rule in list(getattr(group, direction)) if group is not None else ():
            if rule.ip_protocol == "-1" or (
                rule.ip_protocol in ("tcp", "6") and int(rule.from_port) <= HTTPS <= int(rule.to_port)
            ):
                yield rule


def _group_of(rule: Any) -> str:
    return str((rule.source_group or {}).get("GroupId", ""))


@lru_cache(maxsize=512)
def _network(cidr: str) -> ipaddress.IPv4Network:
    return ipaddress.IPv4Network(cidr, strict=False)


def _covers(rule: Any, blocks: Iterable[str]) -> bool:
    cidr = (rule.ip_range or {}).get("CidrIp")
    return bool(cidr) and any(_network(b).subnet_of(_network(cidr)) for b in blocks)


def _lets_out(
    backend: Any,
    place: Place,
    *,
    blocks: Iterable[str] = (),
    groups: Iterable[str] = (),
    lists: Iterable[str | None] = (),
) -> bool:
    """Whether the caller's groups let https out to addresses, groups or prefix lists; who has no groups is not held."""
    if not place.groups:
        return True
    return any(
        _covers(rule, [ANYWHERE])
        or _covers(rule, blocks)
        or _group_of(rule) in groups
        or (rule.prefix_list_id is not None and rule.prefix_list_id in lists)
        for rule in _rules(backend, place.groups, "egress_rules")
    )


def _admits(backend: Any, groups: Iterable[str], *, block: str, callers: Iterable[str]) -> bool:
    return any(
        _covers(rule, [block]) or _group_of(rule) in callers for rule in _rules(backend, groups, "ingress_rules")
    )


def _default_route(table: Any) -> Any:
    routes = table.routes if table is not None else []
    return next((r for r in routes if r.destination_cidr_block == ANYWHERE), None)


def _internet_problem(backend: Any, place: Place, table: Any) -> str:
    """Why the internet cannot be reached; "" when it can."""
    route = _default_route(table)
    if route is None:
        return "and the route table has no default route"
    if route.nat_gateway is not None:
        nat_subnet = backend.get_subnet(route.nat_gateway.subnet_id)
        beyond = _default_route(_route_table(backend, nat_subnet))
        if beyond is None or not str(beyond.gateway_id).startswith("igw-"):
            return f"and {route.nat_gateway.id} has no way to the internet"
    elif not str(route.gateway_id).startswith("igw-"):
        return "and the lab does not follow the default route (it knows internet and NAT gateways)"
    elif not place.host:
        return f"and {route.gateway_id} carries only those who have a public address"
    return "" if _lets_out(backend, place) else f"and the internet is not let out to by {_named(place)}"
