"""What is wrong with the rest of a host's state: preloaded libraries, modules, sniffers, kernel settings, containers. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from forensics.memory.live import forms
from forensics.memory.live.host import LiveHost
from forensics.memory.live.process_rules import Maker
from forensics.models.results import Confidence, ResultSeverity

_ONLY = re.compile(rb"^only in /sys/module: (\S{1,64})$", re.MULTILINE)
_DIFFERENCE = re.compile(
    rb"^difference\t(\S{1,32})\t(did not say|alone says)\t([^\t\n]{1,200})(?:\t([^\n]{0,200}))?$", re.MULTILINE
)
_LOADED = re.compile(rb"^(\S{1,64}) \d+ -?\d+ \S+ (?:Live|Loading|Unloading) \S+ ?(\([A-Z]+\))?", re.MULTILINE)
_PACKET = re.compile(rb"^[0-9a-f]+ +\d+ +(\d+) +([0-9a-f]{4}) +(\d+) +\d+ +\d+ +\d+ +(\d+)\s*$", re.MULTILINE)
_TAINTS = {12: "a module from outside the kernel's tree", 13: "an unsigned module"}
# dhclient, the agents of AWS's images and the usual network services listen to packets by design.
_LISTENERS = re.compile(
    r"^(dhclient|dhcpcd|systemd-network|NetworkManager|wpa_supplicant|lldpd|chronyd|keepalived|aws-vpc-cni|aws-k8s-agent)"
)
_HANDLERS = re.compile(
    r"^\|(/usr)?/(lib|libexec|share|bin|sbin)/(systemd/systemd-coredump|abrt|apport|\S*/apport|\S*abrt)"
)
_SUSPECT_MOUNT = re.compile(
    r"^(/|/etc|/root|/home|/proc|/var/run/docker\.sock|/run/docker\.sock|/run/containerd\S*|/var/lib/kubelet)$"
)


def preload(host: LiveHost, make: Maker) -> None:
    """``/etc/ld.so.preload``: no distribution has one."""
    data = bytes(host.members.get("23-preload", b""))
    for name, body in forms.shown(data):
        listed = [forms.text(line).strip() for line in body.split(b"\n") if line.strip().startswith(b"/")]
        if name == "/etc/ld.so.preload" and listed:
            make.add(
                "ld-so-preload", "A library is loaded into every program (/etc/ld.so.preload)", severity=ResultSeverity.CRITICAL,
                confidence=Confidence.HIGH, technique="T1574.006", source="23-preload", detail="; ".join(listed[:20]),
            )  # fmt: skip


def second_opinion(host: LiveHost, make: Maker) -> None:
    """What the static collector saw and a program of the host did not say, or says alone."""
    for match in _DIFFERENCE.finditer(bytes(host.members.get("28-second-opinion", b""))):
        program, thing, more = forms.text(match[1]), forms.text(match[3]), forms.text(match[4] or b"")
        concealed = match[2] == b"did not say"
        what = "did not say" if concealed else "alone says"
        make.add(
            "second-opinion", f"The host's {program} {what}: {thing}", source="28-second-opinion",
            severity=ResultSeverity.CRITICAL if concealed else ResultSeverity.MEDIUM,
            confidence=Confidence.HIGH if concealed else Confidence.LOW, technique="T1014" if concealed else "T1036",
            detail=f"a static program asked twice in the same seconds saw it otherwise {more}".strip(),
        )  # fmt: skip


def modules(host: LiveHost, make: Maker) -> None:
    """Kernel modules that ``/proc/modules`` does not list, and those from outside the kernel's tree."""
    compared = bytes(host.members.get("42-modules-compared", b""))
    for match in _ONLY.finditer(compared):
        make.add(
            "hidden-module", f"Kernel module {forms.text(match[1])} is loaded and not listed", severity=ResultSeverity.CRITICAL,
            confidence=Confidence.HIGH, technique="T1014", source="42-modules-compared",
            detail="/sys/module has it, /proc/modules does not: rootkits take themselves off that list",
        )  # fmt: skip
    listed = bytes(host.members.get("41-modules", b"")) or compared
    foreign = {forms.text(m[1]): forms.text(m[2] or b"") for m in _LOADED.finditer(listed)}
    for name, taints in foreign.items():
        if "E" in taints or "O" in taints:
            make.add(
                "foreign-module", f"Kernel module {name} is not of this kernel's tree {taints}", severity=ResultSeverity.MEDIUM,
                technique="T1547.006", source="41-modules",
                detail="drivers from packages (dkms) look the same; a module that nobody can name is a rootkit",
            )  # fmt: skip


