"""SSM: commands that reach exactly the instances they name, and that agents then drive.

The fleet of agents asks `pending_invocations()` and reports with `Invocation.update()`.
"""

from __future__ import annotations

import dataclasses
import random
import threading
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.core.responses import ActionResult, EmptyResult
from moto.ec2.models import ec2_backends
from moto.ssm.responses import SimpleSystemManagerResponse

from lab.emulator.patches import accounts, ssm_fleet, state
from lab.emulator.patches.patching import add, replace
from lab.emulator.patches.ssm_documents import ResolvedDocument, check_parameters, resolve

STDOUT_CHARACTERS = 24_000
STDERR_CHARACTERS = 8_000
TIMEOUT_LIMITS = (30, 2_592_000)
DEFAULT_TIMEOUT = 3600
TERMINAL = frozenset({"Success", "Failed", "TimedOut", "Cancelled"})
STATUSES = TERMINAL | {"Pending", "InProgress", "Delayed", "Cancelling"}
# as AWS writes them in answers: without blanks (radkawar/stackd, testdata/aws/ssm/managed_execution_timeouts_current.json)
DELIVERY_TIMED_OUT = "DeliveryTimedOut"
EXECUTION_TIMED_OUT = "ExecutionTimedOut"
WAITING = frozenset({"Pending", "Delayed"})
_lock = threading.RLock()
_draws: dict[str, int] = {}


@dataclasses.dataclass
class Invocation:
    """A command on one instance. `timeout_seconds` is how long it may wait for its agent. Times are UTC.

    A `lost` one never reaches its agent; of one whose `answer_lost` is true the agent does the work and SSM hears nothing of it.
    """

    command_id: str
    account_id: str
    region: str
    instance_id: str
    document: dict[str, Any]
    parameters: dict[str, Any]
    comment: str
    output_s3_bucket: str
    output_s3_prefix: str
    timeout_seconds: float
    requested_at: datetime
    document_name: str = ""
    document_version: str = ""
    lost: bool = False
    answer_lost: bool = False
    status: str = "Pending"
    status_details: str = "Pending"
    cancel_requested: bool = False
    response_code: int = -1
    stdout: str = ""
    stderr: str = ""
    step_name: str = ""
    started: datetime | None = None
    ended: datetime | None = None

    def update(
        self,
        *,
        status: str | None = None,
        response_code: int | None = None,
        stdout: str | None = None,
        stderr: str | None = None,
        step_name: str | None = None,
        started: datetime | None = None,
        ended: datetime | None = None,
        status_details: str | None = None,
    ) -> None:
        """What the agent reports; only what is given changes. Raises ValueError for an unknown status."""
        if status is not None and status not in STATUSES:
            raise ValueError(f"{status!r} is not a status of an invocation; known: {', '.join(sorted(STATUSES))}")
        with _lock:
            if self.answer_lost and status in TERMINAL - {"Cancelled"}:
                status, status_details, response_code, stdout, stderr = "TimedOut", DELIVERY_TIMED_OUT, -1, "", ""
            if status is not None and self.status not in TERMINAL:
                self.status = status
                default = EXECUTION_TIMED_OUT if status == "TimedOut" else status
                self.status_details = status_details or default
            if response_code is not None:
                self.response_code = response_code
            if stdout is not None:
                self.stdout = _cut(stdout, STDOUT_CHARACTERS, "\n---Output truncated---")
            if stderr is not None:
                self.stderr = _cut(stderr, STDERR_CHARACTERS, "\n---Error truncated----")
            self.step_name = step_name if step_name is not None else self.step_name
            self.started = started if started is not None else self.started
            self.ended = ended if ended is not None else self.ended
            if self.status in TERMINAL and self.ended is None:
                self.ended = datetime.now(UTC)

    def expire(self) -> None:
        """Give up on an agent that never took the command."""
        with _lock:
            deadline, now = self.requested_at + timedelta(seconds=self.timeout_seconds), datetime.now(UTC)
            if self.status in WAITING and now >= deadline:
                self.status, self.status_details, self.ended = "TimedOut", DELIVERY_TIMED_OUT, deadline
            elif (
                self.lost and self.status == "Pending" and now >= deadline - timedelta(seconds=self.timeout_seconds / 2)
            ):
                self.status = self.status_details = "Delayed"


def _cut(text: str, limit: int, mark: str) -> str:
    return text if len(text) <= limit else text[: limit - len(mark)] + mark


