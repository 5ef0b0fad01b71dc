"""How the types that hold data are made: keys, buckets, tables."""

from __future__ import annotations

import json
from typing import Any

from lab.emulator.cloudformation.makers import Made, Maker, Place


def key(place: Place, _name: str, given: dict[str, Any]) -> Made:
    kms = place.client("kms")
    wanted = {k: given[k] for k in ("Description", "KeySpec", "KeyUsage") if k in given}
    made = kms.create_key(**wanted, Policy=json.dumps(given["KeyPolicy"]))["KeyMetadata"]
    if given.get("EnableKeyRotation"):
        kms.enable_key_rotation(KeyId=made["KeyId"])
    return Made(made["KeyId"], {"Arn": made["Arn"], "KeyId": made["KeyId"]})


def alias(place: Place, _name: str, given: dict[str, Any]) -> Made:
    place.client("kms").create_alias(AliasName=given["AliasName"], TargetKeyId=given["TargetKeyId"])
    return Made(given["AliasName"], {})


def bucket(place: Place, _name: str, given: dict[str, Any]) -> Made:
    s3, name = place.client("s3"), given["BucketName"]
    s3.create_bucket(
        Bucket=name,
        CreateBucketConfiguration={"LocationConstraint": place.region},
        ObjectLockEnabledForBucket=bool(given.get("ObjectLockEnabled")),
    )
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration=given["VersioningConfiguration"])
    s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=given["PublicAccessBlockConfiguration"])
    s3.put_bucket_ownership_controls(Bucket=name, OwnershipControls=given["OwnershipControls"])
    rules = [
        {
            "ApplyServerSideEncryptionByDefault": r["ServerSideEncryptionByDefault"],
            "BucketKeyEnabled": r.get("BucketKeyEnabled", False),
        }
        for r in given["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    ]
    s3.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration={"Rules": rules})
    if "ObjectLockConfiguration" in given:
        lock = json.loads(json.dumps(given["ObjectLockConfiguration"]))
        retention = lock["Rule"]["DefaultRetention"]
        retention["Days"] = int(retention["Days"])
        s3.put_object_lock_configuration(Bucket=name, ObjectLockConfiguration=lock)
    return Made(name, {"Arn": f"arn:aws:s3:::{name}"})


def bucket_policy(place: Place, _name: str, given: dict[str, Any]) -> Made:
    place.client("s3").put_bucket_policy(Bucket=given["Bucket"], Policy=json.dumps(given["PolicyDocument"]))
    return Made(f"{given['Bucket']}-policy", {})


def table(place: Place, _name: str, given: dict[str, Any]) -> Made:
    dynamodb, name = place.client("dynamodb"), given["TableName"]
    wanted = {
        k: given[k]
        for k in (
            "BillingMode",
            "AttributeDefinitions",
            "KeySchema",
            "GlobalSecondaryIndexes",
            "DeletionProtectionEnabled",
        )
    }
    sse = {
        ("Enabled" if k == "SSEEnabled" else "KMSMasterKeyId" if k == "KMSMasterKeyId" else k): v
        for k, v in given["SSESpecification"].items()
    }
    stream = {"StreamSpecification": {"StreamEnabled": True, **given["StreamSpecification"]}}
    made = dynamodb.create_table(TableName=name, **wanted, SSESpecification=sse, **stream)["TableDescription"]
    recovery = {"PointInTimeRecoveryEnabled": given["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"]}
    dynamodb.update_continuous_backups(TableName=name, PointInTimeRecoverySpecification=recovery)
    return Made(name, {"Arn": made["TableArn"], "StreamArn": made["LatestStreamArn"]})


MAKERS: dict[str, Maker] = {
    "AWS::KMS::Key": key,
    "AWS::KMS::Alias": alias,
    "AWS::S3::Bucket": bucket,
    "AWS::S3::BucketPolicy": bucket_policy,
    "AWS::DynamoDB::Table": table,
}
