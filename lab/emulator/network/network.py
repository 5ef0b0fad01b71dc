"""The network in front of the lab's services: does a request arrive, and does the endpoint let it through?"""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections import deque
from datetime import UTC, datetime
from typing import Any

from lab.emulator.iam import organization
from lab.emulator.iam.policy import Request, like
from lab.emulator.iam.sessions import Session
from lab.emulator.network import endpoint_policy, names, places, routes
from lab.emulator.network.places import Place
from lab.emulator.network.routes import NoPath, Path

log = logging.getLogger("lab")

KEPT = 1000
FAULT_KINDS = ("no-path", "no-action", "deny-action")


class FaultError(ValueError):
    """A fault of the network that cannot be understood."""


@dataclasses.dataclass(frozen=True)
class NetworkFault:
    """Something that is wrong with the deployment, on demand."""

    kind: str
    service: str
    action: str = ""
    place: str = ""
    region: str = ""

    def __post_init__(self) -> None:
        if self.kind not in FAULT_KINDS:
            msg = f"a fault of the network is one of {', '.join(FAULT_KINDS)}, not {self.kind!r}"
            raise FaultError(msg)
        if (self.kind == "no-path") == bool(self.action):
            msg = "a fault no-path names no action; the others name one (a pattern)"
            raise FaultError(msg)

    def is_about(self, place: Place, service: str, region: str) -> bool:
        """Whether it concerns calls from there to the service in that Region."""
        return self.service == service and self.place in ("", place.name) and self.region in ("", region)


class Network:
    """The network of one lab. Off until the templates are deployed: a lab that is seeded through boto3 has none."""

    def __init__(self) -> None:
        self.on = False
        self.places: dict[str, Place] = {}
        self.faults: list[NetworkFault] = []
        self.log: deque[dict[str, str]] = deque(maxlen=KEPT)
        self._said: set[str] = set()
        # ways of places without a host, until EC2 changes: (place, service, Region) → the way, or why there is none
        self._ways: dict[tuple[Place, str, str], Path | NoPath] = {}
        self._lock = threading.Lock()

    def stand(self, name: str, *, account: str, region: str, subnets: list[str], groups: list[str]) -> None:
        """Say where sessions of a place stand: what MWAA's network configuration says about Airflow."""
        self.places[name] = Place(name, account, region, tuple(subnets), tuple(groups))

    def place_of(self, access_key: str, remote: str) -> Place:
        """Where a request comes from."""
        return places.place_of(access_key, remote, self.places)

    def path(self, place: Place, service: str, region: str) -> Path:
        """The way from a place to a service. Raises :class:`NoPath`."""
        there = routes.region_of(service, region)
        if any(f.kind == "no-path" and f.is_about(place, service, there) for f in self.faults):
            msg = f"no path to {service} ({there}) from {place}: taken away by a fault of the lab"
            raise NoPath(msg)
        if place.host:
            return routes.find(place, service, there)  # an instance's groups are changed by what is not a call
        asked, known = (place, service, there), self._ways
        found = known.get(asked)
        if found is None:
            try:
                found = routes.find(place, service, there)
            except NoPath as error:
                found = error
            known[asked] = found
        if isinstance(found, NoPath):
            raise type(found)(str(found))
        return found

    def changed(self) -> None:
        """Something of EC2 is not what it was: ways are looked for again. What was being looked for meanwhile is dropped."""
        self._ways = {}

    def refusal(
        self, path: Path, place: Place, session: Session | None, account: str, call: Any, questions: list[Request]
    ) -> tuple[Request, str] | None:
        """The question that the endpoint's policy refuses, and how AWS's message ends."""
        if not path.endpoint:
            return None
        for question in questions:
            if not endpoint_policy.is_about(call.service, question):
                continue
            words = self._fault(place, call, question) or endpoint_policy.refusal(path, session, account, question)
            if words:
                return question, words
        return None

    def _fault(self, place: Place, call: Any, question: Request) -> str | None:
        for fault in self.faults:
            if fault.kind == "no-path" or not fault.is_about(place, call.service, call.region):
                continue
            if like(question.action, fault.action, ignore_case=True):
                if fault.kind == "deny-action":
                    return "with an explicit deny in a VPC endpoint policy"
                return f"because no VPC endpoint policy allows the {question.action} action"
        return None

    def note(self, place: Place, call: Any, reason: str) -> None:
        """Remember what did not pass, and say each reason once in the lab's log."""
        entry = {
            "time": datetime.now(UTC).isoformat(), "place": place.name, "host": place.host, "service": call.service,
            "region": call.region, "action": call.action, "reason": reason,
        }  # fmt: skip
        with self._lock:
            self.log.append(entry)
            new = reason not in self._said and len(self._said) < KEPT
            if new:
                self._said.add(reason)
        if new:
            log.warning("%s: %s", call.action, reason)

    def agent_path(self, account: str, region: str, instance_id: str) -> bool:
        """Whether an instance's SSM agent reaches SSM: the service itself and its messages (either of two services)."""
        if not self.on:
            return True
        place = places.of_host(account, region, instance_id)
        return self._has(place, "ssm", region) and (
            self._has(place, "ssmmessages", region) or self._has(place, "ec2messages", region)
        )

    def _has(self, place: Place, service: str, region: str) -> bool:
        try:
            self.path(place, service, region)
        except NoPath:
            return False
        return True

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        with self._lock:
            noted = list(self.log)
        return {
            "enforce": self.on, "places": {n: dataclasses.asdict(p) for n, p in self.places.items()},
            "hosts": places.hosts(), "faults": [dataclasses.asdict(f) for f in self.faults], "log": noted,
        }  # fmt: skip

    def change(self, given: dict[str, Any]) -> None:
        """What ``POST /_lab/network`` asks for. Raises :class:`FaultError`, or TypeError for unknown fields."""
        if unknown := sorted(set(given) - {"enforce", "places", "faults"}):
            msg = f"the network has no {', '.join(unknown)}; known: enforce, places, faults"
            raise FaultError(msg)
        faults = [NetworkFault(**fault) for fault in given.get("faults", [])]
        for name, where in given.get("places", {}).items():
            self.stand(name, **where)
        if "faults" in given:
            self.faults = faults
        if "enforce" in given:
            self.on = bool(given["enforce"])


_current = Network()


def current() -> Network:
    """The network of this process's lab."""
    return _current


def renew() -> Network:
    """A new one, for another lab in the same process."""
    global _current
    names.forget()
    organization.attach({})
    _current = Network()
    return _current
