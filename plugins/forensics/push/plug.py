"""The interface of a plug: what it is given of a case, what it does, what it answers.

A plug is a class. It brings a case to another system and may be called again for a case that is there already, in whole or in part: it looks first
for what an earlier call has made. It raises :class:`PushError` with a ``next_action``; no secret is in a message.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from forensics.errors import PushError
from forensics.models.case import Case
from forensics.models.push import PushAccess


@dataclass(frozen=True)
class PushedObject:
    """An object of the case: of a tool, or the report; ``evidence_id`` is empty where it is about the whole case."""

    name: str
    evidence_id: str
    uri: str
    sha256: str
    bytes: int


class PushedCase(Protocol):
    """A case as a plug sees it. What it reads is held against the digests of the ledger before it goes anywhere."""

    @property
    def case(self) -> Case:
        """The head record."""

    @property
    def version(self) -> str:
        """The version of the stored timeline."""

    @property
    def title(self) -> str:
        """A name for people: case, account and instance."""

    @property
    def objects(self) -> tuple[PushedObject, ...]:
        """What the tools made, and the report."""

    @property
    def left_out(self) -> tuple[str, ...]:
        """What the budget or a damage leaves out, with the reason; complete once everything was read."""

    def timeline(self) -> tuple[Path, int]:
        """The timeline in Timesketch's form, one JSON object a line, and how many lines it has."""

    def pointers(self) -> bytes:
        """The evidence as JSON: ids, outcomes, where each item lies, its digests and size. No evidence itself."""

    def opened(self, item: PushedObject) -> AbstractContextManager[Path | None]:
        """A copy of an object for the block, checked; None where the budget does not allow it (then ``left_out`` has it)."""


@dataclass(frozen=True)
class Arrived:
    """What a plug answers: the address of the case there, what of it is there now."""

    where: str
    entries: int = 0
    objects: int = 0
    note: str = ""


class Deadline:
    """The time that one push may take."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._end = seconds, time.monotonic() + seconds

    def check(self) -> None:
        """Raises :class:`PushError` when it is over."""
        if time.monotonic() > self._end:
            action = "raise forensics.push_seconds or lower forensics.push_mib, then start the DAG case_push with the case's id"
            raise PushError(f"it took longer than {self._seconds:.0f} s", next_action=action)


class PushPlug(ABC):
    """One system, reached as ``access`` says; ``deadline`` is looked at between requests."""

    kind: ClassVar[str]

    def __init__(self, access: PushAccess, deadline: Deadline) -> None:
        self.access, self.deadline = access, deadline

    @abstractmethod
    def push(self, case: PushedCase) -> Arrived:
        """Bring the case there. Safe to repeat. Raises :class:`PushError`."""


def pieces(file: Path, size: int) -> Iterator[bytes]:
    """A file in pieces of ``size`` bytes."""
    with file.open("rb") as opened:
        while piece := opened.read(size):
            yield piece
