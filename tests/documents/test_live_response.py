"""The live response's script, run for real: one bad thing on the host costs itself, and the last line is the status line."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.userland.bucket import QUERY, Bucket, bucket
from lab.userland.host import Done, How, offered_collector, run
from lab.userland.host import script as script_of

DOCUMENT = "live_response_linux"
SHELLS = [shell for shell in ("dash", "bash") if shutil.which(shell)]
NAMESPACES = subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode == 0
as_root = pytest.mark.skipif(not NAMESPACES or os.geteuid() != 0, reason="needs root and mount namespaces")
CORE = (
    "00-clock", "10-network-tcp", "10-network-udp", "10-network-unix", "12-routes", "14-pids", "20-process-states",
    "21-process-programs", "22-process-arguments", "23-process-status", "24-open-files", "25-environments", "40-mounts",
)  # fmt: skip


@pytest.fixture(scope="module")
def store() -> Iterator[Bucket]:
    """One server for these tests."""
    with bucket() as state:
        yield state


def whole(done: Done) -> None:
    """The archive is what its index says, and has the core items with content."""
    archive = done.archive()
    assert archive.problems(indexed=True) == []
    assert not [name for name in CORE if archive.members.get(name, (0, ""))[0] == 0]
    assert "secret123" not in done.stdout + done.stderr, "a URL was printed"
    assert done.status["bytes"] == len(done.body)
    assert done.status["sha256"] == hashlib.sha256(done.body).hexdigest()


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_gives_a_whole_archive_with_what_runs(store: Bucket, shell: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as planted, subprocess.Popen(["sleep", "4711"]) as process:
        done = run(DOCUMENT, How(shell=(shell,)), store)
        process.kill()
        port = planted.getsockname()[1]
    whole(done)
    assert done.code == 0 and done.status["status"] in {"ok", "partial"}
    assert f":{port:04X}".encode() in done.member("10-network-tcp")
    assert b"sleep\x004711" in done.member("22-process-arguments")
    assert f"/proc/{process.pid}/exe".encode() in done.member("21-process-programs")
    assert done.uploads["/status"] == done.stdout.splitlines()[-1].encode() + b"\n"


def test_an_agent_that_sets_no_variables_gives_the_same(store: Bucket) -> None:
    whole(run(DOCUMENT, How(variables=False), store))


def test_the_first_pass_has_only_what_is_most_short_lived(store: Bucket) -> None:
    done = run(DOCUMENT, How(depth="first"), store)
    names = set(done.archive().items)
    assert {"10-network-tcp", "12-routes", "14-pids", "20-process-states", "22-process-arguments"} <= names
    assert not {"25-environments", "40-mounts", "70-packages"} & names
    assert len(done.body) <= 1024 * 1024


def test_no_program_of_the_run_has_the_manifest_s_url_in_its_environment(store: Bucket) -> None:
    seen = run(DOCUMENT, How(), store).member("25-environments")
    # The agent's own step was started with it; nothing that the script started has it.
    blocks = [block for block in seen.split(b"==> ") if b"X-Amz-Signature" in block]
    assert all(b"_=/usr/bin" not in block for block in blocks)
    assert b"fc." not in b"".join(blocks), "a program with the work folder in its environment has no URL"


@as_root
@pytest.mark.parametrize("shell", SHELLS)
def test_a_full_dev_shm_costs_nothing_where_run_has_room(store: Bucket, shell: str) -> None:
    setup = """mount -t tmpfs -o mode=1777,size=1m tmpfs /dev/shm; mount -t tmpfs -o size=64m,noexec tmpfs /run
    head -c 2M /dev/zero >/dev/shm/x 2>/dev/null"""
    whole(run(DOCUMENT, How(shell=(shell,), setup=setup), store))


@as_root
@pytest.mark.parametrize("shell", SHELLS)
def test_without_any_room_the_last_line_says_so(store: Bucket, shell: str) -> None:
    fill = "; ".join(
        f"mount -t tmpfs -o mode=1777,size=64k tmpfs {at}; head -c 1M /dev/zero >{at}/x 2>/dev/null"
        for at in ("/dev/shm", "/run")
    )
    done = run(DOCUMENT, How(shell=(shell,), setup=fill), store)
    assert (done.code, done.status["status"]) == (1, "failed")
    assert "/dev/shm has 0 KiB free" in done.status["reason"]


@as_root
def test_a_fifo_in_place_of_utmp_is_not_opened(store: Bucket) -> None:
    done = run(DOCUMENT, How(setup="mount -t tmpfs tmpfs /run; mkfifo /run/utmp"), store)
    whole(done)
    assert done.archive().items["23-utmp"].state == "absent"


@as_root
def test_programs_that_hang_cost_their_items_only(store: Bucket, tmp_path: Path) -> None:
    hang = tmp_path / "hang"
    hang.write_text("#!/bin/sh\necho begun\nsleep 1000 &\nsleep 1000\n")
    hang.chmod(0o755)
    setup = f"mount --bind {hang} $(readlink -f $(command -v ip)); mount --bind {hang} $(readlink -f $(command -v ss))"
    # As the items' limit, but shorter: the watchdog is what is tested.
    done = run(DOCUMENT, How(setup=setup, edit=(("seconds=8;", "seconds=2;"),)), store)
    whole(done)
    items = done.archive().items
    assert (items["27-sockets"].state, items["27-sockets"].why) == ("cut", "ended after 2 s with 6 bytes")
    assert done.member("27-sockets") == b"begun\n"
    assert subprocess.run(["pgrep", "-f", "^sleep 1000"], check=False, capture_output=True).stdout == b""


@as_root
def test_connections_of_other_network_namespaces_are_there(store: Bucket) -> None:
    listen = "import socket,time; s=socket.socket(); s.bind(('127.0.0.1',20444)); s.listen(); print(1,flush=True); time.sleep(99)"
    with subprocess.Popen(
        ["unshare", "-n", "sh", "-c", 'ip link set lo up; exec python3 -c "$0"', listen], stdout=subprocess.PIPE
    ) as pod:
        assert pod.stdout and pod.stdout.readline()
        done = run(DOCUMENT, How(), store)
        pod.kill()
    # 20444 is below the ports that the kernel gives out by itself (ip_local_port_range): nobody else's is taken for it
    assert b":4FDC" in done.member("23-connections-elsewhere")
    assert b":4FDC" not in done.member("10-network-tcp")


@as_root
def test_a_process_that_is_covered_by_a_mount_is_named(store: Bucket, tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "4712"]) as process:
        done = run(DOCUMENT, How(setup=f"mount --bind {tmp_path} /proc/{process.pid}"), store)
        process.kill()
    assert f"/proc/{process.pid} is covered" in done.status["reason"]
    assert done.status["hidden"] == 1


def static(store: Bucket) -> tuple[str, ...]:
    """Lines of a manifest that offer a static busybox, Debian's busybox-static."""
    program = shutil.which("busybox")
    if program is None or b"BusyBox" not in Path(program).read_bytes() or "statically" not in linked(program):
        pytest.skip("no static busybox (Debian's busybox-static) is on this machine: it is the collector of this test")
    return offered_collector(store, Path(program))


