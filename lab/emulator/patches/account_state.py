"""What an account says of a role, a resource and its sessions, as far as moto has it not.

IAM: reports of the services that a role called last are there at the second look (API reference, *GenerateServiceLastAccessedDetails*).
Config: without a recorder there is no history; with one, EC2's resources have one item of now (*GetResourceConfigHistory*). Systems
Manager: sessions that were started on an instance (*DescribeSessions*, *StartSession*, *TerminateSession*).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from moto.config.responses import ConfigResponse
from moto.core.exceptions import JsonRESTError
from moto.core.responses import ActionResult
from moto.ec2.models import ec2_backends
from moto.iam.responses import IamResponse
from moto.ssm.responses import SimpleSystemManagerResponse

from lab.emulator.patches.patching import add, replace

_jobs: dict[str, dict[str, Any]] = {}
_sessions: dict[tuple[str, str], list[dict[str, Any]]] = {}


def _generate(self: Any) -> ActionResult:
    job = str(uuid.uuid4())
    _jobs[job] = {"arn": self._get_param("Arn"), "looks": 0, "made": datetime.now(UTC)}
    return ActionResult({"JobId": job})


def _details(self: Any) -> ActionResult:
    job = _jobs[self._get_param("JobId")]
    job["looks"] += 1
    if job["looks"] == 1:
        return ActionResult(
            {
                "JobStatus": "IN_PROGRESS",
                "JobCreationDate": job["made"],
                "JobCompletionDate": job["made"],
                "ServicesLastAccessed": [],
            }
        )
    s3 = {
        "ServiceName": "Amazon S3", "ServiceNamespace": "s3", "LastAuthenticated": job["made"], "LastAuthenticatedEntity": job["arn"],
        "LastAuthenticatedRegion": "eu-central-1", "TotalAuthenticatedEntities": 1,
    }  # fmt: skip
    never = {"ServiceName": "AWS Key Management Service", "ServiceNamespace": "kms", "TotalAuthenticatedEntities": 0}
    return ActionResult(
        {
            "JobStatus": "COMPLETED",
            "JobCreationDate": job["made"],
            "JobCompletionDate": job["made"],
            "ServicesLastAccessed": [s3, never],
        }
    )


def _history(original: Callable[[Any], str]) -> Callable[[Any], str]:
    def get_resource_config_history(self: Any) -> str:
        kind, resource = str(self._get_param("resourceType")), str(self._get_param("resourceId"))
        if not self.config_backend.recorders:
            raise JsonRESTError(
                "NoAvailableConfigurationRecorderException", "There are no configuration recorders available."
            )
        if not kind.startswith("AWS::EC2::"):
            raise JsonRESTError(
                "ResourceNotDiscoveredException",
                f"Resource {resource} of resourceType:{kind} is unknown or has not been discovered",
            )
        backend = ec2_backends[self.current_account][self.region]
        known = {*backend.enis, *(g for groups in backend.groups.values() for g in groups)}
        known |= {i.id for r in backend.reservations.values() for i in r.instances}
        if resource not in known:
            raise JsonRESTError(
                "ResourceNotDiscoveredException",
                f"Resource {resource} of resourceType:{kind} is unknown or has not been discovered",
            )
        now = datetime.now(UTC).timestamp()
        item = {
            "version": "1.3", "accountId": self.current_account, "configurationItemCaptureTime": now, "configurationItemStatus": "OK",
            "configurationStateId": str(int(now * 1000)), "resourceType": kind, "resourceId": resource, "awsRegion": self.region,
            "relatedEvents": [], "relationships": [], "configuration": json.dumps({"id": resource}),
        }  # fmt: skip
        return json.dumps({"configurationItems": [item]})

    return get_resource_config_history


def _start_session(self: Any) -> ActionResult:
    target, name = str(self._get_param("Target")), f"operator-{uuid.uuid4().hex[:17]}"
    session = {
        "SessionId": name, "Target": target, "Status": "Connected", "StartDate": datetime.now(UTC).timestamp(),
        "Owner": f"arn:aws:sts::{self.current_account}:assumed-role/operators/operator",
        "DocumentName": self._get_param("DocumentName") or "SSM-SessionManagerRunShell",
    }  # fmt: skip
    _sessions.setdefault((self.current_account, self.region), []).append(session)
    return ActionResult(
        {
            "SessionId": name,
            "TokenValue": "token",
            "StreamUrl": f"wss://ssmmessages.{self.region}.amazonaws.com/v1/data-channel/{name}",
        }
    )


def _terminate_session(self: Any) -> ActionResult:
    for session in _sessions.get((self.current_account, self.region), []):
        if session["SessionId"] == self._get_param("SessionId"):
            session |= {"Status": "Terminated", "EndDate": datetime.now(UTC).timestamp()}
    return ActionResult({"SessionId": self._get_param("SessionId")})


def _describe_sessions(self: Any) -> ActionResult:
    wanted = {f["key"]: f["value"] for f in self._get_param("Filters") or []}
    active = self._get_param("State") == "Active"
    found = [
        s
        for s in _sessions.get((self.current_account, self.region), [])
        if active is (s["Status"] == "Connected") and wanted.get("Target", s["Target"]) == s["Target"]
    ]
    return ActionResult({"Sessions": sorted(found, key=lambda s: -s["StartDate"])})


def apply() -> None:
    """Install the patch."""
    add(IamResponse, "generate_service_last_accessed_details", _generate)
    add(IamResponse, "get_service_last_accessed_details", _details)
    replace(ConfigResponse, "get_resource_config_history", _history)
    add(SimpleSystemManagerResponse, "start_session", _start_session)
    add(SimpleSystemManagerResponse, "terminate_session", _terminate_session)
    add(SimpleSystemManagerResponse, "describe_sessions", _describe_sessions)
