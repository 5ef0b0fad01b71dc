"""Checks that end as a test wants."""

from __future__ import annotations

import threading
from collections.abc import Callable

from forensics.preflight.check import Check


class Made(Check):
    """A check that does what it is given."""

    name = "made"

    def __init__(self, attempt: Callable[[], str], subject: str = "", limit: float = 30.0) -> None:
        super().__init__(subject)
        self._attempt = attempt
        self.limit = limit  # type: ignore[misc]

    def attempt(self) -> str:
        return self._attempt()


def raises(error: Exception) -> Callable[[], str]:
    def attempt() -> str:
        raise error

    return attempt


def waits(for_: threading.Event) -> Callable[[], str]:
    def attempt() -> str:
        for_.wait()
        return "late"

    return attempt