def linked(program: str) -> str:
    """What ldd says of a program."""
    done = subprocess.run(["ldd", program], check=False, capture_output=True, text=True)
    return "statically" if "not a dynamic" in done.stdout + done.stderr else done.stdout


@pytest.mark.parametrize("shell", SHELLS)
def test_a_static_collector_agrees_with_honest_programs(store: Bucket, shell: str) -> None:
    with socket.socket() as bound:  # ss shows it as UNCONN, /proc/net/tcp does not have it
        bound.bind(("127.0.0.1", 0))
        done = run(DOCUMENT, How(shell=(shell,), manifest=static(store)), store)
    whole(done)
    assert done.status["collector"] == hashlib.sha256(store.objects["/collector"]).hexdigest()
    assert b"== what the collector sees" in done.member("28-second-opinion")
    assert f"process {os.getpid()}\t".encode() in done.member("28-second-opinion")
    assert done.status["differences"] == 0, done.status["reason"]
    assert not left_behind_by(done), "the folder of the collector is gone"


def left_behind_by(done: Done) -> list[Path]:
    """Folders with a collector that no run works in any more."""
    found = [f for base in ("/dev/shm", "/run") for f in Path(base).glob("fc.????????/busybox")]
    return [f for f in found if not Path("/proc", (f.parent / "pid").read_text().split()[0]).exists()]


@as_root
def test_what_the_host_s_programs_do_not_say_is_told_by_name(store: Bucket, tmp_path: Path) -> None:
    shutil.copy(str(shutil.which("ss")), tmp_path / "real")
    trojan = tmp_path / "ss"
    trojan.write_text(f'#!/bin/sh\n{tmp_path}/real "$@" >{tmp_path}/out; grep -v ":20455 " {tmp_path}/out\n')
    trojan.chmod(0o755)
    offer = static(store)
    with socket.create_server(("127.0.0.1", 20455)):
        done = run(DOCUMENT, How(setup=f"mount --bind {trojan} $(readlink -f $(command -v ss))", manifest=offer), store)
    assert "ss did not say: socket tcp LISTEN 20455 0" in done.status["reason"]
    assert b"difference\tss\tdid not say\tsocket tcp LISTEN 20455 0" in done.member("28-second-opinion")
    assert done.status["differences"] >= 1 and b":20455 " not in done.member("27-sockets")


