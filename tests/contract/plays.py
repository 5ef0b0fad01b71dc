"""Every call to the other services that the product makes, made once, with what it needs."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from lab.accounts import MANAGEMENT_ACCOUNT
from lab.scenarios.finding_events import guardduty, ocsf
from tests.lab.conftest import FORENSIC, MEMBER, REGION, SECURITY, Lab, Network

PRODUCT = f"arn:aws:securityhub:{REGION}:{SECURITY}:product/{SECURITY}/default"
ROLE = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": ["sts:AssumeRole", "sts:SetSourceIdentity"], "Principal": {"AWS": "*"}}
        ],
    }
)
POLICY = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]})
DOCUMENT = {
    "schemaVersion": "2.2",
    "description": "a document",
    "mainSteps": [{"action": "aws:runShellScript", "name": "run", "inputs": {"runCommand": ["true"]}}],
}


def play(lab: Lab, network: Network) -> None:
    """All of them."""
    _identity(lab)
    _keys(lab)
    _table(lab)
    _objects(lab)
    _messages(lab)
    _commands(lab, network)
    _groups(lab, network)
    _balancers(lab, network)
    _findings(lab)
    _images(lab)
    _organization(lab)
    _tasks(lab, network)
    numbers: Any = [{"MetricName": "Cases", "Value": 1.0, "Unit": "Count"}]
    secret = lab.client("secretsmanager").create_secret(Name=f"channel-{time.monotonic_ns()}", SecretString="s")["ARN"]
    lab.client("secretsmanager").get_secret_value(SecretId=secret)
    lab.client("bedrock-runtime").converse(modelId="v.m", messages=[{"role": "user", "content": [{"text": "x"}]}])
    lab.client("cloudwatch").put_metric_data(Namespace="Forensics", MetricData=numbers)


def _identity(lab: Lab) -> None:
    iam, name = lab.client("iam", MEMBER), f"web-{time.monotonic_ns()}"
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=ROLE)["Role"]["Arn"]
    iam.create_instance_profile(InstanceProfileName=name)
    iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
    iam.put_role_policy(RoleName=name, PolicyName="deny", PolicyDocument=POLICY)
    iam.get_instance_profile(InstanceProfileName=name)
    iam.list_instance_profiles_for_role(RoleName=name)
    iam.list_role_policies(RoleName=name)
    iam.list_account_aliases()
    iam.simulate_principal_policy(PolicySourceArn=role, ActionNames=["ec2:DescribeInstances"])
    iam.delete_role_policy(RoleName=name, PolicyName="deny")
    lab.client("sts", FORENSIC).assume_role(RoleArn=role, RoleSessionName="case-1", SourceIdentity="case-1")


def _keys(lab: Lab) -> None:
    kms = lab.client("kms")
    key = kms.create_key(KeyUsage="SIGN_VERIFY", KeySpec="ECC_NIST_P256")["KeyMetadata"]["Arn"]
    said = {"KeyId": key, "Message": b"0" * 32, "MessageType": "DIGEST", "SigningAlgorithm": "ECDSA_SHA_256"}
    kms.verify(**said, Signature=kms.sign(**said)["Signature"])
    kms.get_public_key(KeyId=key)
    kms.describe_key(KeyId=key)
    sealed = kms.create_key()["KeyMetadata"]["Arn"]
    kms.describe_key(KeyId=sealed)
    kms.enable_key_rotation(KeyId=sealed)
    assert kms.get_key_rotation_status(KeyId=sealed)["KeyRotationEnabled"]
    kms.create_grant(
        KeyId=sealed, GranteePrincipal=f"arn:aws:iam::{MEMBER}:root", Operations=["Decrypt", "CreateGrant"]
    )


def _table(lab: Lab) -> None:
    table, db = f"cases-{time.monotonic_ns()}", lab.client("dynamodb")
    keys = [{"AttributeName": "PK", "KeyType": "HASH"}, {"AttributeName": "SK", "KeyType": "RANGE"}]
    types = [{"AttributeName": name, "AttributeType": "S"} for name in ("PK", "SK")]
    db.create_table(TableName=table, KeySchema=keys, AttributeDefinitions=types, BillingMode="PAY_PER_REQUEST")
    key: dict[str, Any] = {"PK": {"S": "a"}, "SK": {"S": "b"}}
    db.put_item(
        TableName=table, Item=key | {"n": {"N": "1"}, "m": {"M": {"x": {"L": [{"BOOL": True}, {"NULL": True}]}}}}
    )
    db.get_item(TableName=table, Key=key, ConsistentRead=True)
    none: dict[str, Any] = {"PK": {"S": "a"}, "SK": {"S": "none"}}
    db.transact_get_items(TransactItems=[{"Get": {"TableName": table, "Key": k}} for k in (key, none)])
    value = {":n": {"N": "2"}}
    db.update_item(
        TableName=table, Key=key, UpdateExpression="SET n = :n", ExpressionAttributeValues=value, ReturnValues="ALL_NEW"
    )
    db.query(TableName=table, KeyConditionExpression="PK = :p", ExpressionAttributeValues={":p": {"S": "a"}}, Limit=1)
    put = {"TableName": table, "Item": key, "ConditionExpression": "attribute_not_exists(PK)"}
    with contextlib.suppress(db.exceptions.TransactionCanceledException):
        db.transact_write_items(TransactItems=[{"Put": put}])
    with contextlib.suppress(db.exceptions.ConditionalCheckFailedException):
        db.put_item(**put, ReturnValuesOnConditionCheckFailure="ALL_OLD")
    db.transact_write_items(TransactItems=[{"Put": put | {"Item": {"PK": {"S": "c"}, "SK": {"S": "d"}}}}])
    db.delete_item(TableName=table, Key=key)


def _objects(lab: Lab) -> None:
    s3, bucket = lab.client("s3"), f"evidence-{time.monotonic_ns()}"
    region: Any = {"LocationConstraint": REGION}
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=region, ObjectLockEnabledForBucket=True)
    until = datetime.now(UTC) + timedelta(days=1)
    locked: Any = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": until}
    s3.put_object(Bucket=bucket, Key="a", Body=b"x", ChecksumAlgorithm="SHA256", IfNoneMatch="*", **locked)
    s3.head_object(Bucket=bucket, Key="a", ChecksumMode="ENABLED")
    until = datetime.now(UTC) + timedelta(days=2)
    s3.put_object_retention(Bucket=bucket, Key="a", Retention={"Mode": "GOVERNANCE", "RetainUntilDate": until})
    s3.put_object_legal_hold(Bucket=bucket, Key="a", LegalHold={"Status": "ON"})
    s3.get_object(Bucket=bucket, Key="a")["Body"].read()
    s3.get_object(Bucket=bucket, Key="a", Range="bytes=0-0")["Body"].read()
    upload = s3.create_multipart_upload(Bucket=bucket, Key="m", Metadata={"case": "1"})["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key="m", UploadId=upload, PartNumber=1, Body=b"x")
    s3.list_parts(Bucket=bucket, Key="m", UploadId=upload)
    parts: Any = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(Bucket=bucket, Key="m", UploadId=upload, MultipartUpload=parts)
    other = s3.create_multipart_upload(Bucket=bucket, Key="n")["UploadId"]
    s3.abort_multipart_upload(Bucket=bucket, Key="n", UploadId=other)
    s3.list_objects_v2(Bucket=bucket, Prefix="a", MaxKeys=1)
    s3.delete_object(Bucket=bucket, Key="m")
    s3.list_object_versions(Bucket=bucket)


def _messages(lab: Lab) -> None:
    sqs, sns = lab.client("sqs"), lab.client("sns")
    queue = sqs.create_queue(QueueName=f"findings-{time.monotonic_ns()}")["QueueUrl"]
    for _ in range(2):
        sqs.send_message(
            QueueUrl=queue, MessageBody="{}", MessageAttributes={"a": {"DataType": "String", "StringValue": "b"}}
        )
    sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])
    taken = []
    while len(taken) < 2:
        taken += sqs.receive_message(
            QueueUrl=queue, MaxNumberOfMessages=10, MessageAttributeNames=["All"], MessageSystemAttributeNames=["All"]
        ).get("Messages", [])
    handles = [{"Id": str(n), "ReceiptHandle": message["ReceiptHandle"]} for n, message in enumerate(taken)]
    longer: Any = [handle | {"VisibilityTimeout": 60} for handle in handles]
    sqs.change_message_visibility_batch(QueueUrl=queue, Entries=longer)
    sqs.delete_message_batch(QueueUrl=queue, Entries=handles)
    topic = sns.create_topic(Name="forensics")["TopicArn"]
    sns.get_topic_attributes(TopicArn=topic)
    sns.publish(
        TopicArn=topic,
        Subject="case",
        Message="opened",
        MessageAttributes={"a": {"DataType": "String", "StringValue": "b"}},
    )


def _commands(lab: Lab, network: Network) -> None:
    ssm, name = lab.client("ssm", MEMBER), f"forensics-{time.monotonic_ns()}"
    ssm.create_document(Name=name, Content=json.dumps(DOCUMENT), DocumentType="Command", DocumentFormat="JSON")
    ssm.describe_document(Name=name)
    instance = network.managed(network.instance(network.group("closed", closed=True)))
    ssm.describe_instance_information(Filters=[{"Key": "InstanceIds", "Values": [instance]}])
    command = ssm.send_command(DocumentName=name, InstanceIds=[instance], Comment="case-1", TimeoutSeconds=60)[
        "Command"
    ]["CommandId"]
    ssm.list_commands(CommandId=command)
    while True:
        with contextlib.suppress(ssm.exceptions.InvocationDoesNotExist):
            ssm.get_command_invocation(CommandId=command, InstanceId=instance)
            break
    ssm.cancel_command(CommandId=command)
    ssm.put_parameter(Name="/forensics/ami", Value="ami-1", Type="String", Overwrite=True)
    ssm.get_parameter(Name="/forensics/ami")


def _groups(lab: Lab, network: Network) -> None:
    scaling, name = lab.client("autoscaling", MEMBER), f"web-{time.monotonic_ns()}"
    scaling.create_launch_configuration(
        LaunchConfigurationName=name, ImageId="ami-0123456789abcdef0", InstanceType="m5.large"
    )
    scaling.create_auto_scaling_group(
        AutoScalingGroupName=name, LaunchConfigurationName=name, MinSize=0, MaxSize=4, DesiredCapacity=2,
        VPCZoneIdentifier=network.subnet,
    )  # fmt: skip
    group = scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"][0]
    first, second = (instance["InstanceId"] for instance in group["Instances"])
    scaling.describe_auto_scaling_instances(InstanceIds=[first])
    scaling.set_instance_protection(AutoScalingGroupName=name, InstanceIds=[first], ProtectedFromScaleIn=True)
    scaling.enter_standby(AutoScalingGroupName=name, InstanceIds=[first], ShouldDecrementDesiredCapacity=True)
    scaling.exit_standby(AutoScalingGroupName=name, InstanceIds=[first])
    scaling.detach_instances(AutoScalingGroupName=name, InstanceIds=[second], ShouldDecrementDesiredCapacity=True)
    scaling.attach_instances(AutoScalingGroupName=name, InstanceIds=[second])
    scaling.set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=2)
    scaling.update_auto_scaling_group(AutoScalingGroupName=name, MinSize=1)
    scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])


def _balancers(lab: Lab, network: Network) -> None:
    old, name = lab.client("elb", MEMBER), f"web-{time.monotonic_ns() % 10**9}"
    instance = network.instance(network.group(name))
    listener: Any = [{"Protocol": "HTTP", "LoadBalancerPort": 80, "InstancePort": 80}]
    old.create_load_balancer(LoadBalancerName=name, Listeners=listener, Subnets=[network.subnet])
    old.register_instances_with_load_balancer(LoadBalancerName=name, Instances=[{"InstanceId": instance}])
    old.describe_load_balancers(LoadBalancerNames=[name])
    old.describe_load_balancer_attributes(LoadBalancerName=name)
    old.deregister_instances_from_load_balancer(LoadBalancerName=name, Instances=[{"InstanceId": instance}])
    new = lab.client("elbv2", MEMBER)
    target = new.create_target_group(Name=name, Protocol="HTTP", Port=80, VpcId=network.vpc, TargetType="instance")
    arn = target["TargetGroups"][0]["TargetGroupArn"]
    new.register_targets(TargetGroupArn=arn, Targets=[{"Id": instance, "Port": 80}])
    new.describe_target_groups(TargetGroupArns=[arn])
    new.describe_target_health(TargetGroupArn=arn)
    balancer = new.create_load_balancer(Name=name, Subnets=[network.subnet], Type="network")["LoadBalancers"][0]
    new.describe_load_balancer_attributes(LoadBalancerArn=balancer["LoadBalancerArn"])
    new.deregister_targets(TargetGroupArn=arn, Targets=[{"Id": instance, "Port": 80}])
    new.describe_target_health(TargetGroupArn=arn)


def _findings(lab: Lab) -> None:
    hub, duty = lab.client("securityhub", SECURITY), lab.client("guardduty", SECURITY)
    with contextlib.suppress(ClientError):
        hub.enable_security_hub()
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    finding: Any = {
        "SchemaVersion": "2018-10-08", "Id": f"f-{time.monotonic_ns()}", "ProductArn": PRODUCT, "GeneratorId": "g",
        "AwsAccountId": SECURITY, "Types": ["Software and Configuration Checks"], "CreatedAt": now, "UpdatedAt": now,
        "Severity": {"Label": "HIGH"}, "Title": "t", "Description": "d", "Resources": [{"Type": "AwsEc2Instance", "Id": "i"}],
    }  # fmt: skip
    hub.batch_import_findings(Findings=[finding])
    hub.get_findings(Filters={"Id": [{"Value": finding["Id"], "Comparison": "EQUALS"}]})
    known = {"Id": finding["Id"], "ProductArn": PRODUCT}
    hub.batch_update_findings(
        FindingIdentifiers=[known, known | {"Id": "unknown"}],
        Note={"Text": "case", "UpdatedBy": "forensics"},
        Workflow={"Status": "NOTIFIED"},
    )
    arn = _send_findings(lab, now)
    uid = hashlib.sha256(arn.encode()).hexdigest()
    ocsf = {"StringFilters": [{"FieldName": "finding_info.uid", "Filter": {"Value": arn, "Comparison": "EQUALS"}}]}
    hub.get_findings_v2(Filters={"CompositeFilters": [ocsf]})
    hub.batch_update_findings_v2(MetadataUids=[uid, "unknown"], Comment="case", StatusId=2)
    number = arn.rpartition("/")[2]
    detector = duty.list_detectors()["DetectorIds"][0]
    duty.list_findings(DetectorId=detector, FindingCriteria={"Criterion": {"service.archived": {"Equals": ["false"]}}})
    duty.get_findings(DetectorId=detector, FindingIds=[number])
    duty.update_findings_feedback(DetectorId=detector, FindingIds=[number], Feedback="USEFUL", Comments="case")
    duty.archive_findings(DetectorId=detector, FindingIds=[number])


def _send_findings(lab: Lab, now: str) -> str:
    """One finding of GuardDuty and one of the new Security Hub, with the same id; returns the id."""
    given = {
        "Id": f"arn:aws:guardduty:{REGION}:{SECURITY}:detector/12abc34d567e8fa901bc2d34e56789f0/finding/{time.monotonic_ns():032x}",
        "AwsAccountId": SECURITY, "Severity": {"Label": "HIGH"}, "CreatedAt": now, "UpdatedAt": now, "Title": "t", "Description": "d",
        "Resources": [{"Type": "AwsEc2Instance", "Id": f"arn:aws:ec2:{REGION}:{SECURITY}:instance/i-0123456789abcdef0", "Region": REGION}],
    }  # fmt: skip
    for form in (guardduty, ocsf):
        event = form(given)
        lab.client("events", SECURITY).put_events(
            Entries=[
                {"Source": event["source"], "DetailType": event["detail-type"], "Detail": json.dumps(event["detail"])}
            ]
        )
    return str(given["Id"])


def _images(lab: Lab) -> None:
    builder = lab.client("imagebuilder")
    arn = f"arn:aws:imagebuilder:{REGION}:{FORENSIC}:image-pipeline/forensics"
    image = builder.start_image_pipeline_execution(imagePipelineArn=arn)["imageBuildVersionArn"]
    for _ in range(5):
        builder.get_image(imageBuildVersionArn=image)
    builder.list_image_packages(imageBuildVersionArn=image)
    builder.list_image_scan_findings(filters=[{"name": "imageBuildVersionArn", "values": [image]}])


def _organization(lab: Lab) -> None:
    organizations = lab.client("organizations", MANAGEMENT_ACCOUNT)
    organizations.create_organization(FeatureSet="ALL")
    organizations.list_tags_for_resource(ResourceId=MEMBER)
    organizations.list_parents(ChildId=MEMBER)


def _tasks(lab: Lab, network: Network) -> None:
    """A task on a container instance."""
    ecs = lab.client("ecs", MEMBER)
    ecs.create_cluster(clusterName="plays")
    about = {
        "instanceId": network.instance(), "accountId": MEMBER, "region": REGION, "imageId": "ami-0123456789abcdef0", "instanceType": "t3.micro",
        "privateIp": "192.0.2.7", "availabilityZone": network.zone, "architecture": "x86_64", "version": "2017-09-30",
    }  # fmt: skip
    made = ecs.register_container_instance(cluster="plays", instanceIdentityDocument=json.dumps(about))
    host = made["containerInstance"]["containerInstanceArn"]
    container = {"name": "shop", "image": "registry.example.com/shop:2", "memory": 64, "cpu": 1, "essential": True}
    ecs.register_task_definition(family="plays", containerDefinitions=[container])
    (task,) = ecs.run_task(cluster="plays", taskDefinition="plays", launchType="EC2")["tasks"]
    ecs.describe_tasks(cluster="plays", tasks=[task["taskArn"]])
    ecs.describe_container_instances(cluster="plays", containerInstances=[host])
