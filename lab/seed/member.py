"""Resources of the member account: its network, its roles, and two instances with traces of an intrusion."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import requests

from lab.accounts import FORENSIC_ACCOUNT
from lab.evidence import flow_records, query_records
from lab.evidence.images import Images
from lab.evidence.trail_records import Account as Calls
from lab.evidence.trail_records import Json
from lab.seed.accounts import Account, documents, phase_roles, service_trust

GIB = 1024**3
# From where the web server's credentials are used in the lab's story.
THIEF = "198.51.100.7"
# The intruder's server in the images of the web server's disk and memory.
INTRUDER = "203.0.113.66"


def product_in_member_account(account: Account, *, external_id: str) -> None:
    """Create through boto3 what the member stacks create: roles, documents, the deny-all profile."""
    phase_roles(
        account, phases=("triage", "acquire", "logs", "contain", "release", "findings"), external_id=external_id
    )
    documents(account)
    _isolated_profile(account)
    _forensic_key(account)


def member_account(
    account: Account, *, images: Images, control: Callable[[str, dict[str, Any]], None]
) -> dict[str, Any]:
    """Make the member account's own instances. ``control`` posts to the lab's own routes. Return its part of ``lab.json``."""
    network = _network(account)
    profile = _application_profile(account)
    web = _web_server(account, network=network, profile=profile, images=images, control=control)
    database = _db_server(account, network=network, images=images, control=control)
    trail = _trail(account)
    control("trail", {"account": account.account_id, "records": recorded_calls(web, database)})
    flows = _flow_logs(account, network["vpc_id"], web, database)
    queries = _query_logs(account, network["vpc_id"], web)
    instances = {"web-server": web, "db-server": database}
    return {
        "member_network": network,
        "instances": instances,
        "trail": trail,
        "flow_logs": flows,
        "query_logs": queries,
    }


def _trail(account: Account) -> dict[str, str]:
    """A trail of all Regions into a bucket of the account, with digest files."""
    bucket, s3 = f"lab-trail-{account.account_id}", account.client("s3")
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": account.region})
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    cloudtrail = account.client("cloudtrail")
    arn = cloudtrail.create_trail(
        Name="lab", S3BucketName=bucket, IsMultiRegionTrail=True, EnableLogFileValidation=True
    )["TrailARN"]
    cloudtrail.start_logging(Name=arn)
    return {"arn": arn, "bucket": bucket}


def _flow_logs(account: Account, vpc: str, web: dict[str, Any], database: dict[str, Any]) -> dict[str, str]:
    """A flow log of the VPC into a bucket of the account, and the web server's flows of the last hours."""
    bucket, s3 = f"lab-flows-{account.account_id}", account.client("s3")
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": account.region})
    made = account.client("ec2").create_flow_logs(
        ResourceType="VPC", ResourceIds=[vpc], TrafficType="ALL", LogDestinationType="s3", LogDestination=f"arn:aws:s3:::{bucket}"
    )["FlowLogIds"][0]  # fmt: skip
    written = flow_records.files(
        recorded_flows(database["private_ip"]), account=account.account_id, region=account.region,
        interface=web["interfaces"][0], address=web["private_ip"], log_id=made,
    )  # fmt: skip
    for key, body in written.items():
        s3.put_object(Bucket=bucket, Key=key, Body=body)
    return {"id": made, "bucket": bucket}


def recorded_flows(database: str, *, now: datetime | None = None) -> list[flow_records.Talk]:
    """Visitors and the database, and beside them the intruder's server, which the images of disk and memory name too."""
    moment = now or datetime.now(UTC)
    talks = [
        flow_records.Talk(
            moment - timedelta(minutes=7 * n), f"203.0.113.{100 + n}", 80, out=20_000, back=600, asked=False
        )
        for n in range(1, 17)
    ]
    talks += [flow_records.Talk(moment - timedelta(minutes=11 * n), database, 5432) for n in range(1, 10)]
    return [
        *talks,
        flow_records.Talk(moment - timedelta(minutes=55), INTRUDER, 443, out=4_000, back=90_000, seconds=300),
    ]


