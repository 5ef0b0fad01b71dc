"""Containers: what they may do to the host, what they run, what they changed against their image, what their logs say.

A container that may take the host is no proof that it did: agents of monitoring and orchestration ask for the same. They are low,
named with pod or task; what a command, a changed file or a log says is as grave as on the host itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from forensic_toolkit.filesystems.entries import Entry
from forensic_toolkit.filesystems.tree import Tree, is_unusual_place, sha256_of
from forensic_toolkit.folding import Fold
from forensic_toolkit.readers import containers, orchestrators
from forensic_toolkit.readers.compressed_logs import content_of
from forensic_toolkit.readers.containers import Container, Mount
from forensic_toolkit.readers.coverage import Artifact
from forensic_toolkit.readers.orchestrators import Task
from forensic_toolkit.results import Event, Finding, Results, Severity
from forensic_toolkit.rules import shell_histories, web_rules
from forensic_toolkit.rules.command_rules import CommandRule, first_match
from forensic_toolkit.rules.persistence_rules import CRON_TABLES, lines_of
from forensic_toolkit.rules.places import layer_of

# Agents that need the host: of Amazon's own services, of Kubernetes, and the usual ones of monitoring.
_AGENT_SPACES = re.compile(r"(kube-system|kube-node-lease|amazon-[a-z-]+|calico-system|tigera-operator|gpu-operator)/")
_AGENT_IMAGES = re.compile(
    r"(^|/)(amazon-ecs-agent|ecs-[a-z-]+|amazon-k8s-cni[a-z-]*|kube-proxy|aws-[a-z-]*(csi|node)[a-z-]*|node-exporter|cadvisor|agent"
    r"|falco[a-z-]*|fluent[a-z-]*|cilium|aws-guardduty-agent|cloudwatch-agent|pause|portainer[a-z-]*|traefik|watchtower)(:|@|$)"
)
_SOCKETS = re.compile(r"^(/var)?/run/(docker|podman/podman|crio/crio|containerd/containerd|dockershim)\.sock$")
_TAKES_HOST = re.compile(
    r"^/(etc(/(cron.*|sudoers.*|shadow|passwd|systemd.*|ssh|ld\.so\.preload))?|root(/\.ssh)?|boot|dev|proc|usr(/s?bin|/lib)?|s?bin|lib"
    r"|var/spool/cron|var/lib/(docker|containerd|kubelet)|home)/?$"
)
_STRONG = frozenset(
    {"ALL", "SYS_ADMIN", "SYS_MODULE", "SYS_PTRACE", "SYS_RAWIO", "DAC_READ_SEARCH", "BPF", "MAC_ADMIN", "SYS_BOOT"}
)
_PROGRAMS = re.compile(r"^/(usr/(local/)?)?s?(bin|lib(64|exec)?)/")
_ELF_OR_SCRIPT = (b"\x7fELF", b"#!")
_MINED = re.compile(
    r"\bstratum\+(tcp|ssl|tls)://|\bxmrig\b|\bnew job from \S+|\baccepted \(\d+/\d+\) diff\b", re.IGNORECASE
)
_REQUEST = re.compile(r'"(GET|POST|PUT|HEAD|DELETE|OPTIONS|PATCH|CONNECT|PROPFIND) ')
_JSON_LOG = re.compile(r'"log":"((?:[^"\\]|\\.)*)"')
_CRI_LOG = re.compile(r"\d{4}-\d\d-\d\dT\S+ (?:stdout|stderr) [FP] (.*)$")
# Files that runtimes put into every container.
_RUNTIMES_OWN = re.compile(
    r"/(\.dockerenv|etc/(hosts|hostname|resolv\.conf|mtab)|run/\.containerenv|link|lower|committed)$"
)
MAX_NAMED, MAX_LOG = 40, 64 << 20


def host_access(tree: Tree) -> Iterator[Finding]:
    """Containers that may take the host: privileged, with its root or sockets mounted, with strong capabilities or its processes."""
    for container in containers.of(tree).containers:
        reasons = list(_reasons(container))
        if not reasons:
            continue
        severity, technique, what = min(reasons, key=lambda reason: _RANK[reason[0]])
        if _is_agent(container):
            severity = "low"
        yield _about(
            container,
            title=f"{what}: {container.label}",
            detail="; ".join(dict.fromkeys(text for _, _, text in reasons)),
            severity=severity,
            technique=technique,
        )


_RANK: Mapping[Severity, int] = {"critical": 0, "high": 1, "medium": 2, "low": 3, "info": 4}


def _reasons(container: Container) -> Iterator[tuple[Severity, str, str]]:
    for mount in container.mounts:
        if mount.source.rstrip("/") == "" and mount.source:
            level: Severity = "high" if mount.writable else "low"
            yield level, "T1611", f"Container with the host's root file system {_mode(mount)}"
        elif _SOCKETS.match(mount.source):
            yield "medium", "T1611", f"Container with the socket of the container runtime ({mount.source})"
        elif mount.writable and _TAKES_HOST.match(mount.source):
            yield "medium", "T1611", f"Container that can write to the host's {mount.source}"
    if container.privileged:
        yield "medium", "T1610", "Privileged container"
    elif strong := sorted(_STRONG & set(container.capabilities)):
        yield "medium", "T1610", f"Container with strong capabilities ({', '.join(strong)})"
    if "processes" in container.host_namespaces:
        yield ("medium" if container.privileged else "low"), "T1611", "Container that shares the host's processes"


def _mode(mount: Mount) -> str:
    return f"at {mount.target}, {'writable' if mount.writable else 'read only'}"


def _is_agent(container: Container) -> bool:
    return bool(_AGENT_SPACES.match(container.pod) or _AGENT_IMAGES.search(container.image))


def commands(tree: Tree) -> Iterator[Finding]:
    """Containers whose own command is suspicious: a miner, a shell to the outside, a way out of the container."""
    for container in containers.of(tree).containers:
        rule = first_match(container.command)
        if rule is not None and rule.severity in ("critical", "high"):
            yield _about(
                container,
                title=f"{rule.name} in container {container.label}",
                detail=f"it runs: {container.command}",
                severity=rule.severity,
                technique=rule.technique,
            )


def changes(tree: Tree) -> Iterator[Finding]:
    """What containers changed against their images: programs, schedules, what was typed in them, and a list of all of it."""
    owners = containers.by_layer(tree)
    lists: dict[str, dict[str, list[Entry]]] = {}
    for entry in tree.entries if owners else ():
        layer = layer_of(entry.path) if "/overlay" in entry.path or "/snapshots/" in entry.path else None
        owner = owners.get(layer[0]) if layer else None
        if owner is None or layer is None or entry.deleted or entry.kind not in ("REG", "CHR"):
            continue
        if owner.runtime == "docker" and not entry.path.startswith(f"{layer[0]}/diff/"):
            continue  # Docker's and the kernel's own, beside the content
        # overlayfs marks what a container removed with a character device (docs.kernel.org, overlayfs, "whiteouts and opaque directories")
        removed = entry.kind == "CHR" and not layer[1].startswith("/dev/")
        known = not removed and any(_in_layer(folder, layer[1], tree=tree) for folder in owner.image_layers)
        kind = "removed" if removed else "changed" if known else "added"
        if not _RUNTIMES_OWN.match(layer[1]):
            lists.setdefault(owner.layer, {}).setdefault(kind, []).append(entry)
        if not removed:
            yield from _changed(entry, layer[1], owner, tree=tree)
    for folder, found in lists.items():
        yield _listed(owners[folder], found)


def _listed(owner: Container, found: Mapping[str, list[Entry]]) -> Finding:
    """All that one container changed, as counts and its newest files."""
    newest = {kind: sorted(entries, key=lambda e: e.times.changed)[-MAX_NAMED:] for kind, entries in found.items()}
    counts = ", ".join(f"{len(found[kind])} {kind}" for kind in ("added", "changed", "removed") if kind in found)
    last = max((entry for entries in newest.values() for entry in entries), key=lambda e: e.times.changed)
    return Finding(
        title=f"Files that container {owner.label} changed",
        detail=f"against its image {owner.image}: {counts}; the last: {_inside(last)}",
        severity="info",
        confidence="high",
        source=owner.layer,
        time=last.changed(),
        data={**owner.facts(), **{kind: [_inside(e) for e in reversed(entries)] for kind, entries in newest.items()}},
    )


def _inside(entry: Entry) -> str:
    layer = layer_of(entry.path)
    return layer[1] if layer else entry.path


def _changed(entry: Entry, inside: str, owner: Container, *, tree: Tree) -> Iterator[Finding]:
    if re.fullmatch(shell_histories.FILES, inside):
        text = entry.read().decode("utf-8", "replace")
        for time, command in shell_histories.commands(text):
            if (rule := first_match(command)) and rule.severity in ("critical", "high"):
                yield _said(entry, owner, rule, f"typed: {command}", time=time)
    elif re.fullmatch(CRON_TABLES, inside):
        for line in lines_of(entry):
            if (rule := first_match(line)) and rule.severity in ("critical", "high"):
                yield _said(entry, owner, rule, f"scheduled in {inside}: {line}", time=entry.modified())
    elif inside == "/etc/ld.so.preload" and entry.size:
        yield _program(entry, owner, "Every program is made to load a library", "high", "T1574.006", inside)
    elif entry.mode & 0o111 and entry.read(limit=4).startswith(_ELF_OR_SCRIPT):
        yield from _of_program(entry, inside, owner, tree=tree)


def _of_program(entry: Entry, inside: str, owner: Container, *, tree: Tree) -> Iterator[Finding]:
    rule = first_match(inside)
    replaced = next((f for folder in owner.image_layers if (f := _in_layer(folder, inside, tree=tree))), None)
    if rule is not None and rule.severity == "critical":
        yield _program(entry, owner, rule.name, "critical", rule.technique, inside)
    elif replaced is not None and _PROGRAMS.match(inside):
        yield _program(entry, owner, "Program of the image replaced", "high", "T1554", inside)
    elif entry.mode & 0o4000:
        yield _program(entry, owner, "Program with set-user-id bit", "medium", "T1548.001", inside)
    elif is_unusual_place(inside):
        technique = "T1564.001" if "/." in inside else "T1036.005"
        yield _program(entry, owner, "Program in a hidden or temporary place", "high", technique, inside)
    elif replaced is None:
        yield _program(entry, owner, "Program that is not of the image", "low", "T1105", inside)


def _in_layer(folder: str, inside: str, *, tree: Tree) -> Entry | None:
    return tree.get(f"{folder}{inside}") or tree.get(f"{folder}/diff{inside}") or tree.get(f"{folder}/fs{inside}")


def records(tree: Tree, *, results: Results) -> Iterator[Finding]:
    """Timeline of containers and tasks, with a gap for every record that cannot be read; a list of all as one finding."""
    known = containers.of(tree)
    for path, why in known.problems:
        results.gap(f"containers: {path}", why)
    results.counts["containers"] = len(known.containers)
    for container in known.containers:
        if container.created:
            what = f"Container created: {container.label}, image {container.image} {container.digest}".rstrip()
            results.events.append(Event(container.created, what, container.source, "Creation Time"))
    tasks = list(_orchestrated(tree, known, results=results))
    if known.containers or tasks:
        named = [c.label + f" [{c.image}]" * bool(c.image) for c in known.containers] or [task.name for task in tasks]
        yield Finding(
            title="Containers of this host",
            detail=f"{len(known.containers)} containers, {len(tasks)} ECS tasks: {'; '.join(named[:MAX_NAMED])}",
            severity="info",
            confidence="high",
            source=known.containers[0].source if known.containers else tasks[0].source,
            data={
                "containers": [c.facts() | {"command": c.command[:100]} for c in known.containers[:10]],
                "tasks": [
                    {"arn": t.arn, "name": t.name, "status": t.status, "images": t.images} for t in tasks[:MAX_NAMED]
                ],
            },
        )


def _orchestrated(tree: Tree, known: containers.Found, *, results: Results) -> Iterator[Task]:
    labels = {container.id: container.label for container in known.containers}
    for entry in orchestrators.files(tree):
        try:
            if entry.name != "status":
                yield from orchestrators.tasks(entry)
                continue
            run = orchestrators.run(entry)
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            results.gap(f"containers: {entry.path}", f"the record cannot be read: {error or type(error).__name__}")
            continue
        name = labels.get(run.container, run.container[:12])
        for moment, what in ((run.started, "started"), (run.ended, f"ended with status {run.exit}")):
            if moment:
                results.events.append(Event(moment, f"Container {what}: {name}", run.source, "Status Time"))


def logs(tree: Tree, *, results: Results) -> Iterator[Finding]:
    """What containers' own logs tell of: mining, and attacks in the access log of a web server that writes to its output."""
    known = containers.of(tree)
    for entry in tree.files(containers.LOGS):
        owner = containers.container_of(entry.path, known)
        fold = Fold()
        mined: list[str] = []
        requests: list[str] = []
        for line in _messages(entry, results=results):
            if _MINED.search(line):
                mined = [*mined[-MAX_NAMED:], line]
            elif _REQUEST.search(line):
                requests.append(line)
        artifact = Artifact("container log", entry.path, entry.size)
        for item in web_rules.requests(requests, artifact=artifact, shells={}):
            if isinstance(item, Event):
                results.events.append(item)
            else:
                fold.add(replace(item, data={**item.data, **(owner.facts() if owner else {})}))
        yield from fold.folded()
        if mined:
            yield _mining(entry, owner, mined)


