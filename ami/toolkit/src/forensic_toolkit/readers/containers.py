"""The containers that a host knows: image and digest, command, privileges, mounts of the host, pod or task, writable layer.

Sources: Docker's ``config.v2.json`` and ``hostconfig.json`` with its layer database, Podman's ``config.json`` (an OCI runtime
specification), containerd's ``meta.db`` and the snapshotters' ``metadata.db`` (bbolt; ``metadata/buckets.go``), where CRI's
(crictl's) pods are containers with labels. Tasks of ECS are labels of Docker's containers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

from forensic_toolkit.filesystems.entries import Entry
from forensic_toolkit.filesystems.tree import Tree
from forensic_toolkit.readers import containerd
from forensic_toolkit.readers.bolt import BoltError
from forensic_toolkit.times import parse_iso

_ID = r"[0-9a-f]{64}"
_DOCKER = rf"(/[^/]+)*/containers/{_ID}"
_PODMAN = rf"(/[^/]+)*/overlay-containers/{_ID}/userdata"
CONFIGURATIONS = rf"{_DOCKER}/(config\.v2|hostconfig)\.json|{_PODMAN}/config\.json|(/[^/]+)*/io\.containerd\.metadata\.v1\.bolt/meta\.db"
LOGS = rf"{_DOCKER}/{_ID}-json\.log(\.[^/]*)?|{_PODMAN}/ctr\.log|/var/log/pods/[^/]+/[^/]+/[^/]+\.log[^/]*"
_MAX_JSON, MAX_CONTAINERS = 4 << 20, 5_000
_NAMESPACES = {"pid": "processes", "network": "network", "ipc": "shared memory", "user": "users", "uts": "host name"}
_USUAL_CAPABILITIES = {
    "CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID", "SETFCAP", "SETPCAP",
    "NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mount:
    """A path of the host in the container."""

    source: str
    target: str
    writable: bool


@dataclass(frozen=True, slots=True)
class Container:
    """One container as its runtime recorded it; ``layer`` is the folder of what it changed, ``image_layers`` those of its image."""

    runtime: str
    id: str
    source: str
    name: str = ""
    image: str = ""
    digest: str = ""
    command: str = ""
    created: datetime | None = None
    privileged: bool = False
    capabilities: tuple[str, ...] = ()  # beyond those that every container gets
    host_namespaces: tuple[str, ...] = ()
    mounts: tuple[Mount, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)
    layer: str = ""
    image_layers: tuple[str, ...] = ()

    @property
    def pod(self) -> str:
        """``namespace/name`` of its pod, or the task of ECS; empty outside of an orchestrator."""
        labels = self.labels
        if name := labels.get("io.kubernetes.pod.name") or labels.get("io.kubernetes.cri.sandbox-name"):
            space = labels.get("io.kubernetes.pod.namespace") or labels.get("io.kubernetes.cri.sandbox-namespace", "")
            return f"{space}/{name}"
        if family := labels.get("com.amazonaws.ecs.task-definition-family"):
            task = labels.get("com.amazonaws.ecs.task-arn", "").rsplit("/", 1)[-1]
            return f"{family}:{labels.get('com.amazonaws.ecs.task-definition-version', '?')} {task}".strip()
        return ""

    @property
    def label(self) -> str:
        """For people: its name, with pod or task."""
        own = (
            self.labels.get("io.kubernetes.container.name")
            or self.labels.get("com.amazonaws.ecs.container-name")
            or self.name
            or self.id[:12]
        )
        kind = "pod" if any(key.startswith("io.kubernetes.") for key in self.labels) else "ECS task"
        return f"{own} ({kind} {self.pod})" if self.pod else own

    def facts(self) -> dict[str, Any]:
        """For the data of a finding."""
        return {
            "container": self.id,
            "name": self.name,
            "runtime": self.runtime,
            "pod_or_task": self.pod,
            "image": self.image,
            "digest": self.digest,
            "command": self.command[:300],
            "privileged": self.privileged,
            "capabilities": list(self.capabilities[:45]),
            "host_namespaces": list(self.host_namespaces),
            "mounts": [f"{m.source}:{m.target}:{'rw' if m.writable else 'ro'}" for m in self.mounts[:30]],
            "layer": self.layer,
        }


@dataclass(frozen=True, slots=True)
class Found:
    """All containers of a host, and what of their records could not be read: (path, why)."""

    containers: tuple[Container, ...]
    problems: tuple[tuple[str, str], ...]


@lru_cache(maxsize=4)
def of(tree: Tree) -> Found:
    """Every container that a runtime on this disk has a record of."""
    found: list[Container] = []
    problems: list[tuple[str, str]] = []
    for entry in tree.files(CONFIGURATIONS):
        if len(found) >= MAX_CONTAINERS:
            problems.append((entry.path, f"more than {MAX_CONTAINERS} containers; the rest was not read"))
            break
        if entry.name == "hostconfig.json":
            continue  # read with its config.v2.json
        try:
            found.extend(_read(entry, tree=tree))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            problems.append((entry.path, f"the record cannot be read: {error or type(error).__name__}"))
    return Found(tuple(found), tuple(problems))


def by_layer(tree: Tree) -> dict[str, Container]:
    """The containers by the folders of the layers that they wrote to."""
    return {container.layer: container for container in of(tree).containers if container.layer}


def _read(entry: Entry, *, tree: Tree) -> Iterator[Container]:
    if entry.name == "meta.db":
        for record in containerd.records(entry, tree=tree):
            if record.namespace != "moby":  # Docker's own records say more of them
                yield from _of_containerd(record, source=entry.path)
    elif entry.name == "config.v2.json":
        yield _of_docker(entry, tree=tree)
    else:
        yield _of_podman(entry, tree=tree)


def _json(entry: Entry | None) -> dict[str, Any]:
    if entry is None:
        return {}
    loaded = json.loads(entry.read(limit=_MAX_JSON) or b"{}")
    if not isinstance(loaded, dict):
        raise BoltError("it is no JSON object")
    return loaded


def _words(given: object) -> list[str]:
    return [str(word) for word in given] if isinstance(given, list) else []


def _of_docker(entry: Entry, *, tree: Tree) -> Container:
    known, host = _json(entry), _json(tree.get(f"{entry.folder}/hostconfig.json"))
    config = known.get("Config") or {}
    root = entry.folder.rsplit("/containers/", 1)[0]
    container = str(known.get("ID") or entry.folder.rsplit("/", 1)[-1])
    driver = str(known.get("Driver") or "overlay2")
    mount_id = tree.text(f"{root}/image/{driver}/layerdb/mounts/{container}/mount-id", limit=256).strip()
    layer = f"{root}/{driver}/{mount_id}" if mount_id else ""
    mounts = [
        Mount(str(m.get("Source", "")), str(m.get("Destination", "")), bool(m.get("RW")))
        for m in (known.get("MountPoints") or {}).values()
        if m.get("Type", "bind") == "bind"
    ]
    modes = {"pid": host.get("PidMode"), "network": host.get("NetworkMode"), "ipc": host.get("IpcMode")}
    modes |= {"user": host.get("UsernsMode"), "uts": host.get("UTSMode")}
    return Container(
        "docker",
        container,
        entry.path,
        name=str(known.get("Name") or "").lstrip("/"),
        image=str(config.get("Image") or ""),
        digest=_docker_digest(str(known.get("Image") or ""), f"{root}/image/{driver}/repositories.json", tree=tree),
        command=" ".join([str(known.get("Path") or ""), *_words(known.get("Args"))]).strip(),
        created=parse_iso(str(known.get("Created") or "")),
        privileged=bool(host.get("Privileged")),
        capabilities=tuple(word.upper().removeprefix("CAP_") for word in _words(host.get("CapAdd"))),
        host_namespaces=tuple(_NAMESPACES[kind] for kind, mode in modes.items() if mode == "host"),
        mounts=tuple(mounts),
        labels={str(k): str(v) for k, v in (config.get("Labels") or {}).items()},
        layer=layer,
        image_layers=_lower(layer, tree=tree),
    )


def _docker_digest(image: str, path: str, *, tree: Tree) -> str:
    """The digest under which the image was pulled; its own id when there is none."""
    listed = _json(tree.get(path)).get("Repositories") or {}
    names = (name for tags in listed.values() for name, identity in tags.items() if identity == image)
    return next((name.rsplit("@", 1)[1] for name in names if "@" in name), image)


def _lower(layer: str, *, tree: Tree) -> tuple[str, ...]:
    """The folders of the image's layers, uppermost first: ``lower`` names links beside the layers (overlay2, Podman)."""
    store = layer.rsplit("/", 1)[0]
    links = tree.text(f"{layer}/lower", limit=1 << 16).strip().split(":") if layer else []
    folders = (tree.get(f"{store}/{link}") for link in links if link)
    return tuple(folder.path for folder in folders if folder is not None)


