"""The sandbox, with real namespaces: what a script sees and cannot do, and that nothing of it survives."""

from __future__ import annotations

import http.server
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.hosts.sandbox import Bind, Gate, Outcome, Spec, capabilities, execute
from lab.progress import wait_until

REPOSITORY = Path(__file__).resolve().parents[4]
FOUND = capabilities()
namespaces = pytest.mark.skipif(
    FOUND.mode != "namespaces", reason=f"no unprivileged namespaces here: {'; '.join(FOUND.missing)}"
)


class Run:
    """A finished script with its output as text."""

    def __init__(self, outcome: Outcome, stdout: bytes, stderr: bytes) -> None:
        self.outcome, self.code = outcome, outcome.code
        self.stdout, self.stderr = stdout.decode(errors="replace"), stderr.decode(errors="replace")


def run(spec: Spec | str, *, seconds: float = 20, gate: Gate | None = None, reduced: bool = False) -> Run:
    out, err = bytearray(), bytearray()
    spec = Spec(script=spec) if isinstance(spec, str) else spec
    outcome = execute(spec, timeout_seconds=seconds, stdout=out.extend, stderr=err.extend, gate=gate, reduced=reduced)
    return Run(outcome, bytes(out), bytes(err))


def processes_with(mark: str) -> list[int]:
    """Host processes whose command line holds `mark`."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if mark.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue  # it ended meanwhile
    return found


def wait_until_gone(mark: str) -> None:
    wait_until(lambda: not processes_with(mark), what=f"the processes of {mark} to end", pause=0.02)


def odd_sleep() -> str:
    """A number of seconds nobody else sleeps, to find the process by."""
    return f"{10_000 + uuid.uuid4().int % 10_000_000}"


class Endpoint(http.server.BaseHTTPRequestHandler):
    """GET /slow sends a byte each 50 ms for ever; PUT answers with the size; anything else with a word."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        if self.path != "/slow":
            self.wfile.write(b"the lab")
            return
        try:
            while True:
                self.wfile.write(b".")
                self.wfile.flush()
                time.sleep(0.05)
        except OSError:
            return

    def do_PUT(self) -> None:
        left = size = int(self.headers["Content-Length"])
        while left and (data := self.rfile.read(min(left, 65536))):
            left -= len(data)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(str(size - left).encode())

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def endpoint() -> Iterator[int]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


def test_capabilities_say_what_is_there() -> None:
    print(f"\nsandbox: {FOUND}")
    assert FOUND.mode in ("namespaces", "reduced")
    assert FOUND.missing or FOUND.mode == "namespaces"


@namespaces
def test_a_script_is_root_on_a_machine_of_its_own() -> None:
    result = run(Spec(script="id -u; hostname; cat /etc/hostname; pwd; env | sort", hostname="web-7", cwd="/tmp"))
    lines = result.stdout.splitlines()
    assert lines[:4] == ["0", "web-7", "web-7", "/tmp"], result.stderr
    names = {line.split("=")[0] for line in lines[4:]}
    assert names - {"_", "SHLVL", "OLDPWD"} == {"HOME", "LANG", "PATH", "PWD"}
    assert result.code == 0


