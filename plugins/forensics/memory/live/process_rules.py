"""What is wrong with the processes and connections of a live response. Pure; the words are those of the memory rules.

The host itself says all of it: a rule that finds nothing proves nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import datetime

from forensics.memory.live.host import LiveHost, Process
from forensics.memory.live.sockets import LIVE, Socket
from forensics.models.results import Confidence, ResultSeverity, ToolFinding

_TEMPORARY = re.compile(r"^/(tmp|var/tmp|dev/shm|run/user/\d+|run/lock|run/shm|memfd:)")
_HIDDEN_NAME = re.compile(r"/\.[^/]")
# Folders in which version managers and build tools keep programs; hidden by their names alone.
_DEVELOPERS = re.compile(
    r"/\.(nvm|pyenv|rbenv|sdkman|asdf|volta|cargo|rustup|local|npm|yarn|bun|deno|dotnet|venv[\w-]*|virtualenvs|tox|nox|cache|poetry|conda|"
    r"vscode-server|cursor-server|gem|gvm|jenv|m2|gradle|linuxbrew|nix-profile)/"
)
_KERNEL_NAME = re.compile(
    r"^\[?(kworker|kthreadd|ksoftirqd|migration/|rcu_|kswapd|kdevtmpfs|khugepaged|kcompactd|kblockd|kauditd|watchdog"
    r"|jbd2/|ext4-|xfs[-_]|scsi_eh|irq/|oom_reaper|writeback|kintegrityd|md\d*_raid|nvme-|ata_sff|netns|cpuhp/)"
)
_SHELL = re.compile(r"^-?(sh|bash|dash|zsh|ksh|ash|fish|busybox)$")
_INTERPRETER = re.compile(r"^(python|perl|ruby|php|node|lua|socat|nc|ncat|netcat|telnet|openssl)[\d.]*$")
_SERVER = re.compile(r"^sshd")
# The order counts: the first that fits is what a command is called.
_COMMANDS: tuple[tuple[str, re.Pattern[str], ResultSeverity, str], ...] = (
    (
        "Reverse shell",
        re.compile(
            r"/dev/(tcp|udp)/[^ /]+/\d+|\bn(c|cat)(\.\w+)?\s[^|;]*-[a-z]*[ec]\s*\S*sh\b|\bsocat\b.*exec:"
            r"|\bmkfifo\b.*\bn(c|cat)\b|pty\.spawn|socket\.socket\(.*(dup2|subprocess)",
            re.IGNORECASE,
        ),
        ResultSeverity.CRITICAL,
        "T1059.004",
    ),
    (
        "Mining software",
        re.compile(
            r"\b(xmrig|minerd|cpuminer|kdevtmpfsi|kinsing|ethminer|nbminer)\b|stratum\+(tcp|ssl)://|--donate-level\b"
            r"|--(coin|algo)[= ](monero|rx/0|randomx|cn/)",
            re.IGNORECASE,
        ),
        ResultSeverity.CRITICAL,
        "T1496",
    ),
    (
        "Download piped into an interpreter",
        re.compile(r"\b(curl|wget)\b[^;&]*\|\s*(sudo\s+)?((ba|da|z|k)?sh|python\d?|perl|php)\b"),
        ResultSeverity.CRITICAL,
        "T1059.004",
    ),
    ("Scan of other hosts", re.compile(r"^\S*\b(nmap|masscan|zmap|hydra|medusa|fscan)\b"), ResultSeverity.HIGH, "T1046"),
    (
        "Tunnel to another host",
        re.compile(r"^\S*\b(chisel|frpc|ligolo\S*|ngrok|gost|revsocks)\b|\bssh\b.*\s-\w*R\s*\S*\d+:"),
        ResultSeverity.HIGH,
        "T1572",
    ),
)  # fmt: skip
_LONGEST, _SHOWN = 800, 300  # characters of a detail, of a command among a finding's data
Known = Collection[str]


class Maker:
    """Makes findings of the live response, with ids that the same archive gives again."""

    def __init__(self) -> None:
        self.made: list[ToolFinding] = []
        self._seen: dict[str, int] = {}

    def add(
        self,
        rule: str,
        title: str,
        *,
        severity: ResultSeverity,
        source: str,
        detail: str = "",
        confidence: Confidence = Confidence.MEDIUM,
        technique: str | None = None,
        process: Process | None = None,
        time: datetime | None = None,
        data: Mapping[str, object] | None = None,
    ) -> None:
        """One finding; ``source`` is the archive's member. One about a Linux process has its start and its fields."""
        self._seen[rule] = number = self._seen.get(rule, 0) + 1
        self.made.append(
            ToolFinding.model_validate(
                {
                    "id": f"live-{rule}-{number}", "title": title[:300], "detail": detail[:_LONGEST], "severity": severity,
                    "confidence": confidence, "time": process.started if process else time, "technique": technique, "source": source,
                    "data": {**(facts(process) if process else {}), **(data or {})},
                }
            )
        )  # fmt: skip


