"""JSON answers of every service: what has no value is left out, and an error has the HTTP status that the service's model gives it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from botocore.model import ServiceModel
from moto.core.responses import BaseResponse

from lab.emulator.contract import answers
from lab.emulator.patches.patching import replace

Answer = tuple[int, dict[str, Any], Any]


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(item) for name, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


def _status(model: ServiceModel, code: str) -> int | None:
    for shape in model.error_shapes:
        if shape.name == code:
            given = shape.metadata.get("error", {}).get("httpStatusCode")
            return None if given is None else int(given)
    return None


def _call_action(original: Callable[[Any], Answer]) -> Callable[[Any], Answer]:
    def call_action(self: Any) -> Answer:
        status, headers, body = original(self)
        if not isinstance(body, str) or not body.startswith("{"):
            return status, headers, body
        if "null" in body:
            body = json.dumps(_without_nulls(json.loads(body)))
        if status >= 400 and (model := answers.known(self.service_name)) and model.resolved_protocol == "rest-json":
            code = str(json.loads(body).get("__type", "")).rsplit("#", 1)[-1]
            status = _status(model, code) or status
            headers["status"] = str(status)
        return status, headers, body

    return call_action


def apply() -> None:
    """Install the patch."""
    replace(BaseResponse, "call_action", _call_action)
