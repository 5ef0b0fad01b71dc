"""A target, its clients and the hypervisor between them, in namespaces of their own: run by `test_packets.py`.

``python packets.py hypervisor`` (in a new user and network namespace) starts the others, obeys JSON lines on stdin and
answers with JSON lines. Groups are rules of the kernel's packet filter with its connection tracking, as security groups
are on a hypervisor: ``app`` lets port 7000 in and everything out, ``open`` allows everything without tracking it,
``empty`` only what is tracked. Flows through ``nat`` stand for those that AWS tracks in every group (NAT gateways, load
balancers). The Route 53 Resolver is not behind the groups: it is the hypervisor itself.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import nftables as nft

SERVICE, OUTSIDE, RESOLVER = 7000, 7001, 5300
TRACKED_SECONDS = 6
HOSTS = {"target": 2, "client": 3, "nat": 4}
WAIT = 0.5


def address(host: str, *, six: bool) -> str:
    """Address of a host on its own link."""
    return f"fd00:{HOSTS[host]}::2" if six else f"10.0.{HOSTS[host]}.2"


def gateway(host: str, *, six: bool) -> str:
    """The hypervisor's address on a host's link."""
    return f"fd00:{HOSTS[host]}::1" if six else f"10.0.{HOSTS[host]}.1"


# ------------------------------------------------------------------ in target, client and nat
class Host:
    """Echoes, keeps sessions, and asks the resolver."""

    def __init__(self) -> None:
        self.sessions: dict[str, socket.socket] = {}

    def sessions_of(self) -> list[str]:
        """Names of the sessions."""
        return list(self.sessions)

    def serve(self, port: int) -> bool:
        """An echo server for both families."""
        server = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
        threading.Thread(target=self._accept, args=(server,), daemon=True).start()
        return True

    def _accept(self, server: socket.socket) -> None:
        while True:
            session, _ = server.accept()
            threading.Thread(target=self._echo, args=(session,), daemon=True).start()

    def _echo(self, session: socket.socket) -> None:
        while data := session.recv(1024):
            session.sendall(data)

    def connect(self, name: str, host: str, port: int) -> bool:
        """Open a session and keep it; False when there is no answer."""
        try:
            session = socket.create_connection((host, port), timeout=WAIT)
        except OSError:
            return False
        session.settimeout(WAIT)
        self.sessions[name] = session
        return self.alive(name)

    def alive(self, name: str) -> bool:
        """Whether a byte comes back."""
        session = self.sessions[name]
        try:
            session.sendall(b"x")
            return bool(session.recv(1024))
        except OSError:
            return False

    def ask(self, host: str) -> bool:
        """Whether the resolver answers a datagram."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as question:
            question.settimeout(WAIT)
            try:
                question.sendto(b"?", (host, RESOLVER))
                return bool(question.recv(100))
            except OSError:
                return False

    def firewall(self) -> bool:
        """The guest's own default-deny firewall."""
        table = nft.Table("guest")
        table.chain("in", hook=1, priority=0, policy=nft.DROP)
        table.chain("out", hook=nft.OUTPUT, priority=0, policy=nft.DROP)
        table.load()
        return True


def obey(host: Any) -> None:
    """Carry out commands until stdin ends."""
    for line in sys.stdin:
        method, *arguments = json.loads(line)
        print(json.dumps(getattr(host, method)(*arguments)), flush=True)


# ------------------------------------------------------------------ the hypervisor
class Hypervisor:
    """Routes between the hosts; its forwarding rules are the target's security group."""

    def __init__(self) -> None:
        run("ip", "link", "set", "lo", "up")
        for name in ("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"):
            Path("/proc/sys", name).write_text("1")
        Path("/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established").write_text(str(TRACKED_SECONDS))
        self.hosts = {name: self._host(name) for name in HOSTS}
        threading.Thread(target=self._resolve, daemon=True).start()
        self.group("app")
        time.sleep(1.5)  # duplicate address detection

    def _host(self, name: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            ["unshare", "-n", sys.executable, __file__, "host"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdin and process.stdout
        process.stdin.write('["sessions_of"]\n')
        process.stdin.flush()
        process.stdout.readline()
        run("ip", "link", "add", f"to-{name}", "type", "veth", "peer", "name", "eth0", "netns", str(process.pid))
        inside = ("nsenter", "-t", str(process.pid), "-n")
        run("ip", "link", "set", f"to-{name}", "up")
        run(*inside, "ip", "link", "set", "lo", "up")
        run(*inside, "ip", "link", "set", "eth0", "up")
        for six, bits in ((False, "24"), (True, "64")):
            plain = ("nodad",) if six else ()
            run("ip", "addr", "add", f"{gateway(name, six=six)}/{bits}", "dev", f"to-{name}", *plain)
            run(*inside, "ip", "addr", "add", f"{address(name, six=six)}/{bits}", "dev", "eth0", *plain)
            family = ("-6",) if six else ()
            run(*inside, "ip", *family, "route", "add", "default", "via", gateway(name, six=six))
        return process

    def _resolve(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
            server.bind(("0.0.0.0", RESOLVER))
            while True:
                _, who = server.recvfrom(100)
                server.sendto(b"!", who)

    def group(self, name: str) -> bool:
        """Put the target's interface into a group."""
        table = nft.Table("groups")
        table.chain("track", hook=nft.PREROUTING, priority=-300, policy=nft.ACCEPT)
        table.chain("forward", hook=nft.FORWARD, priority=0, policy=nft.DROP)
        if name == "open":
            # AWS tracks what goes through NAT gateways and load balancers in every group
            table.rule("track", nft.interface("to-client"), nft.untracked())
            for six in (False, True):
                away = nft.destination(address("client", six=six))
                table.rule("track", nft.interface("to-target"), away, nft.untracked())
        # also where everything is allowed: without a rule that asks for it the kernel tracks nothing at all
        table.rule("forward", nft.established(), nft.verdict(nft.ACCEPT))
        if name == "open":
            table.rule("forward", nft.verdict(nft.ACCEPT))
        if name == "app":
            table.rule(
                "forward", nft.interface("to-target", outgoing=True), nft.tcp_port(SERVICE), nft.verdict(nft.ACCEPT)
            )
            table.rule("forward", nft.interface("to-target"), nft.verdict(nft.ACCEPT))
        table.load()
        return True

    def acl(self) -> bool:
        """A network ACL that denies everything on the target's subnet: no tracking, and not for the resolver."""
        table = nft.Table("acl")
        table.chain("forward", hook=nft.FORWARD, priority=-200, policy=nft.ACCEPT)
        for outgoing in (True, False):
            table.rule("forward", nft.interface("to-target", outgoing=outgoing), nft.verdict(nft.DROP))
        table.load()
        return True

    def on(self, host: str, *command: Any) -> Any:
        """Let a host do something."""
        process = self.hosts[host]
        assert process.stdin and process.stdout
        process.stdin.write(json.dumps(command) + "\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())

    def stop(self) -> bool:
        """Stop the target."""
        self.hosts["target"].kill()
        self.hosts["target"].wait()
        return True


def run(*command: str) -> None:
    """Run a program; its words are in the error when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr.strip()}")


if __name__ == "__main__":
    if sys.argv[1] == "host":
        obey(Host())
    else:
        hypervisor = Hypervisor()
        print(json.dumps("ready"), flush=True)
        obey(hypervisor)