def _query_logs(account: Account, vpc: str, web: dict[str, Any]) -> dict[str, str]:
    """Query logging of the VPC into a bucket of the account, and what the web server asked for in the last hours."""
    bucket, s3 = f"lab-queries-{account.account_id}", account.client("s3")
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": account.region})
    resolver = account.client("route53resolver")
    made = resolver.create_resolver_query_log_config(
        Name="lab", DestinationArn=f"arn:aws:s3:::{bucket}", CreatorRequestId="lab-query-logs"
    )["ResolverQueryLogConfig"]["Id"]
    association = resolver.associate_resolver_query_log_config(ResolverQueryLogConfigId=made, ResourceId=vpc)
    written = query_records.files(
        recorded_questions(), account=account.account_id, region=account.region, vpc=vpc, address=web["private_ip"], instance=web["instance_id"]
    )  # fmt: skip
    for key, body in written.items():
        s3.put_object(Bucket=bucket, Key=key, Body=body)
    return {"id": made, "bucket": bucket, "association": association["ResolverQueryLogConfigAssociation"]["Id"]}


def recorded_questions(*, now: datetime | None = None) -> list[query_records.Asked]:
    """The application's names and updates, and before the intruder's connection the name of its server."""
    moment = now or datetime.now(UTC)
    usual = (("deb.debian.org", "203.0.113.80"), ("shop-db.internal.example", "10.20.1.9"))
    asked = [
        query_records.Asked(moment - timedelta(minutes=29 * n), name, (address,))
        for n in range(1, 40)
        for name, address in usual
    ]
    return [
        *asked,
        query_records.Asked(moment - timedelta(minutes=55, seconds=2), "updates.cdn-mirror.example", (INTRUDER,)),
    ]


def recorded_calls(web: dict[str, Any], database: dict[str, Any], *, now: datetime | None = None) -> list[Json]:
    """What CloudTrail recorded before the alarm: the application's reads, then its credentials used from elsewhere."""
    place = Calls(web["account"], web["region"], web["instance_id"], home=web["private_ip"])
    moment = now or datetime.now(UTC)
    inside: dict[str, Any] = {"vpcEndpointId": "vpce-0123456789abcdef0"}
    calls = [
        place.call(
            moment - timedelta(hours=n),
            "s3:GetObject",
            place.instance(),
            {"bucketName": "shop-assets", "key": f"{n}.css"},
            **inside,
        )
        for n in range(20, 1, -1)
    ]
    thief = place.instance(address=THIEF, userAgent="Boto3/1.34.0 md/Botocore#1.34.0 ua/2.0 os/linux#6.8.11-amd64")
    for minutes, name, parameters in (
        (50, "sts:GetCallerIdentity", None),
        (49, "s3:ListBuckets", None),
        (48, "ec2:DescribeInstanceAttribute", {"instanceId": database["instance_id"], "attribute": "userData"}),
        (47, "s3:GetObject", {"bucketName": "shop-customers", "key": "export.csv"}),
    ):
        calls.append(place.call(moment - timedelta(minutes=minutes), name, thief, parameters))
    return calls


def _forensic_key(account: Account) -> None:
    """The member account's own forensic key: the forensic account may decrypt with it, and administers nothing."""
    kms = account.client("kms")
    user = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{FORENSIC_ACCOUNT}:root"},
        "Action": ["kms:DescribeKey", "kms:Decrypt", "kms:CreateGrant", "kms:ReEncryptFrom"],
        "Resource": "*",
    }
    owner = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{account.account_id}:root"},
        "Action": "kms:*",
        "Resource": "*",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [owner, user]})
    key = kms.create_key(Description="forensic evidence of this account", Policy=policy)["KeyMetadata"]["KeyId"]
    kms.create_alias(AliasName="alias/forensics-member", TargetKeyId=key)


