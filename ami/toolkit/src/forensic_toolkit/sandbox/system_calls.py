"""A filter of system calls for programs that read hostile bytes: calls that no parser needs are refused (seccomp(2)).

Refused calls fail with EPERM, so that a library that tries one continues without it. Numbers come from the kernel's tables for
x86-64 and arm64; on other machines there is no filter, and the provenance says so.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Callable

_SET_SECCOMP, _FILTER = 22, 2
_LOAD, _EQUAL, _GREATER_OR_EQUAL, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM
_NUMBER, _ARCHITECTURE = 0, 4  # offsets in struct seccomp_data
_X32 = 0x40000000
AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
# Name: (number on x86-64, number on arm64).
REFUSED: dict[str, tuple[int, int]] = {
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438),
    "perf_event_open": (298, 241),
    "bpf": (321, 280),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "unshare": (272, 97),
    "setns": (308, 268),
    "open_by_handle_at": (304, 265),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "reboot": (169, 142),
    "sethostname": (170, 161),
    "mknodat": (259, 33),
}


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def instructions(machine: str) -> list[tuple[int, int, int, int]] | None:
    """The filter (code, jump if true, jump if false, value) for a machine; None for an unknown machine."""
    if machine not in AUDIT:
        return None
    numbers = sorted(pair[machine == "aarch64"] for pair in REFUSED.values())
    # Calls of another architecture have other numbers: all of them are refused, and so are those of x32.
    program = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, AUDIT[machine]),
        (_RETURN, 0, 0, _REFUSE),
        (_LOAD, 0, 0, _NUMBER),
    ]
    program.append((_GREATER_OR_EQUAL, len(numbers) + 1, 0, _X32))
    program += [(_EQUAL, len(numbers) - place, 0, number) for place, number in enumerate(numbers)]
    return [*program, (_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _REFUSE)]


def installer(library: ctypes.CDLL) -> Callable[[], None]:
    """The function that installs the filter between fork and exec, after no_new_privs; its memory is allocated here."""
    program = instructions(os.uname().machine)
    if program is None:
        return lambda: None
    packed = b"".join(struct.pack("<HBBI", *entry) for entry in program)
    buffer = ctypes.create_string_buffer(packed, len(packed))
    described = _Program(len(program), ctypes.addressof(buffer))

    def install() -> None:
        # Keeps the buffer alive. A kernel without seccomp filters refuses; /proc/self/status shows which it was.
        library.prctl(_SET_SECCOMP, _FILTER, ctypes.byref(described), 0, 0)
        _ = buffer

    return install
