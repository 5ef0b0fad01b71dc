"""The lab's own routes under /_lab/: settings, faults, instances, volumes, mail, the record of calls."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from lab.emulator import images
from lab.emulator.iam import organization
from lab.emulator.iam.enforcement import policies
from lab.emulator.network import network, places
from lab.emulator.network.routes import NoPath
from lab.emulator.patches import cloudtrail, cloudtrail_lake, securityhub, ssm, state, sts
from lab.hosts.tapes import ShelfError
from lab.hosts.usage import cpu_seconds_below

if TYPE_CHECKING:
    from lab.emulator.faults import Gateway

Handler = Callable[["Control", Any, dict[str, str]], Any]


class RequestError(ValueError):
    """A request that the lab cannot carry out; answered with 400 and the message."""


class Control:
    """WSGI application for the control routes. `gateway` is set once it exists."""

    def __init__(self) -> None:
        self.gateway: Gateway | None = None

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        handler = _ROUTES.get((method, path))
        if handler is None:
            known = ", ".join(f"{m} {p}" for m, p in _ROUTES)
            return _reply(start_response, 404, {"error": f"no route {method} {path}; the lab has {known}"})
        query = {name: values[0] for name, values in parse_qs(environ.get("QUERY_STRING", "")).items()}
        try:
            return _reply(start_response, 200, handler(self, _read(environ), query))
        except (
            RequestError,
            state.ConfigError,
            images.ImageError,
            ShelfError,
            ValueError,
            KeyError,
            TypeError,
        ) as error:
            reason = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
            return _reply(start_response, 400, {"error": f"{method} {path}: {reason}"})

    @property
    def recorder(self) -> Gateway:
        """The gateway that records calls."""
        if self.gateway is None:
            raise RequestError("the lab is not up yet")
        return self.gateway


def _read(environ: dict[str, Any]) -> Any:
    length = int(environ.get("CONTENT_LENGTH") or 0)
    if length == 0:
        return None
    try:
        return json.loads(environ["wsgi.input"].read(length))
    except ValueError as error:
        raise RequestError(f"the body is not JSON: {error}") from error


def _reply(start_response: Callable[..., Any], status: int, body: Any) -> Iterable[bytes]:
    data = json.dumps(body, default=str).encode()
    reason = {200: "OK", 400: "Bad Request", 404: "Not Found"}[status]
    start_response(f"{status} {reason}", [("Content-Type", "application/json"), ("Content-Length", str(len(data)))])
    return [data]


def _wanted(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise RequestError("a JSON object is needed as the body")
    return body


def _health(control: Control, _body: Any, _query: dict[str, str]) -> Any:
    import moto

    return {
        "status": "ok",
        "moto": moto.__version__,
        "calls": len(control.recorder.calls),
        "asked": control.recorder.asked,
    }


def _get_config(_control: Control, _body: Any, _query: dict[str, str]) -> Any:
    return dataclasses.asdict(state.current().config)


def _set_config(control: Control, body: Any, query: dict[str, str]) -> Any:
    state.current().config.update(_wanted(body))
    return _get_config(control, None, query)


def _get_faults(control: Control, _body: Any, _query: dict[str, str]) -> Any:
    return {"rules": control.recorder.rules(), "log": list(control.recorder.log)}


def _set_faults(control: Control, body: Any, query: dict[str, str]) -> Any:
    control.recorder.set_rules(body if body is not None else [])
    return _get_faults(control, None, query)


def _fail_snapshot(_control: Control, body: Any, _query: dict[str, str]) -> Any:
    state.current().fail_next_snapshot(_wanted(body))
    return {"snapshot_failures": state.current().snapshot_failures}


def _register_volume(_control: Control, body: Any, _query: dict[str, str]) -> Any:
    given = _wanted(body)
    images.register_volume(given["volume_id"], path=Path(given["path"]))
    return {"volume_id": given["volume_id"], "path": str(images.volume_path(given["volume_id"]))}


def _register_instance(_control: Control, body: Any, _query: dict[str, str]) -> Any:
    return state.current().register_instance(_wanted(body))


def _register_machine_image(_control: Control, body: Any, _query: dict[str, str]) -> Any:
    return state.current().register_machine_image(_wanted(body))


def _list_instances(_control: Control, _body: Any, _query: dict[str, str]) -> Any:
    return {"instances": state.current().instances()}


def _fire_action(_control: Control, body: Any, _query: dict[str, str]) -> Any:
    given = _wanted(body)
    securityhub.fire_action(given["account"], given["region"], action=given["action"], findings=given["findings"])
    return {"fired": securityhub.action_arn(given["account"], given["region"], given["action"])}


def _remember_calls(_control: Control, body: Any, _query: dict[str, str]) -> Any:
    given = _wanted(body)
    return cloudtrail.remember(given["account"], given["records"])


def _lake(_control: Control, body: Any, _query: dict[str, str]) -> Any:
    return cloudtrail_lake.tell(_wanted(body))


def _calls(control: Control, _body: Any, query: dict[str, str]) -> Any:
    unknown = set(query) - {"service", "action", "account"}
    if unknown:
        raise RequestError(f"calls can be chosen by service, action and account, not by {', '.join(sorted(unknown))}")
    chosen = [
        dataclasses.asdict(call)
        for call in list(control.recorder.calls)
        if all(getattr(call, name) == value for name, value in query.items())
    ]
    return {"calls": chosen}


def _clear_calls(control: Control, _body: Any, _query: dict[str, str]) -> Any:
    control.recorder.calls.clear()
    return {"calls": []}


def _iam(control: Control, _body: Any, _query: dict[str, str]) -> Any:
    return {"enforce": control.recorder.iam.on, "asked": control.recorder.iam.asked(), "policies": policies()}


def _set_iam(control: Control, body: Any, _query: dict[str, str]) -> Any:
    control.recorder.iam.on = bool(_wanted(body)["enforce"])
    return {"enforce": control.recorder.iam.on}


def _take_iam(control: Control, _body: Any, _query: dict[str, str]) -> Any:
    return {"asked": control.recorder.iam.take()}


def _service_session(_control: Control, body: Any, _query: dict[str, str]) -> Any:
    given = _wanted(body)
    where = str(given.get("place", ""))
    return sts.service_session(given["role_arn"], service=given["service"], name=given["name"], place=where)


def _get_network(_control: Control, _body: Any, _query: dict[str, str]) -> Any:
    return network.current().as_dict()


def _set_network(_control: Control, body: Any, _query: dict[str, str]) -> Any:
    try:
        network.current().change(_wanted(body))
    except network.FaultError as error:
        raise RequestError(str(error)) from error
    return network.current().as_dict()


def _network_path(_control: Control, _body: Any, query: dict[str, str]) -> Any:
    here = network.current()
    if "instance" in query:
        place = places.of_host(query["account"], query["region"], query["instance"])
    else:
        place = here.places[query["place"]]
    try:
        return {"path": here.path(place, query["service"], query["region"]).how}
    except NoPath as error:
        return {"path": None, "reason": str(error)}


def _host_address(_control: Control, _body: Any, query: dict[str, str]) -> Any:
    return {"address": places.address_of(query["account"], query["region"], query["instance"])}


def _attach_policies(_control: Control, body: Any, _query: dict[str, str]) -> Any:
    organization.attach(_wanted(body))
    return {"attached": organization.attached()}


def _container_credentials(_control: Control, _body: Any, query: dict[str, str]) -> Any:
    return sts.container_credentials(query["role_arn"], service=query["service"], name=query["name"])


def _advance_clock(_control: Control, body: Any, _query: dict[str, str]) -> Any:
    """Instances, volumes, snapshots and images take their time by the lab's clock: this lets it pass at once."""
    state.advance(float(_wanted(body)["advance"]))
    return {"monotonic": state.monotonic()}