def _of_command(invocation: Invocation) -> str:
    """An invocation as its command counts it: what ran too long has failed, what was not delivered has timed out (stackd)."""
    return "Failed" if invocation.status_details == EXECUTION_TIMED_OUT else invocation.status


@dataclasses.dataclass
class Command:
    """What SendCommand made."""

    command_id: str
    document: ResolvedDocument
    request: dict[str, Any]
    requested_at: datetime
    timeout_seconds: float
    invocations: list[Invocation]
    cancelled: bool = False

    def status(self) -> str:
        """The status of the whole command."""
        states = {_of_command(invocation) for invocation in self.invocations}
        if not states:
            return "Success"
        if not states <= TERMINAL:
            if self.cancelled:
                return "Cancelling"
            return "Pending" if states <= WAITING else "InProgress"
        return next(name for name in ("Cancelled", "TimedOut", "Failed", "Success") if name in states)

    def view(self) -> dict[str, Any]:
        """The command as the API shows it."""
        states = [_of_command(invocation) for invocation in self.invocations]
        status = self.status()
        return {
            "CommandId": self.command_id,
            "DocumentName": self.document.name,
            "DocumentVersion": self.document.version,
            "Comment": self.request["Comment"],
            "ExpiresAfter": self.requested_at + timedelta(seconds=self.timeout_seconds),
            "Parameters": self.request["Parameters"],
            "InstanceIds": [invocation.instance_id for invocation in self.invocations],
            "Targets": self.request["Targets"],
            "RequestedDateTime": self.requested_at,
            "Status": status,
            "StatusDetails": DELIVERY_TIMED_OUT if status == "TimedOut" else status,
            "OutputS3BucketName": self.request["OutputS3BucketName"],
            "OutputS3KeyPrefix": self.request["OutputS3KeyPrefix"],
            "MaxConcurrency": self.request["MaxConcurrency"] or "50",
            "MaxErrors": self.request["MaxErrors"] or "0",
            "TargetCount": len(states),
            "CompletedCount": sum(s in TERMINAL for s in states),
            "ErrorCount": states.count("Failed"),
            "DeliveryTimedOutCount": sum(i.status_details == DELIVERY_TIMED_OUT for i in self.invocations),
            "TimeoutSeconds": int(self.timeout_seconds),
        }


_commands: dict[tuple[str, str], dict[str, Command]] = {}


def forget_commands() -> None:
    """Drop every command; used when a new state folder is opened."""
    with _lock:
        _commands.clear()
        _draws.clear()
    ssm_fleet.forget()


def commands_of(account: str, region: str) -> list[Command]:
    """Every command of an account and Region, in the order in which they were sent."""
    with _lock:
        return list(_commands.get((account, region), {}).values())


def command_states() -> dict[str, str]:
    """Status of every command on every instance, by document, command and instance."""
    with _lock:
        return {
            f"{command.document.name} {command.command_id[:8]} on {invocation.instance_id}": invocation.status
            for commands in _commands.values()
            for command in commands.values()
            for invocation in command.invocations
        }


def pending_invocations() -> list[Invocation]:
    """Invocations that an agent can take now: delivered, its instance managed and able to reach AWS."""
    with _lock:
        waiting = [
            invocation
            for commands in _commands.values()
            for command in commands.values()
            for invocation in command.invocations
            if invocation.status == "Pending"
        ]
    start = timedelta(seconds=state.current().config.ssm_start_seconds)
    ready = []
    for invocation in waiting:
        invocation.expire()
        if invocation.status != "Pending" or invocation.lost or datetime.now(UTC) < invocation.requested_at + start:
            continue
        place = (invocation.account_id, invocation.region, invocation.instance_id)
        if ssm_fleet.ping_status(*place) == "Online":
            ready.append(invocation)
    return ready


def _targets(response: Any) -> list[str]:
    wanted: list[str] = list(response._get_param("InstanceIds") or [])
    backend = ec2_backends[response.current_account][response.region]
    for target in response._get_param("Targets") or []:
        if target["Key"].lower() == "instanceids":
            wanted += target["Values"]
            continue
        found = [i.id for r in backend.all_reservations({target["Key"]: target["Values"]}) for i in r.instances]
        wanted += [i for i in found if ssm_fleet.ping_status(response.current_account, response.region, i)]
    return list(dict.fromkeys(wanted))


