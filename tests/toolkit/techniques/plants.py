"""What a technique leaves behind: traces with places for invented details, filled in from a seed."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

NIGHT = datetime(2026, 11, 21, 0, 0, 0, tzinfo=UTC)
APART = timedelta(minutes=11)  # between two techniques of one disk: what is found then belongs to one of them
_SYLLABLES = ("ka", "ro", "mi", "tel", "vun", "sa", "dor", "pex", "li", "gan", "bu", "hol", "ne", "zat", "qui", "fer")


@dataclass(frozen=True)
class Typed:
    """A command in the shell history of an account (``root`` or a person's name)."""

    command: str
    account: str = "root"


@dataclass(frozen=True)
class Audited:
    """A command that the audit log tells of, run by a person as root."""

    command: str


@dataclass(frozen=True)
class Logged:
    """A line of auth.log (``auth``), syslog (``system``) or an access log (``web``), ``after`` seconds later; without its time."""

    log: str
    line: str
    after: float = 0


@dataclass(frozen=True)
class Put:
    """A file, with its mode; ``link`` makes it a symbolic link; all of its times are the plant's."""

    path: str
    content: str = ""
    mode: int = 0o644
    link: str = ""
    modified: datetime | None = None  # a forged time


Trace = Typed | Audited | Logged | Put


@dataclass(frozen=True)
class Technique:
    """One technique of ATT&CK and the traces of one use of it."""

    id: str
    traces: tuple[Trace, ...]
    what: str = ""


@dataclass(frozen=True)
class Plant:
    """A technique with its details: when, and the word that no other plant has."""

    technique: Technique
    moment: datetime
    word: str
    details: dict[str, str]

    def filled(self, text: str) -> str:
        """A trace's text with the details in their places."""
        return re.sub(r"\{(\w+)\}", lambda match: self.details.get(match[1], match[0]), text)


def planted(techniques: Sequence[Technique], *, seed: int, start: datetime = NIGHT) -> Iterator[Plant]:
    """Each technique with invented details, at a time of its own (to the second)."""
    dice = random.Random(seed)  # noqa: S311 - names, not secrets
    for number, technique in enumerate(techniques):
        word = _word(dice) + f"{number:02d}"
        details = {
            "w": word,
            "n": _word(dice),
            "m": _word(dice),
            "dom": f"{_word(dice)}-{_word(dice)}.{dice.choice(('example.net', 'example.org', 'example.com'))}",
            "ip": f"{dice.choice(('203.0.113', '198.51.100'))}.{dice.randrange(2, 250)}",
            "port": str(dice.randrange(4000, 60000)),
            "num": str(dice.randrange(11, 99)),
            "pid": str(dice.randrange(700, 9000)),
            "tmp": dice.choice(("/tmp", "/var/tmp", "/dev/shm")),  # noqa: S108 - text of traces
            "hex": f"{dice.getrandbits(160):040x}",
            "b64": _base64(dice),
        }
        moment = (
            start
            + number * APART
            + timedelta(seconds=dice.randrange(0, 200), microseconds=dice.randrange(1000, 999_000))
        )
        yield Plant(technique, moment, word, details)


def _word(dice: random.Random) -> str:
    return "".join(dice.choice(_SYLLABLES) for _ in range(3))


def _base64(dice: random.Random) -> str:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    return "".join(dice.choice(letters) for _ in range(60))
