"""Clients whose service may be out of reach: one time-out, then their calls fail at once for a while.

A VPC that has no way to a service drops its packets; each call then costs a time-out, times the tries. The first failure is
remembered for the endpoint in this process, so that a task pays for it once and can go on with what does not need the service.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ConnectionClosedError, ConnectionError, ReadTimeoutError

if TYPE_CHECKING:
    from botocore.client import BaseClient

# For how many seconds an endpoint that did not answer is not asked again.
HOLD_SECONDS = 60.0


class EndpointNotAsked(BotoCoreError):
    """The endpoint did not answer a moment ago, so this call was not sent."""

    fmt = "{endpoint} did not answer a moment ago ({cause}); it is asked again in {seconds} s"


@dataclass(frozen=True)
class _Outage:
    cause: str
    until: float


_lock = threading.Lock()
_outages: dict[str, _Outage] = {}


def fail_fast(client: BaseClient) -> None:
    """Let this client's calls fail at once for :data:`HOLD_SECONDS` after one of them found no way to the endpoint.

    Answers that are errors (throttling, refusals) do not count: the way is there. A connection that was closed counts when
    the second try of a call meets it too: AWS closes idle ones.
    """
    endpoint = str(client.meta.endpoint_url)
    key = f"{client.meta.service_model.service_name} {client.meta.region_name} {endpoint}"

    def check(**_: object) -> None:
        if outage := _outage(key):
            left = max(1, round(outage.until - time.monotonic()))
            raise EndpointNotAsked(endpoint=endpoint, cause=outage.cause, seconds=left)

    def learn(*, attempts: int, caught_exception: Exception | None = None, **_: object) -> None:
        closed_again = isinstance(caught_exception, ConnectionClosedError) and attempts > 1
        if closed_again or isinstance(caught_exception, (ConnectionError, ReadTimeoutError)):
            with _lock:
                _outages[key] = _Outage(str(caught_exception), time.monotonic() + HOLD_SECONDS)

    # before each call and before each of its tries: a call that has timed out is not tried again
    client.meta.events.register_first("before-send", check)
    client.meta.events.register_first("needs-retry", learn)


def _outage(key: str) -> _Outage | None:
    with _lock:
        found = _outages.get(key)
        if found and found.until <= time.monotonic():
            del _outages[key]
            return None
        return found


def forget() -> None:
    """Ask every endpoint again."""
    with _lock:
        _outages.clear()
