"""One answer of the lab against botocore's model of its operation: status, headers, body, error code.

Of an answer that succeeded: its members, types, enums and forms of times (``shapes.py``), and its HTTP status. Of an error: whether the
service has such an error. Where botocore's model lists an operation's errors, the code is one of these or one of the documented codes in
``beyond_the_models.yaml``; where it lists none (EC2, Auto Scaling's and S3's general errors), it is a documented one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import botocore.session
import yaml
from botocore.exceptions import UnknownServiceError
from botocore.model import OperationModel, ServiceModel, StructureShape

from lab.emulator.contract import shapes

_BEYOND = Path(__file__).with_name("beyond_the_models.yaml")
_PREFIX = "x-amzn-"
_ENVELOPE = frozenset({"requestId", "ResponseMetadata"})
# Two services have one name in requests; the API version tells which is meant.
_BALANCING = {"2012-06-01": "elb", "2015-12-01": "elbv2"}
_CLIENTS = {"monitoring": "cloudwatch", "bedrock": "bedrock-runtime"}


@cache
def model(service: str) -> ServiceModel:
    """botocore's model of a service, by the name of its client."""
    return botocore.session.get_session().get_service_model(service)


def known(service: str) -> ServiceModel | None:
    """The model, or None when botocore has no such client."""
    try:
        return model(service)
    except UnknownServiceError:
        return None


@cache
def operation(service: str, name: str) -> OperationModel | None:
    """botocore's model of an operation, or None when the service has none of that name."""
    served = known(service)
    return served.operation_model(name) if served is not None and name in served.operation_names else None


def client_name(service: str, *, version: str = "") -> str:
    """From the name in a request's signature to the name of boto3's client."""
    if service == "elasticloadbalancing":
        return _BALANCING.get(version, "elbv2")
    return _CLIENTS.get(service, service)


@cache
def _documented(service: str) -> frozenset[str]:
    codes = _beyond()["codes"]
    own = codes.get(service, {})
    return frozenset([*codes["common"]["documented"], *own.get("documented", ()), *own.get("unconfirmed", {})])


@cache
def _beyond() -> Any:
    return yaml.safe_load(_BEYOND.read_text("utf-8"))


def _enums(service: str) -> Mapping[str, list[str]]:
    return {name: entry["values"] for name, entry in _beyond()["values"].get(service, {}).items()}


def problems(op: OperationModel, status: int, headers: Mapping[str, str], body: bytes) -> list[str]:
    """What is wrong with an answer; empty when nothing is. Names of ``headers`` are in lower case."""
    try:
        if status >= 400:
            return list(_error(op, status, headers, body))
        if 300 <= status < 400:
            return []
        spoken = _enums(op.service_model.service_name)
        known_words = tuple(f"{path}: {word!r} is none of " for path, words in spoken.items() for word in words)
        return [problem for problem in _success(op, status, headers, body) if not problem.startswith(known_words)]
    except (ET.ParseError, ValueError) as error:
        return [f"the body is not what protocol {op.service_model.resolved_protocol} has: {error}"]


def _success(op: OperationModel, status: int, headers: Mapping[str, str], body: bytes) -> Iterator[str]:
    wanted = op.http.get("responseCode", 200)
    if status != wanted and not (status == 206 and "content-range" in headers):
        yield f"HTTP status {status}, not {wanted}"
    shape = op.output_shape
    if shape is None:
        return
    yield from _headers(shape, headers)
    protocol = op.service_model.resolved_protocol
    payload = shape.serialization.get("payload")
    if payload is not None:
        member = shape.members[payload]
        if isinstance(member, StructureShape) and not member.serialization.get("eventstream") and body:
            yield from _body(protocol, op, member, body)
        return
    if shapes.body_members(shape) or body.strip():
        yield from _body(protocol, op, shape, body)


def _body(protocol: str, op: OperationModel, shape: StructureShape, body: bytes) -> Iterator[str]:
    if protocol in ("json", "rest-json"):
        yield from shapes.of_json(json.loads(body or b"{}"), shape, op.name)
    elif protocol == "ec2":
        root = ET.fromstring(body)
        if shapes.plain(root.tag) != f"{op.name}Response":
            yield f"the root is {shapes.plain(root.tag)}, not {op.name}Response"
        yield from shapes.of_elements(list(root), shape, op.name, known=_ENVELOPE)
    elif protocol == "query":
        yield from _query(op, shape, ET.fromstring(body))
    elif body.strip():
        yield from shapes.of_elements(list(ET.fromstring(body)), shape, op.name)
    else:
        yield from shapes.missing(shape, set(), op.name)


