"""EC2: by which public addresses a subnet's traffic leaves its VPC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from forensics.aws.error_map import aws_errors
from forensics.aws.session import AwsSession

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import RouteTableTypeDef

_ANYWHERE = {"0.0.0.0/0", "::/0"}


class EgressGateway:
    """Route tables and NAT gateways in one account and Region."""

    def __init__(self, client: EC2Client, *, account_id: str, region: str) -> None:
        self._ec2 = client
        self.account_id = account_id
        self.region = region

    @classmethod
    def of(cls, session: AwsSession) -> Self:
        """The gateway of a session's account and Region."""
        return cls(session.ec2, account_id=session.account_id, region=session.region)

    def exits(self, *, vpc_id: str, subnet_ids: tuple[str, ...]) -> tuple[str, ...] | None:
        """Public addresses of the NAT gateways that the subnets' default routes lead to.

        Empty where they lead to an internet gateway (then an instance has its own address) or where there is none. None where they
        lead elsewhere (a transit gateway, an appliance): which addresses AWS sees of it is decided there.
        """
        with aws_errors(f"describe the route tables of {vpc_id} in account {self.account_id}, {self.region}"):
            pages = self._ec2.get_paginator("describe_route_tables").paginate(
                Filters=[{"Name": "vpc-id", "Values": [vpc_id]}]
            )
            tables = [table for page in pages for table in page["RouteTables"]]
        gateways: set[str] = set()
        for subnet in subnet_ids:
            table = _table_of(tables, subnet)
            for route in table.get("Routes", []) if table else ():
                if {route.get("DestinationCidrBlock"), route.get("DestinationIpv6CidrBlock")} & _ANYWHERE:
                    if nat := route.get("NatGatewayId"):
                        gateways.add(nat)
                    elif not (
                        route.get("GatewayId", "").startswith("igw-") or route.get("EgressOnlyInternetGatewayId")
                    ):
                        return None
        return self._addresses(sorted(gateways))

    def _addresses(self, gateways: list[str]) -> tuple[str, ...]:
        if not gateways:
            return ()
        with aws_errors(f"describe NAT gateways {', '.join(gateways)} in account {self.account_id}, {self.region}"):
            pages = self._ec2.get_paginator("describe_nat_gateways").paginate(NatGatewayIds=gateways)
            found = [n for page in pages for n in page["NatGateways"]]
        public = (address.get("PublicIp") for nat in found for address in nat.get("NatGatewayAddresses", []))
        return tuple(dict.fromkeys(address for address in public if address))


def _table_of(tables: list[RouteTableTypeDef], subnet: str) -> RouteTableTypeDef | None:
    """The table that is associated with a subnet, or else the VPC's main table (VPC user guide, *Route tables*)."""
    own = [t for t in tables if any(a.get("SubnetId") == subnet for a in t.get("Associations", []))]
    main = [t for t in tables if any(a.get("Main") for a in t.get("Associations", []))]
    return next(iter(own or main), None)
