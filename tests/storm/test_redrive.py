"""Dead letters return to the queue: none is lost, malformed ones stay, what fails again meanwhile is left alone."""

from __future__ import annotations

import time
from typing import Any

import pytest

from forensics.aws.sqs import FindingQueue
from forensics.errors import AwsError
from forensics.intake.redrive_operators import RedriveFindingsOperator
from tests.storm.test_engine import queue, send, sqs

__all__ = ["queue", "sqs"]
pytestmark = pytest.mark.usefixtures("settings_environment")


def run(monkeypatch: pytest.MonkeyPatch, queue: FindingQueue, **params: Any) -> dict[str, int]:
    """Run the task as the DAG does."""
    monkeypatch.setattr(FindingQueue, "of", lambda session, settings: queue)
    task = RedriveFindingsOperator(task_id="redrive_findings")
    return task.execute({"params": {"quarantined": False, "limit": 1000, **params}})


@pytest.fixture
def filled(queue: FindingQueue) -> FindingQueue:
    """A dead-letter queue with twelve failed messages and three malformed ones."""
    for number in range(12):
        queue.quarantine(f"dead {number}", reason="the table was gone", verdict="dead")
    for number in range(3):
        queue.quarantine(f"malformed {number}", reason="not JSON")
    time.sleep(0.01)
    return queue


@pytest.mark.parametrize(
    ("params", "moved", "left"), [({}, 12, 3), ({"quarantined": True}, 15, 0), ({"limit": 5}, 5, 5)]
)
def test_dead_letters_go_back(
    monkeypatch: pytest.MonkeyPatch, filled: FindingQueue, params: dict[str, Any], moved: int, left: int
) -> None:
    assert run(monkeypatch, filled, **params) == {"moved": moved, "left": left}
    assert filled.depth() == moved
    assert filled.dead_letters() == 15 - moved


def test_a_message_that_sqs_itself_moved_there_goes_back(monkeypatch: pytest.MonkeyPatch, queue: FindingQueue) -> None:
    send(FindingQueue(queue._sqs, url=queue.dead_letter_url, dead_letter_url=queue.url), "killed its worker")
    time.sleep(0.01)
    assert run(monkeypatch, queue) == {"moved": 1, "left": 0}


def test_what_dies_again_meanwhile_is_left_alone(monkeypatch: pytest.MonkeyPatch, filled: FindingQueue) -> None:
    back = filled.redrive

    def dies_again(message: dict[str, Any]) -> None:
        back(message)
        filled.quarantine(message["Body"], reason="still gone", verdict="dead")

    monkeypatch.setattr(filled, "redrive", dies_again)
    assert run(monkeypatch, filled)["moved"] == 12


def test_a_kill_between_sending_and_deleting_loses_nothing(
    monkeypatch: pytest.MonkeyPatch, filled: FindingQueue
) -> None:
    def broken(url: str, receipts: object) -> None:
        raise AwsError("the connection broke")

    monkeypatch.setattr(filled, "_delete_batch", broken)
    with pytest.raises(AwsError):
        run(monkeypatch, filled)
    assert filled.depth() == 1 and filled.dead_letters() == 15
