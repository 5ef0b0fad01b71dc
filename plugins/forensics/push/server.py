"""Requests to another system: with time-outs, no redirects, bounded answers, and errors without a secret."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Collection
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from forensics.errors import PushError
from forensics.models.push import PushAccess
from forensics.push.plug import Deadline

if TYPE_CHECKING:
    import requests

CONNECT_SECONDS, ANSWER_SECONDS = 10.0, 120.0
LARGEST_ANSWER = 16 * 1024 * 1024
GOOD = (200, 201)


class Answer:
    """An answer that was read: status, headers, body."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes, *, of: str) -> None:
        self.status, self.headers, self.body, self._of = status, headers, body, of

    def json(self) -> Any:
        """The body as JSON; raises :class:`PushError` where it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise PushError(f"{self._of} did not answer with JSON", next_action=_LOOK) from None


_LOOK = "see that the secret's server is the API's address, and look at that system's own log"


class Server:
    """A session with one system. Use it as a context."""

    def __init__(self, access: PushAccess, deadline: Deadline) -> None:
        import requests  # five megabytes that every task would hold, and few deployments push

        self._requests, self._stack, self._deadline = requests, ExitStack(), deadline
        self.session: requests.Session = requests.Session()
        self.base, self.host = access.server.rstrip("/"), urlsplit(access.server).hostname or "?"
        self._certificates = access.ca_certificates

    def __enter__(self) -> Self:
        self._stack.enter_context(self.session)
        if self._certificates:
            folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="forensics-push-"))
            file = Path(folder) / "ca.pem"
            file.write_text(self._certificates, encoding="ascii")
            self.session.verify = str(file)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def call(self, method: str, path: str, *, good: Collection[int] = GOOD, **given: Any) -> Answer:
        """One request. Raises :class:`PushError` where there is no answer or one with another status."""
        self._deadline.check()
        what = f"{method} {path.partition('?')[0]} at {self.host}"
        try:
            with self.session.request(
                method, self.base + path, timeout=(CONNECT_SECONDS, ANSWER_SECONDS), allow_redirects=False, stream=True, **given
            ) as got:  # fmt: skip
                body = _bounded(got, what)
        except self._requests.RequestException as error:
            action = f"see that {self.host} can be reached from Airflow's network (docs/push.md), then start the DAG case_push with the case's id"
            raise PushError(f"{what}: {type(error).__name__}", next_action=action) from None
        if got.status_code not in good:
            raise PushError(f"{what}: answered {got.status_code}", next_action=_action(got.status_code))
        return Answer(got.status_code, dict(got.headers), body, of=what)


def _bounded(got: requests.Response, what: str) -> bytes:
    body = bytearray()
    for piece in got.iter_content(65_536):
        body += piece
        if len(body) > LARGEST_ANSWER:
            raise PushError(f"{what}: the answer is larger than {LARGEST_ANSWER} bytes", next_action=_LOOK)
    return bytes(body)


def _action(status: int) -> str:
    if status in {401, 403}:
        return "give the secret a name and password, or a key, that may write there (docs/push.md)"
    if status in {413, 429} or status >= 500:
        return "look at that system's own log, then start the DAG case_push with the case's id"
    return _LOOK