def _query(op: OperationModel, shape: StructureShape, root: ET.Element) -> Iterator[str]:
    if shapes.plain(root.tag) != f"{op.name}Response":
        yield f"the root is {shapes.plain(root.tag)}, not {op.name}Response"
    wrapper = shape.serialization.get("resultWrapper")
    inner = [node for node in root if shapes.plain(node.tag) == wrapper]
    for node in root:
        if shapes.plain(node.tag) not in (wrapper, *_ENVELOPE):
            yield f"{op.name}.{shapes.plain(node.tag)}: beside {wrapper}"
    if wrapper and not inner and shape.members:
        yield f"{wrapper} is missing"
    for node in inner:
        yield from shapes.of_elements(list(node), shape, op.name)


def _headers(shape: StructureShape, headers: Mapping[str, str]) -> Iterator[str]:
    for name, member in shape.members.items():
        place, wire = member.serialization.get("location"), member.serialization.get("name", name)
        if place == "header" and wire.lower() in headers:
            yield from shapes.of_text(headers[wire.lower()], member, f"header {wire}", times="rfc822")
        elif place == "header" and name in shape.required_members:
            yield f"header {wire}: missing, and {shape.name} requires it"


def _error(op: OperationModel, status: int, headers: Mapping[str, str], body: bytes) -> Iterator[str]:
    code = error_code(op, headers, body)
    if code is None:
        if op.http.get("method") != "HEAD":
            yield f"HTTP status {status} without an error code"
        return
    served = op.service_model.service_name
    as_json = op.service_model.resolved_protocol in ("json", "rest-json")
    listed = [shape for shape in op.error_shapes if isinstance(shape, StructureShape)]
    modelled = {str(shape.name if as_json else shape.error_code): shape for shape in listed}
    if status >= 500 and code in ("InternalFailure", "InternalError", "NotImplemented"):
        yield f"error {code}: the lab itself failed: {body[:200]!r}"
    elif code in modelled:
        yield from _as_modelled(op, modelled[code], code, status, headers)
        if as_json:
            yield from _error_members(modelled[code], json.loads(body or b"{}"), code)
    elif code not in _documented(served):
        known = ", ".join(sorted(modelled)) or "none"
        yield f"error {code}: not in botocore's list ({known}) and not in beyond_the_models.yaml"


def _as_modelled(
    op: OperationModel, shape: StructureShape, code: str, status: int, headers: Mapping[str, str]
) -> Iterator[str]:
    wanted = shape.metadata.get("error", {}).get("httpStatusCode")
    if wanted and status != wanted:
        yield f"error {code}: HTTP status {status}, not {wanted}"
    if "awsQueryCompatible" in op.service_model.metadata and not headers.get("x-amzn-query-error"):
        yield f"error {code}: no header x-amzn-query-error, which holds the code that older clients read"


def _error_members(shape: StructureShape, body: dict[str, Any], code: str) -> Iterator[str]:
    # services spell it as they like, and botocore reads either
    spelt = {name: value for name, value in body.items() if name.lower() != "message"}
    for problem in shapes.of_json(spelt, shape, f"error {code}"):
        if not problem.lower().startswith(f"error {code}.message: missing".lower()):
            yield problem


def error_code(op: OperationModel, headers: Mapping[str, str], body: bytes) -> str | None:
    """The code as a client reads it, or None when the answer has none."""
    if op.service_model.resolved_protocol in ("json", "rest-json"):
        given: Any = json.loads(body) if body.strip() else {}
        code = headers.get("x-amzn-errortype") or given.get("__type") or given.get("code")
        return code.split(":")[0].rsplit("#", 1)[-1] if code else None
    if not body.strip():
        return None
    found = next((node for node in ET.fromstring(body).iter() if shapes.plain(node.tag) == "Code"), None)
    return found.text if found is not None else None