def facts(process: Process) -> dict[str, object]:
    """A process's fields, for the data of a finding."""
    return {
        "pid": process.pid, "ppid": process.ppid, "comm": process.name, "uid": process.uid, "exe": process.program,
        "args": process.command[:_SHOWN],
    }  # fmt: skip


def odd(process: Process) -> bool:
    """Whether its program is deleted and was not a package's, in memory only, hidden, or where anybody may write."""
    shown = _DEVELOPERS.sub("/", process.path)
    return bool(_TEMPORARY.match(process.path) or _HIDDEN_NAME.search(shown))


def poses(process: Process) -> bool:
    """Whether it has a kernel thread's name and is none."""
    named = _KERNEL_NAME.match(process.name) or _KERNEL_NAME.match(process.command)
    return bool(named) and not process.kernel and process.pid != 2


def is_shell(process: Process) -> bool:
    """Whether it runs a shell."""
    return bool(_SHELL.match(process.path.rsplit("/", 1)[-1] or process.name))


def programs(host: LiveHost, make: Maker) -> None:
    """Programs that are gone, in memory only, in odd places, or under a kernel thread's name."""
    for process in host.processes.values():
        who = f"pid {process.pid} ({process.name}, uid {process.uid}) runs {process.program}: {process.command}"
        source = "21-process-programs"
        if poses(process) and process.program:
            make.add(
                "kernel-name", f"Process {process.pid} poses as a kernel thread", severity=ResultSeverity.CRITICAL,
                confidence=Confidence.HIGH, technique="T1036", detail=who, source=source, process=process,
            )  # fmt: skip
        if process.deleted or process.path.startswith("/memfd:"):
            in_memory, strange = process.path.startswith("/memfd:"), odd(process)
            make.add(
                "deleted", f"Process {process.pid} runs a deleted executable",
                severity=ResultSeverity.CRITICAL if strange else ResultSeverity.LOW,
                confidence=Confidence.HIGH if strange else Confidence.LOW,
                technique="T1620" if in_memory else "T1070.004",
                source=source, process=process,
                detail=who if strange else f"{who}; a package update has the same effect",
            )  # fmt: skip
        elif odd(process):
            make.add(
                "odd-place", f"Process {process.pid} runs from a temporary or hidden place", severity=ResultSeverity.HIGH,
                technique="T1564.001" if "/." in process.path else "T1036.005", detail=who, source=source, process=process,
            )  # fmt: skip


def concealed(host: LiveHost, make: Maker) -> None:
    """Processes that a listing of /proc hides or something is mounted over, and texts that imitate the list."""
    for pid, how in host.hidden.items():
        process = host.processes[pid]
        what = "is hidden from directory listings" if how == "hidden" else "has something mounted over its /proc entry"
        make.add(
            "hidden", f"Process {pid} {what}", severity=ResultSeverity.CRITICAL, confidence=Confidence.HIGH,
            technique="T1014" if how == "hidden" else "T1564.013", source="14-pids", process=process,
            detail=f"asked for by its number it is there: {process.command or 'nothing else is known of it'}",
        )  # fmt: skip
    for pid in sorted(host.forged):
        make.add(
            "forged", f"A text imitates the entry of process {pid} in a list of processes", severity=ResultSeverity.HIGH,
            technique="T1036", source="22-process-arguments",
            detail="the list names the process twice; the first entry was read. Look at the processes just before the second one",
            data={"pid": pid},
        )  # fmt: skip


def connections(host: LiveHost, make: Maker, peers: Known) -> None:
    """Connections of shells, disguised programs and interpreters, and all with an address that the case's findings name."""
    listening = {(s.namespace, s.port) for s in host.sockets if s.state == "LISTEN"}
    owned: set[int] = set()
    unknown = not any(process.files for process in host.processes.values())  # as in the first pass
    nobody = "which process has it open is not known here" if unknown else "no process that is listed has it open"
    for process in host.processes.values():
        for socket in process.sockets:
            owned.add(socket.inode)
            if socket.state in LIVE:
                _connection(process, socket, make, inbound=(socket.namespace, socket.port) in listening, peers=peers)
    for socket in host.sockets:
        if socket.state in LIVE and socket.peer in peers and socket.inode not in owned:
            make.add(
                "finding-address", f"Connection with {socket.peer}, which the finding names", severity=ResultSeverity.HIGH,
                confidence=Confidence.HIGH, technique="T1071", source=_member(socket),
                detail=f"{socket.ends}, {socket.state}, uid {socket.uid}; {nobody}",
                data={"remote": socket.peer, "port": socket.peer_port, "uid": socket.uid},
            )  # fmt: skip


