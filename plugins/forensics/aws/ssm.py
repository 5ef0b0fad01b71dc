"""SSM: which instances an agent answers on, commands and their results, parameters."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

from forensics.aws.error_map import aws_errors, error_code
from forensics.aws.session import AwsSession
from forensics.aws.visibility import until
from forensics.errors import AwsError
from forensics.models.base import Model
from forensics.models.target import SsmStatus
from forensics.printable import one_line, single_lines

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient
    from mypy_boto3_ssm.type_defs import CommandTypeDef, DocumentDescriptionTypeDef

# The query of a presigned URL is a credential; what a host prints goes into the case and to people.
_SIGNED = re.compile(r"(https?://[^\s?\"']+)\?[^\s\"']*X-Amz-[^\s\"':]*")
LIVING = frozenset({"Pending", "InProgress"})
_CLOCKS_DIFFER = timedelta(seconds=60)  # of a worker and of SSM, at most
TERMINAL = frozenset({"Success", "Failed", "TimedOut", "Cancelled"})
# StatusDetails of what no agent has answered; the user guide writes them with blanks, the API without.
_UNDELIVERED = frozenset({"DeliveryTimedOut", "Undeliverable"})
# Levels of a status line; what is written of it later (text, JSON) would end in RecursionError.
_LEVELS = 10
# An agent whose root volume is full or read-only cannot set up its plugins: it says that there are none, or skips the step
# (aws/amazon-ssm-agent#90; agent/framework/runpluginutil/runpluginutil.go).
_NO_PLUGIN = re.compile(r"Plugin with name \S+ (?:is )?not found\.|skipped due to unsupported plugin: \S+")
_FULL_DISK = (
    "the root volume of the instance is probably full or read-only: its agent could not set up the document's plugin"
)
FREE_THE_DISK = (
    "look at the free space and inodes of the instance's root volume (console output, CloudWatch agent) and at its mount options; "
    "making room changes evidence, so wait until the disks are acquired, then clear this task"
)
ASK_THE_AGENT = (
    "the agent took the command and did not answer, or never saw it (PingStatus may be minutes old): see in EC2 whether the instance "
    "runs, and in Session Manager whether it is connected; then clear this task"
)
# A new document is Creating, a new version of one Updating, for a moment: so long, in seconds, is it waited for.
ACTIVE_WITHIN = 30.0
_BECOMING = frozenset({"Creating", "Updating"})
# Pages of living commands that are read in one look: 3,000 commands of each state; other teams' are among them.
MOST_LIVING_PAGES = 60
# So many of a document's newest versions are looked at for the one that this release has.
MOST_VERSIONS = 30


def _digest(document: DocumentDescriptionTypeDef) -> str:
    return str(document.get("Hash", "")).lower()


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

    @property
    def waiting(self) -> bool:
        """Whether no agent has taken it yet."""
        return self.status in {"Pending", "Delayed"}

    @property
    def undelivered(self) -> bool:
        """Whether it ended without any answer of the host.

        Then it has nearly always not run, as on a host that has just booted; but the answer alone may be lost. Whoever asks again
        looks first at what landed.
        """
        return self.finished and self.detail.replace(" ", "") in _UNDELIVERED and self.exit_code == -1

    @property
    def without_plugin(self) -> bool:
        """Whether the agent could not start the document at all, which is how a full root volume shows."""
        return bool(_NO_PLUGIN.search(f"{self.stdout}\n{self.stderr}")) and not self.status_line()

    def next_action(self, default: str) -> str:
        """What a person does about a command that did not end well; ``default`` where its output says why."""
        if self.without_plugin:
            return FREE_THE_DISK
        return ASK_THE_AGENT if self.undelivered else default

    def status_line(self) -> dict[str, Any]:
        """The JSON object on the last line of stdout; empty when there is none (never trusted blindly).

        Every text in it is one visible line: a host writes whatever it likes.
        """
        for line in reversed(self.stdout.strip().splitlines()):
            text = line.strip()
            if text.startswith("{"):
                try:
                    found = single_lines(json.loads(text), levels=_LEVELS)
                except (ValueError, RecursionError):  # the host decides how deep it nests
                    return {}
                return found if isinstance(found, dict) else {}
        return {}

    def cause(self) -> str:
        """One line on how it ended, for a person."""
        reason = str(self.status_line().get("reason") or "").strip()
        last_error = next((line for line in reversed(self.stderr.strip().splitlines()) if line.strip()), "")
        said = one_line(_SIGNED.sub(r"\1", reason or last_error or "no output"))
        if self.without_plugin:
            said = f"{_FULL_DISK} ({said})"
        return f"command {self.command_id} on {self.instance_id} ended {self.detail or self.status} (exit {self.exit_code}): {said}"


@dataclass(frozen=True)
class ExpectedCommand:
    """What a command of this case is known by: ``manifest`` is the address of its manifest, without the query that signs it.

    ``unrecorded_since``: the try that recorded nothing yet may have sent one that has ended by now, not before this time.
    ``recorded`` is the command of the try before it.
    """

    comment: str
    document: str
    sha256: str
    manifest: str
    unrecorded_since: datetime | None = None
    recorded: str | None = None


@dataclass(frozen=True)
class FoundCommand:
    """The case's own command, if it lives, and (id, why not) of those that only carry its comment."""

    command_id: str | None = None
    strange: tuple[tuple[str, str], ...] = ()


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

    def document_version(self, name: str, sha256: str) -> str:
        """The number of the document's version with this content (never sent as $DEFAULT), once it is active.

        The default version is another one as long as an account has documents of a newer release than Airflow has, or of an
        older one: versions stay beside each other, and every release sends its own. Raises :class:`AwsError` when there is none,
        and when it does not become active: SSM would refuse the command as InvalidDocument.
        """
        found = self._pinned_document(name, sha256)
        state = str(found.get("Status") or "Active")
        if state != "Active":
            msg = (
                f"SSM document {name} {self._where} is {state}: {found.get('StatusInformation') or 'SSM says no more'}"
            )
            raise AwsError(msg, next_action=f"deploy the stack that has {name} again, then clear this task")
        if (digest := _digest(found)) != sha256:
            msg = (
                f"SSM document {name} {self._where} has no version with the SHA-256 of this release, {sha256[:12]}…: its default"
                f" version {found.get('DocumentVersion')} has {digest[:12] or 'none'}…"
            )
            raise AwsError(msg, next_action=f"deploy the stack that has {name} of this release, then clear this task")
        return str(found["DocumentVersion"])

    def document_hash(self, name: str, sha256: str) -> tuple[str, str]:
        """SHA-256 and status (``Active``) of the version with this content, else of the default version."""
        found = self._pinned_document(name, sha256)
        return _digest(found), str(found.get("Status", ""))

    def _pinned_document(self, name: str, sha256: str) -> DocumentDescriptionTypeDef:
        """The default version if it has this content, else the newest that has it, else the default version.

        Versions are counted from 1 and those that were deleted leave a gap (``LatestVersion``: DocumentDescription, SSM API
        reference), so that nothing has to be listed and the roles need no permission to.
        """
        default = self._settled_document(name)
        if _digest(default) == sha256:
            return default
        newest = str(default.get("LatestVersion") or default.get("DocumentVersion") or "")
        count = int(newest) if newest.isdigit() else 0
        for version in range(count, max(0, count - MOST_VERSIONS), -1):
            found = self._version_of(name, str(version))
            if found is not None and _digest(found) == sha256:
                return found
        return default

    def _version_of(self, name: str, version: str) -> DocumentDescriptionTypeDef | None:
        try:
            with aws_errors(f"describe version {version} of SSM document {name} {self._where}"):
                return self._ssm.describe_document(Name=name, DocumentVersion=version)["Document"]
        except AwsError as error:
            if error_code(error) == "InvalidDocumentVersion":
                return None
            raise

    def _settled_document(self, name: str) -> DocumentDescriptionTypeDef:
        """The document as it is when it is no longer becoming something, or after :data:`ACTIVE_WITHIN`."""

        def describe() -> DocumentDescriptionTypeDef:
            with aws_errors(f"describe SSM document {name} {self._where}"):
                return self._ssm.describe_document(Name=name)["Document"]

        return until(describe, lambda found: found.get("Status") not in _BECOMING, seconds=ACTIVE_WITHIN)

    def settled_status(self, instance_id: str, *, seconds: float) -> SsmStatus:
        """As :meth:`status`, asked again while the agent is not online: PingStatus follows a host that has just come back late.

        :param seconds: for how long
        """
        return until(lambda: self.status(instance_id), lambda found: found.online, seconds=seconds)

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

    def find_command(self, *, instance_id: str, expected: ExpectedCommand) -> FoundCommand:
        """The newest command that is still pending or running on the instance and is what an earlier try would have sent.

        With ``unrecorded_since`` also one that has ended, when it is the newest: its sender died before it could write down the id.
        Anybody who may send commands chooses their comments. So a comment only finds it; what it runs, by content, and where that
        sends its results make it the case's own.
        """
        with aws_errors(f"list commands on {instance_id} {self._where}"):
            pages = self._ssm.get_paginator("list_commands").paginate(InstanceId=instance_id)
            commands = [c for page in pages for c in page["Commands"]]
        named = [c for c in commands if c.get("Comment") == expected.comment]
        live = [c for c in named if c.get("Status") in LIVING]
        strange: list[tuple[str, str]] = []
        for command in sorted(live, key=lambda c: c["RequestedDateTime"], reverse=True):
            why = self._why_strange(command, expected)
            if why is None:
                return FoundCommand(command["CommandId"], tuple(strange))
            strange.append((command["CommandId"], why))
        return FoundCommand(self._ended(named, expected), tuple(strange))

    def _ended(self, named: Sequence[CommandTypeDef], expected: ExpectedCommand) -> str | None:
        since = expected.unrecorded_since
        if since is None:
            return None
        ended = [c for c in named if c.get("Status") not in LIVING and c["RequestedDateTime"] >= since - _CLOCKS_DIFFER]
        for command in sorted(ended, key=lambda c: c["RequestedDateTime"], reverse=True):
            if command["CommandId"] == expected.recorded:
                return None
            if self._why_strange(command, expected) is None:
                return command["CommandId"]
        return None

    def _why_strange(self, command: CommandTypeDef, expected: ExpectedCommand) -> str | None:
        name, version = command.get("DocumentName", ""), command.get("DocumentVersion", "")
        if name.rpartition("/")[2] != expected.document:
            return f"it runs the document {name}, not {expected.document}"
        if not version.isdigit():
            return f"it names no version of {name} ({version or 'none'})"
        with aws_errors(f"describe version {version} of SSM document {name} {self._where}"):
            digest = self._ssm.describe_document(Name=name, DocumentVersion=version)["Document"].get("Hash", "")
        if digest.lower() != expected.sha256:
            return f"version {version} of {name} has SHA-256 {digest or 'unknown'}, not {expected.sha256}"
        manifest = (command.get("Parameters", {}).get("ManifestUrl") or [""])[0].partition("?")[0]
        return (
            None if manifest == expected.manifest else f"its manifest is {manifest or 'none'}, not {expected.manifest}"
        )

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

    def is_busy(self, instance_id: str) -> bool:
        """Whether any command runs on the instance now; while some do, others may have to wait for their turn."""
        with aws_errors(f"list commands on {instance_id} {self._where}"):
            pages = self._ssm.get_paginator("list_commands").paginate(InstanceId=instance_id)
            return any(c.get("Status") in {"InProgress", "Cancelling"} for page in pages for c in page["Commands"])

    def living(self, *, most_pages: int = MOST_LIVING_PAGES) -> frozenset[str] | None:
        """Ids of the commands of this account and Region that have not ended; None where there are too many to list.

        One that is not among them has probably ended: a list may lag, so that whoever needs to know asks for it by its id. The states that
        ListCommands filters by: CommandFilter, SSM API reference; 50 commands on a page.
        """
        found: set[str] = set()
        # in this order: one that begins meanwhile is in the first list already
        for status in ("Pending", "InProgress"):
            with aws_errors(f"list commands that are {status} {self._where}"):
                pages = self._ssm.get_paginator("list_commands").paginate(
                    Filters=[{"key": "Status", "value": status}], PaginationConfig={"PageSize": 50}
                )
                for number, page in enumerate(pages):
                    if number >= most_pages:
                        return None
                    found.update(c["CommandId"] for c in page["Commands"] if c.get("Status") in LIVING)
        return frozenset(found)

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