def sniffers(host: LiveHost, make: Maker) -> None:
    """Processes with a packet socket that see other programs' traffic."""
    inodes = {int(m[4]): m for m in _PACKET.finditer(bytes(host.members.get("10-network-packet", b"")))}
    for process in host.processes.values():
        for target in process.files.values():
            inode = int(target[8:-1]) if target.startswith("socket:[") and target[8:-1].isdigit() else None
            if inode in inodes and not _LISTENERS.match(process.name):
                make.add(
                    "sniffer", f"Process {process.pid} ({process.name}) reads raw network packets", severity=ResultSeverity.MEDIUM,
                    technique="T1040", source="10-network-packet", process=process, detail=process.command,
                )  # fmt: skip
                break


def settings(host: LiveHost, make: Maker) -> None:
    """A program that the kernel runs on a crash, a redirected modprobe, and what the kernel itself says of its modules."""
    lines = bytes(host.members.get("42-kernel", b"")).split(b"\n")[:200]
    values = dict(forms.text(line).partition("\t")[::2] for line in lines)
    handler, loader = values.get("/proc/sys/kernel/core_pattern", ""), values.get("/proc/sys/kernel/modprobe", "")
    if handler.startswith("|") and not _HANDLERS.match(handler):
        make.add(
            "core-pattern", "The kernel runs an unusual program when one crashes", severity=ResultSeverity.HIGH, technique="T1611",
            source="42-kernel", detail=f"core_pattern is {handler}: a way to run as root and out of a container",
        )  # fmt: skip
    if loader and not re.fullmatch(r"/(usr/)?s?bin/modprobe|/bin/(true|false)", loader):
        make.add(
            "modprobe", "The kernel's module loader is another program", severity=ResultSeverity.HIGH, technique="T1546",
            source="42-kernel", detail=f"kernel.modprobe is {loader}",
        )  # fmt: skip
    tainted = values.get("/proc/sys/kernel/tainted", "")
    found = [why for bit, why in _TAINTS.items() if tainted.isdigit() and len(tainted) < 12 and int(tainted) >> bit & 1]
    if found:
        make.add(
            "tainted", f"The kernel has loaded {' and '.join(found)}", severity=ResultSeverity.LOW, technique="T1547.006",
            source="42-kernel", detail=f"kernel.tainted is {tainted}; it stays so when the module hides or is removed",
        )  # fmt: skip


def containers(host: LiveHost, make: Maker) -> None:
    """Containers that can leave their box: privileged, in the host's namespaces, or with the host's folders."""
    for member in ("52-docker", "54-crictl"):
        for found in _described(bytes(host.members.get(member, b""))):
            name, reasons = _escapes(found)
            if reasons:
                make.add(
                    "container", f"Container {name} can act on the host", severity=ResultSeverity.MEDIUM, technique="T1611",
                    source=member, detail="; ".join(reasons), data={"container": name, "image": str(_image(found))[:300]},
                )  # fmt: skip


def _described(data: bytes) -> Iterator[dict[str, Any]]:
    """The objects that ``docker inspect`` and ``crictl inspect`` print, among other texts."""
    decoder, text, at = json.JSONDecoder(), forms.text(data), 0
    for _ in range(200):
        begin = min((i for i in (text.find("\n[\n", at), text.find("\n{\n", at)) if i >= 0), default=-1)
        if begin < 0:
            return
        try:
            found, at = decoder.raw_decode(text, begin + 1)
        except (ValueError, RecursionError):
            at = begin + 2
            continue
        for item in found if isinstance(found, list) else [found]:
            if isinstance(item, dict):
                yield item


def _dig(item: Any, *path: str) -> Any:
    for name in path:
        item = item.get(name) if isinstance(item, dict) else None
    return item


def _image(found: dict[str, Any]) -> object:
    return _dig(found, "Config", "Image") or _dig(found, "status", "image", "image") or ""


def _escapes(found: dict[str, Any]) -> tuple[str, list[str]]:
    name = _dig(found, "Name") or _dig(found, "status", "metadata", "name") or _dig(found, "Id") or "?"
    reasons = []
    security = _dig(found, "info", "config", "linux", "security_context")
    if _dig(found, "HostConfig", "Privileged") is True or _dig(security, "privileged") is True:
        reasons.append("it is privileged")
    for kind in ("PidMode", "NetworkMode", "IpcMode"):
        if _dig(found, "HostConfig", kind) == "host" and kind == "PidMode":
            reasons.append("it sees the host's processes")
    mounts = _dig(found, "Mounts") or _dig(found, "status", "mounts") or []
    for mount in mounts[:200] if isinstance(mounts, list) else []:
        source = _dig(mount, "Source") or _dig(mount, "hostPath")
        if isinstance(source, str) and _SUSPECT_MOUNT.match(source):
            reasons.append(f"it has the host's {source}")
    return str(name).lstrip("/")[:200], reasons
