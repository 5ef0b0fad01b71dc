"""Mutations of valid events: what a broken sender, a truncating proxy or an attacker would put into the queue.

Everything follows from the seed, so that a failure is repeated by its number.
"""

from __future__ import annotations

import base64
import copy
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

EVENTS = Path(__file__).parents[1] / "data" / "events"
ACCOUNTS = ("333344445555", "111122223333", "222233334444", "999988887777")
REGIONS = ("eu-central-1", "eu-west-1", "us-gov-west-1", "cn-north-1")
INSTANCES = ("i-0aaaaaaaaaaaaaaa1", "i-0bbbbbbbbbbbbbbb2", "i-12345678", "i-99999999")
ARNS = tuple(f"arn:aws:ec2:{r}:{a}:instance/{i}" for r in REGIONS[:2] for a in ACCOUNTS[:2] for i in INSTANCES[:2])
ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 2**63, 10**400, 1e308, "", " ", "\x00", "\ud800", "\u202e", "nan", "٣٣٣٣٤٤٤٤٥٥٥٥", "i-",
    "arn:", "arn:::::", "'; DROP TABLE cases;--", "../../etc/passwd", "{{ 7*7 }}", "A" * 5000, [], {}, [[]], [None],
    {"": None}, {"Ref": "x"}, "true", "2026-13-45T99:99:99Z", "1970-01-01T00:00:00Z",
    *ACCOUNTS, *REGIONS, *INSTANCES, *ARNS, "AWS::EC2::Instance", "AwsEc2Instance", "ARCHIVED", "NON_COMPLIANT",
)  # fmt: skip
Paths = list[tuple[Any, ...]]


def valid_events() -> dict[str, Any]:
    """Every event of the tests by name."""
    return {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(EVENTS.glob("*.json"))}


def opened(event: Any) -> Any:
    """A webhook's body as the object that it is, so that what is inside is mutated too; any other event as it is."""
    if event.get("source") != "webhook":
        return event
    body = json.loads(base64.b64decode(event["detail"]["body"]))
    return {**event, "detail": {**event["detail"], "body": body}}


def sealed(document: Any) -> Any:
    """The reverse of :func:`opened`, whatever the mutations left of it."""
    detail = document.get("detail") if isinstance(document, dict) else None
    if not isinstance(detail, dict) or not isinstance(detail.get("body"), dict):
        return document
    body = base64.b64encode(json.dumps(detail["body"]).encode()).decode()
    return {**document, "detail": {**detail, "body": body}}


def paths(node: Any, prefix: tuple[Any, ...] = ()) -> Paths:
    """The way to every value in a JSON document, the root left out."""
    children: Any = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    found: Paths = [prefix] if prefix else []
    for key, child in children:
        found += paths(child, (*prefix, key))
    return found


def parent(document: Any, path: tuple[Any, ...]) -> Any:
    """The container of the value at ``path``."""
    node = document
    for key in path[:-1]:
        node = node[key]
    return node


class Mutator:
    """Makes the n-th body of a seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._events = {name: opened(event) for name, event in valid_events().items()}
        self._names = sorted(self._events)
        self._paths = {name: paths(event) for name, event in self._events.items()}

    def body(self, number: int) -> tuple[str, str]:
        """(what was done to which event, the text)."""
        # Seeds are made in two steps: neighbouring numbers must not give neighbouring sequences.
        random_ = random.Random(f"{self.seed}/{number}")
        name = random_.choice(self._names)
        if random_.random() < 0.12:
            text = json.dumps(sealed(self._events[name]))
            damage = random_.choice((_truncate, _flip, _repeat, _deepen, _twice))
            return f"{name}: {damage.__name__}", damage(text, random_)
        document = copy.deepcopy(self._events[name])
        done = []
        for _ in range(random_.randint(1, 4)):
            change = random_.choice(_CHANGES)
            done.append(change.__name__)
            places = self._paths[name] if len(done) == 1 else paths(document)
            if not places:
                break
            change(document, random_.choice(places), random_, self)
        return f"{name}: {', '.join(done)}", json.dumps(sealed(document))

    def donor(self, random_: random.Random) -> Any:
        """A value from some other event."""
        name = random_.choice(self._names)
        path = random_.choice(self._paths[name])
        return copy.deepcopy(parent(self._events[name], path)[path[-1]])


def _replace(document: Any, path: tuple[Any, ...], random_: random.Random, _: Mutator) -> None:
    parent(document, path)[path[-1]] = copy.deepcopy(random_.choice(ODD))


def _remove(document: Any, path: tuple[Any, ...], _random: random.Random, _: Mutator) -> None:
    del parent(document, path)[path[-1]]


def _transplant(document: Any, path: tuple[Any, ...], random_: random.Random, mutator: Mutator) -> None:
    parent(document, path)[path[-1]] = mutator.donor(random_)


def _rename(document: Any, path: tuple[Any, ...], random_: random.Random, _: Mutator) -> None:
    node = parent(document, path)
    if isinstance(node, dict):
        name = str(path[-1])
        node[random_.choice((name.swapcase(), name + " ", name[:-1], name[:1].swapcase() + name[1:]))] = node.pop(
            path[-1]
        )
    else:
        node.reverse()


def _wrap(document: Any, path: tuple[Any, ...], random_: random.Random, _: Mutator) -> None:
    node = parent(document, path)
    value = node[path[-1]]
    node[path[-1]] = random_.choice(([value], {"value": value}, str(value), [value, value]))


def _edit(document: Any, path: tuple[Any, ...], random_: random.Random, _: Mutator) -> None:
    """Change one character of a text: ids that are nearly right."""
    node = parent(document, path)
    value = node[path[-1]]
    if isinstance(value, str) and value:
        at = random_.randrange(len(value))
        node[path[-1]] = value[:at] + random_.choice("0123456789abcdefXYZ:/-\n ") + value[at + 1 :]
    else:
        node[path[-1]] = value if not isinstance(value, int | float) else -value


_CHANGES: tuple[Callable[[Any, tuple[Any, ...], random.Random, Mutator], None], ...] = (
    _replace, _remove, _transplant, _rename, _wrap, _edit,
)  # fmt: skip


def _truncate(text: str, random_: random.Random) -> str:
    return text[: random_.randrange(len(text))]


def _flip(text: str, random_: random.Random) -> str:
    at = random_.randrange(len(text))
    return text[:at] + chr(random_.randrange(0x250)) + text[at + 1 :]


def _repeat(text: str, random_: random.Random) -> str:
    at = random_.randrange(len(text))
    return text[:at] + text[at : at + random_.randrange(1, 200)] * random_.randrange(2, 5) + text[at:]


def _deepen(text: str, random_: random.Random) -> str:
    depth = random_.choice((10, 55, 65, 500))
    return '{"Message":' * depth + text + "}" * depth


def _twice(text: str, random_: random.Random) -> str:
    account = random_.choice(ACCOUNTS)
    return text[:-1] + f', "account": "{account}"}}'
