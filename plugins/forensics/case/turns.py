"""One worker at a time: what must not be done twice at once by a step and the twin that Airflow started after a lost heartbeat.

A worker whose heartbeat was lost may still be at work, minutes later. Each looks whether a command was sent or a snapshot made, sees
none, and makes one. So looking, making and recording are one turn, held by a lease that ends by itself when its holder was killed: long
before Airflow starts the next try (``scheduler.task_instance_heartbeat_timeout``, 300 seconds).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from forensics.case.recorder import CaseRecorder

TURN_SECONDS = 90  # what looking, making and recording may take, with botocore's own retries


@contextmanager
def turn(recorder: CaseRecorder, what: str) -> Iterator[None]:
    """Wait for the turn in the case, and have it.

    Rather twice than never: a holder that takes longer than two turns is not waited for.
    """
    store, name, holder = recorder.gateways.store, f"turn:{what}", uuid4().hex
    end = time.monotonic() + 2 * TURN_SECONDS
    while not (mine := store.lease(recorder.case_id, name, holder=holder, seconds=TURN_SECONDS)):
        if time.monotonic() > end:
            break
        time.sleep(0.5)
    try:
        yield
    finally:
        if mine:
            store.release_lease(recorder.case_id, name, holder=holder)
