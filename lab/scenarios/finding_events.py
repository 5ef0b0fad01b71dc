"""The forms in which one GuardDuty finding reaches the queue: ASFF, GuardDuty's own event, OCSF of the new Security Hub.

Each takes a finding as :func:`lab.scenarios.driver.finding` makes it and returns the EventBridge event.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

from lab.accounts import SECURITY_ACCOUNT

GUARDDUTY_SEVERITY = {"LOW": 2, "MEDIUM": 5, "HIGH": 8, "CRITICAL": 9.5}
OCSF_SEVERITY = {"LOW": (2, "Low"), "MEDIUM": (3, "Medium"), "HIGH": (4, "High"), "CRITICAL": (5, "Critical")}


def _envelope(finding: dict[str, Any], *, kind: str, source: str, detail: dict[str, Any]) -> dict[str, Any]:
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": kind,
        "source": source,
        "account": finding["AwsAccountId"] if source == "aws.guardduty" else SECURITY_ACCOUNT,
        "time": finding["UpdatedAt"],
        "region": finding["Resources"][0]["Region"],
        "resources": [],
        "detail": detail,
    }


def _instance(finding: dict[str, Any]) -> str:
    return str(finding["Resources"][0]["Id"]).rpartition("/")[2]


def asff(finding: dict[str, Any]) -> dict[str, Any]:
    """Security Hub's event."""
    detail = {"findings": [finding]}
    return _envelope(finding, kind="Security Hub Findings - Imported", source="aws.securityhub", detail=detail)


def guardduty(finding: dict[str, Any]) -> dict[str, Any]:
    """GuardDuty's own event in the member account."""
    region, account = finding["Resources"][0]["Region"], finding["AwsAccountId"]
    detail = {
        "schemaVersion": "2.0",
        "accountId": account,
        "region": region,
        "partition": "aws",
        "id": finding["Id"].rpartition("/")[2],
        "arn": finding["Id"],
        "type": "Backdoor:EC2/C&CActivity.B",
        "resource": {"resourceType": "Instance", "instanceDetails": {"instanceId": _instance(finding)}},
        "service": {"serviceName": "guardduty", "resourceRole": "ACTOR", "archived": False, "count": 1},
        "severity": GUARDDUTY_SEVERITY[finding["Severity"]["Label"]],
        "createdAt": finding["CreatedAt"],
        "updatedAt": finding["UpdatedAt"],
        "title": finding["Title"],
        "description": finding["Description"],
    }
    return _envelope(finding, kind="GuardDuty Finding", source="aws.guardduty", detail=detail)


def ocsf(finding: dict[str, Any]) -> dict[str, Any]:
    """The new Security Hub's event."""
    region, account, instance = finding["Resources"][0]["Region"], finding["AwsAccountId"], _instance(finding)
    number, name = OCSF_SEVERITY[finding["Severity"]["Label"]]
    created, updated = (
        int(datetime.fromisoformat(finding[field]).timestamp() * 1000) for field in ("CreatedAt", "UpdatedAt")
    )
    owner = {"type": "AWS Account", "type_id": 10, "uid": account}
    product = {"name": "GuardDuty", "uid": f"arn:aws:securityhub:{region}::productv2/aws/guardduty"}
    item = {
        "activity_id": 1,
        "class_name": "Detection Finding",
        "class_uid": 2004,
        "cloud": {"account": owner, "cloud_partition": "aws", "provider": "AWS", "region": region},
        "evidences": [{"data": {"resource_role": "ACTOR"}}],
        "finding_info": {
            "created_time": created,
            "modified_time": updated,
            "title": finding["Title"],
            "desc": finding["Description"],
            "types": ["Threats", "Backdoor:EC2/C&CActivity.B"],
            "uid": finding["Id"],
        },
        "metadata": {
            "product": {**product, "vendor_name": "AWS"},
            "uid": hashlib.sha256(finding["Id"].encode()).hexdigest(),
            "version": "1.8.0",
        },
        "resources": [{"owner": {"account": owner}, "region": region, "type": "AWS::EC2::Instance", "uid": instance}],
        "severity": name,
        "severity_id": number,
        "status": "New",
        "status_id": 1,
    }
    return _envelope(finding, kind="Findings Imported V2", source="aws.securityhub", detail={"findings": [item]})


SHAPES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "security-hub": asff,
    "guardduty": guardduty,
    "security-hub-v2": ocsf,
}
