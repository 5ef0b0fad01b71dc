"""Servers on which nothing else happened, with plants: the models of the clean servers as trees of files that go on an image."""

from __future__ import annotations

import stat
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from lab.tools.disks.ext4.tree import Node, Times
from tests.toolkit import clean_servers
from tests.toolkit.fake_tree import ns
from tests.toolkit.techniques.plants import Audited, Logged, Plant, Put, Typed

_LOGS = {
    "web": {"auth": "/var/log/auth.log", "system": "/var/log/syslog", "web": "/var/log/nginx/access.log"},
    "ci": {"auth": "/var/log/secure", "system": "/var/log/messages", "web": "/var/log/httpd/access_log"},
}
_HISTORIES = {"root": "/root/.bash_history"}
_ROUTINE = ("cd /srv", "ls", "vim notes.txt", "git status", "cd", "df -h .", "less README.md", "exit")
_CREATED = datetime(2026, 11, 20, 23, 0, tzinfo=UTC)


def server(model: str, plants: Iterable[Plant]) -> Node:
    """The tree of a clean server with what the plants leave."""
    base = clean_servers.MODELS[model]()
    files = {
        entry.path: (entry.mode, base.tree().get(entry.path), entry)
        for entry in base.tree().entries
        if not entry.deleted
    }
    root = Node("", stat.S_IFDIR | 0o755, _all(datetime(2026, 1, 1, tzinfo=UTC)))
    for path, (mode, _, entry) in files.items():
        times = entry.times
        _add(root, path, mode, entry.read(), Times(times.accessed, times.changed, times.modified, times.born))
    lines: dict[str, list[tuple[datetime, str]]] = defaultdict(list)
    for plant in plants:
        _plant(root, plant, model=model, lines=lines)
    for path, said in lines.items():
        _append(root, path, sorted(said))
    return root


def _plant(root: Node, plant: Plant, *, model: str, lines: dict[str, list[tuple[datetime, str]]]) -> None:
    for number, trace in enumerate(plant.technique.traces):
        moment = plant.moment
        if isinstance(trace, Put):
            times = _all(moment)
            if trace.modified:
                times = Times(times.accessed, times.changed, ns(trace.modified), times.created)
            content = (trace.link or trace.content).encode("latin-1")
            kind = stat.S_IFLNK | 0o777 if trace.link else stat.S_IFREG | trace.mode
            _add(root, plant.filled(trace.path), kind, plant.filled(content.decode("latin-1")).encode("latin-1"), times)
        elif isinstance(trace, Typed):
            path = _HISTORIES.get(trace.account, f"/home/{trace.account}/.bash_history")
            lines[path].append((moment, f"#{int(moment.timestamp())}\n{plant.filled(trace.command)}"))
            later = moment + timedelta(seconds=61)
            lines[path].append(
                (later, f"#{int(later.timestamp())}\n{_ROUTINE[int(moment.timestamp()) % len(_ROUTINE)]}")
            )
        elif isinstance(trace, Audited):
            lines["/var/log/audit/audit.log"].append((moment, _audit(moment, plant.filled(trace.command), number)))
        elif isinstance(trace, Logged):
            at = moment + timedelta(seconds=trace.after)
            lines[_LOGS[model][trace.log]].append((at, _line(trace.log, at, plant.filled(trace.line))))


def _line(log: str, moment: datetime, text: str) -> str:
    if log == "web":
        return text.replace("[@]", f"[{moment:%d/%b/%Y:%H:%M:%S} +0000]")
    return f"{moment.isoformat(timespec='microseconds')} web1 {text}"


def _audit(moment: datetime, command: str, number: int) -> str:
    """The records of one execution by a person who became root; words as the kernel writes them (hexadecimal where needed)."""
    words = command.split(" ") if not command.startswith(("bash -c ", "sh -c ")) else command.split(" ", 2)
    stamp = f"audit({moment.timestamp():.3f}:{int(moment.timestamp()) % 100_000 + number})"
    given = " ".join(f"a{at}={_word(word)}" for at, word in enumerate(words))
    name = words[0].rsplit("/", 1)[-1]
    return (
        f"type=SYSCALL msg={stamp}: arch=c000003e syscall=59 success=yes exit=0 items=2 ppid=812 pid=813 auid=1000 uid=0 gid=0 "
        f'euid=0 tty=pts0 ses=3 comm="{name[:15]}" exe="/usr/bin/{name}" key="exec"\n'
        f"type=EXECVE msg={stamp}: argc={len(words)} {given}\n"
        f'type=CWD msg={stamp}: cwd="/root"'
    )


def _word(text: str) -> str:
    return text.encode().hex().upper() if any(char in text for char in " \"'") else f'"{text}"'


def _append(root: Node, path: str, said: list[tuple[datetime, str]]) -> None:
    """Add lines at the end of a file, which is as old as its last line."""
    text = "\n".join(line for _, line in said) + "\n"
    last = said[-1][0]
    node = _find(root, path)
    if node is None:
        moment = min(last, _CREATED)
        _add(root, path, stat.S_IFREG | 0o600, text.encode(), Times(ns(last), ns(last), ns(last), ns(moment)))
        return
    node.data = (node.data if not node.data or node.data.endswith(b"\n") else node.data + b"\n") + text.encode()
    node.times = Times(ns(last), ns(last), ns(last), node.times.created)


def _find(root: Node, path: str) -> Node | None:
    node: Node | None = root
    for part in path.strip("/").split("/"):
        node = node.children.get(part) if node else None
    return node


def _add(root: Node, path: str, mode: int, data: bytes, times: Times) -> None:
    *folders, name = path.strip("/").split("/")
    parent = root
    for folder in folders:
        parent = parent.children.setdefault(folder, Node(folder, stat.S_IFDIR | 0o755, root.times))
    parent.children[name] = Node(name, mode, times, data=data)


def _all(moment: datetime) -> Times:
    value = ns(moment)
    return Times(value, value, value, value)
