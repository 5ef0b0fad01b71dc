"""Where a request comes from.

A host's sandbox reaches the lab through its gate only, and the gate binds each connection to the loopback address that
:func:`address_of` gave to the host. Everything else that runs on this machine has another source address, and stands where its
session was made: a session that the lab gives to a service of AWS in a VPC (MWAA's execution role) stands there, and so do the
sessions that are assumed from it. Root keys and IAM users are people, deployments and the lab's own hand: outside.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from moto.ec2.models import ec2_backends

from lab.emulator.iam import sessions
from lab.emulator.patches import state

OUTSIDE, CONTROL, ANALYSIS, TARGET = "outside", "control", "analysis", "target"
# 127.77.0.0/16 is loopback: no program gets an address of it by chance
_PREFIX = "127.77"


@dataclass(frozen=True)
class Place:
    """A part of a VPC, and the security groups of who stands there; ``outside`` has neither."""

    name: str
    account: str = ""
    region: str = ""
    subnets: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    host: str = ""

    def __str__(self) -> str:
        if self.host:
            return f"the {self.name} subnet ({self.host})"
        return f"the {self.name} subnets" if self.subnets else self.name


_OUTSIDE = Place(OUTSIDE)
_lock = threading.Lock()
_hosts: dict[tuple[str, str, str], str] = {}
_addresses: dict[str, tuple[str, str, str]] = {}


def address_of(account: str, region: str, instance_id: str) -> str:
    """The loopback address from which a host's connections come; the same for as long as the lab runs."""
    host = (account, region, instance_id)
    with _lock:
        if host not in _hosts:
            number = len(_hosts) + 1
            _hosts[host] = f"{_PREFIX}.{number // 254}.{number % 254 + 1}"
            _addresses[_hosts[host]] = host
        return _hosts[host]


def hosts() -> dict[str, str]:
    """Address → instance, of the hosts that have one."""
    with _lock:
        return {address: host[2] for address, host in _addresses.items()}


def of_host(account: str, region: str, instance_id: str) -> Place:
    """Where an instance stands now: its interfaces' subnets and groups. An instance that EC2 does not know stands outside."""
    instance: Any = ec2_backends[account][region].get_instance_by_id(instance_id)
    if instance is None:
        return _OUTSIDE
    interfaces = list(instance.nics.values())
    record = state.current().instance(instance_id) or {}
    name = ANALYSIS if record.get("kind") == "forensic" else TARGET
    # AWS's agents and a script's requests leave by the primary interface
    groups = tuple(group.id for group in interfaces[0]._group_set) if interfaces else ()
    return Place(name, account, region, (str(instance.subnet_id),), groups, instance_id)


def place_of(access_key: str, remote: str, known: dict[str, Place]) -> Place:
    """Where a request comes from, by its source address, else by its session."""
    if remote.startswith(_PREFIX) and (host := _addresses.get(remote)):
        return of_host(*host)
    session = sessions.find(access_key)
    return known.get(session.place, _OUTSIDE) if session and session.place else _OUTSIDE