@namespaces
def test_neither_processes_nor_files_of_the_host_are_visible(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("of the host")
    hidden = f"{secret} {Path.home()}/.ssh {REPOSITORY} /etc/shadow /home"
    script = f"ls -d /proc/[0-9]* | wc -l; ls {hidden}; ls /proc/1/cwd"
    result = run(script)
    if not any("/proc" in note for note in result.outcome.notes):
        assert int(result.stdout.split()[0]) <= 8
    assert len(result.stdout.split()) == 1
    assert result.stderr.count("No such file") == 5, result.stderr
    assert "Permission denied" in result.stderr  # the first process inside cannot be looked into


@namespaces
@pytest.mark.parametrize("path", ["/usr", "/etc", "/", "/dev", "/sys", "/var", "/usr/local/bin", "/proc/sys/kernel"])
def test_no_file_of_the_host_can_be_written(path: str) -> None:
    result = run(f"echo x > {path.rstrip('/')}/lab-sandbox-test")
    assert result.code != 0
    assert not Path(path, "lab-sandbox-test").exists()


@namespaces
def test_read_only_cannot_be_undone() -> None:
    result = run(
        "mount -o remount,rw,bind /usr && echo remounted\n"
        "unshare -Urm sh -c 'mount -o remount,rw,bind /usr && echo remounted inside'\n"
        "echo core > /proc/sys/kernel/core_pattern && echo set\n"
        "ls /proc/sysrq-trigger 2>&1; head -c 1 /proc/kcore; umount /proc/sys && echo unmounted; true\n"
        "grep -h ^CapEff /proc/self/status"
    )
    assert not any(word in result.stdout for word in ("remounted", "set\n", "unmounted")), result.stdout
    assert result.stdout.split()[-1] == "00000000000000fb"


@namespaces
def test_writable_places_are_private_and_limited() -> None:
    script = (
        "for d in /tmp /run /dev/shm /root /var/tmp; do echo x > $d/f || exit 1; done\n"
        "head -c 3145728 /dev/zero > /tmp/g"
    )
    result = run(Spec(script=script, tmpfs_bytes=1 << 20))
    assert result.code != 0
    assert "No space left" in result.stderr
    assert not Path("/tmp/f").exists()


@namespaces
def test_disk_backed_scratch_is_removed_afterwards(tmp_path: Path) -> None:
    out: list[bytes] = []
    spec = Spec(
        script="head -c 3145728 /dev/zero > /tmp/big && ls -l /tmp /var/tmp",
        disk_tmp=True,
        tmpfs_bytes=1 << 20,
    )
    outcome = execute(spec, timeout_seconds=20, stdout=out.append, stderr=out.append, scratch=tmp_path)
    assert outcome.code == 0, b"".join(out)
    assert b"3145728" in b"".join(out)
    assert list(tmp_path.iterdir()) == []


@namespaces
def test_images_are_devices_that_cannot_be_written(tmp_path: Path) -> None:
    image = tmp_path / "disk.raw"
    image.write_bytes(b"evidence")
    spec = Spec(
        script="cat /dev/sdf; echo; readlink -f /dev/disk/by-id/vol\n"
        "echo x > /dev/sdf; rm -f /dev/nvme1n1; chmod 0 /dev/sdf",
        binds=(Bind(str(image), "/dev/nvme1n1"),),
        links=(("/dev/sdf", "nvme1n1"), ("/dev/disk/by-id/vol", "../../nvme1n1")),
    )
    mode = image.stat().st_mode
    result = run(spec)
    assert result.stdout.split() == ["evidence", "/dev/nvme1n1"]
    assert result.stderr.count("Read-only") + result.stderr.count("busy") == 3, result.stderr
    assert image.read_bytes() == b"evidence"
    assert image.stat().st_mode == mode


@namespaces
def test_kernel_facts_are_laid_over_proc_and_sys(tmp_path: Path) -> None:
    for name, text in (("kallsyms", "ffff T _text\n"), ("release", "6.1.0-lab\n"), ("btf", "types")):
        (tmp_path / name).write_text(text)
    spec = Spec(
        script="cat /proc/kallsyms /proc/sys/kernel/osrelease /sys/kernel/btf/vmlinux",
        proc_files=(
            ("kallsyms", str(tmp_path / "kallsyms")),
            ("sys/kernel/osrelease", str(tmp_path / "release")),
        ),
        binds=(Bind(str(tmp_path / "btf"), "/sys/kernel/btf/vmlinux"),),
    )
    assert run(spec).stdout == "ffff T _text\n6.1.0-lab\ntypes"


@namespaces
def test_a_piece_that_is_missing_is_named(tmp_path: Path) -> None:
    result = run(Spec(script="echo ran", binds=(Bind(str(tmp_path / "gone.lime"), "/dev/crash"),)))
    assert (result.outcome.how, result.stdout) == ("failed", "")
    assert "/dev/crash" in result.outcome.reason and "gone.lime" in result.outcome.reason
    optional = run(Spec(script="echo ran", binds=(Bind(str(tmp_path / "gone"), "/opt/x", optional=True),)))
    assert optional.stdout == "ran\n"
    assert any("/opt/x" in note for note in optional.outcome.notes)


@namespaces
def test_only_the_endpoint_is_on_the_network(endpoint: int) -> None:
    other = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    gate = Gate(("127.0.0.1", endpoint), reachable=lambda: True)
    script = (
        f"curl -sS http://127.0.0.1:{endpoint}/a?X-Amz-Signature=1; echo\n"
        "head -c 5000000 /dev/zero > /tmp/part\n"
        f"curl -sS -T /tmp/part http://localhost:{endpoint}/put; echo\n"
        f"curl -sS -m 3 http://127.0.0.1:{other.server_address[1]}/; curl -sS -m 3 http://192.0.2.1/\n"
    )
    result = run(Spec(script=script, port=endpoint), gate=gate)
    gate.close()
    other.server_close()
    assert result.stdout.split()[:3] == ["the", "lab", "5000000"], result.stderr
    assert result.stderr.count("curl: (7)") == 2, result.stderr


@namespaces
def test_a_security_group_cuts_and_restores(endpoint: int) -> None:
    allowed = threading.Event()
    allowed.set()
    gate = Gate(("127.0.0.1", endpoint), reachable=allowed.is_set)
    seen = bytearray()

    def watch(data: bytes) -> None:
        seen.extend(data)
        if b"cut" in seen and not allowed.is_set():
            threading.Timer(0.5, allowed.set).start()

    def stop() -> None:
        if seen.count(b".") >= 3 and b"cut" not in seen:
            allowed.clear()

    url = f"http://127.0.0.1:{endpoint}"
    script = (
        f'curl -sS -N -m 10 {url}/slow; echo "code $?"; echo cut\n'
        f'curl -sS -m 3 {url}/; echo "refused $?"\n'
        f"for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.3; curl -sS {url}/ && break; done; echo\n"
    )
    out = execute(
        Spec(script=script, port=endpoint),
        timeout_seconds=20,
        stdout=watch,
        stderr=lambda _: None,
        stop=stop,
        gate=gate,
    )
    gate.close()
    text = seen.decode()
    assert out.how == "exited"
    assert "code 56" in text, text  # reset while it was receiving, which cannot be mistaken for the end
    assert "refused 7" in text
    assert text.endswith("the lab\n")


@pytest.mark.parametrize("reduced", [pytest.param(False, marks=namespaces), True])
def test_a_hosts_programs_yield_to_the_orchestrator(reduced: bool) -> None:
    script = "nice; cat /proc/self/autogroup 2>/dev/null"
    made = run(Spec(script=script, niceness=19), reduced=reduced)
    assert not [note for note in made.outcome.notes if note.startswith("processor:")]
    polite = made.stdout.splitlines()
    usual = run(Spec(script=script), reduced=reduced).stdout.splitlines()
    own = os.nice(0)
    assert [polite[0], usual[0]] == [str(min(19, own + 19)), str(own)]
    if len(usual) > 1:
        # sessions are scheduled as groups here: nice alone would only count within the sandbox
        assert [polite[1].rpartition(" ")[2], usual[1].rpartition(" ")[2]] == ["19", "0"]


@namespaces
def test_a_timeout_ends_every_descendant() -> None:
    mark = odd_sleep()
    script = f"setsid sleep {mark} & (nohup sh -c 'trap \"\" TERM HUP; sleep {mark}' & ) ; echo up; sleep {mark}"
    started = time.monotonic()
    result = run(script, seconds=1)
    assert (result.outcome.how, result.code, result.stdout) == ("timed-out", 137, "up\n")
    assert time.monotonic() - started < 120, "the descendants sleep for hours"
    wait_until_gone(mark)


@namespaces
def test_background_processes_end_with_the_script() -> None:
    mark = odd_sleep()
    result = run(f"nohup setsid sleep {mark} >/dev/null 2>&1 & echo done")
    assert (result.code, result.stdout) == (0, "done\n")
    wait_until_gone(mark)


@pytest.mark.parametrize("reduced", [pytest.param(False, marks=namespaces), True])
def test_nothing_survives_a_killed_lab(tmp_path: Path, reduced: bool) -> None:
    mark = odd_sleep()
    code = (
        "import sys; from lab.hosts.sandbox import Spec, execute\n"
        f"spec = Spec(script='setsid sleep {mark} & echo up; sleep {mark}')\n"
        "show = lambda data: (sys.stdout.buffer.write(data), sys.stdout.flush())\n"
        f"execute(spec, timeout_seconds=60, stdout=show, stderr=show, reduced={reduced})\n"
    )
    program = tmp_path / "lab.py"
    program.write_text(code)
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "PYTHONSAFEPATH": "1", "TMPDIR": str(tmp_path)}
    lab = subprocess.Popen([sys.executable, str(program)], stdout=subprocess.PIPE, env=environment)
    assert lab.stdout is not None
    assert lab.stdout.readline() == b"up\n"
    wait_until(lambda: len(processes_with(mark)) >= 2, what="both programs to run", pause=0.02)
    os.kill(lab.pid, signal.SIGKILL)
    lab.wait()
    lab.stdout.close()
    wait_until_gone(mark)


