"""Looks for credentials where a case leaves traces: SSM, DynamoDB, S3, XCom, task logs.

A presigned URL counts as a credential as long as it still opens something; what was copied from the target (memory images,
live response, artifacts) is evidence and may hold anything.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import sqlalchemy

KEYS = re.compile(
    r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|aws_secret_access_key|aws_session_token|-----BEGIN [A-Z ]*PRIVATE KEY|X-Amz-Security-Token"
)
PRESIGNED = re.compile(r"https?://[^\s\"'\\]+[?&]X-Amz-Signature=[0-9a-f]+[^\s\"'\\]*")
FROM_TARGET = re.compile(
    r"memory\.lime|live-response\.tar|/artifacts/|(?:^|/)(?:results|timeline|raw|btf|kallsyms|iomem|version)$"
)
OBJECT_LIMIT = 4 * 1024 * 1024


@dataclass(frozen=True)
class Text:
    """A piece of text and where it was found."""

    where: str
    body: str


def commands(ssm: Any, account: str) -> Iterator[Text]:
    """Every command's parameters and output, and every SSM parameter."""
    for page in ssm.get_paginator("list_commands").paginate():
        for command in page["Commands"]:
            yield Text(f"SSM command {command['CommandId']} in {account}", json.dumps(command, default=str))
            for instance in command.get("InstanceIds", []):
                answer = ssm.get_command_invocation(CommandId=command["CommandId"], InstanceId=instance)
                said = answer.get("StandardOutputContent", "") + answer.get("StandardErrorContent", "")
                yield Text(f"output of SSM command {command['CommandId']}", said)
    for page in ssm.get_paginator("describe_parameters").paginate():
        for parameter in page["Parameters"]:
            value = ssm.get_parameter(Name=parameter["Name"])["Parameter"]["Value"]
            yield Text(f"SSM parameter {parameter['Name']} in {account}", value)


def items(dynamodb: Any, table: str) -> Iterator[Text]:
    """Every item of the case store."""
    for page in dynamodb.get_paginator("scan").paginate(TableName=table):
        for item in page["Items"]:
            yield Text(f"item {item['PK']} {item['SK']}", json.dumps(item, default=str))


def objects(s3: Any, bucket: str) -> Iterator[Text]:
    """Every object that the control plane wrote."""
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for item in page.get("Contents", []):
            if not FROM_TARGET.search(item["Key"]) and item["Size"] <= OBJECT_LIMIT:
                body = s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read()
                yield Text(f"s3://{bucket}/{item['Key']}", body.decode("utf-8", "replace"))


def airflow(state: Path, *, database: str) -> Iterator[Text]:
    """Every XCom of Airflow's database (an SQLAlchemy URL) and every task log of a stack's state directory."""
    engine = sqlalchemy.create_engine(database)
    try:
        with engine.connect() as connection:
            for row in connection.execute(sqlalchemy.text("select dag_id, task_id, key, value from xcom")):
                yield Text(f"XCom {row.key} of {row.dag_id}.{row.task_id}", str(row.value))
    finally:
        engine.dispose()
    for log in sorted((state / "logs" / "tasks").rglob("*.log")):
        yield Text(f"log {log.relative_to(state)}", log.read_text("utf-8", "replace"))


def leaks(texts: Iterator[Text]) -> tuple[list[str], int]:
    """What is a credential, each with its place, and how many pieces of text were looked at."""
    found, count = [], 0
    for text in texts:
        count += 1
        found += [f"{text.where}: {match[:12]}…" for match in KEYS.findall(PRESIGNED.sub("", text.body))]
        found += [
            f"{text.where}: a presigned URL that still opens {url.split('?')[0]}"
            for url in PRESIGNED.findall(text.body)
            if opens(url)
        ]
    return found, count


def opens(url: str) -> bool:
    """Whether a presigned URL still gives what it was made for."""
    return requests.get(url.replace("\\u0026", "&"), timeout=20).ok
