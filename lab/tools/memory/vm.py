"""One QEMU guest in software emulation: start it, log in to it, stop it for a capture."""

from __future__ import annotations

import json
import shlex
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

from lab.progress import StandstillError, wait_until
from lab.tools.memory.machines import AMD64, Machine

T = TypeVar("T")
_RELAY = Path(__file__).with_name("relay.py")

ATTACKER = "203.0.113.66"
GUEST = "10.0.1.23"
C2_PORT = 4443
FILE_PORT = 8081
# The same port is in the disk image's /var/log/auth.log.
ATTACKER_SSH_PORT = 51544


class GuestError(RuntimeError):
    """The guest did not start, answer or follow a command; the message names the log to read."""


@dataclass
class Listener:
    """The attacker's end of the implant's connections: keeps them open and throws away what arrives."""

    port: int = C2_PORT
    peers: list[socket.socket] = field(default_factory=list)

    def start(self) -> None:
        """Bind on loopback; GuestError when the port is taken."""
        try:
            self._server = socket.create_server(("127.0.0.1", self.port))
        except OSError as error:
            raise GuestError(f"the attacker's port 127.0.0.1:{self.port}: {error}; free it, run again") from error
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._server.accept()
            except OSError:  # close() ended the wait
                return
            self.peers.append(peer)
            threading.Thread(target=_drain, args=(peer,), daemon=True).start()

    def close(self) -> None:
        """Stop listening and drop the connections; the shutdown ends the wait for the next one, which would keep the port."""
        self._server.shutdown(socket.SHUT_RDWR)
        for end in (self._server, *self.peers):
            end.close()


def _drain(peer: socket.socket) -> None:
    try:
        while peer.recv(4096):
            continue
    except OSError:  # the guest is gone: the connection has no further use
        peer.close()


class FileServer:
    """The attacker's web server: one file on loopback, which the guest reaches as 203.0.113.66:8081."""

    def __init__(self, path: Path) -> None:
        served = path.read_bytes()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(served)))
                self.end_headers()
                self.wfile.write(served)

        self._server = ThreadingHTTPServer(("127.0.0.1", FILE_PORT), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()


@dataclass
class Guest:
    """A running guest; its work folder holds console.log and the QMP socket."""

    work: Path
    kernel: Path
    initrd: Path
    key: Path
    memory_mib: int
    clock: str
    cmdline: str
    machine: Machine = AMD64
    extra: list[str] = field(default_factory=list)

    def start(self) -> None:
        """Start QEMU and connect to its monitor.

        slirp plays the attacker's network: what the guest sends to the gateway 203.0.113.66 arrives on this
        machine's loopback; what comes in through the forwarded port has the gateway's address as its source.
        """
        self.ssh_port = _free_port()
        monitor = self.work / "qmp.sock"
        monitor.unlink(missing_ok=True)
        network = f"user,id=lan,net=203.0.113.0/24,host={ATTACKER},dns=203.0.113.3"
        network += f",hostfwd=tcp:127.0.0.1:{self.ssh_port}-{GUEST}:22"
        command = [
            self.machine.emulator,
            "-accel",
            "tcg",
            *self.machine.board,
            "-smp",
            "1",
            "-nodefaults",
            "-no-reboot",
        ]
        command += ["-display", "none", "-m", str(self.memory_mib), "-rtc", f"base={self.clock},clock=vm"]
        command += ["-kernel", str(self.kernel), "-initrd", str(self.initrd), "-append", self.cmdline]
        command += ["-netdev", network, "-device", "virtio-net-pci,netdev=lan,mac=06:00:0a:00:01:17,romfile="]
        command += [
            "-serial",
            f"file:{self.work / 'console.log'}",
            "-qmp",
            f"unix:{monitor},server=on,wait=off",
        ]
        self.process = subprocess.Popen([*command, *self.extra])
        self._monitor = self._until(lambda: _connect(monitor), what="QEMU's monitor to answer")
        self._replies = self._monitor.makefile("r")
        self._replies.readline()
        self.qmp("qmp_capabilities")

    def qmp(self, command: str, **arguments: Any) -> Any:
        """Run one QMP command and return its result; GuestError with QEMU's own words when it refuses."""
        self._monitor.sendall((json.dumps({"execute": command, "arguments": arguments}) + "\n").encode())
        for line in self._replies:
            reply = json.loads(line)
            if "error" in reply:
                raise GuestError(f"QEMU refused {command}: {reply['error']['desc']}")
            if "return" in reply:
                return reply["return"]
        raise GuestError(f"QEMU ended during {command}; read {self.work / 'console.log'}")

    def ssh(self, *arguments: str, source_port: int | None = None) -> list[str]:
        """The ssh command line that reaches the guest as root, from a chosen source port if one is given."""
        options = [
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "LogLevel=ERROR",
            "BatchMode=yes",
        ]
        if source_port:
            options.append(f"ProxyCommand={sys.executable} {_RELAY} {source_port} {self.ssh_port}")
        flags = [word for option in options for word in ("-o", option)]
        return ["ssh", *flags, "-i", str(self.key), "-p", str(self.ssh_port), *arguments, "root@127.0.0.1"]

    def run(self, command: str) -> bytes:
        """Run one command in the guest and return its output; GuestError when it fails."""
        done = subprocess.run([*self.ssh(), command], capture_output=True, check=False, timeout=300)
        if done.returncode:
            raise GuestError(f"guest: {shlex.quote(command)} ended with {done.returncode}: {done.stderr.decode()}")
        return done.stdout

    def wait_for_ssh(self) -> None:
        """Wait for an SSH banner from the guest; no login is made, so memory holds no trace of one."""
        self._until(self._banner, what="the guest's SSH server to answer")

    def stop(self) -> None:
        """End the guest."""
        self.process.terminate()
        self.process.wait(30)

    def _banner(self) -> bool | None:
        with socket.create_connection(("127.0.0.1", self.ssh_port), timeout=5) as probe:
            return probe.recv(4) == b"SSH-" or None

    def _until(self, probe: Callable[[], T | None], *, what: str) -> T:
        """The first answer of ``probe``; waits as long as the guest's console grows. GuestError when QEMU ends or stands still."""
        console = self.work / "console.log"

        def answer() -> T | None:
            if self.process.poll() is not None:
                raise GuestError(f"QEMU ended with {self.process.returncode}; read {console}")
            try:
                return probe()
            except OSError:  # not there yet
                return None

        try:
            found = wait_until(answer, what=what, progress=lambda: _size(console), pause=0.3)
        except StandstillError as error:
            raise GuestError(f"{error} Read {console}.") from error
        assert found is not None  # what a wait returns is true
        return found


def _size(file: Path) -> str:
    return f"{file.stat().st_size} bytes on the console" if file.exists() else "no console yet"


def _connect(path: Path) -> socket.socket:
    monitor = socket.socket(socket.AF_UNIX)
    monitor.connect(str(path))
    return monitor


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
