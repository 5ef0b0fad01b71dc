"""What a step has asked AWS to make by calls that have no client token.

CreateSnapshots and CopySnapshot make something new each time. What an earlier try made carries the case's tag, but EC2 may
not list it yet (:mod:`forensics.aws.visibility`), and the ids are lost when a worker ends before it has the answer. So each
request is recorded before it is sent, and its ids when they are known: a later try describes those ids, and waits for a
request without an answer to show before it asks again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from forensics import case_keys
from forensics.aws.visibility import until_found
from forensics.case.recorder import CaseRecorder
from forensics.errors import AccessDeniedError, ResourceGoneError, ThrottledError
from forensics.models.base import Model

T = TypeVar("T")
# How long a request without an answer is looked for by its tags, in seconds, before it is made again.
LISTED_WITHIN = 60.0


class Asked(Model):
    """Ids of everything that one request has made so far; ``open`` while the answer of the newest one is not known."""

    ids: tuple[str, ...] = ()
    open: bool = False


class MadeBefore:
    """The requests of one name in one case.

    :param what: tells this request from others of the case, for instance ``snapshots``
    """

    def __init__(self, recorder: CaseRecorder, what: str) -> None:
        self._recorder = recorder
        self._key = f"{case_keys.REQUEST}{what}"

    def _asked(self) -> Asked:
        return self._recorder.get(self._key, Asked) or Asked()

    def ids(self) -> tuple[str, ...]:
        """Everything that is known to have been made, oldest first."""
        return self._asked().ids

    def make(self, request: Callable[[], Sequence[str]]) -> None:
        """Send a request that returns the ids of what it makes."""
        before = self._asked()
        self._recorder.put(self._key, before.model_copy(update={"open": True}))
        try:
            ids = request()
        except (AccessDeniedError, ThrottledError, ResourceGoneError):  # refused: nothing was made
            self._recorder.put(self._key, before)
            raise
        self._recorder.put(self._key, Asked(ids=(*before.ids, *ids)))

    def find(
        self, listed: Callable[[], list[T]], *, described: Callable[[str], list[T]], name: Callable[[T], str]
    ) -> list[T]:
        """What was made: what AWS lists, and what is on record and is not listed.

        :param listed: what AWS lists by tag
        :param described: what AWS says of one id; raises :class:`ResourceGoneError` when it no longer exists
        :param name: the id of a thing
        """
        asked = self._asked()
        found = until_found(listed, seconds=LISTED_WITHIN) if asked.open else listed()
        for made in asked.ids:
            if made in {name(thing) for thing in found}:
                continue
            try:
                found = [*found, *described(made)]
            except ResourceGoneError:
                self._recorder.note(f"{made} was made for this case and no longer exists")
        return found
