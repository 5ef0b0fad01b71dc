"""Real packets: which flows die at which step of the plan, and that what the product says of them is what is seen."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from forensics.containment.containment_state import assess
from forensics.containment.network_steps import network_steps
from forensics.containment.quarantine_groups import CaseGroups
from forensics.containment.residuals import RESIDUAL_DNS, RESIDUAL_TRACKED, residuals
from forensics.models.containment import ContainmentState, Stage
from lab.progress import wait_until
from tests.containment.world import LONG
from tests.unit.containment.targets import eni, facts

PROGRAM = Path(__file__).with_name("packets.py")
SERVICE, OUTSIDE = 7000, 7001
TARGET, CLIENT, NAT = ("10.0.2.2", "fd00:2::2"), ("10.0.3.2", "fd00:3::2"), "10.0.4.2"
DIRECT, ALWAYS_TRACKED = ("v4", "v6"), "through NAT"
SETTLE = 7.5  # the hypervisor forgets a flow that it does not see as tracked after six seconds


class Machine:
    """The hypervisor in namespaces of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def __call__(self, *command: Any) -> Any:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the hypervisor ended at {command}"
        return json.loads(line)

    def open_session(self, host: str, name: str, ip: str) -> None:
        """A session with the target's service; neighbours are still being discovered when the machine is busy."""
        wait_until(lambda: self("on", host, "connect", name, ip, SERVICE), what=f"a {name} session before isolation")

    def flows(self) -> dict[str, bool]:
        """Which of the sessions are alive, and whether the resolver answers the target."""
        seen = {ALWAYS_TRACKED: self("on", "nat", "alive", ALWAYS_TRACKED)}
        seen |= {name: self("on", "client", "alive", name) for name in DIRECT}
        seen["DNS"] = self("on", "target", "ask", "10.0.2.1")
        return seen

    def new_flows(self) -> list[str]:
        """New connections that come about, in and out, v4 and v6."""
        tries = {f"in {ip}": ("client", ip, SERVICE) for ip in TARGET} | {
            f"out {ip}": ("target", ip, OUTSIDE) for ip in CLIENT
        }
        return [name for name, (host, ip, port) in tries.items() if self("on", host, "connect", name, ip, port)]

    def follow(self, *, break_flows: bool) -> None:
        """Carry out the network part of the product's own plan on the hypervisor's rules."""
        target = facts(interfaces=(eni(0),))
        steps = network_steps(
            target,
            original=target,
            groups=CaseGroups("fc-20261124-0123456789", "0" * 12),
            break_flows=break_flows,
            idle_seconds=0,
        )
        names = {Stage.OPEN: "open", Stage.CLOSE: "empty"}
        order = list(Stage)
        for step in sorted(steps, key=lambda s: order.index(s.stage)):
            if step.stage in names:
                assert self("group", names[step.stage])
                if step.stage is Stage.OPEN:
                    self._let_traffic_flow()

    def _let_traffic_flow(self) -> None:
        end = time.monotonic() + SETTLE
        while time.monotonic() < end:
            self.flows()
            time.sleep(0.3)


@pytest.fixture
def machine() -> Iterator[Machine]:
    """A target with live sessions: v4 and v6 from a client, one through NAT, and a resolver."""
    for program in ("unshare", "nsenter", "ip"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed: no network namespaces here")
    process = subprocess.Popen(
        ["unshare", "--user", "--map-root-user", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
         sys.executable, str(PROGRAM), "hypervisor"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout and process.stderr
        if process.stdout.readline().strip() != '"ready"':
            process.wait(5)
            words = process.stderr.read().strip().splitlines()
            pytest.skip(f"no network namespaces with a packet filter here: {words[-1] if words else 'no reason given'}")
        made = Machine(process)
        made("on", "target", "serve", SERVICE)
        made("on", "client", "serve", OUTSIDE)
        for name, ip in zip(DIRECT, TARGET, strict=True):
            made.open_session("client", name, ip)
        made.open_session("nat", ALWAYS_TRACKED, TARGET[0])
        yield made
    finally:
        process.kill()
        process.wait(10)


def said(state: str = "running") -> tuple[ContainmentState, tuple[str, ...]]:
    """What the product says after the change: state and residuals."""
    target = facts(interfaces=(eni(0, group_ids=("sg-empty",)),), state=state)
    verdict, problems = assess(target, groups={"vpc-1": "sg-empty"}, rules={"sg-empty": 0})
    assert problems == []
    return verdict, residuals(target)


def test_before_isolation_everything_is_alive(machine: Machine) -> None:
    assert machine.flows() == {"v4": True, "v6": True, ALWAYS_TRACKED: True, "DNS": True}
    assert len(machine.new_flows()) == 4


def test_a_change_of_groups_alone_blocks_new_flows_and_leaves_the_open_ones(machine: Machine) -> None:
    machine.follow(break_flows=False)
    assert machine.flows() == {"v4": True, "v6": True, ALWAYS_TRACKED: True, "DNS": True}
    assert machine.new_flows() == []
    assert machine.flows() == {"v4": True, "v6": True, ALWAYS_TRACKED: True, "DNS": True}
    state, left = said()
    assert state is ContainmentState.NEW_FLOWS_BLOCKED
    assert RESIDUAL_TRACKED in left and RESIDUAL_DNS in left


@LONG
def test_the_two_step_change_breaks_open_flows_v4_and_v6_but_not_what_is_always_tracked(machine: Machine) -> None:
    machine.follow(break_flows=True)
    assert machine.flows() == {"v4": False, "v6": False, ALWAYS_TRACKED: True, "DNS": True}
    assert machine.new_flows() == []
    assert said()[0] is ContainmentState.NEW_FLOWS_BLOCKED, "two paths are alive, so nothing more is claimed"


@LONG
@pytest.mark.parametrize(
    ("option", "left"),
    [
        (("acl",), {ALWAYS_TRACKED: False, "DNS": True}),
        (("on", "target", "firewall"), {ALWAYS_TRACKED: False, "DNS": False}),
    ],
)
def test_what_a_hardening_option_ends(machine: Machine, option: tuple[str, ...], left: dict[str, bool]) -> None:
    machine.follow(break_flows=True)
    assert machine(*option)
    assert machine.flows() == {"v4": False, "v6": False, **left}


@LONG
def test_only_a_stopped_instance_has_no_flow_left(machine: Machine) -> None:
    machine.follow(break_flows=True)
    assert machine("stop")
    assert not machine("on", "nat", "alive", ALWAYS_TRACKED)
    assert machine("on", "client", "alive", "v4") is False
    assert said("stopped") == (ContainmentState.ALL_FLOWS_VERIFIED, ())
