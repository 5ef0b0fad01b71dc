"""EC2: instances whose states take time, launch tokens, well-formed ids, consoles."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from moto.core.responses import ActionResult, EmptyResult
from moto.core.types import Base64EncodedString
from moto.core.utils import utcnow
from moto.ec2.exceptions import EC2ClientError, InvalidParameterCombination
from moto.ec2.models.instances import Instance, InstanceBackend, InstanceState
from moto.ec2.responses import EC2Response

from lab.emulator.patches import accounts, state
from lab.emulator.patches.patching import add, replace

# a well-formed 8 x 8 grey JPEG, as a screenshot of a console with nothing on it
_SCREENSHOT = base64.b64decode(
    "/9j/4AAQSkZJRgABAQEASABIAAD/2wBDAP//////////////////////////////////////////////////////////////////////"
    "////////////////wAALCAAIAAgBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAACf/EABQQAQAAAAAAAAAAAAAAAAAAAAD/2gAIAQEAAD8A"
    "Kp//2Q=="
)
_launches: dict[tuple[str, str, str], tuple[str, str]] = {}


def check_instance_ids(instance_ids: list[str]) -> None:
    """Refuse what is not an instance id at all, with AWS's error."""
    for instance_id in instance_ids:
        if not state.INSTANCE_ID.fullmatch(instance_id):
            raise EC2ClientError("InvalidInstanceID.Malformed", f'Invalid id: "{instance_id}"')


def running_since(instance: Any) -> float | None:
    """The lab clock's time at which a running instance began to run, or None when it does not run."""
    if instance.state != "running":
        return None
    return instance.__dict__.get("_lab_running_at", 0.0)


def _get_state(self: Any) -> InstanceState:
    between = self.__dict__.get("_lab_between")
    if between and state.monotonic() < between[1]:
        return between[0]
    return self.__dict__["_lab_state"]


def _set_state(self: Any, value: InstanceState) -> None:
    self.__dict__["_lab_state"] = value


def _pass_through(instance: Any, name: str, *, code: int, seconds: float) -> None:
    instance.__dict__["_lab_between"] = (InstanceState(name, code), state.monotonic() + seconds)


def _initialise(original: Callable[..., None]) -> Callable[..., None]:
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        seconds = state.current().config.instance_seconds
        _pass_through(self, "pending", code=0, seconds=seconds)
        self.__dict__["_lab_running_at"] = state.monotonic() + seconds
        self.hypervisor = "xen"
        self.virtualization_type = "hvm"

    return __init__


