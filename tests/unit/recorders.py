"""A recorder that keeps what a step records, and a hook that hands it out."""

from __future__ import annotations

from typing import Any

from forensics.models.case import StepFailure
from tests.unit.builders import CASE_ID, case


class Records:
    """The store's part that every step uses."""

    def __init__(self) -> None:
        self.failures: dict[str, StepFailure] = {}

    def clear_failure(self, case_id: str, step: str) -> None:
        """Forget a step's failure."""
        assert case_id == CASE_ID
        self.failures.pop(step, None)


class Gateways:
    """Only the store."""

    def __init__(self, store: Records) -> None:
        self.store = store


class Desk:
    """What a step sees of its case."""

    def __init__(self) -> None:
        self.case = case()
        self.case_id = CASE_ID
        self.store = Records()
        self.gateways = Gateways(self.store)
        self.notes: list[str] = []
        self.told: list[str] = []

    def note(self, what: str, **_: Any) -> None:
        """A line of the timeline."""
        self.notes.append(what)

    def fail(self, failure: StepFailure) -> None:
        """Record and page, as the real recorder does."""
        self.store.failures[failure.step] = failure
        self.told.append(f"FAILED: {failure.step}: {failure.cause}: {failure.next_action}")


class TaskInstance:
    """The two numbers that decide whether Airflow tries again."""

    def __init__(self, try_number: int, *, retries: int = 2) -> None:
        self.try_number = try_number
        self.max_tries = retries


def context(try_number: int = 1, *, retries: int = 2) -> dict[str, Any]:
    """A task's context."""
    return {"ti": TaskInstance(try_number, retries=retries)}
