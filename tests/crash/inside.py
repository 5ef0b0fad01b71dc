"""The whole lab in this process: its application answers botocore's requests without a socket, and time moves when somebody waits.

What leaves the process on AWS (a request of botocore) is handed to the lab's WSGI application here; everything above that line is the
real client. Sleeps and timed waits move the clock that product, lab and triggers share, so that an hour's wait costs nothing. Hosts run
the real documents in real time, each to its end as soon as somebody waits.
"""

from __future__ import annotations

import asyncio
import io
import os
import queue
import re
import selectors
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import unquote, urlsplit

import botocore.awsrequest
import botocore.httpsession
import requests
import time_machine
from werkzeug.serving import BaseWSGIServer, make_server

from forensics.aws import session as aws_session
from forensics.settings import get_settings
from lab.emulator import images as emulator_images
from lab.emulator.network import network, places
from lab.emulator.patches import ssm, ssm_fleet
from lab.emulator.server import build_app
from lab.hosts.agent import aws as agent_aws
from lab.hosts.agent.machine import Machines
from lab.hosts.agent.worker import Surroundings, Worker
from lab.seed import seed
from lab.stack import airflow
from lab.stack.stack import read_variables
from lab.stack.state import free_port
from tests.integration.conftest import SmallImages, SmallLab

# What a thread that waits for another one in this process gives it of real time before the clock moves.
GRACE = 0.005
ROUNDS = 4000
IDLE_ROUNDS = 3
HOST = "lab-host"
_ACTION = re.compile(rb"(?:^|&)(Action=\w+)")
_sleep, _wait, _select = time.sleep, threading.Condition.wait, selectors.EpollSelector.select
_async_sleep, _excepthook = asyncio.sleep, threading.excepthook


class Killed(BaseException):
    """The process died here. Not an Exception: no handler of the product sees it."""


@dataclass
class Wire:
    """Where requests of the product pass. ``kill_at`` is the number of the one at which the process dies."""

    app: Any
    sent: list[str] = field(default_factory=list)
    kill_at: int = 0
    after: bool = False
    dead: bool = False
    killed_in: str = ""
    _moments: list[int] = field(default_factory=lambda: [0, 0])
    _under_way: int = 0
    _lock: Any = field(default_factory=threading.Lock)

    def begin(self, *, kill_at: int = 0, after: bool = False) -> None:
        """A new life of the process."""
        self.sent, self.kill_at, self.after, self.dead, self.killed_in = [], kill_at, after, False, ""

    def quiet(self) -> bool:
        """Whether no request has been sent or answered since the last time that somebody asked."""
        now = [len(self.sent), self._under_way]
        before, self._moments = self._moments, now
        return now == before and not self._under_way

    def send(self, request: Any) -> botocore.awsrequest.AWSResponse:
        """One request of botocore; the dead send nothing."""
        if threading.current_thread().name.startswith(HOST):
            return self._answer(request)
        with self._lock:
            if self.dead:
                raise Killed
            self.sent.append(_named(request))
            dies = len(self.sent) == self.kill_at
            if dies:
                self.killed_in = self.sent[-1]
            if dies and not self.after:
                self.dead = True
                raise Killed
        self._under_way += 1
        try:
            answer = self._answer(request)
        finally:
            self._under_way -= 1
        if dies:
            self.dead = True
            raise Killed
        return answer

    def _answer(self, request: Any) -> botocore.awsrequest.AWSResponse:
        status, headers, body = call(
            self.app, request.method, request.url, headers=dict(request.headers.items()), body=request.body
        )
        return botocore.awsrequest.AWSResponse(request.url, status, headers, _Body(body))


class _Body(io.BytesIO):
    """What botocore reads of a response."""

    def stream(self, amt: int = 65536, **_: Any) -> Iterator[bytes]:
        """The body in pieces, as urllib3 gives it."""
        while piece := self.read(amt):
            yield piece

    def read(self, amt: int | None = None, **_: Any) -> bytes:  # type: ignore[override]
        """As urllib3's, which takes more arguments."""
        return super().read(-1 if amt is None else amt)

    def release_conn(self) -> None:
        """There is no connection."""


def _named(request: Any) -> str:
    headers = {name.lower(): value for name, value in request.headers.items()}
    target = headers.get("x-amz-target", "")
    target = target.decode() if isinstance(target, bytes) else target
    if target:
        return str(target)
    body = request.body.encode() if isinstance(request.body, str) else request.body
    if isinstance(body, bytes) and (found := _ACTION.search(body)):
        return found[1].decode()
    parts = urlsplit(request.url)
    query = "&".join(sorted(p.split("=", 1)[0] for p in parts.query.split("&") if p))
    return f"{request.method} {parts.path}{'?' + query if query else ''}"


