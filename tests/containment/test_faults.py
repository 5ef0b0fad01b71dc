"""A fault at each API call in turn: never more access than before, PARTIAL and said, and a retry completes it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError

from forensics.errors import AwsError
from forensics.models.containment import ContainmentState
from tests.containment.drive import Driver, verify_contained
from tests.containment.world import FULL, Cell, Made, World, all_cells, difference

CELLS = {str(c): c for c in all_cells()}
EVERY = Cell(interfaces=2, v6=True, address=True, group=True, role="own", running=True)
# `make test` fails every eighteenth call of one target that has everything. `make test-containment` fails every call of it,
# once refused and once carried out with its answer lost, and refuses every call of three other targets.
OTHERS = [CELLS[n] for n in list(CELLS)[::17]] if FULL else []
CHOSEN = [(EVERY, "refused"), *([(EVERY, "answer lost")] if FULL else []), *[(c, "refused") for c in OTHERS]]
STEP = 1 if FULL else 18


@dataclass
class Fault:
    """Makes the n-th call of a gateway's clients fail, from 0; ``names`` are all calls in order."""

    number: int
    kind: str
    names: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _hit: set[int] = field(default_factory=set)

    def before(self, model: Any, **_: Any) -> Any:
        """Refuse the call as AWS does, or let it through."""
        with self._lock:
            mine = len(self.names)
            self.names.append(model.name)
        if mine != self.number:
            return None
        if self.kind == "answer lost":
            self._hit.add(threading.get_ident())
            return None
        error = {"Error": {"Code": "UnauthorizedOperation", "Message": "made to fail by a test"}}
        return type("Answer", (), {"status_code": 403})(), {**error, "ResponseMetadata": {"HTTPStatusCode": 403}}

    def after(self, **_: Any) -> None:
        """Lose the answer of the call that was carried out."""
        if threading.get_ident() in self._hit:
            self._hit.discard(threading.get_ident())
            raise ConnectionClosedError(endpoint_url="https://lab")


def driver_with(world: World, fault: Fault, driver: Driver) -> Driver:
    """The same containment through clients that fail once."""
    from tests.containment.world import Recorder

    gateway = world.gateway(Recorder())
    for client in gateway.clients.values():
        client.meta.events.register("before-call", fault.before)
        client.meta.events.register("after-call", fault.after)
    return Driver(gateway, driver.instance_id, driver.token, driver.original, driver.policy)


def access(said: dict[str, Any]) -> set[str]:
    """Every way in and out that the answers show: rule by rule of each interface, public addresses, credentials."""
    rules = {g["GroupId"]: g for g in said["groups"]}
    found = set()
    for eni in said["interfaces"]:
        for group in eni["Groups"]:
            for side in ("IpPermissions", "IpPermissionsEgress"):
                for rule in rules[group["GroupId"]][side]:
                    ranges = [r["CidrIp"] for r in rule.get("IpRanges", [])] + [
                        r["CidrIpv6"] for r in rule.get("Ipv6Ranges", [])
                    ]
                    found |= {
                        f"{eni['NetworkInterfaceId']} {side} {rule['IpProtocol']} {rule.get('FromPort')} {r}"
                        for r in ranges
                    }
    found |= {f"address {a['PublicIp']}" for a in said.get("addresses", []) if a.get("NetworkInterfaceId")}
    found |= {
        f"profile {p['IamInstanceProfile']['Arn']}" for p in said["profiles"] if "forensics-isolated" not in str(p)
    }
    if said["instance"]["MetadataOptions"]["HttpEndpoint"] == "enabled":
        found.add("metadata")
    return found


def one_fault(world: World, cell: Cell, number: int, kind: str) -> tuple[str, list[str]]:
    """Contain a new target with one fault, then once more without; returns the call that failed, and what is wrong."""
    made: Made = world.make(cell)
    before = world.everything(made)
    first = Driver.start(world.gateway(), made.instance_id)
    fault = Fault(number, kind)
    failing = driver_with(world, fault, first)
    said: list[str] = []
    try:
        steps = failing.contain()
        said += [s.name for s in steps if not s.done]
    except AwsError as error:
        said.append(str(error))
    wrong = []
    now = world.everything(made)
    more = access(now) - access(before)
    if more:
        wrong.append(f"more access than before: {sorted(more)}")
    open_ = verify_contained(world, made, before=before)
    state, problems = first.state()
    if bool(open_) and not problems:
        wrong.append(f"open but not said: {open_}")
    if state is ContainmentState.FAILED and not problems:
        wrong.append("FAILED without a reason")
    again = first.contain()
    wrong += [f"the retry failed: {s.name}: {s.detail}" for s in again if not s.done]
    wrong += [f"after the retry: {o}" for o in verify_contained(world, made, before=before)]
    wrong += [f"after the retry the product says: {p}" for p in first.state()[1]]
    first.release()
    wrong += [f"after release: {d}" for d in difference(before, world.everything(made))]
    failed = fault.names[number] if number < len(fault.names) else ""
    return failed, wrong


def number_of_calls(world: World, cell: Cell) -> int:
    """How many calls a containment without faults makes."""
    made = world.make(cell)
    first = Driver.start(world.gateway(), made.instance_id)
    fault = Fault(-1, "refused")
    steps = driver_with(world, fault, first).contain()
    assert all(s.done for s in steps)
    return len(fault.names)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("cell", "kind"), CHOSEN, ids=lambda value: str(value))
def test_a_fault_at_each_call_in_turn(world: World, cell: Cell, kind: str) -> None:
    total = number_of_calls(world, cell)
    assert total > 15
    found = {}
    for number in range(0, total, STEP):
        name, wrong = one_fault(world, cell, number, kind)
        if wrong:
            found[f"{number} {name}"] = wrong
    assert found == {}