def _network(account: Account) -> dict[str, Any]:
    ec2 = account.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.20.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.20.{i}.0/24", AvailabilityZone=f"{account.region}{zone}")["Subnet"]
        for i, zone in enumerate("ab")
    ]
    route_to_the_internet(ec2, vpc, zone=f"{account.region}a", cidr="10.20.255.0/24")
    web = ec2.create_security_group(GroupName="web", Description="web servers", VpcId=vpc)["GroupId"]
    anywhere = [{"CidrIp": "0.0.0.0/0"}]
    ec2.authorize_security_group_ingress(
        GroupId=web,
        IpPermissions=[
            {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": anywhere} for port in (22, 80)
        ],
    )
    database = ec2.create_security_group(GroupName="database", Description="databases", VpcId=vpc)["GroupId"]
    ec2.authorize_security_group_ingress(
        GroupId=database,
        IpPermissions=[{"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432, "UserIdGroupPairs": [{"GroupId": web}]}],
    )
    return {
        "vpc_id": vpc,
        "subnet_ids": [subnet["SubnetId"] for subnet in subnets],
        "web_security_group_id": web,
        "database_security_group_id": database,
    }


def route_to_the_internet(ec2: Any, vpc: str, *, zone: str, cidr: str) -> None:
    """Private subnets reach AWS by a NAT gateway in a public one: without it nothing in the VPC reaches SSM or S3."""
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    public = ec2.create_subnet(VpcId=vpc, CidrBlock=cidr, AvailabilityZone=zone)["Subnet"]["SubnetId"]
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    ec2.associate_route_table(SubnetId=public, RouteTableId=table)
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    nat = ec2.create_nat_gateway(SubnetId=public, AllocationId=address)["NatGateway"]["NatGatewayId"]
    main = [{"Name": "vpc-id", "Values": [vpc]}, {"Name": "association.main", "Values": ["true"]}]
    (private,) = ec2.describe_route_tables(Filters=main)["RouteTables"]
    ec2.create_route(RouteTableId=private["RouteTableId"], DestinationCidrBlock="0.0.0.0/0", NatGatewayId=nat)


def _application_profile(account: Account) -> str:
    """The role that the web server's application uses: what containment has to cut off."""
    iam = account.client("iam")
    iam.create_role(RoleName="web-server", AssumeRolePolicyDocument=service_trust("ec2.amazonaws.com"))
    iam.create_instance_profile(InstanceProfileName="web-server")
    iam.add_role_to_instance_profile(InstanceProfileName="web-server", RoleName="web-server")
    return "web-server"


def _isolated_profile(account: Account) -> None:
    """The profile that a contained instance gets: its role may do nothing."""
    iam, name = account.client("iam"), "forensics-isolated"
    deny = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]}
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=service_trust("ec2.amazonaws.com"))
    iam.put_role_policy(RoleName=name, PolicyName="deny-all", PolicyDocument=json.dumps(deny))
    iam.create_instance_profile(InstanceProfileName=name)
    iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)


