"""SSM: which instances an agent answers on, commands and their results, parameters."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from forensics.aws.error_map import aws_errors, error_code
from forensics.aws.session import AwsSession
from forensics.errors import AwsError
from forensics.models.base import Model
from forensics.models.target import SsmStatus

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

# The query of a presigned URL is a credential; what a host prints goes into the case and to people.
_SIGNED = re.compile(r"(https?://[^\s?\"']+)\?[^\s\"']*X-Amz-[^\s\"':]*")
TERMINAL = frozenset({"Success", "Failed", "TimedOut", "Cancelled"})


class Invocation(Model):
    """One command on one instance, as GetCommandInvocation shows it."""

    command_id: str
    instance_id: str
    status: str
    detail: str = ""
    exit_code: int = -1
    stdout: str = ""
    stderr: str = ""
    started: str = ""
    ended: str = ""

    @property
    def finished(self) -> bool:
        """Whether SSM will not change this any more."""
        return self.status in TERMINAL

    def status_line(self) -> dict[str, Any]:
        """The JSON object on the last line of stdout; empty when there is none (never trusted blindly)."""
        for line in reversed(self.stdout.strip().splitlines()):
            text = line.strip()
            if text.startswith("{"):
                try:
                    found = json.loads(text)
                except ValueError:
                    return {}
                return found if isinstance(found, dict) else {}
        return {}

    def cause(self) -> str:
        """One line on how it ended, for a person."""
        reason = str(self.status_line().get("reason") or "").strip()
        last_error = next((line for line in reversed(self.stderr.strip().splitlines()) if line.strip()), "")
        said = _SIGNED.sub(r"\1", reason or last_error or "no output")
        return f"command {self.command_id} on {self.instance_id} ended {self.detail or self.status} (exit {self.exit_code}): {said[:500]}"


class SsmGateway:
    """SSM calls in one account and Region."""

    def __init__(self, client: SSMClient, *, account_id: str, region: str) -> None:
        self._ssm = client
        self.account_id = account_id
        self.region = region

    @classmethod
    def of(cls, session: AwsSession) -> Self:
        """The gateway of a session's account and Region."""
        return cls(session.ssm, account_id=session.account_id, region=session.region)

    @property
    def _where(self) -> str:
        return f"in account {self.account_id}, {self.region}"

    def status(self, instance_id: str) -> SsmStatus:
        """What SSM knows of the instance; an unmanaged one is a normal answer, not an error."""
        with aws_errors(f"ask SSM about {instance_id} {self._where}"):
            answer = self._ssm.describe_instance_information(Filters=[{"Key": "InstanceIds", "Values": [instance_id]}])
        found = next((i for i in answer["InstanceInformationList"] if i["InstanceId"] == instance_id), None)
        if found is None:
            return SsmStatus()
        return SsmStatus(
            managed=True,
            ping=found.get("PingStatus"),
            agent_version=found.get("AgentVersion"),
            platform_type=found.get("PlatformType"),
            platform_name=found.get("PlatformName"),
            platform_version=found.get("PlatformVersion"),
        )

    def document_version(self, name: str) -> str:
        """The explicit version number of the document's default version (never sent as $DEFAULT)."""
        with aws_errors(f"describe SSM document {name} {self._where}"):
            return str(self._ssm.describe_document(Name=name)["Document"]["DocumentVersion"])

    def document_hash(self, name: str) -> tuple[str, str]:
        """SHA-256 of the content of a document's default version, and its status (``Active``)."""
        with aws_errors(f"describe SSM document {name} {self._where}"):
            found = self._ssm.describe_document(Name=name)["Document"]
        return str(found.get("Hash", "")).lower(), str(found.get("Status", ""))

    def send(
        self,
        *,
        document: str,
        version: str,
        sha256: str,
        instance_id: str,
        parameters: dict[str, str],
        comment: str,
        timeout_seconds: int,
        delivery_seconds: int = 120,
    ) -> str:
        """Send a document, pinned by version and SHA-256 hash; returns the command id."""
        given = {name: [value] for name, value in parameters.items()}

        with aws_errors(f"send {document} to {instance_id} {self._where}"):
            answer = self._ssm.send_command(
                InstanceIds=[instance_id],
                DocumentName=document,
                DocumentVersion=version,
                DocumentHash=sha256,
                DocumentHashType="Sha256",
                Parameters=given,
                Comment=comment[:100],
                TimeoutSeconds=delivery_seconds,
            )
        return str(answer["Command"]["CommandId"])

    def find_command(self, *, instance_id: str, comment: str) -> str | None:
        """A command with this comment that is still pending or running on the instance: an earlier try's."""
        with aws_errors(f"list commands on {instance_id} {self._where}"):
            pages = self._ssm.get_paginator("list_commands").paginate(InstanceId=instance_id)
            commands = [c for page in pages for c in page["Commands"]]
        live = [c for c in commands if c.get("Comment") == comment and c.get("Status") in {"Pending", "InProgress"}]
        newest = max(live, key=lambda c: c["RequestedDateTime"], default=None)
        return newest["CommandId"] if newest else None

    def invocation(self, *, command_id: str, instance_id: str) -> Invocation | None:
        """The command's state on the instance; None while SSM does not show it yet (it is not there at once)."""
        try:
            with aws_errors(f"read command {command_id} on {instance_id} {self._where}"):
                answer = self._ssm.get_command_invocation(CommandId=command_id, InstanceId=instance_id)
        except AwsError as error:
            if error_code(error) == "InvocationDoesNotExist":
                return None
            raise
        return Invocation(
            command_id=command_id,
            instance_id=instance_id,
            status=answer["Status"],
            detail=answer.get("StatusDetails", ""),
            exit_code=int(answer.get("ResponseCode", -1)),
            stdout=answer.get("StandardOutputContent", ""),
            stderr=answer.get("StandardErrorContent", ""),
            started=_text(answer.get("ExecutionStartDateTime")),
            ended=_text(answer.get("ExecutionEndDateTime")),
        )

    def cancel(self, *, command_id: str, instance_id: str) -> None:
        """Cancel a command on the instance."""
        with aws_errors(f"cancel command {command_id} on {instance_id} {self._where}"):
            self._ssm.cancel_command(CommandId=command_id, InstanceIds=[instance_id])

    def parameter(self, name: str) -> str:
        """Value of an SSM parameter."""
        with aws_errors(f"read SSM parameter {name} {self._where}"):
            return str(self._ssm.get_parameter(Name=name)["Parameter"]["Value"])


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value or "")