def call(
    app: Any, method: str, url: str, *, headers: Mapping[str, Any] | None = None, body: Any = b""
) -> tuple[int, list[tuple[str, str]], bytes]:
    """Ask a WSGI application; returns status, headers and body."""
    parts = urlsplit(url)
    data = body.read() if hasattr(body, "read") else body or b""
    data = data.encode() if isinstance(data, str) else bytes(data)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method, "SCRIPT_NAME": "", "PATH_INFO": unquote(parts.path, "latin-1"), "QUERY_STRING": parts.query,
        "RAW_URI": parts.path + (f"?{parts.query}" if parts.query else ""), "REQUEST_URI": parts.path + (f"?{parts.query}" if parts.query else ""),
        "SERVER_NAME": parts.hostname, "SERVER_PORT": str(parts.port or 80), "SERVER_PROTOCOL": "HTTP/1.1", "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0), "wsgi.url_scheme": parts.scheme, "wsgi.input": io.BytesIO(data), "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True, "wsgi.multiprocess": False, "wsgi.run_once": False, "HTTP_HOST": parts.netloc,
        "CONTENT_LENGTH": str(len(data)), "wsgi.input_terminated": True,
    }  # fmt: skip
    for name, value in (headers or {}).items():
        text = value.decode() if isinstance(value, bytes) else str(value)
        key = name.upper().replace("-", "_")
        if key == "CONTENT_LENGTH":
            continue
        environ[key if key == "CONTENT_TYPE" else f"HTTP_{key}"] = text
    begun: list[Any] = []
    answer = app(environ, lambda status, given, *_: begun[:].clear() or begun.extend((status, given)))
    try:
        whole = b"".join(answer)
    finally:
        close = getattr(answer, "close", None)
        if close:
            close()
    return int(str(begun[0]).split(" ", 1)[0]), list(begun[1]), whole


class _Adapter(requests.adapters.BaseAdapter):
    """The lab's control routes, which the seed asks by requests."""

    def __init__(self, app: Any) -> None:
        super().__init__()
        self._app = app

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        """One request of requests."""
        status, headers, body = call(
            self._app, str(request.method), str(request.url), headers=dict(request.headers), body=request.body
        )
        made = requests.Response()
        made.status_code, made._content = status, body
        made.headers.update(headers)
        return made

    def close(self) -> None:
        """Nothing is open."""


@dataclass
class Hosts:
    """The SSM agents of this process. They run what waits when the product waits."""

    app: Any
    state: Path
    port: int
    _server: BaseWSGIServer | None = None
    _owner: int = 0
    _busy: bool = False

    def run(self) -> None:
        """Let every agent do what it has been sent, to the end."""
        if self._busy:
            return
        self._busy = True
        try:
            here = network.current()
            for one in ssm.pending_invocations():
                if not here.agent_path(one.account_id, one.region, one.instance_id):
                    continue
                if not ssm_fleet.agent_reachable(one.account_id, one.region, one.instance_id):
                    continue
                self.listen()
                worker = Worker(one, surroundings=self._around())
                thread = threading.Thread(target=worker.run, name=f"{HOST}-{one.instance_id}", daemon=True)
                thread.start()
                thread.join()
        finally:
            self._busy = False

    def listen(self) -> None:
        if self._owner == os.getpid():
            return
        # after a fork the parent's listening thread is not here, its socket is
        self._server = make_server("127.0.0.1", self.port, self.app, threaded=True)
        threading.Thread(target=self._server.serve_forever, name=f"{HOST}-http", daemon=True).start()
        self._owner = os.getpid()

    def _around(self) -> Surroundings:
        scratch = self.state / "sandbox"
        scratch.mkdir(parents=True, exist_ok=True)
        return Surroundings(
            endpoint=f"http://127.0.0.1:{self.port}",
            machines=Machines(
                state=self.state, attachments=agent_aws.attachments, volume_path=emulator_images.volume_path
            ),
            reachable=ssm_fleet.agent_reachable,
            instance_state=agent_aws.instance_state,
            address_of=places.address_of,
            stopping=lambda: False,
            scratch=scratch,
        )


@dataclass
class InsideLab(SmallLab):
    """A seeded lab of this process."""

    wire: Wire = field(kw_only=True)
    hosts: Hosts = field(kw_only=True)

    def control(self, route: str, body: Any = None) -> Any:
        """Post to, or read, one of the lab's own routes."""
        import json

        data = b"" if body is None else json.dumps(body).encode()
        status, _, answer = call(
            self.wire.app, "GET" if body is None else "POST", f"{self.endpoint}/_lab/{route}", body=data
        )
        assert status < 300, answer
        return json.loads(answer)


