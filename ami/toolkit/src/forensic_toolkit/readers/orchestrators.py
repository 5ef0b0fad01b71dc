"""What orchestrators recorded on a host: the ECS agent's tasks, and when CRI's containers (crictl's) started and ended.

Sources: amazon-ecs-agent, ``agent/data`` (bbolt, one JSON object a task; before version 1.48 one JSON file for everything) and
``agent/api/task``; containerd, ``pkg/cri/store/container/status.go`` (JSON with times in nanoseconds since 1970).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from forensic_toolkit.filesystems.entries import Entry
from forensic_toolkit.filesystems.tree import Tree
from forensic_toolkit.readers import bolt
from forensic_toolkit.times import from_ns

AGENT = r"/var/lib/ecs/data/(ecs_agent_data\.json|agent\.db)"
STATUS = r"(/[^/]+)*/io\.containerd\.grpc\.v1\.cri/containers/[0-9a-f]{64}/status"
FILES = f"{AGENT}|{STATUS}"
_MAX = 64 << 20


@dataclass(frozen=True, slots=True)
class Task:
    """A task of ECS as its agent last knew it."""

    arn: str
    name: str  # family:revision
    status: str
    images: tuple[str, ...]
    source: str


@dataclass(frozen=True, slots=True)
class Run:
    """When a container of a pod ran; ``ended`` is None while it runs."""

    container: str
    started: datetime | None
    ended: datetime | None
    exit: int
    source: str


def tasks(entry: Entry) -> Iterator[Task]:
    """The tasks in one of the agent's files. Raises ``ValueError`` when it cannot be read."""
    data = entry.read(limit=_MAX)
    if entry.name == "agent.db":
        stored = bolt.below(bolt.read(data), "tasks").values()
        known = [json.loads(value) for value in stored if isinstance(value, bytes)]
    else:
        known = ((json.loads(data).get("Data") or {}).get("TaskEngine") or {}).get("Tasks") or []
    for task in known:
        if isinstance(task, dict) and task.get("Arn"):
            yield Task(
                str(task["Arn"]),
                f"{task.get('Family', '')}:{task.get('Version', '')}",
                str(task.get("KnownStatus", "")),
                tuple(str(c.get("Image", "")) for c in task.get("Containers") or [] if isinstance(c, dict)),
                entry.path,
            )


def run(entry: Entry) -> Run:
    """The run that a status file of CRI tells of. Raises ``ValueError`` when it cannot be read."""
    known = json.loads(entry.read(limit=1 << 20))
    if not isinstance(known, dict):
        raise ValueError("it is no JSON object")
    container = re.search(r"/([0-9a-f]{64})/status$", entry.path)
    return Run(
        container[1] if container else "",
        _moment(known.get("StartedAt")),
        _moment(known.get("FinishedAt")),
        int(known.get("ExitCode") or 0),
        entry.path,
    )


def _moment(nanoseconds: Any) -> datetime | None:
    return from_ns(nanoseconds) if isinstance(nanoseconds, int) and nanoseconds > 0 else None


def files(tree: Tree) -> Iterator[Entry]:
    """The files of both kinds."""
    return tree.files(FILES)
