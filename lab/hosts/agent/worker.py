"""One command on one instance: its document's steps, in order, each in a sandbox of its own."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from lab.hosts import tapes
from lab.hosts.agent import aws, over_ssh
from lab.hosts.agent.interpolation import DocumentError, environment, splice, unmet_precondition
from lab.hosts.agent.machine import MachineError, Machines
from lab.hosts.agent.output import STDERR_CHARACTERS, STDERR_MARK, STDOUT_CHARACTERS, STDOUT_MARK, Capture, cut
from lab.hosts.agent.protocol import AddressOf, InstanceState, Invocation, Reachable
from lab.hosts.agent.tools import ToolsError
from lab.hosts.sandbox import Gate, capabilities, execute
from lab.hosts.sandbox.runner import Outcome

log = logging.getLogger("lab.hosts.agent")

ACTION = "aws:runShellScript"
DEFAULT_SECONDS = 3600.0
TIMEOUT_CODE = 137
# Where an agent on a real instance keeps and starts a script.
_ORCHESTRATION = "/var/lib/amazon/ssm/{instance}/document/orchestration/{command}/awsrunShellScript/{step}/_script.sh"
_WORKING_DIRECTORY = "/usr/bin"
_RUNNING_STATES = ("pending", "running")

Status = Literal["Success", "Failed", "TimedOut", "Cancelled"]


@dataclasses.dataclass(frozen=True)
class StepResult:
    """How a step ended. `details` is SSM's StatusDetails where it differs from the status."""

    status: Status
    code: int
    details: str | None = None


@dataclasses.dataclass(frozen=True)
class Surroundings:
    """What every worker of a fleet shares."""

    endpoint: str
    machines: Machines
    reachable: Reachable
    instance_state: InstanceState
    address_of: AddressOf
    stopping: Callable[[], bool]
    scratch: Path
    shelf: tapes.Shelf | None = None


