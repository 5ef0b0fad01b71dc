"""The filter of system calls, in a process of its own: what it refuses is refused, everything a parser does still works."""

from __future__ import annotations

import errno
import json
import os
import sys
import time
from pathlib import Path

import pytest

from forensic_toolkit.sandbox import subprograms, system_calls
from forensic_toolkit.sandbox.confinement import Confinement

MACHINE = os.uname().machine
_TRY = """
import ctypes, json, socket, subprocess, sys, threading
library = ctypes.CDLL(None, use_errno=True)
said = {}
for name, number in json.loads(sys.argv[1]).items():
    ctypes.set_errno(0)
    answer = library.syscall(number, 0, 0, 0, 0, 0)
    said[name] = ctypes.get_errno() if answer < 0 else 0
thread = threading.Thread(target=lambda: said.update(thread="ran"))
thread.start(); thread.join()
said["child"] = subprocess.run([sys.executable, "-c", "print(6 * 7)"], capture_output=True, text=True).stdout.strip()
said["socket"] = socket.socket(socket.AF_UNIX).type
said["status"] = [line for line in open("/proc/self/status") if line.startswith("Seccomp:")]
print(json.dumps(said))
"""


@pytest.mark.skipif(MACHINE not in system_calls.AUDIT, reason=f"no filter is known for {MACHINE}")
def test_calls_that_no_parser_needs_are_refused(tmp_path: Path) -> None:
    column = int(MACHINE == "aarch64")
    # Harmless with these arguments even where they are allowed; reboot and the like are not tried.
    asked = {
        name: system_calls.REFUSED[name][column]
        for name in ("ptrace", "unshare", "mount", "bpf", "io_uring_setup", "keyctl", "setns")
    }
    output = tmp_path / "said"
    argv = [sys.executable, "-c", _TRY, json.dumps(asked)]
    confined = Confinement(memory_bytes=4 << 30, output_bytes=1 << 20, processor_seconds=60)
    process = subprograms.start(argv, folder=tmp_path, stdout=output, confined=confined)
    ended = subprograms.finish(process, stdout=output, seconds=60, started=time.monotonic())
    assert ended.error is None, ended.error
    said = json.loads(output.read_text())
    if "2" not in "".join(said["status"]):
        pytest.skip(f"this machine's kernel takes no filter: {said['status']}")
    assert {name: said[name] for name in asked} == dict.fromkeys(asked, errno.EPERM)
    assert (said["thread"], said["child"]) == ("ran", "42")


@pytest.mark.parametrize("machine", sorted(system_calls.AUDIT))
def test_the_filter_refuses_exactly_the_listed_calls(machine: str) -> None:
    program = system_calls.instructions(machine)
    assert program is not None and len(program) < 256
    assert system_calls.instructions("riscv64") is None

    def answer(architecture: int, number: int) -> int:
        place, loaded = 0, 0
        while True:
            code, true, false, value = program[place]
            place += 1
            if code == 0x20:
                loaded = architecture if value == 4 else number
            elif code == 0x06:
                return value
            else:
                place += true if (loaded == value if code == 0x15 else loaded >= value) else false

    audit, column = system_calls.AUDIT[machine], int(machine == "aarch64")
    refused = {pair[column] for pair in system_calls.REFUSED.values()}
    assert len(refused) == len(system_calls.REFUSED)
    answers = {number: answer(audit, number) for number in range(600)}
    assert {number for number, value in answers.items() if value == 0x50001} == refused
    assert set(answers.values()) == {0x50001, 0x7FFF0000}
    assert answer(audit, 0x40000000) == answer(0x40000003, 0) == 0x50001


def test_numbers_are_those_of_the_kernels_headers() -> None:
    header = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
    if MACHINE != "x86_64" or not header.exists():
        pytest.skip("the kernel's headers for x86-64 are not on this machine")
    defined = {
        line.split()[1].removeprefix("__NR_"): int(line.split()[2])
        for line in header.read_text().splitlines()
        if line.startswith("#define __NR_")
    }
    assert {name: defined[name] for name in system_calls.REFUSED if name in defined} == {
        name: pair[0] for name, pair in system_calls.REFUSED.items() if name in defined
    }
    assert len([name for name in system_calls.REFUSED if name in defined]) > 20
