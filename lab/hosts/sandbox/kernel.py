"""The few Linux calls that a sandbox is made of, through libc. Every failure is an OSError that names the
call.

Python's os module has unshare only from 3.12 on and mount never, hence ctypes.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import time

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
MNT_DETACH = 2

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_CAPBSET_DROP = 24
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_LAST_CAPABILITY = 63

# What root keeps inside: enough to own and read files and to signal its children, nothing that reaches the
# kernel (no mount, no ptrace, no raw sockets, no module). CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL,
# SETGID, SETUID.
_KEPT_CAPABILITIES = frozenset({0, 1, 3, 4, 5, 6, 7})
_CAPABILITY_VERSION_3 = 0x20080522

_SYS_MOUNT_SETATTR = 442  # the same number on every architecture
_SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "riscv64": 41, "ppc64le": 203, "s390x": 217}
_AT_FDCWD = -100
_AUTOGROUP_TRIES = 25
_AT_RECURSIVE = 0x8000
_MOUNT_ATTR_RDONLY = 0x1

_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 0x1

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, *, what: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def yield_processor(niceness: int) -> bool:
    """Let others go first, by nice(2) and, where sessions are scheduled as groups, for this one as a whole.

    With autogroups (sched(7)) nice alone counts only among the processes of one session; False when the kernel did not accept
    the request for the session.
    """
    os.nice(niceness)
    for _ in range(_AUTOGROUP_TRIES if niceness else 0):
        try:
            with open("/proc/self/autogroup", "w", encoding="ascii") as stream:  # noqa: PTH123 (see enter.py)
                stream.write(str(niceness))
        except BlockingIOError:
            time.sleep(0.02)  # the kernel accepts one such request each tenth of a second from unprivileged processes
        except OSError:
            return not os.path.exists("/proc/self/autogroup")  # noqa: PTH110 (see enter.py)
        else:
            return True
    return not niceness


def unshare(flags: int, *, name: str) -> None:
    """Leave the namespaces in `flags`; `name` is what an error calls them."""
    _check(_libc.unshare(ctypes.c_int(flags)), what=f"unshare({name})")


def mount(source: str, *, target: str, kind: str | None = None, flags: int = 0, options: str = "") -> None:
    """mount(2)."""
    result = _libc.mount(
        os.fsencode(source),
        os.fsencode(target),
        None if kind is None else kind.encode(),
        ctypes.c_ulong(flags),
        options.encode() if options else None,
    )
    _check(result, what=f"mount {kind or 'bind'} {source} on {target}")


def unmount(target: str) -> None:
    """Detach a mount and everything below it."""
    _check(_libc.umount2(os.fsencode(target), MNT_DETACH), what=f"unmount {target}")


def make_read_only(target: str) -> None:
    """Make a bind mount and every mount below it read-only, keeping the flags it came with."""
    attributes = struct.pack("QQQQ", _MOUNT_ATTR_RDONLY, 0, 0, 0)
    result = _libc.syscall(
        ctypes.c_long(_SYS_MOUNT_SETATTR),
        ctypes.c_int(_AT_FDCWD),
        os.fsencode(target),
        ctypes.c_uint(_AT_RECURSIVE),
        attributes,
        ctypes.c_size_t(len(attributes)),
    )
    if result == 0:
        return
    # Before Linux 5.12. A remount in a user namespace must repeat the flags that the mount was given outside.
    found = os.statvfs(target).f_flag
    kept = 0
    for flag, bit in ((os.ST_NOSUID, MS_NOSUID), (os.ST_NODEV, MS_NODEV), (os.ST_NOEXEC, MS_NOEXEC)):
        kept |= bit if found & flag else 0
    for name, bit in (("ST_NOATIME", 1024), ("ST_NODIRATIME", 2048), ("ST_RELATIME", 1 << 21)):
        kept |= bit if found & getattr(os, name, 0) else 0
    mount("none", target=target, flags=MS_BIND | MS_REMOUNT | MS_RDONLY | kept)


def pivot_root(new_root: str, *, old_root: str) -> None:
    """Make `new_root` the root of this mount namespace and leave the old one at `old_root`."""
    number = _SYS_PIVOT_ROOT.get(os.uname().machine)
    if number is None:
        raise OSError(
            f"pivot_root: its number is not known on {os.uname().machine}; add it to lab/hosts/sandbox/kernel.py"
        )
    result = _libc.syscall(ctypes.c_long(number), os.fsencode(new_root), os.fsencode(old_root))
    _check(result, what=f"pivot_root {new_root}")


def _prctl(option: int, *, value: int, what: str) -> None:
    result = _libc.prctl(
        ctypes.c_int(option), ctypes.c_ulong(value), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)
    )
    _check(result, what=f"prctl({what})")


def die_with_parent(signal_number: int) -> None:
    """Be sent `signal_number` when the thread that started this process ends. Lost on entering a user
    namespace.
    """
    _prctl(_PR_SET_PDEATHSIG, value=signal_number, what="PR_SET_PDEATHSIG")


def hide_from_debuggers() -> None:
    """Close /proc/<pid>/{exe,fd,root,…} of this process to everybody without CAP_SYS_PTRACE."""
    _prctl(_PR_SET_DUMPABLE, value=0, what="PR_SET_DUMPABLE")


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ended."""
    _prctl(_PR_SET_CHILD_SUBREAPER, value=1, what="PR_SET_CHILD_SUBREAPER")


def drop_capabilities() -> None:
    """Keep only what root needs for files and children, for this process and all it ever executes."""
    _prctl(_PR_SET_NO_NEW_PRIVS, value=1, what="PR_SET_NO_NEW_PRIVS")
    for capability in range(_LAST_CAPABILITY + 1):
        if capability in _KEPT_CAPABILITIES:
            continue
        try:
            _prctl(_PR_CAPBSET_DROP, value=capability, what="PR_CAPBSET_DROP")
        except OSError:
            break  # EINVAL: the kernel knows no capability with this number
    kept = sum(1 << capability for capability in _KEPT_CAPABILITIES)
    header = struct.pack("Ii", _CAPABILITY_VERSION_3, 0)
    sets = struct.pack("IIIIII", kept, kept, 0, 0, 0, 0)
    _check(_libc.capset(header, sets), what="capset")


def loopback_up() -> None:
    """Bring `lo` of this network namespace up."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(probe, _SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(probe, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | _IFF_UP))