class Worker:
    """Runs one invocation; `run` never raises: whatever happens ends up in the invocation's status."""

    def __init__(self, invocation: Invocation, *, surroundings: Surroundings) -> None:
        self.invocation = invocation
        self.around = surroundings
        self.where = (invocation.account_id, invocation.region, invocation.instance_id)
        self.stdout: list[str] = []
        self.stderr: list[str] = []
        self.outputs: dict[str, bytes] = {}
        self.said: list[tuple[str, str, str]] = []

    def run(self) -> None:
        """Run all steps and report."""
        invocation = self.invocation
        invocation.update(status="InProgress", started=datetime.now(UTC))
        if invocation.status not in ("InProgress", "Cancelling"):
            return  # cancelled before it began
        try:
            result = self._result()
        except (DocumentError, MachineError, ToolsError, tapes.ShelfError) as error:
            self.stderr.append(f"{error}\n")
            result = StepResult("Failed", 1)
        except Exception as error:
            log.exception("command %s on %s: the lab's agent broke", invocation.command_id, invocation.instance_id)
            self.stderr.append(f"the lab's agent broke: {type(error).__name__}: {error}; see the lab's log\n")
            result = StepResult("Failed", 1)
        self._upload()
        invocation.update(
            status=result.status,
            status_details=result.details,
            response_code=result.code,
            stdout=cut("".join(self.stdout), limit=STDOUT_CHARACTERS, mark=STDOUT_MARK),
            stderr=cut("".join(self.stderr), limit=STDERR_CHARACTERS, mark=STDERR_MARK),
            ended=datetime.now(UTC),
        )

    def _result(self) -> StepResult:
        """The command run; or recorded, or played from a tape where the lab's mode says so and a tape exists."""
        shelf = self.around.shelf
        if shelf is None or shelf.mode == "real":
            return self._steps()
        source = self.around.address_of(*self.where)
        if shelf.mode == "record":
            with shelf.recording(self.invocation, address=source) as recording:
                result = self._steps()
                recording.ended(status=result.status, code=result.code, details=result.details, outputs=self.said)
            return result
        found = shelf.find(self.invocation)
        if found is None:
            log.warning("command %s: no tape of such a command, so it is run", self.invocation.command_id)
            return self._steps()
        played = tapes.play(found, self.invocation, source=source, stop=self._reason_to_stop)
        if isinstance(played, str):
            return self._stopped(played, name="tape")
        for name, stdout, stderr in played.outputs:
            self._say(name, stdout=stdout.encode(), stderr=stderr.encode())
        return StepResult(played.status, played.code, played.details)

    def _steps(self) -> StepResult:
        """As the agent: a failed step does not keep later ones from running unless its inputs say
        onFailure: exit.
        """
        steps = self.invocation.document.get("mainSteps") or []
        if not steps:
            raise DocumentError("the document has no mainSteps; the lab's agents run schema 2.2")
        total = StepResult("Success", 0)
        leaving = False
        for step in steps:
            inputs = step.get("inputs") or {}
            if leaving and not inputs.get("finallyStep"):
                continue
            result = self._step(step)
            if result.status != "Success" and total.status == "Success":
                total = result
            if result.status == "Cancelled" or result.details == "Undeliverable":
                return result
            on_end = inputs.get("onSuccess" if result.status == "Success" else "onFailure")
            leaving = leaving or on_end == "exit"
        return total

    def _step(self, step: dict[str, Any]) -> StepResult:
        invocation = self.invocation
        name = str(step.get("name") or "unnamed")
        context: dict[str, Any] = {"document": invocation.document, "parameters": invocation.parameters}
        if step.get("action") != ACTION:
            self.stderr.append(
                f"step {name}: the lab's agents run {ACTION} only, not {step.get('action')}; "
                "change the document, or try it on AWS\n"
            )
            return StepResult("Failed", 1)
        if unmet := unmet_precondition(step, **context):
            self.stdout.append(f"Step {name} was skipped, its precondition does not hold here ({unmet}).\n")
            return StepResult("Success", 0)
        invocation.update(step_name=name)
        if full := self.around.machines.facts(invocation.instance_id).get("disk_full"):
            return self._without_plugin(name, skips=full == "skips")
        inputs = step.get("inputs") or {}
        commands = splice(inputs.get("runCommand") or [], **context, script=True)
        script = "\n".join(str(line) for line in (commands if isinstance(commands, list) else [commands]))
        directory = str(splice(inputs.get("workingDirectory") or "", **context))
        seconds = _seconds(splice(inputs.get("timeoutSeconds"), **context), step=name)
        return self._script(script + "\n", name=name, directory=directory, seconds=seconds)

    def _without_plugin(self, name: str, *, skips: bool) -> StepResult:
        """An agent whose root volume is full or read-only cannot set up its plugins and says that there are none.

        aws/amazon-ssm-agent#90. Newer agents skip such a step of a document of schema 2.2, and the command succeeds
        (agent/framework/runpluginutil/runpluginutil.go).
        """
        if skips:
            self.stdout.append(f"Step execution skipped due to unsupported plugin: {ACTION}. Step name: {name}\n")
            return StepResult("Success", 0)
        self.stderr.append(f"Plugin with name {ACTION} not found. Step name: {name}\n")
        return StepResult("Failed", 1)

    def _script(self, script: str, *, name: str, directory: str, seconds: float) -> StepResult:
        invocation = self.invocation
        endpoint = urlsplit(self.around.endpoint)
        host, port = endpoint.hostname or "127.0.0.1", endpoint.port or 80
        machines = self.around.machines
        facts = machines.facts(invocation.instance_id)
        spec = dataclasses.replace(
            machines.spec(invocation.instance_id, script=script, port=port),
            script_path=_ORCHESTRATION.format(
                instance=invocation.instance_id, command=invocation.command_id, step=name.replace("/", "_")
            ),
            cwd=directory or _WORKING_DIRECTORY,
            environment=self._environment(facts),
        )
        stdout, stderr = Capture(), Capture()
        if facts.get("ssh"):
            outcome = over_ssh.execute(
                facts["ssh"],
                script=script,
                environment=self._environment(facts),
                timeout_seconds=seconds,
                stdout=stdout.write,
                stderr=stderr.write,
                stop=self._reason_to_stop,
            )
            return self._ended(outcome, name=name, stdout=stdout, stderr=stderr)
        source = self.around.address_of(*self.where)
        gate = Gate((host, port), reachable=lambda: self.around.reachable(*self.where), source=source)
        try:
            outcome = execute(
                spec,
                timeout_seconds=seconds,
                stdout=stdout.write,
                stderr=stderr.write,
                stop=self._reason_to_stop,
                gate=gate,
                reduced=capabilities().mode == "reduced",
                scratch=self.around.scratch,
            )
        finally:
            gate.close()
        return self._ended(outcome, name=name, stdout=stdout, stderr=stderr)

    def _ended(self, outcome: Outcome, *, name: str, stdout: Capture, stderr: Capture) -> StepResult:
        """Keep the output and say how the step ended."""
        invocation = self.invocation
        self._keep(name, stdout=stdout, stderr=stderr)
        if outcome.notes:
            log.info("command %s, step %s: %s", invocation.command_id, name, "; ".join(outcome.notes))
        if outcome.how == "exited":
            return StepResult("Success" if outcome.code == 0 else "Failed", outcome.code)
        if outcome.how == "stopped":
            return self._stopped(outcome.reason, name=name)
        self.stderr.append(f"step {name}: {outcome.reason}\n")
        if outcome.how == "timed-out":
            return StepResult("TimedOut", TIMEOUT_CODE, "ExecutionTimedOut")
        return StepResult("Failed", 1)

    def _stopped(self, reason: str, *, name: str) -> StepResult:
        self.stderr.append(f"step {name}: {reason}\n")
        if self.invocation.cancel_requested:
            return StepResult("Cancelled", TIMEOUT_CODE)
        return StepResult("Failed", TIMEOUT_CODE, "Undeliverable")

    def _environment(self, facts: dict[str, Any]) -> dict[str, str]:
        """The variables an agent sets, and those of the document's parameters."""
        invocation = self.invocation
        return {
            "AWS_SSM_INSTANCE_ID": invocation.instance_id,
            "AWS_SSM_REGION_NAME": invocation.region,
            "AWS_SSM_PLATFORM_NAME": str(facts.get("platform_name") or "Linux"),
            "AWS_SSM_PLATFORM_VERSION": str(facts.get("platform_version") or ""),
            "SSM_COMMAND_ID": invocation.command_id,
        } | environment(invocation.document, parameters=invocation.parameters)

    def _reason_to_stop(self) -> str | None:
        if self.invocation.cancel_requested:
            return "the command was cancelled"
        if self.around.stopping():
            return "the lab was stopped while the command ran"
        state = self.around.instance_state(*self.where)
        if state is not None and state not in _RUNNING_STATES:
            return f"Terminated: the instance went to {state} while the command ran"
        return None

    def _keep(self, name: str, *, stdout: Capture, stderr: Capture) -> None:
        self._say(name, stdout=stdout.data(), stderr=stderr.data())
        for stream, capture in (("stdout", stdout), ("stderr", stderr)):
            if capture.dropped:
                log.warning(
                    "command %s, step %s: %d bytes of %s beyond the first %d were dropped",
                    self.invocation.command_id, name, capture.dropped, stream, capture.limit,
                )  # fmt: skip

    def _say(self, name: str, *, stdout: bytes, stderr: bytes) -> None:
        """What a step wrote: for SSM as text, for the bucket as it is."""
        texts = (stdout.decode(errors="replace"), stderr.decode(errors="replace"))
        self.stdout.append(texts[0])
        self.stderr.append(texts[1])
        self.said.append((name, *texts))
        invocation = self.invocation
        parts = [invocation.output_s3_prefix.strip("/"), invocation.command_id, invocation.instance_id]
        folder = "/".join([part for part in parts if part] + ["awsrunShellScript", name])
        self.outputs |= {
            f"{folder}/{stream}": data for stream, data in (("stdout", stdout), ("stderr", stderr)) if data
        }

    def _upload(self) -> None:
        invocation = self.invocation
        if not invocation.output_s3_bucket or not self.outputs:
            return
        started = time.monotonic()
        try:
            aws.put_output(
                self.around.endpoint,
                account=invocation.account_id,
                region=invocation.region,
                bucket=invocation.output_s3_bucket,
                outputs=self.outputs,
            )
        except (BotoCoreError, ClientError) as error:
            # As the agent: an output that cannot be stored is logged and does not change the command's
            # outcome.
            log.warning(
                "command %s: its output could not be stored in s3://%s after %.1f s: %s",
                invocation.command_id, invocation.output_s3_bucket, time.monotonic() - started, error,
            )  # fmt: skip


def _seconds(value: Any, *, step: str) -> float:
    if value in (None, ""):
        return DEFAULT_SECONDS
    try:
        seconds = float(value)
    except (TypeError, ValueError) as error:
        raise DocumentError(f"step {step}: timeoutSeconds {value!r} is not a number of seconds") from error
    if not 1 <= seconds <= 172_800:
        raise DocumentError(f"step {step}: timeoutSeconds {seconds:g} is not between 1 and 172800")
    return seconds