def launch(account: Account, name: str, *, disks: dict[str, Path], **request: Any) -> dict[str, Any]:
    """Run an instance whose volumes have room for ``disks`` (device → image). Return its description."""
    ec2 = account.client("ec2")
    image = ec2.register_image(
        Name=f"{name}-base", Architecture="x86_64", VirtualizationType="hvm", RootDeviceName=next(iter(disks))
    )["ImageId"]
    mappings = [
        {
            "DeviceName": device,
            "Ebs": {
                "VolumeSize": max(1, -(-path.stat().st_size // GIB)),
                "VolumeType": "gp3",
                "DeleteOnTermination": device == next(iter(disks)),
            },
        }
        for device, path in disks.items()
    ]
    tags = [{"Key": "Name", "Value": name}, {"Key": "Application", "Value": "shop"}]
    instance_id = ec2.run_instances(
        ImageId=image,
        MinCount=1,
        MaxCount=1,
        BlockDeviceMappings=mappings,
        TagSpecifications=[{"ResourceType": kind, "Tags": tags} for kind in ("instance", "volume")],
        **request,
    )["Instances"][0]["InstanceId"]
    ec2.get_waiter("instance_running").wait(InstanceIds=[instance_id], WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    return _describe(account, instance_id)


def _describe(account: Account, instance_id: str) -> dict[str, Any]:
    answer = account.client("ec2").describe_instances(InstanceIds=[instance_id])
    return answer["Reservations"][0]["Instances"][0]


def _volumes(instance: dict[str, Any]) -> dict[str, str]:
    return {mapping["DeviceName"]: mapping["Ebs"]["VolumeId"] for mapping in instance["BlockDeviceMappings"]}


def summary(account: Account, instance: dict[str, Any]) -> dict[str, Any]:
    """What ``lab.json`` says of an instance."""
    return {
        "instance_id": instance["InstanceId"],
        "account": account.account_id,
        "region": account.region,
        "arn": f"arn:aws:ec2:{account.region}:{account.account_id}:instance/{instance['InstanceId']}",
        "volumes": _volumes(instance),
        "interfaces": [interface["NetworkInterfaceId"] for interface in instance["NetworkInterfaces"]],
        "security_groups": [group["GroupId"] for group in instance["SecurityGroups"]],
        "private_ip": instance["PrivateIpAddress"],
    }


def _web_server(
    account: Account, *, network: dict[str, Any], profile: str, images: Images, control: Callable[..., None]
) -> dict[str, Any]:
    """The instance with the intrusion: managed by SSM, one interface, a root and a data volume, real memory."""
    root, data = images.disk("web-server"), images.disk("tiny")
    disks = {"/dev/xvda": root.image, "/dev/sdf": data.image}
    instance = launch(
        account,
        "web-server",
        disks=disks,
        InstanceType="t3.small",
        SubnetId=network["subnet_ids"][0],
        SecurityGroupIds=[network["web_security_group_id"]],
        IamInstanceProfile={"Name": profile},
    )
    made = summary(account, instance)
    register_volumes(made, disks=disks, control=control)
    files = images.memory()
    made["facts"] = {"disk": str(root.facts), "memory": files.pop("facts")}
    control(
        "instance",
        {
            "instance_id": made["instance_id"],
            "account": account.account_id,
            "region": account.region,
            "kind": "target",
            "managed": True,
            "platform_name": "Debian GNU/Linux",
            "platform_version": "12",
            "hostname": "web-server",
            "memory": files.pop("memory"),
            "kernel": files,
        },
    )
    return made


def _db_server(
    account: Account, *, network: dict[str, Any], images: Images, control: Callable[..., None]
) -> dict[str, Any]:
    """The difficult instance: no SSM agent, two interfaces in two groups."""
    disks = {"/dev/xvda": images.disk("tiny").image}
    groups = (network["database_security_group_id"], network["web_security_group_id"])
    interfaces = [
        {"DeviceIndex": index, "SubnetId": network["subnet_ids"][1], "Groups": [group]}
        for index, group in enumerate(groups)
    ]
    instance = launch(account, "db-server", disks=disks, InstanceType="t3.medium", NetworkInterfaces=interfaces)
    made = summary(account, instance)
    register_volumes(made, disks=disks, control=control)
    control(
        "instance",
        {
            "instance_id": made["instance_id"],
            "account": account.account_id,
            "region": account.region,
            "kind": "target",
            "managed": False,
            "platform_name": "Debian GNU/Linux",
            "platform_version": "12",
            "hostname": "db-server",
        },
    )
    return made


def register_volumes(summary: dict[str, Any], *, disks: dict[str, Path], control: Callable[..., None]) -> None:
    for device, image in disks.items():
        control("volume", {"volume_id": summary["volumes"][device], "path": str(image)})


def controller(endpoint: str) -> Callable[[str, dict[str, Any]], Any]:
    """Return a function that posts to ``/_lab/<route>`` and raises with the lab's own message when it
    refuses."""

    def post(route: str, body: dict[str, Any]) -> Any:
        session = requests.Session()
        session.trust_env = False
        answer = session.post(f"{endpoint}/_lab/{route}", json=body, timeout=60)
        if not answer.ok:
            msg = f"POST {endpoint}/_lab/{route} answered {answer.status_code}: {answer.text[:500]}"
            raise RuntimeError(msg)
        return answer.json()

    return post
