"""SSM: how commands and their invocations are shown."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.core.responses import ActionResult
from moto.ssm.responses import SimpleSystemManagerResponse

from lab.emulator.patches import state
from lab.emulator.patches.patching import add, replace
from lab.emulator.patches.ssm import Command, Invocation, commands_of, find_command


def _select(response: Any) -> list[tuple[Command, Invocation]]:
    command_id, instance_id = response._get_param("CommandId"), response._get_param("InstanceId")
    if command_id:
        commands = [find_command(response, command_id)]
    else:
        commands = commands_of(response.current_account, response.region)
    pairs = [(c, i) for c in commands for i in c.invocations if instance_id in (None, i.instance_id)]
    for _command, invocation in pairs:
        invocation.expire()
    return pairs


def _visible(command: Command) -> bool:
    age = (datetime.now(UTC) - command.requested_at).total_seconds()
    return age >= state.current().config.ssm_visible_seconds


def _time(moment: datetime | None) -> str:
    return "" if moment is None else moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _output_url(invocation: Invocation, name: str) -> str:
    if not invocation.output_s3_bucket:
        return ""
    parts = [invocation.output_s3_prefix, invocation.command_id, invocation.instance_id, "awsrunShellScript"]
    path = "/".join([part for part in parts if part] + [invocation.step_name or "0", name])
    return f"https://s3.{invocation.region}.amazonaws.com/{invocation.output_s3_bucket}/{path}"


def _get_invocation(_original: Any) -> Any:
    def get_command_invocation(self: Any) -> ActionResult:
        command = find_command(self, self._get_param("CommandId"))
        wanted = self._get_param("InstanceId")
        invocation = next((i for i in command.invocations if i.instance_id == wanted), None)
        if invocation is None or not _visible(command):
            raise JsonRESTError("InvocationDoesNotExist", "")
        plugin = self._get_param("PluginName")
        steps = [step.get("name") for step in invocation.document.get("mainSteps") or []]
        if plugin and plugin not in steps:
            raise JsonRESTError("InvalidPluginName", f"The plugin name {plugin} is not valid for this command.")
        view = {
            "CommandId": invocation.command_id,
            "InstanceId": invocation.instance_id,
            "Comment": invocation.comment,
            "DocumentName": command.document.name,
            "DocumentVersion": command.document.version,
            "PluginName": plugin or invocation.step_name or (steps[0] if steps else ""),
            "ResponseCode": invocation.response_code,
            "ExecutionStartDateTime": _time(invocation.started),
            "ExecutionElapsedTime": _elapsed(invocation),
            "ExecutionEndDateTime": _time(invocation.ended),
            "Status": invocation.status,
            "StatusDetails": invocation.status_details,
            "StandardOutputContent": invocation.stdout,
            "StandardOutputUrl": _output_url(invocation, "stdout"),
            "StandardErrorContent": invocation.stderr,
            "StandardErrorUrl": _output_url(invocation, "stderr"),
        }
        return ActionResult(view)

    return get_command_invocation


def _elapsed(invocation: Invocation) -> str:
    if invocation.started is None:
        return ""
    end = invocation.ended or datetime.now(UTC)
    return f"PT{(end - invocation.started).total_seconds():.3f}S"


def _list_commands(_original: Any) -> Any:
    def list_commands(self: Any) -> ActionResult:
        commands = {command.command_id: command for command, _invocation in _select(self)}
        newest_first = sorted(commands.values(), key=lambda c: c.requested_at, reverse=True)
        return ActionResult({"Commands": [command.view() for command in newest_first]})

    return list_commands


def _list_invocations(self: Any) -> ActionResult:
    details = bool(self._get_param("Details", False))
    listed = []
    for command, invocation in _select(self):
        if not _visible(command):
            continue
        view: dict[str, Any] = {
            "CommandId": invocation.command_id,
            "InstanceId": invocation.instance_id,
            "InstanceName": "",
            "Comment": invocation.comment,
            "DocumentName": command.document.name,
            "DocumentVersion": command.document.version,
            "RequestedDateTime": invocation.requested_at,
            "Status": invocation.status,
            "StatusDetails": invocation.status_details,
            "StandardOutputUrl": _output_url(invocation, "stdout"),
            "StandardErrorUrl": _output_url(invocation, "stderr"),
            "CommandPlugins": [],
        }
        if details:
            view["CommandPlugins"] = [
                {
                    "Name": invocation.step_name,
                    "Status": invocation.status,
                    "StatusDetails": invocation.status_details,
                    "ResponseCode": invocation.response_code,
                    "Output": invocation.stdout[:2500],
                    "OutputS3BucketName": invocation.output_s3_bucket,
                    "OutputS3KeyPrefix": invocation.output_s3_prefix,
                }
            ]
        listed.append(view)
    return ActionResult({"CommandInvocations": listed})


def apply() -> None:
    """Install the patch."""
    replace(SimpleSystemManagerResponse, "get_command_invocation", _get_invocation)
    replace(SimpleSystemManagerResponse, "list_commands", _list_commands)
    add(SimpleSystemManagerResponse, "list_command_invocations", _list_invocations)
