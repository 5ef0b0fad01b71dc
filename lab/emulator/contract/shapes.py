"""What botocore's model says of a value in an answer: its members, types, enums, forms of times.

Unlike botocore's parser, which drops what it does not know and takes what it can read, this reads the answer as it is on the wire.
A problem is one line: the path of the value, and what is wrong with it.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from typing import Any
from xml.etree import ElementTree as ET

from botocore.model import ListShape, MapShape, Shape, StringShape, StructureShape

_ISO_8601 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_RFC_822 = re.compile(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT")
_TIMES = {"iso8601": _ISO_8601, "rfc822": _RFC_822}
_WHOLE = re.compile(r"-?\d+")
_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][-+]?\d+)?")
_SHOWN = 60


def of_json(value: Any, shape: Shape, path: str) -> Iterator[str]:
    """Problems of a JSON value."""
    if getattr(shape, "is_document_type", False):
        return
    if value is None:
        yield f"{path}: null, which AWS leaves out"
        return
    match shape:
        case StructureShape():
            yield from _json_structure(value, shape, path)
        case ListShape():
            if not isinstance(value, list):
                yield f"{path}: {_shown(value)} is not a list"
                return
            for item in value:
                yield from of_json(item, shape.member, f"{path}[]")
        case MapShape():
            if not isinstance(value, dict):
                yield f"{path}: {_shown(value)} is not a map"
                return
            for name, item in value.items():
                yield from of_text(name, shape.key, f"{path}{{key}}")
                yield from of_json(item, shape.value, f"{path}{{}}")
        case _:
            yield from _json_scalar(value, shape, path)


def _json_structure(value: Any, shape: StructureShape, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path}: {_shown(value)} is not a structure"
        return
    names = {member.serialization.get("name", name): (name, member) for name, member in body_members(shape).items()}
    for name in value:
        if name not in names and name != "__type":
            yield f"{path}.{name}: not a member of {shape.name}"
    yield from missing(shape, {names[n][0] for n in value if n in names}, path)
    for wire, (name, member) in names.items():
        if wire in value:
            yield from of_json(value[wire], member, f"{path}.{name}")


def _json_scalar(value: Any, shape: Shape, path: str) -> Iterator[str]:
    good: bool
    match shape.type_name:
        case "string" | "character":
            if not isinstance(value, str):
                yield f"{path}: {_shown(value)} is not a string"
                return
            yield from of_text(value, shape, path)
            return
        case "integer" | "long" | "short" | "byte":
            good = isinstance(value, int) and not isinstance(value, bool)
        case "float" | "double":
            good = isinstance(value, int | float) and not isinstance(value, bool)
        case "boolean":
            good = isinstance(value, bool)
        case "blob":
            good = isinstance(value, str) and _is_base64(value)
        case "timestamp":
            form = _TIMES.get(shape.serialization.get("timestampFormat", "unixTimestamp"))
            if form is None:
                good = isinstance(value, int | float) and not isinstance(value, bool)
            else:
                good = isinstance(value, str) and form.fullmatch(value) is not None
        case _:
            good = True
    if not good:
        yield f"{path}: {_shown(value)} is not a {shape.type_name} as this protocol writes it"


def of_text(text: str, shape: Shape, path: str, *, times: str = "iso8601") -> Iterator[str]:
    """Problems of a value that is written as text: in XML, in a header, as the key of a map."""
    if isinstance(shape, StringShape):
        if shape.enum and text not in shape.enum:
            yield f"{path}: {_shown(text)} is none of {', '.join(shape.enum)[:200]}"
        return
    match shape.type_name:
        case "integer" | "long" | "short" | "byte":
            good = _WHOLE.fullmatch(text) is not None
        case "float" | "double":
            good = _NUMBER.fullmatch(text) is not None
        case "boolean":
            good = text in ("true", "false")
        case "blob":
            good = _is_base64(text)
        case "timestamp":
            form = _TIMES.get(shape.serialization.get("timestampFormat", times), _NUMBER)
            good = form.fullmatch(text) is not None
        case _:
            good = True
    if not good:
        yield f"{path}: {_shown(text)} is not a {shape.type_name} as this protocol writes it"


def of_xml(node: ET.Element, shape: Shape, path: str) -> Iterator[str]:
    """Problems of an XML element."""
    match shape:
        case StructureShape():
            yield from of_elements(list(node), shape, path)
        case ListShape():
            wanted = shape.member.serialization.get("name", "member")
            for item in node:
                if plain(item.tag) != wanted:
                    yield f"{path}: an item is called {plain(item.tag)}, not {wanted}"
                yield from of_xml(item, shape.member, f"{path}[]")
        case MapShape():
            yield from _xml_map(list(node), shape, path)
        case _:
            yield from _xml_scalar(node, shape, path)


def _xml_scalar(node: ET.Element, shape: Shape, path: str) -> Iterator[str]:
    if len(node):
        yield f"{path}: elements where a {shape.type_name} belongs"
        return
    text = node.text or ""
    if text or shape.type_name != "string":
        yield from of_text(text if shape.type_name == "string" else text.strip(), shape, path)


def _xml_map(entries: list[ET.Element], shape: MapShape, path: str) -> Iterator[str]:
    key = shape.key.serialization.get("name", "key")
    value = shape.value.serialization.get("name", "value")
    for entry in entries:
        parts = {plain(part.tag): part for part in entry}
        if set(parts) != {key, value}:
            yield f"{path}: an entry has {', '.join(sorted(parts))} instead of {key} and {value}"
            continue
        yield from of_xml(parts[key], shape.key, f"{path}{{key}}")
        yield from of_xml(parts[value], shape.value, f"{path}{{}}")


def of_elements(
    nodes: list[ET.Element], shape: StructureShape, path: str, *, known: frozenset[str] = frozenset()
) -> Iterator[str]:
    """Problems of the elements of a structure. ``known`` are elements of the envelope."""
    names = {_tag(name, member): (name, member) for name, member in body_members(shape).items()}
    found = set()
    for node in nodes:
        tag = plain(node.tag)
        if tag in known:
            continue
        if tag not in names:
            yield f"{path}.{tag}: not a member of {shape.name}"
            continue
        name, member = names[tag]
        if name in found and not _is_flat(member):
            yield f"{path}.{name}: given twice"
        found.add(name)
        if not _is_flat(member):
            yield from of_xml(node, member, f"{path}.{name}")
        elif isinstance(member, ListShape):
            yield from of_xml(node, member.member, f"{path}.{name}[]")
        elif isinstance(member, MapShape):
            yield from _xml_map([node], member, f"{path}.{name}")
    yield from missing(shape, found, path)


def _is_flat(member: Shape) -> bool:
    return isinstance(member, ListShape | MapShape) and bool(member.serialization.get("flattened"))


def _tag(name: str, member: Shape) -> str:
    inner = member.member.serialization.get("name") if isinstance(member, ListShape) and _is_flat(member) else None
    return str(inner or member.serialization.get("name", name))


def body_members(shape: StructureShape) -> Mapping[str, Shape]:
    """Members that are in the body, not in headers or the status."""
    return {n: m for n, m in shape.members.items() if "location" not in m.serialization}


def missing(shape: StructureShape, found: set[str], path: str) -> Iterator[str]:
    """Required members that are not there."""
    wanted = body_members(shape)
    for name in shape.required_members:
        if name in wanted and name not in found:
            yield f"{path}.{name}: missing, and {shape.name} requires it"


def plain(tag: str) -> str:
    """A tag without its namespace."""
    return tag.rsplit("}", 1)[-1]


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