def _messages(entry: Entry, *, results: Results) -> Iterator[str]:
    """The lines that a container wrote, out of Docker's JSON or CRI's form, of the newest part of the log."""
    start = max(0, entry.size - MAX_LOG)
    if start:
        results.gap(f"coverage: {entry.path}", f"the last {MAX_LOG} of {entry.size} bytes were searched")
    packed = entry.path.endswith((".gz", ".zst"))
    text = content_of(entry).text if packed else entry.read(limit=MAX_LOG, offset=start).decode("utf-8", "replace")
    for line in text.splitlines():
        if line.startswith("{"):
            yield _text_of(line)
        else:
            match = _CRI_LOG.match(line)
            yield match[1] if match else line


def _text_of(line: str) -> str:
    """What the container wrote, out of a line of Docker's JSON log; the line itself when it is cut off."""
    match = _JSON_LOG.search(line)
    try:
        return str(json.loads(f'"{match[1]}"', strict=False)).rstrip("\n") if match else line
    except ValueError:
        return line


def _mining(entry: Entry, owner: Container | None, lines: list[str]) -> Finding:
    return Finding(
        title=f"Mining software in the log of container {owner.label if owner else entry.path}",
        detail=f"the last of its lines: {lines[-1]}",
        severity="high",
        confidence="high",
        source=entry.path,
        time=entry.modified(),
        technique="T1496",
        data={**(owner.facts() if owner else {}), "lines": [line[:200] for line in lines[-MAX_NAMED:]]},
    )


