"""A headless Chromium, driven by its DevTools protocol: what a person would see, without a driver of somebody else."""

from __future__ import annotations

import base64
import itertools
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
MISSING = "no Chromium on this machine: install Debian's package chromium"
SECONDS = 30.0


class Tab:
    """One tab of the browser."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._events: list[dict[str, Any]] = []

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """One command of the protocol, and its answer."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv(timeout=SECONDS))
            if message.get("id") == number:
                assert "error" not in message, (method, message)
                return dict(message["result"])
            self._events.append(message)

    def wait_for(self, event: str) -> dict[str, Any]:
        """The next event of a name; those that came before it are gone."""
        while True:
            message = self._events.pop(0) if self._events else json.loads(self._socket.recv(timeout=SECONDS))
            if message.get("method") == event:
                return dict(message["params"])

    def open(self, address: str) -> None:
        """Load a page and wait until it is there."""
        self._events.clear()
        self.ask("Page.navigate", url=address)
        self.wait_for("Page.loadEventFired")

    def run(self, expression: str) -> Any:
        """The value of a JavaScript expression in the tab's page; promises are awaited."""
        found = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def until(self, expression: str) -> Any:
        """The first true value of an expression, asked for again at each frame that the browser draws."""
        waiting = f"""new Promise((found, never) => {{ const end = Date.now() + {SECONDS * 1000:.0f}; const look = () => {{
            let value; try {{ value = {expression} }} catch {{ value = null }}
            if (value) found(Object(value) === value ? true : value); else if (Date.now() > end) never(new Error("not within {SECONDS:.0f} s"));
            else requestAnimationFrame(look) }}; look() }})"""
        for _ in range(5):
            try:
                return self.run(waiting)
            except AssertionError as error:
                # The page that was asked has gone meanwhile: the next one is asked.
                if not re.search(r"navigated|destroyed|collected", str(error)):
                    raise
        msg = f"the page kept changing before {expression}"
        raise AssertionError(msg)

    def press(self, key: str, *, code: str = "") -> None:
        """Press and release a key."""
        known = {"Tab": 9, "Enter": 13}
        given = {"key": key, "code": code or key, "windowsVirtualKeyCode": known.get(key, 0)}
        self.ask("Input.dispatchKeyEvent", type="keyDown", **given, **({"text": "\r"} if key == "Enter" else {}))
        self.ask("Input.dispatchKeyEvent", type="keyUp", **given)

    def window(self, width: int, height: int, *, dark: bool = False) -> None:
        """Size of the window, and what the system prefers."""
        self.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])

    def screenshot(self, path: Path, *, whole: bool = True) -> Path:
        """A PNG of the page."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(self.ask("Page.captureScreenshot", captureBeyondViewport=whole)["data"]))
        return path

    def pages_of_print(self) -> int:
        """Pages of the PDF that printing gives, on A4."""
        pdf = base64.b64decode(self.ask("Page.printToPDF", paperWidth=8.27, paperHeight=11.69)["data"])
        return len(re.findall(rb"/Type\s*/Page\b(?!s)", pdf))


@contextmanager
def browser() -> Iterator[Tab]:
    """A tab of a new browser with a profile of its own; both are gone afterwards."""
    assert PROGRAM, MISSING
    with tempfile.TemporaryDirectory(prefix="ui-") as folder:
        command = [
            PROGRAM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
            "--disable-background-networking", "--remote-debugging-port=0", f"--user-data-dir={folder}", "about:blank",
        ]  # fmt: skip
        with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
            try:
                assert process.stderr is not None
                line = next(said for said in process.stderr if "DevTools listening on" in said)
                port = int(re.findall(r":(\d+)/", line)[0])
                with _tab(port) as tab:
                    yield tab
            finally:
                process.terminate()
                process.communicate()


@contextmanager
def _tab(port: int) -> Iterator[Tab]:
    import urllib.request

    with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=SECONDS) as answer:
        page = next(target for target in json.loads(answer.read()) if target["type"] == "page")
    with connect(page["webSocketDebuggerUrl"], max_size=None, open_timeout=SECONDS) as socket:
        tab = Tab(socket)
        tab.ask("Page.enable")
        tab.ask("Runtime.enable")
        yield tab
