"""The processes of a memory image, assembled from the rows of several plugins."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from forensic_toolkit.times import parse_iso

Rows = Mapping[str, Sequence[Mapping[str, Any]]]

PSLIST = "linux.pslist.PsList"
PSAUX = "linux.psaux.PsAux"
SPOOFING = "linux.malware.process_spoofing.ProcessSpoofing"

KTHREADD = 2
DELETED = " (deleted)"
_TEMPORARY = re.compile(r"^/(tmp|var/tmp|dev/shm|run/user/\d+|run/lock|memfd:)")
_HIDDEN = re.compile(r"/\.[^/]")
_KERNEL_NAME = re.compile(
    r"^\[?(kworker|kthreadd|ksoftirqd|migration/|rcu_|kswapd|kdevtmpfs|khugepaged|kcompactd|kblockd|kauditd|watchdog"
    r"|jbd2/|ext4-|xfs[-_]|scsi_eh|irq/|oom_reaper|writeback|kintegrityd|md\d*_raid|nvme-|events/|ata_sff|netns|cpuhp/)"
)
SHELLS = {"sh", "bash", "dash", "zsh", "ksh", "ash", "fish", "busybox"}
_INTERPRETERS = re.compile(r"^(python|perl|ruby|php|node|lua|socat|nc|ncat|netcat)[\d.]*")


@dataclass(frozen=True, slots=True)
class Process:
    """One process; ``exe`` is None for kernel threads and where the plugin found no path."""

    pid: int
    ppid: int
    comm: str
    uid: int | None
    started: datetime | None
    args: str
    exe: str | None
    deleted: bool

    @property
    def exe_name(self) -> str:
        """The executable's base name."""
        return (self.exe or "").rsplit("/", 1)[-1]

    @property
    def is_shell(self) -> bool:
        """Whether it runs a shell."""
        return self.exe_name in SHELLS or (self.exe is None and self.comm in SHELLS)

    @property
    def is_interpreter(self) -> bool:
        """Whether it runs a shell or another interpreter."""
        return self.is_shell or bool(_INTERPRETERS.match(self.exe_name or self.comm))

    @property
    def in_unusual_place(self) -> bool:
        """Whether its executable is in a temporary or hidden place."""
        return bool(self.exe and (_TEMPORARY.match(self.exe) or _HIDDEN.search(self.exe)))

    @property
    def claims_kernel(self) -> bool:
        """Whether its name is that of a kernel thread."""
        return bool(_KERNEL_NAME.match(self.comm) or _KERNEL_NAME.match(self.args))

    @property
    def is_kernel(self) -> bool:
        """Whether it is a kernel thread: kthreadd or its child, without an executable."""
        return self.exe is None and (self.pid == KTHREADD or self.ppid == KTHREADD)

    def facts(self) -> dict[str, Any]:
        """The process's fields, for the data of a finding."""
        return {
            "pid": self.pid,
            "ppid": self.ppid,
            "comm": self.comm,
            "uid": self.uid,
            "exe": self.exe,
            "exe_deleted": self.deleted,
            "args": self.args,
        }


def processes(rows: Rows) -> dict[int, Process]:
    """All processes by pid."""
    args = {row["PID"]: (row.get("ARGS") or "").strip() for row in rows.get(PSAUX, ())}
    executables = {row["PID"]: row for row in rows.get(SPOOFING, ())}
    found: dict[int, Process] = {}
    for row in rows.get(PSLIST, ()):
        pid = row["PID"]
        path, deleted = _executable(executables.get(pid, {}))
        found[pid] = Process(
            pid=pid,
            ppid=row.get("PPID") or 0,
            comm=row.get("COMM") or "",
            uid=row.get("UID"),
            started=parse_iso(row.get("CREATION TIME") or ""),
            args=args.get(pid, ""),
            exe=path,
            deleted=deleted,
        )
    return found


def _executable(row: Mapping[str, Any]) -> tuple[str | None, bool]:
    path = (row.get("Exe_Path") or "").strip()
    deleted = str(row.get("Exe_Deleted")) == "True" or path.endswith(DELETED)
    path = path.removesuffix(DELETED).strip()
    return (path if path.startswith(("/", "memfd:")) else None), deleted
