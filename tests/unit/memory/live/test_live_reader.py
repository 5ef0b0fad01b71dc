"""What the confined reader passes on: bounded whatever the host writes, and no list of processes that is not whole."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from forensics import confined
from forensics.memory.live.reader import MOST_OF_A_RULE, MOST_PROCESSES, LiveOrder, LiveReading, examine
from tests.unit.memory.live.test_live_host import stat
from tests.unit.memory.live_archives import archive, line, tar

CLOCK = b"1 1\nbtime 1700000000\n"


class Given:
    """The reader's channel, in this process."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def chunks(self) -> Iterator[bytes]:
        yield self._body

    def send(self, data: bytes) -> None:
        raise AssertionError("it sends nothing")

    def passed(self) -> None:
        """The archive was read."""

    def ask(self, question: dict[str, object]) -> bytes:
        raise AssertionError(question)


def reading(body: bytes) -> LiveReading:
    return examine(LiveOrder().model_dump_json().encode(), Given(body))


def linked(*programs: tuple[int, str]) -> bytes:
    """What ``ls -ln /proc/*/exe`` prints."""
    return b"".join(f"lrwxrwxrwx 1 0 0 0 Nov 29 12:00 /proc/{pid}/exe -> {path}\n".encode() for pid, path in programs)


def test_a_list_that_is_cut_is_no_list() -> None:
    body = stat((1, b"init", 0, 1), (2, b"x", 1, 2))
    assert [p.pid for p in reading(archive({"20-process-states": body})).processes] == [1, 2]
    index = line("20-process-states", body, state="cut: the first 9 bytes")
    found = reading(tar({"20-process-states": body, "index.tsv": index.encode()}))
    assert found.processes == () and any("is cut" in gap.why for gap in found.gaps)


@pytest.mark.parametrize("char", ["x", "\u202e", "\U0001f480"])
def test_the_largest_that_a_host_can_write_is_passed_on(char: str) -> None:
    pids = range(1, MOST_PROCESSES + 1)
    name = char.encode() * (16 // len(char.encode()))
    states = stat(*((pid, name, 1, 500) for pid in pids))
    arguments = b"\n".join(b"==> /proc/%d/cmdline <==\n%s\0" % (pid, char.encode() * 80) for pid in pids)
    exe = linked(*((pid, "/dev/shm/" + char * 60 + " (deleted)") for pid in pids))
    found = reading(
        archive(
            {
                "00-clock": CLOCK,
                "20-process-states": states,
                "22-process-arguments": arguments,
                "21-process-programs": exe,
            }
        )
    )
    said = json.dumps({"result": found.model_dump(mode="json"), "peak_kib": 1})
    assert len(said) < confined._LARGEST_WORDS
    assert found.findings and any(gap.what == "findings live-deleted" for gap in found.gaps)


@pytest.mark.parametrize(
    ("path", "severity"),
    [
        ("/home/app/.nvm/versions/node/v22/bin/node", None), ("/srv/app/.venv/bin/python3.12", None),
        ("/usr/sbin/nginx (deleted)", "low"), ("/var/www/.x/miner", "high"), ("/dev/shm/x", "high"),
        ("/tmp/.X11-unix/.d (deleted)", "critical"), ("/memfd:x (deleted)", "critical"),
        ("/home/app/.nvm/.hidden/node", "high"),
    ],
)  # fmt: skip
def test_where_a_program_lies_decides_how_grave_it_is(path: str, severity: str | None) -> None:
    members = {
        "00-clock": CLOCK,
        "20-process-states": stat((7, b"app", 1, 5)),
        "21-process-programs": linked((7, path)),
    }
    assert [f.severity.value for f in reading(archive(members)).findings] == ([severity] if severity else [])


def test_a_busy_service_does_not_crowd_out_the_shell() -> None:
    pids = range(10, 110)
    rows = b"".join(
        b"%4d: 0100007F:%04X 0100007F:01BB 01 00000000:00000000 01:00000019 00000000  33        0 %d 4 0 25 4 27 3 -1\n"
        % (pid, 40000 + pid, 5000 + pid * 10 + nth)
        for pid in pids
        for nth in range(3)
    )
    folders = b"".join(
        b"/proc/%d/fd:\n" % pid
        + b"".join(
            b"lrwx------ 1 0 0 64 Nov 29 12:00 %d -> socket:[%d]\n" % (7 + nth, 5000 + pid * 10 + nth)
            for nth in range(3)
        )
        for pid in pids
    )
    members = {
        "00-clock": CLOCK,
        "20-process-states": stat(*((pid, b"worker", 1, 5) for pid in pids[:-1]), (pids[-1], b"sh", 1, 5)),
        "21-process-programs": linked(*((pid, "/usr/sbin/worker") for pid in pids[:-1]), (pids[-1], "/usr/bin/dash")),
        "10-network-tcp": rows,
        "24-open-files": folders,
    }
    found = examine(LiveOrder(peers=("127.0.0.1",)).model_dump_json().encode(), Given(archive(members)))
    told = [f.data["pid"] for f in found.findings if f.id.startswith("live-connection")]
    assert told[0] == pids[-1] and found.findings[0].title.startswith("Shell on the network with 127.0.0.1, which")
    others = [pid for pid in told if pid != pids[-1]]
    assert len(set(others)) == len(others) == MOST_OF_A_RULE - 3, "of each process one before a second of any"