def test_a_collector_with_another_digest_is_not_run(store: Bucket) -> None:
    (line,) = static(store)
    verb, name, _, url = line.split(" ")
    done = run(DOCUMENT, How(manifest=(f"{verb} {name} {'0' * 64} {url}",)), store)
    whole(done)
    assert (done.status["status"], done.status["collector"]) == ("partial", "none")
    assert "it was not run" in done.status["reason"]
    assert done.archive().items["28-second-opinion"].state == "failed"


def test_without_a_collector_the_index_says_so(store: Bucket) -> None:
    item = run(DOCUMENT, How(), store).archive().items["28-second-opinion"]
    assert item.state == "absent" and "forensics.static_collector_sha256" in item.why


@as_root
def test_a_half_installed_curl_is_named_and_python_sends(store: Bucket, tmp_path: Path) -> None:
    broken = tmp_path / "curl"
    broken.write_text("#!/bin/sh\necho 'curl: error while loading shared libraries: libcurl.so.4' >&2; exit 127\n")
    broken.chmod(0o755)
    done = run(DOCUMENT, How(setup=f"mount --bind {broken} $(readlink -f $(command -v curl))", depth="first"), store)
    assert done.status["status"] in {"ok", "partial"}, done.status
    assert done.archive().problems(indexed=True) == []
    done = run(
        DOCUMENT,
        How(
            setup=f"mount --bind {broken} $(readlink -f $(command -v curl))",
            depth="first",
            edit=(("python3 /usr/libexec/platform-python '", "'"),),
        ),
        store,
    )
    assert "libcurl.so.4" in done.status["reason"]


@as_root
def test_open_files_without_a_name_leave_the_host(store: Bucket) -> None:
    held = "import os,time,tempfile; f=tempfile.TemporaryFile(); f.write(b'zz-deleted-content'); f.flush(); print(1,flush=True); time.sleep(300)"
    with subprocess.Popen(["python3", "-c", held], stdout=subprocess.PIPE) as process:
        assert process.stdout and process.stdout.readline()
        done = run(DOCUMENT, How(), store)
        process.kill()
    assert b"zz-deleted-content" in done.member("29-deleted-files")
    assert f"{process.pid}/{process.pid} python".encode() in done.member("28-threads")
    assert b"slack=50000" in done.member("28-threads") and b"stack= " in done.member("28-threads")


def test_an_upload_over_ipv6_alone_works(store: Bucket) -> None:
    """The server has no IPv4 address; curl asks both addresses of localhost."""
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            pass
    except OSError as error:
        pytest.skip(f"this machine has no IPv6 on loopback: {error}")
    with bucket("::1") as six:
        six.url = six.url.replace("[::1]", "localhost")
        done = run(DOCUMENT, How(depth="first"), six)
    assert done.archive().problems(indexed=True) == [] and done.body
    assert done.status["bytes"] == len(done.body)


def test_a_preload_variable_is_told_and_not_used(store: Bucket) -> None:
    done = run(DOCUMENT, How(environment={"LD_PRELOAD": "/nowhere/evil.so"}), store)
    assert b"LD_PRELOAD=/nowhere/evil.so" in done.member("23-preload")
    assert "the agent's environment has a preload variable" in done.status["reason"]
    assert done.stderr.count("/nowhere/evil.so") <= 2, "only the shell itself was started with it"


@pytest.mark.skipif("bash" not in SHELLS, reason="no bash")
def test_functions_in_the_environment_replace_no_program(store: Bucket) -> None:
    whole(run(DOCUMENT, How(shell=("bash",), environment={"BASH_FUNC_cat%%": "() { echo evil; }"}), store))


def waits(place: Path) -> tuple[tuple[str, str], ...]:
    """A step that says by a file that it is there and waits, so that the signal comes in the middle of the collection."""
    step = f"  seconds=300; item 23-waits sh -c ': >{place}; exec sleep 300'\n"
    return (("  core=filled; item 23-preload preload_state\n", step),)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("shell", SHELLS)
