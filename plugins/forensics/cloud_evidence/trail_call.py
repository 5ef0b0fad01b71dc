"""What a row on a single call is (``CallRule``), and the tests that rows share. Pure.

``theirs``: made with credentials that the case follows (the instance's session, and keys, users and roles that came of it).
``others``: made by anybody else on the target or something of it. None: no finding. A refused call is at most of low severity,
of medium when it was theirs.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from pydantic import JsonValue

from forensics.cloud_evidence.trail_record import TrailRecord, at, items_at, text_at, texts
from forensics.cloud_evidence.trail_scene import Scene
from forensics.models.results import ResultSeverity

Test = Callable[[Scene, TrailRecord], bool]
# A network this wide or wider is everybody: nobody owns one. A record may write it with any address in it ("198.51.100.7/0").
WIDEST_PREFIX = 7
_OPEN_GROUPS = ("AllUsers", "AuthenticatedUsers")
_OPEN_ACLS = frozenset({"public-read", "public-read-write", "authenticated-read"})
_DEEPEST = 6


@dataclass(frozen=True)
class CallRule:
    """One row. ``names`` are calls, where two services have one of that name as ``service:Name``. ``subject`` are parameters that
    say what the call was about, the first that is there counts. ``usual``: what the same caller did on days before the alarm is
    of low severity, because an instance of a build server or a scheduler does it all day."""

    rule: str
    title: str
    names: frozenset[str]
    technique: str
    theirs: ResultSeverity | None
    others: ResultSeverity | None
    subject: tuple[str, ...] = ()
    fits: Test = lambda _scene, _call: True
    anywhere: bool = False  # others' calls count also where they are not about the target
    usual: bool = False


def by_somebody(_scene: Scene, call: TrailRecord) -> bool:
    """A person or program, not a service of AWS by itself (backups, Auto Scaling)."""
    return not call.identity.is_service


def public_network(_scene: Scene, call: TrailRecord) -> bool:
    """A parameter is a network of everybody: 0.0.0.0/0, ::/0, or one nearly as wide."""
    return any(map(_everybody, texts(call.parameters)))


def _everybody(text: str) -> bool:
    address, slash, length = text.partition("/")
    if not slash or not length.isdigit() or int(length) > WIDEST_PREFIX:
        return False
    with suppress(ValueError):
        ipaddress.ip_address(address)
        return True
    return False


def has(*names: str) -> Test:
    """One of these parameters is there."""
    return lambda _scene, call: any(name in call.parameters for name in names)


def says(name: str, *values: JsonValue) -> Test:
    """A parameter, at any depth, has one of these values; texts count in any case."""
    wanted = [value.lower() if isinstance(value, str) else value for value in values]
    return lambda _scene, call: any(
        (found.lower() if isinstance(found, str) else found) in wanted for found in _named(call.parameters, name)
    )


def either(*tests: Test) -> Test:
    """One of the tests."""
    return lambda scene, call: any(test(scene, call) for test in tests)


def both(*tests: Test) -> Test:
    """All of the tests."""
    return lambda scene, call: all(test(scene, call) for test in tests)


def _named(value: JsonValue, name: str, depth: int = _DEEPEST) -> Iterator[JsonValue]:
    """Values of a key at any depth; numbers and truth values are compared as they are."""
    if depth and isinstance(value, dict):
        for key, inner in value.items():
            if key == name:
                yield inner
            yield from _named(inner, name, depth - 1)
    elif depth and isinstance(value, list):
        for inner in value:
            yield from _named(inner, name, depth - 1)


def shared_with(scene: Scene, call: TrailRecord) -> list[str]:
    """Accounts (or ``all``) that a call lets in to a snapshot or an image, the deployment's own left out."""
    known = {scene.order.account_id, *scene.order.friends}
    found: list[str] = []
    for kind in ("createVolumePermission", "launchPermission"):
        for item in items_at(call.parameters, kind, "add"):
            found += [text_at(item, "userId"), text_at(item, "group")]
    found += list(texts(at(call.parameters, "valuesToAdd")))  # RDS
    return [who for who in dict.fromkeys(found) if who and who not in known]


def opened_to_all(_scene: Scene, call: TrailRecord) -> bool:
    """A policy in the parameters allows everybody, or an access list has a group of everybody in it."""
    if any(text.rsplit("/", 1)[-1] in _OPEN_GROUPS or text in _OPEN_ACLS for text in texts(call.parameters)):
        return True
    return any(map(_allows_all, _policies(call.parameters))) or text_at(call.parameters, "principal") == "*"


def _policies(value: JsonValue, depth: int = _DEEPEST) -> Iterator[JsonValue]:
    """Every policy in a JSON value: CloudTrail has some as JSON, some as text that is JSON."""
    if isinstance(value, str) and value.lstrip().startswith("{") and "Statement" in value:
        with suppress(ValueError, RecursionError):
            yield json.loads(value)
    elif isinstance(value, dict):
        if "Statement" in value:
            yield value
        if depth:
            for inner in value.values():
                yield from _policies(inner, depth - 1)
    elif isinstance(value, list) and depth:
        for inner in value:
            yield from _policies(inner, depth - 1)


def _allows_all(policy: JsonValue) -> bool:
    statements = at(policy, "Statement")
    for statement in statements if isinstance(statements, list) else [statements]:
        principal = at(statement, "Principal")
        everybody = principal == "*" or "*" in list(texts(at(principal, "AWS")))
        # a condition (a source account, a network) may narrow it: said as changed, not as open
        if everybody and text_at(statement, "Effect") == "Allow" and not at(statement, "Condition"):
            return True
    return False
