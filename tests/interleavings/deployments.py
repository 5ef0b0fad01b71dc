"""Two deployments that isolate the same instance in the same second: ``python -m tests.interleavings.deployments``.

Each is the product with an id of its own, loaded once more, with a case of its own, on the lab's EC2 in this process. One runs to one of its
requests, the other to one of its own, then the first to its end and the second to its end; in every third story the one that was stopped
dies there and is tried again, as Airflow does. However they meet: every interface ends in one empty quarantine group of one of the two, the
other names that one and leaves it, and no restore point has a group of the other's: where one had left the target half-way, the other's restore
point says that it does not know the groups, and a release leaves them closed.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import os
import random
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
from botocore.config import Config

from lab.accounts import MEMBER_ACCOUNT, REGION, ROOT_SECRET, root_access_key
from tests.containment.world import SERVICES, Cell, Made, World
from tests.crash.inside import InsideLab, Killed, inside_lab

OPTION = "AIRFLOW__FORENSICS__DEPLOYMENT_ID"
IDS = ("forensics", "blue")
CASES = {"forensics": "fc-20261124-00000000aa", "blue": "fc-20261124-00000000bb"}
TARGET = Cell(interfaces=2, v6=False, address=True, group=False, role="no", running=True)
TRIES = 4  # of a task, as Airflow makes them


@contextmanager
def _loaded_anew(deployment: str) -> Iterator[None]:
    """The product, and the tests' helpers on it, are imported once more, under another deployment's id."""
    ours = ("forensics", "tests.unit", "tests.conftest", "tests.containment")
    kept = {n: m for n, m in sys.modules.items() if n.startswith(ours)}
    environment = dict(os.environ)
    for name in kept:
        del sys.modules[name]
    os.environ[OPTION] = deployment
    try:
        yield
    finally:
        for name in [n for n in sys.modules if n.startswith(ours)]:
            del sys.modules[name]
        sys.modules.update(kept)
        os.environ.clear()
        os.environ.update(environment)


def product(deployment: str) -> SimpleNamespace:
    """The parts of the product that a story needs, of this deployment."""
    wanted = {
        "forensics.aws.autoscaling": "AutoScalingGateway",
        "forensics.aws.ec2": "Ec2Gateway",
        "forensics.aws.ec2_facts": "Ec2Facts",
        "forensics.aws.elb": "BalancerGateway",
        "forensics.aws.iam": "IamGateway",
        "forensics.containment.call_runner": "ContainmentGateway",
        "forensics.containment.facts_reader": "FactsReader",
        "forensics.containment.isolation": "TargetIsolation",
        "forensics.containment.protection": "TargetProtection",
        "forensics.containment.release_plan": "release_calls",
        "forensics.containment.restore_points": "RestorePoints",
        "forensics.errors": "ForensicsError",
        "tests.unit.builders": "plan",
        "tests.unit.containment.case_world": "SignedRecorder",
        "tests.unit.containment.targets": "settings",
    }
    with _loaded_anew(deployment):
        return SimpleNamespace(
            **{name: getattr(importlib.import_module(module), name) for module, name in wanted.items()}
        )


class Gate:
    """Lets the requests of one of two pass at a time. ``stops``: at which of its requests each hands over to the other, once.

    ``dies``: it does not go on from there, none of its threads sends anything any more.
    """

    def __init__(self, stops: dict[str, int], *, dies: str = "") -> None:
        self._stops, self._dies = dict(stops), dies
        self._condition = threading.Condition()
        self._turn = next(iter(stops), "")
        self.sent = dict.fromkeys(IDS, 0)
        self.ended: set[str] = set()
        self.dead: set[str] = set()

    def passing(self, request: Any) -> None:
        """Called before each request is sent."""
        agent = str(request.headers.get("User-Agent", b""))
        name = next((n for n in IDS if f"deployment/{n}" in agent), "")
        if not name:
            return
        with self._condition:
            self._await(name)
            if name in self.dead:
                raise Killed
            self.sent[name] += 1
            if self.sent[name] == self._stops.get(name):
                if name == self._dies:
                    self.dead.add(name)
                    raise Killed
                self._hand_over(name)
                self._await(name)

    def over(self, name: str) -> None:
        """It has come to its end."""
        with self._condition:
            self.ended.add(name)
            self._hand_over(name)

    def _hand_over(self, name: str) -> None:
        (other,) = set(IDS) - {name}
        if other not in self.ended:
            self._turn = other
            self._condition.notify_all()
        elif self._turn != name:
            self._turn = name

    def _await(self, name: str) -> None:
        while self._turn != name and not set(IDS) - {name} <= self.ended:
            self._condition.wait()

    def awaited(self, name: str) -> None:
        """Wait for the turn, before the first request."""
        with self._condition:
            self._await(name)


@dataclass
class Deployment:
    """One of the two, with its case of the target."""

    name: str
    parts: SimpleNamespace
    endpoint: str
    instance_id: str
    results: list[Any] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        (other,) = set(IDS) - {self.name}
        self.recorder = self.parts.SignedRecorder(case_id=CASES[self.name], instance_id=self.instance_id)
        self.settings = self.parts.settings(other_deployments=other)
        self.gateway = self._gateway()

    def _gateway(self) -> Any:
        keys = {"aws_access_key_id": root_access_key(MEMBER_ACCOUNT), "aws_secret_access_key": ROOT_SECRET}
        session = boto3.session.Session(region_name=REGION, **keys)
        config = Config(retries={"mode": "standard", "max_attempts": 1}, user_agent_extra=f"deployment/{self.name}")
        clients = {s: session.client(s, endpoint_url=self.endpoint, config=config) for s in SERVICES}
        where, p = {"account_id": MEMBER_ACCOUNT, "region": REGION}, self.parts
        reader = p.FactsReader(
            ec2=p.Ec2Gateway(clients["ec2"], **where), facts=p.Ec2Facts(clients["ec2"], **where),
            scaling=p.AutoScalingGateway(clients["autoscaling"], **where),
            balancers=p.BalancerGateway(clients["elb"], clients["elbv2"], **where), iam=p.IamGateway(clients["iam"], **where),
        )  # fmt: skip
        return p.ContainmentGateway(facts=reader, clients=clients)

    def isolate(self) -> None:
        """As the task does it, with the tries that Airflow makes."""
        for _ in range(TRIES):
            isolation = self.parts.TargetIsolation(
                self.recorder, self.gateway, self.settings, response=self.parts.plan()
            )
            try:
                self.results.append(isolation.isolate())
            except self.parts.ForensicsError as error:
                self.problems.append(str(error))
                continue
            if self.results[-1].outcome.value != "PARTIAL":
                return

    @property
    def result(self) -> Any:
        """The last one."""
        return self.results[-1] if self.results else None

    @property
    def names_other(self) -> bool:
        """Whether its case says that the other deployment has the target."""
        (other,) = set(IDS) - {self.name}
        return bool(self.result) and self.result.held_elsewhere and f"deployment {other}" in str(self.result.reason)

    def restore_groups(self) -> dict[str, tuple[str, ...]] | None:
        """The groups of the restore point, by interface."""
        point = self.parts.RestorePoints(self.recorder).get()
        return point and {i.interface_id: i.group_ids for i in point.interfaces}

    def release(self) -> None:
        """Bring the target back to its restore point."""
        point = self.parts.RestorePoints(self.recorder).get()
        facts = self.gateway.facts.read(
            self.instance_id, case_id=CASES[self.name], deny_profile="forensics-isolated", original=point.facts
        )
        for call in self.parts.release_calls(point.facts, facts=facts, case_id=CASES[self.name]):
            try:
                self.gateway.perform(call, ids={})
            except self.parts.ForensicsError as error:
                self.problems.append(str(error))  # a group that an interface stays in is not deleted


@dataclass
class Race:
    """One story, and what was not as it should be at its end."""

    stops: dict[str, int]
    dies: str
    faults: list[str] = field(default_factory=list)
    winner: str = ""
    requests: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        where = " and ".join(f"{name} at its request {n}" for name, n in self.stops.items())
        return f"stopped: {where or 'none'}{f', {self.dies} dies there' if self.dies else ''}: {'; '.join(self.faults) or self.winner}"


class Track:
    """The lab, the two products, and stories on it."""

    def __init__(self, lab: InsideLab, *, copies: dict[str, SimpleNamespace] | None = None) -> None:
        self._lab = lab
        self._world = World(lab.endpoint, access_key=root_access_key(MEMBER_ACCOUNT), secret_key=ROOT_SECRET)
        self._parts = copies or {name: product(name) for name in IDS}

    def run(self, stops: dict[str, int], *, dies: str = "") -> Race:
        """Let the two meet; ``stops`` begins with the one that runs first."""
        race, made = Race(stops, dies), self._world.make(TARGET)
        before = self._groups(made)
        both = {
            n: Deployment(n, self._parts[n], self._lab.endpoint, made.instance_id)
            for n in (*stops, *set(IDS) - {*stops})
        }
        gate = Gate(stops or {IDS[0]: 0}, dies=dies)
        with self._gated(gate):
            threads = [threading.Thread(target=self._live, args=(gate, one, race)) for one in both.values()]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            if dies:  # Airflow's next try
                gate.dead.clear()
                self._guard(race, both[dies].isolate)
        race.requests = dict(gate.sent)
        self._judge(race, made, before, both)
        return race

    def _live(self, gate: Gate, one: Deployment, race: Race) -> None:
        gate.awaited(one.name)
        try:
            self._guard(race, one.isolate)
        finally:
            gate.over(one.name)

    @staticmethod
    def _guard(race: Race, work: Callable[[], None]) -> None:
        try:
            work()
        except Killed:
            pass
        except Exception as error:
            race.faults.append(f"{type(error).__name__}: {error}")

    @contextmanager
    def _gated(self, gate: Gate) -> Iterator[None]:
        wire, send = self._lab.wire, self._lab.wire.send

        def through(request: Any) -> Any:
            gate.passing(request)
            return send(request)

        wire.send = through  # type: ignore[method-assign]
        try:
            yield
        finally:
            wire.send = send  # type: ignore[method-assign]

    # ------------------------------------------------------------------ what is there
    def _groups(self, made: Made) -> dict[str, list[str]]:
        filters = [{"Name": "attachment.instance-id", "Values": [made.instance_id]}]
        found = self._world.ec2.describe_network_interfaces(Filters=filters)["NetworkInterfaces"]
        return {eni["NetworkInterfaceId"]: sorted(g["GroupId"] for g in eni["Groups"]) for eni in found}

    def _judge(self, race: Race, made: Made, before: dict[str, list[str]], both: dict[str, Deployment]) -> None:
        known = {g["GroupId"]: g for g in self._world.ec2.describe_security_groups()["SecurityGroups"]}
        winners = set()
        for eni, ids in self._groups(made).items():
            group = known[ids[0]]
            rules = [*group["IpPermissions"], *group["IpPermissionsEgress"]]
            winners.add(group["GroupName"].partition("-")[0])
            if len(ids) != 1 or rules or "-quarantine-" not in group["GroupName"]:
                race.faults.append(f"{eni} is OPEN: in {[known[i]['GroupName'] for i in ids]} with {len(rules)} rules")
        for one in both.values():
            restore = one.restore_groups() or {}
            if any(groups and sorted(groups) != before[eni] for eni, groups in restore.items()):
                named = {e: [known[i]["GroupName"] if i in known else i for i in g] for e, g in restore.items()}
                race.faults.append(f"the restore point of {one.name} has {named}")
            if not all(restore.values()) and not any(
                "does not know which groups" in note for note in one.recorder.notes
            ):
                race.faults.append(f"{one.name} does not say which groups it does not know")
        left = [
            g["GroupName"]
            for g in known.values()
            if "-conversion-" in g["GroupName"] and any(c in g["GroupName"] for c in CASES.values())
        ]
        race.faults += [f"left: {name}" for name in left]
        if len(winners) != 1 or race.faults:
            race.faults += [f"{len(winners)} hold it: {sorted(winners)}"] if len(winners) != 1 else []
        else:
            self._judge_cases(race, made, before, both)
        self._clear(made)

    def _judge_cases(self, race: Race, made: Made, before: dict[str, list[str]], both: dict[str, Deployment]) -> None:
        (race.winner,) = {g.partition("-")[0] for g in self._holders(made)}
        winner, (loser,) = both[race.winner], [both[n] for n in IDS if n != race.winner]
        if not winner.result or winner.result.outcome.value != "DONE":
            race.faults.append(
                f"{winner.name} holds it and says {winner.result and winner.result.reason}: {winner.problems}"
            )
        closed, state = self._groups(made), loser.result
        if not loser.names_other:
            loser.isolate()  # its watchdog's look, which restores what was opened: it had closed the target before
        if not loser.names_other:
            race.faults.append(
                f"{loser.name} does not name {winner.name}: {state}, then {loser.result}; {loser.problems}"
            )
        if self._groups(made) != closed:
            race.faults.append(f"{loser.name} changed what {winner.name} holds")
        wanted = {
            eni: before[eni] if groups else closed[eni] for eni, groups in (winner.restore_groups() or {}).items()
        }
        winner.release()
        if self._groups(made) != wanted:
            race.faults.append(f"released it is in {self._groups(made)}, and not in {wanted}")

    def _holders(self, made: Made) -> set[str]:
        ids = sorted({i for groups in self._groups(made).values() for i in groups})
        return {g["GroupName"] for g in self._world.ec2.describe_security_groups(GroupIds=ids)["SecurityGroups"]}

    def _clear(self, made: Made) -> None:
        """Nothing of a story meets the next one: its groups go."""
        for eni in self._groups(made):
            self._world.ec2.modify_network_interface_attribute(NetworkInterfaceId=eni, Groups=[self._world.app])
        for group in self._world.ec2.describe_security_groups()["SecurityGroups"]:
            if any(case in group["GroupName"] for case in CASES.values()):
                self._world.ec2.delete_security_group(GroupId=group["GroupId"])


def stories(requests: int, *, most: int, seed: int) -> list[tuple[dict[str, int], str]]:
    """Where the two are stopped: the first anywhere with the other whole in between, then both anywhere; a third of them die."""
    rng, (one, other) = random.Random(seed), IDS
    points = range(1, requests + 1)
    found: list[tuple[dict[str, int], str]] = []
    for n in points:
        found += [({one: n}, ""), ({one: n}, one)]
    pairs = list(itertools.product(points, points))
    rng.shuffle(pairs)
    found += [({one: a, other: b}, "" if n % 3 else other) for n, (a, b) in enumerate(pairs)]
    if most and len(found) > most:
        found = [*rng.sample(found[: 2 * requests], most // 2), *found[2 * requests :][: most - most // 2]]
    return found


def main(arguments: list[str] | None = None) -> int:
    """Play; exit status 0 only without a fault."""
    parser = argparse.ArgumentParser(prog="python -m tests.interleavings.deployments", description=__doc__)
    parser.add_argument("--most", type=int, default=60, help="stories at most (0: every stop of the first, every pair)")
    parser.add_argument("--seed", type=int, default=1, help="chooses them")
    parser.add_argument(
        "--log", type=Path, default=Path(".lab/deployments.log"), help="where the product's own lines go"
    )
    given = parser.parse_args(arguments)
    given.log.parent.mkdir(parents=True, exist_ok=True)
    os.dup2(os.open(given.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), 1)
    with tempfile.TemporaryDirectory() as folder, inside_lab(Path(folder)) as lab:
        track = Track(lab)
        races = [track.run({})]
        many = max(races[0].requests.values())
        races += [track.run(stops, dies=dies) for stops, dies in stories(many, most=given.most, seed=given.seed)]
    bad = [race for race in races if race.faults]
    for race in bad:
        print(f"FAULT {race}", file=sys.stderr)
    won = {name: sum(race.winner == name for race in races) for name in IDS}
    print(
        f"{len(races)} races of {many} requests each, {len(bad)} faults; held by {won}; seed {given.seed}",
        file=sys.stderr,
    )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
