"""Processor time of descendants: it grows while a grandchild computes and stays when the child has ended."""

from __future__ import annotations

import os
import subprocess
import sys

from lab.hosts.usage import cpu_seconds_below

BUSY = "import time\nbegan = time.process_time()\nwhile time.process_time() - began < 0.2: pass"


def test_a_computing_grandchild_counts_and_still_does_when_it_has_ended() -> None:
    before = cpu_seconds_below(os.getpid())
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BUSY!r}], check=True)\n"
    code = parent + "print('done', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"done\n"
        during = cpu_seconds_below(os.getpid())
    assert during - before >= 0.19
    assert cpu_seconds_below(os.getpid()) >= during