def _about(container: Container, *, title: str, detail: str, severity: Severity, technique: str) -> Finding:
    image = f"image {container.image} {container.digest}".rstrip()
    return Finding(
        title=title,
        detail=f"{detail}; {image}; command: {container.command}",
        severity=severity,
        confidence="high" if severity in ("critical", "high") else "medium",
        source=container.source,
        time=container.created,
        technique=technique,
        fold=f"{container.id} {title}",
        data=container.facts(),
    )


def _said(entry: Entry, owner: Container, rule: CommandRule, detail: str, *, time: object) -> Finding:
    return Finding(
        title=f"{rule.name} in container {owner.label}",
        detail=detail,
        severity=rule.severity,
        confidence="medium",
        source=entry.path,
        time=time,  # type: ignore[arg-type]
        technique=rule.technique,
        data=owner.facts(),
    )


def _program(entry: Entry, owner: Container, what: str, severity: Severity, technique: str, inside: str) -> Finding:
    return Finding(
        title=f"{what} in container {owner.label}: {inside}",
        detail=f"it is in the layer that the container wrote to, not in its image {owner.image}",
        severity=severity,
        confidence="medium",
        source=entry.path,
        time=entry.born(),
        technique=technique,
        kind=f"{what} in container {owner.label}",
        data={**owner.facts(), **entry.facts(), "sha256": sha256_of(entry), "inside": inside},
    )
