"""Where tapes are kept: one for each document and kind of evidence, in the lab's folder."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from lab.hosts.agent.protocol import Invocation

MODES = ("real", "record", "replay")
Status = Literal["Success", "Failed", "TimedOut", "Cancelled"]


class ShelfError(Exception):
    """A tape cannot be used; the message says which and why."""


@dataclasses.dataclass(frozen=True)
class Exchange:
    """One request of a host: when in seconds after the command's start, to which URL (by its query, which a presigned URL has alone),
    with which headers and body (a file beside the tape), and the answer where it was a manifest (plugins/forensics/manifest.py).
    """

    at: float
    method: str
    url: str
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    body: str = ""
    answer: str = ""


@dataclasses.dataclass
class Tape:
    """One command: its parameters, what it sent and said, how it ended, and how long it took."""

    instance_id: str
    command_id: str
    parameters: dict[str, str]
    exchanges: list[Exchange] = dataclasses.field(default_factory=list)
    outputs: list[tuple[str, str, str]] = dataclasses.field(default_factory=list)
    status: Status = "Failed"
    code: int = 0
    details: str | None = None
    seconds: float = 0.0


class Recording:
    """A tape while it is recorded; ``known`` are the URLs that belong to it, by their queries."""

    def __init__(self, tape: Tape, folder: Path) -> None:
        self.tape, self.folder = tape, folder
        self.known = {query_of(url) for url in tape.parameters.values() if is_url(url)}
        self._began = time.monotonic()
        self._lock = threading.Lock()

    def add(self, exchange: Exchange, *, body: bytes, began: float) -> None:
        """Keep one exchange that began at this moment of the monotonic clock."""
        with self._lock:
            name = f"{len(self.tape.exchanges)}.body" if body else ""
            if name:
                (self.folder / name).write_bytes(body)
            self.known |= {query_of(url) for url in urls_of(exchange.answer).values()}
            kept = dataclasses.replace(exchange, at=max(0.0, began - self._began), body=name)
            self.tape.exchanges.append(kept)

    def ended(self, *, status: Status, code: int, details: str | None, outputs: list[tuple[str, str, str]]) -> None:
        """The command has ended so; writes the tape."""
        tape = self.tape
        tape.status, tape.code, tape.details, tape.outputs = status, code, details, outputs
        tape.seconds = time.monotonic() - self._began
        tape.exchanges.sort(key=lambda e: e.at)
        (self.folder / "tape.json").write_text(json.dumps(dataclasses.asdict(tape)), encoding="utf-8")


class Shelf:
    """All tapes of a lab, and whether commands are run, recorded or played (``mode``)."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.mode = folder, "real"
        self._running: dict[str, list[Recording]] = {}
        self._lock = threading.Lock()

    def switch(self, mode: str) -> None:
        """Set the mode. Raises :class:`ShelfError` for one that does not exist."""
        if mode not in MODES:
            raise ShelfError(f"there is no mode {mode!r} of the hosts' tools; known: {', '.join(MODES)}")
        self.mode = mode

    @contextmanager
    def recording(self, invocation: Invocation, *, address: str) -> Iterator[Recording]:
        """A tape for this command; requests from this address that are its own go onto it."""
        folder = self._place(invocation)
        folder.mkdir(parents=True, exist_ok=True)
        tape = Tape(invocation.instance_id, invocation.command_id, texts(invocation.parameters))
        made = Recording(tape, folder)
        with self._lock:
            self._running.setdefault(address, []).append(made)
        try:
            yield made
        finally:
            with self._lock:
                self._running[address].remove(made)

    def recordings(self, address: str) -> list[Recording]:
        """What is being recorded of a host."""
        with self._lock:
            return list(self._running.get(address, ()))

    def find(self, invocation: Invocation) -> tuple[Tape, Path] | None:
        """The tape of such a command and its folder, or None when none was recorded."""
        folder = self._place(invocation)
        try:
            given = json.loads((folder / "tape.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        given["exchanges"] = [Exchange(**exchange) for exchange in given["exchanges"]]
        return Tape(**given), folder

    def names(self) -> list[str]:
        """The tapes that there are."""
        return sorted(path.parent.name for path in self.folder.glob("*/tape.json"))

    def _place(self, invocation: Invocation) -> Path:
        """A command's tape: by its document's text and by the kind of evidence, which its id begins with."""
        text = json.dumps(invocation.document, sort_keys=True, default=str)
        kind = texts(invocation.parameters).get("EvidenceId", "none").split("-", 1)[0]
        step = str((invocation.document.get("mainSteps") or [{}])[0].get("name", "command"))
        return self.folder / f"{step}-{kind}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def texts(parameters: dict[str, Any]) -> dict[str, str]:
    """Parameters as SSM hands them over are lists of one value."""
    return {name: str(value[0] if isinstance(value, list) else value) for name, value in parameters.items()}


def is_url(text: str) -> bool:
    """Whether a parameter's value is a URL."""
    return text.startswith(("http://", "https://"))


def query_of(url: str) -> str:
    """What a presigned URL has for itself alone."""
    return url.partition("?")[2]


def urls_of(manifest: str) -> dict[str, str]:
    """The URLs of a manifest by what they are for: ``get memory``, ``put results``, ``part 7``."""
    lines = (line.split(" ") for line in manifest.splitlines())
    return {" ".join(words[:2]): words[-1] for words in lines if len(words) > 2 and is_url(words[-1])}
