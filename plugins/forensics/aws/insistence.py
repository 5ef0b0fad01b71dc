"""Writes down what cannot be undone any more: tried again for a few seconds beyond botocore's own tries."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from forensics.errors import ForensicsError

log = logging.getLogger(__name__)
# Seconds between the tries: less, in all, than any lease under which people are told.
PAUSES = (0.5, 1.0, 2.0, 4.0)


def insist(write: Callable[[], object], *, what: str) -> None:
    """Call ``write``, which may be repeated, until it succeeds; the last try's :class:`ForensicsError` is raised.

    For the record of a message that people have got: without it they would get it again.
    """
    for pause in PAUSES:
        try:
            write()
        except ForensicsError as error:
            log.warning("%s is written again in %s s: %s", what, pause, error)
            time.sleep(pause)
        else:
            return
    write()