def _is_host() -> bool:
    return threading.current_thread().name.startswith(HOST) or "process_request" in threading.current_thread().name


@contextmanager
def virtual_time(tick: Callable[[], None], quiet: Callable[[], bool]) -> Iterator[time_machine.Traveller]:
    """Sleeps and timed waits move the clock instead of passing; ``tick`` is called whenever it has moved.

    A timed wait moves it only when ``quiet`` says that nobody is at work.
    """
    with time_machine.travel(time.time(), tick=False) as clock, ExitStack() as changes:
        lock, began = threading.RLock(), (time.monotonic(), time.time())

        def move(seconds: float) -> None:
            with lock:
                clock.shift(max(0.0, seconds))
            if threading.current_thread() is threading.main_thread():
                tick()

        def others_rest(pause: Callable[[], bool]) -> bool:
            """Pause while others of this process are at work: then no time passes. True when the pause was ended by somebody."""
            idle = 0
            for _ in range(ROUNDS):
                used = time.process_time()
                if pause():
                    return True
                idle = idle + 1 if time.process_time() - used < GRACE / 5 and quiet() else 0
                if idle == IDLE_ROUNDS:
                    break
            return False

        def sleep(seconds: float) -> None:
            if _is_host():
                _sleep(seconds)
                return
            others_rest(lambda: bool(_sleep(GRACE)))
            move(seconds)

        async def async_sleep(delay: float, result: Any = None) -> Any:
            move(delay)
            return await _async_sleep(0, result)

        def wait(self: threading.Condition, timeout: float | None = None) -> bool:
            if timeout is None or _is_host():
                return _wait(self, timeout)
            if others_rest(lambda: _wait(self, min(timeout, GRACE))):
                return True
            move(timeout)
            return False

        def select(self: selectors.EpollSelector, timeout: float | None = None) -> Any:
            """An event loop's wait for its next timer."""
            if timeout is None or timeout <= 0 or _is_host():
                return _select(self, timeout)
            ready: list[Any] = []
            if others_rest(lambda: bool(ready.extend(_select(self, min(timeout, GRACE))) or ready)):
                return ready
            move(timeout)
            return []

        changes.enter_context(patch.object(time, "monotonic", lambda: began[0] + time.time() - began[1]))
        changes.enter_context(patch.object(time, "sleep", sleep))
        changes.enter_context(patch.object(asyncio, "sleep", async_sleep))
        changes.enter_context(patch.object(threading.Condition, "wait", wait))
        changes.enter_context(patch.object(selectors.EpollSelector, "select", select))
        # the one in C waits by the real clock
        changes.enter_context(patch.object(queue, "SimpleQueue", queue._PySimpleQueue))  # type: ignore[attr-defined]
        yield clock


def _quiet_about_the_dead(given: threading.ExceptHookArgs) -> None:
    if given.exc_type is not Killed:
        _excepthook(given)


@contextmanager
def inside_lab(folder: Path, *, images: Any = None, **environment: str) -> Iterator[InsideLab]:
    """A seeded lab in this process, once per process: moto's state is global."""
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    os.environ.update({"LAB_STATE": str(folder), "LAB_ENDPOINT": endpoint})
    # moto keeps larger objects in open files, and forks share the place in them where the next byte is read
    os.environ["MOTO_S3_DEFAULT_KEY_BUFFER_SIZE"] = str(1 << 30)
    app = build_app(folder)
    wire, hosts = Wire(app), Hosts(app, folder, port)
    adapter = _Adapter(app)
    with (
        virtual_time(hosts.run, wire.quiet),
        patch.object(botocore.httpsession.URLLib3Session, "send", lambda _self, request: wire.send(request)),
        patch.object(requests.Session, "get_adapter", lambda _self, url: adapter),
        patch.object(threading, "excepthook", _quiet_about_the_dead),
    ):
        facts = seed.seed(endpoint, folder, images=images or SmallImages(folder / "cache"), report=lambda _: None)
        for name in [n for n in os.environ if n.startswith(("AWS_", "AIRFLOW__FORENSICS__"))]:
            del os.environ[name]
        given = {**airflow.SETTINGS, **read_variables(folder / "airflow.env")}
        os.environ.update({n: v for n, v in given.items() if n.startswith(("AWS_", "AIRFLOW__FORENSICS__"))})
        os.environ.update({"AWS_ENDPOINT_URL": endpoint, "AIRFLOW__FORENSICS__POLL_SECONDS": "5", **environment})
        get_settings.cache_clear()
        aws_session.forget()
        yield InsideLab(endpoint, facts, wire=wire, hosts=hosts)