def _of_podman(entry: Entry, *, tree: Tree) -> Container:
    container = entry.path.split("/overlay-containers/", 1)[1].split("/", 1)[0]
    store = entry.path.split("/overlay-containers/", 1)[0]
    listed = json.loads(tree.text(f"{store}/overlay-containers/containers.json", limit=_MAX_JSON) or "[]")
    known: dict[str, Any] = next((item for item in listed if item.get("id") == container), {})
    layer = f"{store}/overlay/{known['layer']}" if known.get("layer") else ""
    about = json.loads(known.get("metadata") or "{}")
    spec = _json(entry)
    return _of_spec(
        spec,
        Container(
            "podman",
            container,
            entry.path,
            name=str((known.get("names") or [""])[0]),
            image=str(about.get("image-name") or ""),
            digest=str(known.get("image") or ""),
            created=parse_iso(str(known.get("created") or "")),
            labels={str(k): str(v) for k, v in (spec.get("annotations") or {}).items()},
            layer=layer,
            image_layers=_lower(layer, tree=tree),
        ),
    )


def _of_containerd(record: containerd.Record, *, source: str) -> Iterator[Container]:
    labels = {**{str(k): str(v) for k, v in (record.spec.get("annotations") or {}).items()}, **record.labels}
    if labels.get("io.cri-containerd.kind") == "sandbox":
        return  # the pause container of a pod
    yield _of_spec(
        record.spec,
        Container(
            "containerd",
            record.id,
            source,
            name=labels.get("nerdctl/name", record.id),
            image=record.image,
            digest=record.digest,
            created=record.created,
            labels=labels,
            layer=record.layer,
            image_layers=record.image_layers,
        ),
    )


