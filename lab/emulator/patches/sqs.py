"""SQS: sending and receiving cost the same however deep the queue is, and no message is delivered twice."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from moto.core.utils import camelcase_to_underscores, unix_time_millis
from moto.sqs.exceptions import SQSException
from moto.sqs.models import Queue, SQSBackend

from lab.emulator.patches import state
from lab.emulator.patches.patching import replace

_receive_lock = threading.RLock()
# SQS API reference, SendMessage: the characters that a message may not have
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")
POLL_SECONDS = 0.25
REDELIVERED_AFTER_MS = 500


class _LazyAttributes(Mapping[str, Any]):
    """The queue's attributes, counted only when somebody asks for more than the deduplication flag."""

    def __init__(self, queue: Any, read: Callable[[Any], dict[str, Any]]) -> None:
        self._queue = queue
        self._read = read

    def __getitem__(self, name: str) -> Any:
        if name == "ContentBasedDeduplication":
            return str(self._queue.content_based_deduplication).lower()
        return self._read(self._queue)[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read(self._queue))

    def __len__(self) -> int:
        return len(self._read(self._queue))

    def __setitem__(self, name: str, value: Any) -> None:
        raise TypeError(f"queue attribute {name} cannot be set here")


def _attributes(original: property) -> property:
    read = original.fget
    assert read is not None

    def attributes(self: Any) -> Any:
        # stock send_message evaluates every count three times: 186 ms a message at a depth of 5,000
        return _LazyAttributes(self, read)

    return property(attributes)


def _get_queue_attributes(original: Callable[..., Any]) -> Callable[..., Any]:
    def get_queue_attributes(self: Any, queue_name: str, attribute_names: list[str]) -> Any:
        queue = self.get_queue(queue_name)
        if not attribute_names:
            return {}
        if "All" in attribute_names:
            return dict(queue.attributes)
        if set(attribute_names) <= set(queue.BASE_ATTRIBUTES) - {"Policy", "RedrivePolicy"}:
            # stock moto counts every kind of message for each question, and asks the retention for each message
            return {name: _base(queue, name) for name in attribute_names}
        everything = dict(queue.attributes)
        valid = [
            *queue.BASE_ATTRIBUTES,
            *queue.FIFO_ATTRIBUTES,
            *queue.KMS_ATTRIBUTES,
            "Policy",
            "RedrivePolicy",
        ]
        if any(name not in valid for name in attribute_names):
            return original(self, queue_name, attribute_names)
        return {name: everything[name] for name in attribute_names if everything.get(name) is not None}

    return get_queue_attributes


def _base(queue: Any, name: str) -> Any:
    value = getattr(queue, camelcase_to_underscores(name))
    return str(value).lower() if isinstance(value, bool) else value


def _receive(original: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
    def receive_message(
        self: Any,
        queue_name: str,
        count: int,
        wait_seconds_timeout: int,
        visibility_timeout: int,
        message_attribute_names: list[str] | None = None,
    ) -> list[Any]:
        deadline = time.monotonic() + (wait_seconds_timeout or 0)
        queue = self.get_queue(queue_name)
        while True:
            with _receive_lock:
                found = original(self, queue_name, count, 0, visibility_timeout, message_attribute_names)
                _deliver_again(found)
            left = deadline - time.monotonic()
            if found or left <= 0:
                return found
            with queue._messages_lock:
                queue._messages_lock.wait(min(left, POLL_SECONDS))

    return receive_message


def _deliver_again(found: list[Any]) -> None:
    """At least once: a share of the messages, chosen by their ids, becomes visible again soon after its first delivery."""
    share = state.current().config.sqs_redelivered_share
    for message in found:
        if share and message.approximate_receive_count == 1 and int(message.id[:4], 16) < share * 0x10000:
            message.visible_at = unix_time_millis() + REDELIVERED_AFTER_MS


def _send(original: Callable[..., Any]) -> Callable[..., Any]:
    def send_message(self: Any, queue_name: str, message_body: str, *rest: Any, **named: Any) -> Any:
        if _FORBIDDEN.search(message_body):
            raise SQSException(
                "InvalidMessageContents", "Invalid characters found: the message has characters that SQS does not take."
            )
        return original(self, queue_name, message_body, *rest, **named)

    return send_message


def apply() -> None:
    """Install the patch."""
    replace(SQSBackend, "send_message", _send)
    replace(Queue, "attributes", _attributes)
    replace(SQSBackend, "get_queue_attributes", _get_queue_attributes)
    replace(SQSBackend, "receive_message", _receive)
