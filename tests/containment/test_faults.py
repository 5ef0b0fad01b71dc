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
from tests.containment.world import FULL, Cell, Made, Recorder, World, all_cells, difference

CELLS = {str(c): c for c in all_cells()}
EVERY = Cell(interfaces=2, v6=True, address=True, group=True, role="own", running=True)
# `make test` fails every eighteenth call of one target that has everything. `make test-containment` fails every call of it,
# once refused and once carried out with its answer lost; and of each of the 48 kinds every twelfth call in both ways, each kind
# beginning with another one, so that over the matrix every call is met.
KINDS = ("refused", "answer lost")
STRIDE = 12
FIRST = [(EVERY, kind, 0, 1) for kind in KINDS] if FULL else [(EVERY, "refused", 0, 18)]
OVER_THE_MATRIX = [
    (cell, kind, (number + shift) % STRIDE, STRIDE)
    for number, cell in enumerate(CELLS.values())
    for shift, kind in ((0, "refused"), (STRIDE // 2, "answer lost"))
]
CHOSEN = [*FIRST, *(OVER_THE_MATRIX if FULL else [])]


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


class FailingClients:
    """Clients of their own, made once, whose calls the fault of the moment sees."""

    def __init__(self, world: World) -> None:
        self.fault = Fault(-1, "refused")
        self.gateway = world.gateway(Recorder())
        for client in self.gateway.clients.values():
            client.meta.events.register("before-call", lambda **given: self.fault.before(**given))
            client.meta.events.register("after-call", lambda **given: self.fault.after(**given))

    def driver(self, fault: Fault, first: Driver) -> Driver:
        """The same containment through the clients that fail."""
        self.fault = fault
        return Driver(self.gateway, first.instance_id, first.token, first.original, first.policy)


@pytest.fixture(scope="module")
def failing(world: World) -> FailingClients:
    """Making clients takes longer than a containment does."""
    return FailingClients(world)


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


def one_fault(world: World, failing: FailingClients, made: Made, *, number: int, kind: str) -> tuple[str, list[str]]:
    """Contain a target with one fault, then once more without, and release it; returns the call that failed, and what is wrong."""
    before = world.everything(made)
    first = Driver.start(world.gateway(), made.instance_id)
    fault = Fault(number, kind)
    said: list[str] = []
    try:
        steps = failing.driver(fault, first).contain()
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


def number_of_calls(world: World, failing: FailingClients, made: Made) -> int:
    """How many calls a containment without faults makes; the target is released again."""
    first = Driver.start(world.gateway(), made.instance_id)
    fault = Fault(-1, "refused")
    steps = failing.driver(fault, first).contain()
    assert all(s.done for s in steps)
    first.release()
    return len(fault.names)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("cell", "kind", "start", "step"), CHOSEN, ids=lambda value: str(value))
def test_a_fault_at_each_call_in_turn(
    world: World, failing: FailingClients, faults_made: list[int], cell: Cell, kind: str, start: int, step: int
) -> None:
    made = world.make(cell)
    total = number_of_calls(world, failing, made)
    assert total > 15
    found = {}
    for number in range(start, total, step):
        name, wrong = one_fault(world, failing, made, number=number, kind=kind)
        if wrong:
            found[f"{number} {name}"] = wrong
            made = world.make(cell)  # the next fault meets a target that nothing was left on
    faults_made.append(len(range(start, total, step)))
    assert found == {}