def _send(_original: Any) -> Any:
    def send_command(self: Any) -> ActionResult:
        account, region = self.current_account, self.region
        document = resolve(
            account,
            region,
            self._get_param("DocumentName"),
            version=self._get_param("DocumentVersion"),
            digest=self._get_param("DocumentHash"),
            digest_type=self._get_param("DocumentHashType"),
        )
        named = list(self._get_param("InstanceIds") or [])
        unmanaged = [i for i in named if ssm_fleet.ping_status(account, region, i) is None]
        if unmanaged:
            listed = ", ".join(unmanaged)
            raise JsonRESTError(
                "InvalidInstanceId", f"Instances [[{listed}]] not in a valid state for account {account}"
            )
        values = check_parameters(document, self._get_param("Parameters") or {})
        timeout = float(self._get_param("TimeoutSeconds") or DEFAULT_TIMEOUT)
        if not TIMEOUT_LIMITS[0] <= timeout <= TIMEOUT_LIMITS[1]:
            raise JsonRESTError("ValidationException", f"timeoutSeconds {timeout:g} is not between 30 and 2592000")
        command = _make_command(self, document=document, values=values, timeout=timeout)
        with _lock:
            _commands.setdefault((account, region), {})[command.command_id] = command
        return ActionResult({"Command": command.view()})

    return send_command


def _make_command(response: Any, *, document: ResolvedDocument, values: dict[str, Any], timeout: float) -> Command:
    now = datetime.now(UTC)
    override = state.current().config.ssm_delivery_seconds
    waiting = timeout if override is None else override
    names = (
        "Comment",
        "OutputS3BucketName",
        "OutputS3KeyPrefix",
        "OutputS3Region",
        "MaxConcurrency",
        "MaxErrors",
    )
    request = {name: response._get_param(name) or "" for name in names}
    request["Parameters"] = response._get_param("Parameters") or {}
    request["Targets"] = response._get_param("Targets") or []
    command = Command(
        command_id=str(uuid.uuid4()),
        document=document,
        request=request,
        requested_at=now,
        timeout_seconds=timeout,
        invocations=[],
    )
    for instance_id in _targets(response):
        command.invocations.append(
            Invocation(
                command_id=command.command_id,
                account_id=response.current_account,
                region=response.region,
                instance_id=instance_id,
                document=document.content,
                parameters=values,
                comment=request["Comment"],
                output_s3_bucket=request["OutputS3BucketName"],
                output_s3_prefix=request["OutputS3KeyPrefix"],
                timeout_seconds=waiting,
                requested_at=now,
                document_name=document.name,
                document_version=document.version,
            )
        )
        _mishap(command.invocations[-1], from_outside=accounts.from_outside(response.get_access_key()))
    return command


def _mishap(invocation: Invocation, *, from_outside: bool) -> None:
    """What may befall a command, drawn from the lab's seed: a fresh instance loses its first one, an answer is lost."""
    config = state.current().config
    if ssm_fleet.is_first(invocation.instance_id) and _drawn("first lost", config.ssm_first_lost_share):
        invocation.lost = True
        invocation.timeout_seconds = min(invocation.timeout_seconds, config.ssm_lost_seconds)
    elif not from_outside and _drawn("answer", config.ssm_late_answer_share):
        invocation.answer_lost = True


def _drawn(what: str, share: float) -> bool:
    """Whether it happens this time: the same seed gives the same answers in the same order."""
    with _lock:
        number = _draws[what] = _draws.get(what, 0) + 1
    return random.Random(f"{int(state.current().config.hidden_seed)}:{what}:{number}").random() < share


def find_command(response: Any, command_id: str) -> Command:
    with _lock:
        command = _commands.get((response.current_account, response.region), {}).get(command_id)
    if command is None:
        raise JsonRESTError("InvalidCommandId", f"No command {command_id} in this account and Region.")
    for invocation in command.invocations:
        invocation.expire()
    return command


def _cancel(self: Any) -> EmptyResult:
    command = find_command(self, self._get_param("CommandId"))
    wanted = set(self._get_param("InstanceIds") or [i.instance_id for i in command.invocations])
    command.cancelled = True
    for invocation in command.invocations:
        if invocation.instance_id not in wanted or invocation.status in TERMINAL:
            continue
        invocation.cancel_requested = True
        if invocation.status in WAITING:
            invocation.update(status="Cancelled")
        else:
            invocation.update(status="Cancelling")
    return EmptyResult()


def apply() -> None:
    """Install the patch."""
    replace(SimpleSystemManagerResponse, "send_command", _send)
    add(SimpleSystemManagerResponse, "cancel_command", _cancel)
