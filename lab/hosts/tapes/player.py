"""Plays a tape for another command: the same requests at the same moments, with this command's URLs, ids and digests."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import http.client
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from lab.hosts.agent.protocol import Invocation
from lab.hosts.tapes.shelf import Exchange, ShelfError, Status, Tape, is_url, query_of, texts, urls_of

# Shorter values are numbers and words that stand in many places and mean something else there.
_SHORTEST = 8
_TICK_SECONDS = 0.1
_ANSWER_SECONDS = 120


@dataclasses.dataclass(frozen=True)
class Played:
    """How a command ended, as its tape has it; ``outputs`` are step, standard output and standard error."""

    status: Status
    code: int
    details: str | None
    outputs: list[tuple[str, str, str]]


def play(
    found: tuple[Tape, Path], invocation: Invocation, *, source: str, stop: Callable[[], str | None]
) -> Played | str:
    """Play to the end and return how the command ended, or the reason for which it was stopped.

    ``source`` is the host's loopback address. Raises :class:`ShelfError` when AWS answers otherwise than it did.
    """
    tape, folder = found
    return _Player(tape, folder, invocation, source=source, stop=stop).run()


class _Player:
    def __init__(
        self, tape: Tape, folder: Path, invocation: Invocation, *, source: str, stop: Callable[[], str | None]
    ) -> None:
        self._tape, self._folder, self._source, self._stop = tape, folder, source, stop
        self._urls: dict[str, str] = {}
        self._words: dict[str, str] = {
            tape.instance_id: invocation.instance_id,
            tape.command_id: invocation.command_id,
        }
        # of all uploads so far, one after the other: what goes up in parts is named by the digest of the whole
        self._whole = hashlib.sha256(), hashlib.sha256()
        self._order(texts(invocation.parameters))
        self._began = time.monotonic()

    def run(self) -> Played | str:
        for exchange in self._tape.exchanges:
            if reason := self._wait(exchange.at):
                return reason
            self._send(exchange)
        if reason := self._wait(self._tape.seconds):
            return reason
        outputs = [(name, self._text(out), self._text(err)) for name, out, err in self._tape.outputs]
        return Played(self._tape.status, self._tape.code, self._tape.details, outputs)

    def _wait(self, until: float) -> str | None:
        while (left := until - (time.monotonic() - self._began)) > 0:
            if reason := self._stop():
                return reason
            time.sleep(min(left, _TICK_SECONDS))
        return None

    def _send(self, exchange: Exchange) -> None:
        if exchange.method == "GET" and not exchange.answer:
            return  # evidence that the tool read
        url = self._urls.get(exchange.url)
        if url is None:
            msg = f"{self._folder.name}: the command sent {exchange.method} to a URL that this command was not given"
            raise ShelfError(msg)
        body = self._body((self._folder / exchange.body).read_bytes()) if exchange.body else b""
        headers = {name: self._text(value) for name, value in exchange.headers.items()}
        status, answer = self._request(exchange.method, url, headers=headers, body=body)
        if status >= 400:
            msg = f"{self._folder.name}: {exchange.method} was answered with {status}: {answer[:300]!r}"
            raise ShelfError(msg)
        if exchange.answer:
            given = urls_of(answer.decode())
            self._urls |= {
                query_of(url): given[name] for name, url in urls_of(exchange.answer).items() if name in given
            }

    def _request(self, method: str, url: str, *, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        place = urlsplit(url)
        source = (self._source, 0) if self._source else None
        connection = http.client.HTTPConnection(
            place.hostname or "", place.port or 80, timeout=_ANSWER_SECONDS, source_address=source
        )
        try:
            connection.request(method, f"{place.path}?{place.query}", body=body or None, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def _order(self, parameters: dict[str, str]) -> None:
        """What stood in the recorded command's parameters, and what stands there now."""
        for name, old in self._tape.parameters.items():
            new = parameters.get(name, old)
            if is_url(old):
                self._urls[query_of(old)] = new
            elif len(old) >= _SHORTEST:
                self._words[old] = new

    def _body(self, body: bytes) -> bytes:
        """A body with this command's ids where it is text; later texts that have its digest, or that of the parts up to it, get the new one."""
        changed = self._with_ids(body)
        if len(changed) != len(body):
            msg = f"{self._folder.name}: an upload had {len(body)} bytes and would have {len(changed)}; other texts say how many"
            raise ShelfError(msg)
        for whole, part in zip(self._whole, (body, changed), strict=True):
            whole.update(part)
        if changed != body:
            self._other(hashlib.sha256(body).digest(), hashlib.sha256(changed).digest())
            self._words[_base64(hashlib.md5(body, usedforsecurity=False).digest())] = _base64(
                hashlib.md5(changed, usedforsecurity=False).digest()
            )
        old, new = (whole.digest() for whole in self._whole)
        if old != new:
            self._other(old, new)
        return changed

    def _with_ids(self, body: bytes) -> bytes:
        try:
            return self._text(body.decode("utf-8")).encode()
        except UnicodeDecodeError:
            return body

    def _other(self, old: bytes, new: bytes) -> None:
        """Instead of one SHA-256 another is said from now on."""
        self._words[old.hex()] = new.hex()
        self._words[_base64(old)] = _base64(new)

    def _text(self, text: str) -> str:
        for old, new in self._words.items():
            text = text.replace(old, new)
        return text


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()
