"""Notes what is wrong with the lab's answers, while a server serves or a test calls.

With ``LAB_ANSWERS=DIR`` in its environment a process writes to a file of its own in DIR: one line of JSON for each operation at its first
success, and one for each different problem. Whoever set the variable reads them (``notes.report``).
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path

from lab.emulator.contract import answers
from lab.emulator.contract.notes import VARIABLE, kind


class Watch:
    """Holds answers against the models and writes what is new."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / f"{os.getpid()}.jsonl"
        self._seen: set[tuple[str, ...]] = set()
        self._lock = threading.Lock()

    def answered(
        self, service: str, operation: str, *, status: int, headers: Iterable[tuple[str, str]], body: bytes
    ) -> None:
        """Look at one answer; ``service`` as boto3 calls its client."""
        model = answers.operation(service, operation)
        if model is None:
            if status < 400:
                self._note(service, operation, "botocore knows no such operation")
            return
        if status < 400:
            self._note(service, operation, "")
        lower: Mapping[str, str] = {name.lower(): value for name, value in headers}
        for problem in answers.problems(model, status, lower, body):
            self._note(service, operation, problem)

    def noted(self) -> list[tuple[str, ...]]:
        """Service, operation and problem of each note so far; an empty problem says that the operation was answered with success."""
        with self._lock:
            return sorted(self._seen)

    def _note(self, service: str, operation: str, problem: str) -> None:
        mark = (service, operation, kind(problem))
        with self._lock:
            if mark in self._seen:
                return
            self._seen.add(mark)
            line = {"service": service, "operation": operation, "problem": problem}
            with self._file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")


def of_environment() -> Watch | None:
    """The watch that the environment asks for."""
    directory = os.environ.get(VARIABLE)
    return Watch(Path(directory)) if directory else None