@namespaces
def test_scripts_run_as_the_agent_runs_them() -> None:
    assert run("#!/bin/bash\necho ${BASH_VERSION:+bash}; cat < <(echo sub)").stdout == "bash\nsub\n"
    assert run("yes | head -n 1; exit 7").code == 7
    assert run("kill -TERM $$").code == 143
    assert run(Spec(script="true", cwd="/nowhere")).stderr.startswith("the command cannot be started in /nowhere")
    assert run("readlink /proc/self/fd/0").stdout == "/dev/null\n"


@pytest.mark.parametrize("reduced", [pytest.param(False, marks=namespaces), True])
def test_output_streams_and_stops_on_request(reduced: bool) -> None:
    taken = [0]
    wanted: list[str] = []

    def count(data: bytes) -> None:
        taken[0] += len(data)
        if taken[0] > 1 << 20:
            wanted.append("enough")

    outcome = execute(
        Spec(script="yes"), timeout_seconds=20, stdout=count, stderr=count, reduced=reduced,
        stop=lambda: wanted[0] if wanted else None,
    )  # fmt: skip
    assert (outcome.how, outcome.reason, outcome.code) == ("stopped", "enough", 137)


def test_reduced_mode_offers_stand_ins_and_ends_descendants(tmp_path: Path) -> None:
    mark = odd_sleep()
    image = tmp_path / "memory"
    image.write_text("memory")
    spec = Spec(
        script=f'echo "$LAB_SANDBOX"; cat /dev/crash "$LAB_DEV_ROOT/crash" /run/x; setsid sleep {mark} & env',
        binds=(Bind(str(image), "/dev/crash"),),
        files=(("/run/x", "file", 0o644),),
    )
    result = run(spec, reduced=True)
    assert result.stdout.startswith("reduced\nmemorymemoryfile"), result.stderr
    assert "PYTEST" not in result.stdout
    wait_until_gone(mark)
    timed = run(f"setsid sleep {mark} & sleep {mark}", seconds=0.5, reduced=True)
    assert timed.outcome.how == "timed-out"
    wait_until_gone(mark)


@namespaces
def test_start_up_cost_is_small() -> None:
    costs = sorted(run("true").outcome.ready_seconds or 99 for _ in range(5))
    print(f"\nstart-up: median {costs[2] * 1000:.0f} ms, {[round(c * 1000) for c in costs]}")
    assert costs[0] < 2
