"""Processes from rows with the column names of Volatility 3's pslist, psaux and process_spoofing."""

from __future__ import annotations

from forensic_toolkit.readers.processes import processes
from tests.toolkit.plugin_rows import START, process, together


def test_rows_of_three_plugins_make_one_process() -> None:
    rows = together(
        process(2, "kthreadd", args="[kthreadd]", ppid=0),
        process(9, "kworker/0:1", args="[kworker/0:1]", ppid=2),
        process(77, "kworker/u4:1", args="[kworker/u4:1]", exe="/dev/shm/x (deleted)"),
        process(80, "sshd", args="bash", exe="/usr/bin/bash"),
        process(81, "python3", args="python3 -c x", exe="/usr/bin/python3.12"),
        process(82, "x", exe="memfd:payload (deleted)"),
    )
    found = processes(rows)
    assert sorted(found) == [2, 9, 77, 80, 81, 82]
    assert found[2].is_kernel and found[9].is_kernel and not found[77].is_kernel
    assert (found[77].exe, found[77].deleted, found[77].claims_kernel) == ("/dev/shm/x", True, True)
    assert found[77].in_unusual_place and not found[80].in_unusual_place
    assert found[80].is_shell and found[80].exe_name == "bash"
    assert found[81].is_interpreter and not found[81].is_shell
    assert (found[82].exe, found[82].deleted) == ("memfd:payload", True)
    assert found[80].started is not None and found[80].started.isoformat() == START


def test_a_process_without_rows_of_the_other_plugins_is_kept() -> None:
    (only,) = processes({"linux.pslist.PsList": [{"PID": 5, "PPID": None, "COMM": None}]}).values()
    assert (only.pid, only.ppid, only.comm, only.args, only.exe, only.deleted) == (5, 0, "", "", None, False)