def _changing(name: str, code: int, setting: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def build(original: Callable[..., Any]) -> Callable[..., Any]:
        def change(self: Any) -> Any:
            previous = copy.copy(self._state)
            if name == "shutting-down" and self.__dict__["_lab_state"].name == "terminated":
                return previous
            self.__dict__.pop("_lab_between", None)
            original(self)
            seconds = getattr(state.current().config, setting)
            _pass_through(self, name, code=code, seconds=seconds)
            if name == "pending":
                self.__dict__["_lab_running_at"] = state.monotonic() + seconds
            return previous

        return change

    return build


def _checked_ids(original: Callable[..., Any]) -> Callable[..., Any]:
    def call(self: Any, instance_ids: Any, *args: Any, **kwargs: Any) -> Any:
        check_instance_ids([instance_ids] if isinstance(instance_ids, str) else instance_ids)
        return original(self, instance_ids, *args, **kwargs)

    return call


def _get_instance(original: Callable[..., Any]) -> Callable[..., Any]:
    def get_instance(self: Any, instance_id: str) -> Any:
        check_instance_ids([instance_id])
        return original(self, instance_id)

    return get_instance


def _run(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def run_instances(self: Any) -> Any:
        token = self._get_param("ClientToken")
        key = (self.current_account, self.region, token)
        wanted = {name: value for name, value in self._get_params().items() if name != "ClientToken"}
        digest = hashlib.sha256(json.dumps(wanted, sort_keys=True, default=str).encode()).hexdigest()
        if token and key in _launches:
            reservation_id, before = _launches[key]
            if before != digest:
                raise EC2ClientError(
                    "IdempotentParameterMismatch",
                    "The request uses the same client token as a previous, but non-identical request. "
                    "Do not reuse a client token with different requests, unless the requests are identical",
                )
            return ActionResult(self.ec2_backend.reservations[reservation_id])
        result = original(self)
        reservation = result.result
        if token:
            _launches[key] = (reservation.id, digest)
        for instance in reservation.instances:
            instance.disable_api_termination = bool(self._get_param("DisableApiTermination", False))
            by_root = accounts.from_outside(self.get_access_key())
            if by_root:  # the lab's own instances have been running for long
                instance.launch_time = utcnow() - timedelta(days=30)
            _register_forensic(instance, account=self.current_account, region=self.region, fresh=not by_root)
        return result

    return run_instances


def _register_forensic(instance: Any, *, account: str, region: str, fresh: bool) -> None:
    here = state.current()
    if here.config.forensic_ami_id and instance.image_id == here.config.forensic_ami_id:
        here.register_instance(
            {
                "instance_id": instance.id,
                "account": account,
                "region": region,
                "kind": "forensic",
                "fresh": fresh,
                "hostname": instance.private_dns_name.split(".")[0],
            }
        )


def _modify_attribute(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    named = ("InstanceType", "Kernel", "UserData", "DisableApiTermination", "SourceDestCheck", "EbsOptimized")

    def modify_instance_attribute(self: Any) -> Any:
        check_instance_ids([self._get_param("InstanceId")])
        self.ec2_backend.get_instance(self._get_param("InstanceId"))
        given = [name for name in named if self._get_param(f"{name}.Value") is not None]
        given += [name for name in ("Groups", "BlockDeviceMappings", "Attribute") if self._get_param(name)]
        if len(given) > 1:
            # stock moto applies the first and forgets the others
            raise InvalidParameterCombination("Fields for multiple attribute types specified")
        return original(self)

    return modify_instance_attribute


def _console_output(_original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def get_console_output(self: Any) -> ActionResult:
        instance = self.ec2_backend.get_instance(self._get_param("InstanceId"))
        record = state.current().instance(instance.id) or {}
        host = record.get("hostname") or instance.private_dns_name.split(".")[0]
        system = f"{record.get('platform_name', 'Amazon Linux')} {record.get('platform_version', '2023')}"
        text = "\n".join(
            [
                "[    0.000000] Command line: BOOT_IMAGE=/boot/vmlinuz root=LABEL=/ console=ttyS0,115200n8",
                "[    1.204311] systemd[1]: Detected virtualization amazon.",
                f"[    1.204977] systemd[1]: Hostname set to <{host}>.",
                f"[    6.882154] cloud-init[1033]: Cloud-init v. 22.2.2 finished at {instance.launch_time}",
                "",
                system,
                f"{host} login: ",
            ]
        )
        return ActionResult(
            {
                "InstanceId": instance.id,
                "Timestamp": utcnow(),
                "Output": Base64EncodedString.from_raw_string(text),
            }
        )

    return get_console_output


def _console_screenshot(self: Any) -> ActionResult:
    instance = self.ec2_backend.get_instance(self._get_param("InstanceId"))
    if instance.state != "running":
        raise EC2ClientError("IncorrectInstanceState", f"The instance '{instance.id}' is not in the 'running' state")
    return ActionResult({"InstanceId": instance.id, "ImageData": base64.b64encode(_SCREENSHOT).decode()})


def _serial_console(self: Any) -> ActionResult:
    return ActionResult({"SerialConsoleAccessEnabled": False})


def _diagnostic_interrupt(self: Any) -> EmptyResult:
    self.ec2_backend.get_instance(self._get_param("InstanceId"))
    self.error_on_dryrun()
    return EmptyResult()


def _platform_details(self: Any) -> str:
    return "Windows" if self.platform == "windows" else "Linux/UNIX"


def apply() -> None:
    """Install the patch."""
    add(Instance, "_state", property(_get_state, _set_state))
    add(Instance, "platform_details", property(_platform_details))
    replace(Instance, "__init__", _initialise)
    replace(Instance, "start", _changing("pending", 0, "instance_seconds"))
    replace(Instance, "stop", _changing("stopping", 64, "terminate_seconds"))
    replace(Instance, "terminate", _changing("shutting-down", 32, "terminate_seconds"))
    replace(InstanceBackend, "get_instance", _get_instance)
    replace(InstanceBackend, "get_multi_instances_by_id", _checked_ids)
    replace(InstanceBackend, "get_reservations_by_instance_ids", _checked_ids)
    replace(EC2Response, "run_instances", _run)
    replace(EC2Response, "modify_instance_attribute", _modify_attribute)
    replace(EC2Response, "get_console_output", _console_output)
    add(EC2Response, "get_console_screenshot", _console_screenshot)
    add(EC2Response, "get_serial_console_access_status", _serial_console)
    add(EC2Response, "send_diagnostic_interrupt", _diagnostic_interrupt)