def _of_spec(spec: dict[str, Any], known: Container) -> Container:
    """A container completed by its OCI runtime specification."""
    process, linux = spec.get("process") or {}, spec.get("linux") or {}
    bounding = {word.removeprefix("CAP_") for word in _words((process.get("capabilities") or {}).get("bounding"))}
    spaces = {str(item.get("type")): str(item.get("path") or "") for item in linux.get("namespaces") or []}
    shared = [kind for kind in ("pid", "network", "ipc", "uts") if spaces.get(kind, "/proc/1/").startswith("/proc/1/")]
    mounts = [
        m
        for m in spec.get("mounts") or []
        if m.get("type") in ("bind", "none") or "bind" in " ".join(_words(m.get("options")))
    ]
    return Container(
        **{
            **{name: getattr(known, name) for name in known.__slots__},
            "command": " ".join(_words(process.get("args"))),
            # As the runtimes set it: all capabilities, and nothing of /proc is masked.
            "privileged": {"SYS_ADMIN", "SYS_MODULE"} <= bounding and not linux.get("maskedPaths"),
            "capabilities": tuple(sorted(bounding - _USUAL_CAPABILITIES)),
            "host_namespaces": tuple(_NAMESPACES[kind] for kind in shared),
            "mounts": tuple(
                Mount(str(m.get("source", "")), str(m.get("destination", "")), "ro" not in _words(m.get("options")))
                for m in mounts
            ),
        }
    )


def container_of(path: str, known: Found) -> Container | None:
    """The container that wrote a log, by its path."""
    if match := re.match(r"/var/log/pods/([^_/]+)_([^_/]+)_[^/]+/([^/]+)/", path):
        for container in known.containers:
            same = container.pod == f"{match[1]}/{match[2]}"
            if same and container.labels.get("io.kubernetes.container.name", match[3]) == match[3]:
                return container
    return next((c for c in known.containers if c.id in path), None)