def test_a_signal_ends_the_run_with_what_was_collected(
    store: Bucket, shell: str, number: signal.Signals, tmp_path: Path
) -> None:
    there = tmp_path / "there"
    done = run(DOCUMENT, How(shell=(shell,), end=(number, there), edit=waits(there)), store)
    assert done.status["status"] == "partial", done.stderr
    assert f"ended by {number.name} at 23-waits" in done.status["reason"]
    archive = done.archive()
    assert archive.problems(indexed=True) == []
    assert "20-process-states" in archive.members


@pytest.mark.parametrize("shell", SHELLS)
def test_sigint_does_not_end_a_run_of_bash_4(store: Bucket, shell: str, tmp_path: Path) -> None:
    """There a child that gets SIGINT before it has its own handlers spins in ``wait_sigint_handler`` (jobs.c of bash 4.3 and 4.4,
    seen with both, built from their sources) and the script waits for it; ``make userland-check`` plays real ones. Here any shell
    is taken for it: the signal is ignored."""
    there = tmp_path / "there"
    short = ((old, new.replace("exec sleep 300", "exec sleep 1")) for old, new in waits(there))
    edit = (("case ${BASH_VERSION-} in 4.*)", "case 4.4.19 in 4.*)"), *short)
    done = run(DOCUMENT, How(shell=(shell,), end=(signal.SIGINT, there), edit=edit), store)
    assert done.status["status"] == "ok", done.status
    assert "23-waits" in done.archive().members


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("of", ["new", "index"])
def test_a_signal_that_ends_the_program_which_writes_an_index_costs_no_index(
    store: Bucket, shell: str, of: str, tmp_path: Path
) -> None:
    once = tmp_path / "once"
    ends = f'case $0 in */{of}) if [ ! -e {once} ]; then : >{once}; kill -TERM 0; sleep 60; fi ;; esac; cat "$0"'
    edit = (('then cat "$2"; fi && nul', f"then sh -c '{ends}' \"$2\"; fi && nul"),)
    done = run(DOCUMENT, How(shell=(shell,), edit=edit, depth="first"), store)
    assert once.exists()
    assert done.archive().problems(indexed=True) == [], done.stderr
    assert done.status["bytes"] == len(done.body)


def test_refused_uploads_end_with_their_reason(store: Bucket) -> None:
    store.refused["/part1"] = 99
    done = run(DOCUMENT, How(edit=(("in 1 2 4 0;", "in 0 0;"),)), store)
    store.refused.clear()
    assert (done.code, done.status["status"]) == (1, "failed")
    assert "part 1 was not accepted" in done.status["reason"] and "503" in done.status["reason"]


def test_a_manifest_of_another_form_is_refused_without_a_trace(store: Bucket) -> None:
    done = run(DOCUMENT, How(manifest=("exec evil now",)), store)
    assert (done.status["status"], done.status["reason"]) == ("failed", "manifest: a line of an unknown kind")
    assert set(done.uploads) <= {"/status"}


def test_the_bytes_that_a_url_may_hold_are_no_code(store: Bucket) -> None:
    done = run(DOCUMENT, How(manifest=(f"put status {store.url}/$(id){QUERY}",)), store)
    assert done.status["reason"] == "manifest: a bad put line"


def test_nothing_is_left_in_memory_and_a_killed_run_s_folder_goes(store: Bucket) -> None:
    old = Path("/dev/shm/fc.00000001")
    old.mkdir(mode=0o700, exist_ok=True)
    (old / "pid").write_text("999999999 1 1\n")
    run(DOCUMENT, How(depth="first"), store)
    assert not old.exists()


def test_a_run_that_was_killed_outright_leaves_no_url(store: Bucket, tmp_path: Path) -> None:
    there = tmp_path / "there"
    before = set(Path("/dev/shm").glob("fc.*"))
    done = run(DOCUMENT, How(end=(signal.SIGKILL, there), edit=waits(there)), store)
    assert done.status == {} and done.code == -signal.SIGKILL
    mine = [f for f in set(Path("/dev/shm").glob("fc.*")) - before if (f / "new").exists()]
    for folder in mine:
        text = b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())
        assert b"X-Amz-Signature" not in text
        shutil.rmtree(folder, ignore_errors=True)
    assert done.member("10-network-tcp"), "what had left before is there"
    assert any("no end" in p for p in done.archive().problems(indexed=False))


def test_the_text_names_no_way_around_its_own_path() -> None:
    text = script_of(DOCUMENT)
    assert text.index("export PATH=/usr/sbin:/usr/bin:/sbin:/bin") < text.index("work_folder()")
    assert not re.search(r"<<-?['\"\w]", text.replace("1 << 20", "").replace("1<<20", "")), (
        "a here-document is a file on the target's disk in some shells"
    )