def _activity(_control: Control, _body: Any, _query: dict[str, str]) -> Any:
    """What moves in the lab although no call shows it: the states of commands, and the hosts' processor time."""
    return {"commands": ssm.command_states(), "host_cpu_seconds": cpu_seconds_below(os.getpid())}


def _answers(control: Control, _body: Any, _query: dict[str, str]) -> Any:
    """What the watch over the answers noted (lab/emulator/contract)."""
    return {"notes": control.recorder.watch.noted() if control.recorder.watch is not None else None}


def _tools(_control: Control, body: Any, _query: dict[str, str]) -> Any:
    """Whether the hosts' commands are run, recorded or played from tapes (lab/hosts/tapes); a body sets it."""
    shelf = state.current().shelf
    if shelf is None:
        raise RequestError("this lab has no state folder, so it has no tapes; start it with --state DIR")
    if body is not None:
        shelf.switch(str(_wanted(body)["mode"]))
    return {"mode": shelf.mode, "tapes": shelf.names()}


def _mail(_control: Control, _body: Any, _query: dict[str, str]) -> Any:
    return {"mail": list(state.current().mail)}


_ROUTES: dict[tuple[str, str], Handler] = {
    ("GET", "/_lab/health"): _health,
    ("GET", "/_lab/config"): _get_config,
    ("POST", "/_lab/config"): _set_config,
    ("GET", "/_lab/faults"): _get_faults,
    ("POST", "/_lab/faults"): _set_faults,
    ("POST", "/_lab/snapshot"): _fail_snapshot,
    ("POST", "/_lab/volume"): _register_volume,
    ("POST", "/_lab/instance"): _register_instance,
    ("POST", "/_lab/machine-image"): _register_machine_image,
    ("GET", "/_lab/instance"): _list_instances,
    ("POST", "/_lab/security-hub-action"): _fire_action,
    ("POST", "/_lab/trail"): _remember_calls,
    ("POST", "/_lab/lake"): _lake,
    ("GET", "/_lab/calls"): _calls,
    ("DELETE", "/_lab/calls"): _clear_calls,
    ("GET", "/_lab/mail"): _mail,
    ("GET", "/_lab/activity"): _activity,
    ("GET", "/_lab/answers"): _answers,
    ("POST", "/_lab/clock"): _advance_clock,
    ("GET", "/_lab/tools"): _tools,
    ("POST", "/_lab/tools"): _tools,
    ("GET", "/_lab/iam"): _iam,
    ("POST", "/_lab/iam"): _set_iam,
    ("POST", "/_lab/iam-record"): _take_iam,
    ("POST", "/_lab/service-session"): _service_session,
    ("GET", "/_lab/network"): _get_network,
    ("POST", "/_lab/network"): _set_network,
    ("GET", "/_lab/network-path"): _network_path,
    ("GET", "/_lab/host-address"): _host_address,
    ("POST", "/_lab/service-control-policies"): _attach_policies,
    ("GET", "/_lab/container-credentials"): _container_credentials,
}