def _connection(process: Process, socket: Socket, make: Maker, *, inbound: bool, peers: Known) -> None:
    name = process.path.rsplit("/", 1)[-1] or process.name
    disguised = poses(process) or odd(process)  # a program that an update has replaced is deleted too
    standard = [n for n, target in process.files.items() if n <= 2 and target == f"socket:[{socket.inode}]"]
    shell = is_shell(process) and (bool(standard) or socket.foreign or socket.peer in peers)
    if socket.peer in peers:
        severity, technique = ResultSeverity.CRITICAL, "T1059.004" if shell else "T1071"
        title = f"{'Shell on the network' if shell else 'Connection'} with {socket.peer}, which the finding names"
    elif shell:
        severity, title, technique = ResultSeverity.CRITICAL, "Shell on the network", "T1059.004"
    elif not socket.foreign:
        return
    elif disguised:
        severity, title, technique = ResultSeverity.CRITICAL, "Connection of a disguised or deleted program", "T1071"
    elif inbound and _SERVER.match(name):
        severity, title, technique = ResultSeverity.INFO, "Session from outside", "T1021.004"
    elif not inbound and _INTERPRETER.match(name):
        severity, title, technique = (
            ResultSeverity.LOW,
            "Outbound connection of an interpreter",
            "T1071",
        )  # or an application
    else:
        return
    where = f" in network namespace {socket.namespace}" if socket.namespace else ""
    make.add(
        "connection", f"{title}: {process.name} ({process.pid}) with {socket.peer} port {socket.peer_port}",
        severity=severity,
        # a busy service may have many connections with a peer: what is odd in itself comes first where a list is cut
        confidence=Confidence.HIGH if severity is ResultSeverity.CRITICAL and (shell or disguised) else Confidence.MEDIUM,
        technique=technique, source=_member(socket), process=process,
        detail=f"{socket.ends}, {socket.state}{where}, owned by pid {process.pid}: {process.command}",
        data={"remote": socket.peer, "remote_port": socket.peer_port, "inbound": inbound},
    )  # fmt: skip


def _member(socket: Socket) -> str:
    if socket.namespace:
        return "23-connections-elsewhere"
    return f"10-network-{socket.protocol}{'6' if ':' in socket.local else ''}"


def commands(host: LiveHost, make: Maker, peers: Known) -> None:
    """Running command lines of intruders' kinds, and those that name an address of the finding."""
    for process in host.processes.values():
        command = process.command[:_LONGEST]
        found = next((rule for rule in _COMMANDS if rule[1].search(command)), None)
        named = next((peer for peer in peers if peer in command), None)
        if found is None and named is None:
            continue
        title, severity, technique = (found[0], found[2], found[3]) if found else (
            f"A command names {named}, an address of the finding", ResultSeverity.HIGH, "T1071",
        )  # fmt: skip
        make.add(
            "command", f"{title} (running as process {process.pid})", severity=severity, confidence=Confidence.HIGH,
            technique=technique, source="22-process-arguments", process=process, detail=command,
        )  # fmt: skip


def environments(host: LiveHost, make: Maker) -> None:
    """Variables that load code into programs, keep no history, or hold credentials (names only)."""
    for process in host.processes.values():
        given = process.environment
        source = "25-environments"
        for name in ("LD_PRELOAD", "LD_AUDIT"):
            if value := given.get(name):
                make.add(
                    "preloaded", f"Process {process.pid} ({process.name}) preloads a library", severity=ResultSeverity.HIGH,
                    technique="T1574.006", detail=f"{name}={value[:500]}", source=source, process=process,
                )  # fmt: skip
        if is_shell(process) and (given.get("HISTFILE") in {"", "/dev/null"} or given.get("HISTSIZE") == "0"):
            make.add(
                "no-history", f"Shell {process.pid} keeps no history", severity=ResultSeverity.MEDIUM, technique="T1690",
                detail=process.command, source=source, process=process,
            )  # fmt: skip
        if "AWS_SECRET_ACCESS_KEY" in given:
            make.add(
                "credentials", f"Process {process.pid} ({process.name}) has AWS credentials in its environment",
                severity=ResultSeverity.LOW, technique="T1552.007",
                detail=f"access key {given.get('AWS_ACCESS_KEY_ID', 'not said')[:20]}: everything on this host may have read them; rotate them",
                source=source, process=process,
            )  # fmt: skip
        if process.tracer and process.tracer in host.processes:
            other = host.processes[process.tracer]
            make.add(
                "traced", f"Process {process.pid} is traced by {other.name} ({other.pid})", severity=ResultSeverity.MEDIUM,
                technique="T1055.008", detail=f"{other.command} traces {process.command}", source=source, process=process,
            )  # fmt: skip


def rules(host: LiveHost, make: Maker, peers: Known) -> Iterable[tuple[str, Callable[[], None]]]:
    """All rules of this file by name, bound to a host."""
    yield "programs", lambda: programs(host, make)
    yield "concealed", lambda: concealed(host, make)
    yield "connections", lambda: connections(host, make, peers)
    yield "commands", lambda: commands(host, make, peers)
    yield "environments", lambda: environments(host, make)


def starts(host: LiveHost) -> Iterator[tuple[datetime, str]]:
    """When each process that is no kernel thread began."""
    for process in host.processes.values():
        if process.started is not None and not process.kernel:
            yield (
                process.started,
                f"Process {process.pid} started: {process.command[:500]} (parent {process.ppid}, uid {process.uid})",
            )
